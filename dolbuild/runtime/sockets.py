"""Listeners with all of their connections, waited for at once (``@univrs/http/sex.host``)."""

import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass, field

TIMED_OUT = 0xFFFFFFFF
BACKLOG = 1024
MOST_WAITING = 16 * 1024 * 1024
"""Bytes that may wait to be sent to a client that does not read; beyond that it is dropped."""


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    number: int
    listener: "Listener"
    heard: float
    outgoing: bytearray = field(default_factory=bytearray)
    closing: bool = False
    alive: bool = True


class Listener:
    """A listening socket and the connections that came of it."""

    def __init__(self, port: int, first_number: int) -> None:
        self.socket = socket.create_server(("", port), backlog=BACKLOG, reuse_port=False)
        self.socket.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.socket, selectors.EVENT_READ, None)
        self.connections: dict[int, _Connection] = {}
        self.ready: deque[_Connection] = deque()
        self.next_number = first_number

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
                try:
                    data = connection.socket.recv(size)
                except (BlockingIOError, InterruptedError):
                    continue
                except OSError:
                    data = b""
                connection.heard = time.monotonic()
                return connection.number, data
            late = self._late(timeout)
            if late is not None:
                return late.number, None
            for key, events in self.selector.select(self._patience(timeout)):
                if key.data is None:
                    self._accept()
                    continue
                if events & selectors.EVENT_WRITE:
                    self._flush(key.data)
                if events & selectors.EVENT_READ:
                    self.ready.append(key.data)

    def _late(self, timeout: float) -> _Connection | None:
        """The connection that was silent for the longest time, if that was too long. They are kept in the order in which
        they were heard last only roughly, so all are looked at, but at most once a second."""
        now = time.monotonic()
        for connection in self.connections.values():
            if now - connection.heard > timeout:
                if connection.closing:
                    self._drop(connection)
                    return None if not self.connections else self._late(timeout)
                connection.heard = now
                return connection
        return None

    def _patience(self, timeout: float) -> float | None:
        if not self.connections:
            return None
        oldest = min(connection.heard for connection in self.connections.values())
        return max(0.0, oldest + timeout - time.monotonic()) + 0.01

    def _accept(self) -> None:
        for _ in range(64):
            try:
                accepted, _address = self.socket.accept()
            except (BlockingIOError, InterruptedError, OSError):
                return
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(accepted, self.next_number, self, time.monotonic())
            self.next_number += 1
            self.connections[connection.number] = connection
            self.selector.register(accepted, selectors.EVENT_READ, connection)

    def send(self, number: int, data: bytes) -> bool:
        """Send to a connection; what it does not take at once is kept for later. False where it is gone."""
        connection = self.connections.get(number)
        if connection is None or not connection.alive or connection.closing:
            return False
        if not connection.outgoing:
            try:
                sent = connection.socket.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._drop(connection)
                return False
            data = data[sent:]
        if data:
            connection.outgoing += data
            if len(connection.outgoing) > MOST_WAITING:
                self._drop(connection)
                return False
            self.selector.modify(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        return True

    def _flush(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.outgoing)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._drop(connection)
            return
        del connection.outgoing[:sent]
        connection.heard = time.monotonic()
        if not connection.outgoing:
            if connection.closing:
                self._drop(connection)
            else:
                self.selector.modify(connection.socket, selectors.EVENT_READ, connection)

    def close(self, number: int) -> None:
        """Close a connection as soon as everything is sent."""
        connection = self.connections.get(number)
        if connection is None:
            return
        if connection.outgoing:
            connection.closing = True
            self.selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        else:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        if not connection.alive:
            return
        connection.alive = False
        self.connections.pop(connection.number, None)
        self.selector.unregister(connection.socket)
        connection.socket.close()

    def shut(self) -> None:
        """Close the listener and all of its connections."""
        for connection in list(self.connections.values()):
            self._drop(connection)
        self.selector.close()
        self.socket.close()
