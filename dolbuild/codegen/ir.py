"""Low-level code: trees of WebAssembly instructions over symbols.

One node is one instruction with its operands before it. Functions, globals and data are named by symbol and
labels by number; `dolbuild.codegen.encode` turns both into indices.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known

I32, I64, F32, F64, REF = "i32", "i64", "f32", "f64", "ref"
"""Value types. ``ref`` is an address of an object: an i32 that a collector must know of."""


class Code:
    """An instruction.

    *op* is a WebAssembly name (``i64.add``) or one of

    ``local.set``   imm: locals, as many as the operand has results
    ``seq``         operands one after the other; the results are the last one's
    ``multi``       operands side by side; the results are all of theirs
    ``block`` ``loop``  imm: label
    ``if``          operands: condition, then, otherwise (or none)
    ``br`` ``br_if``  imm: label
    ``call``        imm: symbol
    ``call_indirect``  imm: signature; the function's place in the table is the last operand
    ``global.get`` ``global.set``  imm: symbol
    ``data``        imm: symbol; its address
    ``table``       imm: symbol of a function; its place in the table of functions
    ``place``       imm: ``heap_base``, ``stack_top``, ``roots_start`` or ``roots_end``: an address that the linker knows
    ``nop``         nothing at all

    *start* is the source offset for the line table, or -1.
    """

    __slots__ = ("args", "imm", "op", "results", "start")

    def __init__(
        self,
        op: str,
        args: tuple["Code", ...] = (),
        imm: Any = None,
        results: tuple[str, ...] = (),
        start: int = -1,
    ) -> None:
        self.op = op
        self.args = args
        self.imm = imm
        self.results = results
        self.start = start

    def __repr__(self) -> str:
        return f"({self.op} {self.imm!r} {list(self.args)})"


@dataclass(slots=True)
class Function:
    """A function before it is encoded. *locals* are the value types of parameters and then of variables."""

    symbol: str
    parameters: tuple[str, ...]
    results: tuple[str, ...]
    locals: list[str]
    body: Code
    start: int = 0


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes in memory. *places*: offsets at which the address of other data (``d``) or a function's place in the
    table (``e``) is filled in, as four bytes."""

    body: bytes
    places: tuple[tuple[int, str, str], ...] = ()


@dataclass(slots=True)
class Unit:
    """Everything that one module compiles to, not yet encoded."""

    functions: list[Function] = field(default_factory=list)
    data: dict[str, Data] = field(default_factory=dict)
    unsupported: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Functions that cannot be compiled yet: the source offset, and what in them it is."""


NOP = Code("nop")
UNREACHABLE = Code("unreachable")

_ONE_SLOT: dict[ty.Type, str] = {
    ty.INT64: I64, ty.UINT64: I64, ty.FLOAT32: F32, ty.FLOAT64: F64, ty.STRING: REF,
    ty.INT8: I32, ty.INT16: I32, ty.INT32: I32, ty.UINT8: I32, ty.UINT16: I32, ty.UINT32: I32,
    ty.BOOL: I32, ty.CHAR: I32,
}  # fmt: skip


def slots(type_: ty.Type) -> tuple[str, ...]:
    """The value types that a value of *type_* is made of; ``Void`` has none."""
    return _slots(known(type_))


@lru_cache(maxsize=16384)
def _slots(type_: ty.Type) -> tuple[str, ...]:
    slot = _ONE_SLOT.get(type_)
    if slot is not None:
        return (slot,)
    match type_:
        case ty.Named("Option", (item,)):
            return slots(item) if is_nullable(type_) else (I32, *slots(item))
        case ty.Named("Result", (value, error)):
            return (*slots(value), REF) if is_marked_by_error(type_) else (I32, *slots(value), *slots(error))
        case ty.Named(ty.RANGE, (item,)):
            return (*slots(item), *slots(item), I32)
        case ty.Named() | ty.FunctionOf():
            return (REF,)
        case ty.TupleOf(items):
            return tuple(slot for item in items for slot in slots(item))
        case ty.RecordOf(fields):
            return tuple(slot for _, item in fields for slot in slots(item))
        case _:
            return ()


def is_reference(type_: ty.Type) -> bool:
    """Whether values of this type are addresses that are never 0."""
    return slots(type_) == (REF,) and ty.argument_of(type_, "Option") is None


def is_nullable(type_: ty.Type) -> bool:
    """Whether this is an Option whose ``None`` is the address 0 rather than a tag of its own."""
    item = ty.argument_of(type_, "Option")
    return item is not None and is_reference(item)


def is_marked_by_error(type_: ty.Type) -> bool:
    """Whether this is a Result that is ``Ok`` where the address of its error is 0, without a tag."""
    return isinstance(type_, ty.Named) and type_.symbol == "Result" and is_reference(type_.arguments[1])
