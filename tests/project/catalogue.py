"""The examples of ``docs/errors.md``: read them, run them, and write down what is shown.

A section is a code with a title, files in fences that name them, a console fence with a command and what it
prints as diagnostics, and how to mend it. ``python -m tests.project.catalogue`` runs all commands and writes
what they show into the page.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.workspaces import Workspace, spirit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
_SECTION = re.compile(r"^### ([EW]\d{4}) (.*)$", re.MULTILINE)
_FILE = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CONSOLE = re.compile(r"^```console\n\$ dolbuild (.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Section:
    code: str
    title: str
    files: dict[str, str]
    command: list[str]
    shown: str


def sections(page: str) -> Iterator[Section]:
    starts = list(_SECTION.finditer(page))
    for found, following in zip(starts, [*starts[1:], None], strict=True):
        text = page[found.end() : following.start() if following else len(page)]
        console = _CONSOLE.search(text)
        assert console is not None, f"{found[1]} shows no command"
        files = dict(_FILE.findall(text))
        yield Section(found[1], found[2], files, console[1].split(), console[2])


def run(section: Section, folder: Path, home: Path) -> str:
    """The diagnostics that the section's command shows. Sections may share a *home*, so that the runtime is compiled
    once."""
    workspace = Workspace(folder / "work", home)
    workspace.root.mkdir()
    defaults = {"dolbuild.toml": 'organisation = "acme"\nmembers = ["*"]\n'}
    if "example/Spirit.dol" not in section.files:
        defaults["example/Spirit.dol"] = spirit("example")
    if not any(name.endswith(("lib.dol", "main.dol")) for name in section.files) and section.code != "E0605":
        defaults["example/src/lib.dol"] = "pub fun one() -> Int64 { return 1 }\n"
    workspace.write({**defaults, **section.files})
    for name, text in section.files.items():
        if text.startswith(("(a link to ", "(a file of bytes")):
            path = workspace.root / name
            path.unlink()
            if text.startswith("(a link"):
                path.symlink_to("nowhere.dol")
            else:
                path.write_bytes(b"pub fun one() { }\n\xff\n")
        elif text.startswith("(a folder"):
            path = workspace.root / name
            path.unlink()
            path.mkdir()
    ran = workspace.command(*section.command)
    assert ran.status in (0, 1, 134), (section.code, ran)
    return ran.err.rstrip() + "\n"


def update() -> None:
    page = PAGE.read_text("utf-8")
    home = tempfile.TemporaryDirectory()
    for section in sections(page):
        with tempfile.TemporaryDirectory() as folder:
            shown = run(section, Path(folder), Path(home.name))
        if f"[{section.code}]" not in shown:
            sys.stderr.write(f"{section.code} does not show itself:\n{shown}\n")
        start = page.index(f"### {section.code} ")
        head, tail = page[:start], page[start:]
        block = f"```console\n$ dolbuild {' '.join(section.command)}\n"
        page = head + tail.replace(f"{block}{section.shown}```", f"{block}{shown}```", 1)
    PAGE.write_text(page, "utf-8")
    home.cleanup()


if __name__ == "__main__":
    update()
