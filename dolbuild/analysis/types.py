"""Types as values.

Two types are the same when they are equal. Only `Variable` stands for something that is not known yet;
`dolbuild.analysis.unify` settles it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Type:
    """Any type; see the subclasses."""


@dataclass(frozen=True, slots=True)
class Primitive(Type):
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Named(Type):
    """A gene, a System, a trait or a built-in generic type, by its symbol (`docs/glossary.md`)."""

    symbol: str
    arguments: tuple[Type, ...] = ()

    def __str__(self) -> str:
        name = self.symbol.rsplit("/", 1)[-1].rsplit(".", 1)[-1]
        if not self.arguments:
            return name
        return f"{name}<{', '.join(map(str, self.arguments))}>"


@dataclass(frozen=True, slots=True)
class TupleOf(Type):
    items: tuple[Type, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


@dataclass(frozen=True, slots=True)
class RecordOf(Type):
    fields: tuple[tuple[str, Type], ...]

    def __str__(self) -> str:
        return "{ " + ", ".join(f"{name}: {type_}" for name, type_ in self.fields) + " }"


@dataclass(frozen=True, slots=True)
class FunctionOf(Type):
    parameters: tuple[Type, ...]
    result: Type

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.parameters))}) -> {self.result}"


@dataclass(frozen=True, slots=True)
class GenericOf(Type):
    """A type parameter inside its own declaration."""

    name: str

    def __str__(self) -> str:
        return self.name


class Variable(Type):
    """Not known yet. `bound` is what it turned out to be; `dolbuild.analysis.unify` binds it, once."""

    __slots__ = ("bound",)

    def __init__(self) -> None:
        self.bound: Type | None = None

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __str__(self) -> str:
        return "_" if self.bound is None else str(self.bound)


INT8, INT16, INT32, INT64 = (Primitive(f"Int{bits}") for bits in (8, 16, 32, 64))
UINT8, UINT16, UINT32, UINT64 = (Primitive(f"UInt{bits}") for bits in (8, 16, 32, 64))
FLOAT32, FLOAT64 = Primitive("Float32"), Primitive("Float64")
BOOL, CHAR, STRING, VOID = Primitive("Bool"), Primitive("Char"), Primitive("String"), Primitive("Void")
NEVER = Primitive("Never")
"""The type of what does not come back: ``return``, ``break``, a trap."""
UNKNOWN = Primitive("?")
"""The type of what was reported already, and of a hole; it fits everything, so that nothing is said twice."""

PRIMITIVES = {
    str(type_): type_
    for type_ in (
        INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FLOAT32, FLOAT64, BOOL, CHAR, STRING, VOID
    )
}  # fmt: skip
ARITY = {"Option": 1, "Result": 2, "List": 1, "Map": 2, "Set": 1, "Error": 0}
"""Built-in types with a declaration in ``surface.dol``, and the number of their arguments."""

ERROR = Named("Error")
RANGE = "Range"
"""Symbol of the type of ``a..b``, which has no name in the language."""


ARRAY = "Array"
"""Symbol of the type of what lists and maps keep their items in, which only the runtime may name."""


@dataclass(frozen=True, slots=True)
class IntegerKind:
    bits: int
    signed: bool

    @property
    def low(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        return (1 << (self.bits - 1 if self.signed else self.bits)) - 1


INTEGERS: dict[Type, IntegerKind] = {
    PRIMITIVES[f"{prefix}Int{bits}"]: IntegerKind(bits, not prefix) for prefix in ("", "U") for bits in (8, 16, 32, 64)
}
FLOATS: dict[Type, int] = {FLOAT32: 32, FLOAT64: 64}


def is_numeric(type_: Type) -> bool:
    return type_ in INTEGERS or type_ in FLOATS


def widens(source: Type, target: Type) -> bool:
    """Whether every value of *source* is one of *target*, so that it may become one without ``as``."""
    if source in INTEGERS and target in INTEGERS:
        return INTEGERS[target].low <= INTEGERS[source].low and INTEGERS[source].high <= INTEGERS[target].high
    if source in INTEGERS and target in FLOATS:
        kind = INTEGERS[source]
        return kind.bits - kind.signed <= (24 if target == FLOAT32 else 53)
    return source == FLOAT32 and target == FLOAT64


def option(of: Type) -> Named:
    return Named("Option", (of,))


def list_of(item: Type) -> Named:
    return Named("List", (item,))


def argument_of(type_: Type, constructor: str) -> Type | None:
    """The argument of ``Option<T>`` or ``List<T>``, or None where the type is something else."""
    if isinstance(type_, Named) and type_.symbol == constructor:
        return type_.arguments[0]
    return None
