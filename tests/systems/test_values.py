"""Values across the border: every type comes back as it was given, and what is no value of a type is refused with its place."""

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolbuild.systems.running import Refused, Running, WrongArguments
from tests.systems.conftest import BuildSystem, make

SINK = """
gene Point {
    has x: Int32
    has y: Int32 = 7
    has tags: List<String>
    has note: Option<String>

    constraint in_order {
        this.x <= this.y
    }
}

gene Shape {
    type: enum { Empty, Dot(Point), Line(from: Point, to: Point), Pair(Int64, String) }
}

gene Colour {
    type: enum { Red, Green }
}

gene Box<T> {
    has inside: T
    has more: List<Box<T>>
}

system Sink {
    has nothing: Int64 = 0

%s
}
"""

INTEGERS = {f"{prefix}Int{bits}": (bits, not prefix) for prefix in ("", "U") for bits in (8, 16, 32, 64)}


def integers(kind: str) -> st.SearchStrategy[int]:
    bits, signed = INTEGERS[kind]
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
POINTS = st.builds(
    lambda x, d, tags, note: {"x": x, "y": x + d, "tags": tags, "note": note},
    st.integers(-100, 100), st.integers(0, 9), st.lists(TEXTS, max_size=3), st.one_of(st.none(), TEXTS),
)  # fmt: skip
SHAPES = st.one_of(
    st.just("Empty"),
    st.builds(lambda p: {"Dot": p}, POINTS),
    st.builds(lambda a, b: {"Line": {"from": a, "to": b}}, POINTS, POINTS),
    st.builds(lambda n, t: {"Pair": [n, t]}, integers("Int64"), TEXTS),
)
FLOATS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["NaN", "Infinity", "-Infinity"]))
FLOATS32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
BOXES = st.recursive(
    st.builds(lambda n: {"inside": n, "more": []}, integers("Int16")),
    lambda inner: st.builds(lambda n, m: {"inside": n, "more": m}, integers("Int16"), st.lists(inner, max_size=3)),
    max_leaves=6,
)


def unique(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, max_size=4, unique_by=json.dumps)


def option(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), inner)


TYPES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    **{kind.lower(): (kind, integers(kind)) for kind in INTEGERS},
    "float64": ("Float64", FLOATS),
    "float32": ("Float32", FLOATS32),
    "bool": ("Bool", st.booleans()),
    "char": ("Char", st.characters(exclude_categories=("Cs",))),
    "string": ("String", TEXTS),
    "void": ("Void", st.none()),
    "point": ("Point", POINTS),
    "shape": ("Shape", SHAPES),
    "box": ("Box<Int16>", BOXES),
    "error": ("Error", st.builds(lambda m: {"message": m}, TEXTS)),
    "list": ("List<Int8>", st.lists(integers("Int8"), max_size=9)),
    "lists": ("List<List<String>>", st.lists(st.lists(TEXTS, max_size=3), max_size=3)),
    "points": ("List<Point>", st.lists(POINTS, max_size=4)),
    "pairs": ("List<(Bool, UInt16, String)>", st.lists(st.tuples(st.booleans(), integers("UInt16"), TEXTS).map(list), max_size=4)),
    "options": ("List<Option<Int64>>", st.lists(option(integers("Int64")), max_size=4)),
    "maybe": ("Option<Int32>", option(integers("Int32"))),
    "maybe_text": ("Option<String>", option(TEXTS)),
    "maybe_maybe": ("Option<Option<String>>", option(st.builds(lambda v: {"Some": v}, option(TEXTS)))),
    "maybe_void": ("Option<Void>", option(st.just({"Some": None}))),
    "set": ("Set<String>", unique(TEXTS)),
    "set_of_pairs": ("Set<(Int8, Bool)>", unique(st.tuples(integers("Int8"), st.booleans()).map(list))),
    "map": ("Map<String, Point>", st.dictionaries(TEXTS, POINTS, max_size=4)),
    "map_of_numbers": ("Map<Int16, Float64>", st.dictionaries(integers("Int16").map(str), st.floats(-9, 9), max_size=4)),
    "map_of_bools": ("Map<Bool, String>", st.dictionaries(st.sampled_from(["true", "false"]), TEXTS)),
    "map_of_colours": ("Map<Colour, Char>", st.dictionaries(st.sampled_from(["Red", "Green"]), st.just("x"))),
    "map_of_chars": ("Map<Char, Void>", st.dictionaries(st.characters(exclude_categories=("Cs",)), st.none(), max_size=3)),
    "map_of_pairs": ("Map<(Int64, String), Int8>", unique(st.tuples(st.tuples(integers("Int64"), TEXTS).map(list), st.just(1)).map(list))),
    "tuple": ("(Int64, Float64, String)", st.tuples(integers("Int64"), st.floats(-9, 9), TEXTS).map(list)),
    "record": ("{ name: String, at: Point }", st.builds(lambda n, p: {"name": n, "at": p}, TEXTS, POINTS)),
    "results": (
        "List<Result<Int64, String>>",
        st.lists(st.one_of(st.builds(lambda n: {"Ok": n}, integers("Int64")), st.builds(lambda t: {"Err": t}, TEXTS)), max_size=4),
    ),
    "flat_results": (
        "List<Result<String, Int8>>",
        st.lists(st.one_of(st.builds(lambda t: {"Ok": t}, TEXTS), st.builds(lambda n: {"Err": n}, integers("Int8"))), max_size=4),
    ),
}  # fmt: skip

FUNCTIONS = "".join(f"    pub fun {name}(x: {type_}) -> {type_} {{ return x }}\n" for name, (type_, _) in TYPES.items())


@pytest.fixture(scope="module", params=["dev", "release"])
def sink(request: pytest.FixtureRequest, build_system: BuildSystem) -> Running:
    options = ("--release",) if request.param == "release" else ()
    running = make(build_system(SINK % FUNCTIONS, None, *options), watched=False)
    running.start({})
    running.instance.stress()
    return running


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_goes_in_comes_out(sink: Running, name: str, data: st.DataObject) -> None:
    value = data.draw(TYPES[name][1])
    found = sink.call(name, [value])
    if isinstance(value, float):
        assert isinstance(found, float) and struct.pack("<d", found) == struct.pack("<d", value)
    else:
        assert found == value and json.loads(json.dumps(found)) == value
    assert sink.call(name, {"x": value}) == found


WRONG: list[tuple[str, Any, str]] = [
    ("int8", 128, "x: 128 is no Int8, which goes from -128 to 127"),
    ("uint64", -1, "x: -1 is no UInt64, which goes from 0 to 18446744073709551615"),
    ("uint64", 1 << 64, "x: 18446744073709551616 is no UInt64"),
    ("int64", 10**400, "… is no Int64, which goes from"),
    ("int32", 1.0, "x: expected an Int32, found 1.0"),
    ("int32", True, "x: expected an Int32, found true"),
    ("int32", "1", 'x: expected an Int32, found "1"'),
    ("int32", None, "x: expected an Int32, found null"),
    ("bool", 0, "x: expected a Bool, found 0"),
    ("float64", "nan", 'x: expected a Float64, found "nan"'),
    ("float64", 10**400, "too large for a Float64"),
    ("float32", 1e300, "too large for a Float32"),
    ("char", "ab", "expected a Char"),
    ("char", "", "expected a Char"),
    ("string", "\ud800", "half of a surrogate pair"),
    ("string", 5, "x: expected a String, found 5"),
    ("void", 0, "x: expected null, found 0"),
    ("list", {"a": 1}, 'x: expected a List<Int8> (an array), found {"a": 1}'),
    ("list", [1, 2, 300], "x[2]: 300 is no Int8"),
    ("lists", [["a"], ["b", 3]], "x[1][1]: expected a String, found 3"),
    ("point", {"x": 1, "tag": 2}, 'x: there is no "tag"; did you mean `tags`?'),
    ("point", {"y": 1}, "x: `x: Int32` is missing, and has no default"),
    ("point", {"x": 9, "y": 1}, "x: the constraint `in_order` of `Point` does not hold"),
    ("point", [1], "x: expected a Point (an object), found [1]"),
    ("points", [{"x": 1}, {"x": 1, "tags": [None]}], "x[1].tags[0]: expected a String, found null"),
    ("shape", "Dot", 'x: `Dot` has a payload: write {"Dot": …}'),
    ("shape", "Circle", 'x: Shape has no variant "Circle"; it has Empty, Dot, Line, Pair'),
    ("shape", {"Line": {"from": {"x": 1}}}, "x.Line: `to` is missing"),
    ("shape", {"Line": {"from": {"x": 1}, "to": {"x": 1}, "by": 1}}, 'x.Line: there is no "by"'),
    ("shape", {"Pair": [1]}, "x.Pair: expected an array of 2, found [1]"),
    ("shape", {"Empty": 1}, "x.Empty: `Empty` has no payload"),
    ("shape", {"Dot": {"x": 1}, "Empty": []}, "x: expected a Shape"),
    ("shape", 4, "x: expected a Shape (a variant's name, or an object of it and its payload), found 4"),
    ("tuple", [1, 2.0], "x: expected a (Int64, Float64, String) (an array of 3)"),
    ("record", {"name": "a"}, "x: `at` is missing"),
    ("maybe_maybe", "a", 'x: expected {"Some": …} or null, found "a"'),
    ("results", [{"Ok": "a"}], "x[0].Ok: expected an Int64"),
    ("results", [{"ok": 1}], 'x[0]: expected {"Ok": …} or {"Err": …}'),
    ("map", [["a", 1]], "x: expected a Map<String, Point> (an object)"),
    ("map_of_numbers", {"70000": 1.0}, "x.70000: 70000 is no Int16"),
    ("map_of_numbers", {"one": 1.0}, 'x.one: the key "one" is no Int16'),
    ("map_of_numbers", {"01": 1.0}, 'x.01: the key "01" is written 1'),
    ("map_of_bools", {"yes": "a"}, "x.yes: expected a Bool"),
    ("map_of_pairs", {"a": 1}, "(an array of pairs)"),
    ("map_of_pairs", [[1, 2, 3]], "x[0]: expected a pair [key, value]"),
    ("box", {"inside": 1, "more": [{"inside": 70000}]}, "x.more[0].inside: 70000 is no Int16"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_what_is_no_value(sink: Running, name: str, value: Any, message: str) -> None:
    with pytest.raises(WrongArguments) as raised:
        sink.call(name, [value])
    assert message in str(raised.value)


def test_arguments(sink: Running) -> None:
    for arguments, message in (
        ([], "x: `x: Int8` is missing"),
        ([1, 2], "`int8` takes 1 arguments, found 2"),
        ({}, "x: `x: Int8` is missing"),
        ({"y": 1}, 'there is no "y"'),
    ):
        with pytest.raises(Refused, match="^" + message.replace("(", r"\(")):
            sink.call("int8", arguments)
    with pytest.raises(Refused, match="there is no function `nope`; there are: bool, box"):
        sink.call("nope", [])


def test_defaults(sink: Running) -> None:
    assert sink.call("point", [{"x": 5}]) == {"x": 5, "y": 7, "tags": [], "note": None}
    assert sink.call("shape", [{"Empty": []}]) == "Empty"
    assert math.isinf(float(sink.call("float64", ["-Infinity"])))
    deep: Any = {"inside": 1, "more": []}
    for _ in range(500):
        deep = {"inside": 1, "more": [deep]}
    assert sink.call("box", [deep]) == deep
