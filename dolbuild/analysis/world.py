"""Names across modules: what a name means in a module, and who may use it.

A `World` holds the interfaces that one module is checked against, and answers from them alone. What it is
asked for and does not hold is an error of the planner, not of the user.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dolbuild.analysis import types as ty
from dolbuild.analysis.resolution import RUNTIME, Target, Unresolved, split_id
from dolbuild.syntax.tree import Visibility

Json = dict[str, Any]
Resolutions = Mapping[str, Mapping[str, Target | Unresolved]]
"""For each module, where the paths that it imports lead."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A place from which names are used, or in which they stand: a module, perhaps an inline one in it."""

    module: str
    inner: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        return split_id(self.module)[0]

    @property
    def path(self) -> tuple[str, ...]:
        """All module names from the root of the Spirit."""
        return (*split_id(self.module)[1].split("."), *self.inner)

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Item:
    """A declaration that a name leads to; *value* is its description in the interface."""

    scope: Scope
    name: str
    value: Json

    @property
    def symbol(self) -> str:
        """The name of this item in the whole program."""
        return symbol(self.scope, self.name)

    @property
    def kind(self) -> str:
        return str(self.value["kind"])


@dataclass(frozen=True, slots=True)
class Missing:
    """A name that leads nowhere. *broken*: the module could not be read whole, so say nothing."""

    scope: Scope
    name: str
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Hidden:
    """A name that exists, but not for the one who asks."""

    scope: Scope
    name: str
    visibility: Visibility


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A name that several imports of everything bring."""

    name: str
    scopes: tuple[Scope, ...]


Found = Item | Scope | Missing | Hidden | Ambiguous | Unresolved


def symbol(scope: Scope, name: str) -> str:
    """``@org/name/a.b.item``."""
    return ".".join((scope.module, *scope.inner, name))


def may_see(visibility: Visibility, owner: Scope, viewer: Scope) -> bool:
    """Whether *viewer* may use an item of *owner* (specification, "Visibility Rules")."""
    if visibility is Visibility.PUBLIC:
        return True
    if owner.package != viewer.package:
        return False
    if visibility is Visibility.SPIRIT:
        return True
    if visibility is Visibility.PARENT:
        parent = owner.path[:-1]
        return viewer.path[: len(parent)] == parent or viewer.module.rpartition("/")[2].startswith("tests:")
    return viewer.module == owner.module and viewer.inner[: len(owner.inner)] == owner.inner


class World:
    """Interfaces by module id, and where each one's imports lead."""

    def __init__(
        self,
        interfaces: Mapping[str, Json],
        resolutions: Resolutions,
        private: Callable[[str], Collection[str]] = lambda module: (),
    ) -> None:
        """*private* gives the names of a module's private items; it is asked only to explain an error."""
        self.interfaces = interfaces
        self.resolutions = resolutions
        self.private = private
        self.loops: set[str] = set()
        """Aliases that were found to be defined by themselves."""
        self._aliases: set[str] = set()

    def resolve(self, module: str, path: str) -> Target | Unresolved:
        """Where a path that is written in *module* leads."""
        return self.resolutions.get(module, {}).get(path, Unresolved.NO_MODULE)

    def follow(self, target: Target, viewer: Scope) -> Found:
        """The module or item at the end of a resolved path, as *viewer* sees it."""
        at: Found = Scope(target.module)
        for name in target.rest:
            if not isinstance(at, Scope):
                return Missing(at.scope, name) if isinstance(at, Item) else at
            at = self.member(at, name, viewer)
        return at

    def member(self, scope: Scope, name: str, viewer: Scope) -> Found:
        """What *name* means in *scope* for someone who looks at it from *viewer*."""
        return self._member(scope, name, viewer, frozenset())

    def _member(self, scope: Scope, name: str, viewer: Scope, seen: frozenset[tuple[Scope, str]]) -> Found:
        if (scope, name) in seen:
            return Missing(scope, name)
        interface = self.interface(scope)
        if interface is None:
            return Missing(scope, name, broken=True)
        own = interface["items"].get(name)
        if own is not None:
            visibility = Visibility(own["vis"])
            if may_see(visibility, scope, viewer):
                return Item(scope, name, own)
            return Hidden(scope, name, visibility)
        inline = interface["modules"].get(name)
        if inline is not None:
            visibility = Visibility(inline["vis"])
            if may_see(visibility, scope, viewer):
                return Scope(scope.module, (*scope.inner, name))
            return Hidden(scope, name, visibility)
        seen = seen | {(scope, name)}
        everything: list[Found] = []
        for use in interface["uses"]:
            if not may_see(Visibility(use["vis"]), scope, viewer):
                continue
            found = self._through(use, scope, name, viewer, seen)
            if found is None or isinstance(found, Missing):
                continue
            if not use["all"]:
                return found
            if found not in everything:
                everything.append(found)
        if everything:
            usable = [found for found in everything if isinstance(found, Item | Scope)]
            if len(usable) > 1:
                return Ambiguous(name, tuple(f.scope if isinstance(f, Item) else f for f in usable))
            return usable[0] if usable else everything[0]
        root = self.interfaces.get(scope.module)
        return Missing(scope, name, bool(root and root["broken"]))

    def _through(
        self, use: Json, scope: Scope, name: str, viewer: Scope, seen: frozenset[tuple[Scope, str]]
    ) -> Found | None:
        """What an import of *scope* makes of *name*; None where it does not bind it."""
        wanted = bound_name(use, name)
        if wanted is None:
            return None
        target = self.resolve(scope.module, use["path"])
        if isinstance(target, Unresolved):
            return target
        at: Found = Scope(target.module)
        for part in (*target.rest, *wanted):
            if not isinstance(at, Scope):
                return Missing(scope, name)
            at = self._member(at, part, scope, seen)  # who re-exports must itself be allowed to see it
        return at

    def interface(self, scope: Scope) -> Json | None:
        """The interface of a module or inline module."""
        interface = self.interfaces.get(scope.module)
        for name in scope.inner:
            if interface is None:
                return None
            interface = interface["modules"].get(name)
        return interface

    def names(self, scope: Scope, viewer: Scope) -> tuple[str, ...]:
        """Names of *scope* that *viewer* could have meant, for suggestions."""
        interface = self.interface(scope)
        if interface is None:
            return ()
        names = {
            name
            for part in ("items", "modules")
            for name, value in interface[part].items()
            if may_see(Visibility(value["vis"]), scope, viewer)
        }
        for use in interface["uses"]:
            if use["names"] and may_see(Visibility(use["vis"]), scope, viewer):
                names |= {alias or name for name, alias in use["names"]}
        return tuple(sorted(names))

    # -- types ------------------------------------------------------------------------------------

    def type_of(self, written: list[Any] | None, scope: Scope, generics: frozenset[str]) -> ty.Type | Missing:
        """The type that an interface of *scope* names; `UNKNOWN` where it was never written."""
        if written is None:
            return ty.UNKNOWN
        head = written[0]
        if head == "void":
            return ty.VOID
        if head == "name":
            return self._named(written[1], written[2], scope, generics)
        if head == "record":
            fields = []
            for name, field in written[1]:
                type_ = self.type_of(field, scope, generics)
                if isinstance(type_, Missing):
                    return type_
                fields.append((name, type_))
            return ty.RecordOf(tuple(fields))
        items = self._types(written[1], scope, generics)
        if isinstance(items, Missing):
            return items
        if head == "tuple":
            return ty.TupleOf(items)
        result = self.type_of(written[2], scope, generics)
        return result if isinstance(result, Missing) else ty.FunctionOf(items, result)

    def _types(self, written: list[Any], scope: Scope, generics: frozenset[str]) -> tuple[ty.Type, ...] | Missing:
        types = []
        for part in written:
            type_ = self.type_of(part, scope, generics)
            if isinstance(type_, Missing):
                return type_
            types.append(type_)
        return tuple(types)

    def _named(self, path: str, written: list[Any], scope: Scope, generics: frozenset[str]) -> ty.Type | Missing:
        arguments = self._types(written, scope, generics)
        if isinstance(arguments, Missing):
            return arguments
        if path in generics:
            return ty.GenericOf(path)
        if path in ty.PRIMITIVES and not arguments:
            return ty.PRIMITIVES[path]
        if path == "Fun" and arguments:
            return ty.FunctionOf(arguments[:-1], arguments[-1])
        found = self.type_item(path, scope) if scope.module in self.interfaces else Missing(scope, path)
        if isinstance(found, Missing) and ty.ARITY.get(path) == len(arguments):
            return ty.Named(path, arguments)
        if isinstance(found, Missing) and path == ty.ARRAY and scope.package == RUNTIME and len(arguments) == 1:
            return ty.Named(path, arguments)
        if not isinstance(found, Item):
            return Missing(scope, path, isinstance(found, Missing) and found.broken)
        if found.kind == "alias":
            names = [generic[0] for generic in found.value["generics"]]
            if found.symbol in self._aliases:
                self.loops.add(found.symbol)
                return ty.UNKNOWN
            self._aliases.add(found.symbol)
            aliased = self.type_of(found.value["type"], found.scope, frozenset(names))
            self._aliases.discard(found.symbol)
            if isinstance(aliased, Missing):
                return aliased
            return substitute(aliased, dict(zip(names, arguments, strict=False)))
        if found.kind in ("gene", "trait", "system"):
            return self._applied(found, arguments, scope, path)
        return Missing(scope, path)

    def _applied(self, found: Item, arguments: tuple[ty.Type, ...], scope: Scope, path: str) -> ty.Type | Missing:
        """A declared type with its arguments; those left out take their defaults."""
        generics = found.value["generics"]
        if len(arguments) > len(generics):
            return Missing(scope, path)
        names = frozenset(generic[0] for generic in generics)
        given = list(arguments)
        for _, _, default in generics[len(arguments) :]:
            if default is None:
                return Missing(scope, path)
            type_ = self.type_of(default, found.scope, names)
            if isinstance(type_, Missing):
                return type_
            by_name = {generic[0]: type_ for generic, type_ in zip(generics, given, strict=False)}
            given.append(substitute(type_, by_name))
        return ty.Named(found.symbol, tuple(given))

    def type_item(self, path: str, scope: Scope) -> Found:
        """The declaration that a written type path leads to from inside *scope*."""
        if path.startswith("@"):
            target = self.resolve(scope.module, path)
            return target if isinstance(target, Unresolved) else self.follow(target, scope)
        at: Found = scope
        first, *rest = path.split(".")
        inner = scope
        while True:
            at = self.member(inner, first, scope)
            if not isinstance(at, Missing) or not inner.inner:
                break
            inner = Scope(inner.module, inner.inner[:-1])
        for name in rest:
            if not isinstance(at, Scope):
                return at
            at = self.member(at, name, scope)
        return at


def bound_name(use: Json, name: str) -> tuple[str, ...] | None:
    """The rest of the path behind *name* if this import binds it: empty where the path itself is meant."""
    if use["all"]:
        return (name,)
    if use["names"] is not None:
        for item, alias in use["names"]:
            if (alias or item) == name:
                return (item,)
        return None
    last = use["alias"] or use["path"].rsplit(".", 1)[-1]
    return () if last == name else None


def substitute(type_: ty.Type, by_name: Mapping[str, ty.Type]) -> ty.Type:
    """Put types in the place of type parameters."""
    match type_:
        case ty.GenericOf(name):
            return by_name.get(name, type_)
        case ty.Named(symbol_, arguments):
            return ty.Named(symbol_, tuple(substitute(a, by_name) for a in arguments))
        case ty.TupleOf(items):
            return ty.TupleOf(tuple(substitute(item, by_name) for item in items))
        case ty.RecordOf(fields):
            return ty.RecordOf(tuple((name, substitute(field, by_name)) for name, field in fields))
        case ty.FunctionOf(parameters, result):
            return ty.FunctionOf(tuple(substitute(p, by_name) for p in parameters), substitute(result, by_name))
        case _:
            return type_
