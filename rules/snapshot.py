"""What a run knew of the disk when it ended: enough to tell in a moment that nothing has changed, or what has.

``.dolbuild/snapshot`` has every file that a build reads or writes with its size, modification time, inode and a fast hash
(XXH3: "did it change since I last looked", on one machine; what crosses a trust boundary is named by SHA-256), and every
folder in which files are looked for. If all of them are as they were, the selections in *complete* have nothing to do:
that is found out without importing the compiler or doit.

It is written when a run ends. A run that was killed has written to the journal, which is one of the files, so the snapshot from before
it does not hold any more.
"""

import marshal
import os
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dolbuild.rules.quick import MAGIC, UNKNOWN, folder_times, split, stats_of

RACY = 20_000_000
"""Nanoseconds: a file that was modified so shortly before it was looked at may be modified again within the same tick of
the clock, so its time proves nothing."""

_FIELDS = 3


@dataclass(slots=True)
class Snapshot:
    """*context*: what else the run depended on (profile, home). *complete*: for each selection that was wholly up to date, how
    many nodes it has. *facts*: what the planner found in files, as plain values."""

    context: str
    files: dict[str, tuple[int, int, int]]
    hashes: dict[str, str]
    folders: dict[str, int]
    complete: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def stat_of(path: str) -> tuple[int, int, int]:
    """(mtime_ns, size, inode) of a file; unequal to every other where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return UNKNOWN
    return found.st_mtime_ns, found.st_size, found.st_ino


def settled(stat: tuple[int, int, int], now: int) -> tuple[int, int, int]:
    """The stat, or one that equals none where the file was modified too shortly before *now* (ns)."""
    return stat if stat[0] < now - RACY else UNKNOWN


# -- encoding --------------------------------------------------------------------------------------


def encode(snapshot: Snapshot) -> bytes:
    """A head that is enough to see whether anything changed, and a body with the rest; each with its hash."""
    import xxhash

    paths = tuple(snapshot.files)
    stats = array("q")
    for path in paths:
        stats.extend(snapshot.files[path])
    folders = tuple(snapshot.folders)
    times = array("q", snapshot.folders.values())
    head = marshal.dumps((snapshot.context, paths, stats.tobytes(), folders, times.tobytes(), snapshot.complete))
    body = marshal.dumps((snapshot.hashes, snapshot.facts))
    parts = [xxhash.xxh3_64_hexdigest(part).encode() + b" %d\n" % len(part) for part in (head, body)]
    return b"".join((MAGIC, *parts, head, body))


def decode(data: bytes) -> Snapshot | None:
    """The inverse of `encode`; None for anything else."""
    found = split(data)
    if found is None:
        return None
    context, paths, stats, folders, times, complete = marshal.loads(found[0])  # noqa: S302 - our own file, by its hash
    hashes, facts = marshal.loads(found[1])  # noqa: S302
    values: array[int] = array("q")
    values.frombytes(stats)
    rows = zip(*(values[i::_FIELDS] for i in range(_FIELDS)), strict=True)
    moments: array[int] = array("q")
    moments.frombytes(times)
    return Snapshot(
        context, dict(zip(paths, rows, strict=True)), hashes, dict(zip(folders, moments, strict=True)), complete, facts
    )


# -- differences -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as a snapshot says: files with other contents, or gone; folders in which something came, went or was
    renamed. *touched*: files with another stat and the same contents, with it."""

    files: frozenset[str]
    folders: frozenset[str]
    touched: Mapping[str, tuple[int, int, int]]

    def __bool__(self) -> bool:
        return bool(self.files or self.folders)


def compare(snapshot: Snapshot, now: int) -> Difference:
    """Look at the disk. *now* is the time in ns before anything was looked at."""
    import xxhash

    paths = list(snapshot.files)
    stats = stats_of(paths)
    changed: set[str] = set()
    touched: dict[str, tuple[int, int, int]] = {}
    for number, path in enumerate(paths):
        stat = (stats[3 * number], stats[3 * number + 1], stats[3 * number + 2])
        if stat == snapshot.files[path]:
            continue
        known = snapshot.hashes.get(path)
        try:
            with open(path, "rb") as file:
                same = known is not None and xxhash.xxh3_64_hexdigest(file.read()) == known
        except OSError:
            same = False
        if same:
            touched[path] = settled(stat, now)
        else:
            changed.add(path)
    times = folder_times(snapshot.folders)
    folders = {path for path, time in zip(snapshot.folders, times, strict=True) if snapshot.folders[path] != time}
    return Difference(frozenset(changed), frozenset(folders), touched)
