"""The syntax tree.

Every node has ``start`` and ``end``, offsets in its file. Nodes are values: nobody changes one after the
parser has made it (they are not frozen, because freezing doubles the cost of making them).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from dolbuild.source import Span


@dataclass(slots=True, eq=False)
class Node:
    start: int
    end: int

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


def parts(node: Node) -> Iterator[object]:
    """What a node consists of: its attributes without its place, bases first."""
    for cls in reversed(type(node).__mro__):
        for slot in getattr(cls, "__slots__", ()):
            if slot not in ("start", "end"):
                yield getattr(node, slot)


def walk(node: Node) -> Iterator[Node]:
    """A node and all nodes below it, nearer ones first."""
    waiting: deque[object] = deque([node])
    while waiting:
        part = waiting.popleft()
        if isinstance(part, Node):
            yield part
            waiting.extend(parts(part))
        elif isinstance(part, list | tuple):
            waiting.extend(part)


class Visibility(StrEnum):
    """Who may name an item, from the narrowest to the widest (specification, "Visibility Rules")."""

    PRIVATE = "private"
    PARENT = "pub(parent)"
    SPIRIT = "pub(spirit)"
    PUBLIC = "pub"


# -- names and types -------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Path(Node):
    """``a.b.c``; for an ``@`` path the whole of it is the first part."""

    parts: list[str]

    @property
    def text(self) -> str:
        return ".".join(self.parts)


class TypeNode(Node):
    __slots__ = ()


@dataclass(slots=True, eq=False)
class NamedType(TypeNode):
    path: Path
    arguments: list[TypeNode]


@dataclass(slots=True, eq=False)
class TupleType(TypeNode):
    """``(A, B)``; without items it is ``Void``."""

    items: list[TypeNode]


@dataclass(slots=True, eq=False)
class FunctionType(TypeNode):
    parameters: list[TypeNode]
    result: TypeNode


@dataclass(slots=True, eq=False)
class RecordType(TypeNode):
    fields: list[tuple[str, TypeNode]]


# -- expressions -----------------------------------------------------------------------------------


class Expression(Node):
    __slots__ = ()


@dataclass(slots=True, eq=False)
class Name(Expression):
    name: str


@dataclass(slots=True, eq=False)
class AtPath(Expression):
    """An ``@org/pkg.mod.item`` used as an expression."""

    text: str


@dataclass(slots=True, eq=False)
class Integer(Expression):
    value: int


@dataclass(slots=True, eq=False)
class Float(Expression):
    """*text* is the literal without underscores; its value depends on the width it gets."""

    text: str


@dataclass(slots=True, eq=False)
class String(Expression):
    value: str


@dataclass(slots=True, eq=False)
class Char(Expression):
    value: int


@dataclass(slots=True, eq=False)
class Boolean(Expression):
    value: bool


@dataclass(slots=True, eq=False)
class Hole(Expression):
    """``...``: checks as any type, traps when run."""


@dataclass(slots=True, eq=False)
class Tuple(Expression):
    """``(a, b)``; without items it is the value of ``Void``."""

    items: list[Expression]


@dataclass(slots=True, eq=False)
class ListLiteral(Expression):
    items: list[Expression]


@dataclass(slots=True, eq=False)
class Field(Node):
    """``name: value`` in a record or construction; ``{ name }`` is short for ``{ name: name }``."""

    name: str
    value: Expression


@dataclass(slots=True, eq=False)
class Record(Expression):
    fields: list[Field]


@dataclass(slots=True, eq=False)
class Construct(Expression):
    """``Gene { field: value }``."""

    type: Expression
    fields: list[Field]


@dataclass(slots=True, eq=False)
class Unary(Expression):
    operator: str
    operand: Expression


@dataclass(slots=True, eq=False)
class Binary(Expression):
    operator: str
    left: Expression
    right: Expression
    operator_start: int


@dataclass(slots=True, eq=False)
class Cast(Expression):
    value: Expression
    type: TypeNode


@dataclass(slots=True, eq=False)
class Member(Expression):
    """``value.name``; also a step of a path, which only names can tell."""

    value: Expression
    name: str
    name_start: int


@dataclass(slots=True, eq=False)
class Argument(Node):
    name: str | None
    value: Expression


@dataclass(slots=True, eq=False)
class Call(Expression):
    callee: Expression
    arguments: list[Argument]


@dataclass(slots=True, eq=False)
class Index(Expression):
    value: Expression
    index: Expression


@dataclass(slots=True, eq=False)
class ApplyTypes(Expression):
    """``name<T>`` as an expression."""

    value: Expression
    types: list[TypeNode]


@dataclass(slots=True, eq=False)
class Try(Expression):
    """``value?``."""

    value: Expression


@dataclass(slots=True, eq=False)
class Parameter(Node):
    name: str
    type: TypeNode | None
    default: Expression | None


@dataclass(slots=True, eq=False)
class Closure(Expression):
    parameters: list[Parameter]
    body: Expression


@dataclass(slots=True, eq=False)
class Block(Expression):
    statements: list[Node]


@dataclass(slots=True, eq=False)
class SexBlock(Expression):
    body: Block


@dataclass(slots=True, eq=False)
class If(Expression):
    condition: Expression
    then: Block
    otherwise: Expression | None


@dataclass(slots=True, eq=False)
class Arm(Node):
    pattern: "Pattern"
    guard: Expression | None
    body: Node


@dataclass(slots=True, eq=False)
class Match(Expression):
    value: Expression
    arms: list[Arm]


@dataclass(slots=True, eq=False)
class Loop(Expression):
    body: Block


@dataclass(slots=True, eq=False)
class While(Expression):
    condition: Expression
    body: Block


@dataclass(slots=True, eq=False)
class For(Expression):
    pattern: "Pattern"
    iterable: Expression
    body: Block


@dataclass(slots=True, eq=False)
class Quantifier(Expression):
    """``forall x in xs { condition }`` (or ``exists``)."""

    universal: bool
    pattern: "Pattern"
    iterable: Expression
    body: Block


@dataclass(slots=True, eq=False)
class TypeQuantifier(Expression):
    """``forall x: T. condition`` in a law."""

    universal: bool
    binders: list[tuple[str, TypeNode]]
    body: Expression


@dataclass(slots=True, eq=False)
class Return(Expression):
    value: Expression | None


@dataclass(slots=True, eq=False)
class Break(Expression):
    pass


@dataclass(slots=True, eq=False)
class Continue(Expression):
    pass


# -- statements ------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Assign(Node):
    """``target = value``; *operator* is empty or the binary operator of a compound assignment."""

    target: Expression
    operator: str
    value: Expression


@dataclass(slots=True, eq=False)
class Declare(Node):
    """``let p = e``, ``val p = e``, ``var p = e`` or ``x: T = e`` (keyword empty)."""

    keyword: str
    pattern: "Pattern"
    type: TypeNode | None
    value: Expression


# -- patterns --------------------------------------------------------------------------------------


class Pattern(Node):
    __slots__ = ()


@dataclass(slots=True, eq=False)
class WildcardPattern(Pattern):
    pass


@dataclass(slots=True, eq=False)
class RestPattern(Pattern):
    """``..`` or ``..name`` in a list or gene pattern."""

    name: str | None


@dataclass(slots=True, eq=False)
class NamePattern(Pattern):
    """A bare or dotted name: a binding, or a variant without payload."""

    path: Path


@dataclass(slots=True, eq=False)
class VariantPattern(Pattern):
    path: Path
    arguments: list[tuple[str | None, Pattern]]


@dataclass(slots=True, eq=False)
class GenePattern(Pattern):
    path: Path
    fields: list[tuple[str, Pattern]]
    rest: bool


@dataclass(slots=True, eq=False)
class LiteralPattern(Pattern):
    value: Expression


@dataclass(slots=True, eq=False)
class RangePattern(Pattern):
    low: Expression
    high: Expression
    inclusive: bool


@dataclass(slots=True, eq=False)
class TuplePattern(Pattern):
    items: list[Pattern]


@dataclass(slots=True, eq=False)
class ListPattern(Pattern):
    items: list[Pattern]


@dataclass(slots=True, eq=False)
class AlternativePattern(Pattern):
    patterns: list[Pattern]


# -- declarations ----------------------------------------------------------------------------------


@dataclass(slots=True, eq=False, kw_only=True)
class Item(Node):
    """A declaration. *doc* is its ``///`` text, without the slashes."""

    visibility: Visibility = Visibility.PRIVATE
    doc: str = ""


@dataclass(slots=True, eq=False)
class GenericParameter(Node):
    name: str
    bounds: list[TypeNode]
    default: TypeNode | None


@dataclass(slots=True, eq=False)
class Function(Item):
    """``fun``; *body* is None for a trait's requirement and for a host import."""

    name: str
    name_start: int
    effectful: bool
    generics: list[GenericParameter]
    parameters: list[Parameter]
    result: TypeNode | None
    body: Block | None


@dataclass(slots=True, eq=False)
class Use(Item):
    """``use path``, ``use path as x``, ``use path.{ a, b as c }``, ``use path.*``.

    *names* holds (item, alias) pairs for a group, None otherwise; *everything* is ``.*``.
    """

    path: Path
    alias: str | None
    names: list[tuple[str, str | None, int]] | None
    everything: bool


@dataclass(slots=True, eq=False)
class HasField(Item):
    name: str
    type: TypeNode
    default: Expression | None


@dataclass(slots=True, eq=False)
class Variant(Node):
    name: str
    payload: list[tuple[str | None, TypeNode]]


@dataclass(slots=True, eq=False)
class Enum(Item):
    variants: list[Variant]


@dataclass(slots=True, eq=False)
class Constraint(Item):
    name: str
    body: Block


@dataclass(slots=True, eq=False)
class Law(Item):
    name: str
    body: Block


@dataclass(slots=True, eq=False)
class Exegesis(Item):
    """*text* is what stands between the braces, its indentation taken off."""

    text: str


@dataclass(slots=True, eq=False)
class HoleItem(Item):
    pass


@dataclass(slots=True, eq=False)
class Gene(Item):
    name: str
    name_start: int
    generics: list[GenericParameter]
    members: list[Item]


@dataclass(slots=True, eq=False)
class Trait(Item):
    name: str
    name_start: int
    generics: list[GenericParameter]
    supers: list[TypeNode]
    members: list[Item]


@dataclass(slots=True, eq=False)
class Impl(Item):
    """``impl Trait for Gene``; without ``for``, *trait* is None."""

    generics: list[GenericParameter]
    trait: TypeNode | None
    target: TypeNode
    members: list[Item]


@dataclass(slots=True, eq=False)
class Module(Item):
    """An inline submodule."""

    name: str
    name_start: int
    items: list[Item]


@dataclass(slots=True, eq=False)
class Const(Item):
    name: str
    name_start: int
    type: TypeNode | None
    value: Expression


@dataclass(slots=True, eq=False)
class Variable(Item):
    """A module's ``var``."""

    name: str
    name_start: int
    type: TypeNode | None
    value: Expression


@dataclass(slots=True, eq=False)
class Alias(Item):
    name: str
    name_start: int
    generics: list[GenericParameter]
    type: TypeNode


@dataclass(slots=True, eq=False)
class Test(Item):
    name: str
    body: Block


@dataclass(slots=True, eq=False)
class HasValue(Item):
    """``has name: value`` in a manifest."""

    name: str
    value: Expression


@dataclass(slots=True, eq=False)
class Requires(Item):
    """``requires @org/name: "^1.0"`` (``uses`` in a System)."""

    package: str
    value: Expression


@dataclass(slots=True, eq=False)
class Spirit(Item):
    name: str
    name_start: int
    entries: list[Item]


@dataclass(slots=True, eq=False)
class System(Item):
    name: str
    name_start: int
    members: list[Item]


@dataclass(slots=True, eq=False)
class Header(Item):
    """``module a.b @ 1.2.3``."""

    path: Path
    version: str | None


@dataclass(slots=True, eq=False)
class File(Node):
    """One ``.dol`` file."""

    items: list[Item]
