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
    local: Local
    value: Value


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
    symbol: str
    arguments: list[Value]


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
    message: str


@dataclass(slots=True, eq=False)
class Function:
    """A function with a body, or (body None) one that the host gives."""

    symbol: str
    parameters: list[Local]
    result: Type
    body: Value | None
    start: int
    private: bool


@dataclass(slots=True, eq=False)
class Constant:
    """A ``const`` (never set) or a module's ``var`` with its first value."""

    symbol: str
    type: Type
    value: Any
    mutable: bool


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
