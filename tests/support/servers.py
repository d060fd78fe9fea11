"""Real servers on loopback: nginx (files, WebDAV, TLS) and git."""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD = "ann", "open-sesame"


def need(program: str) -> str:
    """The path of a program that tests need; where it is missing they are skipped, but never in CI."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        assert not os.environ.get("CI"), f"{program} is missing, and in CI its tests must run"
        pytest.skip(f"{program} is not installed")
    return found


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}")


NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log combined;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    types {{ }} default_type application/octet-stream; etag on;
    server {{
        listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl; server_name localhost;
        ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
        root {root}; client_max_body_size 64m;
        location / {{ }}
        location /private/ {{ auth_basic "packages"; auth_basic_user_file {folder}/users; }}
        location /token/ {{ if ($http_authorization != "Bearer secret-token") {{ return 403; }} }}
        location /dav/ {{
            dav_methods PUT DELETE MKCOL; create_full_put_path on;
            limit_except GET {{ auth_basic "publish"; auth_basic_user_file {folder}/users; }}
        }}
        location /away/ {{ return 302 http://127.0.0.1:{plain}/plain$request_uri; }}
        location /file/ {{ return 302 file:///etc/passwd; }}
        location /circle/ {{ return 302 $request_uri; }}
        location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
        location /broken/ {{ return 503; }}
    }}
}}
"""


class Nginx:
    """A running nginx. *root* is what it serves; `requests` are the lines of its log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.plain, self.tls = free_port(), free_port()
        self.authority = folder / "authority.pem"

    def url(self, path: str = "", tls: bool = False) -> str:
        return f"https://localhost:{self.tls}/{path}" if tls else f"http://127.0.0.1:{self.plain}/{path}"

    @property
    def requests(self) -> list[str]:
        lines = (self.folder / "access.log").read_text().splitlines()
        return [line.split('"')[1] + " " + line.split('"')[2].split()[0] for line in lines]


@contextmanager
def nginx(folder: Path) -> Iterator[Nginx]:
    """Start nginx with all of its files in *folder*."""
    program = need("nginx")
    import trustme

    server = Nginx(folder)
    server.root.mkdir(parents=True)
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(server.authority))
    certificate.private_key_pem.write_to_path(str(folder / "server.key"))
    with (folder / "server.pem").open("wb") as file:
        for blob in certificate.cert_chain_pems:
            file.write(blob.bytes())
    hashed = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    (folder / "users").write_text(f"{USER}:{{SHA}}{hashed}\n")
    config = folder / "nginx.conf"
    user = "user root;\n" if os.getuid() == 0 else ""
    config.write_text(user + NGINX.format(folder=folder, root=server.root, plain=server.plain, tls=server.tls))
    process = subprocess.Popen([program, "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")])
    try:
        wait_for(server.plain)
        yield server
    finally:
        process.terminate()
        process.wait(10)


def git(*arguments: str, cwd: Path) -> str:
    """Run git as someone who has no configuration."""
    environment = {
        **os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "T", "GIT_AUTHOR_EMAIL": "t@example.org",
        "GIT_COMMITTER_NAME": "T", "GIT_COMMITTER_EMAIL": "t@example.org",
    }  # fmt: skip
    done = subprocess.run(["git", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class GitServer:
    """Repositories over HTTP, through ``git http-backend``. Those below ``private/`` want a user and password."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.requests: list[str] = []

    def create(self, path: str) -> Path:
        """A new repository ``<path>``; gives a clone of it to work in."""
        bare = self.folder / f"{path}.git"
        bare.parent.mkdir(parents=True, exist_ok=True)
        git("init", "-q", "--bare", "-b", "main", str(bare), cwd=self.folder)
        work = self.folder / "work" / path
        work.parent.mkdir(parents=True, exist_ok=True)
        git("clone", "-q", str(bare), str(work), cwd=self.folder)
        git("checkout", "-q", "-b", "main", cwd=work)
        return work

    def commit(self, work: Path, files: dict[str, str], *names: str) -> str:
        """Commit files, push them and give the commit these tags."""
        for name, text in files.items():
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git("add", "-A", cwd=work)
        git("commit", "-q", "--allow-empty", "-m", "change", cwd=work)
        for name in names:
            git("tag", "-a", "-m", name, name, cwd=work)
        git("push", "-q", "--tags", "origin", "HEAD", cwd=work)
        return git("rev-parse", "HEAD", cwd=work)

    def configuration(self, host: str) -> str:
        """What a user's ``.gitconfig`` needs so that *host* is this server."""
        return f'[url "http://127.0.0.1:{self.port}/"]\n    insteadOf = https://{host}/\n'


@contextmanager
def git_server(folder: Path) -> Iterator[GitServer]:
    """Start a server of git repositories."""
    server = GitServer(folder)
    folder.mkdir(parents=True, exist_ok=True)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers.get("content-length") or 0)))

        def answer(self, body: bytes) -> None:
            server.requests.append(self.path)
            path, _, query = self.path.partition("?")
            if path.startswith("/private/"):
                wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                if self.headers.get("authorization") != wanted:
                    self.send_response(401)
                    self.send_header("www-authenticate", 'Basic realm="git"')
                    self.end_headers()
                    return
            path = _with_suffix(path)
            environment = {
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("content-type", ""), "REMOTE_ADDR": "127.0.0.1",
                "CONTENT_LENGTH": str(len(body)), "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""), "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
            }  # fmt: skip
            done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, timeout=60)
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            headers = [line.partition(": ")[::2] for line in head.decode().split("\r\n") if line]
            status = next((value for name, value in headers if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in headers:
                if name != "Status":
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(rest)

    def _with_suffix(path: str) -> str:
        for end in ("/info/refs", "/git-upload-pack"):
            if path.endswith(end) and not path.endswith(f".git{end}"):
                return path.removesuffix(end) + ".git" + end
        return path

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
