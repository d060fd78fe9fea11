"""The HTTP protocol of Bazel's remote cache: ``GET`` and ``PUT`` of ``/ac/<key>`` and ``/cas/<sha256>``.

404 and 204 are misses; 200, 201, 202 and 204 answer a ``PUT`` that went well. nginx with WebDAV, bazel-remote and hosted services speak it
(https://bazel.build/remote/caching#http-caching).
"""

import itertools
import math
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

CONNECTIONS = 64
"""More than there are threads that ask, so that none waits for one."""

FETCHING = 16
"""Threads that fetch several blobs at once, for all who want some."""

REST = 16 << 10
"""Bytes of an answer that nobody wants which are read so that its connection can be used again."""

RATE = 1e6
"""Bytes in a second that a large blob is given time for, on top of the time limit."""

_MISSES = (204, 404)
_STORED = (200, 201, 202, 204)
_REFUSALS = (401, 403, 405, 407, 501)


class HttpBackend:
    """A cache behind an address, with *headers* sent with each request. *timeout* bounds each request as a whole (seconds; large blobs
    get more)."""

    batch = 1
    sized = False

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float, agent: str) -> None:
        self.url = url.rstrip("/")
        self.headers = {**headers, "user-agent": agent, "accept-encoding": "identity"}
        self.timeout = timeout
        self._clients: dict[str, httpx.Client] = {}
        self._fetching: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._uploaded: set[str] = set()
        self._deadlines = _Deadlines(timeout)
        self._traced = {"trace": self._deadlines.trace}

    def client(self, method: str) -> "httpx.Client":
        """The connections of this run for a method. HTTP/2 is for reading: uploads of several threads over one connection of it were
        seen to be refused by nginx (400). Raises RemoteError."""
        with self._lock:
            found = self._clients.get(method)
            if found is None:
                import httpx

                try:
                    found = self._clients[method] = httpx.Client(
                        headers=self.headers,
                        timeout=httpx.Timeout(self.timeout, connect=min(self.timeout, 3.0), pool=None),
                        follow_redirects=False,
                        http2=method == "GET" and self.url.startswith("https:") and find_spec("h2") is not None,
                        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
                    )
                except (ValueError, ImportError, OSError) as error:  # SSLError is an OSError
                    reason = f"no connection can be made: {error}; look at SSL_CERT_FILE, SSL_CERT_DIR and the variables of proxies"
                    raise RemoteError(reason, refused=True) from None
            return found

    def result(self, action: Digest, inline: Sequence[str]) -> bytes | None:
        return self._get(f"/ac/{action.hash}", MAX_RESULT)

    def blob(self, digest: Digest) -> bytes | None:
        return self._get(f"/cas/{digest.hash}", min(digest.size, MAX_BLOB))

    def blobs(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        with self._lock:
            if self._fetching is None:
                self._fetching = ThreadPoolExecutor(FETCHING, "fetch")
        answers = self._fetching.map(self.blob, digests)
        return {digest: data for digest, data in zip(digests, answers, strict=True) if data is not None}

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
        if self._fetching is not None:
            self._fetching.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _get(self, path: str, limit: int) -> bytes | None:
        return self._in_time(limit if path.startswith("/cas/") else 0, lambda: self._receive(path, limit))

    def _put(self, path: str, data: bytes) -> None:
        self._in_time(len(data), lambda: self._send(path, data))

    def _receive(self, path: str, limit: int) -> bytes | None:
        with self.client("GET").stream("GET", self.url + path, extensions=self._traced) as answer:
            if answer.status_code in _MISSES:
                _read_rest(answer)
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
        with self.client("PUT").stream("PUT", self.url + path, content=data, extensions=self._traced) as answer:
            _check(answer.status_code, _STORED)
            _read_rest(answer)

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
            if self._deadlines.has_passed(token):
                raise RemoteError(f"it was silent for {self.timeout:g} s", late=True) from None
            raise RemoteError(f"it cannot be reached: {error or type(error).__name__}") from None
        finally:
            self._deadlines.end(token)


class _Deadlines:
    """Ends requests that take too long as a whole: a server may send a byte now and then for ever, in heads too, and no time limit on a
    single read sees that. One thread watches over all of them; when the time of one is up, all connections are shut down."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._sockets: set[Any] = set()
        self._ends: dict[int, float] = {}
        self._begun: dict[int, float] = {}
        self._shut = -math.inf
        """When all connections were shut down last."""
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._wakes = math.inf
        self._changed = threading.Condition()

    def begin(self, more: float) -> int:
        """A request begins, which may take *more* seconds than the time limit; gives what ends it."""
        token = next(self._numbers)
        now = time.monotonic()
        end = now + self.timeout + more
        with self._changed:
            self._begun[token] = now
            self._ends[token] = end
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()
            elif end < self._wakes:
                self._changed.notify()
        return token

    def end(self, token: int) -> None:
        """A request has ended."""
        with self._changed:
            self._ends.pop(token, None)
            self._begun.pop(token, None)

    def has_passed(self, token: int) -> bool:
        """Whether a request was ended because it, or another one beside it, took too long."""
        with self._changed:
            return self._shut >= self._begun.get(token, math.inf)

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Hears of new connections (the ``trace`` extension of httpx)."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            made = info["return_value"].get_extra_info("socket")
            with self._changed:
                self._sockets = {one for one in self._sockets if one.fileno() >= 0} | {made}

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                late = {token for token, end in self._ends.items() if end <= now}
                if late:
                    self._shut = now
                    for token in late:
                        del self._ends[token]
                    for one in self._sockets:
                        try:
                            one.shutdown(socket.SHUT_RDWR)
                        except OSError:
                            pass  # it is closed already
                    self._sockets.clear()
                self._wakes = min(self._ends.values(), default=math.inf)
                self._changed.wait(None if self._wakes == math.inf else max(0.0, self._wakes - now))


def _read_rest(answer: "httpx.Response") -> None:
    """Read an answer to its end if that is near; otherwise its connection is closed with it."""
    size = 0
    for part in answer.iter_raw():
        size += len(part)
        if size > REST:
            break


def _check(status: int, wanted: Sequence[int]) -> None:
    if status not in wanted:
        raise RemoteError(f"it answers {status}", refused=status in _REFUSALS)
