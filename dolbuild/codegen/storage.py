"""How values lie in memory: the cells of objects and arrays, and the headers that tell a collector of them.

An object begins with a header of four bytes. Its two low bits say what the collector finds behind it: nothing (0), a
map of the words that are references (1: bit n stands for the word at 4 * (n - 1)), an array of references (2), or the
address of a layout (3), which is a stride (0 for a single object), a number, and that many offsets.
An array is an object: header, number of items (u32), and from byte 8 on the items.
"""

import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache

from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known
from dolbuild.codegen.ir import F32, F64, I32, I64, REF, Code, Data, Unit, slots

LEAF, MAP, REFERENCES, LAYOUT = 0, 1, 2, 3
HEADER = 4
"""Bytes of a header."""

ITEMS = 8
"""Offset of the first item of an array."""

_NARROW: dict[ty.Type, str] = {ty.INT8: "i8", ty.UINT8: "u8", ty.INT16: "i16", ty.UINT16: "u16", ty.BOOL: "u8"}
_SIZES = {"i8": 1, "u8": 1, "i16": 2, "u16": 2, I32: 4, F32: 4, REF: 4, I64: 8, F64: 8}
_LOADS = {"i8": "i32.load8_s", "u8": "i32.load8_u", "i16": "i32.load16_s", "u16": "i32.load16_u", REF: "i32.load"}
_STORES = {"i8": "i32.store8", "u8": "i32.store8", "i16": "i32.store16", "u16": "i32.store16", REF: "i32.store"}


@dataclass(frozen=True, slots=True)
class Cell:
    """Where one slot of a value lies. *kind* is a value type, or a narrow integer."""

    kind: str
    offset: int

    @property
    def slot(self) -> str:
        return I32 if self.kind in _NARROW.values() else self.kind


@dataclass(frozen=True, slots=True)
class Layout:
    """Cells in the order of the slots, and the bytes that all of them take."""

    cells: tuple[Cell, ...]
    size: int

    @property
    def references(self) -> tuple[int, ...]:
        return tuple(sorted(cell.offset for cell in self.cells if cell.kind == REF))


def kinds(type_: ty.Type) -> tuple[str, ...]:
    """The kinds of the cells that a value takes."""
    type_ = known(type_)
    narrow = _NARROW.get(type_)
    if narrow is not None:
        return (narrow,)
    if isinstance(type_, ty.TupleOf):
        return tuple(kind for item in type_.items for kind in kinds(item))
    if isinstance(type_, ty.RecordOf):
        return tuple(kind for _, item in type_.fields for kind in kinds(item))
    return slots(type_)


@lru_cache(maxsize=4096)
def object_layout(cells: tuple[str, ...], start: int = HEADER) -> Layout:
    """Cells of an object behind its header, the large ones aligned and the gaps before them filled."""
    order = sorted(range(len(cells)), key=lambda i: -_SIZES[cells[i]])
    offsets = [0] * len(cells)
    at = start
    gap = gap_end = 0
    for index in order:
        size = _SIZES[cells[index]]
        if size <= gap_end - gap:
            offsets[index] = gap
            gap += size
            continue
        aligned = -(-at // size) * size
        if aligned > at:
            gap, gap_end = at, aligned
        offsets[index] = aligned
        at = aligned + size
    return Layout(tuple(Cell(kind, offset) for kind, offset in zip(cells, offsets, strict=True)), at)


@lru_cache(maxsize=4096)
def item_layout(cells: tuple[str, ...]) -> Layout:
    """Cells of an item of an array; the size is the stride."""
    layout = object_layout(cells, 0)
    align = max((_SIZES[kind] for kind in cells), default=1)
    return Layout(layout.cells, -(-layout.size // align) * align)


def load(cell: Cell, address: Code, base: int = 0) -> Code:
    """The slot that lies at *base* bytes from an address, at its cell's offset."""
    op = _LOADS.get(cell.kind, f"{cell.kind}.load")
    return Code(op, (address,), base + cell.offset, (cell.slot,))


def store(cell: Cell, address: Code, value: Code, base: int = 0) -> Code:
    op = _STORES.get(cell.kind, f"{cell.kind}.store")
    return Code(op, (address, value), base + cell.offset)


def object_header(layout: Layout, unit: Unit) -> Code:
    """The header of an object."""
    references = layout.references
    if not references:
        return _constant(LEAF)
    if references[-1] <= 120:
        return _constant(MAP | sum(1 << (offset // 4 + 1) for offset in references))
    return _described(0, references, unit)


def array_header(layout: Layout, unit: Unit) -> Code:
    """The header of an array whose items lie like *layout*."""
    if not layout.references:
        return _constant(LEAF)
    if layout.size == 4:
        return _constant(REFERENCES)
    return _described(layout.size, layout.references, unit)


def _described(stride: int, references: tuple[int, ...], unit: Unit) -> Code:
    data = struct.pack(f"<{2 + len(references)}I", stride, len(references), *references)
    symbol = "layout:" + hashlib.sha256(data).hexdigest()[:24]
    unit.data[symbol] = Data(data)
    address = Code("data", imm=symbol, results=(I32,))
    return Code("i32.add", (address, _constant(LAYOUT)), results=(I32,))


def _constant(number: int) -> Code:
    return Code("i32.const", imm=number, results=(I32,))


# -- size classes ----------------------------------------------------------------------------------

CLASSES = "table:classes"
"""The data in which the collector keeps, for each size class, the next free address and the end of the free run."""

CLASS_COUNT = 37
LARGEST = 4096
"""Bytes of the largest object that is not handed out in blocks of its own."""


def size_class(size: int) -> tuple[int, int]:
    """The number of the class of objects of *size* bytes, and the bytes that it gives; as ``memory.dol`` has it."""
    if size <= 128:
        number = max(2, -(-size // 8))
        return number, number * 8
    power = (size - 1).bit_length() - 1
    quarter = (size - 1 >> power - 2) & 3
    return 17 + (power - 7) * 4 + quarter, (5 + quarter) << power - 2
