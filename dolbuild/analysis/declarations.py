"""Declarations with their types: what an interface says of functions, genes and traits, resolved.

A `Declarations` reads interfaces through a `World`; each description is resolved once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dolbuild.analysis import types as ty
from dolbuild.analysis.surface import MODULE, surface
from dolbuild.analysis.unify import known, resolve, unify
from dolbuild.analysis.world import Item, Missing, Scope, World, substitute
from dolbuild.syntax.tree import Visibility

Json = dict[str, Any]
SELF = "Self"
SURFACE = Scope(MODULE)


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: ty.Type
    has_default: bool


@dataclass(frozen=True, slots=True)
class Generic:
    """A type parameter with the traits that bound it."""

    name: str
    bounds: tuple[ty.Type, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """A function as its callers see it. *owner* is the type that it is a member of, if it is one; then
    *takes_self* says whether it belongs to the instances of that type."""

    name: str
    symbol: str
    scope: Scope
    generics: tuple[Generic, ...]
    parameters: tuple[Parameter, ...]
    result: ty.Type
    effectful: bool
    visibility: Visibility = Visibility.PUBLIC
    takes_self: bool = False
    has_body: bool = True
    owner: ty.Type | None = None

    @property
    def type(self) -> ty.FunctionOf:
        return ty.FunctionOf(tuple(p.type for p in self.parameters), self.result)

    def replaced(self, by_name: Mapping[str, ty.Type]) -> "Signature":
        """The signature with types in the place of type parameters."""
        if not by_name:
            return self
        return replace(
            self,
            generics=tuple(
                Generic(g.name, tuple(substitute(b, by_name) for b in g.bounds))
                for g in self.generics
                if g.name not in by_name
            ),
            parameters=tuple(Parameter(p.name, substitute(p.type, by_name), p.has_default) for p in self.parameters),
            result=substitute(self.result, by_name),
            owner=None if self.owner is None else substitute(self.owner, by_name),
        )

    def __str__(self) -> str:
        parameters = ", ".join(f"{p.name}: {known(p.type)}" for p in self.parameters)
        return f"{self.name}({parameters}) -> {known(self.result)}"


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    payload: tuple[tuple[str | None, ty.Type], ...]


@dataclass(frozen=True, slots=True)
class Gene:
    """A gene, a System, or a built-in type that is declared like one. *variants* is None for one of fields."""

    symbol: str
    name: str
    scope: Scope
    kind: str
    generics: tuple[Generic, ...]
    fields: Mapping[str, tuple[ty.Type, bool]]
    variants: Mapping[str, Variant] | None
    functions: Mapping[str, Signature]
    constraints: tuple[tuple[str, tuple[str, ...] | None], ...]
    """Names of the constraints, and the fields that each reads (None: perhaps all)."""

    @property
    def type(self) -> ty.Named:
        """The gene's own type, with its type parameters as arguments."""
        return ty.Named(self.symbol, tuple(ty.GenericOf(g.name) for g in self.generics))

    def by_name(self, type_: ty.Named) -> dict[str, ty.Type]:
        """What the type parameters stand for in *type_*."""
        names = [generic.name for generic in self.generics]
        return dict(zip(names, type_.arguments, strict=False))


@dataclass(frozen=True, slots=True)
class Trait:
    symbol: str
    name: str
    scope: Scope
    generics: tuple[Generic, ...]
    supers: tuple[ty.Type, ...]
    functions: Mapping[str, Signature]

    @property
    def type(self) -> ty.Named:
        return ty.Named(self.symbol, tuple(ty.GenericOf(g.name) for g in self.generics))


@dataclass(frozen=True, slots=True)
class Implementation:
    """``impl Trait for Type``; *trait* is None for functions of the type's own."""

    generics: tuple[Generic, ...]
    trait: ty.Named | None
    target: ty.Type
    functions: Mapping[str, Signature]
    prefix: str


class Declarations:
    """Resolved declarations of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._genes: dict[str, Gene | None] = {}
        self._traits: dict[str, Trait | None] = {}
        self._impls: dict[str, list[Implementation]] = {}
        self._places: dict[str, tuple[Scope, str]] = {}

    # -- finding ----------------------------------------------------------------------------------

    def place_of(self, symbol: str) -> tuple[Scope, str] | None:
        """The scope and name behind a symbol of an interface that the world holds."""
        if symbol in self._places:
            return self._places[symbol]
        module = max((id_ for id_ in self.world.interfaces if symbol.startswith(id_ + ".")), key=len, default=None)
        if module is None:
            return None
        *inner, name = symbol[len(module) + 1 :].split(".")
        self._places[symbol] = place = (Scope(module, tuple(inner)), name)
        return place

    def _described(self, symbol: str) -> tuple[Scope, str, Json] | None:
        if symbol in ty.ARITY or symbol in _SURFACE_TYPES:
            return SURFACE, symbol, surface()["items"][symbol]
        place = self.place_of(symbol)
        if place is None:
            return None
        scope, name = place
        interface = self.world.interface(scope)
        described = interface["items"].get(name) if interface is not None else None
        return (scope, name, described) if described is not None else None

    def gene(self, type_: ty.Type) -> Gene | None:
        """The gene (or System) behind a type, or None."""
        symbol = type_symbol(resolve(type_))
        if symbol is None:
            return None
        if symbol not in self._genes:
            found = self._described(symbol)
            usable = found is not None and found[2]["kind"] in ("gene", "system")
            self._genes[symbol] = self._gene(symbol, *found) if found is not None and usable else None
        return self._genes[symbol]

    def trait(self, type_: ty.Type) -> Trait | None:
        """The trait behind a type, or None."""
        type_ = resolve(type_)
        if not isinstance(type_, ty.Named):
            return None
        if type_.symbol not in self._traits:
            found = self._described(type_.symbol)
            usable = found is not None and found[2]["kind"] == "trait"
            self._traits[type_.symbol] = self._trait(type_.symbol, *found) if found is not None and usable else None
        return self._traits[type_.symbol]

    # -- resolving --------------------------------------------------------------------------------

    def type(self, written: list[Any] | None, scope: Scope, generics: frozenset[str]) -> ty.Type:
        """A written type of an interface; `UNKNOWN` where it leads nowhere (its own module reports that)."""
        found = self.world.type_of(written, scope, generics)
        return ty.UNKNOWN if isinstance(found, Missing) else found

    def generics(self, described: list[Any], scope: Scope, outer: frozenset[str]) -> tuple[Generic, ...]:
        names = outer | {generic[0] for generic in described}
        return tuple(
            Generic(name, tuple(self.type(bound, scope, names) for bound in bounds)) for name, bounds, _ in described
        )

    def signature(self, found: Item) -> Signature:
        """The signature of a function that a name leads to."""
        return self._signature(found.value, found.name, found.symbol, found.scope, frozenset(), None)

    def _signature(
        self, value: Json, name: str, symbol: str, scope: Scope, outer: frozenset[str], owner: ty.Type | None
    ) -> Signature:
        generics = self.generics(value.get("generics", []), scope, outer)
        names = outer | {generic.name for generic in generics}
        return Signature(
            name,
            symbol,
            scope,
            generics,
            tuple(Parameter(p, self.type(type_, scope, names), default) for p, type_, default in value["params"]),
            self.type(value["result"], scope, names),
            value["sex"],
            Visibility(value["vis"]) if "vis" in value else Visibility.PUBLIC,
            value.get("self", False),
            value.get("body", True),
            owner,
        )

    def _functions(
        self, described: Json, symbol: str, scope: Scope, outer: frozenset[str], owner: ty.Type
    ) -> dict[str, Signature]:
        names = outer | {SELF}
        itself = {SELF: owner}
        return {
            name: self._signature(value, name, f"{symbol}.{name}", scope, names, owner).replaced(itself)
            for name, value in described.items()
        }

    def _gene(self, symbol: str, scope: Scope, name: str, value: Json) -> Gene:
        generics = self.generics(value["generics"], scope, frozenset())
        names = frozenset(generic.name for generic in generics)
        own: ty.Type = ty.PRIMITIVES.get(symbol) or ty.Named(symbol, tuple(ty.GenericOf(g.name) for g in generics))
        if symbol in ("Integer", "Float"):
            own = ty.GenericOf(SELF)  # stands for each of several types
        inside = names | {SELF}
        variants = None
        if "variants" in value:
            variants = {
                variant: Variant(variant, tuple((p, self.type(type_, scope, inside)) for p, type_ in payload))
                for variant, payload in value["variants"]
            }
        fields = {field: (self.type(type_, scope, inside), default) for field, type_, default in value["fields"]}
        functions = self._functions(value["functions"], symbol, scope, names, own)
        return Gene(symbol, name, scope, value["kind"], generics, fields, variants, functions, _constraints(value))

    def _trait(self, symbol: str, scope: Scope, name: str, value: Json) -> Trait:
        generics = self.generics(value["generics"], scope, frozenset())
        names = frozenset(generic.name for generic in generics)
        supers = tuple(self.type(bound, scope, names) for bound in value["supers"])
        functions = self._functions(value["functions"], symbol, scope, names, ty.GenericOf(SELF))
        return Trait(symbol, name, scope, generics, supers, functions)

    # -- implementations --------------------------------------------------------------------------

    def implementations(self, module: str) -> list[Implementation]:
        """The ``impl``s of a module, inline modules included."""
        if module not in self._impls:
            root = self.world.interfaces.get(module)
            self._impls[module] = [] if root is None else list(self._implementations(Scope(module), root))
        return self._impls[module]

    def _implementations(self, scope: Scope, interface: Json) -> Iterator[Implementation]:
        for value in interface.get("impls", ()):
            generics = self.generics(value["generics"], scope, frozenset())
            names = frozenset(generic.name for generic in generics)
            target = self.type(value["for"], scope, names)
            trait = self.type(value["trait"], scope, names) if value["trait"] is not None else None
            trait = trait if isinstance(trait, ty.Named) else None
            prefix = implementation_prefix(scope, target, trait)
            functions = self._functions(value["functions"], prefix, scope, names, target)
            described = self.trait(trait) if trait is not None else None
            if described is not None:  # the trait says which of them have an instance
                functions = {
                    name: replace(f, takes_self=True)
                    if name in described.functions and described.functions[name].takes_self
                    else f
                    for name, f in functions.items()
                }
            yield Implementation(generics, trait, target, functions, prefix)
        for name, inner in interface["modules"].items():
            yield from self._implementations(Scope(scope.module, (*scope.inner, name)), inner)

    def implementations_for(self, type_: ty.Type) -> Iterator[tuple[Implementation, dict[str, ty.Type]]]:
        """The implementations that fit a type, with what their type parameters stand for. They stand in
        the module of the type, or in that of a trait."""
        type_ = known(type_)
        for module in sorted(self.world.interfaces):
            for implementation in self.implementations(module):
                by_name: dict[str, ty.Type] = {g.name: ty.Variable() for g in implementation.generics}
                if _fits(substitute(implementation.target, by_name), type_) and self._within(implementation, by_name):
                    yield implementation, by_name

    def _within(self, implementation: Implementation, by_name: Mapping[str, ty.Type]) -> bool:
        """Whether types satisfy the bounds of an implementation's type parameters."""
        for generic in implementation.generics:
            given = resolve(by_name[generic.name])
            if isinstance(given, ty.GenericOf | ty.Variable):
                continue  # whoever puts a type there is asked for it
            for bound in generic.bounds:
                wanted = substitute(bound, by_name)
                if isinstance(wanted, ty.Named) and not self.implements(given, wanted):
                    return False
        return True

    def implements(self, type_: ty.Type, trait: ty.Named) -> bool:
        """Whether a type implements a trait (or is one that extends it)."""
        type_ = known(type_)
        own = self.trait(type_)
        if own is not None:
            return self._extends(own, trait, set())
        return any(
            implementation.trait is not None and self._trait_covers(substitute(implementation.trait, by_name), trait)
            for implementation, by_name in self.implementations_for(type_)
        )

    def _trait_covers(self, given: ty.Type, wanted: ty.Named) -> bool:
        return isinstance(given, ty.Named) and given.symbol == wanted.symbol and unify(given, wanted)

    def _extends(self, trait: Trait, wanted: ty.Named, seen: set[str]) -> bool:
        if trait.symbol == wanted.symbol:
            return True
        seen.add(trait.symbol)
        for above in trait.supers:
            other = self.trait(above)
            if other is not None and other.symbol not in seen and self._extends(other, wanted, seen):
                return True
        return False


def implementation_prefix(scope: Scope, target: ty.Type, trait: ty.Named | None) -> str:
    """What the symbols of an implementation's functions begin with: the module in which it stands, the type,
    and the trait (with its module, where that is another one)."""
    home = f"{scope.module}."
    shown = str(known(target)).translate(_IN_SYMBOLS)
    if isinstance(target, ty.Named) and target.symbol.startswith(home) and "<" not in str(known(target)):
        shown = target.symbol[len(home) :]
    if trait is None:
        return f"{home}{shown}"
    named = trait.symbol[len(home) :] if trait.symbol.startswith(home) else trait.symbol.replace("/", ":")
    arguments = "".join(f"[{str(known(a)).translate(_IN_SYMBOLS)}]" for a in trait.arguments)
    return f"{home}{shown}.{named}{arguments}"


_IN_SYMBOLS = str.maketrans({"<": "[", ">": "]", "(": "[", ")": "]", "{": "[", "}": "]", " ": None, "/": ":"})


def _constraints(value: Json) -> tuple[tuple[str, tuple[str, ...] | None], ...]:
    return tuple((name, None if reads is None else tuple(reads)) for name, reads in value["constraints"])


_SURFACE_TYPES = frozenset(("String", "Char", "Integer", "Float"))


def type_symbol(type_: ty.Type) -> str | None:
    """The name under which the declaration of a type is found: built-in numbers share theirs."""
    if isinstance(type_, ty.Named):
        return type_.symbol
    if type_ in ty.INTEGERS:
        return "Integer"
    if type_ in ty.FLOATS:
        return "Float"
    return str(type_) if type_ in (ty.STRING, ty.CHAR) else None


def _fits(pattern: ty.Type, type_: ty.Type) -> bool:
    """Whether an implementation's target takes in a type. Unlike `unify`, nothing of *type_* is bound."""
    pattern = resolve(pattern)
    if isinstance(pattern, ty.Variable):
        pattern.bound = type_
        return True
    if isinstance(pattern, ty.Named) and isinstance(type_, ty.Named):
        return (
            pattern.symbol == type_.symbol
            and len(pattern.arguments) == len(type_.arguments)
            and all(_fits(a, resolve(b)) for a, b in zip(pattern.arguments, type_.arguments, strict=True))
        )
    return pattern == type_
