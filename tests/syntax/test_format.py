"""The formatter keeps the tree and the comments, and formatting twice changes nothing."""

import random
from pathlib import Path

import pytest

from dolbuild.source import SourceFile
from dolbuild.syntax.format import format_source
from dolbuild.syntax.layout import Layout
from dolbuild.syntax.parser import parse
from dolbuild.syntax.tokens import scan
from tests.support.trees import same_tree

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for folder in (
        "tests/spec/blocks",
        "tests/language",
        "dolbuild/std",
        "dolbuild/analysis",
        "examples",
        "tests/spec/workspace",
    )
    for path in (ROOT / folder).rglob("*.dol")
    if "target" not in path.parts
)
GOOD = [path for path in FILES if not parse(SourceFile("", path.read_text("utf-8"))).broken]


def formatted(text: str) -> str:
    result = format_source(SourceFile("x.dol", text))
    assert result.text is not None, result.diagnostics
    return result.text


@pytest.mark.parametrize("path", GOOD, ids=lambda path: str(path.relative_to(ROOT)))
def test_real_files(path: Path) -> None:
    text = path.read_text("utf-8")
    once = formatted(text)
    assert formatted(once) == once
    assert same_tree(parse(SourceFile("", text)).file, parse(SourceFile("", once)).file)
    assert comments(text) == comments(once)
    assert all(line == line.rstrip() for line in once.split("\n"))


def comments(text: str) -> list[str]:
    return [text[c.start : c.end].rstrip() for c in scan(SourceFile("", text)).comments]


@pytest.mark.parametrize("seed", range(40))
def test_blanks_do_not_matter(seed: int) -> None:
    """However the blanks of a file are set, it is formatted to the same text."""
    random_ = random.Random(seed)
    path = random_.choice([p for p in GOOD if "exegesis" not in p.read_text("utf-8")])
    text = path.read_text("utf-8")
    assert formatted(respaced(text, random_)) == formatted(text)


def respaced(text: str, random_: random.Random) -> str:
    """The same lines with other blanks: none where tokens need none between them, or several."""
    scanned = scan(SourceFile("", text))
    parts = sorted([*scanned.tokens, *scanned.comments], key=lambda part: part.start)
    out, end = [], 0
    for part in parts:
        between = text[end : part.start]
        if "\n" in between:
            out.append("\n" * min(between.count("\n"), 2) + " " * random_.randrange(9))
        elif between:
            out.append(" " * random_.randrange(1, 4))
        out.append(text[part.start : part.end])
        end = part.end
    return "".join(out) + "\n"


def test_a_sample() -> None:
    text = (
        "use   a.b.{x,y  as z}\n\n\n\npub fun f( a:Int64,b : List< Int64 > )->Int64{ // sums\n"
        "  if a>b[ 0 ]&&!c{return -a}\n\n   x=f( a,\nb )\n       .g()\n// done\n  xs.map(|p,q|p+q)\n"
        " match x{\n1|2=>{3}\n_{4}\n}\n\n}\n"
    )
    assert formatted(text) == (
        "use a.b.{ x, y as z }\n\npub fun f(a: Int64, b: List<Int64>) -> Int64 {  // sums\n"
        "    if a > b[0] && !c { return -a }\n\n    x = f(a,\n        b)\n        .g()\n    // done\n"
        "    xs.map(|p, q| p + q)\n    match x {\n        1 | 2 => { 3 }\n        _ { 4 }\n    }\n}\n"
    )


def test_what_does_not_parse_is_left_alone() -> None:
    result = format_source(SourceFile("x.dol", "pub fun f( { }\n"))
    assert result.text is None
    assert result.diagnostics


def test_layout_of_formatted_text_has_the_same_tokens() -> None:
    for path in GOOD[:60]:
        text = path.read_text("utf-8")
        assert kinds(formatted(text)) == kinds(text)


def kinds(text: str) -> list[str]:
    layout = Layout(SourceFile("", text), scan(SourceFile("", text)))
    assert layout.run()
    return [token.type for token in layout.tokens]
