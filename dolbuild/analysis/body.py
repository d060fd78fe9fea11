"""The ground on which bodies are checked: scopes of variables, reports, types that have to fit.

`Body` is built up in layers, a file each: this one, `operators`, `calls`, `matching`, `statements`. A layer
calls what stands below it directly, and what stands above through the abstract methods here.
"""

from abc import ABC, abstractmethod

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.context import Context, did_you_mean
from dolbuild.analysis.declarations import Declarations, Generic
from dolbuild.analysis.unify import known, resolve, unify
from dolbuild.analysis.world import substitute
from dolbuild.syntax import tree as t


def show(type_: ty.Type) -> str:
    """A type as messages quote it."""
    return f"`{known(type_)}`"


class Ground(ABC):
    """State of the checking of one body.

    *result* is what the body gives, *this* the type of ``this`` (None where there is none), *generics* the
    type parameters in reach, *effectful* whether effects may happen here without ``sex { }``.
    """

    def __init__(
        self,
        context: Context,
        declarations: Declarations,
        result: ty.Type,
        *,
        this: ty.Type | None = None,
        owner: ty.Type | None = None,
        generics: tuple[Generic, ...] = (),
        effectful: bool = False,
    ) -> None:
        self.context = context
        self.declarations = declarations
        self.result = result
        self.this = this
        self.owner = owner
        self.generics = {generic.name: generic for generic in generics}
        self.effectful = effectful
        self.scopes: list[dict[str, v.Local]] = [{}]
        self.loops = 0
        self.pending: list[tuple[t.Node, ty.Type, str]] = []
        """Types that must be known in the end, with what to say where they are not."""

    # -- what the upper layers do -----------------------------------------------------------------

    @abstractmethod
    def infer(self, node: t.Node, statement: bool = False) -> v.Value:
        """The value of *node* with the type that it has by itself; *statement*: nobody uses it."""

    @abstractmethod
    def check(self, node: t.Node, expected: ty.Type) -> v.Value:
        """The value of *node*, which must be of type *expected*."""

    @abstractmethod
    def block(self, block: t.Block, expected: ty.Type | None = None) -> v.Value:
        """The statements of a block in a scope of their own."""

    @abstractmethod
    def call(self, node: t.Call, expected: ty.Type | None = None) -> v.Value:
        """A call of anything."""

    # -- variables --------------------------------------------------------------------------------

    def local(self, name: str) -> v.Local | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    def declare_local(self, name: str, type_: ty.Type, mutable: bool = True) -> v.Local:
        local = v.Local(name, type_, mutable)
        if name != "_":
            self.scopes[-1][name] = local
        return local

    def unknown_name(self, node: t.Node, name: str) -> None:
        locals_ = [local for scope in self.scopes for local in scope]
        hint = did_you_mean(name, (*locals_, *self.context.names()))
        self.context.report(node, "E0201", f"`{name}` is not known here", hint)

    # -- types ------------------------------------------------------------------------------------

    def type(self, node: t.TypeNode) -> ty.Type:
        """A type that is written in the body."""
        names = frozenset(self.generics) | ({"Self"} if self.owner is not None else frozenset())
        type_ = self.context.type(node, names)
        if self.owner is not None:
            type_ = substitute(type_, {"Self": self.owner})
        return type_

    def fit(self, value: v.Value, expected: ty.Type, node: t.Node) -> v.Value:
        """*value* as one of type *expected*: as it is, widened, as its trait, or reported."""
        actual, expected = resolve(value.type), resolve(expected)
        if actual in (ty.NEVER, ty.UNKNOWN) or expected in (ty.UNKNOWN, ty.VOID):
            return value
        if ty.widens(actual, expected):
            return v.Convert(expected, value.start, value)
        if unify(actual, expected):
            return value
        trait = self.declarations.trait(expected)
        if trait is not None and isinstance(expected, ty.Named) and self.declarations.implements(actual, expected):
            return v.MakeDynamic(expected, value.start, value)
        self.mismatch(node, actual, expected)
        return v.Literal(ty.UNKNOWN, value.start, None)

    def mismatch(self, node: t.Node, actual: ty.Type, expected: ty.Type) -> None:
        hint = ""
        if ty.is_numeric(actual) and ty.is_numeric(expected):
            hint = f"convert it with `as {expected}`"
        elif ty.argument_of(expected, "Option") == actual:
            hint = "wrap it in `Some(...)`"
        elif ty.argument_of(actual, "Option") == expected:
            hint = "take the value out with `unwrap_or(...)`, `?` or `match`"
        elif isinstance(expected, ty.Named) and expected.symbol == "Result" and expected.arguments[0] == actual:
            hint = "wrap it in `Ok(...)`"
        elif expected == ty.STRING:
            hint = "turn it into text with `.to_string()`"
        elif self.declarations.trait(expected) is not None:
            hint = f"implement it: `impl {known(expected)} for {known(actual)} {{ ... }}`"
        message = f"expected {show(expected)}, found {show(actual)}"
        self.context.report(node, "E0301", message, hint)

    def must_be_known(self, node: t.Node, type_: ty.Type, message: str) -> None:
        """Note that a type has to be settled by the end of the body."""
        self.pending.append((node, type_, message))

    # -- giving up --------------------------------------------------------------------------------

    def unknown(self, node: t.Node) -> v.Value:
        """A value about which everything was said."""
        return v.Literal(ty.UNKNOWN, node.start, None)

    def wrong(self, node: t.Node, code: str, message: str, hint: str = "") -> v.Value:
        """Report, and go on with a value that fits everywhere."""
        self.context.report(node, code, message, hint)
        return self.unknown(node)


def is_unknown(value: v.Value) -> bool:
    return resolve(value.type) == ty.UNKNOWN
