"""What the code of one function is built on: its locals, its literals, objects, calls of the runtime."""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dolbuild.analysis import types as ty
from dolbuild.analysis.resolution import RUNTIME
from dolbuild.codegen.ir import I32, NOP, REF, UNREACHABLE, Code, Data, Unit, slots
from dolbuild.codegen.names import derived
from dolbuild.codegen.shapes import Shape, Shapes
from dolbuild.codegen.storage import CLASS_COUNT, CLASSES, LARGEST, Cell, Layout, load, object_header, size_class, store


@dataclass(frozen=True, slots=True)
class Options:
    """What changes the code that is generated. *checked*: integer overflow traps. *whole*: code is made when a
    program is linked, and optimised as a whole."""

    checked: bool = True
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Environment:
    """What lowering asks of the world around a function: the shapes of types, and the constants that it knows (type and
    value, by symbol)."""

    shapes: Shapes
    constant: Callable[[str], tuple[ty.Type, Any] | None]
    checked: bool
    items_checked: bool
    """Whether arithmetic on items (``wasm.add``) traps; the runtime's own does not."""


def string_data(text: str) -> bytes:
    """A String object: header, length in bytes, length in characters (u32 each), UTF-8."""
    data = text.encode()
    return struct.pack("<III", 0, len(data), len(text)) + data


class Frame:
    """The locals of one function, and the data that its module has so far."""

    def __init__(self, unit: Unit, environment: Environment) -> None:
        self.unit = unit
        self.environment = environment
        self.checked = environment.checked
        self.locals: list[str] = []
        self.labels = 0

    # -- locals -----------------------------------------------------------------------------------

    def temporary(self, types: tuple[str, ...]) -> tuple[int, ...]:
        """Fresh WebAssembly locals."""
        start = len(self.locals)
        self.locals += types
        return tuple(range(start, len(self.locals)))

    def get(self, indices: tuple[int, ...]) -> Code:
        """The values of locals, side by side."""
        parts = tuple(Code("local.get", imm=index, results=(self.locals[index],)) for index in indices)
        return parts[0] if len(parts) == 1 else multi(parts)

    def keep(self, code: Code) -> tuple[Code, tuple[int, ...]]:
        """Code that stores the results of *code* in fresh locals, and those locals."""
        indices = self.temporary(code.results)
        return Code("local.set", (code,), indices), indices

    def label(self) -> int:
        self.labels += 1
        return self.labels

    # -- literals ---------------------------------------------------------------------------------

    def string(self, text: str) -> Code:
        """The address of a string literal; equal literals share their data."""
        data = string_data(text)
        symbol = "string:" + hashlib.sha256(data).hexdigest()[:24]
        self.unit.data[symbol] = Data(data)
        return Code("data", imm=symbol, results=(REF,))

    def data(self, symbol: str, data: Data, kind: str = REF) -> Code:
        self.unit.data[symbol] = data
        return Code("data", imm=symbol, results=(kind,))

    # -- calls ------------------------------------------------------------------------------------

    def runtime(self, name: str, arguments: tuple[Code, ...], results: tuple[str, ...], start: int) -> Code:
        """A call of a function of the runtime: ``module.function``."""
        return Code("call", arguments, f"{RUNTIME}/{name}", results, start)

    def derived(self, kind: str, type_: ty.Type, arguments: tuple[Code, ...], result: tuple[str, ...]) -> Code:
        """A call of what is derived for a type."""
        return Code("call", arguments, derived(kind, type_), result)

    def panic(self, message: Code, start: int) -> Code:
        return sequence((self.runtime("traps.panic", (message,), (), start), UNREACHABLE))

    # -- objects ----------------------------------------------------------------------------------

    def shape(self, type_: ty.Type) -> Shape | None:
        return self.environment.shapes(type_.symbol) if isinstance(type_, ty.Named) else None

    def allocate(self, layout: Layout) -> tuple[Code, int]:
        """Code that makes an object with its header, and the local that holds its address. Its cells are still to be
        written, and nothing may be allocated before they are."""
        (at,) = self.temporary((REF,))
        header = object_header(layout, self.unit)
        if layout.size > LARGEST:
            made: Code = Code(
                "local.set", (self.runtime("memory.allocate", (constant(layout.size),), (REF,), -1),), (at,)
            )
        else:
            made = self._bump(at, *size_class(layout.size))
        return sequence((made, Code("i32.store", (self.get((at,)), header), 0))), at

    def _bump(self, at: int, number: int, size: int) -> Code:
        """The next cell of a size class, or where its run of free cells is used up, what `memory.refill` gives."""
        table = self.data(CLASSES, Data(bytes(8 * CLASS_COUNT)), I32)
        (after,) = self.temporary((I32,))
        get, following = self.get((at,)), self.get((after,))
        first = Code("local.set", (Code("i32.load", (table,), number * 8, (REF,)),), (at,))
        behind = Code("local.set", (Code("i32.add", (get, constant(size)), results=(I32,)),), (after,))
        full = Code("i32.gt_u", (following, Code("i32.load", (table,), number * 8 + 4, (I32,))), results=(I32,))
        refill = Code("local.set", (self.runtime("memory.refill", (constant(number),), (REF,), -1),), (at,))
        advance = Code("i32.store", (table, following), number * 8)
        return sequence((first, behind, Code("if", (full, refill, advance))))

    def store_cells(self, at: int, cells: tuple[Cell, ...], indices: tuple[int, ...]) -> Code:
        """Locals into the cells of the object whose address a local holds."""
        return sequence(
            tuple(store(cell, self.get((at,)), self.get((i,))) for cell, i in zip(cells, indices, strict=True))
        )

    def load_cells(self, at: int, cells: tuple[Cell, ...], base: int = 0) -> Code:
        """The values of cells, side by side."""
        parts = tuple(load(cell, self.get((at,)), base) for cell in cells)
        return parts[0] if len(parts) == 1 else multi(parts)

    def zeros(self, type_: ty.Type) -> tuple[Code, ...]:
        """A value whose slots are all 0."""
        return tuple(zero(slot) for slot in slots(type_))


def constant(number: int) -> Code:
    return Code("i32.const", imm=number, results=(I32,))


def zero(slot: str) -> Code:
    return Code("i32.const" if slot == REF else f"{slot}.const", imm=0, results=(slot,))


def multi(parts: tuple[Code, ...]) -> Code:
    """Values side by side."""
    return Code("multi", parts, results=tuple(result for part in parts for result in part.results))


def sequence(parts: tuple[Code, ...]) -> Code:
    """Code one after the other; the results are those of the last part."""
    kept = tuple(part for part in parts if part.op != "nop")
    if not kept:
        return NOP
    return kept[0] if len(kept) == 1 else Code("seq", kept, results=kept[-1].results)


def negate(condition: Code) -> Code:
    if condition.op == "i32.eqz":
        inner = condition.args[0]
        if inner.op in _BOOLEAN:
            return inner
    opposite = _OPPOSITE.get(condition.op)
    if opposite is not None:
        return Code(opposite, condition.args, condition.imm, (I32,), condition.start)
    return Code("i32.eqz", (condition,), results=(I32,))


_OPPOSITE = {
    f"{prefix}.{a}": f"{prefix}.{b}"
    for prefix in ("i32", "i64")
    for a, b in (
        ("eq", "ne"), ("ne", "eq"), ("lt_s", "ge_s"), ("ge_s", "lt_s"), ("gt_s", "le_s"), ("le_s", "gt_s"),
        ("lt_u", "ge_u"), ("ge_u", "lt_u"), ("gt_u", "le_u"), ("le_u", "gt_u"),
    )
}  # fmt: skip
_BOOLEAN = frozenset(_OPPOSITE) | {"i32.eqz", "i64.eqz"} | {f"f{n}.{op}" for n in (32, 64) for op in ("eq", "ne", "lt", "le", "gt", "ge")}  # fmt: skip


__all__ = [
    "RUNTIME",
    "Environment",
    "Frame",
    "Options",
    "constant",
    "multi",
    "negate",
    "sequence",
    "string_data",
    "zero",
]
