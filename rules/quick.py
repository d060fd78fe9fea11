"""Whether there is nothing to do, found out from the snapshot alone.

This is what most builds of a day are, so it imports as little as it can: neither doit nor the compiler, not even `pathlib`.
Whatever it is not sure of, it leaves to the others.
"""

import marshal
import os
import sys
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence

FORMAT = 2
STATE_FOLDER, SNAPSHOT = ".dolbuild", "snapshot"
MAGIC = b"dolbuild-snapshot %d %d.%d\n" % (FORMAT, *sys.version_info[:2])
UNKNOWN = (-1, -1, -1)
_QUIET = ("-q", "--quiet")
_OPTIONS = ("--release", "--locked", "--offline", "--no-remote", *_QUIET)
_DEFAULT = "build"


def nothing_to_do(arguments: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """What a build says that has nothing to do; None where it may have something. *arguments* begin with a task."""
    started = time.perf_counter()
    options = [one for one in arguments if one.startswith("-")]
    names = [one for one in arguments if not one.startswith("-")]
    if len(names) > 1 or not set(options) <= set(_OPTIONS) or "dodo.py" in os.listdir():
        return None
    root = _root(os.getcwd())
    if root is None:
        return None
    try:
        with open(os.path.join(root, STATE_FOLDER, SNAPSHOT), "rb") as file:
            data = file.read()
    except OSError:
        return None
    home = environment.get("DOL_HOME") or os.path.join(environment.get("HOME", ""), ".dol")
    before = os.getcwd()
    os.chdir(root)
    locked = ["--locked"] if "--locked" in options else []
    count = untouched(data, context_of("--release" in options, home), selection_of(names or [_DEFAULT], locked))
    if count is None:
        os.chdir(before)
        return None
    if not set(_QUIET).isdisjoint(options):
        return ""
    nodes = f"{count} node{'' if count == 1 else 's'}"
    return f"nothing to do: {nodes} up to date ({time.perf_counter() - started:.2f} s)\n"


def _root(folder: str) -> str | None:
    """The nearest folder upwards with settings of any kind, if it has a snapshot. A folder that is only a Spirit may belong to a
    workspace further up."""
    while True:
        try:
            names = set(os.listdir(folder))
        except OSError:
            return None
        if STATE_FOLDER in names:
            return folder
        if "dolbuild.toml" in names or "pyproject.toml" in names:
            return None
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def context_of(release: bool, home: str) -> str:
    """What a snapshot depends on beside files: the profile that was asked for, and where caches are."""
    return f"{'release' if release else 'default'} {home}"


def selection_of(names: Sequence[str], options: Iterable[str]) -> str:
    """What a command line selects, as a key of *complete*."""
    return " ".join((*sorted(options), "--", *names))


def stats_of(paths: Iterable[str]) -> "array[int]":
    """The stats of files, one after the other."""
    values: array[int] = array("q")
    append, stat = values.append, os.stat
    for path in paths:
        try:
            found = stat(path)
        except OSError:
            values.extend(UNKNOWN)
            continue
        append(found.st_mtime_ns)
        append(found.st_size)
        append(found.st_ino)
    return values


def folder_times(paths: Iterable[str]) -> "array[int]":
    """The modification times of folders; -1 where there is none."""
    values: array[int] = array("q")
    for path in paths:
        try:
            values.append(os.stat(path).st_mtime_ns)
        except OSError:
            values.append(-1)
    return values


def split(data: bytes) -> tuple[bytes, bytes] | None:
    """Head and body, or None where they are not what was written."""
    import xxhash

    if not data.startswith(MAGIC):
        return None
    lines = data[len(MAGIC) : len(MAGIC) + 100].split(b"\n", 2)
    if len(lines) != 3:
        return None
    start = len(MAGIC) + len(lines[0]) + len(lines[1]) + 2
    found: list[bytes] = []
    for line in lines[:2]:
        digest, _, length = line.partition(b" ")
        if not length.isdigit():
            return None
        part = data[start : start + int(length)]
        start += int(length)
        if xxhash.xxh3_64_hexdigest(part).encode() != digest:
            return None
        found.append(part)
    return found[0], found[1]


def untouched(data: bytes, context: str, selection: str) -> int | None:
    """The number of nodes of a selection that is known to be up to date because nothing on the disk has changed; None where
    that cannot be told. Paths are relative to the current folder."""
    parts = split(data)
    if parts is None:
        return None
    known, paths, stats, folders, times, complete = marshal.loads(parts[0])  # noqa: S302
    if known != context or selection not in complete:
        return None
    if folder_times(folders).tobytes() != times or stats_of(paths).tobytes() != stats:
        return None
    return int(complete[selection])
