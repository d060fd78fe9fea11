"""The project itself: what is installed, what is documented, what is shipped."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from dolbuild.syntax import tables

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SOURCES = [
    path
    for folder in ("dolbuild", "rules", "cache")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not any(parent.is_symlink() for parent in path.parents)
]


def test_every_folder_of_code_is_installed() -> None:
    parts = [p.parent.relative_to(ROOT).parts for p in SOURCES]
    folders = {".".join(part if part[0] == "dolbuild" else ("dolbuild", *part)) for part in parts}
    assert folders == set(SETTINGS["tool"]["setuptools"]["packages"])


def test_the_wheel_has_one_name_and_all_it_needs(tmp_path: Path) -> None:
    copy = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        source = ROOT / name
        if source.is_file() and not (source.is_symlink() and source.is_dir()):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes(source.read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(copy)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"dolbuild"}
    for wanted in ("rules/plan.py", "cache/store.py", "syntax/grammar.lark", "syntax/tables.bin", "py.typed", "errors.md", "analysis/surface.dol",
                   "std/runtime/Spirit.dol", "std/runtime/src/strings.dol"):  # fmt: skip
        assert f"dolbuild/{wanted}" in names
    checked = subprocess.run(["check-wheel-contents", str(wheel)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_shipped_parse_tables_are_those_of_the_grammar() -> None:
    assert tables.SHIPPED.read_bytes().startswith(tables.header()), "run python -m dolbuild.syntax.tables"


CODE = re.compile(r"\"([EW]\d{4})\"")


def codes_in_use() -> set[str]:
    return {code for path in SOURCES for code in CODE.findall(path.read_text("utf-8"))}


def test_every_code_is_documented_and_every_documented_code_is_used() -> None:
    documented = re.findall(r"^### ([EW]\d{4}) ", (ROOT / "docs/errors.md").read_text("utf-8"), re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert documented == sorted(documented)
    assert set(documented) | WITHOUT_EXAMPLE == codes_in_use()


WITHOUT_EXAMPLE = {"E0115", "E0703", "E0801", "E0802", "E0807", "E0815", "E0817", "E0818", "E0819", "E0901"}
"""Named at the head of the page, with the reason."""


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith('"""'), "a module begins with its docstring"
    assert text.count("\n") <= 1000
