"""The canonical layout of a file: spaces, indentation and blank lines.

Lines are kept as they are broken: where a line ends can carry meaning, and always carries the writer's
intention. Everything between is settled: one blank or none between two tokens, four for each level, at most
one empty line in a row and none at the ends of a block. Comments stay where they are. The tree never changes.
"""

from dataclasses import dataclass

from dolbuild.diagnostics import Diagnostic, has_errors
from dolbuild.source import SourceFile
from dolbuild.syntax import tree as t
from dolbuild.syntax.layout import EXPRESSION_NEXT, Layout
from dolbuild.syntax.parser import parse
from dolbuild.syntax.tokens import Comment, Token, scan

INDENT = "    "
_OPEN = frozenset("LPAR LPARC LBRACK LBRACE LREC".split())
_CLOSE = frozenset("RPAR RBRACK RBRACE".split())
_FLAT = frozenset("LPAR LPARC LBRACK LREC".split())
_NONE_AFTER = frozenset("LPAR LPARC LBRACK DOT LANGLE DOTDOT DOTDOTEQ".split())
_NONE_BEFORE = frozenset("RPAR RBRACK COMMA DOT QDOT DOTSTAR QUESTION COLON LANGLE RANGLE DOTDOT DOTDOTEQ".split())
_VALUE_ENDS = frozenset(
    "NAME ATPATH RPAR RBRACK RANGLE QUESTION STRING CHAR INT FLOAT TRUE FALSE RBRACE ELLIPSIS".split()
)
_CALLABLE = frozenset("NAME ATPATH RPAR RBRACK RANGLE QUESTION PUB".split())


@dataclass(frozen=True, slots=True)
class Formatted:
    """The text in its canonical layout; None where the file could not be parsed, with the reasons."""

    text: str | None
    diagnostics: tuple[Diagnostic, ...] = ()


def format_source(source: SourceFile) -> Formatted:
    """Format one file. What does not parse is left alone."""
    text = source.text.replace("\r\n", "\n")
    plain = SourceFile(source.name, text)
    parsed = parse(plain)
    if has_errors(parsed.diagnostics):
        return Formatted(None, parsed.diagnostics)
    scanned = scan(plain)
    layout = Layout(plain, scanned)
    layout.run()
    return Formatted(_Printer(plain, layout.tokens, scanned.comments, _exegeses(parsed.file)).run())


def _exegeses(file: t.File) -> dict[int, str]:
    """The text of each exegesis, by its offset."""
    return {part.start: part.text for part in t.walk(file) if isinstance(part, t.Exegesis)}


@dataclass(slots=True)
class _Bracket:
    """An open bracket: its kind, the line that opened it, and whether it indents what follows."""

    kind: str
    line: int
    indents: bool = False


class _Printer:
    def __init__(
        self, source: SourceFile, tokens: list[Token], comments: list[Comment], exegeses: dict[int, str]
    ) -> None:
        self.text = source.text
        self.parts: list[Token | Comment] = sorted([*tokens, *comments], key=lambda part: (part.start, part.end))
        self.exegeses = exegeses
        self.out: list[str] = []
        self.line: list[str] = []
        self.line_number = 0
        self.open: list[_Bracket] = []
        self.previous: Token | None = None  # the last token that is not a separator
        self.unary = False  # whether it is a prefix operator
        self.bars = 0
        self.separated = True  # whether a statement begins with the next token
        self.indent = 0
        self.after_bracket = False  # whether the last thing was a token, not a comment

    def run(self) -> str:
        end = 0
        for index, part in enumerate(self.parts):
            between = self.text[end : part.start] if part.start > end else ""
            if isinstance(part, Token) and part.type == "NL":
                self.separator(part)
                continue
            breaks = between.count("\n")
            if breaks and (self.line or self.out):
                self.finish_line()
                closes = isinstance(part, Token) and part.type in _CLOSE
                opened = self.previous is not None and self.previous.type in _OPEN and self.after_bracket
                if breaks > 1 and not closes and not opened and self.out:
                    self.out.append("")
            if isinstance(part, Comment):
                self.comment(part, self.goes_on(index + 1))
            else:
                self.token(part)
            self.after_bracket = isinstance(part, Token)
            end = part.end
        self.finish_line()
        while self.out and not self.out[-1]:
            self.out.pop()
        return "\n".join(self.out) + "\n" if self.out else ""

    # -- lines ------------------------------------------------------------------------------------

    def begin_line(self, first: Token | None) -> None:
        """Settle the indentation of a line from the brackets that are open before it."""
        depth = sum(bracket.indents for bracket in self.open)
        closes = first is not None and first.type in _CLOSE
        if not self.separated and not closes and self.continues():
            depth += 1
        self.indent = depth

    def continues(self) -> bool:
        """Whether a new line goes on with what the line before it began."""
        if self.previous is None or self.previous.type in _OPEN:
            return False
        inside = self.open[-1].kind if self.open else "LBRACE"
        return self.previous.type != "COMMA" if inside in _FLAT else True

    def finish_line(self) -> None:
        if self.line:
            self.out.append((INDENT * self.indent + "".join(self.line)).rstrip())
            self.line = []
        opened = [bracket for bracket in self.open if bracket.line == self.line_number]
        if opened and not any(bracket.indents for bracket in opened):
            opened[0].indents = True
        self.line_number += 1

    def separator(self, part: Token) -> None:
        """The end of a statement: a newline, which the next token brings, or ``;`` or ``,`` in a line."""
        self.separated = True
        char = self.text[part.start : part.start + 1]
        if char in (";", ","):
            rest = self.text[part.start + 1 :].lstrip(" \t")
            if rest and not rest.startswith(("\n", "//", "--", "}")):
                self.line.append(char)

    def goes_on(self, index: int) -> bool:
        """Whether what follows at *index*, after comments, goes on with the statement before them."""
        while index < len(self.parts) and isinstance(self.parts[index], Comment):
            index += 1
        following = self.parts[index] if index < len(self.parts) else None
        return isinstance(following, Token) and following.type != "NL" and following.type not in _CLOSE

    def comment(self, part: Comment, goes_on: bool) -> None:
        text = self.text[part.start : part.end].rstrip()
        if not self.line:
            self.separated = self.separated or not goes_on
            self.begin_line(None)
            self.line.append(text)
        else:
            trailing = text.startswith(("//", "--"))
            self.line.append(("  " if trailing else " ") + text)
        if text.startswith("/*") and "\n" in text:
            self.line_number += text.count("\n")

    def token(self, token: Token) -> None:
        if token.type in _CLOSE and self.open:
            self.open.pop()
        if not self.line:
            self.begin_line(token)
        elif self.space(token):
            self.line.append(" ")
        if token.type == "EXEGESIS":
            self.exegesis(token)
        else:
            self.line.append(token.value)
        self.unary = self.is_prefix(token)
        if token.type in _OPEN:
            self.open.append(_Bracket(token.type, self.line_number))
        if token.type == "CBAR":
            self.bars += 1
        self.previous = token
        self.separated = False

    def exegesis(self, token: Token) -> None:
        text = self.exegeses.get(token.start, "")
        if "\n" not in token.value:
            self.line.append(f"exegesis {{ {text} }}" if text else "exegesis {}")
            return
        inner = INDENT * (self.indent + 1)
        lines = [f"{inner}{line}".rstrip() for line in text.split("\n")] if text else []
        self.line.append("\n".join(["exegesis {", *lines, INDENT * self.indent + "}"]))

    # -- blanks -----------------------------------------------------------------------------------

    def is_prefix(self, token: Token) -> bool:
        """Whether an operator stands before its only operand."""
        if token.type not in ("MINUS", "PLUS", "BANG") or token.value == "not":
            return False
        before = self.previous
        return before is None or self.separated or before.type in EXPRESSION_NEXT or before.type not in _VALUE_ENDS

    def space(self, token: Token) -> bool:
        """Whether a blank stands between the last token of the line and this one."""
        before, kind = self.previous, token.type
        if before is None or self.line[-1].endswith((" ", "*/")):
            return True
        last = before.type
        if self.line[-1] in (";", ","):
            return True
        if last in ("LBRACE", "LREC") and kind == "RBRACE":
            return False
        if last in _NONE_AFTER or self.unary:
            return last == "QDOT"
        if last == "CBAR":
            return self.bars % 2 == 0
        if kind == "CBAR" and self.bars % 2 == 1:
            return False
        if kind in _NONE_BEFORE:
            return False
        if kind in ("LPAR", "LPARC", "LBRACK"):
            return last not in (_CALLABLE if kind != "LBRACK" else _CALLABLE | {"STRING"}) and last != "LANGLE"
        return True
