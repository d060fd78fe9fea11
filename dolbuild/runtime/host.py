"""The functions that the host gives to programs: streams, files, clocks, random bytes, sockets.

Each is named by package and path, takes WebAssembly values, and gives a number; below 0 it is an error, whose text
`last_error` gives. Texts are read from the program's memory; bytes are written into the buffers that it hands over.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from dolbuild.runtime.capabilities import Capabilities, Denied
from dolbuild.runtime.sockets import NUMBERS, TIMED_OUT, Listener
from dolbuild.runtime.values import text_bytes

if TYPE_CHECKING:
    from dolbuild.runtime.instance import Instance

FAILED = -1
_MODES = {0: "rb", 1: "wb", 2: "ab"}
FIRST_STREAM = 3
MOST_LISTENERS = (1 << 31) // NUMBERS - 1
"""Connections of a listener are numbered from the listener's number times `NUMBERS`, and the numbers are Int32."""


class Host:
    """The outside of one instance."""

    def __init__(self, capabilities: Capabilities, streams: tuple[BinaryIO, BinaryIO, BinaryIO] | None = None) -> None:
        self.capabilities = capabilities
        self.standard = streams
        self.files: dict[int, BinaryIO] = {}
        self.listeners: dict[int, Listener] = {}
        self.error = ""
        self.instance: Instance | None = None

    def close(self) -> None:
        """Close everything that the program left open."""
        for file in self.files.values():
            file.close()
        for listener in self.listeners.values():
            listener.shut()
        self.files.clear()
        self.listeners.clear()

    # -- between memory and Python ----------------------------------------------------------------

    def text(self, address: int) -> bytes:
        """The bytes of a String."""
        assert self.instance is not None
        return text_bytes(self.instance, address)

    def put(self, buffer: int, data: bytes) -> int:
        """Bytes into a List<UInt8>, as many as it holds; gives how many there were."""
        items, length = self.buffer(buffer)
        assert self.instance is not None
        self.instance.write(items, data[:length])
        return len(data)

    def buffer(self, address: int) -> tuple[int, int]:
        """Where the items of a List<UInt8> lie, and how many there are."""
        assert self.instance is not None
        head = self.instance.read((address & 0xFFFFFFFF) + 4, 8)
        return int.from_bytes(head[4:], "little") + 8, int.from_bytes(head[:4], "little")

    def guarded(self, function: Callable[..., int]) -> Callable[..., int]:
        """A function whose errors become a result below 0."""

        def call(*arguments: int) -> int:
            try:
                return function(*arguments)
            except Denied as error:
                self.error = str(error)
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                self.error = f"{where}{error.strerror or error}"
            except (ValueError, OverflowError) as error:
                self.error = str(error)
            return FAILED

        return call

    def functions(self) -> dict[str, Callable[..., int]]:
        """What there is, by the name of its import."""
        std, http = "@univrs/std/sex.host.", "@univrs/http/sex.host."
        return {
            std + "write": self.write,
            std + "read": self.read,
            std + "open": self.open,
            std + "close": self.close_stream,
            std + "list_folder": self.list_folder,
            std + "path_kind": self.path_kind,
            std + "make_folder": self.make_folder,
            std + "remove": self.remove,
            std + "last_error": self.last_error,
            std + "environment": self.environment,
            std + "unix_milliseconds": lambda: time.time_ns() // 1_000_000,
            std + "monotonic_nanoseconds": time.monotonic_ns,
            std + "sleep": self.sleep,
            std + "random": lambda buffer: self.put(buffer, os.urandom(self.buffer(buffer)[1])),
            http + "listen": self.listen,
            http + "port": lambda number: self.listeners[number].port if number in self.listeners else FAILED,
            http + "next": self.next,
            http + "send": self.send,
            http + "close": self.close_connection,
            http + "linger": lambda connection: self.close_connection(connection, linger=True),
            http + "close_listener": self.close_listener,
            http + "last_error": self.last_error,
        }

    def last_error(self, buffer: int) -> int:
        return min(self.put(buffer, self.error.encode("utf-8", "replace")), self.buffer(buffer)[1])

    # -- streams and files ------------------------------------------------------------------------

    def stream(self, number: int) -> BinaryIO:
        if 0 <= number < FIRST_STREAM:
            standard = self.standard or (sys.stdin.buffer, sys.stdout.buffer, sys.stderr.buffer)
            return standard[number]
        if number not in self.files:
            raise ValueError(f"there is no stream {number}")
        return self.files[number]

    def write(self, number: int, text: int) -> int:
        stream = self.stream(number)
        stream.write(self.text(text))
        if number < FIRST_STREAM:
            stream.flush()
        return 0

    def read(self, number: int, buffer: int) -> int:
        stream = self.stream(number)
        size = self.buffer(buffer)[1]
        data = stream.read1(size) if hasattr(stream, "read1") else stream.read(size)
        return self.put(buffer, data)

    def open(self, path: int, mode: int) -> int:
        name = self.text(path).decode("utf-8", "replace")
        found = self.capabilities.readable(name) if mode == 0 else self.capabilities.writable(name)
        number = max(self.files, default=FIRST_STREAM - 1) + 1
        self.files[number] = cast(BinaryIO, found.open(_MODES[mode]))
        return number

    def close_stream(self, number: int) -> int:
        file = self.files.pop(number, None)
        if file is not None:
            file.close()
        return 0

    def list_folder(self, path: int, buffer: int) -> int:
        folder = self.capabilities.readable(self.text(path).decode("utf-8", "replace"))
        names = sorted(entry.name for entry in folder.iterdir())
        return self.put(buffer, "".join(f"{name}\n" for name in names).encode("utf-8", "replace"))

    def path_kind(self, path: int) -> int:
        found = self.capabilities.readable(self.text(path).decode("utf-8", "replace"))
        return 1 if found.is_file() else 2 if found.is_dir() else 0

    def make_folder(self, path: int) -> int:
        self.capabilities.writable(self.text(path).decode("utf-8", "replace")).mkdir(parents=True, exist_ok=True)
        return 0

    def remove(self, path: int) -> int:
        found = self.capabilities.writable(self.text(path).decode("utf-8", "replace"))
        if found.is_dir() and not found.is_symlink():
            found.rmdir()
        else:
            found.unlink()
        return 0

    # -- the rest ---------------------------------------------------------------------------------

    def environment(self, name: int, buffer: int) -> int:
        value = self.capabilities.variable(self.text(name).decode("utf-8", "replace"))
        return FAILED if value is None else self.put(buffer, value.encode("utf-8", "surrogateescape"))

    def sleep(self, milliseconds: int) -> int:
        time.sleep(max(0, milliseconds) / 1000)
        return 0

    # -- sockets ----------------------------------------------------------------------------------

    def listen(self, port: int) -> int:
        self.capabilities.network()
        number = next((n for n in range(1, MOST_LISTENERS + 1) if n not in self.listeners), None)
        if number is None:
            raise ValueError("too many listeners are open")
        self.listeners[number] = Listener(port & 0xFFFF, number * NUMBERS)
        return number

    def listener(self, number: int) -> Listener:
        if number not in self.listeners:
            raise ValueError("the listener is closed")
        return self.listeners[number]

    def next(self, number: int, buffer: int, timeout: int) -> int:
        items, size = self.buffer(buffer)
        connection, data = self.listener(number).next(size, max(1, timeout) / 1000)
        if data is None:
            return connection << 32 | TIMED_OUT
        assert self.instance is not None
        self.instance.write(items, data)
        return connection << 32 | len(data)

    def send(self, connection: int, text: int) -> int:
        listener = self.listeners.get(connection // NUMBERS)
        return 0 if listener is not None and listener.send(connection, self.text(text)) else FAILED

    def close_connection(self, connection: int, linger: bool = False) -> int:
        listener = self.listeners.get(connection // NUMBERS)
        if listener is not None:
            listener.close(connection, linger=linger)
        return 0

    def close_listener(self, number: int) -> int:
        listener = self.listeners.pop(number, None)
        if listener is not None:
            listener.shut()
        return 0
