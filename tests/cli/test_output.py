"""What a run shows: on a terminal, on a pipe, in GitHub Actions, quietly."""

import json
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from dolbuild.diagnostics import Diagnostic
from dolbuild.rules.github import GitHub
from dolbuild.rules.lastrun import read_run
from dolbuild.rules.live import Estimate
from dolbuild.rules.report import duration
from dolbuild.source import Place
from tests.conftest import MakeWorkspace
from tests.support.terminal import Terminal
from tests.support.workspaces import Workspace, spirit

MEASURES_PROCESSES = True

SLOW = """fun work(n: Int64) -> Int64 {
    sum = 0
    for i in 0..n { sum = (sum + i * i) % 1000003 }
    return sum
}
test "slow" { assert_eq(work(150000000) < 0, false) }
"""
LIB = "pub fun one() -> Int64 { return 1 }\n"
BROKEN = 'pub fun two() -> Int64 { return "%, two" }\n'


def terminal(workspace: Workspace, *arguments: str, **variables: str) -> Terminal:
    environment = workspace.environment() | {"TERM": "xterm-256color"} | variables
    for name in ("CI", "GITHUB_ACTIONS"):
        if name not in variables:
            environment.pop(name, None)
    command = [sys.executable, "-m", "dolbuild.commands.main", *arguments]
    return Terminal(command, workspace.root, environment)


@pytest.fixture
def slow(make_workspace: MakeWorkspace) -> Workspace:
    return make_workspace(
        {"a/Spirit.dol": spirit("a"), "a/src/lib.dol": LIB, "a/tests/slow_test.dol": SLOW,
         "a/tests/quick_test.dol": 'test "quick" { assert_eq(1, 1) }\n'}
    )  # fmt: skip


def test_a_terminal(slow: Workspace) -> None:
    with terminal(slow, "test") as shown:
        screen = shown.until(lambda lines: any("testing    a/slow_test" in line for line in lines))
        assert any("━" in line for line in screen)
        assert shown.finish() == 0
        assert shown.is_colored
        assert not any(
            "━" in line or "testing" in line or "module:" in line for line in shown.lines
        )  # the picture has gone
        assert {"ran     test:a/quick_test", "ran     test:a/slow_test"} <= set(shown.lines)
        assert shown.lines[-1].startswith("40 nodes: 40 ran (")


def test_a_run_that_is_quick_draws_nothing(slow: Workspace) -> None:
    slow.command("build")
    (slow.root / "a/src/lib.dol").write_text(LIB.replace("1 }", "2 }"))
    with terminal(slow, "build") as shown:
        assert shown.finish() == 0
        assert "━".encode() not in shown.written and b"\x1b[?25l" not in shown.written
        assert shown.lines[0].startswith("built   target/spirits/a.wasm")


def test_an_interrupted_run_leaves_the_terminal_as_it_was(slow: Workspace) -> None:
    with terminal(slow, "test") as shown:
        shown.until(lambda lines: any("testing    a/slow_test" in line for line in lines))
        shown.process.send_signal(signal.SIGINT)
        assert shown.finish() == 130
        assert shown.lines[-1] == "interrupted"
        assert shown.written.rindex(b"\x1b[?25h") > shown.written.rindex(b"\x1b[?25l")  # the cursor is shown again


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}])
def test_what_the_environment_says(slow: Workspace, variables: dict[str, str]) -> None:
    with terminal(slow, "test", **variables) as shown:
        assert shown.finish() == 0
        assert not shown.is_colored
        assert (b"\x1b[?25l" in shown.written) is ("NO_COLOR" in variables)
    (slow.root / "a/src/lib.dol").write_text(BROKEN)
    with terminal(slow, "build", **variables) as shown:
        assert shown.finish() == 1
        assert any("error[E0301]" in line for line in shown.lines)
        assert shown.is_colored is ("CI" in variables)


def test_quiet(slow: Workspace) -> None:
    ran = slow.command("build", "-q")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    ran = slow.command("build", "--quiet")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    (slow.root / "a/src/lib.dol").write_text(BROKEN)
    ran = slow.command("build", "-q", program="doit")
    assert ran.status == 1 and ran.out == "" and ran.err.startswith("error[E0301]")


def test_time_saved(slow: Workspace) -> None:
    """What a result took where it was made is kept with it."""
    first = slow.command("test")
    assert "saved" not in first.out
    other = Workspace(slow.root, slow.home)
    other.command("forget")
    again = slow.command("test")
    assert "40 from the store" in again.out and "the caches saved" in again.out
    slow.command("forget")
    ran = slow.command("test", "--json", "--events=events")
    summary = next(event for event in ran.events if event["event"] == "summary")
    events = [json.loads(line) for line in (slow.root / "events").read_text().splitlines()]
    saved = {event["node"]: event.get("saved", 0) for event in events}
    assert saved["test:a/slow_test"] > saved["test:a/quick_test"] and saved["test:a/slow_test"] > 0.1
    assert summary["saved_seconds"] == pytest.approx(sum(saved.values()), abs=0.01)


def test_github(slow: Workspace, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    slow.variables = {
        "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(slow.root.parent), "GITHUB_STEP_SUMMARY": str(summary)
    }  # fmt: skip
    ran = slow.command("test")
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[0] == "::group::nodes" and "::endgroup::" in lines
    assert "ran     test:a/quick_test" in lines[: lines.index("::endgroup::")]
    assert "| ran | 40 |" in summary.read_text() and "passed" in summary.read_text()
    (slow.root / "a/src/lib.dol").write_text(BROKEN)
    ran = slow.command("build")
    assert ran.status == 1
    annotation = next(line for line in ran.out.splitlines() if line.startswith("::error"))
    assert annotation.startswith("::error file=work/a/src/lib.dol,line=1,title=E0301,col=33,endColumn=41::")
    assert "error[E0301]" in ran.out
    assert "failed" in summary.read_text() and "error[E0301]" in summary.read_text()


def test_an_annotation_is_one_line() -> None:
    diagnostic = Diagnostic("W0301", "50 % of\na, b", Place("x,y:z.dol", 2, 1, 3, 1), "", "mend it", ("note",))
    told = GitHub(sys.stdout, sys.stderr, {}).annotation(diagnostic, Path("/w"))
    assert told == "::warning file=x%2Cy%3Az.dol,line=2,title=W0301::50 %25 of%0Aa, b%0Anote%0Ahint: mend it"


def test_the_record_of_the_last_run(slow: Workspace) -> None:
    slow.command("test")
    path = slow.root / ".dolbuild/run"
    lines = path.read_bytes().splitlines(keepends=True)
    run = read_run(lines)
    assert run is not None and run.planned == 40 and run.ended is not None and not run.failed and not run.working
    assert run.nodes["test:a/slow_test"][0] == "ran" and run.nodes["test:a/slow_test"][1] > 0.05
    assert read_run(lines[:2]).working  # type: ignore[union-attr]
    for cut in (b"", b"{", b'{"format":9}\n', b"[]\n", b"1\n"):
        assert read_run([cut]) is None
    assert read_run([lines[0], b"{\n", b"[]\n", b'{"node":{}}\n', b'{"begin":1}\n']).nodes == {}  # type: ignore[union-attr]
    before = path.read_bytes()
    slow.command("test")
    assert path.read_bytes() == before  # nothing was to do
    (slow.root / "a/src/lib.dol").write_text(BROKEN)
    slow.command("test")
    run = read_run(path.read_bytes().splitlines())
    assert run is not None and run.failed and run.nodes["module:a/lib"][0] == "failed"
    assert run.nodes["test:a/slow_test"][0] == "skipped"
    assert "it failed in the last run" in slow.command("why", "module:a/lib").out
    assert "it was skipped in the last run" in slow.command("why", "test:a/slow_test").out


def test_durations() -> None:
    told = {0.004: "0.00 s", 0.31: "0.31 s", 3.14: "3.1 s", 12.4: "12 s", 59.4: "59 s", 247: "4:07 min", 3725: "1:02 h"}
    assert {seconds: duration(seconds) for seconds in told} == told


def test_estimates() -> None:
    estimate = Estimate()
    assert estimate.rest(Counter(module=3), 1.0) is None
    for _ in range(10):
        estimate.add("module", 0.2)
    estimate.add("spirit", 1.0)
    assert estimate.rest(Counter(module=5, spirit=2), 1.5) == pytest.approx(1.5)  # 3 s of work, two at once
    assert estimate.rest(Counter(test=11), 3.0) == pytest.approx(3.0)  # nothing is known of tests: as the others
    assert estimate.rest(Counter(), 3.0) == 0
