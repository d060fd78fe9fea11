"""What a range of git reaches."""

import json
from pathlib import Path

import pytest

from tests.conftest import MakeWorkspace
from tests.rules.test_graph import BASE, edit
from tests.support.servers import git
from tests.support.workspaces import Workspace, spirit

MEASURES_PROCESSES = True

MORE = {
    "third/Spirit.dol": spirit("third"),
    "third/src/lib.dol": "pub fun four() -> Int64 { return 4 }\n",
    "third/tests/four_test.dol": 'use lib.four\ntest "four" { assert_eq(four(), 4) }\n',
    "user/tests/three_test.dol": 'use lib.three\ntest "three" { assert_eq(three(), 3) }\n',
    "README.md": "# x\n",
    ".gitignore": "target\n.dolbuild\n",
}


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    made = make_workspace({**BASE, **MORE})
    git("init", "-q", "-b", "main", ".", cwd=made.root)
    commit(made.root)
    return made


def commit(root: Path) -> None:
    git("add", "-A", cwd=root)
    git("commit", "-q", "-m", "change", cwd=root)


def affected(workspace: Workspace, since: str = "HEAD") -> dict[str, list[str]]:
    ran = workspace.command("affected", "--since", since, "--json")
    assert ran.status == 0, ran.err
    found: dict[str, list[str]] = json.loads(ran.out)
    assert found.pop("since") == since
    return found


NOTHING: dict[str, list[str]] = {"members": [], "modules": [], "tests": [], "links": []}


def test_nothing(workspace: Workspace) -> None:
    assert affected(workspace) == NOTHING
    edit(workspace, "README.md", "x", "y")
    assert affected(workspace) == NOTHING
    assert workspace.command("affected", "--since", "HEAD").out == "nothing\n"
    none = workspace.command("test", "--affected", "HEAD")
    assert none.status == 0 and none.out.startswith("nothing to do")


def test_a_body_reaches_links_and_tests_but_no_module(workspace: Workspace) -> None:
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 11 - 10 }")
    assert affected(workspace) == {
        "members": ["base", "user"],
        "modules": ["base/numbers"],
        "tests": ["base/numbers_test", "user/three_test"],
        "links": ["spirit:base", "spirit:user"],
    }
    ran = workspace.command("test", "--affected=HEAD", "--json")
    assert ran.status == 0
    assert {name for name in ran.statuses if name.startswith("test:")} == {
        "test:base/numbers_test", "test:user/three_test"
    }  # fmt: skip


def test_a_signature_reaches_who_knows_it(workspace: Workspace) -> None:
    edit(workspace, "base/src/numbers.dol", "pub fun other() -> Int64 {", "pub fun other() -> Int32 {")
    found = affected(workspace)
    assert found["modules"] == ["base/lib", "base/numbers", "base/tests:numbers_test", "user/lib"]
    assert "third" not in found["members"]


def test_a_test_reaches_itself(workspace: Workspace) -> None:
    edit(workspace, "third/tests/four_test.dol", '"four"', '"four again"')
    assert affected(workspace)["tests"] == ["third/four_test"]
    assert affected(workspace)["modules"] == ["third/tests:four_test"]


def test_new_gone_and_renamed_files(workspace: Workspace) -> None:
    workspace.write({"third/src/more.dol": "pub fun five() -> Int64 { return 5 }\n"})
    assert affected(workspace)["members"] == ["third"]
    (workspace.root / "third/src/more.dol").unlink()
    (workspace.root / "user/src/alone.dol").unlink()
    assert affected(workspace)["members"] == ["user"]
    (workspace.root / "base/src/numbers.dol").rename(workspace.root / "base/src/counts.dol")
    assert affected(workspace)["members"] == ["base", "user"]


def test_manifests(workspace: Workspace) -> None:
    edit(workspace, "base/Spirit.dol", 'has version: "1.0.0"', 'has version: "1.0.0"\n    has license: "MIT"')
    found = affected(workspace)
    assert found["modules"] == [] and "spirit:base" in found["links"]
    workspace.write({"third/Spirit.dol": spirit("third", "base")})
    assert "third/lib" in affected(workspace)["modules"]


def test_settings_reach_everything(workspace: Workspace) -> None:
    edit(workspace, "dolbuild.toml", 'organisation = "acme"', 'organisation = "acme"\noutput = "out"')
    found = affected(workspace)
    assert found["everything"] == "dolbuild.toml"
    assert found["members"] == ["base", "third", "user"]


def test_only_what_a_branch_has_changed(workspace: Workspace) -> None:
    """Compared is with the last common commit, not with what the main branch has got since."""
    git("checkout", "-q", "-b", "topic", cwd=workspace.root)
    edit(workspace, "third/src/lib.dol", "return 4", "return 2 + 2")
    commit(workspace.root)
    git("checkout", "-q", "main", cwd=workspace.root)
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 11 - 10 }")
    commit(workspace.root)
    git("checkout", "-q", "topic", cwd=workspace.root)
    assert affected(workspace, "main")["members"] == ["third"]


def test_a_workspace_in_a_folder_of_its_repository(make_workspace: MakeWorkspace) -> None:
    made = make_workspace({**BASE, "base/src/käse.txt": "x"})
    outer = made.root.parent
    git("init", "-q", "-b", "main", ".", cwd=outer)
    commit(outer)
    (outer / "outside.dol").write_text("x")
    edit(made, "user/src/alone.dol", "return 5", "return 2 + 3")
    made.write({"base/src/käse.txt": "y"})
    assert affected(made)["modules"] == ["user/alone"]


@pytest.mark.parametrize("revision", ["nope", "--output=/tmp/x", "HEAD:base", "", "HEAD~99"])
def test_no_revision(workspace: Workspace, revision: str) -> None:
    ran = workspace.command("affected", f"--since={revision}")
    assert ran.status == 1 and ran.err.startswith("error[E0707]")
    assert not Path("/tmp/x").exists()


def test_outside_of_git(make_workspace: MakeWorkspace) -> None:
    ran = make_workspace(BASE).command("affected", "--since", "HEAD")
    assert ran.status == 1 and "this workspace is in no git repository" in ran.err


def test_wrong_usage(workspace: Workspace) -> None:
    assert workspace.command("affected").status == 2
    assert workspace.command("build", "spirit:base", "--affected", "HEAD").status == 2


def test_members_that_are_gone_or_have_another_name(workspace: Workspace) -> None:
    import shutil

    workspace.write({"base/Spirit.dol": spirit("basis")})
    assert {"basis", "user"} <= set(affected(workspace)["members"])
    assert workspace.command("build", "--affected=HEAD").status == 1
    git("checkout", "-q", ".", cwd=workspace.root)
    shutil.rmtree(workspace.root / "base")
    assert affected(workspace)["members"] == ["user"]
    assert workspace.command("build", "--affected=HEAD").status == 1


def test_no_program_of_the_repository_is_run(workspace: Workspace, tmp_path: Path) -> None:
    program = tmp_path / "monitor"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    git("config", "core.fsmonitor", str(program), cwd=workspace.root)
    (tmp_path / "ran").unlink(missing_ok=True)
    edit(workspace, "README.md", "x", "y")
    affected(workspace)
    assert not (tmp_path / "ran").exists()
