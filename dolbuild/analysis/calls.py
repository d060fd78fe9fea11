"""Calls: functions, functions of types and instances, variants, function values."""

from collections.abc import Sequence
from dataclasses import replace

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.body import is_unknown, show
from dolbuild.analysis.context import RUNTIME, did_you_mean
from dolbuild.analysis.declarations import SURFACE, Generic, Parameter, Signature, type_symbol
from dolbuild.analysis.instructions import INSTRUCTIONS
from dolbuild.analysis.operators import needs_context
from dolbuild.analysis.targets import (
    CONSTRUCTOR,
    DEFAULT,
    Failed,
    FunctionTarget,
    GlobalTarget,
    ModuleTarget,
    Targets,
    TypeTarget,
    VariantTarget,
)
from dolbuild.analysis.unify import has_variable, known, mentions, resolve, unify
from dolbuild.analysis.world import Item, substitute
from dolbuild.source import Span
from dolbuild.syntax import tree as t

RUNTIME_MODULES = {
    "List.": "lists", "Map.": "maps", "Set.": "sets", "Option.": "options", "Result.": "results",
    "String.": "strings", "Char.": "chars", "": "lists",
}  # fmt: skip
"""The modules of the runtime that hold the functions of built-in types."""

_OTHERWISE_CALLED = {"any": "any_of", "all": "all_of", "Option.or": "otherwise"}
"""Functions of the runtime that have another name, since theirs is taken."""

INLINE = frozenset((
    "Option.is_some", "Option.is_none", "Option.unwrap", "Option.unwrap_or", "Result.is_ok", "Result.is_err",
    "Result.unwrap", "Result.unwrap_or", "Result.unwrap_err", "String.parse", "List.len", "List.length",
    "List.is_empty", "assert", "assert_eq", "assert_ne", "assert_err",
))  # fmt: skip
"""Built-in functions that are operations of their own."""

ALWAYS = ("to_string",)
"""Functions that every value has."""

PARSED = (ty.BOOL, *ty.INTEGERS, *ty.FLOATS)
"""What ``text.parse()`` can give."""


class Calls(Targets):
    """Calls and members."""

    def call(self, node: t.Call, expected: ty.Type | None = None) -> v.Value:
        callee = node.callee
        if isinstance(callee, t.Member) and isinstance(callee.value, t.Name) and callee.value.name == "wasm":
            if self.context.may_write_instructions:
                return self.instruction(node, callee.name)
        target = self.target(callee)
        match target:
            case FunctionTarget():
                return self.call_function(node, target, expected)
            case VariantTarget(type_, variant):
                return self.call_variant(node, type_, variant, expected)
            case Failed():
                return self.arguments_only(node)
            case TypeTarget() | ModuleTarget():
                self.value_of(callee, target, None)
                return self.arguments_only(node)
            case GlobalTarget(item):
                return self.call_value(node, self.global_value(callee, item))
            case None:
                if isinstance(callee, t.Member):
                    return self.call_member(node, callee, expected)
                return self.call_value(node, self.infer(callee))

    def arguments_only(self, node: t.Call) -> v.Value:
        """Check the arguments of a call whose callee was reported."""
        for argument in node.arguments:
            if not needs_context(argument.value) and not isinstance(argument.value, t.Closure):
                self.infer(argument.value)
        return self.unknown(node)

    # -- functions --------------------------------------------------------------------------------

    def call_function(self, node: t.Call, target: FunctionTarget, expected: ty.Type | None) -> v.Value:
        """A call of a function by its path. One that takes ``self`` gets it as its first argument."""
        signature, owner = target.signature, target.owner
        by_name: dict[str, ty.Type] = {}
        gene = self.declarations.gene(owner) if owner is not None else None
        if gene is not None and isinstance(owner, ty.Named):
            by_name = gene.by_name(owner)
        elif owner is not None:
            by_name = {"Self": owner}
        signature = signature.replaced(by_name)
        outer = tuple(by_name.values()) if target.outer is None else target.outer
        if signature.takes_self:
            if owner is None:
                return self.unknown(node)
            receiver = Parameter("self", owner, False)
            with_self = _with_parameters(signature, (receiver, *signature.parameters))
            return self.finish_call(node, with_self, outer, None, expected, target.types)
        return self.finish_call(node, signature, outer, None, expected, target.types)

    def finish_call(
        self,
        node: t.Call,
        signature: Signature,
        outer_types: tuple[ty.Type, ...],
        receiver: v.Value | None,
        expected: ty.Type | None,
        written: tuple[ty.Type, ...] = (),
    ) -> v.Value:
        """A call of a function whose outer type parameters are settled."""
        own = written or tuple(ty.Variable() for _ in signature.generics)
        by_name = {generic.name: type_ for generic, type_ in zip(signature.generics, own, strict=True)}
        instance = signature.replaced(by_name)
        if signature.effectful:
            self.effect(node, f"`{signature.name}`", "E0401")
        if expected is not None and own and has_variable(instance.result):
            self.expect_result(instance.result, expected)
        arguments = self.arguments(node, signature.name, instance.parameters)
        for generic, type_ in zip(signature.generics, own, strict=True):
            bounds = tuple(substitute(bound, by_name) for bound in generic.bounds)
            self.check_bounds(node, Generic(generic.name, bounds), type_)
            if has_variable(type_):
                message = f"nothing here says what `{generic.name}` of `{signature.name}` is"
                self.must_be_known(node, type_, message)
        if signature.scope == SURFACE:
            return self.operation_call(node, signature, instance, receiver, arguments, (*outer_types, *own))
        self.check_owner(node, instance.result, signature.owner)
        if signature.symbol.endswith(CONSTRUCTOR):
            names = [parameter.name for parameter in instance.parameters]
            return v.MakeGene(instance.result, node.start, dict(zip(names, arguments, strict=True)))
        types = (*outer_types, *own)
        arguments = self.with_defaults(node, signature.symbol, types, instance.parameters, arguments)
        given = arguments if receiver is None else [receiver, *arguments]
        return v.CallFunction(instance.result, node.start, signature.symbol, (*outer_types, *own), given)

    def with_defaults(
        self,
        node: t.Call,
        symbol: str,
        types: tuple[ty.Type, ...],
        parameters: Sequence[Parameter],
        arguments: list[v.Value | None],
    ) -> list[v.Value | None]:
        """The arguments with calls of what gives the defaults in the place of those that are left out."""
        return [
            v.CallFunction(parameter.type, node.start, f"{symbol}{DEFAULT}{parameter.name}", types, [])
            if argument is None
            else argument
            for parameter, argument in zip(parameters, arguments, strict=True)
        ]

    def expect_result(self, result: ty.Type, expected: ty.Type) -> None:
        """Let what is expected of a call say what its type parameters are."""
        wanted = resolve(expected)
        actual = resolve(result)
        if isinstance(actual, ty.Variable):
            if not isinstance(wanted, ty.Variable) and wanted not in (ty.VOID, ty.UNKNOWN):
                actual.bound = wanted
        elif isinstance(actual, ty.Named) and isinstance(wanted, ty.Named) and actual.symbol == wanted.symbol:
            for a, b in zip(actual.arguments, wanted.arguments, strict=True):
                self.expect_result(a, b)

    def operation_call(
        self,
        node: t.Call,
        signature: Signature,
        instance: Signature,
        receiver: v.Value | None,
        arguments: list[v.Value | None],
        types: tuple[ty.Type, ...],
    ) -> v.Value:
        """A built-in function: an operation that the code generator knows, or a function of the runtime."""
        given = [argument for argument in arguments if argument is not None]
        owner = f"{type_symbol(signature.owner) or 'Integer'}." if signature.owner is not None else ""
        if receiver is not None:
            owner = f"{type_symbol(resolve(receiver.type))}."
            given.insert(0, receiver)
        if owner == "String." and signature.name == "parse":
            item = ty.argument_of(resolve(instance.result), "Option") or ty.UNKNOWN
            self.must_parse(node, item)
        if any(is_unknown(value) for value in given):
            result = resolve(instance.result)
            return self.unknown(node) if has_variable(result) else v.Literal(result, node.start, None)
        name = owner + signature.name
        self.must_fit_operation(node, name, given)
        module = RUNTIME_MODULES.get(owner)
        if module is not None and name not in INLINE:
            own = _OTHERWISE_CALLED.get(name, signature.name)
            return v.CallFunction(instance.result, node.start, f"{RUNTIME}/{module}.{own}", types, list(given))
        return v.Operation(instance.result, node.start, owner + signature.name, given)

    def must_fit_operation(self, node: t.Node, name: str, given: list[v.Value]) -> None:
        """Report an operation on items that do not have what it needs."""
        if name not in ("List.sort", "min", "max", "sum"):
            return
        item = resolve(ty.argument_of(resolve(given[0].type), "List") or ty.UNKNOWN)
        if name == "sum":
            if not ty.is_numeric(item) and not isinstance(item, ty.Variable) and item != ty.UNKNOWN:
                self.context.report(node, "E0302", f"`sum` needs numbers, found {show(item)}")
        elif not self.has_order(item) and item != ty.UNKNOWN:
            hint = "numbers, Char, String, and lists and tuples of those have one"
            self.context.report(node, "E0302", f"{show(item)} has no order", hint)

    def must_parse(self, node: t.Node, type_: ty.Type) -> None:
        type_ = resolve(type_)
        if not isinstance(type_, ty.Variable) and type_ not in (*PARSED, ty.UNKNOWN):
            self.context.report(node, "E0302", f"text cannot be parsed as {show(type_)}", "numbers and Bool can be")

    def check_owner(self, node: t.Node, result: ty.Type, owner: ty.Type | None) -> None:
        """Look at the bounds of a gene's type parameters where one is made or its functions are called."""
        for type_ in (resolve(result), None if owner is None else resolve(owner)):
            gene = self.declarations.gene(type_) if isinstance(type_, ty.Named) else None
            if gene is None or gene.scope == SURFACE or not isinstance(type_, ty.Named):
                continue
            by_name = gene.by_name(type_)
            for generic, argument in zip(gene.generics, type_.arguments, strict=False):
                if not isinstance(resolve(argument), ty.GenericOf):
                    bounds = tuple(substitute(bound, by_name) for bound in generic.bounds)
                    self.check_bounds(node, Generic(generic.name, bounds), argument)
            return

    def check_bounds(self, node: t.Node, generic: Generic, type_: ty.Type) -> None:
        """Report a type argument that does not implement what its parameter asks for."""
        type_ = resolve(type_)
        if isinstance(type_, ty.Variable) or type_ in (ty.UNKNOWN, ty.NEVER):
            return
        for bound in generic.bounds:
            if isinstance(bound, ty.Named) and not self.satisfies(type_, bound):
                message = f"{show(type_)} does not implement {show(bound)}, which `{generic.name}` has to"
                self.context.report(node, "E0317", message, f"write `impl {known(bound)} for {known(type_)} {{ ... }}`")

    def satisfies(self, type_: ty.Type, bound: ty.Named) -> bool:
        if isinstance(type_, ty.GenericOf):
            generic = self.generics.get(type_.name)
            return generic is not None and any(
                isinstance(own, ty.Named) and (own.symbol == bound.symbol or self.declarations.implements(own, bound))
                for own in generic.bounds
            )
        return self.declarations.implements(type_, bound)

    def arguments(self, node: t.Call, name: str, parameters: Sequence[Parameter]) -> list[v.Value | None]:
        """The arguments in the order of the parameters; None takes a default. Literals and closures are
        looked at last, when the others have said what the types are."""
        given: dict[str, t.Argument] = {}
        positional = 0
        for argument in node.arguments:
            if argument.name is None:
                if positional < len(parameters):
                    given[parameters[positional].name] = argument
                positional += 1
            elif argument.name in given:
                self.context.report(argument, "E0306", f"`{argument.name}` is given twice")
            elif all(argument.name != parameter.name for parameter in parameters):
                hint = did_you_mean(argument.name, [parameter.name for parameter in parameters])
                self.context.report(argument, "E0306", f"`{name}` has no parameter `{argument.name}`", hint)
            else:
                given[argument.name] = argument
        if positional > len(parameters):
            self.count_error(node, name, len(parameters), positional)
        values: dict[str, v.Value | None] = {}
        order = sorted((p for p in parameters if p.name in given), key=lambda p: _settles_late(given[p.name].value))
        for parameter in order:
            values[parameter.name] = self.check(given[parameter.name].value, parameter.type)
        for parameter in parameters:
            if parameter.name not in given:
                values[parameter.name] = None
                if not parameter.has_default:
                    signature = ", ".join(f"{p.name}: {known(p.type)}" for p in parameters)
                    message = f"`{name}` needs an argument for `{parameter.name}`"
                    self.context.report(node, "E0306", message, f"its parameters are ({signature})")
                    values |= {p.name: self.unknown(node) for p in parameters if p.name not in given}
                    break
        return [values.get(parameter.name) for parameter in parameters]

    def count_error(self, node: t.Call, name: str, wanted: int, found: int) -> None:
        plural = "" if wanted == 1 else "s"
        self.context.report(node, "E0306", f"`{name}` takes {wanted} argument{plural}, found {found}")

    def call_variant(self, node: t.Call, type_: ty.Named, variant: str, expected: ty.Type | None) -> v.Value:
        gene = self.declarations.gene(type_)
        assert gene is not None and gene.variants is not None
        payload = gene.variants[variant].payload
        by_name = gene.by_name(type_)
        if expected is not None:
            self.try_unify(type_, expected)
        parameters = tuple(
            Parameter(name or f"#{index}", substitute(kind, by_name), False)
            for index, (name, kind) in enumerate(payload)
        )
        values = self.arguments(node, variant, parameters)
        for argument in type_.arguments:
            self.must_be_known(node, argument, f"nothing here says what type this `{variant}` is of")
        return v.MakeVariant(type_, node.start, variant, [value or self.unknown(node) for value in values])

    def call_value(self, node: t.Call, callee: v.Value) -> v.Value:
        """A call of a function value."""
        type_ = resolve(callee.type)
        if isinstance(type_, ty.Variable):
            arguments = [self.infer(argument.value) for argument in node.arguments]
            type_ = ty.FunctionOf(tuple(a.type for a in arguments), ty.Variable())
            unify(callee.type, type_)
            return v.CallValue(type_.result, node.start, callee, arguments)
        if not isinstance(type_, ty.FunctionOf):
            if type_ != ty.UNKNOWN:
                self.context.report(node.callee, "E0302", f"{show(type_)} cannot be called")
            return self.arguments_only(node)
        parameters = [Parameter(f"#{index}", kind, False) for index, kind in enumerate(type_.parameters)]
        values = self.arguments(node, "this function", parameters)
        return v.CallValue(type_.result, node.start, callee, [value or self.unknown(node) for value in values])

    # -- members ----------------------------------------------------------------------------------

    def call_member(self, node: t.Call, callee: t.Member, expected: ty.Type | None) -> v.Value:
        receiver = self.infer(callee.value)
        if is_unknown(receiver):
            return self.arguments_only(node)
        value = self.method(node, callee, receiver, expected)
        if value is not None:
            return value
        field = self.field(callee, receiver)
        if field is not None:
            return self.call_value(node, field)
        self.no_member(callee, receiver)
        return self.arguments_only(node)

    def member(self, node: t.Member, expected: ty.Type | None = None) -> v.Value:
        """``value.name``: a field, or a function without arguments."""
        receiver = self.infer(node.value)
        if is_unknown(receiver):
            return receiver
        field = self.field(node, receiver)
        if field is not None:
            return field
        call = t.Call(node.start, node.end, node, [])
        value = self.method(call, node, receiver, expected, without_call=True)
        if value is not None:
            return value
        self.no_member(node, receiver)
        return self.unknown(node)

    def field(self, node: t.Member, receiver: v.Value) -> v.Value | None:
        type_ = self.field_type(receiver.type, node.name)
        return None if type_ is None else v.GetField(type_, node.start, receiver, node.name)

    def field_type(self, of: ty.Type, name: str) -> ty.Type | None:
        """The type of a field, or None where there is no such field."""
        of = resolve(of)
        match of:
            case ty.RecordOf(fields):
                return dict(fields).get(name)
            case ty.TupleOf(items):
                return items[int(name)] if name.isdecimal() and int(name) < len(items) else None
            case ty.Named():
                gene = self.declarations.gene(of)
                if gene is None or name not in gene.fields:
                    return None
                return substitute(gene.fields[name][0], gene.by_name(of))
            case _:
                return None

    def method(
        self, node: t.Call, callee: t.Member, receiver: v.Value, expected: ty.Type | None, without_call: bool = False
    ) -> v.Value | None:
        """A call of a function of the receiver's type; None where it has none of that name."""
        name = callee.name
        type_ = resolve(receiver.type)
        if isinstance(type_, ty.Variable):
            message = f"nothing before this says what `{name}` is called on"
            return self.wrong(callee, "E0305", message, "write the type where the value is declared")
        bound = self.bound_function(type_, name)
        if bound is not None:
            trait, signature = bound
            return self.call_trait(node, trait, signature, receiver)
        place = Span(callee.name_start, callee.end)
        found = self.own_function(type_, name)
        if found is not None:
            signature, types = found
            if not self.visible(place, signature):
                return self.arguments_only(node)
            if not signature.takes_self:
                hint = f"call it on the type: `{str(known(type_)).split('<')[0]}.{name}(...)`"
                self.context.report(place, "E0207", f"`{name}` belongs to the type, not to its instances", hint)
                return self.arguments_only(node)
            if without_call and signature.scope != SURFACE:
                hint = f"call it: `{name}(...)`"
                return self.wrong(place_node(callee), "E0306", f"`{name}` is a function and needs its arguments", hint)
            return self.finish_call(node, signature, types, receiver, expected)
        if name in ALWAYS:
            if node.arguments:
                self.count_error(node, name, 0, len(node.arguments))
            return self.to_string(receiver)
        free = self.context.name(name)
        if isinstance(free, Item) and free.kind == "function" and not without_call:
            signature = self.declarations.signature(free)
            if signature.parameters and signature.parameters[0].name == "self":
                return self.call_free(node, signature, receiver, expected)
        return None

    def own_function(self, type_: ty.Type, name: str) -> tuple[Signature, tuple[ty.Type, ...]] | None:
        """A function of a type with the type's own arguments put in, and those arguments."""
        gene = self.declarations.gene(type_)
        if gene is not None and name in gene.functions:
            if isinstance(type_, ty.Named):
                by_name = gene.by_name(type_)
                return gene.functions[name].replaced(by_name), tuple(by_name.values())
            return gene.functions[name].replaced({"Self": type_}), ()
        inherited: tuple[Signature, tuple[ty.Type, ...]] | None = None
        for implementation, by_name in self.declarations.implementations_for(type_):
            if name in implementation.functions:
                return implementation.functions[name].replaced(by_name), tuple(by_name.values())
            trait = self.declarations.trait(implementation.trait) if implementation.trait is not None else None
            if trait is not None and name in trait.functions and implementation.trait is not None:
                given = substitute(implementation.trait, by_name)
                assert isinstance(given, ty.Named)
                names = dict(zip((g.name for g in trait.generics), given.arguments, strict=False))
                inherited = trait.functions[name].replaced({**names, "Self": type_}), (*given.arguments, type_)
        return inherited

    def bound_function(self, type_: ty.Type, name: str) -> tuple[ty.Type, Signature] | None:
        """A function that a type parameter has by its bounds, or a trait used as a type by itself."""
        bounds: tuple[ty.Type, ...] = ()
        if isinstance(type_, ty.GenericOf):
            generic = self.generics.get(type_.name)
            bounds = generic.bounds if generic is not None else ()
        elif self.declarations.trait(type_) is not None:
            bounds = (type_,)
        seen: set[str] = set()
        waiting = list(bounds)
        while waiting:
            bound = waiting.pop(0)
            trait = self.declarations.trait(bound)
            if trait is None or trait.symbol in seen or not isinstance(bound, ty.Named):
                continue
            seen.add(trait.symbol)
            names = dict(zip((g.name for g in trait.generics), bound.arguments, strict=False))
            if name in trait.functions:
                return bound, trait.functions[name].replaced({**names, "Self": type_})
            waiting += [substitute(above, names) for above in trait.supers]
        return None

    def call_trait(self, node: t.Call, trait: ty.Type, signature: Signature, receiver: v.Value) -> v.Value:
        own = tuple(ty.Variable() for _ in signature.generics)
        by_name = {generic.name: type_ for generic, type_ in zip(signature.generics, own, strict=True)}
        instance = signature.replaced(by_name)
        if signature.effectful:
            self.effect(node, f"`{signature.name}`", "E0401")
        self.must_be_callable(node, trait, signature, receiver)
        arguments = self.arguments(node, signature.name, instance.parameters)
        outer = (*(trait.arguments if isinstance(trait, ty.Named) else ()), receiver.type)
        arguments = self.with_defaults(node, signature.symbol, (*outer, *own), instance.parameters, arguments)
        return v.CallTrait(instance.result, node.start, trait, signature.name, receiver, arguments, own)

    def must_be_callable(self, node: t.Call, trait: ty.Type, signature: Signature, receiver: v.Value) -> None:
        """Report a function that cannot be called where only the trait of a value is known: it has type parameters of its
        own, or takes or gives another value of the same type."""
        described = self.declarations.trait(trait)
        if described is None or self.declarations.trait(receiver.type) is None:
            return
        declared = described.functions[signature.name]
        itself = any(mentions(kind, "Self") for kind in (declared.result, *(p.type for p in declared.parameters)))
        if not declared.generics and not itself:
            return
        why = "speaks of `Self`" if itself else "has type parameters of its own"
        message = f"`{signature.name}` {why}, so it cannot be called on a value of which only {show(trait)} is known"
        hint = f"take the value as a type parameter: `<T: {known(trait)}>`"
        self.context.report(node, "E0302", message, hint)

    def call_free(
        self, node: t.Call, signature: Signature, receiver: v.Value, expected: ty.Type | None
    ) -> v.Value | None:
        """``value.name(...)`` where a function in reach has ``self`` as its first parameter."""
        own = tuple(ty.Variable() for _ in signature.generics)
        by_name = {generic.name: type_ for generic, type_ in zip(signature.generics, own, strict=True)}
        instance = signature.replaced(by_name)
        if not unify(instance.parameters[0].type, receiver.type):
            return None
        rest = _with_parameters(instance, instance.parameters[1:])
        return self.finish_call(node, rest, own, receiver, expected)

    def no_member(self, node: t.Member, receiver: v.Value) -> None:
        type_ = resolve(receiver.type)
        names: list[str] = list(ALWAYS)
        gene = self.declarations.gene(type_)
        if gene is not None:
            names += [*gene.fields, *gene.functions]
        if isinstance(type_, ty.RecordOf):
            names += [name for name, _ in type_.fields]
        place = Span(node.name_start, node.end)
        self.context.report(place, "E0208", f"{show(type_)} has no `{node.name}`", did_you_mean(node.name, names))

    # -- instructions ------------------------------------------------------------------------------

    def instruction(self, node: t.Call, name: str) -> v.Value:
        """``wasm.name(...)`` in the runtime's own source."""
        signature = INSTRUCTIONS.get(name)
        if signature is None or len(signature[0]) != len(node.arguments):
            return self.wrong(node, "E0201", f"there is no instruction `wasm.{name}` of this shape")
        fresh: dict[str, ty.Type] = {"A": ty.Variable(), "B": ty.Variable()}
        operands = [
            self.check(argument.value, substitute(type_, fresh))
            for argument, type_ in zip(node.arguments, signature[0], strict=True)
        ]
        return v.Instruction(substitute(signature[1], fresh), node.start, name, operands)


def _with_parameters(signature: Signature, parameters: tuple[Parameter, ...]) -> Signature:
    return replace(signature, parameters=parameters)


def _settles_late(node: t.Expression) -> int:
    if isinstance(node, t.Closure):
        return 2
    return 1 if needs_context(node) else 0


def place_node(node: t.Member) -> t.Node:
    return t.Name(node.name_start, node.end, node.name)
