"""Values that are known when a program is compiled: the value of a ``const``."""

import math
import struct
from collections.abc import Callable
from typing import Any

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty

Lookup = Callable[[str], Any]
"""The value of a constant, by its symbol; raises `NotConstant`."""


class NotConstant(Exception):
    """The value cannot be told before the program runs; carries the offset and the reason."""

    def __init__(self, start: int, reason: str) -> None:
        super().__init__(reason)
        self.start = start
        self.reason = reason


def evaluate(value: v.Value, lookup: Lookup) -> Any:
    """The value as an int, float, bool or str; None for `Option`'s ``None``."""
    match value:
        case v.Literal(value=literal):
            return literal
        case v.GetGlobal(symbol=symbol, start=start):
            try:
                return lookup(symbol)
            except NotConstant as error:
                raise NotConstant(start, error.reason) from None
        case v.Convert(type=target, value=inner, start=start):
            value_ = evaluate(inner, lookup)
            if target == ty.CHAR and (value_ > 0x10FFFF or 0xD800 <= value_ < 0xE000):
                raise NotConstant(start, f"{value_} is no character")
            return convert(value_, target)
        case v.MakeVariant(start=start) | v.MakeList(start=start) | v.MakeGene(start=start) | v.MakeTuple(start=start):
            raise NotConstant(start, "only numbers, texts, Bool and Char are computed when it is compiled")
        case v.Conditional(condition=condition, then=then, otherwise=otherwise):
            return evaluate(then if evaluate(condition, lookup) else otherwise, lookup)
        case v.Operation(name=name, operands=operands, type=type_, start=start):
            arguments = [evaluate(operand, lookup) for operand in operands]
            return _operation(name, arguments, type_, start)
        case _:
            raise NotConstant(value.start, "this is not known before the program runs")


def convert(value: Any, target: ty.Type) -> Any:
    """What ``as`` makes of a number."""
    if target in ty.FLOATS:
        return _round(float(value), target)
    kind = ty.INTEGERS.get(target)
    if kind is None:
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return 0
        if math.isinf(value):
            return kind.high if value > 0 else kind.low
        return min(max(int(value), kind.low), kind.high)
    wrapped = value & ((1 << kind.bits) - 1)
    return wrapped - (1 << kind.bits) if wrapped > kind.high else wrapped


def _round(value: float, type_: ty.Type) -> float:
    if type_ != ty.FLOAT32 or not math.isfinite(value):
        return value
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _operation(name: str, arguments: list[Any], type_: ty.Type, start: int) -> Any:
    if name == "not":
        return not arguments[0]
    if name in _COMPARE:
        return _COMPARE[name](*arguments)
    if name == "string.concat":
        return arguments[0] + arguments[1]
    if type_ in ty.INTEGERS and name in _INTEGER:
        kind = ty.INTEGERS[type_]
        if name in ("div", "rem") and arguments[1] == 0:
            raise NotConstant(start, "this divides by zero")
        if name in ("shl", "shr"):
            arguments[1] %= kind.bits
        result = _INTEGER[name](*arguments)
        if name == "shl":
            return convert(result, type_)
        if not kind.low <= result <= kind.high:
            raise NotConstant(start, f"{result} is no {type_}")
        return result
    if type_ in ty.FLOATS and name in _FLOAT:
        return _round(_FLOAT[name](*arguments), type_)
    raise NotConstant(start, "this is not known before the program runs")


def _truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
}  # fmt: skip
_INTEGER: dict[str, Callable[..., int]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": _truncated,
    "rem": lambda a, b: a - b * _truncated(a, b), "and": lambda a, b: a & b, "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b, "shl": lambda a, b: a << b, "shr": lambda a, b: a >> b, "neg": lambda a: -a,
}  # fmt: skip
_FLOAT: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": _divide,
    "neg": lambda a: -a, "float.sqrt": lambda a: math.sqrt(a) if a >= 0 else math.nan, "float.abs": abs,
}  # fmt: skip
