"""Writing files so that no one ever sees half of one."""

import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = ".tmp-"
"""How names of temporary files begin."""

ABANDONED = 3600.0
"""Seconds after which a temporary file has no one who would still rename it."""


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file under a temporary name beside its own, then rename it.

    A process that is killed leaves the old file, or the new one, and at most a temporary file that starts
    with ``.tmp-``. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PREFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(mode)
        os.replace(name, path)
    except BaseException:
        try:
            Path(name).unlink()
        except OSError:
            pass
        raise


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
