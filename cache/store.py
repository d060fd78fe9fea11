"""The local store: blobs by digest, results by action key, shared by all workspaces of a user.

::

    <store>/v1/cas/ab/abcd...   a blob; its name is its SHA-256
    <store>/v1/ac/12/1234...    a result, by action key

Nothing is locked: every file is written under a temporary name and renamed, a blob's name says what is in
it, and a result is written after its blobs. Every read is hashed, so a file that was cut off by a power
failure or changed by hand is a miss, not a wrong build; that is also why writes are not synced to the disk
one by one.
"""

from pathlib import Path

from dolbuild.cache.action import Result
from dolbuild.cache.digest import digest
from dolbuild.files import write_atomic

VERSION = "v1"


class Store:
    """A store in a folder. Faults of the disk on reading are misses; on writing they raise OSError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / VERSION

    def _blob(self, name: str) -> Path:
        return self.folder / "cas" / name[:2] / name

    def _result(self, key: str) -> Path:
        return self.folder / "ac" / key[:2] / key

    def has(self, name: str) -> bool:
        """Whether a blob is there (not whether it is whole; `read` tells)."""
        return self._blob(name).is_file()

    def read(self, name: str) -> bytes | None:
        """A blob's bytes, or None where it is missing or is not what its name says."""
        path = self._blob(name)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if digest(data) != name:
            path.unlink(missing_ok=True)
            return None
        return data

    def write(self, data: bytes) -> str:
        """Keep a blob; gives its digest."""
        name = digest(data)
        path = self._blob(name)
        try:
            if path.stat().st_size == len(data):
                return name
        except OSError:
            pass
        write_atomic(path, data, mode=0o444)
        return name

    def lookup(self, key: str) -> Result | None:
        """The result of an action, if it is known and all of its blobs are there."""
        try:
            result = Result.decode(self._result(key).read_bytes())
        except (OSError, ValueError):
            return None
        return result if all(map(self.has, result.outputs.values())) else None

    def record(self, key: str, result: Result) -> None:
        """Keep an action's result. Its blobs must have been written before."""
        write_atomic(self._result(key), result.encode())
