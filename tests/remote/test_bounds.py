"""What a remote can cost: time, memory, connections; and what it can say."""

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest

from dolbuild.cache.action import Result
from dolbuild.cache.digest import Digest, digest_of
from dolbuild.cache.remote.backend import RemoteError
from dolbuild.cache.remote.breaker import Breaker
from dolbuild.cache.remote.http import HttpBackend
from dolbuild.cache.wire import message
from dolbuild.packages.credentials import authorization, token_variable
from tests.support.caches import answering, reply

DATA = b"blob"
NAME = digest_of(DATA)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    try:
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: " + b"y" * 100:
            handler.wfile.write(bytes((byte,)))
            handler.wfile.flush()
            time.sleep(0.2)
    except OSError:
        handler.close_connection = True


def test_a_deadline_holds_beside_longer_ones_and_after_others() -> None:
    with answering(dripping) as url:
        backend = HttpBackend(url, {}, 0.5, "tests")
        big = Digest("0" * 64, 60_000_000)
        breaker = Breaker("a long one")
        long = threading.Thread(target=lambda: breaker.call(lambda: backend.blob(big), None), daemon=True)
        long.start()
        time.sleep(0.2)
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(RemoteError) as raised:
                backend.result(NAME, ())
            assert time.monotonic() - started < 2
            assert raised.value.late
        backend.close()


def test_many_who_wait_for_many_blobs_are_not_late() -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.1)
        reply(handler, 200, DATA)

    with answering(slow) as url:
        backend = HttpBackend(url, {}, 2.0, "tests")
        failed: list[BaseException] = []

        def work() -> None:
            try:
                assert len(backend.blobs([NAME] * 30)) == 1
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        backend.close()
        assert failed == []


def test_answers_to_uploads_are_not_read_beyond_a_bound() -> None:
    body = gzip.compress(b"\0" * 50_000_000)
    sent: list[int] = []

    def huge(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(201)
        handler.send_header("content-encoding", "gzip")
        handler.send_header("content-length", str(100 * len(body)))
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(body)
                sent.append(1)
        except OSError:
            handler.close_connection = True

    with answering(huge) as url:
        backend = HttpBackend(url, {}, 5.0, "tests")
        started = time.monotonic()
        backend.put_blobs([(NAME, DATA)])
        backend.close()
        assert time.monotonic() - started < 3


def test_misses_keep_their_connection() -> None:
    peers: set[object] = set()

    def missing(handler: BaseHTTPRequestHandler) -> None:
        peers.add(handler.client_address)
        reply(handler, 404, b"<html>not here</html>")

    with answering(missing) as url:
        backend = HttpBackend(url, {}, 5.0, "tests")
        for _ in range(20):
            assert backend.result(NAME, ()) is None
        backend.close()
        assert len(peers) == 1


def test_whatever_goes_wrong_is_a_miss() -> None:
    breaker = Breaker("the remote cache")

    def wrong() -> int:
        raise ValueError("Cannot invoke RPC on \x1b[31mclosed\x07 channel!")

    assert [breaker.call(wrong, 7) for _ in range(5)] == [7] * 5
    assert breaker.broken and breaker.faults == 3
    assert breaker.story() == "the remote cache was not used: ValueError: Cannot invoke RPC on  [31mclosed  channel!"


def test_notes_that_nest_are_no_notes() -> None:
    for depth in (201, 100_000):
        with pytest.raises(ValueError):
            Result.decode(message((5, b"[" * depth + b"]" * depth)))
    many = [{"code": "W0201", "notes": ["{", "["]} for _ in range(300)]
    assert Result.decode(Result({}, many[:60]).encode()).notes == many[:60]


def test_a_token_is_for_one_host(tmp_path) -> None:  # type: ignore[no-untyped-def]
    hosts = ("cache.example.org", "cache-example.org", "cache.example-org", "cache--example.org")
    assert len({token_variable(host) for host in hosts}) == len(hosts)
    (tmp_path / "netrc").write_text("machine known.example.org login ann password x\ndefault login ann password y\n")
    environment = {"NETRC": str(tmp_path / "netrc")}
    assert authorization("https://known.example.org", environment)
    assert authorization("https://other.example.org", environment) == {}
