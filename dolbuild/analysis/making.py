"""Making values: genes, closures, Json; elements of lists and maps; and ``?``, which takes one out."""

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.body import show
from dolbuild.analysis.context import JSON, did_you_mean
from dolbuild.analysis.declarations import Gene
from dolbuild.analysis.matching import Matching
from dolbuild.analysis.targets import Failed, TypeTarget
from dolbuild.analysis.unify import known, resolve, unify
from dolbuild.analysis.world import substitute
from dolbuild.source import Span
from dolbuild.syntax import tree as t

JSON_LITERALS = (t.Record, t.ListLiteral, t.String, t.Integer, t.Float, t.Boolean)
"""What may stand for a Json."""


class Making(Matching):
    """Constructions, closures, elements, and errors as values."""

    # -- making values ----------------------------------------------------------------------------

    def is_json(self, type_: ty.Type) -> bool:
        return isinstance(type_, ty.Named) and type_.symbol.startswith(JSON + "/") and type_.symbol.endswith(".Json")

    def json_literal(self, node: t.Node, json: ty.Type) -> v.Value:
        """A literal whose parts are Json, too."""
        if isinstance(node, t.Record):
            fields = {field.name: self.check(field.value, json) for field in node.fields}
            type_ = ty.RecordOf(tuple((name, json) for name in fields))
            return v.MakeRecord(type_, node.start, fields)
        if isinstance(node, t.ListLiteral):
            return v.MakeList(ty.list_of(json), node.start, [self.check(item, json) for item in node.items])
        return self.infer(node)

    def construct(self, node: t.Construct) -> v.Value:
        """``Gene { field: value }``."""
        target = self.target(node.type)
        if not isinstance(target, TypeTarget):
            if target is not None and not isinstance(target, Failed):
                self.context.report(node.type, "E0207", "this is no gene, so nothing can be made of it here")
            elif target is None:
                self.context.report(node.type, "E0207", "this is a value, not a gene")
            for field in node.fields:
                self.infer(field.value)
            return self.unknown(node)
        type_ = resolve(target.type)
        gene = self.declarations.gene(type_)
        if gene is None or gene.variants is not None or not isinstance(type_, ty.Named):
            if type_ != ty.UNKNOWN:
                self.context.report(node.type, "E0207", f"{show(type_)} has no fields to give")
            for field in node.fields:
                self.infer(field.value)
            return self.unknown(node)
        return self.construct_gene(node, gene, type_)

    def construct_gene(self, node: t.Construct, gene: Gene, type_: ty.Named) -> v.Value:
        by_name = gene.by_name(type_)
        given: dict[str, v.Value | None] = {}
        for field in node.fields:
            if field.name in given:
                self.context.report(field, "E0209", f"`{field.name}` is given twice")
            elif field.name not in gene.fields:
                hint = did_you_mean(field.name, gene.fields)
                place = Span(field.start, field.start + len(field.name))
                self.context.report(place, "E0208", f"`{gene.name}` has no field `{field.name}`", hint)
                self.infer(field.value)
            else:
                given[field.name] = self.check(field.value, substitute(gene.fields[field.name][0], by_name))
        missing = [
            name
            for name, (kind, default) in gene.fields.items()
            if name not in given and not default and not self.has_default(kind, set())
        ]
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            self.context.report(node.type, "E0306", f"`{gene.name}` needs {names}")
        for argument in type_.arguments:
            self.must_be_known(node, argument, f"nothing here says what the types of this `{gene.name}` are")
        self.check_owner(node, type_, None)
        return v.MakeGene(type_, node.start, {name: given.get(name) for name in gene.fields})

    def closure(self, node: t.Closure, expected: ty.Type | None) -> v.Value:
        wanted = resolve(expected) if expected is not None else None
        signature = wanted if isinstance(wanted, ty.FunctionOf) else None
        if signature is not None and len(signature.parameters) != len(node.parameters):
            message = f"expected a function of {len(signature.parameters)}, found one of {len(node.parameters)}"
            self.context.report(node, "E0301", message)
            signature = ty.FunctionOf((ty.UNKNOWN,) * len(node.parameters), ty.UNKNOWN)
        self.scopes.append({})
        parameters: list[v.Local] = []
        for index, parameter in enumerate(node.parameters):
            type_: ty.Type
            if parameter.type is not None:
                type_ = self.type(parameter.type)
                if signature is not None and not unify(type_, signature.parameters[index]):
                    self.mismatch(parameter, type_, signature.parameters[index])
            else:
                type_ = signature.parameters[index] if signature is not None else ty.Variable()
                if signature is None:
                    message = f"nothing here says what type `{parameter.name}` has"
                    self.must_be_known(parameter, type_, message)
            parameters.append(self.declare_local(parameter.name, type_))
        result: ty.Type = signature.result if signature is not None else ty.Variable()
        outer = self.result, self.loops
        self.result, self.loops = result, 0
        if resolve(result) == ty.VOID:
            body = self.infer(node.body, statement=True)
        elif isinstance(resolve(result), ty.Variable):
            body = self.infer(node.body)
            if resolve(body.type) not in (ty.NEVER, ty.UNKNOWN):
                unify(result, body.type)
        else:
            body = self.check(node.body, result)
        self.result, self.loops = outer
        self.scopes.pop()
        type_of = ty.FunctionOf(tuple(parameter.type for parameter in parameters), result)
        return v.Closure(type_of, node.start, parameters, body)

    def index(self, node: t.Index) -> v.Value:
        value = self.infer(node.value)
        type_ = resolve(value.type)
        item = ty.argument_of(type_, "List")
        if isinstance(type_, ty.Named) and type_.symbol == "Map":
            return v.GetIndex(type_.arguments[1], node.start, value, self.check(node.index, type_.arguments[0]))
        if type_ == ty.STRING:
            item = ty.CHAR
        if item is None:
            if type_ != ty.UNKNOWN:
                self.context.report(node.value, "E0302", f"{show(type_)} cannot be indexed")
            self.infer(node.index)
            return self.unknown(node)
        position = self.infer(node.index)
        kind = resolve(position.type)
        if kind not in ty.INTEGERS:
            if kind != ty.UNKNOWN:
                self.context.report(node.index, "E0301", f"expected an integer, found {show(kind)}")
            return self.unknown(node)
        wide = position if kind == ty.INT64 else v.Convert(ty.INT64, position.start, position)
        return v.GetIndex(item, node.start, value, wide)

    # -- errors as values -------------------------------------------------------------------------

    def attempt(self, node: t.Try) -> v.Value:
        """``value?``: the rules are those of ``docs/language.md``, "Errors as values"."""
        value = self.infer(node.value)
        type_ = resolve(value.type)
        result = resolve(self.result)
        if type_ in (ty.UNKNOWN, ty.NEVER):
            return value
        place = Span(node.end - 1, node.end)
        if not isinstance(type_, ty.Named) or type_.symbol not in ("Option", "Result"):
            self.context.report(place, "E0318", f"`?` needs an Option or a Result, found {show(type_)}")
            return self.unknown(node)
        payload = type_.arguments[0]
        if isinstance(result, ty.Variable):
            wanted = type_.symbol
            arguments: tuple[ty.Type, ...] = (
                (ty.Variable(),) if wanted == "Option" else (ty.Variable(), type_.arguments[1])
            )
            settled = ty.Named(wanted, arguments)
            result.bound = settled
            result = settled
        if not isinstance(result, ty.Named) or result.symbol not in ("Option", "Result"):
            if result != ty.UNKNOWN:
                message = f"`?` leaves the function with an error, but it gives {show(result)}"
                hint = "let it give a Result or an Option, or handle the case with `match`"
                self.context.report(place, "E0318", message, hint)
            return v.Literal(payload, node.start, None)
        if type_.symbol == "Option":
            return self.attempt_option(node, place, value, payload, result)
        return self.attempt_result(node, place, value, type_, result)

    def attempt_option(self, node: t.Try, place: Span, value: v.Value, payload: ty.Type, result: ty.Named) -> v.Value:
        if result.symbol == "Option":
            return v.Attempt(payload, node.start, value, None, None)
        error = resolve(result.arguments[1])
        gene = self.declarations.gene(error)
        bare = [variant.name for variant in (gene.variants or {}).values() if not variant.payload] if gene else []
        if len(bare) == 1:
            message = f"`None` becomes `{bare[0]}` here, the only variant of {show(error)} without payload"
            self.context.report(place, "W0304", message, f"say so: `.ok_or({known(error)}.{bare[0]})?`")
            return v.Attempt(payload, node.start, value, None, bare[0])
        message = f"`None` cannot become a {show(error)}"
        self.context.report(place, "E0318", message, "say which error it is: `.ok_or(error)?`")
        return v.Literal(payload, node.start, None)

    def attempt_result(self, node: t.Try, place: Span, value: v.Value, type_: ty.Named, result: ty.Named) -> v.Value:
        payload, error = type_.arguments
        if result.symbol == "Option":
            hint = "turn it into an Option: `.ok()?`"
            self.context.report(place, "E0318", "`?` on a Result cannot leave a function that gives an Option", hint)
            return v.Literal(payload, node.start, None)
        wanted = resolve(result.arguments[1])
        given = resolve(error)
        if given == wanted or isinstance(given, ty.Variable) or isinstance(wanted, ty.Variable):
            unify(given, wanted)
            return v.Attempt(payload, node.start, value, None, None)
        gene = self.declarations.gene(wanted)
        wrapping = [
            variant.name
            for variant in (gene.variants or {}).values()
            if len(variant.payload) == 1 and known(variant.payload[0][1]) == known(given)
        ] if gene else []  # fmt: skip
        if len(wrapping) == 1:
            return v.Attempt(payload, node.start, value, wrapping[0], None)
        if wanted == ty.ERROR:
            return v.Attempt(payload, node.start, value, "Error", None)
        message = f"the error {show(given)} does not become {show(wanted)}"
        hint = f"convert it with `.map_err(...)`, or give {show(wanted)} one variant that holds a {show(given)}"
        self.context.report(place, "E0318", message, hint)
        return v.Literal(payload, node.start, None)
