"""Trees: the files of a package, their digest, and their place among the caches.

The digest of a tree is the SHA-256 of a line for each file, sorted by path: the digest of its bytes, two blanks, its path.
Modes, times and links are not part of it; a package has none.

A tree is unpacked under a temporary name and renamed, so that it is there as a whole or not at all. Beside it, in
``<tree>.stat``, stand size and time of each file as they were then: as long as those are the same, nobody has to read
the files to know that the tree is what it was.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from dolbuild.files import PREFIX, write_atomic

MAX_FILES = 10_000
MAX_BYTES = 256 << 20
"""What a package may hold, unpacked."""

_PART = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,127}")
_SOURCE = re.compile(r"src/(?:[A-Za-z_][A-Za-z0-9_]*/)*[A-Za-z_][A-Za-z0-9_]*\.dol")
_DOCUMENT = re.compile(r"(?:README|LICENSE|LICENCE|COPYING|NOTICE|CHANGELOG)(?:[.-][A-Za-z0-9.-]+)?")


class WrongTree(Exception):
    """What should be a package holds something that no package may."""


def is_file_of_package(path: str) -> bool:
    """Whether a file below a Spirit's folder is part of the package: its manifest, its sources, its README and license."""
    return path == "Spirit.dol" or _SOURCE.fullmatch(path) is not None or _DOCUMENT.fullmatch(path) is not None


def check_path(path: str) -> None:
    """Refuse a path from outside that is not simply a name below names. Raises WrongTree."""
    parts = path.split("/")
    if len(parts) > 40 or not all(_PART.fullmatch(part) for part in parts):
        raise WrongTree(f"it holds a file named {path[:200]!r}")


def check_size(files: int, size: int) -> None:
    """Refuse what is larger than a package can be. Raises WrongTree."""
    if files > MAX_FILES:
        raise WrongTree(f"it holds more than {MAX_FILES} files")
    if size > MAX_BYTES:
        raise WrongTree(f"it is larger than {MAX_BYTES >> 20} MiB")


def tree_digest(files: Mapping[str, bytes]) -> str:
    """The digest of a tree that is given by path."""
    return listing_digest({path: hashlib.sha256(data).hexdigest() for path, data in files.items()})


def listing_digest(digests: Mapping[str, str]) -> str:
    """The digest of a tree whose files' digests are given by path."""
    lines = "".join(f"{digests[path]}  {path}\n" for path in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a Spirit's folder that are part of the package, by path. Raises OSError and WrongTree."""
    found: dict[str, bytes] = {}
    for path in sorted(_walk(folder)):
        if is_file_of_package(path):
            check_path(path)
            found[path] = (folder / path).read_bytes()
    check_size(len(found), sum(map(len, found.values())))
    return found


def _walk(folder: Path) -> Iterable[str]:
    for base, folders, names in os.walk(folder):
        relative = Path(base).relative_to(folder).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        if not prefix:
            folders[:] = [name for name in folders if name == "src"]
        for name in (*folders, *names):
            if (Path(base) / name).is_symlink():
                raise WrongTree(f"{prefix}{name} is a symbolic link")
        yield from (prefix + name for name in names if (Path(base) / name).is_file())


def _stat_file(folder: Path) -> Path:
    return folder.with_name(folder.name + ".stat")


def install(folder: Path, files: Mapping[str, bytes], digest: str) -> None:
    """Put a tree in its place. Whoever else does the same at the same time has the same bytes; the first one wins. Raises
    OSError and leaves nothing half-written; a place that holds something else is replaced."""
    parent = folder.parent
    parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=parent, prefix=PREFIX))
    try:
        tree = work / "tree"
        tree.mkdir()
        for path, data in files.items():
            check_path(path)
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(0o444)
        stats = _stats(tree)
        if not is_intact(folder, digest):
            if folder.exists() or folder.is_symlink():
                os.rename(folder, work / "old")
            try:
                os.rename(tree, folder)
            except OSError:
                if not is_intact(folder, digest):  # else another process was faster
                    raise
            else:
                write_atomic(_stat_file(folder), json.dumps({"digest": digest, "files": stats}).encode())
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _stats(folder: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    waiting = [(folder, "")]
    while waiting:
        base, prefix = waiting.pop()
        with os.scandir(base) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), f"{prefix}{entry.name}/"))
                    continue
                stat = entry.stat(follow_symlinks=False)
                found[prefix + entry.name] = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
    return found


def is_intact(folder: Path, digest: str) -> bool:
    """Whether a tree is there and is what its digest says. Its files are read only where their stat is not as it was."""
    try:
        stats = _stats(folder)
    except OSError:
        return False
    try:
        known = json.loads(_stat_file(folder).read_bytes())
        if known["digest"] == digest and known["files"] == stats:
            return True
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if len(stats) > MAX_FILES or sum(size for size, _, _ in stats.values()) > MAX_BYTES:
        return False
    digests: dict[str, str] = {}
    for path in stats:
        full = folder / path
        if full.is_symlink():
            return False
        try:
            digests[path] = hashlib.sha256(full.read_bytes()).hexdigest()
        except OSError:
            return False
    if listing_digest(digests) != digest:
        return False
    try:
        write_atomic(_stat_file(folder), json.dumps({"digest": digest, "files": stats}).encode())
    except OSError:
        pass  # only slower the next time
    return True
