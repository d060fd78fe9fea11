"""``match``: patterns to tests and bindings, and whether they leave a case out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.syntax import tree as t

if TYPE_CHECKING:
    from dolbuild.analysis.expressions import Body


def compile_match(body: Body, node: t.Match, expected: ty.Type | None) -> v.Value:
    """A ``match`` as a chain of conditions over one local that holds the value."""
    value = body.infer(node.value)
    subject = v.Local(".match", value.type, False)
    arms: list[tuple[v.Value, list[v.Value], v.Value]] = []
    for arm in node.arms:
        body.scopes.append({})
        test, bindings = _pattern(body, arm.pattern, v.GetLocal(value.type, arm.start, subject))
        guard = body.check(arm.guard, ty.BOOL) if arm.guard is not None else None
        result = body.branch(arm.body, expected)
        body.scopes.pop()
        if expected is None and result.type not in (ty.NEVER, ty.UNKNOWN):
            expected = result.type
        if guard is not None:
            bound = v.Sequence(ty.BOOL, arm.start, [*bindings, guard]) if bindings else guard
            test = v.Conditional(ty.BOOL, arm.start, test, bound, v.Literal(ty.BOOL, arm.start, False))
            bindings = []
        arms.append((test, bindings, result))
    if value.type != ty.UNKNOWN:
        _exhaustive(body, node, value.type)
    return _chain(node, v.SetLocal(ty.VOID, node.start, subject, value), arms, expected)


def _chain(
    node: t.Match,
    bind_subject: v.Value,
    arms: list[tuple[v.Value, list[v.Value], v.Value]],
    expected: ty.Type | None,
) -> v.Value:
    kinds = [result.type for _, _, result in arms]
    if expected == ty.VOID:
        type_: ty.Type = ty.NEVER if kinds and all(kind == ty.NEVER for kind in kinds) else ty.VOID
    else:
        type_ = next((kind for kind in kinds if kind != ty.NEVER), ty.NEVER)
    rest: v.Value = v.Trap(ty.NEVER, node.start, "no arm of this match fits")
    for test, bindings, result in reversed(arms):
        then = v.Sequence(result.type, result.start, [*bindings, result]) if bindings else result
        certain = isinstance(test, v.Literal) and test.value is True
        rest = then if certain else v.Conditional(type_, test.start, test, then, rest)
    return v.Sequence(type_, node.start, [bind_subject, rest])


def _pattern(body: Body, pattern: t.Pattern, subject: v.Value) -> tuple[v.Value, list[v.Value]]:
    """The test that a pattern makes of *subject*, and what it binds where that holds."""
    true = v.Literal(ty.BOOL, pattern.start, True)
    match pattern:
        case t.WildcardPattern():
            return true, []
        case t.NamePattern(path=path) if path.text == "None" and _option(subject.type) is not None:
            return v.Operation(ty.BOOL, pattern.start, "option.is_none", [subject]), []
        case t.NamePattern(path=path) if len(path.parts) == 1:
            return true, [body.bind(pattern, path.text, subject, mutable=False)]
        case t.LiteralPattern(value=literal):
            value = body.check(literal, subject.type)
            return v.Operation(ty.BOOL, pattern.start, "eq", [subject, value]), []
        case t.RangePattern(low=low, high=high, inclusive=inclusive):
            above = v.Operation(ty.BOOL, pattern.start, "ge", [subject, body.check(low, subject.type)])
            operation = "le" if inclusive else "lt"
            below = v.Operation(ty.BOOL, pattern.start, operation, [subject, body.check(high, subject.type)])
            false = v.Literal(ty.BOOL, pattern.start, False)
            return v.Conditional(ty.BOOL, pattern.start, above, below, false), []
        case t.AlternativePattern(patterns=patterns):
            test: v.Value = v.Literal(ty.BOOL, pattern.start, False)
            for alternative in reversed(patterns):
                this, bindings = _pattern(body, alternative, subject)
                if bindings:
                    body.unsupported(alternative, "a binding in one of several alternatives")
                test = v.Conditional(ty.BOOL, pattern.start, this, true, test)
            return test, []
        case t.VariantPattern(path=path, arguments=[(None, inner)]) if path.text == "Some":
            item = _option(subject.type)
            if item is not None:
                payload = v.Operation(item, pattern.start, "option.payload", [subject])
                held = v.Local(".payload", item, False)
                hold = v.SetLocal(ty.VOID, pattern.start, held, payload)
                inner_test, bindings = _pattern(body, inner, v.GetLocal(item, pattern.start, held))
                some = v.Operation(ty.BOOL, pattern.start, "option.is_some", [subject])
                then = v.Sequence(ty.BOOL, pattern.start, [hold, inner_test])
                false = v.Literal(ty.BOOL, pattern.start, False)
                return v.Conditional(ty.BOOL, pattern.start, some, then, false), bindings
    if subject.type != ty.UNKNOWN:
        if isinstance(pattern, t.VariantPattern) and pattern.path.text == "Some":
            body.context.report(pattern, "E0301", f"this pattern is for an Option, not for `{subject.type}`")
        else:
            body.unsupported(pattern, "this pattern")
    return true, []


def _option(type_: ty.Type) -> ty.Type | None:
    return ty.argument_of(type_, "Option")


def _exhaustive(body: Body, node: t.Match, type_: ty.Type) -> None:
    """Report a case that no arm takes."""
    patterns = [pattern for arm in node.arms if arm.guard is None for pattern in _alternatives(arm.pattern)]
    if any(_takes_all(pattern, type_) for pattern in patterns):
        return
    missing = "_"
    if type_ == ty.BOOL:
        seen = {
            pattern.value.value
            for pattern in patterns
            if isinstance(pattern, t.LiteralPattern) and isinstance(pattern.value, t.Boolean)
        }
        if len(seen) == 2:
            return
        missing = "true" if True not in seen else "false"
    elif (item := _option(type_)) is not None:
        none = any(isinstance(p, t.NamePattern) and p.path.text == "None" for p in patterns)
        some = any(
            isinstance(p, t.VariantPattern) and p.path.text == "Some" and _takes_all(p.arguments[0][1], item)
            for p in patterns
            if not isinstance(p, t.VariantPattern) or p.arguments
        )
        if none and some:
            return
        missing = "Some(_)" if not some else "None"
    body.context.report(node, "E0315", f"this match leaves out `{missing}`", f"add an arm for `{missing}` or `_`")


def _alternatives(pattern: t.Pattern) -> list[t.Pattern]:
    if isinstance(pattern, t.AlternativePattern):
        return [inner for part in pattern.patterns for inner in _alternatives(part)]
    return [pattern]


def _takes_all(pattern: t.Pattern, type_: ty.Type) -> bool:
    if isinstance(pattern, t.WildcardPattern):
        return True
    if isinstance(pattern, t.NamePattern) and len(pattern.path.parts) == 1:
        return not (pattern.path.text == "None" and _option(type_) is not None)
    return False
