"""Listeners with all of their connections, waited for at once (``@univrs/http/sex.host``)."""

import errno
import selectors
import socket
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import islice

TIMED_OUT = 0xFFFFFFFF
BACKLOG = 1024
MOST_WAITING = 16 * 1024 * 1024
"""Bytes that may wait to be sent to a client that does not read; beyond that it is dropped."""
NUMBERS = 1 << 20
"""How many connections of a listener can be told apart; numbers of those that are gone are used again."""
LINGER = 2.0
"""Seconds for which a connection that lingers is read."""
PAUSE = 0.1
"""Seconds before connections are accepted again when there was no room for another one."""
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    number: int
    heard: float
    outgoing: bytearray = field(default_factory=bytearray)
    closing: bool = False
    """The program has closed it, and hears no more of it."""
    lingers: bool = False
    """When all is sent, it is read until the other side closes it too."""
    broken: bool = False
    """Nothing can be sent any more."""
    alive: bool = True


class Listener:
    """A listening socket and the connections that came of it, numbered from *first_number* on."""

    def __init__(self, port: int, first_number: int) -> None:
        self.socket = socket.create_server(("", port), backlog=BACKLOG, reuse_port=False)
        self.socket.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.socket, selectors.EVENT_READ, None)
        self.first_number = first_number
        self.last = NUMBERS - 1
        self.connections: dict[int, _Connection] = {}
        # In the order in which they were heard, so that the one that was silent for the longest time is the first; those to
        # which nothing more is sent by themselves.
        self.quiet: OrderedDict[int, _Connection] = OrderedDict()
        self.lingering: OrderedDict[int, _Connection] = OrderedDict()
        self.ready: deque[_Connection] = deque()
        self.paused = 0.0

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    def next(self, size: int, timeout: float) -> tuple[int, bytes | None]:
        """Wait for the next connection with something new: its number and what came (nothing where the other side
        closed it, None where nothing came for *timeout* seconds)."""
        while True:
            while self.ready:
                connection = self.ready.popleft()
                if not connection.alive or connection.closing:
                    continue
                data = b"" if connection.broken else _receive(connection, size)
                if data is not None:
                    return connection.number, data
            for key, events in self.selector.select(self._patience(timeout)):
                connection = key.data
                if connection is None:
                    self._accept()
                elif connection.number in self.lingering:
                    if _receive(connection, 1 << 16) == b"":
                        self._drop(connection)
                else:
                    if events & selectors.EVENT_WRITE:
                        self._flush(connection)
                    if events & selectors.EVENT_READ and connection.alive and not connection.closing:
                        self._hear(connection)
                        self.ready.append(connection)
            # Only now, since the program may have been busy for longer than *timeout*.
            late = self._late(timeout)
            if late is not None:
                return late.number, None

    def _hear(self, connection: _Connection) -> None:
        connection.heard = time.monotonic()
        self.quiet.move_to_end(connection.number)

    def _late(self, timeout: float) -> _Connection | None:
        """A connection that the program knows and that was silent for too long. Those that it has closed are dropped."""
        now = time.monotonic()
        if self.paused and now >= self.paused:
            self.paused = 0.0
            self.selector.register(self.socket, selectors.EVENT_READ, None)
        while (first := next(iter(self.lingering.values()), None)) and now - first.heard > LINGER:
            self._drop(first)
        while (first := next(iter(self.quiet.values()), None)) and now - first.heard > timeout:
            if not first.closing:
                self._hear(first)
                return first
            self._drop(first)
        return None

    def _patience(self, timeout: float) -> float | None:
        """For how long there is nothing to do if nothing comes."""
        ends = [self.paused] if self.paused else []
        for first in islice(self.quiet.values(), 1):
            ends.append(first.heard + timeout)
        for first in islice(self.lingering.values(), 1):
            ends.append(first.heard + LINGER)
        return max(0.0, min(ends) - time.monotonic()) + 0.01 if ends else None

    def _accept(self) -> None:
        for _ in range(64):
            try:
                accepted, _address = self.socket.accept()
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self.selector.unregister(self.socket)
                    self.paused = time.monotonic() + PAUSE
                return
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(accepted, self._number(), time.monotonic())
            self.connections[connection.number] = connection
            self.quiet[connection.number] = connection
            self.selector.register(accepted, selectors.EVENT_READ, connection)

    def _number(self) -> int:
        """The next number that no connection has."""
        while True:
            self.last = (self.last + 1) % NUMBERS
            if self.first_number + self.last not in self.connections:
                return self.first_number + self.last

    def send(self, number: int, data: bytes) -> bool:
        """Send to a connection; what it does not take at once is kept for later. False where it is gone."""
        connection = self.connections.get(number)
        if connection is None or connection.closing or connection.broken:
            return False
        if not connection.outgoing:
            try:
                sent = connection.socket.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                connection.broken = True
                return False
            if sent == len(data):
                return True
            data = data[sent:]
            self.selector.modify(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        connection.outgoing += data
        if len(connection.outgoing) > MOST_WAITING:
            connection.outgoing.clear()
            connection.broken = True
            return False
        return True

    def _flush(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.outgoing)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            if connection.closing:
                self._drop(connection)
            else:
                # The program is told as if the other side had closed it.
                connection.broken = True
                connection.outgoing.clear()
                self.selector.modify(connection.socket, selectors.EVENT_READ, connection)
                self.ready.append(connection)
            return
        del connection.outgoing[:sent]
        self._hear(connection)
        if not connection.outgoing:
            if not connection.closing:
                self.selector.modify(connection.socket, selectors.EVENT_READ, connection)
            elif connection.lingers:
                self._finish(connection)
            else:
                self._drop(connection)

    def close(self, number: int, *, linger: bool = False) -> None:
        """Close a connection as soon as everything is sent. Where it lingers, the other side is told that nothing more
        comes, and what it still sends is read until it closes too (RFC 9112, 9.6)."""
        connection = self.connections.get(number)
        if connection is None or connection.closing:
            return
        if connection.broken or not (connection.outgoing or linger):
            self._drop(connection)
            return
        connection.closing = True
        connection.lingers = linger
        if connection.outgoing:
            self.selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        else:
            self._finish(connection)

    def _finish(self, connection: _Connection) -> None:
        """Tell the other side that this was all, and wait for it to close."""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)
            return
        connection.heard = time.monotonic()
        del self.quiet[connection.number]
        self.lingering[connection.number] = connection
        self.selector.modify(connection.socket, selectors.EVENT_READ, connection)

    def _drop(self, connection: _Connection) -> None:
        if not connection.alive:
            return
        connection.alive = False
        self.connections.pop(connection.number, None)
        self.quiet.pop(connection.number, None)
        self.lingering.pop(connection.number, None)
        self.selector.unregister(connection.socket)
        connection.socket.close()

    def shut(self) -> None:
        """Close the listener and all of its connections."""
        for connection in list(self.connections.values()):
            self._drop(connection)
        self.selector.close()
        self.socket.close()


def _receive(connection: _Connection, size: int) -> bytes | None:
    """What came; nothing where the other side closed it, None where there is nothing yet."""
    try:
        return connection.socket.recv(size)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""
