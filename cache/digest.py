"""Digests: SHA-256, the name of every blob and the stuff of every action key.

Keys and blobs cross trust boundaries (a shared store, a remote), so nothing weaker will do.
"""

import hashlib
import re
from typing import NamedTuple

DIGEST_LENGTH = 64
"""Hexadecimal digits of a digest."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Digest(NamedTuple):
    """The name of a blob and its size in bytes, as the Remote Execution API has it."""

    hash: str
    size: int


def digest(data: bytes) -> str:
    """The SHA-256 of *data* as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(data: bytes) -> Digest:
    """The digest of *data* with its size."""
    return Digest(digest(data), len(data))


def is_digest(text: object) -> bool:
    """Whether *text* has the form of a digest; what comes from outside is asked before it names a file."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None
