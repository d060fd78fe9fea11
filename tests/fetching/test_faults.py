"""Attacks and faults on the way to a package: each is a clear error, and nothing is left behind."""

import gzip
import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dolbuild.packages.archive import pack, unpack
from dolbuild.packages.download import redirect_problem
from dolbuild.packages.tree import MAX_BYTES, MAX_FILES, WrongTree, install, is_intact, tree_digest
from tests.fetching.conftest import Places
from tests.support.published import app, library, put
from tests.support.servers import Nginx
from tests.support.workspaces import Workspace

# -- archives --------------------------------------------------------------------------------------


def archive(*entries: tuple[str, str, bytes], **fields: Any) -> bytes:
    """An archive of (name, kind, data); *fields* are set on every entry."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, kind, data in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kind.encode(), len(data)
            for field, value in fields.items():
                setattr(entry, field, value)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(plain.getvalue())


FILE, LINK, HARD, DEVICE, PIPE, FOLDER = "0", "2", "1", "3", "6", "5"
MANIFEST = ("Spirit.dol", FILE, library("base", "1.0.0")["Spirit.dol"].encode())

WRONG: dict[str, tuple[bytes, str]] = {
    "up": (archive(MANIFEST, ("../../evil.dol", FILE, b"x")), "a file named '../../evil.dol'"),
    "absolute": (archive(MANIFEST, ("/etc/evil", FILE, b"x")), "a file named '/etc/evil'"),
    "backslash": (archive(MANIFEST, ("src\\..\\evil.dol", FILE, b"x")), "a file named"),
    "null": (archive(MANIFEST, ("src/\x01.dol", FILE, b"x")), "a file named"),
    "hidden": (archive(MANIFEST, (".git/config", FILE, b"x")), "a file named '.git/config'"),
    "symbolic link": (archive(MANIFEST, ("src", LINK, b""), linkname="/tmp"), "is no file but a symbolic link"),
    "hard link": (archive(MANIFEST, ("src/lib.dol", HARD, b""), linkname="/etc/passwd"), "is no file but a hard link"),
    "device": (archive(("src/lib.dol", DEVICE, b"")), "is no file but a device"),
    "pipe": (archive(("src/lib.dol", PIPE, b"")), "is no file but a pipe"),
    "folder": (archive(("src", FOLDER, b"")), "is no file but a folder"),
    "other file": (archive(MANIFEST, ("build.sh", FILE, b"x")), "'build.sh' is no file of a package"),
    "twice": (archive(MANIFEST, MANIFEST), "is in it twice"),
    "empty": (archive(), "it is empty"),
    "no gzip": (b"PK\x03\x04 and so on", "it is no gzip file"),
    "no tar": (gzip.compress(b"hello" * 200), "it is no archive"),
    "cut off": (pack({"src/lib.dol": os.urandom(5000)})[:-2000], "it is cut off"),
    "two": (pack({"src/lib.dol": b"a"}) * 2, "something follows its end"),
    "too many": (archive(*((f"src/m{n}.dol", FILE, b"") for n in range(MAX_FILES + 1))), "more than 10000 files"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_archives_that_are_refused(name: str) -> None:
    data, told = WRONG[name]
    with pytest.raises(WrongTree) as raised:
        unpack(data)
    assert told in str(raised.value)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as file:
        for _ in range((MAX_BYTES >> 20) + 64):
            file.write(bytes(1 << 20))
    assert len(bomb.getvalue()) < 1 << 20
    before = _peak()
    with pytest.raises(WrongTree, match="unpacks to more than 256 MiB"):
        unpack(bomb.getvalue())
    assert _peak() - before < 700 << 20
    lying = archive(("src/lib.dol", FILE, b"x" * 100))
    plain = bytearray(gzip.decompress(lying))
    plain[124:136] = b"77777777777\0"  # the size that its header claims
    with pytest.raises(WrongTree):
        unpack(gzip.compress(bytes(plain)))


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def test_archives_are_reproducible() -> None:
    files = {"src/b.dol": b"b", "Spirit.dol": b"s", "src/a.dol": b"a"}
    assert pack(files) == pack(dict(reversed(files.items())))
    assert unpack(pack(files)) == files


@pytest.mark.parametrize("name", ["up", "symbolic link", "cut off"])
def test_a_wrong_archive_from_a_server(web: Nginx, places: Places, name: str) -> None:
    folder = f"wrong-{name.replace(' ', '-')}"
    data, told = WRONG[name]
    put(web.root / folder, "acme", library("base", "1.0.0"), sha256=hashlib.sha256(data).hexdigest())
    (web.root / folder / "packages/acme/base/1.0.0.tar.gz").write_bytes(data)
    work = workspace(places, web.url(folder))
    ran = work.command("build")
    assert ran.status == 1 and "E1004" in ran.err and told in ran.err, ran.err
    assert leftovers(work) == []


def workspace(places: Places, url: str, name: str = "work") -> Workspace:
    files = app("@acme/base.base", requires={"@acme/base": "^1.0"})
    return places.make(name, {"dolbuild.toml": f'[registries]\nacme = "{url}"\n', **files})


def leftovers(work: Workspace) -> list[Path]:
    """Trees and temporary files below the caches."""
    found = [path for path in work.home.rglob("*") if path.name.startswith(".tmp-")]
    return found + [path for path in work.home.glob("cache/trees/*/*/*") if not path.name.endswith(".stat")]


# -- servers that misbehave ------------------------------------------------------------------------


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server whose answers are made by hand: no real one would give them."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            answer(self)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}"
    finally:
        listening.shutdown()
        listening.server_close()


def timed(work: Workspace, *arguments: str) -> tuple[Any, float]:
    started = time.monotonic()
    ran = work.command(*arguments)
    return ran, time.monotonic() - started


def test_a_truncated_body(places: Places) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")

    with server(cut) as url:
        ran, seconds = timed(workspace(places, url), "lock")
    assert ran.status == 1 and "E1003" in ran.err and "cannot be reached" in ran.err
    assert seconds < 15


def test_a_registry_that_hangs(places: Places) -> None:
    places.variables["DOL_HTTP_TIMEOUT"] = "1"
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ran, seconds = timed(workspace(places, f"http://127.0.0.1:{silent.getsockname()[1]}"), "build")
    assert ran.status == 1 and "it was silent for 1 s" in ran.err
    assert seconds < 10


def test_a_registry_that_drips(places: Places) -> None:
    """A byte now and then keeps a connection alive, but not for ever."""
    places.variables["DOL_HTTP_TIMEOUT"] = "0.5"

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(200):
            try:
                handler.wfile.write(b" " * 70_000)
                handler.wfile.flush()
            except OSError:
                return
            time.sleep(0.3)

    with server(drip) as url:
        ran, seconds = timed(workspace(places, url), "lock")
    assert ran.status == 1 and ("it takes more than 5 s" in ran.err or "larger than" in ran.err), ran.err
    assert seconds < 15


def test_an_index_without_end(places: Places) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(1000):
                handler.wfile.write(b"\n" * (1 << 20))
        except OSError:
            return

    with server(endless) as url:
        ran, seconds = timed(workspace(places, url), "lock")
    assert ran.status == 1 and "larger than 8 MiB" in ran.err
    assert seconds < 15


PINNED = '{"name": "@acme/base", "version": "1.0.0", "sha256": "#", "tree": "#", "requires": {}}'.replace("#", "0" * 64)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("not json", "line 1"),
        ("[]", "it is no object"),
        ('{"name": "@acme/other"}', "it is about '@acme/other'"),
        ('{"name": "@acme/base", "version": "1"}', "'1' is no version"),
        ('{"name": "@acme/base", "version": "1.0.0", "sha256": "x", "tree": "x", "requires": {}}', "`sha256` of 1.0.0 is no digest"),
        (PINNED.replace("{}", '{"@git:h/o/r": "main"}'), "a published package requires published ones"),
        (PINNED.replace("{}", '{"../x": "^1"}'), "'../x'"),
        ("[" * 100_000, "line 1"),
    ],
)  # fmt: skip
def test_an_index_that_is_none(web: Nginx, places: Places, line: str, told: str) -> None:
    folder = f"none-{hashlib.sha256(line.encode()).hexdigest()[:8]}"
    path = web.root / folder / "index/acme/base.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    ran = workspace(places, web.url(folder)).command("lock")
    assert ran.status == 1 and "E1005" in ran.err and told in ran.err, ran.err


def test_a_server_that_recovers(places: Places) -> None:
    seen: list[str] = []

    def flaky(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.path)
        handler.send_response(503 if len(seen) < 3 else 404)
        handler.send_header("retry-after", "0")
        handler.end_headers()

    with server(flaky) as url:
        ran = workspace(places, url).command("lock")
    assert "there is no package @acme/base" in ran.err
    assert len(seen) >= 3


def _no_addresses(_: str) -> list[str]:
    return ["93.184.216.34"]


@pytest.mark.parametrize(
    ("start", "target", "told"),
    [
        ("https://registry.example.org/a", "https://cdn.example.net/b", ""),
        ("https://registry.example.org/a", "http://registry.example.org/a", "from https to http"),
        ("http://127.0.0.1:80/a", "http://127.0.0.1:81/b", ""),
        ("https://registry.example.org/a", "https://127.0.0.1/b", "into a private network"),
        ("https://registry.example.org/a", "https://[::1]/b", "into a private network"),
        ("https://registry.example.org/a", "https://169.254.169.254/latest/meta-data", "into a private network"),
        ("https://registry.example.org/a", "https://10.1.2.3/b", "into a private network"),
        ("https://registry.example.org/a", "https://localhost/b", "into a private network"),
        ("https://registry.example.org/a", "https://metadata.google.internal/b", "into a private network"),
        ("https://registry.example.org/a", "file:///etc/passwd", "redirected to file:"),
        ("https://registry.example.org/a", "https://me:secret@cdn.example.net/b", "with a user in it"),
        ("http://registry.example.org/a", "gopher://x/", "redirected to gopher:"),
    ],
)
def test_where_redirects_may_lead(start: str, target: str, told: str) -> None:
    problem = redirect_problem(start, target, _no_addresses)
    assert (told in problem) if told else problem == ""
    assert "secret" not in problem


def test_a_name_that_means_a_private_address() -> None:
    problem = redirect_problem(
        "https://registry.example.org/a", "https://cdn.example.net/b",
        lambda host: ["192.168.1.1"] if host.startswith("cdn") else ["93.184.216.34"],
    )  # fmt: skip
    assert "into a private network" in problem


# -- the disk, and being killed --------------------------------------------------------------------


def test_a_full_disk(web: Nginx, places: Places, tmp_path: Path) -> None:
    """A home on a file system of 64 KiB; where none can be mounted, a limit on the size of files stands for it."""
    body = 'pub fun base() -> String { return "' + "x" * 300_000 + '" }\n'
    put(web.root / "full", "acme", library("base", "1.0.0", body=body))
    work = workspace(places, web.url("full"))
    assert work.command("lock").status == 0
    work.home = tmp_path / "small"
    work.home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(work.home)], capture_output=True)
    limit = "" if mounted.returncode == 0 else "ulimit -f 64; "
    try:
        done = subprocess.run(
            ["bash", "-c", f"{limit}exec {sys.executable} -m dolbuild.commands.main fetch"],
            cwd=work.root, env=work.environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert "@acme/base cannot be stored" in done.stderr and "Traceback" not in done.stderr
        assert leftovers(work) == []
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", str(work.home)], check=True)


def test_killed_while_fetching(web: Nginx, places: Places) -> None:
    for name in range(12):
        body = "".join(f"pub fun f{n}() -> Int64 {{ return {n} }}\n" for n in range(400))
        put(web.root / "killed", "acme", library(f"p{name}", "1.0.0", body=body))
    requires = {f"@acme/p{name}": "^1.0" for name in range(12)}
    url = web.url("killed")
    work = places.make("work", {"dolbuild.toml": f'[registries]\nacme = "{url}"\n', **app(requires=requires)})
    assert work.command("lock").status == 0
    for number in range(12):
        process = subprocess.Popen(
            [sys.executable, "-m", "dolbuild.commands.main", "fetch"],
            cwd=work.root, env=work.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(0.25 + number * 0.04)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for tree in work.home.glob("cache/trees/acme/*/1.0.0-*"):
            if tree.is_dir():
                assert {path.name for path in tree.iterdir()} == {"Spirit.dol", "src"}, "a tree is there as a whole"
    assert work.command("build", "--locked").status == 0
    assert len([t for t in work.home.glob("cache/trees/acme/*/1.0.0-*") if t.is_dir()]) == 12


def test_installing_at_once(tmp_path: Path) -> None:
    """Many threads put the same tree in the same place, over one that was altered."""
    files = {f"src/m{n}.dol": b"x" * n for n in range(50)}
    digest = tree_digest(files)
    place = tmp_path / "tree"
    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(install, place, files, digest) for _ in range(8)]:
                done.result()
        assert is_intact(place, digest)
        (place / "src/m1.dol").chmod(0o644)
        (place / "src/m1.dol").write_bytes(b"y")
        assert not is_intact(place, digest)
    assert not list(tmp_path.glob(".tmp-*"))


# -- what is not ours, and what is broken ----------------------------------------------------------


def test_vendoring_touches_nothing_else(web: Nginx, places: Places) -> None:
    put(web.root / "vendoring", "acme", library("base", "1.0.0"))
    work = workspace(places, web.url("vendoring"))
    work.write({"vendor/NOTES": "mine"})
    ran = work.command("vendor")
    assert ran.status == 1 and "did not put there" in ran.err
    assert (work.root / "vendor/NOTES").read_text() == "mine"
    (work.root / "vendor/NOTES").unlink()
    assert work.command("vendor").status == 0
    assert work.command("vendor").status == 0
    (work.root / "link").symlink_to(places.folder)
    settings = f'vendor = "link/inner"\n[registries]\nacme = "{web.url("vendoring")}"\n'
    work.write({"dolbuild.toml": settings})
    assert "leads out of the workspace" in work.command("vendor").err


def test_a_broken_manifest_changes_no_lock(web: Nginx, places: Places) -> None:
    put(web.root / "broken-manifest", "acme", library("base", "1.0.0"))
    work = workspace(places, web.url("broken-manifest"))
    assert work.command("lock").status == 0
    before = (work.root / "dol.lock").read_bytes()
    manifest = work.root / "app/Spirit.dol"
    for old, new in (('"^1.0"\n}', '"^1.0\n}'), ('@acme/base: "^1.0"', '@acme/base: "newest"')):
        text = manifest.read_text()
        manifest.write_text(text.replace(old, new))
        for command in (("lock",), ("update",), ("add", "@univrs/std")):
            ran = work.command(*command)
            assert ran.status == 1 and "app/Spirit.dol" in ran.err, (command, ran)
            assert (work.root / "dol.lock").read_bytes() == before
        assert "E1002" not in work.command("build").err
        manifest.write_text(text)


def test_the_own_organisation_is_not_asked_for_elsewhere(web: Nginx, places: Places) -> None:
    put(web.root / "own", "acme", library("util", "1.9.9"))
    files = {f"util/{path}": text for path, text in library("util", "1.0.0").items()}
    files["util/Spirit.dol"] = "spirit Broken {"
    settings = f'organisation = "acme"\n[registries]\ndefault = "{web.url("own")}"\n'
    work = places.make("work", {"dolbuild.toml": settings, **files, **app(requires={"@acme/util": "^1"})})
    assert work.command("build").status == 1
    assert not any("/own/" in line for line in web.requests)
    assert not (work.root / "dol.lock").exists()


def test_a_lock_that_says_otherwise_than_its_packages(web: Nginx, places: Places) -> None:
    put(web.root / "otherwise", "acme", library("base", "1.0.0"))
    put(web.root / "otherwise", "acme", library("left", "1.0.0", {"@acme/base": "^1.0"}))
    work = places.make(
        "work",
        {"dolbuild.toml": f'[registries]\nacme = "{web.url("otherwise")}"\n', **app(requires={"@acme/left": "^1"})},
    )
    assert work.command("build").status == 0
    lock = work.root / "dol.lock"
    lines = [line for line in lock.read_text().splitlines() if not line.startswith('"@acme/base"')]
    lock.write_text("\n".join(lines).replace('["@acme/base \\"^1.0\\""]', "[]") + "\n")
    ran = work.command("build", "--locked")
    assert ran.status == 1 and "says otherwise of itself" in ran.err, ran.err


def test_commands_at_once_lose_nothing(places: Places) -> None:
    work = places.make("work", {"dolbuild.toml": "", **app(body="sex fun main() { }\n")})
    with ThreadPoolExecutor(4) as pool:
        names = ("@univrs/json", "@univrs/http", "@git:git.example.org/o/r")
        results = list(pool.map(lambda name: work.command("add", "--spirit", "app", name).status, names[:2]))
    assert results == [0, 0]
    text = (work.root / "app/Spirit.dol").read_text()
    assert all(name in text for name in names[:2])


def test_an_index_keeps_what_a_tool_does_not_know(places: Places) -> None:
    registry = places.folder / "registry"
    put(registry, "acme", library("base", "1.0.0"))
    index = registry / "index/acme/base.jsonl"
    line = index.read_text().rstrip()[:-1] + ',"description":"kept"}\n'
    index.write_text(line + '{"format":2,"version":"1.5.0","new":true}\n')
    files = {f"base/{path}": text for path, text in library("base", "1.5.0").items()}
    work = places.make(
        "work", {"dolbuild.toml": f'organisation = "acme"\n[registries]\nacme = "{registry}"\n', **files}
    )
    assert work.command("yank", "@acme/base@1.0.0").status == 0
    taken = work.command("publish", "base")
    assert taken.status == 1 and "was published already" in taken.err
    text = index.read_text()
    assert '"description":"kept"' in text and '"format":2,"new":true' in text and '"yanked":true' in text


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip"])
def test_a_body_that_nobody_asked_to_compress(places: Places, encoding: str) -> None:
    bomb = gzip.compress(bytes(200 << 20))

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-encoding", encoding)
        handler.send_header("content-length", str(len(bomb)))
        handler.end_headers()
        handler.wfile.write(bomb)

    with server(answer) as url:
        ran, seconds = timed(workspace(places, url), "lock")
    assert ran.status == 1 and "compressed, which nobody asked for" in ran.err
    assert seconds < 10


@pytest.mark.parametrize("location", ["https://[bad/", "http://a..b/", f"http://{'a' * 64}.example/", "//", "http:"])
def test_redirects_to_what_is_no_address(places: Places, location: str) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("location", location)
        handler.end_headers()

    with server(answer) as url:
        ran, _ = timed(workspace(places, url), "lock")
    assert ran.status == 1 and "Traceback" not in ran.err and "E1003" in ran.err, ran.err


def test_headers_that_drip(places: Places) -> None:
    places.variables["DOL_HTTP_TIMEOUT"] = "0.3"

    def answer(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for _ in range(200):
                handler.wfile.write(b"x: y\r\n")
                handler.wfile.flush()
                time.sleep(0.2)
        except OSError:
            return

    with server(answer) as url:
        ran, seconds = timed(workspace(places, url), "lock")
    assert ran.status == 1 and "it takes more than 3 s" in ran.err, ran.err
    assert seconds < 8


@pytest.mark.parametrize(
    ("name", "value"),
    [("HTTP_PROXY", "foo://x"), ("DOL_REGISTRY_TOKEN_127_0_0_1", "s3cret\nx"), ("DOL_HTTP_TIMEOUT", "nan")],
)
def test_a_wrong_environment(web: Nginx, places: Places, name: str, value: str) -> None:
    put(web.root / f"environment-{name}", "acme", library("base", "1.0.0"))
    places.variables |= {name: value, "NO_PROXY": "", "no_proxy": ""}
    ran = workspace(places, web.url(f"environment-{name}")).command("lock")
    assert "Traceback" not in ran.err and "s3cret" not in ran.err
    assert ran.status == (0 if name == "DOL_HTTP_TIMEOUT" else 1)


@pytest.mark.parametrize(
    "body",
    [
        "has a: 3037000500\nhas b: a * a * a\n",
        'has a: "xxxxxxxxxxxxxxxx"\n' + "".join(f"has a{n}: {'a' if n == 0 else f'a{n - 1}'} + {'a' if n == 0 else f'a{n - 1}'}\n" for n in range(35)),
        "has a: [1]\n" + "".join(f"has a{n}: [{p}, {p}]\n" for n in range(30) for p in [f"this.a{n - 1}" if n else "this.a"]),
    ],
    ids=["number", "text", "list"],
)  # fmt: skip
def test_values_that_grow(body: str) -> None:
    """A manifest comes from elsewhere, too: what it makes is bounded."""
    from dolbuild.packages.manifest import read_manifest
    from dolbuild.source import SourceFile
    from dolbuild.syntax.parser import parse

    body = body.replace(" a", " this.a").replace("has this.a", "has a")
    started = time.monotonic()
    read = read_manifest(
        parse(SourceFile("Spirit.dol", f'spirit X {{\nhas name: "x"\nhas version: "1.0.0"\n{body}}}\n'))
    )
    assert "E0502" in [d.code for d in read.diagnostics], read.diagnostics
    assert all(len(d.message) < 1000 for d in read.diagnostics)
    assert time.monotonic() - started < 5
