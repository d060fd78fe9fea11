"""Reading files whole, and writing them so that no one ever sees half of one."""

import itertools
import os
import shutil
import time
from pathlib import Path

PREFIX = ".tmp-"
"""How names of temporary files begin."""

ABANDONED = 3600.0
"""Seconds after which a temporary file has no one who would still rename it."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_numbers = itertools.count()
_token = os.urandom(6).hex()
"""Tells processes of one number apart, on machines or in containers that share a folder."""


def read_whole(path: str) -> bytes:
    """The bytes of a file, with as few calls of the system as can be: builds read many small ones. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        data = os.read(handle, size + 1)
        if len(data) == size:
            return data
        parts = [data]
        while part := os.read(handle, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644, synced: bool = False) -> None:
    """Write a file under a temporary name beside its own, then rename it.

    A process that is killed leaves the old file, or the new one, and at most a temporary file that starts
    with ``.tmp-``. *synced*: it is on the disk afterwards, even if the machine fails. Raises OSError.
    """
    name = f"{path.parent}/{PREFIX}{os.getpid():x}-{_token}-{next(_numbers):x}"
    try:
        handle = os.open(name, _FLAGS, mode)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(name, _FLAGS, mode)
    try:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(handle, left) :]
            if synced:
                os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(name, path)
        if synced:
            sync_folder(path.parent)
    except BaseException:
        try:
            os.unlink(name)
        except OSError:
            pass
        raise


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove temporary files and folders that a killed process has left in a folder."""
    now = time.time()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(PREFIX) and now - entry.stat(follow_symlinks=False).st_mtime > ABANDONED:
                    _remove(entry)
    except OSError:
        pass  # what cannot be swept is in no one's way


def _remove(entry: "os.DirEntry[str]") -> None:
    try:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            Path(entry.path).unlink(missing_ok=True)
    except OSError:
        pass  # the next one may be easier
