"""Code for the built-in operations: arithmetic, comparison, text, Option.

Integers narrower than 32 bits live in an i32 that always holds their value, sign- or zero-extended.
"""

from collections.abc import Callable

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known
from dolbuild.codegen import optional
from dolbuild.codegen.frame import Frame, constant, multi, negate, sequence
from dolbuild.codegen.ir import F32, F64, I32, I64, REF, UNREACHABLE, Code, slots

KINDS = {
    str(type_): number
    for number, type_ in enumerate((ty.INT8, ty.INT16, ty.INT32, ty.INT64, ty.UINT8, ty.UINT16, ty.UINT32, ty.UINT64))
}
"""Numbers of the integer types, as the runtime's trap messages know them (``traps.dol``)."""

_SYMBOLS = {"add": 0, "sub": 1, "mul": 2, "neg": 3, "abs": 4, "div": 5, "rem": 6, "pow": 7}
_BITWISE = frozenset(("and", "or", "xor"))
_ORDER = frozenset(("lt", "le", "gt", "ge"))
_FLOAT_UNARY = frozenset(("floor", "ceil", "nearest", "trunc", "sqrt", "abs"))
_FLOAT_NAMES = {"round": "nearest"}


def lower_operation(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    """Code for one operation, its operands given as code."""
    name = value.name
    owner, _, member = name.partition(".")
    if owner in ("Integer", "Float") and member:
        name = member if owner == "Integer" else f"float.{_FLOAT_NAMES.get(member, member)}"
    special = _SPECIAL.get(name)
    if special is not None:
        return special(f, value, operands)
    type_ = _type(value.operands[0])
    if name in ("eq", "ne"):
        return equality(f, name, type_, operands[0], operands[1], value.start)
    if name in _ORDER:
        return order(f, name, type_, operands[0], operands[1], value.start)
    if name.startswith("float."):
        return _float_operation(f, name[6:], type_, operands)
    if type_ in ty.FLOATS and name in _SYMBOLS:
        prefix = slots(type_)[0]
        return Code(f"{prefix}.{name}", tuple(operands), results=(prefix,))
    if type_ == ty.BOOL and name in _BITWISE:
        return Code(f"i32.{name}", tuple(operands), results=(I32,))
    assert type_ in ty.INTEGERS and "." not in name, name
    return integer(f, name, type_, operands, value.start)


def _type(value: v.Value) -> ty.Type:
    return known(value.type)


# -- integers --------------------------------------------------------------------------------------


def integer(f: Frame, name: str, type_: ty.Type, operands: list[Code], start: int) -> Code:
    kind = ty.INTEGERS[type_]
    prefix = I64 if kind.bits == 64 else I32
    if name in _BITWISE:
        return Code(f"{prefix}.{name}", tuple(operands), results=(prefix,))
    if name == "wrapping_add":
        return normalise(Code(f"{prefix}.add", tuple(operands), results=(prefix,)), type_)
    if name in ("shl", "shr"):
        return _shift(name, type_, operands)
    if name in ("min", "max"):
        return _smaller(f, name, type_, operands)
    if name in ("div", "rem"):
        return _divide(f, name, type_, operands, start)
    if name == "pow":
        return _power(f, type_, operands, start)
    if name == "neg":
        operands = [_constant(prefix, 0), operands[0]]
        return _arithmetic(f, "sub", type_, operands, start, "neg")
    if name == "abs":
        set_, (index,) = f.keep(operands[0])
        if not kind.signed:
            return operands[0]
        got = f.get((index,))
        zero = _constant(prefix, 0)
        below = Code(f"{prefix}.lt_s", (got, zero), results=(I32,))
        negated = _arithmetic(f, "sub", type_, [zero, got], start, "abs")
        return sequence((set_, Code("if", (below, negated, got), results=(prefix,))))
    return _arithmetic(f, name, type_, operands, start, name)


def normalise(code: Code, type_: ty.Type) -> Code:
    """Bring an i32 back into the range of a narrow type by dropping its high bits."""
    kind = ty.INTEGERS[type_]
    if kind.bits >= 32:
        return code
    if kind.signed:
        return Code(f"i32.extend{kind.bits}_s", (code,), results=(I32,))
    mask = Code("i32.const", imm=(1 << kind.bits) - 1, results=(I32,))
    return Code("i32.and", (code, mask), results=(I32,))


def _constant(prefix: str, number: int) -> Code:
    return Code(f"{prefix}.const", imm=number, results=(prefix,))


def _arithmetic(f: Frame, name: str, type_: ty.Type, operands: list[Code], start: int, shown: str) -> Code:
    """``add``, ``sub`` and ``mul``; where `checked`, with a trap when the result does not fit."""
    kind = ty.INTEGERS[type_]
    prefix = I64 if kind.bits == 64 else I32
    if not f.checked:
        return normalise(Code(f"{prefix}.{name}", tuple(operands), results=(prefix,)), type_)
    if kind.bits == 64 and name == "mul":
        function = "integers.multiply" if kind.signed else "integers.multiply_unsigned"
        return f.runtime(function, tuple(operands), (I64,), start)
    keep_a, (a,) = f.keep(operands[0])
    keep_b, (b,) = f.keep(operands[1])
    get_a, get_b = f.get((a,)), f.get((b,))
    if kind.bits == 32 and name == "mul":
        return _wide_multiply(f, type_, keep_a, keep_b, get_a, get_b, start)
    result = Code(f"{prefix}.{name}", (get_a, get_b), results=(prefix,))
    keep_r, (r,) = f.keep(result)
    get_r = f.get((r,))
    if kind.bits < 32:
        bad = Code("i32.ne", (normalise(get_r, type_), get_r), results=(I32,))
    elif not kind.signed:
        left, right = (get_r, get_a) if name == "add" else (get_a, get_b)
        bad = Code(f"{prefix}.lt_u", (left, right), results=(I32,))
    else:
        first = Code(f"{prefix}.xor", (get_a, get_r), results=(prefix,))
        other = (get_b, get_r) if name == "add" else (get_a, get_b)
        second = Code(f"{prefix}.xor", other, results=(prefix,))
        both = Code(f"{prefix}.and", (first, second), results=(prefix,))
        bad = Code(f"{prefix}.lt_s", (both, _constant(prefix, 0)), results=(I32,))
    trap = overflow(f, shown, type_, get_a, get_b, start)
    return sequence((keep_a, keep_b, keep_r, Code("if", (bad, trap)), get_r))


def _wide_multiply(f: Frame, type_: ty.Type, keep_a: Code, keep_b: Code, a: Code, b: Code, start: int) -> Code:
    """A 32-bit product by way of 64 bits."""
    product = Code("i64.mul", (widen(a, type_), widen(b, type_)), results=(I64,))
    keep_p, (p,) = f.keep(product)
    narrow = Code("i32.wrap_i64", (f.get((p,)),), results=(I32,))
    bad = Code("i64.ne", (widen(narrow, type_), f.get((p,))), results=(I32,))
    trap = overflow(f, "mul", type_, a, b, start)
    return sequence((keep_a, keep_b, keep_p, Code("if", (bad, trap)), narrow))


def widen(code: Code, type_: ty.Type) -> Code:
    """An integer of any type as an i64."""
    kind = ty.INTEGERS.get(type_)
    if kind is not None and kind.bits == 64:
        return code
    signed = kind is not None and kind.signed
    return Code("i64.extend_i32_s" if signed else "i64.extend_i32_u", (code,), results=(I64,))


def overflow(f: Frame, shown: str, type_: ty.Type, a: Code, b: Code, start: int) -> Code:
    """A trap that names the operation, the operands and the type."""
    arguments = (
        _constant(I32, _SYMBOLS[shown]),
        _constant(I32, KINDS[str(type_)]),
        widen(a, type_),
        widen(b, type_),
    )
    return sequence((f.runtime("traps.overflow", arguments, (), start), UNREACHABLE))


def _divide(f: Frame, name: str, type_: ty.Type, operands: list[Code], start: int) -> Code:
    kind = ty.INTEGERS[type_]
    prefix = I64 if kind.bits == 64 else I32
    sign = "s" if kind.signed else "u"
    if operands[1].op == f"{prefix}.const" and operands[1].imm not in (0, -1):
        return Code(f"{prefix}.{name}_{sign}", tuple(operands), results=(prefix,), start=start)
    keep_a, (a,) = f.keep(operands[0])
    keep_b, (b,) = f.keep(operands[1])
    get_a, get_b = f.get((a,)), f.get((b,))
    parts = [keep_a, keep_b]
    zero = Code(f"{prefix}.eqz", (get_b,), results=(I32,))
    arguments = (_constant(I32, _SYMBOLS[name]), _constant(I32, KINDS[str(type_)]), widen(get_a, type_))
    trap = sequence((f.runtime("traps.division_by_zero", arguments, (), start), UNREACHABLE))
    parts.append(Code("if", (zero, trap)))
    result = Code(f"{prefix}.{name}_{sign}", (get_a, get_b), results=(prefix,), start=start)
    if not (kind.signed and name == "div"):
        return sequence((*parts, result))
    minus_one = Code(f"{prefix}.eq", (get_b, _constant(prefix, -1)), results=(I32,))
    lowest = Code(f"{prefix}.eq", (get_a, _constant(prefix, kind.low)), results=(I32,))
    bad = Code("i32.and", (minus_one, lowest), results=(I32,))
    if f.checked:
        return sequence((*parts, Code("if", (bad, overflow(f, "div", type_, get_a, get_b, start))), result))
    return sequence((*parts, Code("if", (bad, get_a, result), results=(prefix,))))


def _shift(name: str, type_: ty.Type, operands: list[Code]) -> Code:
    """Shifts take their amount modulo the width, as WebAssembly does."""
    kind = ty.INTEGERS[type_]
    prefix = I64 if kind.bits == 64 else I32
    amount = operands[1]
    if kind.bits < 32:
        amount = Code("i32.and", (amount, _constant(I32, kind.bits - 1)), results=(I32,))
    op = "shl" if name == "shl" else ("shr_s" if kind.signed else "shr_u")
    return normalise(Code(f"{prefix}.{op}", (operands[0], amount), results=(prefix,)), type_)


def _smaller(f: Frame, name: str, type_: ty.Type, operands: list[Code]) -> Code:
    keep_a, a = f.keep(operands[0])
    keep_b, b = f.keep(operands[1])
    test = order(f, "lt" if name == "min" else "gt", type_, f.get(a), f.get(b), -1)
    select = Code("select", (f.get(a), f.get(b), test), results=f.get(a).results)
    return sequence((keep_a, keep_b, select))


def _power(f: Frame, type_: ty.Type, operands: list[Code], start: int) -> Code:
    kind = ty.INTEGERS[type_]
    base = widen(operands[0], type_)
    checked = _constant(I32, int(f.checked))
    function = "integers.power" if kind.signed else "integers.power_unsigned"
    arguments = (base, operands[1], _constant(I32, KINDS[str(type_)]), checked)
    code = f.runtime(function, arguments, (I64,), start)
    if kind.bits == 64:
        return code
    return normalise(Code("i32.wrap_i64", (code,), results=(I32,)), type_)


# -- comparison ------------------------------------------------------------------------------------


def equality(f: Frame, name: str, type_: ty.Type, a: Code, b: Code, start: int) -> Code:
    """``==`` or ``!=`` by structure."""
    same = _equal(f, type_, a, b)
    if same is None:
        return Code(f"{slots(type_)[0]}.{name}", (a, b), results=(I32,))
    return same if name == "eq" else negate(same)


def _equal(f: Frame, type_: ty.Type, a: Code, b: Code) -> Code | None:
    """A call of what compares two values, or None for what one instruction compares."""
    if type_ == ty.STRING:
        return f.runtime("strings.equal", (a, b), (I32,), -1)
    if type_ in ty.INTEGERS or type_ in ty.FLOATS or type_ in (ty.BOOL, ty.CHAR):
        return None
    if not slots(type_):
        return sequence((a, b, constant(1)))
    return f.derived("same", type_, (a, b), (I32,))


def order(f: Frame, name: str, type_: ty.Type, a: Code, b: Code, start: int) -> Code:
    if type_ == ty.STRING:
        compared = f.runtime("strings.compare", (a, b), (I32,), start)
        return Code(f"i32.{name}_s", (compared, _constant(I32, 0)), results=(I32,))
    if not isinstance(type_, ty.Primitive):
        if name in ("gt", "le"):
            keep, at = f.keep(a)
            keep_b, at_b = f.keep(b)
            a, b = f.get(at_b), f.get(at)
            less = f.derived("less", type_, (a, b), (I32,))
            return sequence((keep, keep_b, less if name == "gt" else negate(less)))
        less = f.derived("less", type_, (a, b), (I32,))
        return less if name == "lt" else negate(less)
    prefix = slots(type_)[0]
    if type_ in ty.FLOATS:
        return Code(f"{prefix}.{name}", (a, b), results=(I32,))
    kind = ty.INTEGERS.get(type_)
    sign = "s" if kind is not None and kind.signed else "u"
    return Code(f"{prefix}.{name}_{sign}", (a, b), results=(I32,))


# -- conversions -----------------------------------------------------------------------------------


def convert(f: Frame, code: Code, source: ty.Type, target: ty.Type, start: int) -> Code:
    """A number as one of another type: integers are cut off, floats saturate."""
    if source in ty.FLOATS:
        return _from_float(f, code, source, target)
    if target in ty.FLOATS:
        kind = ty.INTEGERS[source]
        sign, width = "s" if kind.signed else "u", I64 if kind.bits == 64 else I32
        prefix = slots(target)[0]
        return Code(f"{prefix}.convert_{width}_{sign}", (code,), results=(prefix,))
    if slots(target) == (I64,):
        return widen(code, source)
    if slots(source) == (I64,):
        code = Code("i32.wrap_i64", (code,), results=(I32,))
    if target == ty.CHAR:
        return f.runtime("text.checked_character", (code,), (I32,), start)
    if target not in ty.INTEGERS:
        return code
    if ty.widens(source, target):
        return code
    return normalise(code, target)


def _from_float(f: Frame, code: Code, source: ty.Type, target: ty.Type) -> Code:
    prefix = slots(source)[0]
    if target == ty.FLOAT64:
        return Code("f64.promote_f32", (code,), results=(F64,))
    if target == ty.FLOAT32:
        return Code("f32.demote_f64", (code,), results=(F32,))
    kind = ty.INTEGERS[target]
    width = I64 if kind.bits == 64 else I32
    sign = "s" if kind.signed else "u"
    whole = Code(f"{width}.trunc_sat_{prefix}_{sign}", (code,), results=(width,))
    if kind.bits >= 32:
        return whole
    keep, at = f.keep(whole)
    parts = [keep]
    limits = (("gt", kind.high), ("lt", kind.low)) if kind.signed else (("gt", kind.high),)
    for test, limit in limits:
        bound = _constant(I32, limit)
        beyond = Code(f"i32.{test}_{sign}", (f.get(at), bound), results=(I32,))
        parts.append(Code("local.set", (Code("select", (bound, f.get(at), beyond), results=(I32,)),), at))
    return sequence((*parts, f.get(at)))


# -- text ------------------------------------------------------------------------------------------


def to_string(f: Frame, type_: ty.Type, code: Code, start: int, quoted: bool = False) -> Code:
    """Any value as a String; *quoted*: strings and characters as they are written in source."""
    if type_ == ty.STRING:
        return f.runtime("text.quoted", (code,), (REF,), start) if quoted else code
    if type_ in ty.INTEGERS:
        function = "text.signed" if ty.INTEGERS[type_].signed else "text.unsigned"
        return f.runtime(function, (widen(code, type_),), (REF,), start)
    if type_ == ty.FLOAT64:
        return f.runtime("floats.float64_text", (code,), (REF,), start)
    if type_ == ty.FLOAT32:
        return f.runtime("floats.float32_text", (code,), (REF,), start)
    if type_ == ty.BOOL:
        texts = f.string("true"), f.string("false")
        return Code("select", (*texts, code), results=(REF,))
    if type_ == ty.CHAR:
        function = "text.quoted_character" if quoted else "text.character"
        return f.runtime(function, (code,), (REF,), start)
    if type_ == ty.VOID:
        return sequence((code, f.string("()")))
    return f.derived("text", type_, (code,), (REF,))


def shown(f: Frame, type_: ty.Type, code: Code) -> Code:
    """A value by its structure, whatever `to_string` its type has of its own."""
    shape = f.shape(type_)
    if shape is None or not shape.text:
        return to_string(f, type_, code, -1, quoted=True)
    return f.derived("shown", type_, (code,), (REF,))


def hashed(f: Frame, type_: ty.Type, code: Code) -> Code:
    """A hash of 32 bits; equal values have equal ones."""
    if type_ == ty.STRING:
        return f.runtime("hashes.text", (code,), (I32,), -1)
    kinds = slots(type_)
    if type_ in ty.FLOATS:
        wide = code if type_ == ty.FLOAT64 else Code("f64.promote_f32", (code,), results=(F64,))
        return f.runtime("hashes.float", (wide,), (I32,), -1)
    if kinds == (I64,):
        return f.runtime("hashes.wide", (code,), (I32,), -1)
    if kinds == (I32,) and isinstance(type_, ty.Primitive):
        return f.runtime("hashes.narrow", (code,), (I32,), -1)
    if not kinds:
        return sequence((code, constant(0)))
    if isinstance(type_, ty.FunctionOf):
        return f.runtime("hashes.narrow", (code,), (I32,), -1)  # objects do not move
    return f.derived("hash", type_, (code,), (I32,))


def add_items(f: Frame, type_: ty.Type, operands: list[Code], start: int) -> Code:
    """``+`` on numbers of any type, as checked as the program that is built."""
    if type_ in ty.FLOATS:
        prefix = slots(type_)[0]
        return Code(f"{prefix}.add", tuple(operands), results=(prefix,))
    before, f.checked = f.checked, f.environment.items_checked
    code = integer(f, "add", type_, operands, start)
    f.checked = before
    return code


# -- tests -----------------------------------------------------------------------------------------


def _assert(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    message = f.string("assertion failed")
    trap = sequence((f.runtime("traps.panic", (message,), (), value.start), UNREACHABLE))
    return Code("if", (negate(operands[0]), trap))


def _assert_equal(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    type_ = _type(value.operands[0])
    keep_a, a = f.keep(operands[0])
    keep_b, b = f.keep(operands[1])

    def held(at: tuple[int, ...]) -> Code:
        return f.get(at) if at else multi(())

    wanted = "ne" if value.name == "assert_eq" else "eq"
    bad = equality(f, wanted, type_, held(a), held(b), value.start)
    texts = [to_string(f, type_, held(at), value.start, quoted=True) for at in (a, b)]
    which = _constant(I32, int(value.name == "assert_ne"))
    trap = f.runtime("traps.assertion", (which, *texts), (), value.start)
    return sequence((keep_a, keep_b, Code("if", (bad, sequence((trap, UNREACHABLE))))))


def _assert_error(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    type_ = _type(value.operands[0])
    assert isinstance(type_, ty.Named)
    keep, at = f.keep(operands[0])
    inner = known(type_.arguments[0])
    shown_ = to_string(f, inner, f.get(optional.payload_at(type_, at)), value.start, quoted=True)
    message = f.runtime(
        "strings.concat", (f.string("assert_err failed: the result is Ok: "), shown_), (REF,), value.start
    )
    return sequence((keep, Code("if", (optional.is_good(f, type_, at), f.panic(message, value.start)))))


def _float_operation(f: Frame, name: str, type_: ty.Type, operands: list[Code]) -> Code:
    prefix = slots(type_)[0]
    if name == "pow":
        if prefix == F64:
            return f.runtime("powers.power", tuple(operands), (F64,), -1)
        wide = tuple(Code("f64.promote_f32", (operand,), results=(F64,)) for operand in operands)
        return Code("f32.demote_f64", (f.runtime("powers.power", wide, (F64,), -1),), results=(F32,))
    if name in _FLOAT_UNARY or name in ("min", "max"):
        return Code(f"{prefix}.{name}", tuple(operands), results=(prefix,))
    raise AssertionError(name)


def _is_nan(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    keep, at = f.keep(operands[0])
    prefix = operands[0].results[0]
    return sequence((keep, Code(f"{prefix}.ne", (f.get(at), f.get(at)), results=(I32,))))


def _float_negate(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    type_ = _type(value.operands[0])
    if type_ in ty.FLOATS:
        prefix = slots(type_)[0]
        return Code(f"{prefix}.neg", (operands[0],), results=(prefix,))
    return integer(f, "neg", type_, operands, value.start)


def _list_length(code: Code) -> Code:
    return Code("i32.load", (code,), 4, (I32,))


def _length(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    return Code("i64.extend_i32_u", (_list_length(operands[0]),), results=(I64,))


def _call(name: str, results: tuple[str, ...]) -> Callable[[Frame, v.Operation, list[Code]], Code]:
    def lower(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
        return f.runtime(name, tuple(operands), results, value.start)

    return lower


def _parse(f: Frame, value: v.Operation, operands: list[Code]) -> Code:
    """Text as an Option of an integer type: the runtime knows 64 bits and the limit."""
    item = ty.argument_of(known(value.type), "Option")
    assert item is not None
    if item == ty.BOOL:
        return f.runtime("text.parse_bool", (operands[0],), (I32, I32), value.start)
    if item in ty.FLOATS:
        name = "decimals.parse" if item == ty.FLOAT64 else "decimals.parse32"
        return f.runtime(name, (operands[0],), (I32, *slots(item)), value.start)
    kind = ty.INTEGERS[item]
    function = "text.parse_signed" if kind.signed else "text.parse_unsigned"
    arguments = (operands[0], _constant(I64, kind.high))
    code = f.runtime(function, arguments, (I32, I64), value.start)
    if kind.bits == 64:
        return code
    keep, (tag, number) = f.keep(code)
    narrow = Code("i32.wrap_i64", (f.get((number,)),), results=(I32,))
    return sequence((keep, multi((f.get((tag,)), narrow))))


_SPECIAL: dict[str, Callable[[Frame, v.Operation, list[Code]], Code]] = {
    "not": lambda f, value, operands: negate(operands[0]),
    "neg": _float_negate,
    "to_string": lambda f, value, operands: to_string(f, _type(value.operands[0]), operands[0], value.start),
    "string.concat": _call("strings.concat", (REF,)),
    "String.parse": _parse,
    "List.length": _length,
    "List.len": _length,
    "List.is_empty": lambda f, value, operands: Code("i32.eqz", (_list_length(operands[0]),), results=(I32,)),
    "Option.is_some": optional.test,
    "Option.is_none": optional.test,
    "Option.unwrap": optional.unwrap,
    "Option.unwrap_or": optional.unwrap_or,
    "Result.is_ok": optional.test,
    "Result.is_err": optional.test,
    "Result.unwrap": optional.unwrap,
    "Result.unwrap_err": optional.unwrap,
    "Result.unwrap_or": optional.unwrap_or,
    "assert": _assert,
    "assert_eq": _assert_equal,
    "assert_ne": _assert_equal,
    "assert_err": _assert_error,
    "float.is_nan": _is_nan,
}
