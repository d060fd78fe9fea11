"""Patterns: what they test, what they bind."""

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.body import show
from dolbuild.analysis.calls import Calls
from dolbuild.analysis.context import did_you_mean
from dolbuild.analysis.declarations import Gene
from dolbuild.analysis.exhaustive import missing_case
from dolbuild.analysis.targets import Failed, TypeTarget, VariantTarget
from dolbuild.analysis.unify import known, resolve, unify
from dolbuild.analysis.world import Item, substitute
from dolbuild.source import Span
from dolbuild.syntax import tree as t


class Matching(Calls):
    """``match``, and the patterns of declarations and loops."""

    def match(self, node: t.Match, expected: ty.Type | None) -> v.Value:
        subject = self.infer(node.value)
        arms: list[v.Arm] = []
        result: ty.Type | None = expected
        types: list[ty.Type] = []
        for arm in node.arms:
            self.scopes.append({})
            pattern = self.pattern(arm.pattern, subject.type)
            guard = self.check(arm.guard, ty.BOOL) if arm.guard is not None else None
            body = self.branch(arm.body, result)
            self.scopes.pop()
            kind = resolve(body.type)
            types.append(kind)
            if result is None and kind not in (ty.NEVER, ty.UNKNOWN):
                result = kind
            arms.append(v.Arm(pattern, guard, body))
        self.unreachable(node, arms)
        patterns = [arm.pattern for arm in arms if arm.guard is None]
        self.exhaustive(Span(node.start, node.start + len("match")), subject.type, patterns)
        return v.Match(_joined(types, expected, result), node.start, subject, arms)

    def branch(self, node: t.Node, expected: ty.Type | None) -> v.Value:
        """The body of a branch: a block, another ``if``, or what stands behind ``=>``."""
        if isinstance(node, t.Block):
            value = self.block(node, expected)
        elif expected == ty.VOID or not isinstance(node, t.Expression):
            value = self.statement(node, ty.VOID if expected == ty.VOID else None)
        else:
            value = self.infer(node) if expected is None else self.check(node, expected)
        if expected is not None and resolve(expected) not in (ty.VOID, ty.UNKNOWN):
            if resolve(value.type) == ty.VOID and not isinstance(resolve(expected), ty.Variable):
                self.context.report(node, "E0301", f"this branch gives no {known(expected)}")
                return self.unknown(node)
        return value

    def statement(self, node: t.Node, expected: ty.Type | None) -> v.Value:
        """One statement (see `dolbuild.analysis.statements`)."""
        raise AssertionError("the layer above has it")

    def unreachable(self, node: t.Match, arms: list[v.Arm]) -> None:
        """Warn of arms behind one that takes everything."""
        for index, arm in enumerate(arms[:-1]):
            written = node.arms[index].pattern
            takes_all = isinstance(arm.pattern, v.BindPattern) or isinstance(written, t.WildcardPattern)
            if takes_all and arm.guard is None:
                self.context.report(node.arms[index + 1].pattern, "W0303", "no value is left for this arm")
                return

    def exhaustive(self, place: Span, type_: ty.Type, patterns: list[v.Pattern], what: str = "match") -> None:
        """Report a value that none of the patterns takes."""
        if resolve(type_) in (ty.UNKNOWN, ty.NEVER):
            return
        case = missing_case(self.declarations, known(type_), patterns)
        if case is not None:
            arm = "an arm for `_`" if case == "_" else f"an arm for `{case}` or `_`"
            hint = f"add {arm}" if what == "match" else "take it apart with `match`"
            self.context.report(place, "E0315", f"this {what} leaves out `{case}`", hint)

    # -- patterns ---------------------------------------------------------------------------------

    def pattern(self, node: t.Pattern, of: ty.Type) -> v.Pattern:
        """A pattern for values of a type; what it binds is declared in the innermost scope."""
        of = resolve(of)
        match node:
            case t.WildcardPattern():
                return v.AnyPattern(of, node.start)
            case t.NamePattern(path=path):
                return self.name_pattern(node, path, of)
            case t.LiteralPattern(value=literal):
                return v.LiteralPattern(of, node.start, self.check(literal, of))
            case t.RangePattern(low=low, high=high, inclusive=inclusive):
                if of not in (ty.UNKNOWN, ty.CHAR) and not ty.is_numeric(of):
                    self.context.report(node, "E0301", f"a range cannot match {show(of)}")
                return v.RangePattern(of, node.start, self.check(low, of), self.check(high, of), inclusive)
            case t.VariantPattern(path=path, arguments=arguments):
                return self.variant_pattern(node, path, arguments, of)
            case t.GenePattern(path=path, fields=fields, rest=rest):
                return self.gene_pattern(node, path, fields, rest, of)
            case t.TuplePattern(items=items):
                return self.tuple_pattern(node, items, of)
            case t.ListPattern(items=items):
                return self.list_pattern(node, items, of)
            case t.AlternativePattern(patterns=patterns):
                return self.alternative_pattern(node, patterns, of)
            case _:
                self.context.report(node, "E0106", "`..` stands only in a list or among the fields of a gene")
                return v.AnyPattern(of, node.start)

    def variants_of(self, of: ty.Type) -> Gene | None:
        gene = self.declarations.gene(of)
        return gene if gene is not None and gene.variants is not None else None

    def name_pattern(self, node: t.NamePattern, path: t.Path, of: ty.Type) -> v.Pattern:
        gene = self.variants_of(of)
        name = path.parts[-1]
        if len(path.parts) == 1:
            if gene is not None and name in (gene.variants or ()):
                return self.variant(node, gene, of, name, [])
            if name[:1].isupper() and gene is not None:
                hint = did_you_mean(name, gene.variants or ())
                self.context.report(node, "E0208", f"{show(of)} has no variant `{name}`", hint)
                return v.AnyPattern(of, node.start)
            self.warn_of_constant(node, name)
            return v.BindPattern(of, node.start, self.declare_local(name, of, mutable=True))
        found = self.path_variant(path, of)
        return v.AnyPattern(of, node.start) if found is None else self.variant(node, found, of, name, [])

    def warn_of_constant(self, node: t.Pattern, name: str) -> None:
        found = self.context.world.member(self.context.scope, name, self.context.scope)
        if isinstance(found, Item) and found.kind == "const":
            message = f"`{name}` is a new variable here; it is not compared with the constant"
            self.context.report(node, "W0305", message, f"compare in a guard: `x if x == {name}`")

    def path_variant(self, path: t.Path, of: ty.Type) -> Gene | None:
        """The gene of a variant that is named by its path; reported where the path leads elsewhere."""
        node: t.Expression = t.Name(path.start, path.end, path.parts[0])
        if path.parts[0].startswith("@"):
            node = t.AtPath(path.start, path.end, path.parts[0])
        for part in path.parts[1:]:
            node = t.Member(path.start, path.end, node, part, path.start)
        target = self.target(node)
        if isinstance(target, VariantTarget):
            if resolve(of) != ty.UNKNOWN and not unify(target.type, of):
                self.mismatch(path, target.type, of)
                return None
            return self.declarations.gene(target.type)
        if not isinstance(target, Failed):
            self.context.report(path, "E0208", f"`{path.text}` is no variant")
        return None

    def variant_pattern(
        self, node: t.VariantPattern, path: t.Path, arguments: list[tuple[str | None, t.Pattern]], of: ty.Type
    ) -> v.Pattern:
        name = path.parts[-1]
        if len(path.parts) > 1:
            gene = self.path_variant(path, of)
        else:
            gene = self.variants_of(of)
            if gene is None or name not in (gene.variants or ()):
                if of != ty.UNKNOWN:
                    hint = did_you_mean(name, (gene.variants or ()) if gene is not None else ())
                    self.context.report(path, "E0208", f"{show(of)} has no variant `{name}`", hint)
                gene = None
        if gene is None:
            for _, inner in arguments:
                self.pattern(inner, ty.UNKNOWN)
            return v.AnyPattern(of, node.start)
        return self.variant(node, gene, of, name, arguments)

    def variant(
        self, node: t.Pattern, gene: Gene, of: ty.Type, name: str, arguments: list[tuple[str | None, t.Pattern]]
    ) -> v.Pattern:
        assert gene.variants is not None
        payload = gene.variants[name].payload
        by_name = gene.by_name(of) if isinstance(of, ty.Named) else {}
        types = [substitute(type_, by_name) for _, type_ in payload]
        inner: list[v.Pattern] = [v.AnyPattern(type_, node.start) for type_ in types]
        bare = isinstance(node, t.NamePattern)
        if not bare and all(given is None for given, _ in arguments) and len(arguments) != len(payload):
            plural = "" if len(payload) == 1 else "s"
            message = f"`{name}` has {len(payload)} part{plural}, found {len(arguments)}"
            self.context.report(node, "E0306", message)
        names = [part for part, _ in payload]
        for index, (given, pattern) in enumerate(arguments):
            if given is not None and given in names:
                index = names.index(given)
            elif given is not None:
                hint = did_you_mean(given, [part for part in names if part])
                self.context.report(pattern, "E0306", f"`{name}` has no part `{given}`", hint)
                continue
            if index < len(types):
                inner[index] = self.pattern(pattern, types[index])
        return v.VariantPattern(of, node.start, name, inner)

    def gene_pattern(
        self, node: t.GenePattern, path: t.Path, fields: list[tuple[str, t.Pattern]], rest: bool, of: ty.Type
    ) -> v.Pattern:
        named: t.Expression = t.Name(path.start, path.end, path.parts[0])
        for part in path.parts[1:]:
            named = t.Member(path.start, path.end, named, part, path.start)
        target = self.target(named)
        if isinstance(target, TypeTarget) and of != ty.UNKNOWN and not unify(target.type, of):
            self.mismatch(path, target.type, of)
            of = ty.UNKNOWN
        inner: dict[str, v.Pattern] = {}
        for name, pattern in fields:
            type_ = self.field_type(of, name)
            if type_ is None:
                if of != ty.UNKNOWN:
                    self.context.report(pattern, "E0208", f"{show(of)} has no `{name}`")
                type_ = ty.UNKNOWN
            inner[name] = self.pattern(pattern, type_)
        return v.FieldsPattern(of, node.start, inner)

    def tuple_pattern(self, node: t.Pattern, items: list[t.Pattern], of: ty.Type) -> v.Pattern:
        if isinstance(of, ty.Variable):
            of.bound = ty.TupleOf(tuple(ty.Variable() for _ in items))
            of = of.bound
        if not items and of == ty.VOID:
            return v.AnyPattern(of, node.start)
        types: tuple[ty.Type, ...]
        if isinstance(of, ty.TupleOf) and len(of.items) == len(items):
            types = of.items
        else:
            if of != ty.UNKNOWN:
                self.context.report(node, "E0301", f"this pattern has {len(items)} parts, but the value is {show(of)}")
            types = (ty.UNKNOWN,) * len(items)
        return v.TuplePattern(of, node.start, [self.pattern(p, kind) for p, kind in zip(items, types, strict=True)])

    def list_pattern(self, node: t.ListPattern, items: list[t.Pattern], of: ty.Type) -> v.Pattern:
        item = ty.argument_of(of, "List")
        if item is None:
            if of != ty.UNKNOWN:
                self.context.report(node, "E0301", f"a list pattern cannot match {show(of)}")
            item = ty.UNKNOWN
        rest, rest_local = -1, None
        inner: list[v.Pattern] = []
        for index, part in enumerate(items):
            if isinstance(part, t.RestPattern):
                if rest >= 0:
                    self.context.report(part, "E0106", "`..` stands only once in a list pattern")
                rest = index
                if part.name is not None:
                    rest_local = self.declare_local(part.name, of)
            else:
                inner.append(self.pattern(part, item))
        return v.ListPattern(of, node.start, inner, rest, rest_local)

    def alternative_pattern(self, node: t.Pattern, patterns: list[t.Pattern], of: ty.Type) -> v.Pattern:
        """Alternatives bind the same names, with the same types."""
        first: dict[str, v.Local] | None = None
        parts: list[v.Pattern] = []
        for pattern in patterns:
            self.scopes.append({})
            parts.append(self.pattern(pattern, of))
            bound = self.scopes.pop()
            if first is None:
                first = bound
            elif set(bound) != set(first):
                name = sorted(set(bound) ^ set(first))[0]
                self.context.report(pattern, "E0321", f"`{name}` is not bound by each of these alternatives")
            else:
                for name, local in bound.items():
                    if not unify(local.type, first[name].type):
                        self.mismatch(pattern, local.type, first[name].type)
        self.scopes[-1].update(first or {})
        return v.AlternativePattern(of, node.start, parts)


def _joined(types: list[ty.Type], expected: ty.Type | None, result: ty.Type | None) -> ty.Type:
    """The type of a choice between values of some types."""
    if types and all(type_ == ty.NEVER for type_ in types):
        return ty.NEVER
    if expected is not None:
        return expected
    if ty.UNKNOWN in types:
        return ty.UNKNOWN
    return result if result is not None else ty.NEVER


joined = _joined
