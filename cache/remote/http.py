"""The HTTP protocol of Bazel's remote cache: ``GET`` and ``PUT`` of ``/ac/<key>`` and ``/cas/<sha256>``.

404 and 204 are misses; 200, 201, 202 and 204 answer a ``PUT`` that went well. nginx with WebDAV, bazel-remote and hosted services speak it
(https://bazel.build/remote/caching#http-caching).
"""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from dolbuild.cache.digest import Digest
from dolbuild.cache.remote.backend import MAX_BLOB, MAX_RESULT, RemoteError

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

CONNECTIONS = 32
RATE = 1e6
"""Bytes in a second that a large blob is given time for, on top of the time limit."""

_MISSES = (204, 404)
_STORED = (200, 201, 202, 204)
_REFUSALS = (401, 403, 405, 407, 501)


class HttpBackend:
    """A cache behind an address, with *headers* sent with each request. *timeout* bounds each request as a whole (seconds; large blobs
    get more)."""

    batch = 1

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float, agent: str) -> None:
        self.url = url.rstrip("/")
        self.headers = {**headers, "user-agent": agent, "accept-encoding": "identity"}
        self.timeout = timeout
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        self._uploaded: set[str] = set()
        self._deadlines = _Deadlines(timeout)
        self._traced = {"trace": self._deadlines.trace}

    @property
    def client(self) -> "httpx.Client":
        """The connections of this run. Raises RemoteError."""
        with self._lock:
            if self._client is None:
                import httpx

                try:
                    self._client = httpx.Client(
                        headers=self.headers,
                        timeout=httpx.Timeout(self.timeout, connect=min(self.timeout, 3.0)),
                        follow_redirects=False,
                        http2=self.url.startswith("https:") and find_spec("h2") is not None,
                        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
                    )
                except (ValueError, ImportError, OSError) as error:  # SSLError is an OSError
                    raise RemoteError(f"no connection can be made: {error}", refused=True) from None
            return self._client

    def result(self, action: Digest, inline: Sequence[str]) -> bytes | None:
        return self._get(f"/ac/{action.hash}", MAX_RESULT)

    def blob(self, digest: Digest) -> bytes | None:
        return self._get(f"/cas/{digest.hash}", min(digest.size, MAX_BLOB))

    def blobs(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        found: dict[Digest, bytes] = {}
        with ThreadPoolExecutor(min(CONNECTIONS, max(1, len(digests)))) as pool:
            for digest, data in zip(digests, pool.map(self.blob, digests), strict=True):
                if data is not None:
                    found[digest] = data
        return found

    def missing(self, digests: Sequence[Digest]) -> Sequence[Digest]:
        """HTTP has no question for many blobs; those that this run has uploaded are known."""
        return [one for one in digests if one.hash not in self._uploaded]

    def put_blobs(self, blobs: Iterable[tuple[Digest, bytes]]) -> None:
        for digest, data in blobs:
            self._put(f"/cas/{digest.hash}", data)
            self._uploaded.add(digest.hash)

    def put_result(self, action: Digest, data: bytes) -> None:
        self._put(f"/ac/{action.hash}", data)

    def check(self) -> str:
        self._get("/ac/" + "0" * 64, MAX_RESULT)
        return "HTTP"

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _get(self, path: str, limit: int) -> bytes | None:
        return self._in_time(limit if path.startswith("/cas/") else 0, lambda: self._receive(path, limit))

    def _put(self, path: str, data: bytes) -> None:
        self._in_time(len(data), lambda: self._send(path, data))

    def _receive(self, path: str, limit: int) -> bytes | None:
        with self.client.stream("GET", self.url + path, extensions=self._traced) as answer:
            if answer.status_code in _MISSES:
                return None
            _check(answer.status_code, (200,))
            parts: list[bytes] = []
            size = 0
            for part in answer.iter_raw():
                size += len(part)
                if size > limit:
                    raise RemoteError("it sends more than there can be")
                parts.append(part)
            return b"".join(parts)

    def _send(self, path: str, data: bytes) -> None:
        answer = self.client.put(self.url + path, content=data, extensions=self._traced)
        _check(answer.status_code, _STORED)

    def _in_time(self, size: int, work: Callable[[], T]) -> T:
        """Do a request that moves *size* bytes."""
        import httpx

        token = self._deadlines.begin(size / RATE)
        try:
            return work()
        except httpx.TimeoutException:
            raise RemoteError(f"it was silent for {self.timeout:g} s", late=True) from None
        except httpx.LocalProtocolError:
            raise RemoteError("what would be sent is no request", refused=True) from None  # its text may hold a token
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            if self._deadlines.passed:
                raise RemoteError(f"it was silent for {self.timeout:g} s", late=True) from None
            raise RemoteError(f"it cannot be reached: {error or type(error).__name__}") from None
        finally:
            self._deadlines.end(token)


class _Deadlines:
    """Ends requests that take too long as a whole: a server may send a byte now and then for ever, in heads too, and no time limit on a
    single read sees that. One thread watches over all of them; when the time of one is up, all connections are shut down."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.passed = False
        self._sockets: list[Any] = []
        self._ends: dict[int, float] = {}
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self, more: float) -> int:
        """A request begins, which may take *more* seconds than the time limit; gives what ends it."""
        token = next(self._numbers)
        self._ends[token] = time.monotonic() + self.timeout + more
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                    self._thread.start()
        return token

    def end(self, token: int) -> None:
        """A request has ended."""
        self._ends.pop(token, None)

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Hears of new connections (the ``trace`` extension of httpx)."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._sockets.append(info["return_value"].get_extra_info("socket"))

    def _watch(self) -> None:
        while not self.passed:
            now = time.monotonic()
            first = min(list(self._ends.values()), default=now + self.timeout)
            if first <= now:
                self.passed = True
                for one in self._sockets:
                    try:
                        one.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass  # it is closed already
            time.sleep(max(0.0, first - now) + 0.05)


def _check(status: int, wanted: Sequence[int]) -> None:
    if status not in wanted:
        raise RemoteError(f"it answers {status}", refused=status in _REFUSALS)
