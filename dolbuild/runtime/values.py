"""DOL values between Python, text and WebAssembly.

A type is JSON as ``dol.exports`` has it: a name, or ``[name, arguments...]``. In Python an integer is an
int, a Float a float, a Bool a bool, a Char and a String a str, None of an Option is None, ``Some(x)`` is
the tuple ``(x,)``, a List a list, and the value of Void is ``()``.
"""

import re
import struct
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dolbuild.runtime.instance import Instance

TypeValue = Any
_BITS = {f"{prefix}Int{bits}": (bits, not prefix) for prefix in ("", "U") for bits in (8, 16, 32, 64)}


_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|[0-9]+)", re.ASCII)


class WrongValue(Exception):
    """A text that is no value of the type that is wanted."""


def show_type(kind: TypeValue) -> str:
    """A type as DOL writes it."""
    if isinstance(kind, str):
        return kind
    return f"{kind[0]}<{', '.join(map(show_type, kind[1:]))}>"


def parse_value(kind: TypeValue, text: str) -> Any:
    """A command-line argument as a value of a type. Raises `WrongValue`."""
    if isinstance(kind, list):
        if kind[0] == "Option":
            return None if text == "None" else (parse_value(kind[1], text),)
        raise WrongValue(f"a {show_type(kind)} cannot be given on the command line")
    if kind in _BITS:
        bits, signed = _BITS[kind]
        if _INTEGER.fullmatch(text) is None:
            raise WrongValue(f"{text!r} is no {kind}")
        value = int(text, 0 if text.lstrip("+-")[:2].lower() in ("0x", "0b", "0o") else 10)
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if not low <= value <= high:
            raise WrongValue(f"{text} is no {kind}, which goes from {low} to {high}")
        return value
    if kind in ("Float32", "Float64"):
        try:
            return float(text)
        except ValueError:
            raise WrongValue(f"{text!r} is no {kind}") from None
    if kind == "Bool":
        if text not in ("true", "false"):
            raise WrongValue(f"{text!r} is no Bool: write true or false")
        return text == "true"
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WrongValue("it is no UTF-8") from None
    if kind == "Char":
        if len(text) != 1:
            raise WrongValue(f"{text!r} is no Char: it has {len(text)} characters")
        return text
    return text


def lower(instance: "Instance", kind: TypeValue, value: Any) -> list[int | float]:
    """A value as the WebAssembly values of its slots; texts and lists are made in the instance's memory."""
    if isinstance(kind, list):
        if kind[0] == "List":
            return [_make_list(instance, kind[1], value)]
        inner = kind[1]
        if inner == "String" or (isinstance(inner, list) and inner[0] == "List"):
            return [0] if value is None else lower(instance, inner, value[0])
        if value is None:
            return [0, *_zeros(inner)]
        return [1, *lower(instance, inner, value[0])]
    if kind == "String":
        data = value.encode()
        address = instance.raw("dol.new_string", len(data), len(value)) & 0xFFFFFFFF
        instance.write(address + 12, data)
        instance.hold(address)
        return [_signed(address)]
    if kind == "Char":
        return [ord(value)]
    if kind == "Bool":
        return [int(value)]
    if kind in _BITS:
        bits, signed = _BITS[kind]
        if not signed and bits >= 32:
            return [value - (1 << bits) if value >> (bits - 1) else value]
        return [value]
    return [] if kind == "Void" else [value]


def _make_list(instance: "Instance", inner: TypeValue, values: list[Any]) -> int:
    if inner != "String":
        raise WrongValue(f"a List<{show_type(inner)}> cannot be given from outside")
    address = instance.raw("dol.new_list", len(values)) & 0xFFFFFFFF
    instance.hold(address)
    items = _word(instance, address + 8)
    for index, value in enumerate(values):
        (item,) = lower(instance, inner, value)
        instance.write(items + 8 + 4 * index, struct.pack("<i", item))
    return _signed(address)


def _signed(address: int) -> int:
    return address - (1 << 32) if address >= 1 << 31 else address


def _zeros(kind: TypeValue) -> list[int | float]:
    if isinstance(kind, list):
        return [0] if kind[0] == "List" else [0, *_zeros(kind[1])]
    if kind == "Void":
        return []
    return [0.0] if kind in ("Float32", "Float64") else [0]


def lift(instance: "Instance", kind: TypeValue, slots: list[int | float]) -> Any:
    """A value from the WebAssembly values of its slots, which are taken from the front."""
    if isinstance(kind, list):
        if kind[0] == "Option":
            inner = kind[1]
            if inner == "String" or (isinstance(inner, list) and inner[0] == "List"):
                return None if slots[0] == 0 else (lift(instance, inner, slots),)
            tag = slots.pop(0)
            return (lift(instance, inner, slots),) if tag else None
        address = int(slots.pop(0)) & 0xFFFFFFFF
        length, items = struct.unpack("<II", instance.read(address + 4, 8))
        return [_item(instance, kind[1], items + 8, i) for i in range(length)]
    if kind == "Void":
        return ()
    value = slots.pop(0)
    if kind == "String":
        return read_text(instance, int(value))
    if kind == "Bool":
        return bool(value)
    if kind == "Char":
        return chr(int(value))
    if kind in _BITS:
        bits, signed = _BITS[kind]
        return int(value) if signed else int(value) & ((1 << bits) - 1)
    return value


def read_text(instance: "Instance", address: int) -> str:
    """A String."""
    return text_bytes(instance, address).decode("utf-8", "replace")


class Readable(Protocol):
    """A memory."""

    def read(self, address: int, size: int) -> bytes: ...


def text_bytes(instance: Readable, address: int) -> bytes:
    """The bytes of a String; one that was appended to keeps them in a buffer (``strings.dol``)."""
    header, size, _, buffer = struct.unpack("<IIII", instance.read(address & 0xFFFFFFFF, 16))
    start = buffer if header else address & 0xFFFFFFFF
    return instance.read(start + 12, size)


_ITEMS = {
    "Int8": "<b", "UInt8": "<B", "Bool": "<B", "Int16": "<h", "UInt16": "<H", "Int32": "<i", "UInt32": "<I", "Char": "<I",
    "Int64": "<q", "UInt64": "<Q", "Float32": "<f", "Float64": "<d", "String": "<I",
}  # fmt: skip


def _item(instance: "Instance", kind: TypeValue, items: int, index: int) -> Any:
    """An item of a list, from its array."""
    format_ = _ITEMS[kind] if isinstance(kind, str) else "<I"
    size = struct.calcsize(format_)
    (value,) = struct.unpack(format_, instance.read(items + size * index, size))
    return lift(instance, kind, [value])


def _word(instance: "Instance", address: int) -> int:
    return int.from_bytes(instance.read(address, 4), "little")


def show_value(kind: TypeValue, value: Any, *, inside: bool = False) -> str:
    """A value as DOL prints it; *inside* another one, texts are quoted."""
    if isinstance(kind, list):
        if kind[0] == "Option":
            return "None" if value is None else f"Some({show_value(kind[1], value[0], inside=True)})"
        return "[" + ", ".join(show_value(kind[1], item, inside=True) for item in value) + "]"
    if kind == "Void":
        return "()"
    if kind == "Bool":
        return "true" if value else "false"
    if kind == "Float32":
        return _show_float(_shortest32(value))
    if kind == "Float64":
        return _show_float(repr(value))
    if inside and kind == "String":
        return '"' + str(value).translate(_ESCAPES) + '"'
    if inside and kind == "Char":
        return "'" + (value if value == '"' else str(value).translate(_ESCAPES).replace("'", "\\'")) + "'"
    return str(value)


_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"})


def _shortest32(value: float) -> str:
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        try:
            if struct.pack("<f", float(text)) == struct.pack("<f", value):
                return repr(float(text))
        except OverflowError:
            continue
    return repr(value)


def _show_float(text: str) -> str:
    if text == "nan":
        return "NaN"
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else text
