"""The caches of one run: the local store before a remote one. What comes from the remote is hashed, and believed only as far as
the settings say."""

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dolbuild.cache.action import Record, Result
from dolbuild.cache.digest import Digest, digest, digest_of
from dolbuild.cache.remote.backend import MAX_BLOB, MAX_RESULT, Backend
from dolbuild.cache.remote.breaker import Breaker
from dolbuild.cache.remote.signing import Signer
from dolbuild.cache.remote.uploads import Upload, Uploads
from dolbuild.cache.store import Store

INLINE = 32 << 10
"""Bytes of the largest artifact that is sent along with a result."""


class Origin(StrEnum):
    """Where a result was found, or the last place where it was not."""

    LOCAL = "local"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Found:
    """A result, and where it was."""

    result: Result
    origin: Origin


class Remote:
    """A remote for one run: what it is asked, what is believed, what is uploaded."""

    def __init__(self, backend: Backend, *, upload: bool, signer: Signer | None = None, signed: bool = False) -> None:
        self.backend = backend
        self.upload = upload
        self.signer = signer
        self.signed = signed
        self.writing = Breaker("uploading to the remote cache")
        self.reading = Breaker("the remote cache", self.writing)
        self.left = 0
        self.disbelieved = 0

    def lookup(self, action: Digest, inline: Collection[str]) -> Result | None:
        """The result of an action. One that is no result, or that no one has signed who may, is a miss."""
        data = self.reading.call(lambda: self.backend.result(action, tuple(inline)), None)
        if data is None:
            return None
        try:
            result = Result.decode(data)
        except (ValueError, RecursionError):
            self.reading.fault("it has results that are none")
            return None
        if self.signed and (self.signer is None or not self.signer.believes(action.hash, result)):
            self.disbelieved += 1
            return None
        return result

    def read(self, wanted: Digest) -> bytes | None:
        """A blob, if it is what its name says."""
        if wanted.size > MAX_BLOB:
            return None
        return self._checked(wanted, self.reading.call(lambda: self.backend.blob(wanted), None))

    def read_record(self, key: str) -> bytes | None:
        """The record of an action. Its size is not known, so only a remote that does not want to know it can be asked."""
        if self.backend.sized:
            return None
        data = self.reading.call(lambda: self.backend.blob(Digest(key, MAX_RESULT)), None)
        return data if data is not None and digest(data) == key else None

    def read_all(self, wanted: Iterable[Digest]) -> dict[Digest, bytes]:
        """Several blobs at once; those that are missing or wrong are left out."""
        asked = [one for one in wanted if 0 < one.size <= MAX_BLOB]
        if not asked:
            return {}
        empty: dict[Digest, bytes] = {}
        found = self.reading.call(lambda: self.backend.blobs(asked), empty)
        return {one: data for one, data in found.items() if self._checked(one, data) is not None}

    def _checked(self, wanted: Digest, data: bytes | None) -> bytes | None:
        if data is not None and (len(data) != wanted.size or digest(data) != wanted.hash):
            self.reading.fault("it has bytes that are not what their name says")
            return None
        return data

    def stories(self) -> list[str]:
        """A line for each thing that did not go as it should."""
        told = [line for line in (self.reading.story(), self.writing.story()) if line]
        if self.reading.broken:
            del told[1:]  # whoever cannot read from it need not hear that it could not be written to
        if self.disbelieved:
            count = f"{self.disbelieved} result{'' if self.disbelieved == 1 else 's'}"
            told.append(f"{count} of the remote cache had no signature of ours and were not used")
        if self.left and not self.writing.broken:
            told.append(f"{self.left} result{'' if self.left == 1 else 's'} could not be uploaded in time")
        return told


class Cache:
    """The local store, a remote (or none), and what neither can keep. Faults are never errors: they are told by `stories`."""

    def __init__(self, store: Store, remote: Remote | None = None) -> None:
        self.store = store
        self.remote = remote
        self.store_problem: str | None = None
        self.told: list[str] = []
        """What else is to be said at the end."""
        self._kept: dict[str, bytes] = {}
        self._uploads: Uploads | None = None
        self._lock = threading.Lock()

    # -- asking ------------------------------------------------------------------------------------

    def lookup(self, record: Record, inline: Collection[str] = ()) -> Found | None:
        """The result of an action. Its blobs are here only where it is local; *inline* ones are brought along."""
        result = self.store.lookup(record.key)
        if result is not None:
            return Found(result, Origin.LOCAL)
        if self.remote is None:
            return None
        result = self.remote.lookup(record.digest, inline)
        if result is None:
            return None
        for name, data in result.contents.items():
            if digest_of(data) == result.outputs[name]:
                self._keep_blob(data)
        return Found(result, Origin.REMOTE)

    def adopt(self, key: str, result: Result) -> None:
        """Keep a result of the remote, if all of its blobs are on this machine."""
        if all(self.has(found) for found in result.outputs.values()):
            self._record(key, result.with_contents({}))

    def has(self, wanted: Digest) -> bool:
        """Whether a blob is on this machine."""
        return wanted.size == 0 or wanted.hash in self._kept or self.store.has(wanted.hash)

    def read(self, wanted: Digest) -> bytes | None:
        """The bytes of a blob, from wherever they are; None where they are nowhere."""
        data = self.read_local(wanted)
        if data is None and self.remote is not None:
            data = self.remote.read(wanted)
            if data is not None:
                self._keep_blob(data)
        return data

    def read_local(self, wanted: Digest) -> bytes | None:
        """The bytes of a blob that is on this machine."""
        if wanted.size == 0:
            return b""
        return self._kept.get(wanted.hash) or self.store.read(wanted.hash)

    def record(self, key: str, *, anywhere: bool = False) -> Record | None:
        """What the action of a key was made from, if it is known here, or *anywhere*."""
        data = self.store.read(key) or self._kept.get(key)
        if data is None and anywhere and self.remote is not None:
            data = self.remote.read_record(key)
        try:
            return None if data is None else Record.decode(data)
        except (ValueError, RecursionError):
            return None

    def bring(self, wanted: Iterable[Digest]) -> bool:
        """Fetch the blobs that are not on this machine, together; whether all of them are now."""
        absent = [one for one in dict.fromkeys(wanted) if not self.has(one)]
        if not absent:
            return True
        if self.remote is None:
            return False
        found = self.remote.read_all(absent)
        for data in found.values():
            self._keep_blob(data)
        return len(found) == len(absent)

    # -- keeping -----------------------------------------------------------------------------------

    def keep_blobs(self, outputs: Mapping[str, bytes]) -> dict[str, Digest]:
        """Keep artifacts that an action gave."""
        return {name: self._keep_blob(data) for name, data in outputs.items()}

    def keep_record(self, record: Record) -> None:
        """Keep what an action was made from, under its key."""
        self._keep_blob(record.encoded)

    def publish(self, record: Record, result: Result, inline: Collection[str] = ()) -> Result:
        """Keep a result whose blobs are kept already, and upload it where that is meant."""
        self.keep_record(record)
        self._record(record.key, result)
        if self.remote is not None and self.remote.upload:
            sent = result
            small = {name: found for name, found in result.outputs.items() if name in inline and found.size <= INLINE}
            if small:
                contents = {name: self.read_local(found) or b"" for name, found in small.items()}
                sent = result.with_contents(contents)
            self._upload(record.digest, sent, (record.digest, *result.outputs.values()))
        return result

    def remember(self, record: Record, note: str) -> None:
        """Keep a text under the key of what it was found from."""
        result = Result({}, note)
        self._record(record.key, result)
        if self.remote is not None and self.remote.upload:
            self._upload(record.digest, result, ())

    def hold(self, data: bytes) -> None:
        """Keep a blob in memory that the store could not take."""
        self._kept[digest(data)] = data

    def _upload(self, action: Digest, result: Result, blobs: tuple[Digest, ...]) -> None:
        assert self.remote is not None
        with self._lock:
            if self._uploads is None:
                self._uploads = Uploads(self.remote.backend, self.remote.writing, self.read_local)
        if self.remote.signer is not None:
            result = self.remote.signer.sign(action.hash, result)
        self._uploads.add(Upload(action, result, blobs))

    def _keep_blob(self, data: bytes) -> Digest:
        try:
            return self.store.write(data)
        except OSError as error:
            self.store_problem = f"{error.strerror or error}"
            self.hold(data)
            return digest_of(data)

    def _record(self, key: str, result: Result) -> None:
        try:
            self.store.record(key, result)
        except OSError as error:
            self.store_problem = f"{error.strerror or error}"

    # -- the end -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Wait for uploads, within their bounds, and close the connections."""
        uploads, self._uploads = self._uploads, None
        if self.remote is None:
            return
        if uploads is not None:
            self.remote.left += uploads.finish()
        self.remote.backend.close()

    def stories(self) -> list[str]:
        """A line for each thing that did not go as it should."""
        where = self.store.base
        told = [f"results are not kept in {where}: {self.store_problem}"] if self.store_problem else []
        told += self.told
        return told + (self.remote.stories() if self.remote is not None else [])
