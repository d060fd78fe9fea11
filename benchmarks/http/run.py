"""The specification's HTTP service under load, beside Python's own server with the same answer.

``python -m benchmarks.http.run`` needs ``wrk`` (``apt-get install wrk``). It builds the example in a temporary folder and sends
requests to 127.0.0.1 only; with the defaults it takes about two minutes.
"""

import argparse
import http.server
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BODY = b"Welcome to DOL HTTP Service"
PATIENCE = 30.0
CLOSE = ("-H", "Connection: close")
KINDS = {
    "keep-alive, 1 connection": (1, ()),
    "keep-alive, 16 connections": (16, ()),
    "keep-alive, 256 connections": (256, ()),
    "a connection for each request, 16 at a time": (16, CLOSE),
}
HOST = b"host: a\r\n"
MALFORMED = (
    b" / HTTP/1.1\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/2.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"x: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"x: \0\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"y" * 100_000 + b"\r\n\r\n",
    b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 2\r\n\r\n\xff\xfe",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
)


# -- servers -------------------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body waits 40 ms for the headers' acknowledgement

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(BODY)))
        self.send_header("connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


class PythonServer(http.server.ThreadingHTTPServer):
    request_queue_size = 1024  # as many as ours, else connections that come at once wait for a second

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients that go away at the end of a run


def serve_dol(port: int, wasm: Path) -> None:
    """What ``dolbuild exec --allow-net`` does with a binary; SIGUSR1 makes it say how large the program's memory is."""
    from dolbuild.runtime.capabilities import Capabilities
    from dolbuild.runtime.host import Host
    from dolbuild.runtime.instance import Program

    program = Program(wasm.read_bytes())
    instance = program.instantiate(Host(Capabilities(net=True)))

    def tell(*_: object) -> None:
        memory: Any = instance.exports["memory"]
        print(f"memory {memory.size(instance.store) * 65536}", flush=True)

    signal.signal(signal.SIGUSR1, tell)
    (main,) = program.exports
    instance.call(main, [["http-service", str(port)]])


@dataclass
class Server:
    process: "subprocess.Popen[str]"
    port: int

    def resident(self) -> int:
        """Bytes of the process that are in memory."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        (found,) = re.findall(r"^VmRSS:\s+(\d+) kB", text, re.M)
        return int(found) * 1024

    def memory(self) -> int:
        """Bytes of the WebAssembly memory."""
        self.process.send_signal(signal.SIGUSR1)
        assert self.process.stdout is not None
        return next(int(line.split()[1]) for line in self.process.stdout if line.startswith("memory "))


@contextmanager
def server(*arguments: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "benchmarks.http.run", "--serve", str(port), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if process.poll() is not None or time.monotonic() > give_up:
                    raise SystemExit("the server does not start") from None
                time.sleep(0.02)
        yield Server(process, port)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def build(folder: Path) -> Path:
    """Build the example for release; gives its binary."""
    shutil.copytree(ROOT / "examples/workspace", folder / "work", ignore=shutil.ignore_patterns("target", ".dolbuild"))
    environment = os.environ | {"DOL_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "dolbuild.commands.main", "build", "--release", "spirit:http-service"]
    subprocess.run(command, cwd=folder / "work", env=environment, check=True, capture_output=True)
    return folder / "work/target/spirits/http-service.main.wasm"


# -- load ----------------------------------------------------------------------------------------------


@dataclass
class Load:
    """What wrk says of one run."""

    requests: int
    per_second: float
    errors: str


def load(port: int, connections: int, options: tuple[str, ...], seconds: int) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *options, f"http://127.0.0.1:{port}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (requests,) = re.findall(r"(\d+) requests in", said)
    (per_second,) = re.findall(r"Requests/sec:\s+([\d.]+)", said)
    errors = " ".join(re.findall(r"(?:Socket errors|Non-2xx).*", said))
    return Load(int(requests), float(per_second), errors)


class Nuisance(threading.Thread):
    """A client that sends malformed requests, one after the other, each on a connection of its own, and counts what it is
    answered."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.done = threading.Event()
        self.statuses: Counter[str] = Counter()

    def run(self) -> None:
        while not self.done.is_set():
            for data in MALFORMED:
                self.statuses[self.ask(data)] += 1

    def ask(self, data: bytes) -> str:
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            answer = b""
            try:
                connection.sendall(data)
                while part := connection.recv(65536):
                    answer += part
            except OSError as error:
                return type(error).__name__
        return answer[9:12].decode() or "nothing"


@dataclass
class Figures:
    per_second: list[float] = field(default_factory=list)
    requests: int = 0
    errors: set[str] = field(default_factory=set)

    def add(self, measured: Load) -> None:
        self.per_second.append(measured.per_second)
        self.requests += measured.requests
        self.errors.add(measured.errors)

    @property
    def median(self) -> float:
        return statistics.median(self.per_second)


def shown(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="how long each run lasts (3)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of which the median is shown (3)")
    parser.add_argument("--serve", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        port, *wasm = arguments.serve
        if wasm:
            serve_dol(int(port), Path(wasm[0]))
        else:
            PythonServer(("127.0.0.1", int(port)), Handler).serve_forever()
        return
    if shutil.which("wrk") is None:
        raise SystemExit("there is no `wrk` here: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        wasm_file = build(Path(folder))
        with server(str(wasm_file)) as dol, server() as python:
            compare(dol, python, arguments.seconds, arguments.rounds)


def compare(dol: Server, python: Server, seconds: int, rounds: int) -> None:
    started = os.getloadavg()[0]
    load(dol.port, 16, (), 1)
    before = dol.resident(), dol.memory()
    total = 0
    print("| | DOL | http.server | |")
    print("|---|---|---|---|")
    for kind, (connections, options) in KINDS.items():
        ours, theirs = Figures(), Figures()
        for _ in range(rounds):
            ours.add(load(dol.port, connections, options, seconds))
            theirs.add(load(python.port, connections, options, seconds))
        total += ours.requests
        ratio = ours.median / theirs.median
        print(f"| {kind} | {ours.median:,.0f} | {theirs.median:,.0f} | {ratio:.1f} |")
        for name, figures in (("DOL", ours), ("http.server", theirs)):
            for error in figures.errors - {""}:
                print(f"  {name}: {error}")
    mixed, statuses = Figures(), Counter[str]()
    for _ in range(rounds):
        nuisance = Nuisance(dol.port)
        nuisance.start()
        mixed.add(load(dol.port, 16, (), seconds))
        nuisance.done.set()
        nuisance.join()
        statuses += nuisance.statuses
    print(f"| keep-alive, 16 connections, with malformed ones among them | {mixed.median:,.0f} | | |")
    total += mixed.requests
    print()
    answered = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
    print(f"malformed: {answered}; errors of the others: {mixed.errors - {''} or 'none'}")
    after = dol.resident(), dol.memory()
    print(f"{total:,} requests; process {shown(before[0])} before, {shown(after[0])} after;", end=" ")
    print(f"WebAssembly memory {shown(before[1])} before, {shown(after[1])} after")
    print(f"load average of the machine {started:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
