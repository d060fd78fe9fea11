"""The cache of the Remote Execution API v2, over gRPC (https://github.com/bazelbuild/remote-apis).

Messages are written by their field numbers (`dolbuild.cache.wire`); of ``grpcio`` only the transport is used, so that the extra is that one
package. Blobs go in batches as large as the server takes, larger ones as streams, compressed where the server offers it and ``zstandard``
is installed.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc

from dolbuild.cache.action import decode_digest, encode_digest
from dolbuild.cache.digest import Digest
from dolbuild.cache.remote.backend import MAX_RESULT, RemoteError
from dolbuild.cache.wire import Message, encode, message, repeated

try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

_WAITS = (0.02, 0.08, 0.3, 1.0)
"""Seconds before a request is made again that the server had no room for (``RESOURCE_EXHAUSTED``): some take only so many at once."""

_SERVICES = "/build.bazel.remote.execution.v2."
_SHA256 = 1
_ZSTD = 1
_CHUNK = 1 << 20
"""Bytes of one message of a stream."""

_BATCH = 4 << 20
"""Bytes of a request where the server sets no limit: what gRPC takes by default, from which room for the message itself is left."""

_ROOM = 64 << 10
_SMALLEST = 1 << 10
"""Blobs below this (bytes) are not worth compressing."""

_OK, _NOT_FOUND = 0, 5
_REFUSALS = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
)
_UPLOADS = uuid.uuid4().hex


def _same(data: bytes) -> bytes:
    return data


class ReapiBackend:
    """A cache behind ``host:port`` with an *instance* name; *headers* go with each call. *timeout* bounds each call (seconds). *roots*: a file
    of certificates that are trusted instead of the usual ones. Raises RemoteError where that cannot be read."""

    batch = 64
    sized = True

    def __init__(
        self,
        target: str,
        instance: str,
        headers: Mapping[str, str],
        timeout: float,
        agent: str,
        *,
        secure: bool,
        roots: str | None = None,
    ) -> None:
        self.instance = instance
        self.timeout = timeout
        name, _, version = agent.partition("/")
        told = message((1, message((1, name), (2, version))))
        self.metadata = [*((key.lower(), value) for key, value in headers.items())]
        self.metadata.append(("build.bazel.remote.execution.v2.requestmetadata-bin", told))  # type: ignore[arg-type]
        options = [
            ("grpc.max_receive_message_length", 64 << 20),
            ("grpc.primary_user_agent", agent),
            ("grpc.enable_retries", 0),
        ]
        if secure:
            try:
                trusted = Path(roots).read_bytes() if roots else None
            except OSError as error:
                raise RemoteError(f"{roots} cannot be read: {error.strerror}", refused=True) from None
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(trusted), options=options)
        else:
            self._channel = grpc.insecure_channel(target, options=options)
        self._lock = threading.Lock()
        self._known: _Capabilities | None = None
        self._silent: RemoteError | None = None
        self._uploaded: set[str] = set()

    # -- calls -------------------------------------------------------------------------------------

    def _call(self, method: str, request: bytes) -> Message | None:
        """The answer to a request; None where what it is about is not there. Raises RemoteError."""
        stub = self._channel.unary_unary(_SERVICES + method, request_serializer=_same, response_deserializer=_same)
        data = self._guarded(lambda: stub(request, timeout=self.timeout, metadata=self.metadata))
        try:
            return None if data is None else Message(data)
        except ValueError:
            raise RemoteError("it answers what is no message") from None

    def _guarded(self, work: Callable[[], Any]) -> Any:
        for wait in (*_WAITS, None):
            try:
                return work()
            except grpc.RpcError as error:
                if wait is None or error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    self._refused(error)
                    return None
            time.sleep(wait)
        raise AssertionError

    def _refused(self, error: grpc.RpcError) -> None:
        """What an error means: None where something is not there. Raises RemoteError for the others."""
        code = error.code()
        if code is grpc.StatusCode.NOT_FOUND:
            return
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise RemoteError(f"it was silent for {self.timeout:g} s", late=True) from None
        details = " ".join(str(error.details()).split())[:200]
        reason = f"it answers {code.name}" + (f": {details}" if details else "")
        raise RemoteError(reason, refused=code in _REFUSALS) from None

    @property
    def capabilities(self) -> "_Capabilities":
        """What the server can do; it is asked once. Raises RemoteError."""
        with self._lock:
            if self._silent is not None:
                raise self._silent
            if self._known is None:
                found = self._ask_capabilities()
                try:
                    self._known = _capabilities(found)
                except ValueError:
                    raise RemoteError("it answers what is no message") from None
            return self._known

    def _ask_capabilities(self) -> Message | None:
        """All threads wait for this answer; where there is none, they must not wait for it one after the other."""
        try:
            return self._call("Capabilities/GetCapabilities", message((1, self.instance)))
        except RemoteError as error:
            if error.late or error.refused:
                self._silent = error
            raise

    # -- results -----------------------------------------------------------------------------------

    def result(self, action: Digest, inline: Sequence[str]) -> bytes | None:
        assert self.capabilities
        request = encode(
            [
                (1, self.instance),
                (2, encode_digest(action)),
                (3, 1),
                (4, 1),
                *((5, name) for name in inline),
                (6, _SHA256),
            ]
        )
        stub = self._channel.unary_unary(
            f"{_SERVICES}ActionCache/GetActionResult", request_serializer=_same, response_deserializer=_same
        )
        data: bytes | None = self._guarded(lambda: stub(request, timeout=self.timeout, metadata=self.metadata))
        return data if data is None or len(data) <= MAX_RESULT else None

    def put_result(self, action: Digest, data: bytes) -> None:
        if not self.capabilities.updates:
            raise RemoteError("it does not let us write results", refused=True)
        request = message((1, self.instance), (2, encode_digest(action)), (3, data), (5, _SHA256))
        self._call("ActionCache/UpdateActionResult", request)

    # -- blobs -------------------------------------------------------------------------------------

    def missing(self, digests: Sequence[Digest]) -> Sequence[Digest]:
        asked = [one for one in digests if one.hash not in self._uploaded]
        absent: list[Digest] = []
        for start in range(0, len(asked), 5000):
            some = asked[start : start + 5000]
            request = encode([(1, self.instance), *repeated(2, map(encode_digest, some)), (3, _SHA256)])
            answer = self._call("ContentAddressableStorage/FindMissingBlobs", request)
            if answer is None:
                raise RemoteError("it does not know its own instance", refused=True)
            named = {found.text(1) for found in answer.messages(2)}
            absent += [one for one in some if one.hash in named]
            self._uploaded |= {one.hash for one in some if one.hash not in named}
        return absent

    def put_blobs(self, blobs: Iterable[tuple[Digest, bytes]]) -> None:
        small: list[tuple[Digest, bytes]] = []
        for digest, data in blobs:
            if digest.size > self.capabilities.batch // 2:
                self._write(digest, data)
                self._uploaded.add(digest.hash)
            else:
                small.append((digest, data))
        for batch in self._batches(small, lambda blob: blob[0].size):
            self._update(batch)

    def _update(self, blobs: Sequence[tuple[Digest, bytes]]) -> None:
        requests = []
        for digest, data in blobs:
            packed = _compress(data) if self.capabilities.batch_zstd and digest.size >= _SMALLEST else None
            sent: tuple[bytes, int] = (data, 0) if packed is None else (packed, _ZSTD)
            requests.append(message((1, encode_digest(digest)), (2, sent[0]), (3, sent[1])))
        request = encode([(1, self.instance), *repeated(2, requests), (5, _SHA256)])
        answer = self._call("ContentAddressableStorage/BatchUpdateBlobs", request)
        if answer is None:
            raise RemoteError("it does not know its own instance", refused=True)
        for response in answer.messages(1):
            status = response.message(2)
            if status.number(1) != _OK:
                raise RemoteError(f"it does not take a blob: {status.data(2).decode('utf-8', 'replace')[:200]}")
        self._uploaded |= {digest.hash for digest, _ in blobs}

    def blob(self, digest: Digest) -> bytes | None:
        if digest.size > self.capabilities.batch // 2:
            return self._read(digest)
        return self._read_batch([digest]).get(digest)

    def blobs(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        found: dict[Digest, bytes] = {}
        small: list[Digest] = []
        for digest in digests:
            if digest.size > self.capabilities.batch // 2:
                data = self._read(digest)
                if data is not None:
                    found[digest] = data
            else:
                small.append(digest)
        for batch in self._batches(small, lambda digest: digest.size):
            found |= self._read_batch(batch)
        return found

    def _read_batch(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        accepted = _ZSTD if self.capabilities.zstd else 0
        request = encode([(1, self.instance), *repeated(2, map(encode_digest, digests)), (3, accepted), (4, _SHA256)])
        answer = self._call("ContentAddressableStorage/BatchReadBlobs", request)
        found: dict[Digest, bytes] = {}
        wanted = {digest.hash: digest for digest in digests}
        try:
            for response in answer.messages(1) if answer is not None else ():
                digest = wanted.get(decode_digest(response.message(1)).hash)
                status = response.message(3).number(1)
                if digest is None or status == _NOT_FOUND:
                    continue
                if status != _OK:
                    text = response.message(3).data(2).decode("utf-8", "replace")[:200]
                    raise RemoteError(f"it does not give a blob: {text}")
                data = response.data(2)
                found[digest] = _decompress(data, digest.size) if response.number(4) == _ZSTD else data
        except ValueError:
            raise RemoteError("it answers what is no message") from None
        return found

    def _batches(self, items: Iterable[Any], size: Callable[[Any], int]) -> Iterator[list[Any]]:
        batch: list[Any] = []
        room = limit = self.capabilities.batch
        for item in items:
            taken = size(item) + 200
            if batch and taken > room:
                yield batch
                batch, room = [], limit
            batch.append(item)
            room -= taken
        if batch:
            yield batch

    # -- streams -----------------------------------------------------------------------------------

    def _prefix(self) -> str:
        return f"{self.instance}/" if self.instance else ""

    def _read(self, digest: Digest) -> bytes | None:
        packed = self.capabilities.zstd
        kind = "compressed-blobs/zstd" if packed else "blobs"
        request = message((1, f"{self._prefix()}{kind}/{digest.hash}/{digest.size}"))
        stub = self._channel.unary_stream(
            "/google.bytestream.ByteStream/Read", request_serializer=_same, response_deserializer=_same
        )

        def receive() -> bytes:
            parts: list[bytes] = []
            size = 0
            for part in stub(request, timeout=self._long(digest.size), metadata=self.metadata):
                parts.append(Message(part).data(10))
                size += len(parts[-1])
                if size > digest.size + _ROOM:
                    raise RemoteError("it sends more than there can be")
            return b"".join(parts)

        try:
            data: bytes | None = self._guarded(receive)
        except ValueError:
            raise RemoteError("it answers what is no message") from None
        return _decompress(data, digest.size) if packed and data is not None else data

    def _write(self, digest: Digest, data: bytes) -> None:
        packed = _compress(data) if self.capabilities.zstd else None
        kind = "blobs" if packed is None else "compressed-blobs/zstd"
        name = f"{self._prefix()}uploads/{uuid.uuid5(uuid.NAMESPACE_OID, _UPLOADS + digest.hash)}/{kind}/{digest.hash}/{digest.size}"
        sent = data if packed is None else packed

        def requests() -> Iterator[bytes]:
            for start in range(0, len(sent), _CHUNK):
                part = sent[start : start + _CHUNK]
                last = int(start + _CHUNK >= len(sent))
                yield message((1, name if start == 0 else ""), (2, start), (3, last), (10, part))

        stub = self._channel.stream_unary(
            "/google.bytestream.ByteStream/Write", request_serializer=_same, response_deserializer=_same
        )
        self._guarded(lambda: stub(requests(), timeout=self._long(digest.size), metadata=self.metadata))

    def _long(self, size: int) -> float:
        """A large blob gets the time that it takes at 1 MB/s."""
        return self.timeout + size / 1e6

    # -- the rest ----------------------------------------------------------------------------------

    def check(self) -> str:
        found = self.capabilities
        writes = "results can be written" if found.updates else "results cannot be written"
        return f"Remote Execution API, batches of {found.batch >> 20} MiB, {'zstd' if found.zstd else 'not compressed'}, {writes}"

    def close(self) -> None:
        self._channel.close()


class _Capabilities:
    """What a server says of its cache. *batch*: bytes of blobs in one request."""

    def __init__(self, *, updates: bool, batch: int, zstd: bool, batch_zstd: bool) -> None:
        self.updates = updates
        self.batch = batch
        self.zstd = zstd and zstandard is not None
        self.batch_zstd = batch_zstd and zstandard is not None


def _capabilities(answer: Message | None) -> _Capabilities:
    """Raises ValueError and RemoteError."""
    cache = (answer or Message(b"")).message(1)
    functions = cache.numbers(1)
    if _SHA256 not in functions:
        raise RemoteError("it is no cache that names blobs by SHA-256", refused=True)
    said = cache.number(4)
    batch = min(said, _BATCH) if said > 0 else _BATCH
    return _Capabilities(
        updates=bool(cache.message(2).number(1)),
        batch=max(batch - _ROOM, _ROOM),
        zstd=_ZSTD in cache.numbers(6),
        batch_zstd=_ZSTD in cache.numbers(7),
    )


def _compress(data: bytes) -> bytes | None:
    """The data compressed; None where that is no shorter."""
    if zstandard is None:
        return None
    packed: bytes = zstandard.ZstdCompressor(level=3).compress(data)
    return packed if len(packed) < len(data) else None


def _decompress(data: bytes, size: int) -> bytes:
    """Raises RemoteError where the data is more than it may be, or none that is compressed."""
    if zstandard is None:
        raise RemoteError("it sends what was compressed without being asked for it")
    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            found: bytes = reader.read(size + 1)
            return found
    except zstandard.ZstdError:
        raise RemoteError("it sends what is not compressed as it says") from None
