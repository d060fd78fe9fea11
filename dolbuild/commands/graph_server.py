"""``dolbuild graph --open``: the page of the graph on this machine's loopback, following what is built."""

import json
import os
import re
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import xxhash

from dolbuild.commands.graph import data_of, load
from dolbuild.commands.opening import WrongUsage, root_here
from dolbuild.diagnostics import DiagnosticError
from dolbuild.rules.lastrun import RUN_FILE
from dolbuild.rules.page import to_page
from dolbuild.rules.session import Failed

HOST = "127.0.0.1"
POLL = 0.1
"""Seconds between two looks at what a build writes."""

ALIVE = 10.0
"""Seconds of silence after which a page is told that we are still there, so that we notice when it is not."""

MAX_PAGES = 32
"""Pages that follow at once."""


def serve(port: str) -> int:
    """Serve until interrupted. Raises WrongUsage, DiagnosticError."""
    if not port.isdecimal() or int(port) > 65535:
        raise WrongUsage(f"--port takes a number from 0 to 65535, not `{port}`")
    root = root_here()
    pages = Pages()
    try:
        server = _Server(root, int(port), pages)
    except OSError as error:
        raise WrongUsage(
            f"port {port} of {HOST}: {error.strerror or error}; another one is chosen with --port=N"
        ) from None
    with server:
        address = f"http://{HOST}:{server.server_port}/"
        sys.stdout.write(f"the graph is at {address}, and follows what is built; Ctrl-C ends it\n")
        sys.stdout.flush()
        if _has_browser(os.environ):
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    sys.stdout.write("\n")
    return 0


def _has_browser(environment: Mapping[str, str]) -> bool:
    """Whether there is a desktop to open a browser on; one that draws in the terminal would take ours away."""
    named = environment.get("BROWSER", "")
    if named or sys.platform == "darwin":
        return named != "none"
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


class Pages:
    """The page as it is now, made when someone asks; *shape* names what is drawn in it, without how the last run went."""

    def __init__(self) -> None:
        self.shape = ""
        self._lock = threading.Lock()

    def page(self) -> bytes:
        """The page. Raises DiagnosticError and Failed where the workspace cannot be read."""
        with self._lock:
            session, graph = load()
            data = data_of(session, graph, live=True)
            shape = json.dumps([[n[:4] for n in data["nodes"]], data["edges"]], ensure_ascii=False)
            self.shape = xxhash.xxh3_64_hexdigest(shape.encode())
            return to_page(data)

    def look(self) -> str:
        """The shape as it is now; as it was where the workspace cannot be read: the build has said so, and what is drawn stays."""
        with suppress(DiagnosticError, Failed):
            self.page()
        return self.shape


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path, port: int, pages: Pages) -> None:
        self.root = root
        self.pages = pages
        self.places = threading.Semaphore(MAX_PAGES)
        super().__init__((HOST, port), _Handler)
        self.names = {f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"}

    def server_bind(self) -> None:
        """Without asking a name server who we are."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A page that was closed is no fault."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.names:
            self._send(421, "text/plain", b"this is not the name of this server\n")  # a foreign page has renamed itself
        elif self.path == "/":
            self._page()
        elif self.path == "/events":
            self._events()
        else:
            self._send(404, "text/plain", b"there is only / here\n")

    def _page(self) -> None:
        try:
            self._send(200, "text/html; charset=utf-8", self.server.pages.page())
        except (DiagnosticError, Failed) as error:
            text = "\n".join(f"{d.code}: {d.message}" for d in error.diagnostics)
            self._send(503, "text/plain; charset=utf-8", f"{text}\n\nMend it, and load this page again.\n".encode())

    def _send(self, status: int, type_: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", type_)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(body)

    def _events(self) -> None:
        if not self.server.places.acquire(blocking=False):
            self._send(503, "text/plain", b"too many pages follow already\n")
            return
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
            self.end_headers()
            pages = self.server.pages
            drawn = pages.shape  # by this page; others may have been told of a change before
            for line in follow(self.server.root / RUN_FILE):
                text = b": still here\n\n" if line is None else b"data: " + line + b"\n\n"
                self.wfile.write(text)
                if line is not None and line.startswith(b'{"end"') and drawn != (drawn := pages.look()):
                    self.wfile.write(b'data: {"graph":"changed"}\n\n')
        except OSError:
            pass  # the page was closed
        finally:
            self.server.places.release()
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """What browsers ask for is of no interest."""


def follow(path: Path) -> Iterator[bytes | None]:
    """The lines that builds write from now on; None after a while of silence. What the run before has written is passed over, that of one
    which still goes on is not."""
    identity, position, left = _now(path)
    silent = 0.0
    process = 0
    """The process of a run that goes on."""
    while True:
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
                if (found.st_ino, found.st_dev) != identity or found.st_size < position:
                    identity, position, left = (found.st_ino, found.st_dev), 0, b""
                file.seek(position)
                data = file.read()
        except OSError:
            data = b""
        if data:
            silent = 0.0
            position += len(data)
            *lines, left = (left + data).split(b"\n")
            for line in lines:
                process = _process_of(line, process)
                yield line
            continue
        time.sleep(POLL)
        silent += POLL
        if process and not _is_alive(process):
            process = 0
            yield b'{"end":0,"failed":true,"killed":true}'
        if silent >= ALIVE:
            silent = 0.0
            yield None


def _process_of(line: bytes, before: int) -> int:
    """The process of the run that goes on after a line; 0 where none does."""
    if line.startswith(b'{"end"'):
        return 0
    found = re.match(rb'\{"format":.*"run":"[0-9a-f]+-([0-9a-f]+)"', line)
    return before if found is None else int(found[1], 16)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # someone else's
    return True


def _now(path: Path) -> tuple[tuple[int, int], int, bytes]:
    """Where to begin: at the end of a run that is over, at the beginning of one that goes on."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            data = file.read()
    except OSError:
        return (-1, -1), 0, b""
    is_over = data.rstrip(b"\n").rpartition(b"\n")[2].startswith(b'{"end"')
    return (found.st_ino, found.st_dev), len(data) if is_over else 0, b""
