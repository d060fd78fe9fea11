"""Listeners as the host keeps them: what no client that behaves would show."""

import errno
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from dolbuild.runtime.capabilities import Capabilities
from dolbuild.runtime.host import FAILED, Host
from dolbuild.runtime.sockets import MOST_WAITING, NUMBERS, Listener

SIZE = 1 << 16
FIRST = NUMBERS
NEVER = 60.0


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener(0, FIRST)
    yield made
    made.shut()


def connect(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), 10)


def test_numbers_are_used_again(listener: Listener) -> None:
    listener.last = NUMBERS - 3
    with connect(listener) as first, connect(listener) as second:
        first.sendall(b"a")
        assert listener.next(SIZE, NEVER) == (FIRST + NUMBERS - 2, b"a")
        second.sendall(b"b")
        assert listener.next(SIZE, NEVER) == (FIRST + NUMBERS - 1, b"b")
        with connect(listener) as third:
            third.sendall(b"c")
            assert listener.next(SIZE, NEVER) == (FIRST, b"c")
            listener.last = NUMBERS - 3
            with connect(listener) as fourth:
                fourth.sendall(b"d")
                assert listener.next(SIZE, NEVER) == (FIRST + 1, b"d")
        assert listener.send(FIRST + NUMBERS - 1, b"to the second")
        assert second.recv(99) == b"to the second"


def test_the_one_that_was_silent_for_too_long(listener: Listener) -> None:
    with connect(listener) as first, connect(listener) as second:
        first.sendall(b"a")
        second.sendall(b"b")
        numbers = [listener.next(SIZE, NEVER)[0] for _ in range(2)]
        started = time.monotonic()
        assert listener.next(SIZE, 0.05) == (numbers[0], None)
        assert time.monotonic() - started >= 0.04
        listener.close(numbers[0])
        assert listener.next(SIZE, 0.05) == (numbers[1], None)
        assert first.recv(9) == b""
        # It is told again and again until it is closed, or speaks.
        second.sendall(b"c")
        assert listener.next(SIZE, 0.05) == (numbers[1], b"c")
        assert listener.next(SIZE, 0.05) == (numbers[1], None)


def test_what_came_while_the_program_was_busy_is_not_late(listener: Listener) -> None:
    with connect(listener) as client:
        client.sendall(b"a")
        number, _ = listener.next(SIZE, 0.02)
        client.sendall(b"b")
        time.sleep(0.05)
        assert listener.next(SIZE, 0.02) == (number, b"b")


def test_a_client_that_never_reads_is_dropped(listener: Listener) -> None:
    with connect(listener) as client:
        client.sendall(b"a")
        number, _ = listener.next(SIZE, NEVER)
        piece = b"x" * (1 << 20)
        sent = 0
        while listener.send(number, piece):
            sent += len(piece)
        assert MOST_WAITING <= sent <= MOST_WAITING + (64 << 20)
        assert not listener.send(number, b"x")
        listener.close(number)
        assert not listener.connections


def test_a_client_that_goes_away_while_something_waits_for_it(listener: Listener) -> None:
    client = connect(listener)
    client.sendall(b"a")
    number, _ = listener.next(SIZE, NEVER)
    while not listener.connections[number].outgoing:
        assert listener.send(number, b"x" * (1 << 20))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    # The program is told, so that it can forget it.
    assert listener.next(SIZE, NEVER) == (number, b"")
    assert number in listener.connections
    listener.close(number)
    assert not listener.connections


def test_what_waits_is_sent_before_it_closes(listener: Listener) -> None:
    with connect(listener) as client:
        client.sendall(b"a")
        number, _ = listener.next(SIZE, NEVER)
        listener.send(number, b"x" * (8 << 20))
        listener.close(number)
        assert not listener.send(number, b"more")
        with connect(listener) as other:
            found = 0
            client.settimeout(0.01)
            while True:
                other.sendall(b"?")
                listener.next(SIZE, NEVER)
                try:
                    data = client.recv(1 << 22)
                except TimeoutError:
                    continue
                if not data:
                    break
                found += len(data)
    assert found == 8 << 20


def test_one_that_lingers_is_read_until_it_closes(listener: Listener) -> None:
    with connect(listener) as client, connect(listener) as other:
        client.sendall(b"a")
        number, _ = listener.next(SIZE, NEVER)
        listener.send(number, b"answer")
        listener.close(number, linger=True)
        client.sendall(b"x" * 100_000)
        other.sendall(b"?")
        assert listener.next(SIZE, NEVER)[1] == b"?"
        # It was neither reset nor told of.
        assert client.recv(99) == b"answer"
        assert client.recv(99) == b""
        assert number in listener.connections
        client.close()
        other.sendall(b"?")
        assert listener.next(SIZE, NEVER)[1] == b"?"
        other.sendall(b"?")
        assert listener.next(SIZE, NEVER)[1] == b"?"
        assert number not in listener.connections


def test_one_that_lingers_is_dropped_in_the_end(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dolbuild.runtime.sockets.LINGER", 0.02)
    with connect(listener) as client, connect(listener) as other:
        client.sendall(b"a")
        number, _ = listener.next(SIZE, NEVER)
        listener.close(number, linger=True)
        time.sleep(0.05)
        other.sendall(b"?")
        while number in listener.connections:
            listener.next(SIZE, 0.05)


class Full:
    """A listening socket for which there are no more descriptors."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.refused = 0

    def fileno(self) -> int:
        return self.real.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        self.refused += 1
        if self.refused < 3:
            raise OSError(errno.EMFILE, "too many open files")
        return self.real.accept()

    def close(self) -> None:
        self.real.close()


def test_no_room_for_another_connection(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dolbuild.runtime.sockets.PAUSE", 0.02)
    with connect(listener) as client:
        client.sendall(b"a")
        full = Full(listener.socket)
        monkeypatch.setattr(listener, "socket", full)
        started = time.monotonic()
        assert listener.next(SIZE, NEVER)[1] == b"a"
        assert time.monotonic() - started >= 0.04
        assert full.refused <= 4


def test_listeners_have_numbers_of_their_own() -> None:
    host = Host(Capabilities(net=True))
    first, second = host.listen(0), host.listen(0)
    assert first != second
    host.close_listener(first)
    third = host.listen(0)
    assert third != second
    assert host.listeners[second].first_number != host.listeners[third].first_number
    host.close()


def test_what_the_host_says_no_to() -> None:
    host = Host(Capabilities())
    assert host.guarded(host.listen)(0) == FAILED
    assert "--allow-net" in host.error
    assert host.send(NUMBERS, 0) == FAILED
    assert host.functions()["@univrs/http/sex.host.port"](1) == FAILED
