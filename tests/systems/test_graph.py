"""A System as a node: what relinks it, what it is built to, and what is wrong with one."""

import json
from hashlib import sha256

from tests.conftest import MakeWorkspace
from tests.support.workspaces import Workspace, spirit

ONE = """
pub gene Thing { has size: Int64 }
pub fun reached(size: Int64) -> Int64 { return size * 2 }
pub fun unreached() -> Int64 { return 1 }
"""
TWO = "pub fun other() -> Int64 { return 2 }\n"
ALPHA = """
system AlphaHTTPCluster {
    uses @acme/one: "^1.0"
    has things: List<Thing>
    constraint few { this.things.len < 10 }
    /// How large all of it is.
    pub fun total() -> Int64 { return sum(this.things.map(t => reached(t.size))) }
    exegesis { The first one. }
}
"""
BETA = (
    'system Beta {\n    uses @acme/two: "^1.0"\n    pub fun ask(times: Int64) -> Int64 { return other() * times }\n}\n'
)
FILES = {
    "one/Spirit.dol": spirit("one"), "one/src/lib.dol": ONE, "two/Spirit.dol": spirit("two"), "two/src/lib.dol": TWO,
    "alpha/System.dol": ALPHA, "beta/System.dol": BETA,
}  # fmt: skip


def links(workspace: Workspace) -> set[str]:
    """The links that a build really does."""
    ran = workspace.build()
    assert ran.status == 0, ran.out
    return {node for node in ran.ran() if node.startswith(("system:", "spirit:"))}


def test_what_relinks_a_system(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(FILES)
    everything = {"spirit:one", "spirit:two", "system:alpha-http-cluster", "system:beta"}
    assert links(workspace) == everything
    assert links(workspace) == set()
    for name, text, expected in (
        ("one/src/lib.dol", ONE.replace("size * 2", "size * 3"), {"spirit:one", "system:alpha-http-cluster"}),
        ("one/src/lib.dol", ONE.replace("size * 2", "size * 3").replace("return 1", "return 9"), {"spirit:one"}),
        ("two/src/lib.dol", TWO.replace("2", "4"), {"spirit:two", "system:beta"}),
        ("one/Spirit.dol", spirit("one", version="1.2.0"), {"spirit:one", "system:alpha-http-cluster"}),
        ("alpha/System.dol", ALPHA.replace("< 10", "< 11"), {"system:alpha-http-cluster"}),
        (
            "alpha/System.dol",
            ALPHA.replace("< 10", "< 11").replace("first", "very first"),
            {"system:alpha-http-cluster"},
        ),
        ("alpha/System.dol", ALPHA, set()),
    ):
        workspace.write({name: text})
        assert links(workspace) == expected, (name, expected)


def test_what_it_is_built_to(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(FILES)
    workspace.build()
    folder = workspace.root / "target/systems"
    described = json.loads((folder / "alpha-http-cluster.json").read_text())
    wasm = (folder / "alpha-http-cluster.wasm").read_bytes()
    assert described["wasm"] == {
        "file": "alpha-http-cluster.wasm", "sha256": sha256(wasm).hexdigest(), "size": len(wasm),
    }  # fmt: skip
    assert described["system"] == "AlphaHTTPCluster" and described["exegesis"] == "The first one."
    (used,) = described["spirits"]
    assert (used["package"], used["requirement"], used["version"]) == ("@acme/one", "^1.0", "1.0.0")
    assert len(used["digest"]) == 64
    assert described["state"] == [{"name": "things", "type": "List<Thing>"}]
    assert described["functions"] == [
        {"name": "total", "effects": False, "parameters": [], "result": "Int64", "doc": "How large all of it is."}
    ]
    assert described["constraints"] == [
        {"name": "few", "text": "this.things.len < 10", "file": "alpha-http-cluster/System.dol", "line": 5}
    ]
    again = make_again(workspace)
    assert (again.root / "target/systems/alpha-http-cluster.wasm").read_bytes() == wasm


def make_again(workspace: Workspace) -> Workspace:
    """The same workspace elsewhere, with an empty home."""
    root = workspace.root.parent / "elsewhere" / "work"
    root.mkdir(parents=True)
    other = Workspace(root, workspace.root.parent / "other-home")
    other.write({**FILES, "dolbuild.toml": (workspace.root / "dolbuild.toml").read_bytes()})
    assert other.build().status == 0
    return other


def test_what_is_wrong(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(FILES)
    for text, code in (
        (ALPHA.replace("< 10", "< true"), "E0302"),
        (ALPHA.replace("this.things.len < 10", "this.thing.len < 10"), "E0208"),
        (ALPHA.replace("^1.0", "^2.0"), "E0608"),
        (ALPHA.replace("@acme/one", "@acme/nothing"), "E0607"),
        (ALPHA.replace("fun total", "fun memory"), "E0212"),
        (ALPHA.replace("constraint few { this.things.len < 10 }", "constraint few { this.things.push(Thing { size: 1 }); true }"), "E0326"),
        (ALPHA.replace("system Alpha", "system Beta {}\nsystem Alpha"), "E0602"),
    ):  # fmt: skip
        workspace.write({"alpha/System.dol": text})
        ran = workspace.build()
        assert ran.status == 1 and code in ran.codes, (text, ran.codes)
        assert (workspace.root / "target/systems/beta.wasm").is_file()
        assert "Traceback" not in ran.err
