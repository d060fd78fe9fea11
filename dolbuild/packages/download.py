"""Downloads: HTTP with bounds on time, size and redirects.

httpx does the work; proxies and certificates are taken from the environment as it does (``HTTPS_PROXY``, ``NO_PROXY``,
``SSL_CERT_FILE``). What is added here is policy: nothing is read without end, a redirect never leads from https to http nor
from the open network into a private one, credentials go to the host that they are for and no other.
"""

import ipaddress
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from dolbuild.bounded import in_time
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
    except (OSError, UnicodeError):
        return []


def redirect_problem(start: str, target: str, addresses: Addresses = addresses_of) -> str:
    """Why a redirect from *start* to *target* is not followed; empty where it is."""
    try:
        to, origin = urlsplit(target), urlsplit(start)
        return _redirect_problem(to, origin, addresses)
    except ValueError:  # UnicodeError as well: a host that is none
        return "it is redirected to what is no address"


def _redirect_problem(to: SplitResult, origin: SplitResult, addresses: Addresses) -> str:
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

                try:
                    self._client = httpx.Client(
                        timeout=httpx.Timeout(self.timeout, connect=min(self.timeout, 10.0)),
                        follow_redirects=False,
                        headers={"user-agent": f"dolbuild/{__version__}", "accept-encoding": "identity"},
                        limits=httpx.Limits(max_connections=16),
                    )
                except (ValueError, ImportError, OSError) as error:  # SSLError is an OSError
                    message = f"no connection can be made: {error}"
                    hint = "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
                    raise problem(UNREACHABLE, message, hint) from None
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
                response = in_time(lambda: self._follow(method, url, limit, headers, body, deadline), deadline)
                if method != "GET" or response.status not in _RETRIED:
                    return response
                reason = f"it answers {response.status}"
                wait = _retry_after(response.headers.get("retry-after", ""))
            except httpx.TimeoutException:
                reason = f"it was silent for {self.timeout:g} s"
                if attempt:
                    break
            except TimeoutError:
                reason = f"it takes more than {10 * self.timeout:g} s"
                break
            except httpx.LocalProtocolError:
                reason = "what would be sent is no request"  # its text may hold a token
                break
            except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError, UnicodeError) as error:
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
                    target = _joined(url, location)
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
        if answer.headers.get("content-encoding", "identity") not in ("identity", ""):
            raise problem(UNREACHABLE, f"{shown(url)} is not read: it is compressed, which nobody asked for")
        for part in answer.iter_raw():
            size += len(part)
            if size > limit:
                raise problem(UNREACHABLE, f"{shown(url)} is not read: it is larger than {limit >> 20} MiB")
            if time.monotonic() > deadline:
                raise TimeoutError
            parts.append(part)
        return b"".join(parts)


def shown(url: str) -> str:
    """An address without what may be secret in it."""
    try:
        split = urlsplit(url)
    except ValueError:
        return "an address that is none"
    host = split.netloc.rpartition("@")[2]
    return split._replace(netloc=host, query="", fragment="").geturl()


def _origin(url: str) -> tuple[str, str]:
    split = urlsplit(url)
    return split.scheme, split.netloc


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return "//"


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or TIMEOUT)
    except ValueError:
        return TIMEOUT
    return min(max(seconds, 0.1), 3600.0) if math.isfinite(seconds) else TIMEOUT


def _retry_after(text: str) -> float:
    return min(float(text), 10.0) if text.isdecimal() and len(text) < 6 else 0.0
