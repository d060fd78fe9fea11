"""Diagnostics: what is wrong, where, and what would mend it.

A diagnostic carries everything that is needed to show it (its place in lines and columns and the text of
the source line), so that a warning that comes out of a cache reads like a fresh one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from dolbuild.source import Place, SourceFile, Span

MAX_SHOWN_LINE = 160
"""Longer source lines are cut around the caret when shown."""


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message. *code* is ``E`` or ``W`` with four digits; ``docs/errors.md`` lists them."""

    code: str
    message: str
    place: Place | None = None
    line_text: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    rooted: bool = False
    """Whether the file is seen from the workspace already."""

    @property
    def severity(self) -> Severity:
        return Severity.WARNING if self.code.startswith("W") else Severity.ERROR

    def in_folder(self, folder: str) -> "Diagnostic":
        """The same diagnostic with its file seen from outside *folder* (a path with ``/``, or empty)."""
        if self.place is None or not folder or self.rooted:
            return self
        return replace(self, place=replace(self.place, file=f"{folder}/{self.place.file}"), rooted=True)

    def to_json(self) -> dict[str, Any]:
        """A JSON value; lines and columns count from 1, the end is exclusive."""
        value: dict[str, Any] = {"code": self.code, "severity": str(self.severity), "message": self.message}
        if self.place is not None:
            value |= {
                "file": self.place.file,
                "line": self.place.line,
                "column": self.place.column,
                "end_line": self.place.end_line,
                "end_column": self.place.end_column,
                "text": self.line_text,
            }
        if self.hint:
            value["hint"] = self.hint
        if self.notes:
            value["notes"] = list(self.notes)
        return value

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Diagnostic":
        """The inverse of `to_json`."""
        place = None
        if "file" in value:
            place = Place(value["file"], value["line"], value["column"], value["end_line"], value["end_column"])
        return Diagnostic(
            value["code"],
            value["message"],
            place,
            value.get("text", ""),
            value.get("hint", ""),
            tuple(value.get("notes", ())),
        )


def at(
    source: SourceFile, span: Span, code: str, message: str, hint: str = "", notes: Iterable[str] = ()
) -> Diagnostic:
    """A diagnostic at a span of a source file."""
    place = source.place(span)
    return Diagnostic(code, message, place, source.line_text(place.line), hint, tuple(notes))


def in_file(file: str, code: str, message: str, hint: str = "") -> Diagnostic:
    """A diagnostic about a file as a whole."""
    return Diagnostic(code, message, Place(file, 1, 1, 1, 1), "", hint)


class DiagnosticError(Exception):
    """Raised where work cannot go on; carries what the user is to be told."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in diagnostics))
        self.diagnostics = diagnostics


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(d.severity is Severity.ERROR for d in diagnostics)


def sort_key(diagnostic: Diagnostic) -> tuple[str, int, int, str, str]:
    """Order of showing: by file, then place, then code."""
    place = diagnostic.place
    if place is None:
        return ("", 0, 0, diagnostic.code, diagnostic.message)
    return (place.file, place.line, place.column, diagnostic.code, diagnostic.message)


_STYLES = {
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "bold": "\x1b[1m",
    "frame": "\x1b[1;34m",
    "off": "\x1b[0m",
}
_PLAIN = dict.fromkeys(_STYLES, "")


def _visible(text: str) -> str:
    """Text from a user's file made safe for a terminal: control characters become visible."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _window(text: str, column: int) -> tuple[str, int]:
    """Cut a long line around *column* (from 1); gives the text and the column in it."""
    if len(text) <= MAX_SHOWN_LINE:
        return text, column
    start = max(0, min(column - 1 - MAX_SHOWN_LINE // 2, len(text) - MAX_SHOWN_LINE))
    return text[start : start + MAX_SHOWN_LINE], column - start


def render(diagnostic: Diagnostic, *, color: bool = False) -> str:
    """The diagnostic as lines of text, ending in a newline."""
    style = _STYLES if color else _PLAIN
    kind = str(diagnostic.severity)
    lines = [
        f"{style[kind]}{kind}[{diagnostic.code}]{style['off']}"
        f"{style['bold']}: {_visible(diagnostic.message)}{style['off']}"
    ]
    place = diagnostic.place
    bar = f"{style['frame']}|{style['off']}"
    pad = " "
    if place is not None:
        number = str(place.line)
        pad = " " * len(number)
        where = place.file if not diagnostic.line_text else f"{place.file}:{place.line}:{place.column}"
        lines.append(f"{pad}{style['frame']}-->{style['off']} {where}")
        if diagnostic.line_text:
            text, column = _window(_visible(diagnostic.line_text), place.column)
            width = place.end_column - place.column if place.end_line == place.line else len(text) - column + 1
            width = max(1, min(width, len(text) - column + 1))
            blank = "".join("\t" if c == "\t" else " " for c in text[: column - 1])
            lines.append(f"{pad} {bar}")
            lines.append(f"{style['frame']}{number}{style['off']} {bar} {text}")
            lines.append(f"{pad} {bar} {blank}{style[kind]}{'^' * width}{style['off']}")
    lines.extend(f"{pad} {style['frame']}={style['off']} note: {_visible(note)}" for note in diagnostic.notes)
    if diagnostic.hint:
        lines.append(f"{pad} {style['frame']}={style['off']} hint: {_visible(diagnostic.hint)}")
    return "\n".join(lines) + "\n"
