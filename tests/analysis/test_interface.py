"""The bytes of an interface change only when something changes that another module can see."""

import json
import random

import pytest

from dolbuild.compiler import extract_interface

DECLARATIONS = [
    "pub fun one(a: Int64, b: List<Point> = []) -> Option<Int64> { return None }",
    "pub(spirit) fun two<T: Shape>(x: T) -> Int64 { return x.area() }",
    "pub gene Point {\n has x: Int64\n has y: Int64 = 0\n pub fun sum(self) -> Int64 { return this.x + this.y }\n}",
    "pub trait Shape {\n fun area(self) -> Int64\n}",
    "pub const LIMIT: Int64 = 5 * 5",
    "pub type Points = List<Point>",
    "fun hidden() -> Int64 { return 1 }",
    "use other.Thing",
    "pub use other.{ shown }",
    "impl Shape for Point {\n fun area(self) -> Int64 { return this.x * this.y }\n}",
    "mod inner {\n pub fun deep() -> Int64 { return 1 }\n fun hidden() { }\n}",
]


def doli(declarations: list[str], glue: str = "\n") -> bytes:
    return extract_interface("src/a.dol", "a", glue.join(declarations).encode()).doli


BASE = doli(DECLARATIONS)


@pytest.mark.parametrize("seed", range(20))
def test_order_comments_and_layout_do_not_matter(seed: int) -> None:
    random_ = random.Random(seed)
    shuffled = random_.sample(DECLARATIONS, len(DECLARATIONS))
    assert doli(shuffled, "\n\n// a comment\n/// documentation\n") == BASE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return None", "return Some(a)"),
        ("return this.x + this.y", "n = this.x\n return n + this.y"),
        ("fun hidden() -> Int64 { return 1 }", 'fun hidden() -> String { return "" }\nfun another() { }'),
        ("use other.Thing", "use other.Thing2\nuse more.Thing3"),
        ("5 * 5", "25 * 1"),
        ("b: List<Point> = []", "b: List<Point> = [Point { x: 1 }]"),
        ("has y: Int64 = 0", "has y: Int64 = 7"),
        ("fun hidden() { }", "fun concealed() { }"),
    ],
)
def test_what_no_one_else_can_see_does_not_matter(old: str, new: str) -> None:
    assert doli([text.replace(old, new) for text in DECLARATIONS]) == BASE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a: Int64", "a: Int32"),
        ("a: Int64", "first: Int64"),
        ("b: List<Point> = []", "b: List<Point>"),
        ("pub(spirit)", "pub"),
        ("has y: Int64 = 0", "has y: Int64"),
        ("has x: Int64", "has x: UInt64"),
        ("T: Shape", "T"),
        ("fun area(self) -> Int64\n", "fun area(self) -> Int64\n fun more(self)\n"),
        ("pub fun sum", "fun sum"),
        ("5 * 5", "25"),
        ("shown", "shown as other"),
        ("pub fun deep", "pub(spirit) fun deep"),
        ("pub fun one", "pub sex fun one"),
        ("List<Point>", "Set<Point>"),
    ],
)
def test_what_others_see_matters(old: str, new: str) -> None:
    assert doli([text.replace(old, new, 1) for text in DECLARATIONS]) != BASE


def test_the_encoding() -> None:
    value = json.loads(BASE)
    assert value["format"] == 3
    assert value["broken"] is False
    assert list(value["items"]) == ["LIMIT", "Point", "Points", "Shape", "one", "two"]
    assert value["items"]["one"] == {
        "kind": "function",
        "vis": "pub",
        "sex": False,
        "params": [["a", ["name", "Int64", []], False], ["b", ["name", "List", [["name", "Point", []]]], True]],
        "result": ["name", "Option", [["name", "Int64", []]]],
    }
    assert BASE.endswith(b"\n")
    assert b" " not in BASE.replace(b"\n", b"")


def test_a_broken_file_says_so() -> None:
    assert json.loads(doli(["pub fun f( {", *DECLARATIONS]))["broken"] is True
