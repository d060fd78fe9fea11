"""What a path in an expression leads to: a module, a type, a variant, a function, a constant."""

from dataclasses import dataclass

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.context import did_you_mean
from dolbuild.analysis.declarations import SURFACE, Gene, Parameter, Signature, Variant
from dolbuild.analysis.operators import Operators
from dolbuild.analysis.resolution import Unresolved
from dolbuild.analysis.surface import surface
from dolbuild.analysis.unify import resolve, unify
from dolbuild.analysis.world import Found, Item, Missing, Scope, may_see, substitute
from dolbuild.source import Span
from dolbuild.syntax import tree as t
from dolbuild.syntax.tree import Visibility

CONSTRUCTOR = "#new"
"""Behind a gene's symbol: the function that makes one of all its fields, where it declares no ``new``."""

DEFAULT = "#default."
"""Between a function's (or gene's) symbol and a parameter's (or field's) name: what gives its default."""

BUILT_IN_VARIANTS = {"Some": "Option", "None": "Option", "Ok": "Result", "Err": "Result"}


@dataclass(frozen=True, slots=True)
class ModuleTarget:
    scope: Scope


@dataclass(frozen=True, slots=True)
class TypeTarget:
    """A type by its name; type arguments that are not written are variables."""

    type: ty.Type


@dataclass(frozen=True, slots=True)
class VariantTarget:
    type: ty.Named
    variant: str


@dataclass(frozen=True, slots=True)
class FunctionTarget:
    """A function; *types* are written type arguments of its own."""

    signature: Signature
    owner: ty.Type | None = None
    types: tuple[ty.Type, ...] = ()
    outer: tuple[ty.Type, ...] | None = None
    """What the type parameters around it stand for, where those are not the owner's."""


@dataclass(frozen=True, slots=True)
class GlobalTarget:
    item: Item


class Failed:
    """A path that leads nowhere; that was reported."""


Target = ModuleTarget | TypeTarget | VariantTarget | FunctionTarget | GlobalTarget | Failed
FAILED = Failed()


class Targets(Operators):
    """Paths."""

    def target(self, node: t.Node) -> Target | None:
        """What a path leads to; None where it begins with a value, or is no path."""
        match node:
            case t.Name(name=name):
                return None if self.local(name) is not None else self.named(node, name)
            case t.AtPath(text=text):
                return self.at_path(node, text)
            case t.Member(value=value, name=name):
                inner = self.target(value)
                if inner is None or isinstance(inner, GlobalTarget | VariantTarget):
                    return None
                return self.member_target(node, inner, name)
            case t.ApplyTypes(value=value, types=types):
                return self.applied(node, self.target(value), [self.type(type_) for type_ in types])
            case _:
                return None

    def named(self, node: t.Name, name: str) -> Target:
        if name == "Self" and self.owner is not None:
            return TypeTarget(self.owner)
        found = self.context.name(name)
        if isinstance(found, Missing) and not found.broken:
            built_in = self.built_in(name)
            if built_in is not None:
                return built_in
            if name == "this":
                self.context.report(node, "E0210", "there is no `this` here")
            else:
                self.unknown_name(node, name)
            return FAILED
        return self.found(node, name, found)

    def built_in(self, name: str) -> Target | None:
        """What every module has without an import."""
        if name in BUILT_IN_VARIANTS:
            return VariantTarget(self.fresh(BUILT_IN_VARIANTS[name]), name)
        if name in ty.ARITY:
            return TypeTarget(self.fresh(name))
        if name in ty.PRIMITIVES:
            return TypeTarget(ty.PRIMITIVES[name])
        described = surface()["items"].get(name)
        if described is not None and described["kind"] == "function":
            return FunctionTarget(self.declarations.signature(Item(SURFACE, name, described)))
        return None

    def fresh(self, symbol: str) -> ty.Named:
        """A built-in type whose arguments are not known yet."""
        return ty.Named(symbol, tuple(ty.Variable() for _ in range(ty.ARITY[symbol])))

    def found(self, node: t.Node, path: str, found: Found) -> Target:
        match found:
            case Scope():
                return ModuleTarget(found)
            case Item(value={"kind": "function"}):
                return FunctionTarget(self.declarations.signature(found))
            case Item(value={"kind": "const" | "variable"}):
                return GlobalTarget(found)
            case Item(value={"kind": "alias"}):
                type_ = self.declarations.type(["name", found.name, []], found.scope, frozenset())
                return TypeTarget(type_)
            case Item():
                count = len(found.value["generics"])
                return TypeTarget(ty.Named(found.symbol, tuple(ty.Variable() for _ in range(count))))
            case _:
                self.context.explain(node, path, found)
                return FAILED

    def at_path(self, node: t.AtPath, text: str) -> Target:
        """An ``@org/name.item.member``: the package, its module, the item, and what the item has."""
        target = self.context.world.resolve(self.context.scope.module, text)
        if isinstance(target, Unresolved):
            self.context.explain(node, text, target)
            return FAILED
        at: Target = ModuleTarget(Scope(target.module))
        for name in target.rest:
            at = self.member_target(node, at, name)
            if isinstance(at, Failed):
                return at
        return at

    def member_target(self, node: t.Node, inner: Target, name: str) -> Target:
        """The *name* of what a path has led to so far."""
        place = Span(node.name_start, node.end) if isinstance(node, t.Member) else node.span
        match inner:
            case ModuleTarget(scope):
                found = self.context.world.member(scope, name, self.context.scope)
                if isinstance(found, Item | Scope):
                    return self.found(node, name, found)
                self.context.explain(place, name, found)
                return FAILED
            case TypeTarget(type_):
                return self.type_member(place, type_, name)
            case FunctionTarget(signature):
                self.context.report(place, "E0208", f"the function `{signature.name}` has no `{name}`")
                return FAILED
            case _:
                return FAILED

    def type_member(self, place: Span, type_: ty.Type, name: str) -> Target:
        """A variant of a type, or a function that belongs to the type itself."""
        type_ = resolve(type_)
        if type_ == ty.UNKNOWN:
            return FAILED
        gene = self.declarations.gene(type_)
        if gene is None:
            self.context.report(place, "E0208", f"`{type_}` has no `{name}`")
            return FAILED
        if gene.variants is not None and name in gene.variants and isinstance(type_, ty.Named):
            return VariantTarget(type_, name)
        found = self.static_function(gene, type_, name)
        if found is not None:
            signature, outer = found
            return FunctionTarget(signature, type_, (), outer) if self.visible(place, signature) else FAILED
        if name == "new" and gene.variants is None and gene.scope != SURFACE and isinstance(type_, ty.Named):
            return FunctionTarget(self.default_constructor(gene), type_)
        names = [*(gene.variants or ()), *gene.functions, *([] if gene.variants else ["new"])]
        self.context.report(place, "E0208", f"`{gene.name}` has no `{name}`", did_you_mean(name, names))
        return FAILED

    def static_function(
        self, gene: Gene, type_: ty.Type, name: str
    ) -> tuple[Signature, tuple[ty.Type, ...] | None] | None:
        if name in gene.functions:
            return gene.functions[name], None
        for implementation, by_name in self.declarations.implementations_for(type_):
            if name in implementation.functions:
                return implementation.functions[name].replaced(by_name), tuple(by_name.values())
        return None

    def default_constructor(self, gene: Gene) -> Signature:
        """``new`` of a gene that declares none: its fields, by position or name."""
        parameters = tuple(
            Parameter(name, type_, default or self.has_default(type_, set()))
            for name, (type_, default) in gene.fields.items()
        )
        return Signature(
            "new",
            f"{gene.symbol}{CONSTRUCTOR}",
            gene.scope,
            gene.generics,
            parameters,
            gene.type,
            False,
            owner=gene.type,
        )

    def has_default(self, type_: ty.Type, seen: set[str]) -> bool:
        """Whether a field of this type may be left out: it is empty then, or its type says what it is."""
        type_ = resolve(type_)
        if isinstance(type_, ty.Named) and type_.symbol in ("List", "Map", "Set", "Option"):
            return True
        gene = self.declarations.gene(type_)
        if gene is None or gene.symbol in seen:
            return False
        default = gene.functions.get("default")
        return default is not None and not default.takes_self and not default.parameters

    def applied(self, node: t.ApplyTypes, inner: Target | None, types: list[ty.Type]) -> Target | None:
        """Written type arguments of a type or function."""
        match inner:
            case TypeTarget(ty.Named(symbol, arguments)) if len(arguments) == len(types):
                return TypeTarget(ty.Named(symbol, tuple(types)))
            case FunctionTarget(signature, owner) if len(signature.generics) == len(types):
                return FunctionTarget(signature, owner, tuple(types))
            case None | Failed():
                return FAILED if inner is not None else None
            case _:
                self.context.report(node, "E0311", f"this does not take {len(types)} type arguments")
                return FAILED

    def visible(self, place: Span, signature: Signature) -> bool:
        """Whether a function of a type may be used here; reported where it may not."""
        if signature.scope == SURFACE or may_see(signature.visibility, signature.scope, self.context.scope):
            return True
        shown = "private" if signature.visibility is Visibility.PRIVATE else f"`{signature.visibility}`"
        other = signature.scope.package != self.context.scope.package
        hint = f"declare it `{'pub' if other else 'pub(spirit)'}` there to use it here"
        where = f"module `{signature.scope}`"
        self.context.report(place, "E0204", f"`{signature.name}` is {shown} in {where}", hint)
        return False

    # -- values -----------------------------------------------------------------------------------

    def value_of(self, node: t.Node, target: Target, expected: ty.Type | None) -> v.Value:
        """A path as a value."""
        match target:
            case Failed():
                return self.unknown(node)
            case GlobalTarget(item):
                return self.global_value(node, item)
            case VariantTarget(type_, variant):
                return self.bare_variant(node, type_, variant, expected)
            case FunctionTarget():
                return self.function_value(node, target)
            case ModuleTarget(scope):
                return self.wrong(node, "E0207", f"`{scope}` is a module, not a value")
            case TypeTarget(type_):
                hint = f"make one: `{_name(type_)}.new(...)` or `{_name(type_)} {{ ... }}`"
                return self.wrong(node, "E0207", f"`{_name(type_)}` is a type, not a value", hint)

    def global_value(self, node: t.Node, item: Item) -> v.Value:
        type_ = self.context.world.type_of(item.value["type"], item.scope, frozenset())
        if item.kind == "variable":
            self.effect(node, f"the variable `{item.name}` of module `{item.scope}`", "E0402")
        return v.GetGlobal(ty.UNKNOWN if isinstance(type_, Missing) else type_, node.start, item.symbol)

    def bare_variant(self, node: t.Node, type_: ty.Named, variant: str, expected: ty.Type | None) -> v.Value:
        """A variant without payload."""
        gene = self.declarations.gene(type_)
        assert gene is not None and gene.variants is not None
        declared = gene.variants[variant]
        wanted = resolve(expected) if expected is not None else None
        if isinstance(wanted, ty.FunctionOf) and len(wanted.parameters) == len(declared.payload) > 0:
            return self.variant_function(node, type_, gene, declared)
        if declared.payload:
            shown = ", ".join(f"{name}: {kind}" if name else str(kind) for name, kind in declared.payload)
            return self.wrong(node, "E0306", f"`{variant}` has a payload: ({shown})")
        if type_.arguments:
            if expected is not None and isinstance(resolve(expected), ty.Named):
                self.try_unify(type_, expected)
            for argument in type_.arguments:
                self.must_be_known(node, argument, f"nothing here says what this `{variant}` could hold")
        return v.MakeVariant(type_, node.start, variant, [])

    def variant_function(self, node: t.Node, type_: ty.Named, gene: Gene, variant: Variant) -> v.Value:
        """A variant where a function is expected: the function that makes it."""
        by_name = gene.by_name(type_)
        parameters = [
            v.Local(name or f"part{index}", substitute(kind, by_name), False)
            for index, (name, kind) in enumerate(variant.payload)
        ]
        made = v.MakeVariant(
            type_, node.start, variant.name, [v.GetLocal(local.type, node.start, local) for local in parameters]
        )
        signature = ty.FunctionOf(tuple(local.type for local in parameters), type_)
        return v.Closure(signature, node.start, parameters, made)

    def try_unify(self, type_: ty.Type, expected: ty.Type) -> None:
        """Take from *expected* what it says of *type_*, where both are of one kind."""
        wanted = resolve(expected)
        if isinstance(type_, ty.Named) and isinstance(wanted, ty.Named) and type_.symbol == wanted.symbol:
            unify(type_, wanted)

    def function_value(self, node: t.Node, target: FunctionTarget) -> v.Value:
        signature = target.signature
        types = target.types or tuple(ty.Variable() for _ in signature.generics)
        by_name = {generic.name: type_ for generic, type_ in zip(signature.generics, types, strict=True)}
        instance = signature.replaced(by_name)
        if signature.takes_self:
            return self.wrong(node, "E0207", f"`{signature.name}` needs an instance; wrap it in a closure")
        if signature.effectful:
            self.effect(node, f"`{signature.name}`", "E0401")
        outer = target.outer
        if outer is None:
            outer = target.owner.arguments if isinstance(target.owner, ty.Named) else ()
            if isinstance(target.owner, ty.Named):
                gene = self.declarations.gene(target.owner)
                instance = instance.replaced(gene.by_name(target.owner)) if gene is not None else instance
        return v.FunctionReference(instance.type, node.start, signature.symbol, (*outer, *types))

    def effect(self, node: t.Node, what: str, code: str) -> None:
        """Report an effect where none may happen."""
        if self.effectful:
            return
        function = self.context.function
        hint = "put it inside `sex { ... }`, or declare the function `sex fun`"
        verb = "has effects" if code == "E0401" else "can only be used where effects are allowed"
        notes = self.effect_chain(what) if code == "E0401" else ()
        self.context.report(node, code, f"{what} {verb}, and {function} may have none here", hint, notes)

    def effect_chain(self, what: str) -> tuple[str, ...]:
        """How the effect comes about, as far as this module tells: the calls that lead to it."""
        return self.context.effects.chain(what.strip("`"))


def _name(type_: ty.Type) -> str:
    return str(type_).split("<", 1)[0]
