"""What a remote cache can be asked. An answer may be missing, late or wrong; the caller checks what it gets.

Every call is bounded in time by the backend itself. What goes wrong is a `RemoteError`; that something is not there is not.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from dolbuild.cache.digest import Digest

MAX_RESULT = 4 << 20
"""Bytes of the largest action result that is read."""

MAX_BLOB = 1 << 30
"""Bytes of the largest blob that is read or written."""


class RemoteError(Exception):
    """A remote did not do what it was asked. *late*: it was silent for too long. *refused*: it does not let us, so asking again
    is of no use."""

    def __init__(self, reason: str, *, late: bool = False, refused: bool = False) -> None:
        super().__init__(reason)
        self.late = late
        self.refused = refused


class Backend(Protocol):
    """A protocol to a remote cache. All of it may be called from several threads."""

    batch: int
    """How many results are best uploaded together."""

    sized: bool
    """Whether a blob can only be had by who knows its size."""

    def result(self, action: Digest, inline: Sequence[str]) -> bytes | None:
        """The encoded result of an action; None where it is not known. *inline*: artifacts that may be sent along."""

    def blob(self, digest: Digest) -> bytes | None:
        """The bytes of a blob as they came; None where it is not there."""

    def blobs(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        """Several blobs at once; those that are not there are left out."""

    def missing(self, digests: Sequence[Digest]) -> Sequence[Digest]:
        """Which blobs have to be uploaded."""

    def put_blobs(self, blobs: Iterable[tuple[Digest, bytes]]) -> None:
        """Upload blobs."""

    def put_result(self, action: Digest, data: bytes) -> None:
        """Upload a result; its blobs are there."""

    def check(self) -> str:
        """Ask whether the remote answers; gives what it says of itself. Raises RemoteError."""

    def close(self) -> None:
        """Close the connections."""
