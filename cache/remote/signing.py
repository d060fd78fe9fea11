"""Signatures of results: who may write to a remote is not always who may be believed.

A signature is an HMAC-SHA-256 (RFC 2104) over namespace, action key and what the result says, not over the bytes it came in: a server of
the Remote Execution API may encode it anew. Blobs need none, their names say what is in them.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace

from dolbuild.cache.action import Result, canonical

_SCHEME = "dol-hmac-sha256"


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """Keys that results are signed with (the first one) and believed by (any of them)."""

    namespace: str
    keys: tuple[bytes, ...]

    def sign(self, key: str, result: Result) -> Result:
        """The result with a signature."""
        return replace(result, signature=f"{_SCHEME} {self._mac(self.keys[0], key, result)}")

    def believes(self, key: str, result: Result) -> bool:
        """Whether one of the keys has signed the result for this action key."""
        scheme, _, mac = result.signature.partition(" ")
        if scheme != _SCHEME or not mac.isascii():
            return False
        return any(hmac.compare_digest(mac, self._mac(secret, key, result)) for secret in self.keys)

    def _mac(self, secret: bytes, key: str, result: Result) -> str:
        said = [self.namespace, key, {name: list(found) for name, found in result.outputs.items()}, result.notes]
        return hmac.new(secret, canonical(said), hashlib.sha256).hexdigest()
