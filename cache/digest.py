"""Digests: SHA-256, the name of every blob and the stuff of every action key.

Keys and blobs cross trust boundaries (a shared store, a remote), so nothing weaker will do.
"""

import hashlib
import re

DIGEST_LENGTH = 64
"""Hexadecimal digits of a digest."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest(data: bytes) -> str:
    """The SHA-256 of *data* as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def is_digest(text: object) -> bool:
    """Whether *text* has the form of a digest; what comes from outside is asked before it names a file."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None
