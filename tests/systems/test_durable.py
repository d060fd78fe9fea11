"""The files of a state: torn and damaged journals, full disks, two processes, kills at any moment."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dolbuild.runtime.capabilities import Capabilities
from dolbuild.runtime.host import Host
from dolbuild.runtime.instance import Program
from dolbuild.systems import durable
from dolbuild.systems.durable import CHECKPOINT, JOURNAL, Damaged, InUse
from dolbuild.systems.keeping import Opened, StateIsThere, open_kept
from dolbuild.systems.running import CannotKeep

GIVEN = {"clusters": [{"id": 1, "name": "a", "total_memory_mb": 1}]}


def opened(cluster: bytes, folder: Path, given: dict[str, Any] | None = None) -> Opened:
    return open_kept(Program(cluster), Host(Capabilities()), folder, given, synced=False)


def test_every_place_where_the_journal_can_be_torn(cluster: bytes, tmp_path: Path) -> None:
    """Cut off at any byte, the state is that of the last call whose record is whole."""
    program = Program(cluster)
    folder = tmp_path / "kept"
    first = open_kept(program, Host(Capabilities()), folder, GIVEN, synced=False)
    states, ends = [first.running.state()], [(folder / JOURNAL).stat().st_size]
    for count in (1, 2, -1, 3):
        first.running.call("scale", [1, count])
        states.append(first.running.state())
        ends.append((folder / JOURNAL).stat().st_size)
    first.close()
    journal = (folder / JOURNAL).read_bytes()
    for size in (*range(ends[0], len(journal), 7), *ends, *(end - 1 for end in ends[1:])):
        (folder / JOURNAL).write_bytes(journal[:size])
        again = open_kept(program, Host(Capabilities()), folder, synced=False)
        whole = max((index for index, end in enumerate(ends) if end <= size), default=0)
        assert again.running.state() == states[whole], size
        torn = size not in ends and size > ends[0]
        assert any("torn" in said for said in again.said) == torn, (size, again.said)
        assert (folder / JOURNAL).stat().st_size == ends[whole]
        again.running.call("health_check", [])
        again.close()


def test_damage(cluster: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    first = opened(cluster, folder, GIVEN)
    for _ in range(5):
        first.running.call("scale", [1, 1])
    first.close()
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    sizes = {name: (folder / name).stat().st_size for name in (JOURNAL, CHECKPOINT)}
    for name, at in (
        (JOURNAL, 40),
        (JOURNAL, 300),
        (CHECKPOINT, 3),
        (CHECKPOINT, 200),
        (CHECKPOINT, sizes[CHECKPOINT] - 1),
        (JOURNAL, 2),
    ):
        data = bytearray((copy / name).read_bytes())
        data[at] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(Damaged):
            opened(cluster, folder)
        assert (folder / name).read_bytes() == data  # left as it is for whoever wants to mend it
        shutil.copy(copy / name, folder / name)
    opened(cluster, folder).close()


def test_a_checkpoint_whose_journal_was_not_emptied(cluster: bytes, tmp_path: Path) -> None:
    """Killed between the two: records that the checkpoint has in it are not applied again."""
    folder = tmp_path / "kept"
    first = opened(cluster, folder, GIVEN)
    for _ in range(3):
        first.running.call("scale", [1, 1])
    journal = (folder / JOURNAL).read_bytes()
    first.checkpoint()
    state = first.running.state()
    first.close()
    (folder / JOURNAL).write_bytes(journal)
    again = opened(cluster, folder)
    assert again.running.state() == state
    again.running.call("scale", [1, 1])
    state = again.running.state()
    again.close()
    again = opened(cluster, folder)
    assert again.running.state() == state
    again.close()


def test_files_that_do_not_belong_together(cluster: bytes, tmp_path: Path) -> None:
    """A file that is gone, empty, or of another state: nothing is begun anew over what was committed."""
    folder, other = tmp_path / "kept", tmp_path / "other"
    for one in (folder, other):
        first = opened(cluster, one, GIVEN)
        first.running.call("scale", [1, 1])
        first.close()
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for name, change in (
        (CHECKPOINT, "gone"), (JOURNAL, "gone"), (JOURNAL, "empty"), (JOURNAL, "other"), (CHECKPOINT, "other"),
    ):  # fmt: skip
        if change == "gone":
            (folder / name).unlink()
        elif change == "empty":
            (folder / name).write_bytes(b"")
        else:
            shutil.copy(other / name, folder / name)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(Damaged):
            opened(cluster, folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        shutil.copy(copy / name, folder / name)
    again = opened(cluster, folder)
    assert len(again.running.state("clusters")[0]["containers"]) == 1
    again.close()


def test_two_at_once(cluster: bytes, tmp_path: Path) -> None:
    first = opened(cluster, tmp_path / "kept", GIVEN)
    with pytest.raises(InUse):
        opened(cluster, tmp_path / "kept")
    first.close()
    opened(cluster, tmp_path / "kept").close()
    with pytest.raises(StateIsThere):
        opened(cluster, tmp_path / "kept", GIVEN)
    opened(cluster, tmp_path / "kept").close()


def test_a_disk_that_is_full(cluster: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is undone, nothing half is left, and the next one is good again."""
    folder = tmp_path / "kept"
    first = opened(cluster, folder, GIVEN)
    first.running.call("scale", [1, 1])
    state, size = first.running.state(), (folder / JOURNAL).stat().st_size
    write = os.write
    calls = iter(range(100))

    def full(handle: int, data: bytes) -> int:
        if next(calls) == 0:
            return write(handle, bytes(data)[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable.os, "write", full)
    with pytest.raises(CannotKeep, match="No space left"):
        first.running.call("scale", [1, 1])
    monkeypatch.setattr(durable.os, "write", write)
    assert first.running.state() == state and (folder / JOURNAL).stat().st_size == size
    first.running.call("scale", [1, 2])
    state = first.running.state()
    first.close()
    again = opened(cluster, folder)
    assert again.running.state() == state and len(state["clusters"][0]["containers"]) == 3
    again.close()


def test_a_disk_that_is_full_when_a_checkpoint_is_due(
    cluster: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the checkpoint nor the new journal can be written: the old journal goes on, and the next checkpoint is tried again."""
    monkeypatch.setattr(durable, "PATIENCE", 1000)
    first = opened(cluster, tmp_path / "kept", GIVEN)
    write = durable.write_atomic
    for failing in (CHECKPOINT, JOURNAL):

        def full(path: Path, data: bytes, failing: str = failing, **how: Any) -> None:
            if path.name == failing:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(path, data, **how)

        monkeypatch.setattr(durable, "write_atomic", full)
        for step in range(200):
            first.running.call("scale", [1, -1 if step % 2 else 1])
        assert first.durable.is_due
        monkeypatch.setattr(durable, "write_atomic", write)
        first.running.call("scale", [1, 1])
        first.running.call("scale", [1, -1])
        assert not first.durable.is_due
    state = first.running.state()
    first.close()
    again = opened(cluster, tmp_path / "kept")
    assert again.running.state() == state
    again.close()


def test_checkpoints_come_by_themselves(cluster: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "PATIENCE", 2000)
    first = opened(cluster, tmp_path / "kept", GIVEN)
    sizes = []
    for _ in range(300):
        first.running.call("scale", [1, 1])
        first.running.call("scale", [1, -1])
        sizes.append((tmp_path / "kept" / JOURNAL).stat().st_size)
    assert sizes != sorted(sizes) and max(sizes) < 64_000
    state = first.running.state()
    first.close()
    again = opened(cluster, tmp_path / "kept")
    assert again.running.state() == state and again.durable.sequence == 600
    again.close()
