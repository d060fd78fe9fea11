"""The typed tree: what the checker makes of a function's body, and what code is generated from.

Names are resolved, every conversion is explicit, and each node knows its type. ``start`` is the offset in
the source of what the node came from.
"""

from dataclasses import dataclass, field
from typing import Any

from dolbuild.analysis.types import Type


@dataclass(slots=True, eq=False)
class Local:
    """A variable or parameter of a function."""

    name: str
    type: Type
    mutable: bool = True


@dataclass(slots=True, eq=False)
class Value:
    """Any expression. `type` is ``Never`` where control does not come back."""

    type: Type
    start: int


@dataclass(slots=True, eq=False)
class Literal(Value):
    """An int, float, bool, str, or None for the value of ``Void``; a Char is an int."""

    value: Any


@dataclass(slots=True, eq=False)
class GetLocal(Value):
    local: Local


@dataclass(slots=True, eq=False)
class SetLocal(Value):
    """*declares*: the variable begins here, so that a closure that captures it gets one of its own."""

    local: Local
    value: Value
    declares: bool = False


@dataclass(slots=True, eq=False)
class GetGlobal(Value):
    """A ``const`` or a module's ``var``."""

    symbol: str


@dataclass(slots=True, eq=False)
class SetGlobal(Value):
    symbol: str
    value: Value


@dataclass(slots=True, eq=False)
class CallFunction(Value):
    """A call of a function by its symbol. *types* are the arguments for its type parameters (those of the
    gene that it belongs to first); a method's receiver is its first argument; None takes a default."""

    symbol: str
    types: tuple[Type, ...]
    arguments: list["Value | None"]


@dataclass(slots=True, eq=False)
class CallTrait(Value):
    """A call of a trait's function on a value of which only the trait is known: of a type parameter that
    the trait bounds, or of a trait used as a type. *types*: arguments for the function's own type parameters."""

    trait: Type
    name: str
    receiver: Value
    arguments: list["Value | None"]
    types: tuple[Type, ...] = ()


@dataclass(slots=True, eq=False)
class CallValue(Value):
    """A call of a function value."""

    callee: Value
    arguments: list[Value]


@dataclass(slots=True, eq=False)
class FunctionReference(Value):
    """A function used as a value."""

    symbol: str
    types: tuple[Type, ...]


@dataclass(slots=True, eq=False)
class Closure(Value):
    parameters: list[Local]
    body: Value


@dataclass(slots=True, eq=False)
class MakeGene(Value):
    """A new instance; None takes a field's default."""

    fields: dict[str, "Value | None"]


@dataclass(slots=True, eq=False)
class MakeVariant(Value):
    """A variant of the gene (or Option, or Result) that is the type."""

    variant: str
    payload: list[Value]


@dataclass(slots=True, eq=False)
class MakeTuple(Value):
    items: list[Value]


@dataclass(slots=True, eq=False)
class MakeRecord(Value):
    fields: dict[str, Value]


@dataclass(slots=True, eq=False)
class MakeList(Value):
    items: list[Value]


@dataclass(slots=True, eq=False)
class MakeRange(Value):
    low: Value
    high: Value
    inclusive: bool


@dataclass(slots=True, eq=False)
class MakeJson(Value):
    """A literal where a Json is expected."""

    value: Value


@dataclass(slots=True, eq=False)
class MakeDynamic(Value):
    """A value seen only as its trait, which is the type."""

    value: Value


@dataclass(slots=True, eq=False)
class GetField(Value):
    """A field of a gene or record, or an item of a tuple (its number as text)."""

    value: Value
    name: str


@dataclass(slots=True, eq=False)
class SetField(Value):
    target: Value
    name: str
    value: Value


@dataclass(slots=True, eq=False)
class GetIndex(Value):
    """``xs[i]``: the type of *value* says of what."""

    value: Value
    index: Value


@dataclass(slots=True, eq=False)
class SetIndex(Value):
    target: Value
    index: Value
    value: Value


@dataclass(slots=True, eq=False)
class Attempt(Value):
    """``value?``: the payload, or the function is left. *wrap* is what becomes of the error: None for as it
    is, a variant's name, or ``Error``; *none* is the variant that stands for an Option's ``None``."""

    value: Value
    wrap: str | None
    none: str | None


@dataclass(slots=True, eq=False)
class Match(Value):
    subject: Value
    arms: list["Arm"]


@dataclass(slots=True, eq=False)
class ForEach(Value):
    """``for pattern in values`` over anything but a range."""

    pattern: "Pattern"
    iterable: Value
    body: Value


@dataclass(slots=True, eq=False)
class Quantify(Value):
    """``forall`` (or ``exists``) ``pattern in values { condition }``."""

    universal: bool
    pattern: "Pattern"
    iterable: Value
    body: Value


@dataclass(slots=True, eq=False)
class Operation(Value):
    """A built-in operation; `dolbuild.codegen.operations` knows each name."""

    name: str
    operands: list[Value]


@dataclass(slots=True, eq=False)
class Instruction(Value):
    """One WebAssembly instruction, written ``wasm.name(...)`` in the runtime's own source."""

    name: str
    operands: list[Value]


@dataclass(slots=True, eq=False)
class Convert(Value):
    """A conversion between numeric types (`as`, or a widening)."""

    value: Value


@dataclass(slots=True, eq=False)
class Conditional(Value):
    condition: Value
    then: Value
    otherwise: Value


@dataclass(slots=True, eq=False)
class Sequence(Value):
    """Values one after the other; the last one is the value of the whole."""

    values: list[Value]


@dataclass(slots=True, eq=False)
class Loop(Value):
    """``while condition``, or for ever; *step* runs before each further round."""

    condition: Value | None
    body: Value
    step: Value | None


@dataclass(slots=True, eq=False)
class Break(Value):
    """Leaves the innermost loop."""


@dataclass(slots=True, eq=False)
class Continue(Value):
    """Goes on with the next round of the innermost loop."""


@dataclass(slots=True, eq=False)
class Return(Value):
    value: Value | None


@dataclass(slots=True, eq=False)
class Trap(Value):
    """The program ends with *message*, and behind it *shown* by its structure, if there is one."""

    message: str
    shown: Value | None = None


# -- patterns --------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Pattern:
    """What a value is compared with; *type* is the type of that value."""

    type: Type
    start: int


@dataclass(slots=True, eq=False)
class AnyPattern(Pattern):
    """``_``."""


@dataclass(slots=True, eq=False)
class BindPattern(Pattern):
    local: Local


@dataclass(slots=True, eq=False)
class LiteralPattern(Pattern):
    value: Value


@dataclass(slots=True, eq=False)
class RangePattern(Pattern):
    low: Value
    high: Value
    inclusive: bool


@dataclass(slots=True, eq=False)
class VariantPattern(Pattern):
    variant: str
    payload: list[Pattern]


@dataclass(slots=True, eq=False)
class FieldsPattern(Pattern):
    """A gene by its fields; those that are not named match anything."""

    fields: dict[str, Pattern]


@dataclass(slots=True, eq=False)
class TuplePattern(Pattern):
    items: list[Pattern]


@dataclass(slots=True, eq=False)
class ListPattern(Pattern):
    """*rest* is the place of ``..`` among the items (-1: none), *rest_local* what it binds."""

    items: list[Pattern]
    rest: int
    rest_local: Local | None


@dataclass(slots=True, eq=False)
class AlternativePattern(Pattern):
    patterns: list[Pattern]


@dataclass(slots=True, eq=False)
class Arm:
    pattern: Pattern
    guard: Value | None
    body: Value


# -- declarations ----------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Function:
    """A function with a body, or (body None) one that the host gives."""

    symbol: str
    parameters: list[Local]
    result: Type
    body: Value | None
    start: int
    generics: tuple[str, ...] = ()
    owner: Type | None = None
    """The type whose constraints hold when it returns: that of its ``self``."""


@dataclass(slots=True, eq=False)
class Constant:
    """A ``const`` (never set) or a module's ``var`` with its first value."""

    symbol: str
    type: Type
    value: Any
    mutable: bool
    start: int = 0


@dataclass(slots=True, eq=False)
class Implementation:
    """``impl Trait for Type``: its functions are called *prefix* and their name."""

    generics: tuple[str, ...]
    trait: Type
    target: Type
    prefix: str
    functions: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Test:
    name: str
    symbol: str
    start: int


@dataclass(slots=True)
class Module:
    """Everything of a module that code comes from."""

    functions: list[Function] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    tests: list[Test] = field(default_factory=list)
    genes: list[str] = field(default_factory=list)
    """Symbols of the genes, Systems and traits that are declared here."""
    implementations: list[Implementation] = field(default_factory=list)
