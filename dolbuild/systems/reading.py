"""Values of a System as JSON, read from its memory by the cells that its table names.

An integer is a number, a Float a number or ``"NaN"``, ``"Infinity"``, ``"-Infinity"``; Void is null, an Option its value or null, a Result
``{"Ok": …}`` or ``{"Err": …}``; a gene is an object, a variant its name, or an object of its name and its payload; a list or set is an array, a
map an object where its keys can be written as text, else an array of pairs. An Option in an Option is ``{"Some": …}`` or null.
"""

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

from dolbuild.runtime.values import text_bytes
from dolbuild.systems.table import Cells, Part, Type

Buffer = bytes | bytearray | memoryview
FORMATS = {
    "i8": "<b", "u8": "<B", "i16": "<h", "u16": "<H", "i32": "<i", "i64": "<q", "f32": "<f", "f64": "<d", "ref": "<I",
}  # fmt: skip
_UNPACK = {kind: struct.Struct(format_).unpack_from for kind, format_ in FORMATS.items()}
INTEGERS = {f"{prefix}Int{bits}": (bits, not prefix) for prefix in ("", "U") for bits in (8, 16, 32, 64)}
"""Bits of the integer types, and whether they have a sign."""

FLOATS = ("Float32", "Float64")
DEEPEST = 2000
"""Objects within each other that are read or made: Python follows them by recursion, and so does everyone who reads the JSON."""

REMOVED = 0
"""The hash of an entry of a map that was removed."""

Slots = list[Any]


def is_text_key(types: Mapping[str, Type], text: str) -> bool:
    """Whether a map with keys of this type is written as an object."""
    type_ = types[text]
    if type_.kind == "enum":
        return all(not variant.payload for variant in type_.variants)
    return type_.kind in INTEGERS or type_.kind in ("String", "Char", "Bool")


def float_value(value: float) -> float | str:
    """A float as JSON has it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


class TooDeep(Exception):
    """A value that nests too deeply to be JSON."""

    def __init__(self) -> None:
        super().__init__(f"more than {DEEPEST} objects lie within each other, which is too deep for JSON")


class Reader:
    """Reads values of *types* out of a memory. *memory* gives it anew each time, since it may grow."""

    def __init__(self, types: Mapping[str, Type], memory: Callable[[], Buffer]) -> None:
        self.types = types
        self.memory = memory
        self.path: dict[int, None] = {}

    def read(self, address: int, size: int) -> bytes:
        """Bytes at an address. Raises IndexError outside of the memory."""
        data = bytes(self.memory()[address : address + size])
        if len(data) != size:
            raise IndexError("outside of the memory")
        return data

    def word(self, address: int) -> int:
        found: int = _UNPACK["ref"](self.memory(), address)[0]
        return found

    def cells(self, address: int, cells: Cells) -> Slots:
        """The slots of a value that lies in the cells of an object."""
        memory = self.memory()
        return [_UNPACK[kind](memory, address + offset)[0] for kind, offset in cells]

    def text(self, address: int) -> str:
        return text_bytes(self, address).decode("utf-8", "replace")

    # -- collections ------------------------------------------------------------------------------

    def items(self, type_: Type, address: int) -> list[Slots]:
        """The slots of each item of a list."""
        count, array = self.word(address + 4), self.word(address + 8)
        return [self.cells(array + 8 + index * type_.stride, type_.cells) for index in range(count)]

    def entries(self, type_: Type, address: int) -> list[Slots]:
        """The slots of each entry of a map or set, without its hash, in the order in which they were inserted."""
        used, array = self.word(address + 8), self.word(address + 16)
        found = [self.cells(array + 8 + index * type_.stride, type_.cells) for index in range(used)]
        return [entry[1:] for entry in found if entry[0] != REMOVED]

    def variant(self, type_: Type, address: int) -> int:
        """The number of the variant that an object is."""
        return self.word(address + 4)

    # -- values -----------------------------------------------------------------------------------

    def value(self, text: str, slots: Slots) -> Any:
        """A value as JSON. What holds itself is cut off as ``{"$cycle": name}``. Raises TooDeep."""
        type_ = self.types[text]
        kind = type_.kind
        if kind in INTEGERS:
            bits, signed = INTEGERS[kind]
            return int(slots[0]) if signed else int(slots[0]) & ((1 << bits) - 1)
        if kind in FLOATS:
            return float_value(slots[0])
        plain = _PLAIN.get(kind)
        if plain is not None:
            return plain(slots)
        if kind in ("option", "result", "tuple", "record"):
            return self.side_by_side(type_, slots)
        if kind == "inside":
            return f"<{type_.shown}>"
        address = int(slots[0]) & 0xFFFFFFFF
        if kind == "String":
            return self.text(address)
        if address in self.path:
            return {"$cycle": type_.shown}
        if len(self.path) >= DEEPEST:
            raise TooDeep
        self.path[address] = None
        try:
            return self.object(type_, address)
        finally:
            del self.path[address]

    def side_by_side(self, type_: Type, slots: Slots) -> Any:
        """An Option, a Result, a tuple or a record: its parts lie in its slots."""
        if type_.kind == "option":
            found = some(type_, slots)
            if found is None:
                return None
            value = self.value(type_.arguments[0], found)
            return {"Some": value} if self.is_nested(type_) else value
        if type_.kind == "result":
            good, found = outcome(type_, self.types, slots)
            return {"Ok" if good else "Err": self.value(type_.arguments[0 if good else 1], found)}
        parts = split(self.types, type_.arguments, slots)
        values = [self.value(text, part) for text, part in zip(type_.arguments, parts, strict=True)]
        return values if type_.kind == "tuple" else dict(zip(type_.names, values, strict=True))

    def is_nested(self, type_: Type) -> bool:
        """Whether null would be ambiguous for an Option, because its value may be null, too."""
        return self.types[type_.arguments[0]].kind in ("option", "Void")

    def object(self, type_: Type, address: int) -> Any:
        if type_.kind == "list":
            return [self.value(type_.arguments[0], slots) for slots in self.items(type_, address)]
        if type_.kind == "set":
            return [self.value(type_.arguments[0], slots) for slots in self.entries(type_, address)]
        if type_.kind == "map":
            size = len(self.types[type_.arguments[0]].slots)
            pairs = [
                (self.value(type_.arguments[0], slots[:size]), self.value(type_.arguments[1], slots[size:]))
                for slots in self.entries(type_, address)
            ]
            if is_text_key(self.types, type_.arguments[0]):
                return {_key(key): value for key, value in pairs}
            return [list(pair) for pair in pairs]
        if type_.kind == "gene":
            return {part.name: self.part(part, address) for part in type_.fields}
        variant = type_.variants[self.variant(type_, address)]
        if not variant.payload:
            return variant.name
        values = [self.part(part, address) for part in variant.payload]
        if variant.payload[0].name is not None:
            return {variant.name: {p.name: value for p, value in zip(variant.payload, values, strict=True)}}
        return {variant.name: values[0] if len(values) == 1 else values}

    def part(self, part: Part, address: int) -> Any:
        """A field of an object."""
        return self.value(part.type, self.cells(address, part.cells))


def _key(key: Any) -> str:
    return ("true" if key else "false") if isinstance(key, bool) else str(key)


_PLAIN: dict[str, Callable[[Slots], Any]] = {
    "Bool": lambda slots: bool(slots[0]),
    "Char": lambda slots: chr(int(slots[0])),
    "Void": lambda slots: None,
}


def some(type_: Type, slots: Slots) -> Slots | None:
    """The slots of what an Option holds."""
    if type_.plain:
        return slots if slots[0] else None
    return slots[1:] if slots[0] else None


def outcome(type_: Type, types: Mapping[str, Type], slots: Slots) -> tuple[bool, Slots]:
    """Whether a Result is ``Ok``, and the slots of its payload."""
    size = len(types[type_.arguments[0]].slots)
    if type_.plain:
        good = slots[-1] == 0
        return good, slots[:size] if good else slots[size:]
    good = slots[0] == 0
    return good, slots[1 : 1 + size] if good else slots[1 + size :]


def split(types: Mapping[str, Type], parts: tuple[str, ...], slots: Slots) -> list[Slots]:
    """The slots of each part of a tuple."""
    found: list[Slots] = []
    at = 0
    for text in parts:
        size = len(types[text].slots)
        found.append(slots[at : at + size])
        at += size
    return found
