"""``match`` to conditions over locals."""

from typing import TYPE_CHECKING

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import resolve
from dolbuild.codegen import operations
from dolbuild.codegen.frame import sequence
from dolbuild.codegen.ir import I32, UNREACHABLE, Code, slots
from dolbuild.codegen.unsupported import Unsupported

if TYPE_CHECKING:
    from dolbuild.codegen.lower import Lowering

TRUE = Code("i32.const", imm=1, results=(I32,))
FALSE = Code("i32.const", imm=0, results=(I32,))


def lower_match(f: "Lowering", value: v.Match) -> Code:
    """The arms one after the other: the first whose pattern and guard hold is the value."""
    subject = f.value(value.subject)
    results = slots(resolve(value.type))
    if resolve(value.subject.type) == ty.NEVER:
        return sequence((subject, UNREACHABLE))
    keep, at = f.keep(subject)
    message = f.string("no arm of this match fits")
    rest = sequence((f.runtime("traps.panic", (message,), (), value.start), UNREACHABLE))
    for arm in reversed(value.arms):
        test, bindings = _pattern(f, arm.pattern, at)
        body = f.value(arm.body) if results else f.effect(arm.body)
        if arm.guard is not None:
            bound = sequence((*bindings, f.value(arm.guard)))
            test = bound if test is TRUE else Code("if", (test, bound, FALSE), results=(I32,))
            bindings = []
        then = sequence((*bindings, body))
        rest = then if test is TRUE else Code("if", (test, then, rest), results=results)
    code = sequence((keep, rest))
    return sequence((code, UNREACHABLE)) if resolve(value.type) == ty.NEVER else code


def _pattern(f: "Lowering", pattern: v.Pattern, at: tuple[int, ...]) -> tuple[Code, list[Code]]:
    """The test that a pattern makes of the value in some locals, and what it binds where that holds."""
    of = resolve(pattern.type)
    match pattern:
        case v.AnyPattern():
            return TRUE, []
        case v.BindPattern(local=local):
            target = f.place(local)
            return TRUE, [Code("local.set", (f.get(at),), target)] if target else []
        case v.LiteralPattern(value=literal):
            return operations.equality(f, "eq", of, f.get(at), f.value(literal), pattern.start), []
        case v.RangePattern(low=low, high=high, inclusive=inclusive):
            above = operations.order(f, "ge", of, f.get(at), f.value(low), pattern.start)
            name = "le" if inclusive else "lt"
            below = operations.order(f, name, of, f.get(at), f.value(high), pattern.start)
            return Code("if", (above, below, FALSE), results=(I32,)), []
        case v.AlternativePattern(patterns=patterns):
            return _alternatives(f, patterns, at)
        case v.VariantPattern(variant=variant, payload=payload) if ty.argument_of(of, "Option") is not None:
            some = operations.is_some(f, of, at)
            if variant == "None":
                return Code("i32.eqz", (some,), results=(I32,)), []
            keep, inner = f.keep(operations.payload(f, of, at))
            test, bindings = _pattern(f, payload[0], inner)
            return Code("if", (some, sequence((keep, test)), FALSE), results=(I32,)), bindings
    raise Unsupported(pattern.start, "this pattern")


def _alternatives(f: "Lowering", patterns: list[v.Pattern], at: tuple[int, ...]) -> tuple[Code, list[Code]]:
    test = FALSE
    for pattern in reversed(patterns):
        this, bindings = _pattern(f, pattern, at)
        if bindings:
            raise Unsupported(pattern.start, "a binding in one of several alternatives")
        test = this if test is FALSE else Code("if", (this, TRUE, test), results=(I32,))
    return test, []
