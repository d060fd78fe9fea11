"""What is in a local store, and taking out of it what was not used for longest."""

import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from dolbuild.cache.action import Result
from dolbuild.cache.digest import digest, is_digest
from dolbuild.cache.store import Store
from dolbuild.files import sweep

KEPT = 0.9
"""Share of the limit that is left when something has to be taken out, so that not every build has to."""

INTERVAL = 24 * 3600.0
"""Seconds between two collections that builds make on their own."""

_BLOCK = 512
_STAMP = "collected"


@dataclass(frozen=True, slots=True)
class Item:
    """A file of the store. *size* is what it takes on the disk (bytes), *used* when it was used last (seconds)."""

    kind: str
    name: str
    path: str
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class Stats:
    """What a store holds; sizes in bytes on the disk, times in seconds since 1970 (0 where there is nothing)."""

    blobs: int = 0
    results: int = 0
    size: int = 0
    oldest: float = 0.0
    newest: float = 0.0


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did: files and bytes that were removed, bytes that are left."""

    removed: int
    freed: int
    left: int


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification found: files that were looked at, and those that were wrong and have been removed."""

    checked: int
    wrong: tuple[str, ...]


def items(store: Store) -> Iterator[Item]:
    """Every file of a store; names that are no digests are none of its."""
    for kind in ("ac", "cas"):
        for entry in _entries(str(store.folder / kind)):
            try:
                stat = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if is_digest(entry.name):
                yield Item(kind, entry.name, entry.path, stat.st_blocks * _BLOCK, stat.st_mtime)


def _entries(folder: str) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as outer:
            shards = sorted(entry.path for entry in outer if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for shard in shards:
        try:
            with os.scandir(shard) as inner:
                yield from inner
        except OSError:
            continue


def stats(store: Store) -> Stats:
    """Count what is there."""
    counts = {"ac": 0, "cas": 0}
    size = 0
    times: list[float] = []
    for item in items(store):
        counts[item.kind] += 1
        size += item.size
        times.append(item.used)
    return Stats(counts["cas"], counts["ac"], size, min(times, default=0.0), max(times, default=0.0))


def collect(store: Store, limit: int, pinned: Collection[str] = ()) -> Collected:
    """Remove what was used longest ago until the store has less than its limit (bytes).

    Nothing is taken that was used since the oldest running build began, nor what *pinned* names (what the journals of running
    builds name). A build that begins in this moment may lose a file between asking for it and reading it; it then does
    the work again.
    """
    began = min((began for _, began in store.running()), default=time.time() + 1.0)
    found = sorted(items(store), key=lambda item: (item.used, item.kind, item.name))
    size = sum(item.size for item in found)
    removed = freed = 0
    kept = int(limit * KEPT)
    if size > limit:
        for item in found:
            if size - freed <= kept or item.used >= began:
                break
            if item.name not in pinned and _remove_unused(item):
                removed += 1
                freed += item.size
    for kind in ("ac", "cas"):
        for number in range(256):
            sweep(store.folder / kind / f"{number:02x}")
    _stamp(store)
    return Collected(removed, freed, size - freed)


def _remove_unused(item: Item) -> bool:
    """Remove a file if no one has used it since it was looked at."""
    try:
        if os.stat(item.path).st_mtime != item.used:
            return False
        os.unlink(item.path)
    except OSError:
        return False
    return True


def is_due(store: Store) -> bool:
    """Whether no collection was made for a while. A store in which none was made yet is given that while."""
    path = store.folder / _STAMP
    try:
        return abs(time.time() - path.stat().st_mtime) > INTERVAL
    except OSError:
        _stamp(store)
        return False


def _stamp(store: Store) -> None:
    try:
        (store.folder / _STAMP).touch()
    except OSError:
        pass  # a store that cannot be written is not collected


def verify(store: Store) -> Verified:
    """Hash every blob and decode every result; what is not what its name says is removed. A result whose blobs are gone is no
    fault: it is not served."""
    checked = 0
    wrong: list[str] = []
    for item in items(store):
        checked += 1
        if not _is_whole(item):
            wrong.append(f"{item.kind}/{item.name}")
            try:
                os.unlink(item.path)
            except OSError:
                pass  # a store that is not ours to mend; a read says what it is
    return Verified(checked, tuple(wrong))


def _is_whole(item: Item) -> bool:
    try:
        with open(item.path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return True  # collected by someone else in this moment
    except OSError:
        return False
    if item.kind == "cas":
        return digest(data) == item.name
    try:
        Result.decode(data)
    except ValueError:
        return False
    return True


def clear(store: Store) -> None:
    """Remove everything. Raises OSError."""
    for name in ("ac", "cas", "running"):
        if (store.folder / name).is_dir():
            shutil.rmtree(store.folder / name)
