"""A remote is never a reason to fail or to hang: the build is right, ends in time, says one line, and exits with its own status."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from dolbuild.cache.action import Result
from dolbuild.cache.digest import digest_of
from tests.remote.conftest import UPLOADING, Clone
from tests.support.caches import Cache, answering, black_hole, reply, webdav
from tests.support.servers import free_port
from tests.support.workspaces import Workspace

BOUND = 20.0
"""Seconds that a build takes at most, whatever its remote (3 s for each answer here) does; without a remote it takes two."""


@contextmanager
def filled(clone: Clone, folder: Path) -> Iterator[Cache]:
    """A cache on nginx that has everything."""
    folder.mkdir()
    with webdav(folder) as cache:
        assert clone({**UPLOADING, "DOL_REMOTE": cache.url}).build().status == 0
        yield cache


def build(place: Workspace, *arguments: str) -> Any:
    """Build within the bound."""
    started = time.monotonic()
    ran = place.build(*arguments)
    seconds = time.monotonic() - started
    assert seconds < BOUND, f"{seconds:.1f} s"
    return ran


def check(place: Workspace, reference: Workspace, line: str) -> None:
    """The build is right, and says one line."""
    ran = build(place)
    assert ran.status == 0, ran.err
    told = ran.err.splitlines()
    assert len(told) == (1 if line else 0), ran.err
    assert line in ran.err
    for path in sorted((reference.root / "target/spirits").iterdir()):
        assert (place.root / "target/spirits" / path.name).read_bytes() == path.read_bytes()


@pytest.fixture
def reference(clone: Clone) -> Workspace:
    place = clone()
    assert place.build().status == 0
    return place


Handler = BaseHTTPRequestHandler


def slow(handler: Handler) -> None:
    time.sleep(30)
    reply(handler, 404)


def dripping(handler: Handler) -> None:
    """One byte of the head each second: no single read takes too long."""
    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: " + b"y" * 60:
        handler.wfile.write(bytes((byte,)))
        handler.wfile.flush()
        time.sleep(1)


def status_500(handler: Handler) -> None:
    reply(handler, 500, b"broken")


def garbage(handler: Handler) -> None:
    reply(handler, 200, b"\x00\xff garbage \x80")


def no_http(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    handler.close_connection = True


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * (1 << 16))
    except OSError:
        handler.close_connection = True


def redirecting(handler: Handler) -> None:
    handler.send_response(302)
    handler.send_header("location", "file:///etc/passwd")
    handler.send_header("content-length", "0")
    handler.end_headers()


ANSWERS: dict[str, tuple[Callable[[Handler], None], str]] = {
    "30 s slow": (slow, "it was silent for 3 s"),
    "dripping heads": (dripping, "it was silent for 3 s"),
    "500s": (status_500, "it answers 500"),
    "garbage results": (garbage, "it has results that are none"),
    "no HTTP": (no_http, "it cannot be reached"),
    "without end": (endless, "it sends more than there can be"),
    "a redirect": (redirecting, "it answers 302"),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("uploading", [False, True], ids=["reading", "uploading"])
def test_answers(name: str, uploading: bool, clone: Clone, reference: Workspace) -> None:
    answer, line = ANSWERS[name]
    with answering(answer) as url:
        place = clone({"DOL_REMOTE": url, **(UPLOADING if uploading else {})})
        check(place, reference, f"warning: the remote cache was not used: {line}")


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_refused(scheme: str, clone: Clone, reference: Workspace) -> None:
    place = clone({"DOL_REMOTE": f"{scheme}://127.0.0.1:{free_port()}"} | UPLOADING)
    check(place, reference, "warning: the remote cache was not used: it ")


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_packets_are_dropped(scheme: str, clone: Clone, reference: Workspace) -> None:
    with black_hole() as url:
        place = clone({"DOL_REMOTE": url.replace("http", scheme)} | UPLOADING)
        check(place, reference, "warning: the remote cache was not used: it was silent for 3 s")


def test_a_name_that_has_no_address(clone: Clone, reference: Workspace) -> None:
    place = clone({"DOL_REMOTE": "https://nowhere.invalid/cache"})
    check(place, reference, "warning: the remote cache was not used: it cannot be reached")


@pytest.mark.parametrize(
    "variables, reason",
    [
        ({"DOL_REMOTE": "ftp://cache"}, "DOL_REMOTE: the address of the remote cache begins with"),
        ({"DOL_REMOTE": "https://user:secret@cache"}, "has a password in it"),
        ({"DOL_REMOTE": "http://cache", "DOL_REMOTE_UPLOAD": "yes"}, "DOL_REMOTE_UPLOAD is true or false"),
        ({"DOL_REMOTE": "http://cache", "DOL_REMOTE_TIMEOUT": "soon"}, "DOL_REMOTE_TIMEOUT is a number of seconds"),
        ({"DOL_REMOTE": "http://cache", "DOL_REMOTE_TIMEOUT": "nan"}, "DOL_REMOTE_TIMEOUT is a number of seconds"),
        (
            {"DOL_REMOTE": "cache"},
            'DOL_REMOTE: the address of the remote cache begins with http:, https:, grpc: or grpcs:, not "cache"',
        ),
        ({"DOL_REMOTE": "http://cache:99999"}, "the address of the remote cache has a port that is none"),
        ({"DOL_REMOTE": "http://cache", "DOL_CACHE_KEY": "short"}, "a key in DOL_CACHE_KEY has less than 16 bytes"),
        (
            {"DOL_REMOTE": "https://cache", "DOL_REMOTE_TOKEN_CACHE": "a b"},
            "DOL_REMOTE_TOKEN_CACHE holds what is no token",
        ),
    ],
)
def test_wrong_variables(variables: dict[str, str], reason: str, clone: Clone, reference: Workspace) -> None:
    place = clone(variables)
    check(place, reference, reason)
    assert "secret" not in place.build("-a").err


# -- wrong bytes -----------------------------------------------------------------------------------


def test_wrong_bytes_under_a_right_name(clone: Clone, reference: Workspace, tmp_path: Path) -> None:
    with filled(clone, tmp_path / "server") as cache:
        assert cache.folder is not None
        for path in (cache.folder / "cas").iterdir():
            path.write_bytes(bytes(len(path.read_bytes())))
        place = clone({"DOL_REMOTE": cache.url})
        check(place, reference, "it has bytes that are not what their name says")


def test_truncated_blobs(clone: Clone, reference: Workspace, tmp_path: Path) -> None:
    with filled(clone, tmp_path / "server") as cache:
        assert cache.folder is not None
        for path in (cache.folder / "cas").iterdir():
            path.write_bytes(path.read_bytes()[:-1])
        check(clone({"DOL_REMOTE": cache.url}), reference, "it has bytes that are not what their name says")


def test_a_body_that_breaks_off(clone: Clone, reference: Workspace, tmp_path: Path) -> None:
    with filled(clone, tmp_path / "server") as cache:
        folder = cache.folder
        assert folder is not None

        def cut(handler: Handler) -> None:
            path = folder / handler.path.lstrip("/")
            if not path.is_file():
                reply(handler, 404)
                return
            data = path.read_bytes()
            reply(handler, 200, data[: len(data) // 2], len(data))
            handler.close_connection = True

        with answering(cut) as url:
            check(clone({"DOL_REMOTE": url}), reference, "warning: the remote cache was not used: it cannot be reached")


def test_results_whose_blobs_were_evicted(clone: Clone, reference: Workspace, tmp_path: Path) -> None:
    with filled(clone, tmp_path / "server") as cache:
        assert cache.folder is not None
        shutil.rmtree(cache.folder / "cas")
        place = clone({"DOL_REMOTE": cache.url})
        check(place, reference, "")
        text = (place.root / "base/src/numbers.dol").read_text()
        place.write({"base/src/numbers.dol": text.replace("return 1 }", "return 11 - 10 }")})
        ran = build(place)
        assert ran.status == 0 and ran.err == ""
        assert place.command("exec", "user", "three").out == "3\n"


def test_blobs_that_go_between_the_answer_and_the_fetch(clone: Clone, reference: Workspace, tmp_path: Path) -> None:
    with filled(clone, tmp_path / "server") as cache:
        place = clone({"DOL_REMOTE": cache.url})
        assert build(place).counts["ran"] == 0
        assert cache.folder is not None
        shutil.rmtree(cache.folder / "cas")
        text = (place.root / "base/src/numbers.dol").read_text()
        place.write({"base/src/numbers.dol": text.replace("return 1 }", "return 11 - 10 }")})
        ran = build(place)
        assert ran.status == 0 and ran.err == ""
        assert place.command("exec", "user", "three").out == "3\n"


@pytest.mark.parametrize("what", ["other outputs", "no outputs", "notes that are none", "objects that are none"])
def test_results_that_lie(what: str, clone: Clone, reference: Workspace, tmp_path: Path) -> None:
    """Someone who may write can say what he wants; it must not break a build in ways that nobody understands."""
    with filled(clone, tmp_path / "server") as cache:
        assert cache.folder is not None
        junk = b"junk"
        (cache.folder / "cas" / digest_of(junk).hash).write_bytes(junk)
        for path in (cache.folder / "ac").iterdir():
            before = Result.decode(path.read_bytes())
            lies = {
                "other outputs": Result({"strange": digest_of(junk)}),
                "no outputs": Result(),
                "notes that are none": Result(before.outputs, [{"code": 7}, "x"]),
                "objects that are none": Result(
                    {
                        name: digest_of(junk) if name in ("dolo", "doli") else found
                        for name, found in before.outputs.items()
                    }
                ),
            }
            path.write_bytes(lies[what].encode())
        place = clone({"DOL_REMOTE": cache.url})
        ran = build(place)
        assert "Traceback" not in ran.err, ran.err
        if what != "objects that are none":
            assert ran.status == 0, ran.err
            assert place.command("exec", "user", "three").out == "3\n"


# -- who wrote it ----------------------------------------------------------------------------------

KEY, OTHER = "a-key-of-the-team-0123456789", "a-key-of-somebody-else-98765"
SIGNED = "[cache]\nsigned = true\n"


def poison(folder: Path, key: str | None = None) -> int:
    """Replace every library by one that answers wrongly, as someone could who may write to the cache; gives how many."""
    from dolbuild.cache.remote.signing import Signer

    changed = 0
    wasm = b"\0asm\1\0\0\0"
    (folder / "cas" / digest_of(wasm).hash).write_bytes(wasm)
    for path in (folder / "ac").iterdir():
        before = Result.decode(path.read_bytes())
        if "lib.wasm" in before.outputs:
            made = Result({name: digest_of(wasm) for name in before.outputs}, None, before.signature)
            path.write_bytes((Signer("dol", (key.encode(),)).sign(path.name, made) if key else made).encode())
            changed += 1
    return changed


def test_signed_results_are_believed(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with webdav(tmp_path / "server") as cache:
        team = {"DOL_REMOTE": cache.url, "DOL_CACHE_KEY": KEY}
        assert clone(team | UPLOADING, SIGNED).build().err == ""
        ran = clone(team, SIGNED).build()
        assert ran.err == "" and ran.counts["ran"] == 0
        rotated = clone(team | {"DOL_CACHE_KEY": f"a-newer-key-of-the-team-1,{KEY}"}, SIGNED).build()
        assert rotated.err == "" and rotated.counts["ran"] == 0
        elsewhere = clone(team, SIGNED + 'namespace = "other"\n').build()
        assert elsewhere.counts["remote-hit"] == 0
        assert KEY not in "".join(
            path.read_text("latin-1") for path in (tmp_path / "server").rglob("*") if path.is_file()
        )


@pytest.mark.parametrize("key", [None, OTHER], ids=["unsigned", "signed by another"])
def test_a_poisoned_entry_reaches_no_one_who_wants_signatures(key: str | None, clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with webdav(tmp_path / "server") as cache:
        team = {"DOL_REMOTE": cache.url, "DOL_CACHE_KEY": KEY}
        clone(team | UPLOADING, SIGNED).build()
        assert cache.folder is not None and poison(cache.folder, key) == 2
        victim = clone({"DOL_REMOTE": cache.url})
        assert build(victim).ran() == set()
        assert (victim.root / "target/spirits/user.wasm").read_bytes() == b"\0asm\1\0\0\0", (
            "the attack works where nobody looks"
        )
        careful = clone(team, SIGNED)
        ran = build(careful)
        assert ran.status == 0
        assert ran.err == "warning: 2 results of the remote cache had no signature of ours and were not used\n"
        assert ran.ran() == {"spirit:base", "spirit:user"}
        assert careful.command("exec", "user", "three").out == "3\n"


def test_a_signature_is_for_one_key_only(clone: Clone, tmp_path: Path) -> None:
    """A signed result under the key of another action is not believed."""
    (tmp_path / "server").mkdir()
    with webdav(tmp_path / "server") as cache:
        team = {"DOL_REMOTE": cache.url, "DOL_CACHE_KEY": KEY}
        clone(team | UPLOADING, SIGNED).build()
        assert cache.folder is not None
        paths = sorted((cache.folder / "ac").iterdir())
        contents = [path.read_bytes() for path in paths]
        for path, data in zip(paths, contents[1:] + contents[:1], strict=True):
            path.write_bytes(data)
        ran = build(clone(team, SIGNED))
        assert ran.status == 0 and ran.counts["remote-hit"] == 0
        assert "had no signature of ours" in ran.err


def test_without_a_key_nothing_is_believed(clone: Clone, reference: Workspace, tmp_path: Path) -> None:
    with filled(clone, tmp_path / "server") as cache:
        check(clone({"DOL_REMOTE": cache.url}, SIGNED), reference, "have to be signed, and DOL_CACHE_KEY is not set")


def test_a_failing_build_keeps_its_own_status(clone: Clone) -> None:
    place = clone({"DOL_REMOTE": f"http://127.0.0.1:{free_port()}"} | UPLOADING)
    place.write({"user/src/lib.dol": "use @acme/base.one\npub fun three() -> Int64 { return gone() }\n"})
    ran = build(place)
    assert ran.status == 1
    assert "E0201" in ran.codes
    assert place.command("build", "--download=some").status == 2
