"""Genes, traits, implementations, Systems: their members."""

from dolbuild.analysis import constant, interface
from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.context import Context
from dolbuild.analysis.declarations import (
    Declarations,
    Generic,
    Implementation,
    Parameter,
    Signature,
    implementation_prefix,
)
from dolbuild.analysis.statements import Body
from dolbuild.analysis.targets import CONSTRUCTOR, DEFAULT
from dolbuild.analysis.unify import known
from dolbuild.analysis.world import Scope, substitute, symbol
from dolbuild.source import Span
from dolbuild.syntax import tree as t

CONSTRAINT = "#constraint."
"""Between a gene's symbol and a constraint's name: the function that looks whether it holds."""


class Members:
    """Checks declarations that have members, and functions of every kind. What code comes from goes to
    *module*."""

    def __init__(self, context: Context, declarations: Declarations, module: v.Module) -> None:
        self.context = context
        self.declarations = declarations
        self.module = module

    # -- functions --------------------------------------------------------------------------------

    def generics(self, written: list[t.GenericParameter], outer: tuple[Generic, ...]) -> tuple[Generic, ...]:
        """The type parameters that are declared, after the outer ones; their bounds are checked."""
        names = frozenset(g.name for g in outer) | {g.name for g in written}
        own: list[Generic] = []
        for parameter in written:
            bounds = tuple(self.context.type(bound, names) for bound in parameter.bounds)
            for bound, node in zip(bounds, parameter.bounds, strict=True):
                if bound != ty.UNKNOWN and self.declarations.trait(bound) is None:
                    self.context.report(node, "E0320", f"`{bound}` is no trait, so it bounds nothing")
            if parameter.default is not None:
                self.context.type(parameter.default, names)
            own.append(Generic(parameter.name, bounds))
        return (*outer, *own)

    def function(
        self,
        item: t.Function,
        name: str,
        *,
        outer: tuple[Generic, ...] = (),
        owner: ty.Type | None = None,
        effectful: bool | None = None,
        host: bool = True,
        instance: bool = False,
    ) -> None:
        """One function. *owner* is the type that it is a member of; *host*: without a body, the host has it; *instance*: it
        has a ``this`` whether it mentions it or not."""
        context = self.context
        place = Span(item.name_start, item.name_start + len(item.name))
        generics = self.generics(item.generics, outer)
        names = frozenset(g.name for g in generics) | ({"Self"} if owner is not None else frozenset())
        itself = {"Self": owner} if owner is not None else {}
        this = owner if owner is not None and (instance or interface.is_instance(item)) else None
        context.function = f"`{item.name}`"
        parameters = self.parameters(item, names, itself, this)
        result: ty.Type = ty.VOID
        if item.result is not None:
            result = substitute(context.type(item.result, names), itself)
        for parameter in item.parameters:
            if parameter.default is not None and parameter.type is not None:
                type_ = substitute(context.type(parameter.type, names), itself)
                self.default(parameter.default, type_, f"{name}{DEFAULT}{parameter.name}", generics)
        allowed = item.effectful if effectful is None else effectful
        body = None
        if item.body is not None:
            checker = Body(
                context, self.declarations, result, this=this, owner=owner, generics=generics, effectful=allowed
            )
            body = checker.function(parameters, item.body)
            if this is not None and not any(p.name == "self" for p in parameters):
                parameters = [checker.scopes[0]["this"], *parameters]
        elif not item.effectful and host:
            hint = "write `{ ... }` for a body that is still to come, or `sex fun` for a host function"
            context.report(place, "E0307", f"`{item.name}` has no body", hint)
        if item.body is not None or host:
            generic_names = tuple(generic.name for generic in generics)
            function = v.Function(name, parameters, result, body, item.name_start, generic_names, this)
            self.module.functions.append(function)

    def parameters(
        self, item: t.Function, names: frozenset[str], itself: dict[str, ty.Type], this: ty.Type | None
    ) -> list[v.Local]:
        parameters: list[v.Local] = []
        seen: set[str] = set()
        for index, parameter in enumerate(item.parameters):
            if parameter.name in seen:
                self.context.report(parameter, "E0209", f"the parameter `{parameter.name}` is declared twice")
            seen.add(parameter.name)
            self.context.shadows(Span(parameter.start, parameter.start + len(parameter.name)), parameter.name)
            if parameter.name == "self" and parameter.type is None and index == 0 and this is not None:
                parameters.append(v.Local("self", this, False))
                continue
            if parameter.type is None:
                message = f"the parameter `{parameter.name}` needs a type"
                hint = f"write `{parameter.name}: Int64`, for example"
                self.context.report(parameter, "E0313", message, hint)
            type_ = substitute(self.context.type(parameter.type, names), itself)
            parameters.append(v.Local(parameter.name, type_))
        return parameters

    def default(self, node: t.Expression, type_: ty.Type, name: str, generics: tuple[Generic, ...]) -> None:
        """A default value becomes a function: it sees what the module sees, and no parameters."""
        checker = Body(self.context, self.declarations, ty.UNKNOWN, generics=generics)
        body = checker.check(node, type_)
        checker.settle()
        names = tuple(generic.name for generic in generics)
        self.module.functions.append(v.Function(name, [], type_, body, node.start, names))

    # -- genes and Systems ------------------------------------------------------------------------

    def gene(self, item: t.Gene | t.System, scope: Scope) -> None:
        name = symbol(scope, item.name)
        written = item.generics if isinstance(item, t.Gene) else []
        generics = self.generics(written, ())
        own = ty.Named(name, tuple(ty.GenericOf(g.name) for g in generics))
        names = frozenset(g.name for g in generics) | {"Self"}
        self.module.genes.append(name)
        self.member_names(item.members)
        has_enum = any(isinstance(member, t.Enum) for member in item.members)
        for member in item.members:
            match member:
                case t.HasField():
                    type_ = substitute(self.context.type(member.type, names), {"Self": own})
                    if has_enum:
                        message = f"`{item.name}` has variants, so it has no fields"
                        self.context.report(member, "E0112", message, "give the variants payloads instead")
                    if member.default is not None:
                        self.default(member.default, type_, f"{name}{DEFAULT}{member.name}", generics)
                case t.Enum(variants=variants):
                    self.variants(variants, names)
                case t.Function():
                    self.function(member, f"{name}.{member.name}", outer=generics, owner=own)
                case t.Constraint() if isinstance(item, t.System):
                    pass  # its host looks at it; `dolbuild.analysis.system` checks it
                case t.Constraint():
                    self.constraint(member, name, own, generics)
                case t.Law():
                    self.condition(member, own, generics)
                case t.Exegesis():
                    pass
                case t.HoleItem():
                    self.context.report(member, "W0301", "a hole: members are still to come here")
                case t.Requires() if isinstance(item, t.System):
                    pass
                case _:
                    self.context.report(member, "E0112", f"this cannot stand inside of `{item.name}`")
        if not has_enum:
            self.constructor(name, own, generics, item.name_start)

    def constructor(self, name: str, own: ty.Named, generics: tuple[Generic, ...], start: int) -> None:
        """The function that makes a gene of all its fields."""
        gene = self.declarations.gene(own)
        if gene is None or "new" in gene.functions:
            return
        parameters = [v.Local(field, type_, False) for field, (type_, _) in gene.fields.items()]
        fields: dict[str, v.Value | None] = {p.name: v.GetLocal(p.type, start, p) for p in parameters}
        names = tuple(generic.name for generic in generics)
        body = v.MakeGene(own, start, fields)
        self.module.functions.append(v.Function(f"{name}{CONSTRUCTOR}", parameters, own, body, start, names))

    def member_names(self, members: list[t.Item]) -> None:
        first: dict[str, t.Item] = {}
        for member in members:
            name = getattr(member, "name", None)
            if not isinstance(name, str):
                continue
            kind = "constraint " if isinstance(member, t.Constraint | t.Law) else ""
            if kind + name in first:
                line = self.context.source.line_column(first[kind + name].start)[0]
                start = getattr(member, "name_start", member.start)
                place = Span(start, start + len(name)) if isinstance(member, t.Function) else member.span
                self.context.report(place, "E0209", f"`{name}` is declared already in line {line}")
            first.setdefault(kind + name, member)

    def variants(self, variants: list[t.Variant], names: frozenset[str]) -> None:
        seen: set[str] = set()
        for variant in variants:
            if variant.name in seen:
                self.context.report(variant, "E0209", f"the variant `{variant.name}` is declared twice")
            seen.add(variant.name)
            for _, type_ in variant.payload:
                self.context.type(type_, names)

    def constraint(self, member: t.Constraint, gene: str, own: ty.Type, generics: tuple[Generic, ...]) -> None:
        """A constraint becomes a function that traps where it does not hold."""
        itself, holds = self.condition(member, own, generics)
        shown = v.GetLocal(own, member.start, itself)
        message = f"the constraint `{member.name}` of `{gene.rpartition('.')[2]}` does not hold: "
        trap = v.Trap(ty.NEVER, member.start, message, shown)
        nothing = v.Literal(ty.VOID, member.start, None)
        body = v.Conditional(ty.VOID, member.start, holds, nothing, trap)
        names = tuple(generic.name for generic in generics)
        name = f"{gene}{CONSTRAINT}{member.name}"
        self.module.functions.append(v.Function(name, [itself], ty.VOID, body, member.start, names))

    def condition(
        self, member: t.Constraint | t.Law, own: ty.Type, generics: tuple[Generic, ...]
    ) -> tuple[v.Local, v.Value]:
        what = "constraint" if isinstance(member, t.Constraint) else "law"
        self.context.function = f"the {what} `{member.name}`"
        body = Body(self.context, self.declarations, ty.BOOL, this=own, owner=own, generics=generics)
        return body.condition(member.body)

    # -- traits and implementations ---------------------------------------------------------------

    def trait(self, item: t.Trait, scope: Scope) -> None:
        name = symbol(scope, item.name)
        generics = self.generics(item.generics, ())
        own = ty.Named(name, tuple(ty.GenericOf(g.name) for g in generics))
        names = frozenset(g.name for g in generics)
        self.module.genes.append(name)
        for above in item.supers:
            type_ = self.context.type(above, names)
            if type_ != ty.UNKNOWN and self.declarations.trait(type_) is None:
                self.context.report(above, "E0320", f"`{type_}` is no trait")
        self.member_names(item.members)
        itself = Generic("Self", (own,))
        for member in item.members:
            match member:
                case t.Function():
                    outer = (*generics, itself)
                    self.function(member, f"{name}.{member.name}", outer=outer, owner=ty.GenericOf("Self"), host=False)
                case t.Law() | t.Constraint():
                    self.condition(member, ty.GenericOf("Self"), (*generics, itself))
                case t.Exegesis():
                    pass
                case t.HoleItem():
                    self.context.report(member, "W0301", "a hole: members are still to come here")
                case _:
                    self.context.report(member, "E0112", "a trait holds functions and laws")

    def impl(self, item: t.Impl, scope: Scope) -> None:
        generics = self.generics(item.generics, ())
        names = frozenset(g.name for g in generics)
        target = self.context.type(item.target, names)
        trait_type = self.context.type(item.trait, names) if item.trait is not None else None
        self.member_names(item.members)
        if target == ty.UNKNOWN or trait_type == ty.UNKNOWN:
            return
        gene = self.declarations.gene(target)
        trait = self.declarations.trait(trait_type) if trait_type is not None else None
        if trait_type is not None and trait is None and item.trait is not None:
            self.context.report(item.trait, "E0320", f"`{trait_type}` is no trait")
            return
        homes = {part.scope.module for part in (gene, trait) if part is not None}
        if scope.module not in homes:
            message = f"an implementation for `{known(target)}` stands in its module"
            self.context.report(item.target, "E0322", message + (", or in that of the trait" if trait else ""))
        prefix = implementation_prefix(scope, target, trait_type if isinstance(trait_type, ty.Named) else None)
        given: dict[str, t.Function] = {}
        for member in item.members:
            if isinstance(member, t.Function):
                given[member.name] = member
                asked = trait.functions.get(member.name) if trait is not None else None
                instance = asked is not None and asked.takes_self
                name = f"{prefix}.{member.name}"
                self.function(member, name, outer=generics, owner=target, instance=instance)
            elif not isinstance(member, t.Exegesis | t.Law | t.Constraint):
                self.context.report(member, "E0112", "an implementation holds functions")
        if trait is not None and isinstance(trait_type, ty.Named):
            generic_names = tuple(generic.name for generic in generics)
            described = v.Implementation(generic_names, trait_type, target, prefix, tuple(given))
            self.module.implementations.append(described)
            self.is_first(item, target, trait_type, scope)
            self.conforms(item, given, target, trait_type, scope)

    def is_first(self, item: t.Impl, target: ty.Type, trait_type: ty.Named, scope: Scope) -> None:
        """Report a second implementation of a trait for the same type, wherever the first one stands."""
        same = [
            implementation
            for module in sorted(self.declarations.world.interfaces)
            for implementation in self.declarations.implementations(module)
            if implementation.trait == trait_type and implementation.target == target
        ]
        if len(same) > 1 and item.trait is not None:
            message = f"`{known(trait_type)}` is implemented for `{known(target)}` more than once"
            self.context.report(item.trait, "E0325", message, "keep one of the implementations")

    def conforms(
        self, item: t.Impl, given: dict[str, t.Function], target: ty.Type, trait_type: ty.Named, scope: Scope
    ) -> None:
        """Whether an implementation has what its trait asks for, with the same signatures."""
        trait = self.declarations.trait(trait_type)
        own = next(
            (
                i
                for i in self.declarations.implementations(scope.module)
                if i.trait == trait_type and i.target == target
            ),
            None,
        )
        if trait is None or own is None or item.trait is None:
            return
        by_name: dict[str, ty.Type] = {
            **dict(zip((g.name for g in trait.generics), trait_type.arguments, strict=False)),
            "Self": target,
        }
        missing = [n for n, s in trait.functions.items() if n not in given and not s.has_body]
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            self.context.report(item.trait, "E0323", f"`{trait.name}` also asks for {names}")
        for name, member in given.items():
            place = Span(member.name_start, member.name_start + len(name))
            wanted = trait.functions.get(name)
            if wanted is None:
                self.context.report(place, "E0323", f"`{trait.name}` has no function `{name}`")
                continue
            self.same_signature(place, own, name, wanted.replaced(by_name), trait.name)

    def same_signature(self, place: Span, own: Implementation, name: str, wanted: Signature, trait: str) -> None:
        actual = own.functions[name]
        if _shape(actual) != _shape(wanted):
            message = f"`{name}` is not what `{trait}` asks for"
            self.context.report(place, "E0323", message, f"it asks for `{wanted}`")
        elif actual.effectful and not wanted.effectful:
            message = f"`{name}` may have no effects: `{trait}` does not declare it `sex`"
            self.context.report(place, "E0403", message)

    # -- constants --------------------------------------------------------------------------------

    def constant_value(self, item: t.Const | t.Variable, type_: ty.Type | None, lookup: constant.Lookup) -> object:
        """The value of a constant, or the first value of a variable. Raises `NotConstant`."""
        body = Body(self.context, self.declarations, ty.UNKNOWN, effectful=isinstance(item, t.Variable))
        typed = body.check(item.value, type_) if type_ is not None else body.infer(item.value)
        body.settle()
        return constant.evaluate(typed, lookup)


def _shape(signature: Signature) -> tuple[object, ...]:
    """What has to agree between a trait's function and its implementation; names of type parameters do not."""
    names: dict[str, ty.Type] = {g.name: ty.GenericOf(f"#{i}") for i, g in enumerate(signature.generics)}

    def plain(parameter: Parameter) -> ty.Type:
        return known(substitute(parameter.type, names))

    return (
        signature.takes_self,
        len(signature.generics),
        tuple(map(plain, signature.parameters)),
        known(substitute(signature.result, names)),
    )
