"""Source text and places in it.

A place inside one file is a pair of offsets, counted in characters (not bytes). Lines and columns are
derived from them only where a person reads them, and are counted from 1.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Span:
    """The characters ``start <= offset < end`` of one file."""

    start: int
    end: int

    def to(self, other: "Span") -> "Span":
        """The span from the start of this one to the end of *other*."""
        return Span(self.start, other.end)


@dataclass(frozen=True, slots=True)
class Place:
    """A span as people count: file name as shown, and lines and columns from 1 (end exclusive)."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


class SourceFile:
    """One file's text with the name under which it is shown."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    @cached_property
    def line_starts(self) -> list[int]:
        """Offsets of the first character of each line; only ``\\n`` ends a line."""
        starts = [0]
        find = self.text.find
        at = find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = find("\n", at + 1)
        return starts

    def line_column(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character offset."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line_text(self, line: int) -> str:
        """The text of a line (counted from 1) without its line ending."""
        start = self.line_starts[line - 1]
        end = self.line_starts[line] - 1 if line < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r")

    def place(self, span: Span) -> Place:
        """The span in lines and columns."""
        line, column = self.line_column(span.start)
        end_line, end_column = self.line_column(max(span.end, span.start))
        return Place(self.name, line, column, end_line, end_column)


def decode(data: bytes) -> str:
    """Decode a source file: UTF-8 with an optional byte order mark.

    Raises UnicodeDecodeError where the bytes are no UTF-8.
    """
    text = data.decode("utf-8")
    return text[1:] if text.startswith("\ufeff") else text
