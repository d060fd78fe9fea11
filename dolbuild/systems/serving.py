"""A running System behind HTTP: functions, state, constraints, health, and a description of all of it.

Requests are read by a thread each, and within a time limit; calls happen one after the other, in a thread of their own, so a client
that hangs holds up no one. Nothing is sent that would let a page of another origin read an answer, and on loopback only names of this machine are
taken for a host, so that a page cannot get here through a name that it controls.
"""

import contextlib
import hmac
import ipaddress
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from dolbuild import __version__
from dolbuild.deep import deeply
from dolbuild.systems import openapi, refusals
from dolbuild.systems.running import Refused, Running

LARGEST_BODY = 8 << 20
"""Bytes of the largest request body that is read."""

READING = 30.0
"""Seconds in which a request has to be read."""

IDLE = 60.0
"""Seconds for which a connection may be idle between requests."""

FAREWELL = 5.0
"""Seconds in which answers are sent when the server ends."""

MOST_CONNECTIONS = 256
TICK = 0.05
"""Seconds between ticks of the engine, by which calls are limited."""

LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))


@dataclass(frozen=True, slots=True)
class Limits:
    """*call* is how many seconds a function may take."""

    call: float = 10.0
    body: int = LARGEST_BODY
    reading: float = READING


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_json(data: bytes) -> Any:
    """JSON, strictly: no name twice, no NaN. Raises ValueError."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(found)
        if len(value) != len(found):
            names = [name for name, _ in found]
            twice = json.dumps(next(name for name in names if names.count(name) > 1))
            raise ValueError(f"the name {twice} stands twice in an object")
        return value

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(data, object_pairs_hook=pairs, parse_constant=constant)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is no UTF-8") from None


class Closing(Exception):
    """The System is being stopped, so nothing more is taken."""


class Calls:
    """Calls of one System, one after the other, in the order in which they came."""

    def __init__(self, running: Running, limits: Limits) -> None:
        self.running = running
        self.limits = limits
        self.waiting: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self.ended = threading.Event()
        self.guard = threading.Lock()
        self.closing = False
        self.worker = threading.Thread(target=lambda: deeply(self._work), name="calls", daemon=True)
        self.ticker = threading.Thread(target=self._tick, name="ticks", daemon=True)
        self.worker.start()
        self.ticker.start()

    def call(self, name: str, arguments: Any) -> Any:
        """Call a function, when those before it are done. Raises Refused."""
        ticks = max(1, round(self.limits.call / TICK))

        def work() -> Any:
            with self.running.instance.limited(ticks):
                return self.running.call(name, arguments)

        return self.do(work)

    def do(self, work: Callable[[], Any]) -> Any:
        """Do something with the System to oneself. Raises Closing, and what *work* raises."""
        future: Future[Any] = Future()
        with self.guard:
            if self.closing:
                raise Closing
            self.waiting.put((work, future))
        return future.result()

    def close(self) -> None:
        """Finish the calls that wait, and end."""
        with self.guard:
            self.closing = True
            self.waiting.put(None)
        self.worker.join()
        self.ended.set()
        self.ticker.join()

    def _work(self) -> None:
        while True:
            job = self.waiting.get()
            if job is None:
                return
            work, future = job
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

    def _tick(self) -> None:
        engine = self.running.program.engine
        while not self.ended.wait(TICK):
            engine.increment_epoch()


class Server(ThreadingHTTPServer):
    """The HTTP server of one System."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, running: Running, token: str | None, limits: Limits | None = None) -> None:
        """Raises OSError where the address cannot be had, ValueError where it needs a token."""
        if token is None and not is_loopback(host):
            raise ValueError(f"{host} can be reached from other machines, so a token is needed")
        self.limits = limits or Limits()
        self.running = running
        self.token = token
        self.local = is_loopback(host)
        self.calls = Calls(running, self.limits)
        self.open: dict[socket.socket, float | None] = {}
        """Connections, and until when something has to come there."""
        self.guard = threading.Lock()
        self.answering = 0
        """Requests that were read and not answered yet."""
        self.answered = threading.Condition(self.guard)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host.strip("[]"), port), _Handler)
        except BaseException:
            self.calls.close()
            raise
        self.described = json.dumps(openapi.describe(running.table, token is not None)).encode()

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if self.address_family == socket.AF_INET6 else str(host)
        return f"http://{shown}:{port}"

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # that of HTTPServer asks for the name of the machine, too, which may take long

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.guard:
            full = len(self.open) >= MOST_CONNECTIONS
            if not full:
                self.open[request] = time.monotonic() + self.limits.reading
        if full:
            with contextlib.suppress(OSError):
                request.settimeout(1)
                request.sendall(_FULL)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.guard:
            self.open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Twice a second: end the connections that take too long."""
        now = time.monotonic()
        with self.guard:
            late = [one for one, until in self.open.items() if until is not None and until < now]
        for one in late:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def expect(self, connection: socket.socket, seconds: float | None) -> None:
        """Something has to come from a client within some time; None where nothing has to."""
        with self.guard:
            if connection in self.open:
                self.open[connection] = None if seconds is None else time.monotonic() + seconds

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke off is no one's business."""

    def stop(self) -> None:
        """Finish the call that is being made and those that wait, and end. `serve_forever` has ended before."""
        self.server_close()
        self.calls.close()
        with self.guard:
            self.answered.wait_for(lambda: self.answering == 0, FAREWELL)
            idle = list(self.open)
        for one in idle:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def answers(self) -> Iterator[None]:
        """While a request is answered."""
        with self.guard:
            self.answering += 1
        try:
            yield
        finally:
            with self.guard:
                self.answering -= 1
                self.answered.notify_all()


class _Problem(Exception):
    """A request that cannot be answered as it was meant."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"code": more.pop("code", "E0815"), "message": message, **more}


def _full() -> bytes:
    """The answer to a connection too many, which has no thread that could make one."""
    message = f"there are {MOST_CONNECTIONS} connections already"
    body = json.dumps({"error": {"code": "E0815", "message": message}}).encode() + b"\n"
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


_FULL = _full()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = f"dolbuild/{__version__}"
    sys_version = ""
    timeout = IDLE
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged of requests: they may hold secrets."""

    def parse_request(self) -> bool:
        self.server.expect(self.connection, self.server.limits.reading)
        return super().parse_request()

    def handle_expect_100(self) -> bool:
        """Nothing is asked for that will not be read."""
        return True

    def do_GET(self) -> None:
        self.answer(self.get)

    def do_POST(self) -> None:
        self.answer(self.post)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard server refuses is said as JSON, too."""
        if code == HTTPStatus.NOT_IMPLEMENTED:  # what the standard server says of a method
            code, message = HTTPStatus.METHOD_NOT_ALLOWED, f"{self.command} is no method of anything here"
        text = message or HTTPStatus(code).phrase
        self.close_connection = True
        self.send_json(code, {"error": {"code": "E0815", "message": text}})

    # -- answering --------------------------------------------------------------------------------

    def answer(self, what: Callable[[], Any]) -> None:
        try:
            self.check_and_answer(what)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def check_and_answer(self, what: Callable[[], Any]) -> None:
        with self.server.answers():
            try:
                self.check()
                value = what()
                status = 200
            except _Problem as problem:
                status, value = problem.status, {"error": problem.error}
                self.close_connection = True  # its body may not have been read
            except Closing:
                status, value = 503, {"error": {"code": "E0815", "message": "the System is being stopped"}}
                self.close_connection = True
            except Refused as refused:
                status, error = refusals.describe(refused)
                value = {"error": error}
            self.send_json(status, value)

    def send_json(self, status: int, value: Any) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()
        self.server.expect(self.connection, IDLE)

    def check(self) -> None:
        """Who may ask. Raises _Problem."""
        server = self.server
        if server.token is not None:
            given = self.headers.get("Authorization", "")
            scheme, _, token = given.partition(" ")
            right = hmac.compare_digest(token.strip().encode("latin-1"), server.token.encode())
            if scheme.lower() != "bearer" or not right:
                raise _Problem(401, "a token is needed: Authorization: Bearer …")
        elif server.local:
            host = self.headers.get("Host", "localhost").lower()
            name = host if host.endswith("]") else host.rpartition(":")[0] if ":" in host else host
            if name not in LOCAL_NAMES:
                raise _Problem(403, f"this is no name of this machine: {host[:80]}")
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{self.headers.get('Host', '')}":
            raise _Problem(403, "pages of other origins may not ask")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise _Problem(403, "pages of other origins may not ask")

    def get(self) -> Any:
        self.server.expect(self.connection, None)
        running, path = self.server.running, self.path.partition("?")[0]
        table = running.table
        if path == "/":
            return {
                "system": table.name,
                "exegesis": table.doc,
                "paths": ["/functions", "/state", "/constraints", "/health", "/openapi.json"],
            }
        if path == "/health":
            calls = self.server.calls.do(lambda: (running.counts.calls, running.counts.committed))
            return {"status": "ok", "system": table.name, "calls": calls[0], "committed": calls[1]}
        if path == "/functions":
            return [_function(running, name) for name in sorted(table.functions)]
        if path == "/constraints":
            evaluated = running.counts.evaluated
            return [
                {"name": c.name, "text": c.text, "place": f"{c.file}:{c.line}", "evaluated": evaluated[c.name]}
                for c in table.constraints
            ]
        if path == "/openapi.json":
            return self.server.described
        if path == "/state":
            return self.server.calls.do(running.state)
        if path.startswith("/state/"):
            name = path.removeprefix("/state/")
            if name not in {part.name for part in table.state.fields}:
                raise _Problem(404, f"the state has no field `{name[:80]}`")
            return self.server.calls.do(lambda: running.state(name))
        if path.startswith("/functions/"):
            raise _Problem(405, "a function is called with POST")
        raise _Problem(404, "there is nothing here; / lists what there is")

    def post(self) -> Any:
        path = self.path.partition("?")[0]
        prefix, _, name = path.removeprefix("/").partition("/")
        if prefix != "functions" or not name:
            raise _Problem(
                405 if path == "/" or prefix in ("state", "health", "constraints") else 404,
                "POST is for /functions/<name>",
            )
        arguments = self.body()
        self.server.expect(self.connection, None)
        if not isinstance(arguments, dict | list):
            raise _Problem(
                400, "the body is an object of arguments by name, or an array of them in order", code="E0811"
            )
        return {"result": self.server.calls.call(name, arguments)}

    def body(self) -> Any:
        """The JSON of the request. Raises _Problem."""
        kind = self.headers.get_content_type() if self.headers.get("Content-Type") else ""
        if self.headers.get("Transfer-Encoding"):
            raise _Problem(411, "a body comes with its length: Content-Length")
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or len(length) > 15:
            raise _Problem(400, "Content-Length is no number")
        size = int(length)
        if size > self.server.limits.body:
            raise _Problem(413, f"the body has {size} bytes, and {self.server.limits.body} are the most that is read")
        if size == 0:
            return {}
        if kind != "application/json":
            raise _Problem(415, "the body has to be application/json")
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
        data = self.rfile.read(size)
        if len(data) != size:
            raise ConnectionError("the body was broken off")
        try:
            return read_json(data)
        except ValueError as error:
            raise _Problem(400, f"the body is no JSON: {error}", code="E0811") from None


def _function(running: Running, name: str) -> dict[str, Any]:
    function, types = running.table.functions[name], running.table.types
    return {
        "name": name,
        "effects": function.effectful,
        "parameters": [
            {"name": p.name, "type": types[p.type].shown, "optional": p.default is not None}
            for p in function.parameters
        ],
        "result": types[function.result].shown,
        "doc": function.doc,
    }
