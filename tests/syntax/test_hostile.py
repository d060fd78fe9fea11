"""Text that nobody would write: a diagnostic or a tree, never a traceback, and never for long."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolbuild import compiler
from dolbuild.analysis.resolution import Package
from dolbuild.source import SourceFile
from dolbuild.syntax.parser import parse
from dolbuild.syntax.tokens import scan
from tests.support.programs import compile_case

BLOCKS = sorted((Path(__file__).parents[1] / "spec" / "blocks").glob("*.dol"))
WORDS = (
    "pub fun gene trait impl mod use sex has type enum match if else for in while loop return let var const test"
    " a b Some None ( ) [ ] { } < > , . .. ... : ; -> => = == + - * / | || & ? ! @ @a/b 1 2.5 \"x\" 'c' // /* */"
    " exegesis forall exists x => \n"
).split(" ")


def survives(text: str) -> None:
    """The whole front end takes the text."""
    compile_case({"lib": text})


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_random_bytes(data: bytes) -> None:
    parsed = compiler.parse_bytes("x.dol", data)
    assert parsed.file is not None
    compiler.extract_interface("x.dol", "x", data)


@given(st.lists(st.sampled_from(WORDS), max_size=60))
@settings(max_examples=400, deadline=None)
def test_random_words(words: list[str]) -> None:
    survives(" ".join(words))


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_text(text: str) -> None:
    survives(text)


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.stem)
def test_every_prefix(path: Path) -> None:
    text = path.read_text("utf-8")
    for end in range(len(text)):
        compiler.parse_bytes("x.dol", text[:end].encode())
    for end in range(0, len(text), max(1, len(text) // 150)):
        survives(text[:end])


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.stem)
def test_every_token_left_out(path: Path) -> None:
    text = path.read_text("utf-8")
    tokens = scan(SourceFile("", text)).tokens
    for token in tokens:
        survives(text[: token.start] + text[token.end :])


LARGE = {
    "open brackets": "pub fun f() { " + "(" * 10_000,
    "open braces": "{" * 10_000,
    "closed brackets": ")" * 10_000,
    "angle brackets": "pub fun f(a: " + "List<" * 5_000,
    "less than": "pub fun f() { a" + "<a" * 20_000 + " }",
    "one long name": "pub fun " + "a" * 1_000_000 + "() { }",
    "one long line": "pub fun f() -> Int64 { return " + "1 + " * 200_000 + "1 }",
    "one long text": 'pub fun f() -> String { return "' + "x" * 5_000_000 + '" }',
    "one long comment": "/*" * 100_000 + "*/" * 100_000,
    "many minus signs": "pub fun f() -> Int64 { return " + "-" * 100_000 + "1 }",
    "many points": "pub fun f(a: Int64) { a" + ".b" * 50_000 + " }",
    "many arrows": "pub fun f() { x = " + "a => " * 5_000 + "1 }",
    "many elses": "pub fun f(a: Bool) { if a { } " + "else if a { } " * 20_000 + " }",
    "many declarations": "fun f() { }\n" * 20_000,
    "many bars": "pub fun f() { x = " + "|" * 20_000 + " }",
    "many ats": "@" * 100_000,
    "one long number": "pub const A: Int64 = " + "9" * 1_000_000,
    "null bytes": "\0" * 10_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_and_odd(name: str) -> None:
    started = time.monotonic()
    parsed = parse(SourceFile("x.dol", LARGE[name]))
    assert parsed.diagnostics or parsed.file.items or parsed.comments
    # generous, for a busy machine: what this is about is quadratic and exponential time
    assert time.monotonic() - started < 60


def test_a_line_of_50_megabytes() -> None:
    text = "pub fun f() -> Int64 { return 1 } //" + "x" * (50 * 1024 * 1024)
    parsed = parse(SourceFile("x.dol", text))
    assert parsed.diagnostics == ()


def test_three_independent_mistakes_are_three_reports() -> None:
    text = (
        "pub fun a() -> Int64 { return 1 + }\n"
        "pub fun good() -> Int64 { return 1 }\n"
        "pub fun b( -> Int64 { return 2 }\n"
        "pub gene C { has : Int64 }\n"
    )
    parsed = parse(SourceFile("x.dol", text))
    assert sorted(d.place.line for d in parsed.diagnostics if d.place) == [1, 3, 4]
    assert [getattr(item, "name", "") for item in parsed.file.items] == ["good"]


def test_closures_of_imports_end() -> None:
    """A hundred modules that re-export each other in a circle."""
    files = {f"m{i}": f"pub use m{(i + 1) % 100}.x\n" for i in range(100)}
    built = compile_case({**files, "lib": "use m0.x\npub fun f() -> Int64 { return x() }\n"})
    assert "E0203" in {d.code for d in built.diagnostics}
    assert Package("p", frozenset()).modules == frozenset()
