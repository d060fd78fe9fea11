"""Every ``dol`` block of the specification parses as it stands there."""

from pathlib import Path

import pytest

from dolbuild.source import SourceFile
from dolbuild.syntax.layout import Layout
from dolbuild.syntax.parser import parse
from dolbuild.syntax.tokens import scan
from tests.support.workspaces import EXAMPLES

BLOCKS = sorted((Path(__file__).parents[1] / "spec" / "blocks").glob("*.dol"))


def test_there_are_24_blocks() -> None:
    assert len(BLOCKS) == 24


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.stem)
def test_block_parses(path: Path) -> None:
    parsed = parse(SourceFile(path.name, path.read_text("utf-8")))
    assert parsed.diagnostics == ()
    assert parsed.file.items


def tokens(text: str) -> list[tuple[str, str]]:
    scanned = scan(SourceFile("", text))
    layout = Layout(SourceFile("", text), scanned)
    assert layout.run()
    return [(token.type, " ".join(token.value.split())) for token in layout.tokens]


def block_with(text: str) -> Path:
    """The block of the specification that begins as the given file does."""
    first = text.split("\n", 1)[0].strip()
    (found,) = [path for path in BLOCKS if path.read_text("utf-8").split("\n", 1)[0].strip() == first]
    return found


@pytest.mark.parametrize(
    "name", ["Spirit.dol", "src/lib.dol", "src/arithmetic.dol", "src/trig.dol", "tests/arithmetic_test.dol"]
)
def test_example_1_is_built_as_it_is_written(name: str) -> None:
    """Token for token; only the body of ``taylor_sin``, which the specification leaves out, is ours."""
    ours = (EXAMPLES / "math-spirit" / name).read_text("utf-8")
    if name == "src/lib.dol":
        (given,) = [path for path in BLOCKS if "pub use arithmetic" in path.read_text("utf-8")]
    else:
        given = block_with(ours)
    theirs = given.read_text("utf-8")
    if name == "src/trig.dol":
        head = tokens(theirs)[:-1]  # up to the brace that closes the empty body
        assert tokens(ours)[: len(head)] == head
    else:
        assert tokens(ours) == tokens(theirs)
