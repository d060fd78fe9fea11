"""``fmt``, ``parse``, ``explain``; the specification's examples as a workspace."""

import json
import shutil
from pathlib import Path

from tests.conftest import MakeWorkspace
from tests.support.workspaces import SETTINGS, Workspace, spirit

MEASURES_PROCESSES = True

SPEC = Path(__file__).parents[1] / "spec"
MESSY = "pub   fun one( )->Int64{return  1}\n"
NEAT = "pub fun one() -> Int64 { return 1 }\n"


def test_fmt(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({"a/Spirit.dol": spirit("a"), "a/src/lib.dol": MESSY, "a/tests/x_test.dol": "\n\n"})
    before = workspace.command("fmt", "--check")
    assert before.status == 1
    assert "would change" in before.out
    assert (workspace.root / "a/src/lib.dol").read_text() == MESSY
    assert workspace.command("fmt", program="doit").status == 0
    assert (workspace.root / "a/src/lib.dol").read_text() == NEAT
    assert workspace.command("fmt", "--check").status == 0
    assert workspace.command("fmt", "--bogus").status == 2


def test_fmt_leaves_a_broken_file_alone(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({"x.dol": "pub fun one( {\n", "y.dol": MESSY})
    ran = workspace.command("fmt", "x.dol", "y.dol", "gone.dol")
    assert ran.status == 1
    assert "error[E0105]" in ran.err
    assert "error[E0705]" in ran.err
    assert (workspace.root / "x.dol").read_text() == "pub fun one( {\n"
    assert (workspace.root / "y.dol").read_text() == NEAT


def test_parse(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({"x.dol": NEAT, "y.dol": "pub fun one( {\n"})
    assert workspace.command("parse", "x.dol").out.startswith("Function 1:1 name='one'")
    ran = workspace.command("parse", "--json", "x.dol", "y.dol", "gone.dol")
    assert ran.status == 1
    values = [json.loads(line) for line in ran.out.splitlines()]
    assert values[0]["tree"]["items"][0]["kind"] == "Function"
    assert values[0]["tree"]["items"][0]["at"] == [1, 1]
    assert [d["code"] for d in values[1]["diagnostics"]] == ["E0105"]
    assert [d["code"] for d in values[2]["diagnostics"]] == ["E0705"]
    assert workspace.command("parse").status == 2


def test_explain(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({"dolbuild.toml": SETTINGS})
    ran = workspace.command("explain", "e0301")
    assert ran.status == 0
    assert ran.out.startswith("E0301 A value of another type")
    assert "### " not in ran.out
    for wrong in (["E9999"], [], ["nonsense"]):
        assert workspace.command("explain", *wrong).status == 2


def test_the_examples_of_the_specification_check(tmp_path: Path) -> None:
    """Examples 2, 3 and 4, completed where ``docs/spec-notes.md`` says, with the Spirits that they use."""
    root = tmp_path / "spec"
    shutil.copytree(SPEC / "workspace", root, ignore=shutil.ignore_patterns("target", ".dolbuild"))
    workspace = Workspace(root, tmp_path / "home")
    ran = workspace.command("check", "--json")
    assert ran.status == 0
    assert [code for code in ran.codes if code.startswith("E")] == []
    assert ran.statuses["module:production-cluster/System"] == "ran"


def test_the_examples_are_the_specification_s(tmp_path: Path) -> None:
    """Every line of the blocks stands in the files as it is, in its order; what we added is listed."""
    workspace = SPEC / "workspace"
    files = {
        10: "http-service/Spirit.dol", 11: "http-service/src/lib.dol", 12: "http-service/src/server.dol",
        13: "http-service/src/routes.dol", 14: "http-service/src/main.dol", 15: "http-service/src/sex/io.dol",
        16: "container-spirit/Spirit.dol", 17: "container-spirit/src/lib.dol",
        18: "container-spirit/src/container.dol", 19: "container-spirit/src/container/state.dol",
        20: "container-spirit/src/container/config.dol", 21: "container-spirit/src/container/runtime.dol",
        22: "container-spirit/src/lifecycle.dol", 23: "container-spirit/src/internal/helpers.dol",
        24: "production-cluster/System.dol",
    }  # fmt: skip
    added: list[str] = []
    for number, name in files.items():
        (block,) = (SPEC / "blocks").glob(f"{number:02d}-*.dol")
        ours = (workspace / name).read_text("utf-8").split("\n")
        for line in block.read_text("utf-8").split("\n"):
            while ours and ours[0] != line:
                added.append(ours.pop(0))
            assert ours, f"{name} lacks {line!r}"
            ours.pop(0)
    assert [line for line in added if line] == [
        "has default_port: 8080",
        "use @univrs/http.Connection",
        "fun handle_connection(self, connection: Connection) { ... }",
        "return pattern == path",
    ]


def test_a_wrong_system(tmp_path: Path) -> None:
    root = tmp_path / "spec"
    shutil.copytree(SPEC / "workspace", root, ignore=shutil.ignore_patterns("target", ".dolbuild"))
    path = root / "production-cluster/System.dol"
    text = path.read_text("utf-8")
    path.write_text(
        text.replace("this.monitor.track(container)", "this.monitor.trak(container)")
        .replace("<= this.config.max_containers_per_cluster", "<= this.config.max_containers")
        .replace('uses @univrs/scheduler: "^1.5"', 'uses @univrs/scheduler: "^2.0"')
    )
    ran = Workspace(root, tmp_path / "home").command("check", "--json")
    assert ran.status == 1
    assert {"E0208", "E0608"} <= set(ran.codes)
    assert Workspace(root, tmp_path / "home").command("build").status == 1


def test_one_member_of_a_workspace(make_workspace: MakeWorkspace) -> None:
    files: dict[str, str | bytes] = {}
    for name in ("a", "b"):
        files[f"{name}/Spirit.dol"] = spirit(name)
        files[f"{name}/src/lib.dol"] = "pub fun one() -> Int64 { return 1 }\n"
        files[f"{name}/tests/one_test.dol"] = 'test "t" { assert(true) }\n'
    workspace = make_workspace(files)
    built = workspace.build("a")
    assert built.status == 0
    assert "spirit:a" in built.statuses
    assert "spirit:b" not in built.statuses
    tested = workspace.command("test", "--json", "b")
    assert [node for node in tested.statuses if node.startswith("test:")] == ["test:b/one_test"]
    assert workspace.command("build", "nothing").status == 2


def test_odd_surroundings(make_workspace: MakeWorkspace) -> None:
    files = {"a/Spirit.dol": spirit("a"), "a/src/lib.dol": "pub fun s(s: String) -> String { return s }\n"}
    workspace = make_workspace(files)
    (workspace.root / ".dolbuild").write_text("a file is in the way\n")
    ran = workspace.command("build")
    assert ran.status == 0
    assert "this build is not remembered" in ran.err
    assert workspace.command("build", "-n", "-3").status == 2
    assert workspace.command("exec", "a", "s", "\udcff").status == 2
    assert "no UTF-8" in workspace.command("exec", "a", "s", "\udcff").err
