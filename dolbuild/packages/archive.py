"""Archives of packages: a gzipped tar, the same bytes for the same files, and its safe inverse."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Mapping

from dolbuild.packages.tree import MAX_BYTES, MAX_FILES, WrongTree, check_path, check_size, is_file_of_package

MAX_ARCHIVE = 64 << 20
"""Bytes of an archive that is still downloaded."""

_TIME = 0


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive of files by path. Order, times, owners and modes are fixed."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.mode = len(files[path]), _TIME, 0o644
            tar.addfile(entry, io.BytesIO(files[path]))
    return gzip.compress(plain.getvalue(), compresslevel=9, mtime=_TIME)


def unpack(archive: bytes) -> dict[str, bytes]:
    """The files of an archive by path. Raises WrongTree for anything that is not simply files of a package: nothing is written
    to the disk, and no more is unpacked than a package may hold."""
    plain = _inflate(archive)
    files: dict[str, bytes] = {}
    size = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            for entry in tar:
                if not entry.isreg():
                    raise WrongTree(
                        f"{entry.name[:200]!r} in it is no file but a {_KINDS.get(entry.type, 'special file')}"
                    )
                check_path(entry.name)
                if not is_file_of_package(entry.name):
                    raise WrongTree(f"{entry.name[:200]!r} is no file of a package")
                if entry.name in files:
                    raise WrongTree(f"{entry.name!r} is in it twice")
                size += entry.size
                check_size(len(files) + 1, size)
                data = tar.extractfile(entry)
                files[entry.name] = b"" if data is None else data.read()
                if len(files[entry.name]) != entry.size:
                    raise WrongTree(f"it ends in the middle of {entry.name!r}")
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise WrongTree(f"it is no archive: {error}") from None
    if not files:
        raise WrongTree("it is empty")
    return files


_KINDS = {
    tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "symbolic link", tarfile.LNKTYPE: "hard link", tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device", tarfile.FIFOTYPE: "pipe",
}  # fmt: skip


def _inflate(archive: bytes) -> bytes:
    """Unzip, at most as many bytes as the files of a package and their headers can be."""
    limit = MAX_BYTES + 1024 * (MAX_FILES + 16)
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(archive, limit)
    except zlib.error as error:
        raise WrongTree(f"it is no gzip file: {error}") from None
    if inflater.unconsumed_tail:
        raise WrongTree(f"it unpacks to more than {MAX_BYTES >> 20} MiB")
    if not inflater.eof:
        raise WrongTree("it is cut off")
    if inflater.unused_data:
        raise WrongTree("something follows its end")
    return plain
