"""Which changes of an interface break those who use it."""

import json

import pytest

from dolbuild import compiler
from dolbuild.analysis.changes import compare

BASE = """pub gene Point { has x: Int64; has y: Int64 = 0; has tags: List<String> = [] }
pub gene Shape { type: enum { Circle(Int64), Square(Int64) } }
pub trait Named { fun name(self) -> String }
pub const LIMIT: Int64 = 10
pub fun area(s: Shape, scale: Int64 = 1) -> Int64 { return 1 }
pub fun swap<A, B>(a: A, b: B) -> (B, A) { return (b, a) }
fun hidden() -> Int64 { return 1 }
"""

CHANGES = [
    ("fun hidden() -> Int64 { return 1 }", "fun other(x: Int64) { }", []),
    ("{ return 1 }\npub fun swap", "{ return 2 }\npub fun swap", []),
    ("pub const LIMIT: Int64 = 10", "pub const LIMIT: Int64 = 11", ["-`LIMIT` has another value"]),
    ("pub const LIMIT: Int64 = 10", "pub const LIMIT: Float64 = 1.5", ["!`LIMIT` was of type Int64 and is of type Float64"]),
    ("pub const LIMIT: Int64 = 10\n", "", ["!`LIMIT` is gone"]),
    ("pub const LIMIT", "pub fun new() { }\npub const LIMIT", ["-`new` is new"]),
    ("scale: Int64 = 1", "scale: Int64", ["!`area` has no default for `scale` any more"]),
    ("scale: Int64 = 1", "factor: Int64 = 1", ["!`area` calls its parameter `scale` `factor`"]),
    ("scale: Int64 = 1", "scale: Int64 = 1, more: Bool = true", ["-`area` takes `more` too, which has a default"]),
    ("scale: Int64 = 1", "scale: Int64 = 1, more: Bool", ["!`area` takes `more` too"]),
    (", scale: Int64 = 1", "", ["!`area` no longer takes `scale`"]),
    ("(s: Shape, scale: Int64 = 1) -> Int64", "(s: Shape, scale: Int64 = 1) -> Float64", ["!`area` gives Float64, no longer Int64"]),
    ("pub fun area", "pub sex fun area", ["!`area` has effects now"]),
    ("has y: Int64 = 0; ", "", ["!`Point.y` is gone"]),
    ("has y: Int64 = 0; ", "has y: Int64 = 0; has z: Int64 = 0; ", ["-`Point.z` is new and has a default"]),
    ("has y: Int64 = 0; ", "has y: Int64 = 0; has z: Int64; ", ["!`Point.z` is new and has no default"]),
    ("has y: Int64 = 0; ", "has y: Int64; ", ["!`Point.y` has no default any more"]),
    ("List<String>", "List<Int64>", ["!`Point.tags` was of type List<String> and is of type List<Int64>"]),
    ("Circle(Int64), ", "Circle(Int64), Dot, ", ["!`Shape.Dot` is a new variant, which no `match` of others expects"]),
    ("Circle(Int64), ", "", ["!`Shape.Circle` is gone"]),
    ("Circle(Int64)", "Circle(Float64)", ["!`Shape.Circle` holds something else"]),
    ("fun name(self) -> String }", "fun name(self) -> String; fun age(self) -> Int64 }", ["!`Named.age` is new, and every implementation has to have it"]),
    ("fun name(self) -> String }", "fun name(self) -> String; fun age(self) -> Int64 { return 1 } }", ["-`Named.age` is new"]),
    ("swap<A, B>", "swap<A, B, C>", ["!`swap` has other type parameters"]),
    ("pub trait Named", "impl Named for Point { fun name(self) -> String { return \"\" } }\npub trait Named", ["-`lib` implements Named for Point"]),
    ("pub fun area", "pub(spirit) fun area", ["!`area` is gone"]),
    ("pub trait Named", "mod inner { pub fun deep() { } }\npub trait Named", []),
    ("pub trait Named", "pub mod inner { pub fun deep() { } }\npub trait Named", ["-`lib.inner.deep` is new"]),
]  # fmt: skip


def interface(text: str) -> dict[str, object]:
    extracted = compiler.extract_interface("src/lib.dol", "lib", text.encode())
    found: dict[str, object] = json.loads(extracted.doli)
    assert not found["broken"], text
    return found


@pytest.mark.parametrize(("before", "after", "expected"), CHANGES, ids=[str(n) for n in range(len(CHANGES))])
def test_change(before: str, after: str, expected: list[str]) -> None:
    assert before in BASE
    found = compare({"lib": interface(BASE)}, {"lib": interface(BASE.replace(before, after, 1))})
    assert [("!" if change.breaking else "-") + str(change) for change in found] == expected


def test_what_the_face_passes_on() -> None:
    inner = interface("pub fun one() { }\npub fun two() { }\n")
    old = {"lib": interface("pub use a.{ one, two as second }\npub use b.*\n"), "a": inner, "b": inner}
    new = {"lib": interface("pub use a.{ one }\n"), "a": inner, "b": inner}
    assert [str(change) for change in compare(old, new)] == ["`second` is gone", "`two` is gone"]
    other = interface("pub fun one(x: Int64) { }\npub fun two() { }\n")
    swapped = {"lib": interface("pub use b.{ one, two as second }\npub use b.*\n"), "a": inner, "b": other}
    assert "`one` takes `x` too" in [str(change) for change in compare(old, swapped)]
    moved = {"lib": interface("pub use c.{ one, two as second }\npub use b.*\n"), "a": inner, "b": inner, "c": inner}
    assert not any(change.breaking for change in compare(old, moved))


def test_types_are_what_their_names_mean() -> None:
    types = interface("pub gene X { has n: Int64 }\n")
    face = "use a.{ X }\npub fun f(x: X) { }\n"
    old = {"lib": interface(face), "a": types, "b": types}
    same = {"lib": interface("use a.{ X as Y }\npub fun f(x: Y) { }\n"), "a": types, "b": types}
    assert compare(old, same) == []
    other = {"lib": interface(face.replace("use a", "use b")), "a": types, "b": types}
    assert [str(change) for change in compare(old, other)] == ["`f` takes `x` as b.X, no longer as a.X"]
