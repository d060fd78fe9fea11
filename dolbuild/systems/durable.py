"""The state of a System on disk: a checkpoint, and a journal of the calls that were committed since.

Both hold memory as it is, so that starting again runs no code: the checkpoint is applied, then the changes of each call. A call is
committed when its record is in the journal. A record that was cut off is cut away with a message; a damaged one with others behind
it is an error, since they were committed and cannot be had without it.

The checkpoint carries the WebAssembly module that it belongs to, since only that says what the bytes mean. Its number orders it among the calls: records
that it has in it are skipped, so that it does not matter when a process is killed between writing the one and emptying the other.
"""

import fcntl
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import xxhash

from dolbuild.files import sweep, write_atomic
from dolbuild.systems.image import Changes, Number

CHECKPOINT, JOURNAL, LOCK = "checkpoint", "journal", "lock"
CHECKPOINT_MAGIC = b"dolbuild system checkpoint 1\n"
JOURNAL_MAGIC = b"dolbuild system journal 1\n"
ID_BYTES = 16
MARK = b"call"
HEAD = struct.Struct("<4sIQ")
"""Before a record: the mark, how many bytes it has, and their xxh3."""

SMALLEST_PACKED = 512
"""Bytes of changes from which on they are compressed."""

PATIENCE = 4 << 20
"""Bytes of journal after which a checkpoint is due, if it is no larger than the journal."""


class InUse(Exception):
    """Another process has this state open."""


class Damaged(Exception):
    """A file that cannot be read as what it has to be."""


@dataclass(slots=True)
class Kept:
    """A state as it was kept. *memory* is all of it, what lies below *start* as zeros; *cut* are the bytes of a torn record."""

    sequence: int
    wasm: bytes
    start: int
    memory: bytearray
    variables: dict[str, Number]
    address: int
    cut: int = 0


class Durable:
    """The files of one System, which this process alone has open."""

    def __init__(self, folder: Path, synced: bool = True) -> None:
        """Raises InUse, OSError."""
        self.folder = folder
        self.synced = synced
        self.sequence = 0
        self.id = ""
        """Ties a journal to the checkpoint that it goes on from."""
        self.checkpoint_size = 0
        self.handle = -1
        self.length = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.lock)
            raise InUse(str(folder)) from None
        sweep(folder)

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    # -- reading ----------------------------------------------------------------------------------

    def load(self) -> Kept | None:
        """The state in which the last committed call has left it, or None where there is none. Raises Damaged, OSError."""
        try:
            data = (self.folder / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            self._no_journal()
            return None
        kept, self.id = _read_checkpoint(data)
        self.checkpoint_size = len(data)
        path = self.folder / JOURNAL
        try:
            journal = path.read_bytes()
        except FileNotFoundError:
            raise Damaged(f"{JOURNAL}: it is gone, and with it what was committed since the checkpoint") from None
        if not journal.startswith(self._head()):
            raise Damaged(f"{JOURNAL}: it does not belong to this checkpoint, or was damaged")
        good = len(self._head())
        for end, sequence, record, ranges in _records(journal, good):
            good = end
            if sequence <= kept.sequence:
                continue
            if sequence != kept.sequence + 1:
                raise Damaged(f"{JOURNAL}: the call {kept.sequence + 1} is missing before the call {sequence}")
            _apply(kept, record, ranges)
        kept.cut = len(journal) - good
        self.sequence = kept.sequence
        self.handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        if kept.cut:
            os.ftruncate(self.handle, good)
            os.fsync(self.handle)
        self.length = good
        os.lseek(self.handle, good, os.SEEK_SET)
        return kept

    def _head(self) -> bytes:
        return JOURNAL_MAGIC + self.id.encode() + b"\n"

    def _no_journal(self) -> None:
        """Where there is no checkpoint, no call may be kept. (A journal without any is left where a process was killed as it began.)"""
        try:
            size = (self.folder / JOURNAL).stat().st_size
        except FileNotFoundError:
            return
        if size > len(JOURNAL_MAGIC) + 2 * ID_BYTES + 1:
            raise Damaged(f"{CHECKPOINT}: it is gone, and {JOURNAL} has calls that go on from it")

    # -- writing ----------------------------------------------------------------------------------

    def append(self, function: str, changes: Changes) -> None:
        """Write a committed call down. Raises OSError; then the journal is as it was."""
        record = _record(self.sequence + 1, function, changes)
        data = HEAD.pack(MARK, len(record), xxhash.xxh3_64_intdigest(record)) + record
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self.handle, left) :]
            if self.synced:
                os.fdatasync(self.handle)
        except OSError:
            os.ftruncate(self.handle, self.length)
            os.lseek(self.handle, self.length, os.SEEK_SET)
            raise
        self.length += len(data)
        self.sequence += 1

    @property
    def is_due(self) -> bool:
        """Whether the journal has become so long that a checkpoint is worth it."""
        return self.length > max(PATIENCE, self.checkpoint_size)

    def checkpoint(
        self, wasm: bytes, start: int, memory: bytearray, variables: Mapping[str, Number], address: int
    ) -> None:
        """Write a checkpoint, and begin a new journal. Raises OSError; then both are as they were, or the checkpoint is new."""
        if not self.id:  # the first one: its journal comes before it, so that there never is one without the other
            self.id = os.urandom(ID_BYTES).hex()
            self._empty_journal()
        packed_wasm = zlib.compress(wasm, 6)
        packed = zlib.compress(memoryview(memory)[start:], 1)
        head = {
            "sequence": self.sequence,
            "start": start,
            "size": len(memory),
            "variables": dict(variables),
            "address": address,
            "id": self.id,
            "wasm": len(packed_wasm),
        }
        body = json.dumps(head, sort_keys=True).encode() + b"\n" + packed_wasm + packed
        data = CHECKPOINT_MAGIC + sha256(body).hexdigest().encode() + b"\n" + body
        write_atomic(self.folder / CHECKPOINT, data, mode=0o600, synced=self.synced)
        self.checkpoint_size = len(data)
        self._empty_journal()

    def _empty_journal(self) -> None:
        """Begin a new journal. Raises OSError; then the old one is still there and goes on."""
        path = self.folder / JOURNAL
        write_atomic(path, self._head(), mode=0o600, synced=self.synced)
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
        self.handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self.length = os.lseek(self.handle, 0, os.SEEK_END)


def _record(sequence: int, function: str, changes: Changes) -> bytes:
    data = b"".join(part for _, part in changes.ranges)
    packed = len(data) >= SMALLEST_PACKED
    head: dict[str, Any] = {
        "sequence": sequence,
        "function": function,
        "size": changes.size,
        "ranges": [[at, len(part)] for at, part in changes.ranges],
        "variables": changes.variables,
        "packed": packed,
    }
    return json.dumps(head, separators=(",", ":")).encode() + b"\n" + (zlib.compress(data, 1) if packed else data)


def _records(journal: bytes, at: int) -> Iterator[tuple[int, int, Mapping[str, Any], bytes]]:
    """From *at* on, where each whole record ends, its number, its head and its bytes. Raises Damaged where one is damaged and not the last."""
    while (record := _record_at(journal, at)) is not None:
        head, _, data = record.partition(b"\n")
        described = json.loads(head)
        end = at + HEAD.size + len(record)
        yield end, described["sequence"], described, zlib.decompress(data) if described["packed"] else data
        at = end
    behind = journal.find(MARK, at + 1)
    while behind >= 0:
        if _record_at(journal, behind) is not None:
            raise Damaged(f"{JOURNAL}: the record at byte {at} is damaged, and there are others behind it")
        behind = journal.find(MARK, behind + 1)


def _record_at(journal: bytes, at: int) -> bytes | None:
    """The record at a place, if it is there whole."""
    if at + HEAD.size > len(journal):
        return None
    mark, length, digest = HEAD.unpack_from(journal, at)
    record = journal[at + HEAD.size : at + HEAD.size + length]
    whole = mark == MARK and len(record) == length and xxhash.xxh3_64_intdigest(record) == digest
    return record if whole else None


def _apply(kept: Kept, record: Mapping[str, Any], data: bytes) -> None:
    if record["size"] > len(kept.memory):
        kept.memory.extend(bytes(record["size"] - len(kept.memory)))
    taken = 0
    for at, length in record["ranges"]:
        kept.memory[at : at + length] = data[taken : taken + length]
        taken += length
    kept.variables.update(record["variables"])
    kept.sequence = record["sequence"]


def _read_checkpoint(data: bytes) -> tuple[Kept, str]:
    if not data.startswith(CHECKPOINT_MAGIC):
        raise Damaged(f"{CHECKPOINT}: this is no checkpoint of this version of dolbuild")
    digest, _, body = data[len(CHECKPOINT_MAGIC) :].partition(b"\n")
    if sha256(body).hexdigest().encode() != digest:
        raise Damaged(f"{CHECKPOINT}: its bytes are not those that were written")
    line, _, rest = body.partition(b"\n")
    head = json.loads(line)
    memory = bytearray(head["start"]) + zlib.decompress(rest[head["wasm"] :])
    if len(memory) != head["size"]:
        raise Damaged(f"{CHECKPOINT}: it has {len(memory)} bytes of memory instead of {head['size']}")
    wasm = zlib.decompress(rest[: head["wasm"]])
    return Kept(head["sequence"], wasm, head["start"], memory, head["variables"], head["address"]), head["id"]
