"""Loops that count through a list do not look at its length for each item, where that is safe; and only there."""

import pytest

from dolbuild import compiler
from dolbuild.codegen.wat import print_module
from tests.support.programs import compile_case, link_face

BODIES = {
    "total += xs[i]": True,
    "xs[i] = xs[i] * 2": True,
    "if xs[i] > 2 { total += xs[i] }": True,
    "total += xs[i]; xs = []": False,
    "i += 1; total += xs[i]": False,
    "xs.pop(); total += xs[i]": False,
    "total += xs[i + 1]": False,
    "total += ys[i]": False,
    "total += other(xs); total += xs[i]": False,
}


@pytest.mark.parametrize("body", BODIES)
def test_the_check(body: str) -> None:
    source = f"""
fun other(xs: List<Int64>) -> Int64 {{ return 1 }}
pub fun run(n: UInt64) -> Int64 {{
    xs = [1, 2, 3]
    ys = [1]
    total = other(ys)
    for i in 0..xs.len {{ {body} }}
    return total
}}
"""
    built = compile_case({"lib": source}, compiler.Options())
    assert not [d for d in built.diagnostics if d.code.startswith("E")], built.diagnostics
    text = print_module(link_face(built))
    function = next(part for part in text.split("(func ") if "lib.run\n" in part)
    checks = function.count("i64.ge_u") - 1  # the loop itself looks whether it is at its end
    assert (checks == 0) == BODIES[body]
