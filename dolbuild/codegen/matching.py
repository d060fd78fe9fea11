"""``match`` to a tree of decisions: no test is made twice on one way through it.

After J. Jacobs, "How to compile pattern matching" (2021): the arms are rows of tests on places; one test splits
the rows into those that may still fit where it holds, and those that may where it does not.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known, resolve
from dolbuild.codegen import access, operations, optional
from dolbuild.codegen.captures import bound_by, children
from dolbuild.codegen.frame import constant, negate, sequence
from dolbuild.codegen.ir import I32, NOP, REF, UNREACHABLE, Code, slots
from dolbuild.codegen.names import instance_name
from dolbuild.codegen.shapes import fields_layout, variant_layout

if TYPE_CHECKING:
    from dolbuild.codegen.lower import Lowering

TRUE = Code("i32.const", imm=1, results=(I32,))
FALSE = Code("i32.const", imm=0, results=(I32,))

Place = tuple[int, ...]
"""The locals that hold a value."""


@dataclass(slots=True)
class _Row:
    """An arm, or one of its alternatives: the tests that are left, and the variables that it binds."""

    tests: list[tuple[Place, v.Pattern]]
    bindings: list[tuple[v.Local, Place]]
    arm: int


@dataclass(slots=True)
class _Known:
    """What is known of the places on one way through the tree: variants that a place does not hold."""

    not_variants: dict[Place, frozenset[str]] = field(default_factory=dict)


def lower_match(f: "Lowering", value: v.Match) -> Code:
    """Each arm's body stands once; the tree jumps to it."""
    subject = f.value_as(value.subject, value.subject.type)
    results = slots(value.type)
    if resolve(value.subject.type) == ty.NEVER:
        return sequence((subject, UNREACHABLE))
    keep, at = f.keep(subject)
    if not value.arms:
        return sequence((keep, UNREACHABLE))
    return sequence((keep, _Match(f, value, results).run(at)))


class _Match:
    def __init__(self, f: "Lowering", value: v.Match, results: tuple[str, ...]) -> None:
        self.f = f
        self.value = value
        self.results = results
        self.labels = [f.label() for _ in value.arms]
        self.end = f.label()

    def run(self, at: Place) -> Code:
        f = self.f
        rows = [
            row
            for index, arm in enumerate(self.value.arms)
            for row in self.rows_of(_Row([(at, arm.pattern)], [], index))
        ]
        code = self.tree(rows, _Known())
        for index, arm in enumerate(self.value.arms):
            body = f.value_as(arm.body, self.value.type) if self.results else f.effect(arm.body)
            leave = Code("br", (body,), self.end) if body.results else sequence((body, Code("br", (), self.end)))
            code = sequence((Code("block", (sequence((code, UNREACHABLE)),), self.labels[index]), leave))
        block = Code("block", (sequence((code, UNREACHABLE)),), self.end, self.results)
        return sequence((block, UNREACHABLE)) if resolve(self.value.type) == ty.NEVER else block

    # -- rows -------------------------------------------------------------------------------------

    def rows_of(self, row: _Row) -> list[_Row]:
        """A row with its alternatives as rows of their own. Alternatives after the first bind the first one's
        variables, by name."""
        for index, (place, pattern) in enumerate(row.tests):
            if isinstance(pattern, v.AlternativePattern):
                found: list[_Row] = []
                first = {local.name: local for local in _locals(pattern.patterns[0])}
                for alternative in pattern.patterns:
                    renamed = _with_locals(alternative, first)
                    tests = [*row.tests[:index], (place, renamed), *row.tests[index + 1 :]]
                    found += self.rows_of(_Row(tests, list(row.bindings), row.arm))
                return found
        return [row]

    def tree(self, rows: list[_Row], facts: _Known) -> Code:
        """Code that jumps to the first row that fits."""
        f = self.f
        expanded: list[_Row] = []
        front: list[Code] = []
        for row in rows:
            before, plain = self.plain(row)
            front += before
            expanded += plain
        if not expanded:
            return sequence((*front, f.panic(f.string("no arm of this match fits"), self.value.start)))
        first = expanded[0]
        if not first.tests:
            return sequence((*front, self.leaf(first, expanded[1:], facts)))
        place, pattern = first.tests[0]
        test, yes, yes_facts, no_facts = self.split(place, pattern, facts)
        holding = [r for row in expanded for r in self.holding(row, place, pattern, yes)]
        failing = [row for row in expanded if not self.implied(row, place, pattern)]
        then = self.tree(holding, yes_facts)
        if test is TRUE:
            return sequence((*front, yes.code, then))
        otherwise = self.tree(failing, no_facts)
        return sequence((*front, Code("if", (test, sequence((yes.code, then)), otherwise))))

    def leaf(self, row: _Row, rest: list[_Row], facts: _Known) -> Code:
        f = self.f
        bound = sequence(tuple(f.bind(local, place) for local, place in row.bindings))
        guard = self.value.arms[row.arm].guard
        leave = Code("br", (), self.labels[row.arm])
        if guard is None:
            return sequence((bound, leave))
        holds = Code("if", (f.value_as(guard, ty.BOOL), leave))
        return sequence((bound, holds, self.tree(rest, facts)))

    def plain(self, row: _Row) -> tuple[list[Code], list[_Row]]:
        """The row without the tests that always hold; what they bind is noted, what they look into is loaded."""
        front: list[Code] = []
        tests: list[tuple[Place, v.Pattern]] = []
        waiting = list(row.tests)
        while waiting:
            place, pattern = waiting.pop(0)
            match pattern:
                case v.AnyPattern():
                    pass
                case v.BindPattern(local=local):
                    row.bindings.append((local, place))
                case v.TuplePattern(items=items):
                    inner: list[tuple[Place, v.Pattern]] = []
                    start = 0
                    for item in items:
                        count = len(slots(item.type))
                        inner.append((place[start : start + count], item))
                        start += count
                    waiting = inner + waiting
                case v.FieldsPattern(fields=fields):
                    loaded, inner = self.fields(place, pattern, fields)
                    front += loaded
                    waiting = inner + waiting
                case v.AlternativePattern():
                    rows = self.rows_of(_Row([*tests, (place, pattern), *waiting], row.bindings, row.arm))
                    found: list[_Row] = []
                    for one in rows:
                        before, more = self.plain(one)
                        front += before
                        found += more
                    return front, found
                case _:
                    tests.append((place, pattern))
        return front, [_Row(tests, row.bindings, row.arm)]

    def fields(
        self, place: Place, pattern: v.Pattern, fields: dict[str, v.Pattern]
    ) -> tuple[list[Code], list[tuple[Place, v.Pattern]]]:
        """The fields that a pattern names, in locals."""
        f = self.f
        type_ = known(pattern.type)
        parts = access.side_by_side(type_)
        loaded: list[Code] = []
        inner: list[tuple[Place, v.Pattern]] = []
        if parts is not None:
            for name, part in fields.items():
                start, end = access.part_range(parts, name)
                inner.append((place[start:end], part))
            return loaded, inner
        shape = f.shape(type_)
        assert shape is not None
        cells = fields_layout(shape, type_)[1]
        for name, part in fields.items():
            keep, at = f.keep(f.load_cells(place[0], cells[name]))
            loaded.append(keep)
            inner.append((at, part))
        return loaded, inner

    # -- tests ------------------------------------------------------------------------------------

    def split(self, place: Place, pattern: v.Pattern, facts: _Known) -> tuple[Code, "_Inside", _Known, _Known]:
        """The test that a pattern makes, the places that lie behind it, and what is known on both ways."""
        f = self.f
        type_ = known(pattern.type)
        match pattern:
            case v.VariantPattern(variant=variant):
                before = facts.not_variants.get(place, frozenset())
                others = self.variants(type_) - before - {variant}
                test = TRUE if not others else self.is_variant(type_, place, variant)
                every = dict(facts.not_variants)
                yes = _Known({**every, place: self.variants(type_) - {variant}})
                no = _Known({**every, place: before | {variant}})
                return test, self.payload(type_, place, variant), yes, no
            case v.LiteralPattern(value=literal):
                test = operations.equality(f, "eq", type_, f.get(place), f.value(literal), pattern.start)
                return test, _Inside(NOP, []), facts, facts
            case v.RangePattern(low=low, high=high, inclusive=inclusive):
                above = operations.order(f, "ge", type_, f.get(place), f.value(low), pattern.start)
                name = "le" if inclusive else "lt"
                below = operations.order(f, name, type_, f.get(place), f.value(high), pattern.start)
                return Code("if", (above, below, FALSE), results=(I32,)), _Inside(NOP, []), facts, facts
            case v.ListPattern(items=items, rest=rest):
                length = access.list_length(f, place[0])
                op = "i32.eq" if rest < 0 else "i32.ge_u"
                test = Code(op, (length, constant(len(items))), results=(I32,))
                return test, self.list_items(type_, place, pattern), facts, facts
        raise AssertionError(type(pattern))

    def variants(self, type_: ty.Type) -> frozenset[str]:
        if optional.is_option(type_):
            return frozenset(("Some", "None"))
        if optional.is_result(type_):
            return frozenset(("Ok", "Err"))
        shape = self.f.shape(type_)
        assert shape is not None and shape.variants is not None
        return frozenset(name for name, _ in shape.variants)

    def is_variant(self, type_: ty.Type, place: Place, variant: str) -> Code:
        f = self.f
        if optional.is_option(type_) or optional.is_result(type_):
            good = optional.is_good(f, type_, place)
            return good if variant in ("Some", "Ok") else negate(good)
        shape = f.shape(type_)
        assert shape is not None
        tag = Code("i32.load", (f.get(place),), 4, (I32,))
        return Code("i32.eq", (tag, constant(shape.tag(variant))), results=(I32,))

    def payload(self, type_: ty.Type, place: Place, variant: str) -> "_Inside":
        """The payload of a variant in locals."""
        f = self.f
        if optional.is_option(type_):
            return _Inside(NOP, [optional.payload_at(type_, place)] if variant == "Some" else [])
        if optional.is_result(type_):
            at = optional.payload_at(type_, place) if variant == "Ok" else optional.error_at(type_, place)
            return _Inside(NOP, [at])
        shape = f.shape(type_)
        assert shape is not None
        loads: list[Code] = []
        places: list[Place] = []
        for cells in variant_layout(shape, type_, variant)[1]:
            keep, at = f.keep(f.load_cells(place[0], cells))
            loads.append(keep)
            places.append(at)
        return _Inside(sequence(tuple(loads)), places)

    def list_items(self, type_: ty.Type, place: Place, pattern: v.ListPattern) -> "_Inside":
        """The items that a list pattern looks at, and what lies between them."""
        f = self.f
        item = ty.argument_of(type_, "List")
        assert item is not None
        loads: list[Code] = []
        places: list[Place] = []
        array = Code("i32.load", (f.get(place),), access.ARRAY, (REF,))
        count = len(pattern.items)
        for index in range(count):
            at: Code = constant(index)
            if 0 <= pattern.rest <= index:
                length = access.list_length(f, place[0])
                at = Code("i32.sub", (length, constant(count - index)), results=(I32,))
            keep, held = f.keep(access.load_item(f, item, array, at))
            loads.append(keep)
            places.append(held)
        if pattern.rest_local is not None:
            length = access.list_length(f, place[0])
            to = Code("i32.sub", (length, constant(count - pattern.rest)), results=(I32,))
            name = instance_name("lists.between", (item,))
            keep, held = f.keep(f.runtime(name, (f.get(place), constant(pattern.rest), to), (REF,), pattern.start))
            loads.append(keep)
            places.append(held)
        return _Inside(sequence(tuple(loads)), places)

    def holding(self, row: _Row, place: Place, pattern: v.Pattern, inside: "_Inside") -> list[_Row]:
        """What is left of a row where the test of *pattern* on *place* holds; nothing where it cannot fit."""
        for index, (at, own) in enumerate(row.tests):
            if at != place:
                continue
            rest = [*row.tests[:index], *row.tests[index + 1 :]]
            match pattern, own:
                case v.VariantPattern(variant=a), v.VariantPattern(variant=b, payload=payload):
                    if a != b:
                        return []
                    inner = list(zip(inside.places, payload, strict=True))
                    return [_Row([*inner, *rest], list(row.bindings), row.arm)]
                case v.ListPattern(), v.ListPattern() if own is pattern or _same_length(own, pattern):
                    inner = list(zip(inside.places, own.items, strict=False))
                    bindings = list(row.bindings)
                    if own.rest_local is not None:
                        bindings.append((own.rest_local, inside.places[-1]))
                    return [_Row([*inner, *rest], bindings, row.arm)]
                case v.LiteralPattern(value=a), v.LiteralPattern(value=b):
                    if own is pattern or _same_literal(a, b):
                        return [_Row(rest, list(row.bindings), row.arm)]
                    return [] if _is_plain(a) and _is_plain(b) else [_copy(row)]
                case _ if own is pattern:
                    return [_Row(rest, list(row.bindings), row.arm)]
        return [_copy(row)]

    def implied(self, row: _Row, place: Place, pattern: v.Pattern) -> bool:
        """Whether a row cannot fit where the test of *pattern* on *place* does not hold."""
        for at, own in row.tests:
            if at != place:
                continue
            if own is pattern:
                return True
            match pattern, own:
                case v.VariantPattern(variant=a), v.VariantPattern(variant=b):
                    return a == b
                case v.LiteralPattern(value=a), v.LiteralPattern(value=b):
                    return _same_literal(a, b)
                case v.ListPattern(), v.ListPattern():
                    return _same_length(own, pattern)
        return False


@dataclass(frozen=True, slots=True)
class _Inside:
    """What lies behind a test: code that loads it, and where it is then."""

    code: Code
    places: list[Place]


def _copy(row: _Row) -> _Row:
    return _Row(list(row.tests), list(row.bindings), row.arm)


def _is_plain(value: v.Value) -> bool:
    return isinstance(value, v.Literal) and not isinstance(value.value, float)


def _same_literal(a: v.Value, b: v.Value) -> bool:
    return _is_plain(a) and _is_plain(b) and a.value == b.value and type(a.value) is type(b.value)  # type: ignore[attr-defined]


def _same_length(a: v.ListPattern, b: v.ListPattern) -> bool:
    """Whether two list patterns test the same, and look at the same places."""
    return len(a.items) == len(b.items) and a.rest == b.rest and (a.rest_local is None) == (b.rest_local is None)


def _locals(pattern: v.Pattern) -> list[v.Local]:
    found = list(bound_by(pattern))
    for child in children(pattern):
        if isinstance(child, v.Pattern):
            found += _locals(child)
    return found


def _with_locals(pattern: v.Pattern, first: dict[str, v.Local]) -> v.Pattern:
    """A pattern that binds other variables of the same names."""
    match pattern:
        case v.BindPattern(local=local):
            return v.BindPattern(pattern.type, pattern.start, first.get(local.name, local))
        case v.VariantPattern(variant=variant, payload=payload):
            return v.VariantPattern(pattern.type, pattern.start, variant, [_with_locals(p, first) for p in payload])
        case v.FieldsPattern(fields=fields):
            renamed = {name: _with_locals(p, first) for name, p in fields.items()}
            return v.FieldsPattern(pattern.type, pattern.start, renamed)
        case v.TuplePattern(items=items):
            return v.TuplePattern(pattern.type, pattern.start, [_with_locals(p, first) for p in items])
        case v.ListPattern(items=items, rest=rest, rest_local=local):
            named = first.get(local.name, local) if local is not None else None
            return v.ListPattern(pattern.type, pattern.start, [_with_locals(p, first) for p in items], rest, named)
        case v.AlternativePattern(patterns=patterns):
            return v.AlternativePattern(pattern.type, pattern.start, [_with_locals(p, first) for p in patterns])
        case _:
            return pattern


def bind_pattern(f: "Lowering", pattern: v.Pattern, at: Place) -> Code:
    """Bind the variables of a pattern that always fits."""
    nothing = v.Literal(ty.VOID, pattern.start, None)
    match pattern:
        case v.BindPattern(local=local):
            return f.bind(local, at)
        case v.AnyPattern():
            return NOP
    match_ = v.Match(ty.VOID, pattern.start, nothing, [v.Arm(pattern, None, nothing)])
    return _Match(f, match_, ()).run(at)
