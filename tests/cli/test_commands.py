"""The commands as a user types them, through ``dolbuild`` and through ``doit``."""

import json
import subprocess
import sys

import pytest

from dolbuild.commands.main import VERBS
from tests.conftest import MakeWorkspace
from tests.support.workspaces import Workspace, spirit

MEASURES_PROCESSES = True

GOOD = {
    "good/Spirit.dol": spirit("good"),
    "good/src/lib.dol": (
        "pub fun add(a: Int64, b: Int64) -> Int64 { return a + b }\n"
        "pub fun greet(name: String, times: UInt8) -> String {\n"
        '    text = ""\n'
        '    for i in 0..times { text = text + "hello " + name + "\\n" }\n'
        "    return text\n"
        "}\n"
        "pub fun maybe(n: Option<Int32>) -> Option<String> {\n"
        "    match n { Some(x) { return Some(x.to_string()) }\n None { return None } }\n"
        "}\n"
        "pub fun invert(b: Bool) -> Bool { return !b }\n"
        "pub fun letter(c: Char) -> Char { return c }\n"
        "pub fun half(x: Float32) -> Float32 { return x / 2 }\n"
        "pub fun nothing() { }\n"
    ),
    "good/tests/add_test.dol": 'use lib.add\ntest "adds" {\n    assert_eq(add(1, 1), 2)\n}\n',
}
BINARY = {
    "tool/Spirit.dol": 'spirit Tool {\n has name: "tool"\n has version: "1.0.0"\n has bin: "src/main.dol"\n}\n',
    "tool/src/main.dol": (
        "pub fun main(args: List<String>) -> Int32 {\n"
        "    if args.len == 1 { return 3 }\n"
        "    parsed: Option<Int32> = args[args.len - 1].parse()\n"
        "    return parsed.unwrap_or(64)\n"
        "}\n"
    ),
}


def test_exec_calls_a_function_of_a_library(examples: Workspace) -> None:
    ran = examples.command("exec", "math-lib", "add", "2", "3")
    assert (ran.status, ran.out, ran.err) == (0, "5\n", "")


def test_exec_parses_and_prints_by_type(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(GOOD)
    cases = [
        (["greet", "Ünal", "2"], "hello Ünal\nhello Ünal\n\n"),
        (["maybe", "-5"], 'Some("-5")\n'),
        (["maybe", "None"], "None\n"),
        (["invert", "true"], "false\n"),
        (["letter", "é"], "é\n"),
        (["half", "0.2"], "0.1\n"),
        (["nothing"], ""),
        (["add", "0x10", "-1"], "15\n"),
    ]
    for arguments, out in cases:
        ran = workspace.command("exec", "good", *arguments)
        assert (ran.status, ran.out) == (0, out), arguments


def test_exec_refuses_what_is_no_value(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(GOOD)
    for arguments in (["add", "1", "x"], ["add", "1", str(1 << 63)], ["greet", "a", "256"], ["letter", "ab"]):
        ran = workspace.command("exec", "good", *arguments)
        assert ran.status == 2
        assert "argument `" in ran.err


def test_exec_runs_a_binary(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(BINARY)
    assert workspace.command("exec", "tool").status == 3
    assert workspace.command("exec", "tool", "a", "7").status == 7
    assert workspace.command("exec", "tool", "x").status == 64


def test_exec_shows_a_trap(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(GOOD)
    ran = workspace.command("exec", "good", "add", str((1 << 63) - 1), "1")
    assert ran.status == 134
    assert "integer overflow: 9223372036854775807 + 1 does not fit in Int64" in ran.err
    assert "good/src/lib.dol:1" in ran.err


def test_a_failing_test_shows_both_sides_file_and_line(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({**GOOD, "good/tests/add_test.dol": GOOD["good/tests/add_test.dol"].replace("2)", "3)")})
    ran = workspace.command("test")
    assert ran.status == 1
    assert 'error[E0803]: test "adds": assert_eq failed' in ran.err
    assert "--> good/tests/add_test.dol:3:5" in ran.err
    assert "left:  2" in ran.err
    assert "right: 3" in ran.err


def test_json_is_one_value_a_line(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({**GOOD, "good/src/bad.dol": "use gone.x\n"})
    ran = workspace.build()
    values = [json.loads(line) for line in ran.out.splitlines()]
    (diagnostic,) = [value for value in values if value["event"] == "diagnostic"]
    assert diagnostic | {"hint": ""} == {
        "event": "diagnostic", "code": "E0202", "severity": "error",
        "message": "there is no module `gone` in this Spirit",
        "file": "good/src/bad.dol", "line": 1, "column": 5, "end_line": 1, "end_column": 11,
        "text": "use gone.x", "hint": "",
    }  # fmt: skip
    assert values[-1]["event"] == "summary"
    assert ran.err == ""


def test_warnings_come_out_of_the_store_as_they_went_in(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({**GOOD, "good/src/warns.dol": "pub fun f() -> Int64 { ... }\n"})
    first = workspace.command("build")
    assert "warning[W0301]" in first.err
    workspace.command("forget")
    second = workspace.command("build")
    assert second.err == first.err
    assert workspace.command("build").err == ""


def test_no_color_in_a_pipe(make_workspace: MakeWorkspace) -> None:
    ran = make_workspace({**GOOD, "good/src/bad.dol": "use gone.x\n"}).command("build")
    assert "\x1b" not in ran.out + ran.err


def test_doit_needs_no_configuration(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(GOOD)
    assert "built   target/spirits/good.wasm" in workspace.command("build", program="doit").out
    assert "nothing to do" in workspace.command(program="doit").out
    assert workspace.command("test", program="doit", cwd="good/src").status == 0
    assert "spirit " in workspace.command("list", program="doit").out
    assert "_modules" not in workspace.command("list", "--all", program="doit").out
    assert "up-to-date" in workspace.command("info", "spirit:good", program="doit").out
    assert workspace.command("exec", "good", "add", "2", "2", program="doit").out == "4\n"
    assert workspace.command("check", program="doit").status == 0
    workspace.command("clean", program="doit")
    assert not (workspace.root / "target/spirits/good.wasm").exists()
    assert workspace.command("forget", program="doit").status == 0
    assert workspace.build().counts["hit"] > 0
    assert not (workspace.root / ".doit.db").exists()


def test_settings_in_pyproject(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(
        {**GOOD, "pyproject.toml": '[tool.dolbuild]\nmembers = ["good"]\norganisation = "acme"\noutput = "out/dol"\n'}
    )
    assert workspace.command("build", program="doit").status == 0
    assert (workspace.root / "out/dol/spirits/good.wasm").is_file()


def test_a_lone_spirit_is_a_workspace(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace({"Spirit.dol": spirit("good"), "src/lib.dol": GOOD["good/src/lib.dol"]})
    (workspace.root / "dolbuild.toml").unlink()
    assert workspace.command("exec", "good", "add", "1", "2", cwd="src").out == "3\n"


def test_a_dodo_file_mixes_its_own_tasks_with_ours(make_workspace: MakeWorkspace) -> None:
    dodo = (
        "from dolbuild.dodo import *\n"
        "DOIT_CONFIG = {'default_tasks': ['size']}\n"
        "def task_size():\n"
        "    wasm = 'target/spirits/good.wasm'\n"
        "    return {'actions': ['wc -c < ' + wasm + ' > size.txt'], 'file_dep': [wasm], 'targets': ['size.txt']}\n"
    )
    workspace = make_workspace({**GOOD, "dodo.py": dodo})
    ran = workspace.command(program="doit")
    assert ran.status == 0, ran.err
    wasm = workspace.root / "target/spirits/good.wasm"
    assert int((workspace.root / "size.txt").read_text()) == wasm.stat().st_size
    again = workspace.command(program="doit").out
    assert ".  " not in again
    assert workspace.command("build", program="doit").status == 0
    workspace.write({"good/src/lib.dol": "pub fun f() -> Int64 { return x }\n"})
    broken = workspace.command("build", program="doit")
    assert broken.status == 1
    assert "error[E0201]" in broken.out + broken.err


def test_other_doit_projects_are_left_alone(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(
        {"dodo.py": "def task_build():\n    return {'actions': ['echo theirs'], 'verbosity': 2}\n"}
    )
    ran = workspace.command("build", program="doit")
    assert ran.status == 0
    assert "theirs" in ran.out
    assert "build" in workspace.command("list", program="doit").out


def test_help_and_version(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(GOOD)
    for arguments in ([], ["--help"], ["-h"]):
        assert "dolbuild build" in workspace.command(*arguments).out
    assert workspace.command("--version").out.startswith("dolbuild ")
    assert workspace.command("help", "run").status == 0


def test_importing_the_command_line_is_light() -> None:
    """What every run pays: none of the heavy libraries."""
    code = "import sys, dolbuild.commands.main; print([m for m in ('httpx', 'git', 'wasmtime', 'lark', 'doit') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help(make_workspace: MakeWorkspace, verb: str) -> None:
    """Without a workspace, too; nothing is done."""
    workspace = make_workspace({})
    (workspace.root / "dolbuild.toml").unlink()
    for arguments in (["help", verb], [verb, "--help"]):
        ran = workspace.command(*arguments)
        assert ran.status == 0 and f"dolbuild {verb}" in ran.out and ran.err == "", arguments
    assert list(workspace.root.iterdir()) == []
