"""``dolbuild explain``: what a diagnostic's code means, from the error catalogue."""

import re
import sys
from pathlib import Path

CATALOGUE = Path(__file__).resolve().parent.parent / "errors.md"
USAGE = 2


def run(arguments: list[str]) -> int:
    """Print the catalogue's section on a code; gives the exit status."""
    if len(arguments) != 1 or not re.fullmatch(r"[EWew]\d{4}", arguments[0]):
        sys.stderr.write("error: dolbuild explain CODE, for example dolbuild explain E0301\n")
        return USAGE
    code = arguments[0].upper()
    text = CATALOGUE.read_text("utf-8")
    found = re.search(rf"^### {code} .*?(?=^### |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        sys.stderr.write(f"error: there is nothing on {code} in the catalogue\n")
        return USAGE
    sys.stdout.write(found[0].removeprefix("### ").strip() + "\n")
    return 0
