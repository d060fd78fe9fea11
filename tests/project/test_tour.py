"""The README and the guide cannot lie: their commands are run, and show what is written there. The recipes for CI, too."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tour import Step, Tour, is_shown, steps
from tests.support.workspaces import CLEARED, EXAMPLES, SETTINGS, UNMEASURED, Workspace, spirit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An empty home, and ``dolbuild`` as a program."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("dolbuild", "dolbuild.commands.main"), ("doit", "doit")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in CLEARED} | UNMEASURED
    return kept | {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "TOUR_PLACE": str(tmp_path / "place"),
    }


def go(tour: Tour, document: str) -> int:
    """Go through a document; gives the number of steps."""
    count = 0
    try:
        for step in steps(document):
            got = tour.run(step)
            assert is_shown(step.shown, got), f"$ {step.command}\n{got}\n--- the document says:\n{step.shown}"
            count += 1
    finally:
        tour.close()
    return count


def test_the_guide(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert go(Tour(folder, environment), (ROOT / "docs/guide.md").read_text()) > 20


def test_the_readme(tmp_path: Path, environment: dict[str, str]) -> None:
    """After its first command, which CI runs as it is written."""
    root = tmp_path / "workspace"
    shutil.copytree(EXAMPLES, root, ignore=shutil.ignore_patterns("target", ".dolbuild", "state"))
    first = subprocess.run(["dolbuild", "build"], cwd=root, env=environment, capture_output=True, text=True, check=True)
    readme = (ROOT / "README.md").read_text()
    said = re.search(r"The last\nlines are:\n\n```text\n(.*?)```", readme, re.DOTALL)
    assert said is not None
    for line in said[1].splitlines()[:-1]:
        assert line in first.stdout
    assert re.search(r"^153 nodes: 153 ran \(", first.stdout, re.MULTILINE)
    tour = readme[readme.index("## The tour") : readme.index("| command | |")]
    assert go(Tour(root, environment), tour) > 10


def test_what_a_document_may_say() -> None:
    assert is_shown("a…c\n", "a b\nb c") and not is_shown("a…c", "a b") and is_shown("", "\n")
    assert not is_shown("a", "a\nb") and is_shown("…\nb", "x\ny\nb")
    assert list(steps("```console\n$ a\nx\n$ b\n```\n```text\n$ c\n```\n")) == [Step("a", "x\n"), Step("b", "")]


def test_graph_md(tmp_path: Path, environment: dict[str, str]) -> None:
    """Its commands work; what they show is not written there."""
    root = tmp_path / "workspace"
    shutil.copytree(EXAMPLES, root, ignore=shutil.ignore_patterns("target", ".dolbuild", "state"))
    for step in steps((ROOT / "docs/graph.md").read_text()):
        if "--open" not in step.command:
            done = subprocess.run(
                ["bash", "-c", step.command], cwd=root, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, step.command + done.stderr


# -- recipes ---------------------------------------------------------------------------------------


def blocks(name: str) -> dict[str, str]:
    """The blocks of YAML in a document that say which file they are."""
    found = re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", (ROOT / "docs" / name).read_text(), re.MULTILINE | re.DOTALL)
    return dict(found)


@pytest.mark.parametrize(
    ("file", "schema"),
    [(".github/workflows/build.yml", "vendor.github-workflows"), (".gitlab-ci.yml", "vendor.gitlab-ci")],
)
def test_recipes_fit_their_schemas(tmp_path: Path, file: str, schema: str) -> None:
    path = tmp_path / "recipe.yml"
    path.write_text(blocks("ci.md")[file])
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", [".github/workflows/build.yml", ".gitlab-ci.yml"])
def test_commands_of_recipes_work(tmp_path: Path, environment: dict[str, str], file: str) -> None:
    root = tmp_path / "shop"
    for command, place in ((["new", "workspace", "shop"], tmp_path), (["lock"], root)):
        subprocess.run(["dolbuild", *command], cwd=place, env=environment, check=True, capture_output=True)
    commands = re.findall(r"(?:run: |- )(dolbuild .*)", blocks("ci.md")[file])
    assert len(commands) == 4
    for command in commands:
        done = subprocess.run(command.split(), cwd=root, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, command + done.stderr
    assert (root / "graph.html").is_file()


def test_hooks(tmp_path: Path) -> None:
    """The hooks of pre-commit name commands of ours, and what they get."""
    import yaml

    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in hooks] == re.findall(r"- id: (\S+)", blocks("ci.md")[".pre-commit-config.yaml"])
    workspace = Workspace(tmp_path / "w", tmp_path / "home")
    workspace.root.mkdir()
    source = "pub   fun one( )->Int64{return  1}\n"
    workspace.write({"dolbuild.toml": SETTINGS, "a/Spirit.dol": spirit("a"), "a/src/lib.dol": source})
    for hook in hooks:
        files = [] if hook.get("pass_filenames") is False else ["a/src/lib.dol"]
        assert workspace.command(*hook["entry"].split()[1:], *files).status == 0, hook["id"]
    assert (workspace.root / "a/src/lib.dol").read_text() == "pub fun one() -> Int64 { return 1 }\n"


def test_the_site(tmp_path: Path) -> None:
    """Every document is in it, and no link leads nowhere."""
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {path.stem for path in (tmp_path / "site").glob("*.html")} - {"404"}
    assert made == {path.stem for path in (ROOT / "docs").glob("*.md")}
    index = json.loads((tmp_path / "site/search/search_index.json").read_text())
    assert any("E0301" in entry["title"] for entry in index["docs"])
