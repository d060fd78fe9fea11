"""The wire format of Protocol Buffers, as far as the Remote Execution API needs it.

An action result is stored and sent as the ``ActionResult`` of that API, in every installation, so the handful of messages
are written by their field numbers here instead of bringing in a code generator's runtime
(https://protobuf.dev/programming-guides/encoding/).
"""

from collections.abc import Iterable

Value = int | str | bytes | None
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10
"""Bytes of the longest number."""


def message(*fields: tuple[int, Value]) -> bytes:
    """A message from (field number, value); values that are zero, empty or None are left out, as proto3 does."""
    return encode(fields)


def encode(fields: Iterable[tuple[int, Value]]) -> bytes:
    """Like `message`. Negative numbers take ten bytes, as an ``int32`` or ``int64`` does."""
    parts: list[bytes] = []
    for number, value in fields:
        if not value:
            continue
        if isinstance(value, int):
            parts += (_number(number << 3 | _VARINT), _number(value & 0xFFFF_FFFF_FFFF_FFFF))
        else:
            data = value.encode() if isinstance(value, str) else value
            parts += (_number(number << 3 | _BYTES), _number(len(data)), data)
    return b"".join(parts)


def repeated(number: int, values: Iterable[bytes]) -> list[tuple[int, Value]]:
    """The fields of a repeated message."""
    return [(number, value) for value in values]


def _number(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


class Message:
    """A message that was received: its fields by number; those that nobody asks for are passed over.

    Raises ValueError where the bytes are no message.
    """

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        position = 0
        while position < len(data):
            tag, position = _read_number(data, position)
            kind = tag & 7
            if tag < 8:
                raise ValueError("no message: there is no field 0")
            if kind == _VARINT:
                value: int | bytes
                value, position = _read_number(data, position)
            else:
                if kind == _BYTES:
                    length, position = _read_number(data, position)
                elif kind in (_FIXED64, _FIXED32):
                    length = 8 if kind == _FIXED64 else 4
                else:
                    raise ValueError(f"no message: wire type {kind}")
                if position + length > len(data):
                    raise ValueError("no message: it is cut off")
                value = data[position : position + length]
                position += length
            self._fields.setdefault(tag >> 3, []).append(value)

    def number(self, field: int) -> int:
        """A number as it was sent, two's complement where it is negative; 0 where there is none."""
        value = self._last(field, 0)
        if not isinstance(value, int):
            raise ValueError(f"no message: field {field} is no number")
        return value - (1 << 64) if value >> 63 else value

    def data(self, field: int) -> bytes:
        """Bytes, or a message's bytes; empty where there are none."""
        value = self._last(field, b"")
        if not isinstance(value, bytes):
            raise ValueError(f"no message: field {field} is a number")
        return value

    def text(self, field: int) -> str:
        """A text. UnicodeDecodeError is a ValueError."""
        return self.data(field).decode()

    def message(self, field: int) -> "Message":
        """A message; an empty one where there is none."""
        return Message(self.data(field))

    def messages(self, field: int) -> list["Message"]:
        """A repeated message."""
        return [Message(value) for value in self._fields.get(field, ()) if isinstance(value, bytes)]

    def numbers(self, field: int) -> list[int]:
        """A repeated number, packed or not."""
        found: list[int] = []
        for value in self._fields.get(field, ()):
            if isinstance(value, int):
                found.append(value)
                continue
            position = 0
            while position < len(value):
                number, position = _read_number(value, position)
                found.append(number)
        return found

    def _last(self, field: int, default: int | bytes) -> int | bytes:
        found = self._fields.get(field)
        return found[-1] if found else default


def _read_number(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    for end in range(position, min(position + _MAX_VARINT, len(data))):
        byte = data[end]
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFF_FFFF_FFFF_FFFF, end + 1
        shift += 7
    raise ValueError("no message: a number does not end")
