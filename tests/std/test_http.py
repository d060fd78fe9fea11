"""HTTP services over real sockets: the specification's example, and one that tells what it was asked."""

import contextlib
import http.client
import json
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.workspaces import EXAMPLES, Workspace

WELCOME = b"Welcome to DOL HTTP Service"
PATIENCE = 20.0
"""Seconds until a test gives up; none waits for that long unless something is wrong."""

ECHO = {
    "echo/Spirit.dol": """spirit Echo {
    has name: "echo"
    has version: "1.0.0"
    requires @univrs/std: "^1.0"
    requires @univrs/http: "^2.0"
    requires @univrs/json: "^1.0"
    has bin: "src/main.dol"
}
""",
    "echo/src/main.dol": """use @univrs/http.{ Request, Response, TcpListener }
use @univrs/json.Json
use @univrs/std.io.println

pub fun main(args: List<String>) -> Int32 {
    match run() {
        Ok(_) { return 0 }
        Err(error) {
            println(error.message)
            return 1
        }
    }
}

sex fun run() -> Result<Void, Error> {
    listener = TcpListener.bind(0)?
    println("port " + listener.port())
    loop {
        connection = listener.accept()?
        match connection.request() {
            Some(request) if request.path == "/patience" { listener.timeout_ms = request.body.parse().unwrap() }
            _ { }
        }
        connection.serve(request => echo(request))
    }
}

fun echo(request: Request) -> Response {
    if request.path == "/large" {
        count: Option<UInt64> = request.query.parse()
        return Response.ok("0123456789abcdef".repeat(count.unwrap()))
    }
    told = Json.from({
        method: request.method.name(), path: request.path, query: request.query, headers: request.headers, body: request.body
    })
    return Response.json(told).with_header("x-echo", "yes")
}
""",
}


@dataclass
class Service:
    process: subprocess.Popen[str]
    port: int

    def line(self) -> "Line":
        return Line(socket.create_connection(("127.0.0.1", self.port), PATIENCE))

    def check(self) -> None:
        """It still answers."""
        assert self.process.poll() is None
        with self.line() as line:
            line.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert line.answer().status == 200


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """A connection to a service."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = connected.makefile("rb")

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, *, head: bool = False) -> Answer:
        """The next answer; *head*: to a request for the head alone."""
        version, status, _ = self.file.readline().decode().split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        while (line := self.file.readline()) != b"\r\n":
            name, _, value = line.decode().removesuffix("\r\n").partition(": ")
            assert name not in headers
            headers[name] = value
        length = int(headers.get("content-length", "0"))
        return Answer(int(status), headers, self.file.read(0 if head else length))

    def is_closed(self) -> bool:
        """Whether nothing more comes, in an orderly way."""
        return self.file.read() == b""


# -- services ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    base = tmp_path_factory.mktemp("http")
    shutil.copytree(EXAMPLES, base / "work", ignore=shutil.ignore_patterns("target", ".dolbuild"))
    made = Workspace(base / "work", base / "home")
    made.write(ECHO)
    return made


def start(workspace: Workspace, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "dolbuild.commands.main", "exec", *arguments],
        cwd=workspace.root,
        env=workspace.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop(process: "subprocess.Popen[str]") -> tuple[str, str]:
    process.kill()
    return process.communicate()


def said(process: "subprocess.Popen[str]", pattern: str) -> str:
    """What stands in the first line that matches."""
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found[0]
    raise AssertionError(process.communicate()[1])


def free_port() -> int:
    with socket.create_server(("", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def example(workspace: Workspace) -> Iterator[Service]:
    """The specification's example."""
    port = free_port()
    process = start(workspace, "--release", "--allow-net", "http-service", str(port))
    said(process, f"Starting server on port {port}")
    give_up = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            break
        assert process.poll() is None and time.monotonic() < give_up, stop(process)
        time.sleep(0.01)
    yield Service(process, port)
    assert process.poll() is None, process.communicate()
    stop(process)


@pytest.fixture(scope="session")
def echo(workspace: Workspace) -> Iterator[Service]:
    """A service that tells what it was asked, in the profile `dev`."""
    process = start(workspace, "--allow-net", "echo")
    yield Service(process, int(said(process, r"(?<=port )\d+")))
    assert process.poll() is None, process.communicate()
    stop(process)


# -- what is asked in the right way ----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/?a=b", "http://anything/"])
def test_root(example: Service, path: str) -> None:
    with example.line() as line:
        line.send(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        answer = line.answer()
    assert (answer.status, answer.body) == (200, WELCOME)
    assert answer.headers == {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(WELCOME)),
        "connection": "keep-alive",
    }


def test_health_with_httpx(example: Service) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{example.port}") as client:
        answer = client.get("/api/health")
        assert answer.json() == {"status": "healthy"}
        assert answer.headers["content-type"] == "application/json"
        assert client.post("/", json={"a": "b"}).content == WELCOME
        assert client.head("/").content == b""


def test_http_client_keeps_its_connection(example: Service) -> None:
    client = http.client.HTTPConnection("127.0.0.1", example.port, timeout=PATIENCE)
    used = set()
    for path, status in [("/", 200), ("/nowhere", 404), ("/api/health", 200), ("/api/health/", 404)]:
        client.request("GET", path)
        answer = client.getresponse()
        assert answer.status == status
        assert answer.read()
        used.add(client.sock)
    client.close()
    assert len(used) == 1


def test_not_found(example: Service) -> None:
    with example.line() as line:
        line.send(b"GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n")
        answer = line.answer()
    assert (answer.status, answer.body) == (404, b"not found")


def test_head(example: Service) -> None:
    with example.line() as line:
        line.send(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\nHEAD /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        first = line.answer(head=True)
        second = line.answer(head=True)
        assert line.is_closed()
    assert (first.status, first.headers["content-length"]) == (200, str(len(WELCOME)))
    assert second.status == 404


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [
        ("1.1", b"", True),
        ("1.1", b"Connection: close\r\n", False),
        ("1.1", b"connection: x, CLOSE\r\n", False),
        ("1.0", b"", False),
        ("1.0", b"connection: keep-alive\r\n", True),
    ],
)
def test_keep_alive(example: Service, version: str, header: bytes, kept: bool) -> None:
    with example.line() as line:
        request = f"GET / HTTP/{version}\r\nhost: a\r\n".encode() + header + b"\r\n"
        line.send(request)
        answer = line.answer()
        assert answer.body == WELCOME
        assert answer.headers["connection"] == ("keep-alive" if kept else "close")
        if kept:
            line.send(request)
            assert line.answer().body == WELCOME
        else:
            assert line.is_closed()


def test_http_1_0_without_headers(example: Service) -> None:
    with example.line() as line:
        line.send(b"GET / HTTP/1.0\r\n\r\n")
        assert line.answer().body == WELCOME
        assert line.is_closed()


def test_pipelined(echo: Service) -> None:
    count = 500
    with echo.line() as line:
        line.send(b"".join(b"PUT /%d HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok" % i for i in range(count)))
        for i in range(count):
            assert json.loads(line.answer().body)["path"] == f"/{i}"


def test_what_follows_the_last_request_is_not_answered(echo: Service) -> None:
    with echo.line() as line:
        last = b"GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        line.send(last + b"GET /more HTTP/1.1\r\nhost: a\r\n\r\n" * 100)
        assert json.loads(line.answer().body)["path"] == "/last"
        assert line.is_closed()


def test_all_of_a_request_comes_in(echo: Service) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{echo.port}") as client:
        answer = client.patch("/a%20b?x=1&y", content="ä€😀\0\r\n", headers={"X-One": "1", "x-two": "2"})
    assert answer.headers["x-echo"] == "yes"
    told = answer.json()
    assert (told["method"], told["path"], told["query"], told["body"]) == ("PATCH", "/a%20b", "x=1&y", "ä€😀\0\r\n")
    assert (told["headers"]["x-one"], told["headers"]["x-two"]) == ("1", "2")
    assert told["headers"]["content-length"] == "12"


def test_byte_by_byte(echo: Service) -> None:
    head = b"POST /slow HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    with echo.line() as line:
        for byte in head + b"3;x=y\r\nab\xc3\r\n2\r\n\xa4!\r\n0\r\ntrailer: x\r\n\r\n":
            line.send(bytes([byte]))
        told = json.loads(line.answer().body)
        assert (told["path"], told["body"]) == ("/slow", "abä!")
        assert "trailer" not in told["headers"]
        line.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert line.answer().status == 200


def test_large_bodies(echo: Service) -> None:
    body = b"0123456789abcde\n" * (1 << 18)
    with echo.line() as line:
        line.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        assert json.loads(line.answer().body)["body"].encode() == body
        chunks = b"".join(
            b"%x\r\n%s\r\n" % (len(part), part) for part in (body[i : i + 999] for i in range(0, len(body), 999))
        )
        line.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert json.loads(line.answer().body)["body"].encode() == body


def test_expect_continue(echo: Service) -> None:
    with echo.line() as line:
        for expect in (b"100-continue", b"100-Continue"):
            line.send(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: " + expect + b"\r\ncontent-length: 4\r\n\r\n")
            assert line.answer().status == 100
            line.send(b"bo")
            line.send(b"dy")
            assert json.loads(line.answer().body)["body"] == "body"
        # One that does not wait is not told.
        line.send(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nbody")
        assert line.answer().status == 200


def test_many_connections_at_once(example: Service) -> None:
    lines = [example.line() for _ in range(200)]
    for round_ in range(3):
        for line in lines:
            line.send(b"GET / HTTP/1.1\r\nhost: a\r\n")
        for line in reversed(lines):
            line.send(b"x: %d\r\n\r\n" % round_)
        for line in lines:
            assert line.answer().body == WELCOME
    for line in lines:
        line.close()


def set_patience(echo: Service, milliseconds: int) -> None:
    with echo.line() as line:
        body = str(milliseconds).encode()
        line.send(b"PUT /patience HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        assert line.answer().status == 200


def test_slow_clients_block_nobody(echo: Service) -> None:
    halves = [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nhost: a\r\n",
        b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf",
    ]
    with contextlib.ExitStack() as stack:
        set_patience(echo, 200)
        slow = [stack.enter_context(echo.line()) for _ in halves]
        for line, half in zip(slow, halves, strict=True):
            line.send(half)
        for _ in range(10):
            echo.check()
        # They are given up after a while: those that began to ask are told.
        answers = [line.file.read() for line in slow]
        set_patience(echo, 30_000)
    assert answers[0] == b""
    assert [answer.split(b"\r\n")[0] for answer in answers[1:]] == [b"HTTP/1.1 408 Request Timeout"] * 3


def test_a_client_that_does_not_read_blocks_nobody(echo: Service) -> None:
    with echo.line() as lazy:
        lazy.send(b"GET /large?1000000 HTTP/1.1\r\nhost: a\r\n\r\n")
        for _ in range(10):
            echo.check()
        assert len(lazy.answer().body) == 16_000_000


def test_a_client_that_closes_its_side_is_answered(echo: Service) -> None:
    with echo.line() as line:
        line.send(b"GET /large?200000 HTTP/1.1\r\nhost: a\r\n\r\n")
        line.socket.shutdown(socket.SHUT_WR)
        assert len(line.answer().body) == 3_200_000
        assert line.is_closed()


@pytest.mark.parametrize(
    "sent", [b"", b"GET /", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /large?1000000 HTTP/1.1\r\nhost: a\r\n\r\n"]
)
def test_clients_that_go_away(echo: Service, sent: bytes) -> None:
    for _ in range(20):
        line = echo.line()
        line.send(sent)
        # Closing resets the connection.
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.close()
    echo.check()


# -- what is wrong -------------------------------------------------------------------------------------

HOST = b"host: a\r\n"
WRONG = {
    "no method": (b" / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no request": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400),
    "no target": (b"GET HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no version": (b"GET /\r\n" + HOST + b"\r\n", 400),
    "version 2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "control character in the target": (b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no ASCII in the target": (b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "space before the colon": (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400),
    "folded line": (b"GET / HTTP/1.1\r\n" + HOST + b"x: a\r\n b\r\n\r\n", 400),
    "no colon": (b"GET / HTTP/1.1\r\n" + HOST + b"x\r\n\r\n", 400),
    "NUL in a header": (b"GET / HTTP/1.1\r\n" + HOST + b"x: a\0b\r\n\r\n", 400),
    "NUL in a name": (b"GET / HTTP/1.1\r\n" + HOST + b"x\0: a\r\n\r\n", 400),
    "control character in a header": (b"GET / HTTP/1.1\r\n" + HOST + b"x: \x1b[31m\r\n\r\n", 400),
    "carriage return in a header": (b"GET / HTTP/1.1\r\n" + HOST + b"x: a\rb\r\n\r\n", 400),
    "header that is no UTF-8": (b"GET / HTTP/1.1\r\n" + HOST + b"x: \xff\r\n\r\n", 400),
    "huge header": (b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"y" * 300_000 + b"\r\n\r\n", 431),
    "header without an end": (b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"y" * 300_000, 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + HOST + b"x: y\r\n" * 5000 + b"\r\n", 431),
    "huge target": (b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "request line without an end": (b"x" * 300_000, 414),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab", 400),
    "length and chunks": (
        b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400,
    ),
    "length that is no number": (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 1e3\r\n\r\n", 400),
    "length of other digits": (b"POST / HTTP/1.1\r\n" + HOST + "content-length: ٣\r\n\r\n".encode(), 400),
    "negative length": (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: -1\r\n\r\n", 400),
    "body that is too long": (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 4194305\r\n\r\n" + b"x" * 300_000, 413),
    "body that is no UTF-8": (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 2\r\n\r\n\xc3\x28", 400),
    "unknown coding": (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: gzip\r\n\r\n", 501),
    "bad size of a chunk": (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400),
    "huge chunk": (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n", 413),
    "chunk of another size": (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
    "many extensions": (
        b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n" + (b"1;" + b"x" * 999 + b"\r\na\r\n") * 300, 400,
    ),
    "unknown expectation": (b"POST / HTTP/1.1\r\n" + HOST + b"expect: pay\r\ncontent-length: 1\r\n\r\n", 417),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_requests(example: Service, name: str) -> None:
    data, status = WRONG[name]
    with example.line() as line:
        line.send(data)
        answer = line.answer()
        assert answer.status == status, answer.body
        assert answer.headers["connection"] == "close"
        assert answer.body.endswith(b"\n")
        assert line.is_closed()
    example.check()


def test_what_is_right_before_what_is_wrong_is_answered(example: Service) -> None:
    with example.line() as line:
        line.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 3 + b"GET\r\n\r\n" + b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert [line.answer().status for _ in range(4)] == [200, 200, 200, 400]
        assert line.is_closed()


def test_random_bytes(example: Service) -> None:
    """Requests with a few bytes changed, cut out or doubled: each is answered, or waited for, and the service goes on."""
    moments = random.Random(20260115)
    model = b"POST /?x=1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    seen = set()
    for _ in range(400):
        data = bytearray(model)
        for _ in range(moments.randint(1, 4)):
            at = moments.randrange(len(data))
            change = moments.randrange(3)
            if change == 0:
                data[at] = moments.randrange(256)
            elif change == 1:
                del data[at : at + moments.randint(1, 9)]
            else:
                data[at:at] = data[at : at + moments.randint(1, 9)]
            if not data:
                data = bytearray(model)
        with example.line() as line:
            line.send(bytes(data))
            line.socket.shutdown(socket.SHUT_WR)
            answered = line.file.read()
        if answered:
            seen.add(int(answered.split(b" ")[1]))
    assert seen <= {200, 400, 404, 413, 414, 417, 431, 501, 505}
    assert {200, 400, 404} <= seen
    example.check()


# -- the process -----------------------------------------------------------------------------------


def test_port_in_use(workspace: Workspace, example: Service) -> None:
    ran = workspace.command("exec", "--release", "--allow-net", "http-service", str(example.port))
    assert ran.status == 1
    assert "Error: Address already in use" in ran.out
    assert ran.err == ""
    example.check()


def test_network_is_refused_unless_it_is_allowed(workspace: Workspace, example: Service) -> None:
    ran = workspace.command("exec", "--release", "http-service", "0")
    assert ran.status == 1
    assert "Error: the network is not allowed here (--allow-net allows it)" in ran.out
    assert ran.err == ""


def test_interrupt(workspace: Workspace, echo: Service) -> None:
    process = start(workspace, "--allow-net", "echo")
    service = Service(process, int(said(process, r"(?<=port )\d+")))
    with service.line() as line:
        line.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /")
        assert line.answer().status == 200
        process.send_signal(signal.SIGINT)
        assert line.file.read() == b""
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in errors


def descriptors(service: Service) -> int:
    return len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
def test_nothing_is_left_open(workspace: Workspace, example: Service) -> None:
    before = descriptors(example)
    for data in (b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /", b"what\r\n\r\n"):
        for _ in range(50):
            with example.line() as line:
                line.send(data)
                if b"\r\n" in data:
                    line.answer()
    give_up = time.monotonic() + PATIENCE
    while descriptors(example) > before and time.monotonic() < give_up:
        time.sleep(0.01)
    assert descriptors(example) <= before
