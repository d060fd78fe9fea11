"""What runs again after what change: the laws of ``docs/architecture.md``, by counting actions."""

import shutil
from pathlib import Path

import pytest

import dolbuild
from dolbuild.rules.build import open_session
from tests.conftest import MakeWorkspace
from tests.support.workspaces import Workspace, spirit

MEASURES_PROCESSES = True

PACKAGE = Path(dolbuild.__file__).resolve().parent

BASE = {
    "base/Spirit.dol": spirit("base"),
    "base/src/lib.dol": "pub use numbers.{ one, two }\n",
    "base/src/numbers.dol": (
        "pub fun one() -> Int64 { return 1 }\n"
        "pub fun two() -> Int64 { return one() + 1 }\n"
        "pub fun other() -> Int64 { return 9 }\n"
    ),
    "base/tests/numbers_test.dol": 'use numbers.two\ntest "two" { assert_eq(two(), 2) }\n',
    "user/Spirit.dol": spirit("user", "base"),
    "user/src/lib.dol": "use @acme/base.one\npub fun three() -> Int64 { return one() + 2 }\n",
    "user/src/alone.dol": "pub fun five() -> Int64 { return 5 }\n",
}


def built(make_workspace: MakeWorkspace) -> Workspace:
    workspace = make_workspace(BASE)
    first = workspace.build()
    assert first.status == 0, first.err
    return workspace


def edit(workspace: Workspace, name: str, old: str, new: str) -> None:
    text = (workspace.root / name).read_text()
    assert old in text
    workspace.write({name: text.replace(old, new)})


def test_nothing_changed_runs_nothing(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    again = workspace.build()
    assert again.status == 0
    assert again.counts["ran"] == again.counts["hit"] == 0
    assert again.counts["up-to-date"] > 0
    assert "nothing to do" in workspace.command("build").out


def test_modification_times_alone_run_nothing(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    for path in workspace.root.rglob("*.dol"):
        path.touch()
    assert workspace.build().ran() == set()


def test_a_comment_reaches_no_one_else(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/src/numbers.dol", "return 9 }\n", "return 9 } // nine\n")
    assert workspace.build().ran() == {"interface:base/numbers", "module:base/numbers"}


def test_a_body_runs_its_module_and_the_links_that_reach_it(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 11 - 10 }")
    assert workspace.build().ran() == {
        "interface:base/numbers", "module:base/numbers", "spirit:base", "spirit:user"
    }  # fmt: skip


def test_a_body_that_is_not_reached_relinks_nothing(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/src/numbers.dol", "return 9 }", "return 10 }")
    assert workspace.build().ran() == {"interface:base/numbers", "module:base/numbers"}


def test_a_function_that_only_one_spirit_reaches(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/src/numbers.dol", "one() + 1", "1 + one()")
    assert workspace.build().ran() == {"interface:base/numbers", "module:base/numbers", "spirit:base"}


def test_change_and_change_back_is_a_hit(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 11 - 10 }")
    workspace.build()
    edit(workspace, "base/src/numbers.dol", "return 11 - 10 }", "return 1 }")
    back = workspace.build()
    assert back.ran() == set()
    assert back.counts["hit"] == 4


def test_a_signature_checks_those_who_know_it(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/src/numbers.dol", "pub fun other() -> Int64 {", "pub fun other() -> Int32 {")
    assert workspace.build("check").ran() == {
        "interface:base/numbers",
        "module:base/numbers",
        "module:base/lib",
        "module:base/tests:numbers_test",
        "module:user/lib",
    }


def test_a_private_item_checks_no_one_else(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/src/numbers.dol", "pub fun other() -> Int64 { return 9 }\n",
         "pub fun other() -> Int64 { return nine() }\nfun nine() -> Int64 { return 9 }\n")  # fmt: skip
    assert workspace.build().ran() == {"interface:base/numbers", "module:base/numbers"}


def test_metadata_runs_no_module(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/Spirit.dol", 'has version: "1.0.0"', 'has version: "1.0.0"\n    has license: "MIT"')
    assert workspace.build().ran() == {"manifest:base", "spirit:base"}


def test_a_new_requirement_runs_no_module(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({**BASE, "third/Spirit.dol": spirit("third"), "third/src/lib.dol": "\n"})
    assert workspace.build().status == 0
    workspace.write({"base/Spirit.dol": spirit("base", "third")})
    assert workspace.build().ran() == {"manifest:base", "spirit:base"}


def test_another_path_and_hash_seed_give_the_same_bytes(make_workspace: MakeWorkspace, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    workspace = built(make_workspace)
    other = Workspace(tmp_path_factory.mktemp("elsewhere"), workspace.home.with_name("other-home"))
    other.write({"dolbuild.toml": (workspace.root / "dolbuild.toml").read_bytes(), **BASE})
    assert other.build().counts["ran"] > 0
    for name in ("base", "user"):
        path = f"target/spirits/{name}.wasm"
        assert (workspace.root / path).read_bytes() == (other.root / path).read_bytes()


def test_another_checkout_gets_everything_from_the_store(make_workspace: MakeWorkspace, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    workspace = built(make_workspace)
    other = Workspace(tmp_path_factory.mktemp("elsewhere"), workspace.home)
    other.write({"dolbuild.toml": (workspace.root / "dolbuild.toml").read_bytes(), **BASE})
    second = other.build()
    assert second.ran() == set()
    assert (other.root / "target/spirits/user.wasm").is_file()


def test_a_failure_is_not_remembered_and_others_build(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/src/numbers.dol", "return 9 }", 'return "nine" }')
    edit(workspace, "user/src/alone.dol", "return 5 }", "return 4 + 1 }")
    broken = workspace.build()
    assert broken.status == 1
    assert broken.codes == ["E0301"]
    assert broken.statuses["module:base/numbers"] == "failed"
    assert broken.statuses["module:user/alone"] == "ran"
    assert broken.statuses["spirit:base"] == "skipped"
    again = workspace.build()
    assert again.status == 1
    assert again.codes == ["E0301"]
    edit(workspace, "base/src/numbers.dol", 'return "nine" }', "return 9 }")
    assert workspace.build().status == 0


def test_a_removed_module_makes_its_users_stale(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    (workspace.root / "base/src/numbers.dol").unlink()
    broken = workspace.build()
    assert broken.status == 1
    assert set(broken.codes) == {"E0202"}


def test_a_tampered_target_is_written_again(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    target = workspace.root / "target/spirits/base.wasm"
    original = target.read_bytes()
    target.write_bytes(b"x" * len(original))
    repaired = workspace.build()
    assert repaired.ran() == set()
    assert target.read_bytes() == original
    target.unlink()
    workspace.build()
    assert target.read_bytes() == original


def test_a_test_is_cached_by_what_it_reaches(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    first = workspace.command("test", "--json")
    assert first.status == 0
    assert "test:base/numbers_test" in first.ran()
    assert workspace.command("test", "--json").ran() == set()
    edit(workspace, "base/src/numbers.dol", "return 9 }", "return 10 }")
    assert "test:base/numbers_test" not in workspace.command("test", "--json").ran()
    edit(workspace, "base/src/numbers.dol", "one() + 1", "one() + 2")
    failed = workspace.command("test", "--json")
    assert failed.status == 1
    assert failed.statuses["test:base/numbers_test"] == "failed"
    assert failed.codes == ["E0803"]


def test_parallel_gives_the_same(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(BASE)
    assert workspace.build("-n", "4").status == 0
    serial = {p.name: p.read_bytes() for p in (workspace.root / "target/spirits").iterdir()}
    workspace.command("clean")
    workspace.command("forget")
    assert workspace.build("-a").status == 0
    assert {p.name: p.read_bytes() for p in (workspace.root / "target/spirits").iterdir()} == serial


def test_always_runs_everything(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    forced = workspace.build("-a")
    assert forced.counts["up-to-date"] == forced.counts["hit"] == 0
    assert forced.counts["ran"] > 0


def test_a_store_that_lost_its_blobs_is_filled_again(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    for path in (workspace.home / "store/v1/cas").rglob("*"):
        if path.is_file():
            path.unlink()
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 11 - 10 }")
    assert workspace.build().status == 0
    assert workspace.command("exec", "user", "three").out == "3\n"


def test_release_wraps_and_has_keys_of_its_own(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    released = workspace.build("--release")
    assert "module:base/numbers" in released.ran()
    assert workspace.build().ran() == set()


def test_another_compiler_means_other_keys(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    workspace = built(make_workspace)
    shutil.copytree(PACKAGE, tmp_path / "tool" / "dolbuild", ignore=shutil.ignore_patterns("__pycache__"))
    workspace.variables["PYTHONPATH"] = str(tmp_path / "tool")
    same = workspace.build()
    assert same.ran() == set(), "the same tool in another place has the same keys"
    encoder = tmp_path / "tool" / "dolbuild" / "codegen" / "encode.py"
    encoder.write_text(encoder.read_text() + "# another encoder\n")
    other = workspace.build()
    assert other.status == 0
    assert other.counts["ran"] == len(other.statuses)
    del workspace.variables["PYTHONPATH"]
    assert workspace.build().ran() == set(), "what the first one made is still in the store"


def test_an_input_that_changes_while_its_action_runs(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The action works on the bytes that its key names, and the change is seen by the next build."""
    workspace = make_workspace(BASE)
    monkeypatch.chdir(workspace.root)
    session = open_session(workspace.root, home=workspace.home)
    node = session.plan.nodes["interface:base/numbers"]
    key = session.action(node).record.key
    path = workspace.root / "base/src/numbers.dol"
    path.write_text("pub fun changed() -> Int64 { return 7 }\n")
    session.execute(node)
    found = session.cache.lookup(session.action(node).record)
    assert found is not None and session.action(node).record.key == key
    doli = session.cache.read(found.result.outputs["doli"])
    assert doli is not None and b"two" in doli and b"changed" not in doli
    session.close()
    later = open_session(workspace.root, home=workspace.home)
    assert not later.is_up_to_date(later.plan.nodes["interface:base/numbers"])
    assert later.action(later.plan.nodes["interface:base/numbers"]).record.key != key
    later.close()


def test_what_fails_uploads_nothing_and_is_kept_nowhere(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({**BASE, "user/src/alone.dol": 'pub fun five() -> Int64 { return "five" }\n'})
    broken = workspace.build()
    assert broken.statuses["module:user/alone"] == "failed"
    journal = (workspace.root / ".dolbuild/journal").read_text()
    assert '"module:user/alone"' not in journal and '"spirit:user"' not in journal
    assert '"module:base/numbers"' in journal
