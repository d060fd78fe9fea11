"""What the build remembers of a workspace: for each node, the key and the result of its last success.

``.dolbuild/journal`` holds one JSON line for each event, appended under a lock as soon as a node is done,
so that a build that is killed forgets nothing that it finished. The last line of a node counts. A line
that was cut off is dropped when the journal is read, and the file is rewritten when most of it is old.
"""

import errno
import fcntl
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dolbuild.cache.action import Result
from dolbuild.cache.digest import Digest, is_digest
from dolbuild.files import write_atomic

FORMAT = 2
_NODE = re.compile(rb'\{"node":"([^"\\]+)","key":"[0-9a-f]{64}","outputs":\{[^{}]*\},"targets":\{.*\}\Z')
_HEADER = b'{"dolbuild-journal":%d}\n' % FORMAT
_REWRITE_AT = 4
"""The journal is rewritten when it has this many times more lines than nodes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The last success of a node. *targets* maps the files that it wrote to (digest, mtime_ns, size). *status* says how it came to be
    done, in the run *run*; *previous* is the key of the success before it, in *previous_run*."""

    key: str
    result: Result
    targets: Mapping[str, tuple[str, int, int]]
    previous: str = ""
    status: str = ""
    run: int = 0
    previous_run: int = 0

    def with_targets(self, result: Result, targets: Mapping[str, tuple[str, int, int]]) -> "Entry":
        """The same with what was written in the end."""
        return replace(self, result=result, targets=targets)


class Entries:
    """The entries by node. A line is decoded when someone asks for its node."""

    def __init__(self) -> None:
        self._lines: dict[str, bytes] = {}
        self._entries: dict[str, Entry] = {}

    def read(self, line: bytes) -> None:
        """Take in a line of the journal; one that was cut off, or that nobody knows, is left out."""
        found = _NODE.match(line)
        name = None
        if found is not None and line.endswith(b"}"):
            name = found[1].decode("utf-8", "replace")
        elif line:
            try:
                name = str(json.loads(line)["node"])
            except (ValueError, KeyError, TypeError):
                return
        if name is not None:
            self._entries.pop(name, None)
            if found is not None or _decode(line) is not None:
                self._lines[name] = line
            else:
                self._lines.pop(name, None)  # it was forgotten

    def has(self, name: str) -> bool:
        """Whether there is a line of a success; it is not decoded."""
        return name in self._lines

    def get(self, name: str) -> Entry | None:
        """The last success of a node."""
        entry = self._entries.get(name)
        if entry is None and (line := self._lines.get(name)) is not None:
            entry = _decode(line)
            if entry is None:
                del self._lines[name]
            else:
                self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> Entry:
        entry = self.get(name)
        if entry is None:
            raise KeyError(name)
        return entry

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in list(self._lines) if name in self])

    def set(self, name: str, entry: Entry) -> bytes:
        """Remember a success; gives its line."""
        self._entries[name] = entry
        self._lines[name] = line = _line(name, entry)
        return line

    def remove(self, name: str) -> bool:
        """Forget a node; False where it was not known."""
        self._entries.pop(name, None)
        return self._lines.pop(name, None) is not None


class Journal:
    """The journal of one workspace. Its lines are read once, when it is opened. *size* is what it has in bytes if no one else
    writes to it; None where someone did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = Entries()
        self.size: int | None = 0
        self._is_cut = False
        self._is_foreign = False
        self._file: tuple[int, int] | None = None
        self._lock: _Lock | None = None
        self._lines = self._read()

    def tidy(self) -> None:
        """Write the journal anew where most of it is old. To be called when a run ends."""
        if self._lines > _REWRITE_AT * len(self.entries) + 64 and self.size is not None:
            self._rewrite()

    def _read(self) -> int:
        try:
            data = self.path.read_bytes()
        except OSError:
            return 0  # none yet, or none that can be read: writing will say so
        if not data.startswith(_HEADER):
            self._is_foreign = bool(data)  # another version or garbage: whoever writes here starts anew
            return 0
        self.size = len(data)
        self._is_cut = not data.endswith(b"\n")
        lines = data[len(_HEADER) :].split(b"\n")
        for line in lines:
            self.entries.read(line)
        return len(lines)

    def _rewrite(self) -> None:
        body = b"".join(_line(name, self.entries[name]) for name in sorted(self.entries))
        try:
            with self._locked():
                if self.path.stat().st_size == self.size:  # no one else has written to it
                    write_atomic(self.path, _HEADER + body)
                    self.size = len(_HEADER) + len(body)
                    self._lines = len(self.entries)
        except OSError:
            pass  # a journal that stays long is only slow

    def _locked(self) -> "_Lock":
        if self._lock is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _Lock(self.path.with_name("journal.lock"))
        return self._lock

    def _handle(self) -> int:
        """The file to append to; it is opened anew where another build has replaced it."""
        if self._file is not None:
            try:
                if os.stat(self.path).st_ino == self._file[1]:
                    return self._file[0]
            except OSError:
                pass  # it is gone
            self.size = None
            os.close(self._file[0])
            self._file = None
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if self._is_foreign:
            self._is_foreign = False
            if os.pread(handle, len(_HEADER), 0) != _HEADER:
                os.ftruncate(handle, 0)
        self._file = (handle, os.fstat(handle).st_ino)
        return handle

    def _append(self, line: bytes) -> None:
        with self._locked():
            handle = self._handle()
            size = os.fstat(handle).st_size
            if size != self.size:
                self.size = None
            if size == 0:
                line = _HEADER + line
            elif (self.size is None or self._is_cut) and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line  # the last writer was killed in the middle of its line
            written = os.write(handle, line)
            self._lines += 1
            if written != len(line):
                self.size = None
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self.size is not None:
                self.size += len(line)

    def close(self) -> None:
        """Close the files. They are opened anew where something is recorded after that."""
        if self._file is not None:
            os.close(self._file[0])
            self._file = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def record(self, name: str, entry: Entry) -> None:
        """Remember a success. Raises OSError where it cannot be written."""
        self._append(self.entries.set(name, entry))

    def forget(self, name: str) -> None:
        """Forget a node, so that it runs (or is looked up in the store) again."""
        if self.entries.remove(name):
            self._append(json.dumps({"node": name}).encode() + b"\n")


class _Lock:
    """An exclusive lock between processes and threads, held for the length of one write."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._threads = threading.Lock()

    def __enter__(self) -> None:
        self._threads.acquire()
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._handle, fcntl.LOCK_UN)
        self._threads.release()

    def close(self) -> None:
        os.close(self._handle)


def _decode(line: bytes) -> Entry | None:
    """A line that tells of a success; None for a node that was forgotten, and for what is none."""
    try:
        value = json.loads(line)
        outputs = {name: Digest(found[0], found[1]) for name, found in value["outputs"].items()}
        if not is_digest(value["key"]) or not all(is_digest(found.hash) for found in outputs.values()):
            return None
        targets = {path: (target[0], target[1], target[2]) for path, target in value["targets"].items()}
        result = Result(outputs, value.get("notes"), seconds=float(value.get("seconds", 0.0)))
        was, runs = value.get("was", ""), value.get("runs", (0, 0))
        return Entry(value["key"], result, targets, was, value.get("status", ""), runs[0], runs[1])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _line(name: str, entry: Entry) -> bytes:
    value: dict[str, Any] = {
        "node": name,
        "key": entry.key,
        "outputs": dict(entry.result.outputs),
        "targets": {path: list(target) for path, target in entry.targets.items()},
    }
    value |= {"was": entry.previous, "status": str(entry.status), "runs": [entry.run, entry.previous_run]}
    if entry.result.notes:
        value["notes"] = entry.result.notes
    if entry.result.seconds:
        value["seconds"] = round(entry.result.seconds, 3)
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
