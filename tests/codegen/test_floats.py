"""Floats print as the shortest text that reads back as the same number."""

import atexit
import math
import struct
from functools import lru_cache
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dolbuild.runtime.values import show_value
from tests.support.programs import library


@lru_cache(maxsize=1)
def program() -> Any:
    return library(
        "pub fun wide(x: Float64) -> String { return x.to_string() }\n"
        "pub fun narrow(x: Float32) -> String { return x.to_string() }\n"
        "pub fun whole(x: Float64) -> Int64 { return x as Int64 }\n"
        "pub fun byte(x: Float64) -> UInt8 { return x as UInt8 }\n"
    )


atexit.register(program.cache_clear)  # wasmtime wants to be taken down before Python is


@given(st.floats())
@example(5e-324)
@example(1.7976931348623157e308)
@example(2.2250738585072014e-308)
@example(9007199254740993.0)
@example(1e23)
@example(-0.0)
@settings(max_examples=2000, deadline=None)
def test_float64(x: float) -> None:
    text = program()("wide", x)
    assert text == show_value("Float64", x)
    if math.isfinite(x):
        assert struct.pack("<d", float(text)) == struct.pack("<d", x)
        assert len(digits(text)) == len(digits(repr(x)))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@settings(max_examples=1500, deadline=None)
def test_float32(x: float) -> None:
    text = program()("narrow", x)
    assert struct.pack("<f", float(text)) == struct.pack("<f", x)
    assert digits(text) == digits(show_value("Float32", x))


def digits(text: str) -> str:
    return text.split("e")[0].replace("-", "").replace(".", "").strip("0")


@given(st.floats(allow_nan=True))
@settings(max_examples=300, deadline=None)
def test_to_integers_saturates(x: float) -> None:
    def saturated(low: int, high: int) -> int:
        if math.isnan(x):
            return 0
        return min(max(int(x) if math.isfinite(x) else (high if x > 0 else low), low), high)

    assert program()("whole", x) == saturated(-(1 << 63), (1 << 63) - 1)
    assert program()("byte", x) == saturated(0, 255)
