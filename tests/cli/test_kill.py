"""Killed at any moment, the next build is right and nothing is corrupt."""

import random
import shutil
import signal
import subprocess
import sys
import time

from tests.support.workspaces import Workspace

ROUNDS = 25


def test_kill_9_at_random_moments(examples: Workspace) -> None:
    reference = examples.build()
    assert reference.status == 0
    wanted = {p.name: p.read_bytes() for p in (examples.root / "target/spirits").iterdir()}
    duration = timed_cold_build(examples)
    moments = random.Random(20260115)
    killed = 0
    for round_ in range(ROUNDS):
        if round_ % 3 < 2:
            reset(examples)
        process = start(examples)
        time.sleep(moments.uniform(0.2, 0.9) * duration)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        if round_ % 5 == 4:
            after = examples.build()
            assert after.status == 0, after.out + after.err
            built = {p.name: p.read_bytes() for p in (examples.root / "target/spirits").iterdir()}
            left_over = {name for name in built if name.startswith(".tmp-")}
            assert {name: data for name, data in built.items() if name not in left_over} == wanted
            assert "nothing to do" in examples.command("build").out
    assert killed > ROUNDS // 2


def start(workspace: Workspace) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dolbuild.commands.main", "build"],
        cwd=workspace.root,
        env=workspace.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def reset(workspace: Workspace) -> None:
    for folder in (workspace.home, workspace.root / ".dolbuild", workspace.root / "target"):
        shutil.rmtree(folder, ignore_errors=True)


def timed_cold_build(workspace: Workspace) -> float:
    reset(workspace)
    started = time.monotonic()
    assert start(workspace).wait() == 0
    return time.monotonic() - started


def test_two_builds_at_once(examples: Workspace) -> None:
    processes = [start(examples) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert "nothing to do" in examples.command("build").out
