"""Option and Result: their tests, their payloads, ``?``."""

from typing import TYPE_CHECKING, Any

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known
from dolbuild.codegen.frame import Frame, constant, multi, negate, sequence, zero
from dolbuild.codegen.ir import I32, REF, UNREACHABLE, Code, is_marked_by_error, is_nullable, slots

if TYPE_CHECKING:
    from dolbuild.codegen.lower import Lowering


def is_option(type_: ty.Type) -> bool:
    return isinstance(type_, ty.Named) and type_.symbol == "Option"


def is_result(type_: ty.Type) -> bool:
    return isinstance(type_, ty.Named) and type_.symbol == "Result"


def is_good(f: Frame, type_: ty.Type, at: tuple[int, ...]) -> Code:
    """Whether the value in some locals is ``Some`` or ``Ok``."""
    if is_nullable(type_):
        return Code("i32.ne", (f.get(at[:1]), constant(0)), results=(I32,))
    if is_option(type_):
        return f.get(at[:1])
    last = at[-1:] if is_marked_by_error(type_) else at[:1]
    return Code("i32.eqz", (f.get(last),), results=(I32,))


def payload_at(type_: ty.Type, at: tuple[int, ...]) -> tuple[int, ...]:
    """The locals among those of a value that hold the payload of ``Some`` or ``Ok``."""
    if is_option(type_):
        return at if is_nullable(type_) else at[1:]
    assert isinstance(type_, ty.Named)
    count = len(slots(type_.arguments[0]))
    return at[:count] if is_marked_by_error(type_) else at[1 : 1 + count]


def error_at(type_: ty.Type, at: tuple[int, ...]) -> tuple[int, ...]:
    """The locals that hold the payload of ``Err``."""
    assert isinstance(type_, ty.Named)
    count = len(slots(type_.arguments[1]))
    return at[len(at) - count :]


def make(f: Frame, type_: ty.Type, variant: str, payload: Code | None) -> Code:
    """``Some(payload)``, ``None``, ``Ok(payload)`` or ``Err(payload)``."""
    if is_option(type_):
        if variant == "None" or payload is None:
            return _side_by_side(*f.zeros(type_))
        return payload if is_nullable(type_) else _side_by_side(constant(1), payload)
    assert isinstance(type_, ty.Named) and payload is not None
    value, error = type_.arguments
    marked = is_marked_by_error(type_)
    if variant == "Ok":
        rest = (zero(REF),) if marked else f.zeros(error)
        return _side_by_side(*(() if marked else (constant(0),)), payload, *rest)
    return _side_by_side(*(() if marked else (constant(1),)), *f.zeros(value), payload)


def _side_by_side(*parts: Code) -> Code:
    return parts[0] if len(parts) == 1 else multi(parts)


def test(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    """``is_some``, ``is_none``, ``is_ok``, ``is_err``."""
    keep, at = f.keep(operands[0])
    good = is_good(f, known(value.operands[0].type), at)
    return sequence((keep, good if value.name.endswith(("some", "ok")) else negate(good)))


def unwrap(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    """The payload, or a trap that says what was there instead."""
    from dolbuild.codegen.operations import to_string

    type_ = known(value.operands[0].type)
    keep, at = f.keep(operands[0])
    good = is_good(f, type_, at)
    if is_option(type_):
        trap = f.panic(f.string("unwrap of None"), value.start)
        return sequence((keep, Code("if", (negate(good), trap)), f.get(payload_at(type_, at))))
    assert isinstance(type_, ty.Named)
    wanted, other = (payload_at(type_, at), error_at(type_, at))
    kind, word = type_.arguments[1], "unwrap of Err: "
    if value.name.endswith("err"):
        wanted, other, good = other, wanted, negate(good)
        kind, word = type_.arguments[0], "unwrap_err of Ok: "
    shown = to_string(f, known(kind), f.get(other), value.start, quoted=True)
    message = f.runtime("strings.concat", (f.string(word), shown), (REF,), value.start)
    return sequence((keep, Code("if", (negate(good), f.panic(message, value.start))), f.get(wanted)))


def unwrap_or(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    """Both sides are evaluated, as arguments are."""
    type_ = known(value.operands[0].type)
    keep, at = f.keep(operands[0])
    keep_default, default = f.keep(operands[1])
    choice = Code(
        "if", (is_good(f, type_, at), f.get(payload_at(type_, at)), f.get(default)), results=slots(value.type)
    )
    return sequence((keep, keep_default, choice))


def attempt(f: "Lowering", value: v.Attempt) -> Code:
    """``value?``: the payload, or the function is left with what becomes of the error."""
    type_ = known(value.value.type)
    keep, at = f.keep(f.value_as(value.value, type_))
    left = f.leave(_leaving(f, value, type_, at))
    return sequence(
        (keep, Code("if", (negate(is_good(f, type_, at)), sequence((left, UNREACHABLE)))), f.get(payload_at(type_, at)))
    )


def _leaving(f: "Lowering", value: v.Attempt, type_: ty.Type, at: tuple[int, ...]) -> Code:
    from dolbuild.codegen import making
    from dolbuild.codegen.operations import to_string

    result = known(f.typed.result)
    assert isinstance(result, ty.Named) and isinstance(type_, ty.Named)
    if is_option(type_):
        if value.none is None:
            return make(f, result, "None", None)
        bare = v.MakeVariant(result.arguments[1], value.start, value.none, [])
        return make(f, result, "Err", making.variant(f, bare))
    error = f.get(error_at(type_, at))
    wanted: Any = known(result.arguments[1])
    if value.wrap is None:
        return make(f, result, "Err", error)
    if value.wrap == "Error":
        message = to_string(f, known(type_.arguments[1]), error, value.start)
        return make(f, result, "Err", making.object_of_fields(f, ty.ERROR, {"message": message}))
    return make(f, result, "Err", making.variant_of(f, wanted, value.wrap, [error]))
