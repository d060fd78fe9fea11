"""The local store: blobs by digest, results by action key, shared by all workspaces of a user.

::

    <store>/v2/cas/ab/abcd...   a blob; its name is its SHA-256. Records of actions are blobs: their digest is the key
    <store>/v2/ac/12/1234...    a result, by action key
    <store>/v2/running/...      one file for each build that is using the store (see `pin`)

Nothing is locked: every file is written under a temporary name and renamed, a blob's name says what is in
it, and a result is written after its blobs. Every read is hashed, so a file that was cut off by a power
failure or changed by hand is a miss, not a wrong build; that is also why writes are not synced to the disk
one by one. The modification time of a file is when it was used last.
"""

import atexit
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from dolbuild.cache.action import Result
from dolbuild.cache.digest import Digest, digest, digest_of, is_digest
from dolbuild.files import read_whole, write_atomic

VERSION = "v2"
_REFUSED = (errno.EPERM, errno.EACCES, errno.EROFS)


class Store:
    """A store in a folder. Faults of the disk on reading are misses; on writing they raise OSError."""

    def __init__(self, folder: Path) -> None:
        self.base = folder
        self.folder = folder / VERSION
        self._cas = f"{self.folder}/cas/"
        self._ac = f"{self.folder}/ac/"

    def blob_path(self, name: str) -> str:
        """Where a blob is, or would be."""
        return f"{self._cas}{name[:2]}/{name}"

    def result_path(self, key: str) -> str:
        """Where the result of an action is, or would be."""
        return f"{self._ac}{key[:2]}/{key}"

    def has(self, name: str) -> bool:
        """Whether a blob is there (not whether it is whole; `read` tells). It counts as used."""
        return _use(self.blob_path(name))

    def read(self, name: str) -> bytes | None:
        """A blob's bytes, or None where it is missing or is not what its name says."""
        path = self.blob_path(name)
        try:
            data = read_whole(path)
        except OSError:
            return None
        if digest(data) != name:
            _remove(path)
            return None
        return data

    def write(self, data: bytes) -> Digest:
        """Keep a blob; gives its digest."""
        found = digest_of(data)
        path = self.blob_path(found.hash)
        try:
            if os.stat(path).st_size == found.size:
                _use(path)
                return found
        except OSError:
            pass
        write_atomic(Path(path), data, mode=0o444)
        return found

    def names(self, prefix: str) -> list[str]:
        """The blobs whose names begin like this; at least two digits."""
        try:
            found = os.listdir(f"{self._cas}{prefix[:2]}")
        except OSError:
            return []
        return sorted(name for name in found if name.startswith(prefix) and is_digest(name))

    def lookup(self, key: str) -> Result | None:
        """The result of an action, if it is known and all of its blobs are there. They count as used."""
        path = self.result_path(key)
        try:
            result = Result.decode(read_whole(path))
        except (OSError, ValueError):
            return None
        if not all(self.has(found.hash) for found in result.outputs.values()):
            return None
        _use(path)
        return result

    def record(self, key: str, result: Result) -> None:
        """Keep an action's result. Its blobs must have been written before."""
        write_atomic(Path(self.result_path(key)), result.encode())

    # -- who is using it ---------------------------------------------------------------------------

    def pin(self, journal: Path) -> Callable[[], None]:
        """Say that a build is running which needs what its *journal* names; gives what ends that, at the latest when the process does. Where the store cannot be
        written, nobody can collect there either. The lock is gone with the process, however it ends."""
        folder = self.folder / "running"
        path = folder / f"{os.getpid()}-{os.urandom(8).hex()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError:
            return lambda: None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.write(handle, str(journal.absolute()).encode("utf-8", "surrogateescape"))
        except OSError:
            pass  # a full disk, or one without locks: what is used in this run is still newer than the run

        open_handles = [handle]

        def end() -> None:
            if open_handles:
                _remove(str(path))
                os.close(open_handles.pop())

        atexit.register(end)
        return end

    def running(self) -> Iterator[tuple[Path, float]]:
        """The journals of builds that use the store now, and when each began (seconds). What killed builds left is removed."""
        try:
            entries = list(os.scandir(self.folder / "running"))
        except OSError:
            return
        for entry in entries:
            try:
                handle = os.open(entry.path, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                began = os.fstat(handle).st_mtime
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    yield Path(os.read(handle, 1 << 16).decode("utf-8", "surrogateescape")), began
                else:
                    _remove(entry.path)
            finally:
                os.close(handle)


def _use(path: str) -> bool:
    """Mark a file as used now; whether it is there."""
    try:
        os.utime(path)
    except OSError as error:
        return error.errno in _REFUSED and os.path.exists(path)
    return True


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # someone else was faster, or it may not be removed: a read says what it is
