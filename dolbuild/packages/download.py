"""Downloads: HTTP with bounds on time, size and redirects.

httpx does the work; proxies and certificates are taken from the environment as it does (``HTTPS_PROXY``, ``NO_PROXY``,
``SSL_CERT_FILE``). What is added here is policy: nothing is read without end, a redirect never leads from https to http nor
from the open network into a private one, credentials go to the host that they are for and no other.
"""

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from dolbuild.packages.problem import UNREACHABLE, problem

if TYPE_CHECKING:
    import httpx

TIMEOUT_VARIABLE = "DOL_HTTP_TIMEOUT"
"""Seconds that a server may be silent; the whole of a download may take ten times as long."""

TIMEOUT = 30.0
MAX_REDIRECTS = 5
ATTEMPTS = 3
_BACK_OFF = 0.5
_RETRIED = (408, 425, 429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Response:
    """What a server answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Addresses = Callable[[str], Iterable[str]]
"""The addresses of a host; none where it has none."""


def addresses_of(host: str) -> list[str]:
    """The addresses of a host as this machine sees it."""
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)]
    except OSError:
        return []


def redirect_problem(start: str, target: str, addresses: Addresses = addresses_of) -> str:
    """Why a redirect from *start* to *target* is not followed; empty where it is."""
    to, origin = urlsplit(target), urlsplit(start)
    if to.scheme not in ("https", "http") or not to.hostname:
        return f"it is redirected to {to.scheme or 'nothing'}:"
    if origin.scheme == "https" and to.scheme != "https":
        return "it is redirected from https to http"
    if to.username is not None:
        return "it is redirected to an address with a user in it"
    if to.hostname != origin.hostname and _is_private(to.hostname, addresses):
        if not _is_private(origin.hostname or "", addresses):
            return "it is redirected into a private network"
    return ""


def _is_private(host: str, addresses: Addresses) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        pass
    if host == "localhost" or host.endswith((".localhost", ".internal", ".local")):
        return True
    return any(not ipaddress.ip_address(address.partition("%")[0]).is_global for address in addresses(host))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Downloader:
    """Fetches over HTTP. One client with its connections serves all threads of a run."""

    def __init__(self, *, offline: bool = False, environment: Mapping[str, str] | None = None) -> None:
        self.offline = offline
        self.environment = os.environ if environment is None else environment
        self.timeout = _seconds(self.environment.get(TIMEOUT_VARIABLE))
        self.requests = 0
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> "httpx.Client":
        with self._lock:
            if self._client is None:
                import httpx

                from dolbuild import __version__

                self._client = httpx.Client(
                    timeout=httpx.Timeout(self.timeout, connect=min(self.timeout, 10.0)),
                    follow_redirects=False,
                    headers={"user-agent": f"dolbuild/{__version__}"},
                    limits=httpx.Limits(max_connections=16),
                )
            return self._client

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def get(self, url: str, limit: int, headers: Mapping[str, str] | None = None) -> Response:
        """The answer to a GET; *headers* go to the first host only. A body of more than *limit* bytes, silence and everything
        else that is no answer raise DiagnosticError (E1003)."""
        return self.send("GET", url, limit, headers or {}, b"")

    def send(self, method: str, url: str, limit: int, headers: Mapping[str, str], body: bytes) -> Response:
        """Like `get`, for any method. What may have been done is not done again: only GET is tried more than once."""
        import httpx

        if self.offline:
            raise problem(UNREACHABLE, f"{shown(url)} is not fetched: --offline was given")
        deadline = time.monotonic() + 10 * self.timeout
        reason = ""
        for attempt in range(ATTEMPTS if method == "GET" else 1):
            wait = 0.0
            try:
                response = self._follow(method, url, limit, headers, body, deadline)
                if method != "GET" or response.status not in _RETRIED:
                    return response
                reason = f"it answers {response.status}"
                wait = _retry_after(response.headers.get("retry-after", ""))
            except httpx.TimeoutException:
                reason = f"it was silent for {self.timeout:g} s"
                if attempt:
                    break
            except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError) as error:
                reason = str(error) or type(error).__name__
            wait = max(wait, _BACK_OFF * 2**attempt)
            if time.monotonic() + wait > deadline:
                break
            if attempt < ATTEMPTS - 1:
                time.sleep(wait)
        raise problem(UNREACHABLE, f"{shown(url)} cannot be reached: {reason}")

    def _follow(
        self, method: str, url: str, limit: int, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Response:
        start = url
        for _ in range(MAX_REDIRECTS + 1):
            sent = dict(headers) if _origin(url) == _origin(start) else {}
            with self._lock:
                self.requests += 1
            with self.client.stream(method, url, headers=sent, content=body or None) as answer:
                location = answer.headers.get("location")
                if answer.status_code in _REDIRECTS and location is not None and method == "GET":
                    target = urljoin(url, location)
                    wrong = redirect_problem(start, target)
                    if wrong:
                        raise problem(UNREACHABLE, f"{shown(start)} cannot be used: {wrong}", "", f"to {shown(target)}")
                    url = target
                    continue
                return Response(answer.status_code, self._body(answer, start, limit, deadline), dict(answer.headers))
        raise problem(UNREACHABLE, f"{shown(start)} cannot be used: it is redirected more than {MAX_REDIRECTS} times")

    def _body(self, answer: Any, url: str, limit: int, deadline: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in answer.iter_bytes(_CHUNK):
            size += len(part)
            if size > limit:
                raise problem(UNREACHABLE, f"{shown(url)} is not read: it is larger than {limit >> 20} MiB")
            if time.monotonic() > deadline:
                raise problem(UNREACHABLE, f"{shown(url)} is not read: it takes more than {10 * self.timeout:g} s")
            parts.append(part)
        return b"".join(parts)


def shown(url: str) -> str:
    """An address without what may be secret in it."""
    split = urlsplit(url)
    host = split.netloc.rpartition("@")[2]
    return split._replace(netloc=host, query="", fragment="").geturl()


def _origin(url: str) -> tuple[str, str]:
    split = urlsplit(url)
    return split.scheme, split.netloc


def _seconds(text: str | None) -> float:
    try:
        return min(max(float(text or TIMEOUT), 0.1), 3600.0)
    except ValueError:
        return TIMEOUT


def _retry_after(text: str) -> float:
    return min(float(text), 10.0) if text.isdecimal() and len(text) < 6 else 0.0
