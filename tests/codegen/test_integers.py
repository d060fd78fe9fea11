"""Arithmetic of every integer type agrees with Python's, and traps exactly where the result does not fit."""

import atexit
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolbuild import compiler
from dolbuild.runtime.instance import Trapped
from tests.support.programs import library

TYPES = [f"{prefix}Int{bits}" for prefix in ("", "U") for bits in (8, 16, 32, 64)]
OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "rem": "%", "conj": "&", "disj": "|", "excl": "^"}


def limits(type_: str) -> tuple[int, int]:
    bits = int(type_.lstrip("UInt"))
    return (0, (1 << bits) - 1) if type_[0] == "U" else (-(1 << bits - 1), (1 << bits - 1) - 1)


@cache
def program(checked: bool) -> Callable[..., Any]:
    lines = []
    for type_ in TYPES:
        name = type_.lower()
        for word, operator in OPERATORS.items():
            lines.append(f"pub fun {name}_{word}(a: {type_}, b: {type_}) -> {type_} {{ return a {operator} b }}")
        for word, operator in (("eq", "=="), ("ne", "!="), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")):
            lines.append(f"pub fun {name}_{word}(a: {type_}, b: {type_}) -> Bool {{ return a {operator} b }}")
        lines.append(f"pub fun {name}_shl(a: {type_}, b: {type_}) -> {type_} {{ return a << b }}")
        lines.append(f"pub fun {name}_shr(a: {type_}, b: {type_}) -> {type_} {{ return a >> b }}")
        lines.append(f"pub fun {name}_pow(a: {type_}, b: UInt32) -> {type_} {{ return a.pow(b) }}")
        lines.append(f"pub fun {name}_text(a: {type_}) -> String {{ return a.to_string() }}")
        lines.append(f"pub fun {name}_parse(a: String) -> Option<{type_}> {{ return a.parse() }}")
        lines.append(f"pub fun {name}_abs(a: {type_}) -> {type_} {{ return a.abs() }}")
        if type_[0] != "U":
            lines.append(f"pub fun {name}_neg(a: {type_}) -> {type_} {{ return -a }}")
        for other in TYPES:
            lines.append(f"pub fun {name}_to_{other.lower()}(a: {type_}) -> {other} {{ return a as {other} }}")
    return library("\n".join(lines), compiler.Options(checked=checked))  # type: ignore[no-any-return]


atexit.register(program.cache_clear)  # wasmtime wants to be taken down before Python is


def exact(word: str, a: int, b: int) -> int | None:
    """The mathematical result, or None where there is none."""
    match word:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "conj":
            return a & b
        case "disj":
            return a | b
        case "excl":
            return a ^ b
        case "pow":
            return a**b
    if b == 0:
        return None
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient if word == "div" else a - b * quotient


def wrap(type_: str, value: int) -> int:
    low, high = limits(type_)
    return (value - low) % (high - low + 1) + low


def numbers(type_: str) -> st.SearchStrategy[int]:
    """Numbers of a type; the interesting ones are at its ends, and near powers of two."""
    low, high = limits(type_)
    edges = [n for p in range(0, 65, 8) for n in ((1 << p) - 1, 1 << p, -(1 << p)) if low <= n <= high]
    return st.one_of(st.integers(low, high), st.sampled_from([low, low + 1, high - 1, high, 0, *edges]))


pairs = st.sampled_from(TYPES).flatmap(lambda t: st.tuples(st.just(t), numbers(t), numbers(t)))


@given(pairs, st.sampled_from([*OPERATORS]))
@settings(max_examples=1500, deadline=None)
def test_operators(pair: tuple[str, int, int], word: str) -> None:
    type_, a, b = pair
    low, high = limits(type_)
    result = exact(word, a, b)
    name = f"{type_.lower()}_{word}"
    if result is None or not low <= result <= high:
        with pytest.raises(Trapped) as trapped:
            program(True)(name, a, b)
        expected = "division by zero" if result is None else "does not fit in " + type_
        assert expected in trapped.value.message
        assert str(a) in trapped.value.message
    else:
        assert program(True)(name, a, b) == result
    if result is not None:
        assert program(False)(name, a, b) == wrap(type_, result)


@given(pairs)
@settings(max_examples=300, deadline=None)
def test_comparisons(pair: tuple[str, int, int]) -> None:
    type_, a, b = pair
    expected = {"eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}
    assert {word: program(True)(f"{type_.lower()}_{word}", a, b) for word in expected} == expected


@given(st.sampled_from(TYPES).flatmap(lambda t: st.tuples(st.just(t), numbers(t))), st.integers(0, 70))
@settings(max_examples=400, deadline=None)
def test_powers(pair: tuple[str, int], exponent: int) -> None:
    type_, base = pair
    low, high = limits(type_)
    result = base**exponent
    if low <= result <= high:
        assert program(True)(f"{type_.lower()}_pow", base, exponent) == result
    else:
        with pytest.raises(Trapped):
            program(True)(f"{type_.lower()}_pow", base, exponent)
    assert program(False)(f"{type_.lower()}_pow", base, exponent) == wrap(type_, result)


@given(st.sampled_from(TYPES).flatmap(lambda t: st.tuples(st.just(t), numbers(t))), st.sampled_from(TYPES))
@settings(max_examples=400, deadline=None)
def test_conversions_and_text(pair: tuple[str, int], other: str) -> None:
    type_, a = pair
    call = program(True)
    assert call(f"{type_.lower()}_to_{other.lower()}", a) == wrap(other, a)
    assert call(f"{type_.lower()}_text", a) == str(a)
    low, high = limits(other)
    assert call(f"{other.lower()}_parse", str(a)) == ((a,) if low <= a <= high else None)


@given(st.sampled_from(TYPES).flatmap(lambda t: st.tuples(st.just(t), numbers(t))), st.integers(0, 63))
@settings(max_examples=300, deadline=None)
def test_shifts(pair: tuple[str, int], amount: int) -> None:
    type_, a = pair
    bits = int(type_.lstrip("UInt"))
    amount %= bits
    assert program(True)(f"{type_.lower()}_shl", a, amount) == wrap(type_, a << amount)
    assert program(True)(f"{type_.lower()}_shr", a, amount) == a >> amount


@pytest.mark.parametrize("type_", [t for t in TYPES if t[0] != "U"])
def test_the_lowest_number_has_no_opposite(type_: str) -> None:
    low, high = limits(type_)
    for word in ("neg", "abs"):
        with pytest.raises(Trapped, match="does not fit"):
            program(True)(f"{type_.lower()}_{word}", low)
        assert program(False)(f"{type_.lower()}_{word}", low) == low
        assert program(True)(f"{type_.lower()}_{word}", low + 1) == high
