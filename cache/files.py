"""Writing files so that no one ever sees half of one."""

import os
import tempfile
from pathlib import Path


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file under a temporary name beside its own, then rename it.

    A process that is killed leaves the old file, or the new one, and at most a temporary file that starts
    with ``.tmp-``. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
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
