"""The parse tables: built from the grammar once, shipped, and loaded in a tenth of the time.

``tables.bin`` is what lark saves, compressed, behind a line that names the grammar and the lark that it
was made with. Where that line does not fit, the tables are built from the grammar as if the file were not
there. After a change of the grammar::

    python -m dolbuild.syntax.tables
"""

import io
import pickle
import zlib
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from lark import Lark
from lark.lexer import Lexer

GRAMMAR = Path(__file__).with_name("grammar.lark")
SHIPPED = Path(__file__).with_name("tables.bin")
START = "item"


class NoLexer(Lexer):
    """lark wants a lexer; ours runs before it."""

    def __init__(self, conf: object) -> None:
        pass

    def lex(self, *arguments: object) -> NoReturn:
        raise AssertionError("tokens are fed to the parser directly")


def header() -> bytes:
    """The line that the shipped tables must begin with."""
    grammar = sha256(GRAMMAR.read_bytes()).hexdigest()
    return f"lark {version('lark')} grammar {grammar}\n".encode()


def build(transformer: object = None) -> Any:
    """The parser, made from the grammar."""
    return Lark(
        GRAMMAR.read_text("utf-8"),
        parser="lalr",
        lexer=NoLexer,
        start=START,
        maybe_placeholders=True,
        transformer=transformer,
    )


def load(transformer: object) -> Any:
    """The parser with a transformer bound to it, from the shipped tables where they fit."""
    expected = header()
    try:
        data = SHIPPED.read_bytes()
    except OSError:
        return build(transformer)
    if not data.startswith(expected):
        return build(transformer)
    # the file is part of this package, as trusted as its code
    saved = pickle.loads(zlib.decompress(data[len(expected) :]))  # noqa: S301
    parser: Any = Lark.__new__(Lark)
    return parser._load(saved, transformer=transformer)


def save(path: Path) -> None:
    """Write the tables to a file."""
    out = io.BytesIO()
    build().save(out)
    path.write_bytes(header() + zlib.compress(out.getvalue(), 9))


if __name__ == "__main__":
    import dolbuild.syntax.tables as module

    module.save(module.SHIPPED)
