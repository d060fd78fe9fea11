"""What a user can get wrong: a diagnostic with code and place, the right exit status, no traceback."""

import os

import pytest

from tests.conftest import MakeWorkspace
from tests.support.workspaces import SETTINGS, Ran, spirit

GOOD = {"good/Spirit.dol": spirit("good"), "good/src/lib.dol": "pub fun one() -> Int64 { return 1 }\n"}


def shows_no_internals(ran: Ran) -> None:
    assert "Traceback" not in ran.out + ran.err
    assert "internal error" not in ran.err


BAD = {
    "syntax": ({"bad/src/lib.dol": "pub fun one() -> Int64 { return 1 + }\n"}, "E0106", "bad/src/lib.dol:1:37"),
    "private import": (
        {"bad/src/lib.dol": "use a.secret\n", "bad/src/a.dol": "fun secret() { }\npub fun f() { secret() }\n"},
        "E0204",
        "bad/src/lib.dol:1:5",
    ),
    "import of nothing": ({"bad/src/lib.dol": "use nowhere.thing\n"}, "E0202", "bad/src/lib.dol:1:5"),
    "type mismatch": (
        {"bad/src/lib.dol": 'pub fun one() -> Int64 { return "1" }\n'}, "E0301", "bad/src/lib.dol:1:33",
    ),
    "no name": ({"bad/Spirit.dol": 'spirit Bad { has version: "1.0.0" }\n'}, "E0601", "bad/Spirit.dol:1:8"),
    "no version": ({"bad/Spirit.dol": 'spirit Bad { has name: "bad" }\n'}, "E0601", "bad/Spirit.dol:1:8"),
    "wrong version": (
        {"bad/Spirit.dol": 'spirit Bad { has name: "bad"\n has version: "one" }\n'}, "E0604", "bad/Spirit.dol:2:15",
    ),
    "name that is a path": (
        {"bad/Spirit.dol": 'spirit Bad { has name: "../../etc"\n has version: "1.0.0" }\n'},
        "E0604",
        "bad/Spirit.dol:1:24",
    ),
    "entry point outside": (
        {"bad/Spirit.dol": 'spirit Bad { has name: "bad"\n has version: "1.0.0"\n has lib: "../good/src/lib.dol" }\n'},
        "E0605",
        "bad/Spirit.dol:3:11",
    ),
    "entry point that is not there": ({"bad/Spirit.dol": spirit("bad")}, "E0605", "bad/Spirit.dol"),
    "no spirit in the manifest": ({"bad/Spirit.dol": "// nothing\n"}, "E0602", "bad/Spirit.dol:1:1"),
    "broken constraint": (
        {
            "bad/Spirit.dol": spirit("bad", more="    has port: 0\n    constraint valid { this.port > 0 }\n"),
            "bad/src/lib.dol": "\n",
        },
        "E0501",
        "bad/Spirit.dol:6:24",
    ),
    "constraint on nothing": (
        {
            "bad/Spirit.dol": spirit("bad", more="    constraint valid { this.port > 0 }\n"),
            "bad/src/lib.dol": "\n",
        },
        "E0502",
        "bad/Spirit.dol:5:24",
    ),
    "wrong type in the manifest": (
        {"bad/Spirit.dol": 'spirit Bad { has name: 5\n has version: "1.0.0" }\n'}, "E0603", "bad/Spirit.dol:1:24",
    ),
    "requirement that is none": (
        {"bad/Spirit.dol": spirit("bad", more='    requires @acme/good: "newest"\n'), "bad/src/lib.dol": "\n"},
        "E0606",
        "bad/Spirit.dol:5:26",
    ),
    "missing package": (
        {"bad/Spirit.dol": spirit("bad", "missing"), "bad/src/lib.dol": "\n"}, "E0607", "bad/Spirit.dol:5:5",
    ),
    "version that does not fit": (
        {"bad/Spirit.dol": spirit("bad", more='    requires @acme/good: "^2.0"\n'), "bad/src/lib.dol": "\n"},
        "E0608",
        "bad/Spirit.dol:5:5",
    ),
    "invalid UTF-8": ({"bad/src/lib.dol": b"pub fun one() { }\n\xff\n"}, "E0114", "bad/src/lib.dol"),
    "null bytes": ({"bad/src/lib.dol": b"pub fun one() { \0 }\n"}, "E0101", "bad/src/lib.dol:1:17"),
    "name of a file": ({"bad/src/9lives.dol": "\n", "bad/src/lib.dol": "\n"}, "E0704", "bad/src/9lives.dol"),
    "deep nesting": ({"bad/src/lib.dol": "pub fun one() { " + "(" * 10000}, "E0107", "bad/src/lib.dol:1"),
    "member twice": ({"bad/Spirit.dol": spirit("good"), "bad/src/lib.dol": "\n"}, "E0610", "good/Spirit.dol"),
    "system": ({"bad/System.dol": "system Bad { constraint c { 1 } }\n"}, "E0301", "bad/System.dol:1:29"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_workspace(make_workspace: MakeWorkspace, name: str) -> None:
    files, code, place = BAD[name]
    manifest = {} if "bad/Spirit.dol" in files or "bad/System.dol" in files else {"bad/Spirit.dol": spirit("bad")}
    workspace = make_workspace({**GOOD, **manifest, **files})
    ran = workspace.command("build")
    assert ran.status == 1
    shows_no_internals(ran)
    assert f"error[{code}]" in ran.err
    assert f"--> {place}" in ran.err
    # what is right is built all the same, and nothing is half-written
    assert (workspace.root / "target/spirits/good.wasm").is_file()
    if code != "E0704":  # a file that is no module takes nothing away from the rest of its Spirit
        assert not (workspace.root / "target/spirits/bad.wasm").exists()
    assert not list(workspace.root.rglob(".tmp-*"))


def test_an_unreadable_file_hides_no_other_error(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({**GOOD, "good/src/other.dol": 'pub fun f() -> Int64 { return "x" }\n'})
    os.symlink("/nonexistent/file", workspace.root / "good/src/gone.dol")
    ran = workspace.build()
    assert ran.status == 1
    assert sorted(ran.codes) == ["E0301", "E0705"]


def test_all_errors_of_a_build_are_shown(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(
        {
            "a/Spirit.dol": spirit("a"),
            "a/src/lib.dol": "pub fun f() -> Int64 { return x }\npub fun g() -> Int64 { return y }\n",
            "b/Spirit.dol": spirit("b"),
            "b/src/lib.dol": "pub fun f( { }\n",
        }
    )
    ran = workspace.build()
    assert ran.status == 1
    assert sorted(ran.codes) == ["E0105", "E0201", "E0201"]


def test_spirits_that_require_each_other(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(
        {"a/Spirit.dol": spirit("a", "b"), "a/src/lib.dol": "", "b/Spirit.dol": spirit("b", "a"), "b/src/lib.dol": ""}
    )
    ran = workspace.command("build")
    assert ran.status == 1
    assert "@acme/a -> @acme/b -> @acme/a" in ran.err
    shows_no_internals(ran)


SETTINGS_PROBLEMS = {
    "no TOML": "members = [",
    "unknown setting": 'membres = ["*"]\n',
    "member outside": 'members = ["../*"]\n',
    "output outside": 'members = ["*"]\noutput = "/tmp/elsewhere"\n',
    "organisation": 'members = ["*"]\norganisation = "../x"\n',
    "profile": 'members = ["*"]\nprofile = "fast"\n',
    "wrong type": "members = 5\n",
    "reserved organisation": 'members = ["*"]\norganisation = "dol"\n',
}


@pytest.mark.parametrize("name", SETTINGS_PROBLEMS)
def test_bad_settings(make_workspace: MakeWorkspace, name: str) -> None:
    workspace = make_workspace({**GOOD, "dolbuild.toml": SETTINGS_PROBLEMS[name]})
    for command in ("build", "list"):
        ran = workspace.command(command)
        assert ran.status == 1
        assert "error[E0701]" in ran.err
        shows_no_internals(ran)
    assert workspace.command("exec", "good").status == 1


def test_a_missing_member(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({**GOOD, "dolbuild.toml": 'members = ["good", "gone"]\norganisation = "acme"\n'})
    ran = workspace.command("build")
    assert ran.status == 1
    assert 'error[E0702]: no member matches "gone"' in ran.err


USAGE = {
    "unknown task": ["nonsense"],
    "unknown option": ["build", "--bogus"],
    "info of nothing": ["info", "nonsense"],
    "exec without a name": ["exec"],
    "exec of nothing": ["exec", "nothing"],
    "exec without such a function": ["exec", "good", "two"],
    "exec with too many arguments": ["exec", "good", "one", "1"],
    "wat without a file": ["wat"],
}


@pytest.mark.parametrize("name", USAGE)
def test_wrong_usage_is_status_2(make_workspace: MakeWorkspace, name: str) -> None:
    workspace = make_workspace(GOOD)
    ran = workspace.command(*USAGE[name])
    assert ran.status == 2
    assert ran.err.startswith("error: ")
    shows_no_internals(ran)


def test_no_workspace(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({"dolbuild.toml": SETTINGS})
    (workspace.root / "dolbuild.toml").unlink()
    for arguments in (["build"], ["list"], ["exec", "x"]):
        ran = workspace.command(*arguments)
        assert ran.status == 2
        assert "there is no workspace here" in ran.err


def test_output_that_cannot_be_written(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({**GOOD, "target": "a file is in the way\n"})
    ran = workspace.command("build")
    assert ran.status == 1
    assert "error[E0706]" in ran.err
    shows_no_internals(ran)


def test_a_store_that_cannot_be_written_is_a_warning(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(GOOD)
    workspace.home.write_text("a file is in the way\n")
    ran = workspace.command("build")
    assert ran.status == 0
    assert ran.err.count("warning: results are not kept") == 1
    assert (workspace.root / "target/spirits/good.wasm").is_file()


def test_a_damaged_journal_and_store(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(GOOD)
    assert workspace.build().status == 0
    journal = workspace.root / ".dolbuild/journal"
    data = journal.read_bytes()
    for damaged in (
        b"",
        b"garbage\n",
        data[: len(data) // 2],
        data + b'{"node": 5}\n{"key',
        data.replace(b"outputs", b"0utputs"),
    ):
        journal.write_bytes(damaged)
        assert workspace.build().status == 0
    for path in (workspace.home / "store/v1").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"damaged")
    journal.unlink()
    assert workspace.build().status == 0
    assert workspace.command("exec", "good", "one").out == "1\n"
