"""One workspace and one store for several builds at once; disks that are full, cannot be written, or whose clock is wrong."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import MakeWorkspace
from tests.rules.test_graph import BASE, built, edit
from tests.support.caches import webdav
from tests.support.workspaces import SETTINGS, Workspace, spirit


def many(count: int = 30) -> dict[str, str]:
    """Enough modules that other processes compile them."""
    files = {"all/Spirit.dol": spirit("all")}
    calls = " + ".join(f"f{n}()" for n in range(count))
    uses = "".join(f"use m{n}.f{n}\n" for n in range(count))
    files["all/src/lib.dol"] = f"{uses}pub fun sum() -> Int64 {{ return {calls} }}\n"
    for n in range(count):
        files[f"all/src/m{n}.dol"] = f"pub fun f{n}() -> Int64 {{ return {n} }}\n"
    return files


def start(workspace: Workspace, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dolbuild.commands.main", "build", *arguments],
        cwd=workspace.root, env=workspace.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def targets(workspace: Workspace) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((workspace.root / "target/spirits").iterdir())}


@pytest.fixture
def reference(tmp_path: Path) -> dict[str, bytes]:
    place = Workspace(tmp_path / "reference", tmp_path / "reference-home")
    place.write({"dolbuild.toml": SETTINGS, **many()})
    assert place.command("build", "-n", "1").status == 0
    return targets(place)


@pytest.mark.parametrize("count", [2, 8])
def test_builds_at_once_on_one_workspace(
    count: int, make_workspace: MakeWorkspace, reference: dict[str, bytes]
) -> None:
    workspace = make_workspace(many())
    processes = [start(workspace) for _ in range(count)]
    told = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * count, told
    assert told == [b""] * count
    assert targets(workspace) == reference
    assert workspace.build().counts["up-to-date"] > 0
    assert "nothing to do" in workspace.command("build").out


@pytest.mark.parametrize("count", [2, 8])
def test_builds_at_once_on_one_store(count: int, tmp_path: Path, reference: dict[str, bytes]) -> None:
    places = [Workspace(tmp_path / f"work-{n}", tmp_path / "home") for n in range(count)]
    for place in places:
        place.write({"dolbuild.toml": SETTINGS, **many()})
    processes = [start(place) for place in places]
    for process in processes:
        assert process.communicate()[1] == b"" and process.returncode == 0
    for place in places:
        assert targets(place) == reference
    assert places[0].command("cache", "verify").out.endswith(" 0 of them wrong\n")


def test_collecting_while_builds_run(tmp_path: Path, reference: dict[str, bytes]) -> None:
    places = [Workspace(tmp_path / f"work-{n}", tmp_path / "home") for n in range(3)]
    for place in places:
        place.write({"dolbuild.toml": SETTINGS, **many()})
    processes = [start(place) for place in places]
    while any(process.poll() is None for process in processes):
        assert places[0].command("cache", "gc", "--size=1 kB").status == 0
    for process in processes:
        assert process.communicate()[1] == b"" and process.returncode == 0
    for place in places:
        assert targets(place) == reference


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[bool]:
    """A file system of its own at a folder; False where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_store_on_a_full_disk(make_workspace: MakeWorkspace, reference: dict[str, bytes]) -> None:
    workspace = make_workspace(many())
    with mounted(workspace.home, "size=64k") as is_small:
        if not is_small:
            assert not os.environ.get("CI")
            pytest.skip("no file system can be mounted")
        started = time.monotonic()
        ran = workspace.command("build")
        assert ran.status == 0, ran.err
        assert ran.err == f"warning: results are not kept in {workspace.home}/store: No space left on device\n"
        assert time.monotonic() - started < 30
        assert targets(workspace) == reference
        edited = (workspace.root / "all/src/m3.dol").read_text().replace("return 3", "return 1 + 2")
        workspace.write({"all/src/m3.dol": edited})
        again = workspace.command("build")
        assert again.status == 0
        assert workspace.command("exec", "all", "sum").out == "435\n"


def test_a_workspace_on_a_full_disk(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    workspace = make_workspace(BASE)
    with mounted(workspace.root / ".dolbuild", "size=4k") as is_small:
        if not is_small:
            assert not os.environ.get("CI")
            pytest.skip("no file system can be mounted")
        ran = workspace.command("build")
        assert ran.status == 0, ran.err
        assert ran.err == "warning: this build is not remembered: No space left on device\n"
        assert workspace.command("exec", "user", "three").out == "3\n"
    assert workspace.command("build").status == 0


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
def test_a_store_that_cannot_be_written(
    filled: bool, make_workspace: MakeWorkspace, reference: dict[str, bytes]
) -> None:
    workspace = make_workspace(many())
    with mounted(workspace.home, "size=64m") as is_own:
        if not is_own:
            assert not os.environ.get("CI")
            pytest.skip("no file system can be mounted")
        if filled:
            assert workspace.build().status == 0
            shutil.rmtree(workspace.root / ".dolbuild")
            shutil.rmtree(workspace.root / "target")
        subprocess.run(["mount", "-o", "remount,ro", str(workspace.home)], check=True)
        ran = workspace.build()
        assert ran.status == 0
        assert ran.err == (
            "" if filled else f"warning: results are not kept in {workspace.home}/store: Read-only file system\n"
        )
        assert bool(ran.counts["ran"]) == (not filled)
        assert targets(workspace) == reference


def test_a_clock_that_was_set_back(make_workspace: MakeWorkspace) -> None:
    """Everything on the disk is from tomorrow."""
    workspace = built(make_workspace)
    tomorrow = time.time() + 86400
    for folder in (workspace.root, workspace.home):
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (tomorrow, tomorrow), follow_symlinks=False)
    assert workspace.build().ran() == set()
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 2 }")
    assert workspace.build().ran() == {"interface:base/numbers", "module:base/numbers", "spirit:base", "spirit:user"}
    path = workspace.root / "base/src/numbers.dol"
    path.write_text(path.read_text().replace("return 2 }", "return 3 }"))
    os.utime(path, (tomorrow - 1, tomorrow - 1))
    assert "module:base/numbers" in workspace.build().ran()
    assert workspace.command("exec", "user", "three").out == "5\n"
    assert workspace.command("cache", "gc", "--size=1 kB").status == 0
    assert workspace.build("-a").status == 0


def test_kill_9_with_processes_and_uploads(tmp_path: Path, reference: dict[str, bytes]) -> None:
    """Killed at any moment, nobody who shares the caches gets anything wrong, and no process stays behind."""
    (tmp_path / "server").mkdir()
    moments = random.Random(6)
    with webdav(tmp_path / "server") as cache:
        variables = {"DOL_REMOTE": cache.url, "DOL_REMOTE_UPLOAD": "true"}
        for round_ in range(8):
            place = Workspace(tmp_path / f"work-{round_}", tmp_path / f"home-{round_ % 2}", variables)
            place.write({"dolbuild.toml": SETTINGS, **many()})
            process = start(place)
            time.sleep(moments.uniform(0.2, 1.6))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert place.build().status == 0
            assert targets(place) == reference
        reader = Workspace(tmp_path / "reader", tmp_path / "reader-home", {"DOL_REMOTE": cache.url})
        reader.write({"dolbuild.toml": SETTINGS, **many()})
        assert reader.build().status == 0  # what was killed before it was uploaded is made again
        assert targets(reader) == reference
    deadline = time.monotonic() + 10
    while (left := workers_of(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def workers_of(folder: Path) -> list[str]:
    """Processes that still work for builds below a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if b"dolbuild.rules.worker" in line and str(folder).encode() in line:
            found.append(line.decode())
    return found


def test_a_process_that_is_killed_is_replaced(make_workspace: MakeWorkspace, reference: dict[str, bytes]) -> None:
    workspace = make_workspace(many(200))
    process = start(workspace)
    killed: set[int] = set()
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue
            if not killed and b"dolbuild.rules.worker" in line and str(workspace.home).encode() in line:
                killed.add(int(path.parent.name))
        time.sleep(0.3)  # so that they are in the middle of something
        for one in killed:
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                pass
    assert process.communicate()[1] == b"" and process.returncode == 0
    assert killed
    assert workspace.command("exec", "all", "sum").out == f"{sum(range(200))}\n"
