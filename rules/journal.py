"""What the build remembers of a workspace: for each node, the key and the result of its last success.

``.dolbuild/journal`` holds one JSON line for each event, appended under a lock as soon as a node is done,
so that a build that is killed forgets nothing that it finished. The last line of a node counts. A line
that was cut off is dropped when the journal is read, and the file is rewritten when most of it is old.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dolbuild.cache.action import Result
from dolbuild.cache.digest import is_digest
from dolbuild.files import write_atomic

FORMAT = 1
_HEADER = b'{"dolbuild-journal":%d}\n' % FORMAT
_REWRITE_AT = 4
"""The journal is rewritten when it has this many times more lines than nodes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The last success of a node. *targets* maps the files that it wrote to (digest, mtime_ns, size)."""

    key: str
    result: Result
    targets: Mapping[str, tuple[str, int, int]]


class Journal:
    """The journal of one workspace. Entries are read once, when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        lines = self._read()
        if lines > _REWRITE_AT * len(self.entries) + 64:
            self._rewrite()

    def _read(self) -> int:
        try:
            data = self.path.read_bytes()
        except OSError:
            return 0  # none yet, or none that can be read: writing will say so
        if not data.startswith(_HEADER):
            return 1 << 30  # another version or garbage: start anew
        lines = data[len(_HEADER) :].split(b"\n")
        for line in lines:
            try:
                value = json.loads(line) if line else None
                if value is not None:
                    self._apply(value)
            except (ValueError, KeyError, TypeError):
                continue  # cut off by a kill, or mixed with nothing we know
        return len(lines)

    def _apply(self, value: dict[str, Any]) -> None:
        name = value["node"]
        if "key" not in value:
            self.entries.pop(name, None)
            return
        outputs = value["outputs"]
        if not is_digest(value["key"]) or not all(map(is_digest, outputs.values())):
            return
        targets = {path: (target[0], target[1], target[2]) for path, target in value["targets"].items()}
        self.entries[name] = Entry(value["key"], Result(outputs, value.get("notes")), targets)

    def _rewrite(self) -> None:
        body = b"".join(_line(name, entry) for name, entry in sorted(self.entries.items()))
        try:
            with self._locked():
                write_atomic(self.path, _HEADER + body)
        except OSError:
            pass  # a journal that stays long is only slow

    def _locked(self) -> "_Lock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return _Lock(self.path.with_name("journal.lock"))

    def _append(self, line: bytes) -> None:
        with self._locked():
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                size = os.fstat(handle).st_size
                if size == 0:
                    line = _HEADER + line
                elif os.pread(handle, 1, size - 1) != b"\n":
                    line = b"\n" + line  # the last writer was killed in the middle of its line
                os.write(handle, line)
            finally:
                os.close(handle)

    def record(self, name: str, entry: Entry) -> None:
        """Remember a success. Raises OSError where it cannot be written."""
        self.entries[name] = entry
        self._append(_line(name, entry))

    def forget(self, name: str) -> None:
        """Forget a node, so that it runs (or is looked up in the store) again."""
        if self.entries.pop(name, None) is not None:
            self._append(json.dumps({"node": name}).encode() + b"\n")


class _Lock:
    """An exclusive lock between processes, held for the length of one write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handle = -1

    def __enter__(self) -> None:
        self.handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self.handle, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)


def _line(name: str, entry: Entry) -> bytes:
    value: dict[str, Any] = {
        "node": name,
        "key": entry.key,
        "outputs": dict(entry.result.outputs),
        "targets": {path: list(target) for path, target in entry.targets.items()},
    }
    if entry.result.notes:
        value["notes"] = entry.result.notes
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
