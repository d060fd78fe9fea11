"""Characters to raw tokens.

One regular expression finds every token; comments are kept apart, because only the formatter and the
documentation want them. A newline is no token here: each token knows whether one came before it, and
`dolbuild.syntax.layout` decides which of them end a statement.
"""

import re
from dataclasses import dataclass, field

from dolbuild.diagnostics import Diagnostic, at
from dolbuild.source import SourceFile, Span


class Token:
    """A terminal of the grammar. ``start`` and ``end`` are offsets in the text.

    A plain class with slots, not lark's own token: half the cost to make, and lark asks for ``type`` only.
    """

    __slots__ = ("end", "nl", "start", "type", "value")

    def __init__(self, type_: str, value: str, start: int, end: int, nl: bool = False) -> None:
        self.type = type_
        self.value = value
        self.start = start
        self.end = end
        self.nl = nl

    def __repr__(self) -> str:
        return f"{self.type}({self.value!r})"

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment with its place. *doc* says that it documents what follows (``///``)."""

    start: int
    end: int
    doc: bool


@dataclass(slots=True)
class Scan:
    """What the lexer gives for one file."""

    tokens: list[Token] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)
    """Offsets of what was left out; what the parser finds wrong around them follows from that."""


HARD_KEYWORDS = frozenset(
    [
        "fun",
        "pub",
        "use",
        "sex",
        "if",
        "else",
        "while",
        "for",
        "in",
        "loop",
        "match",
        "forall",
        "return",
        "break",
        "continue",
        "let",
        "var",
        "const",
        "true",
        "false",
        "as",
        "and",
        "or",
        "not",
    ]
)
"""Always keywords, except after a point (``e.match``)."""

SOFT_KEYWORDS = frozenset(
    [
        "test",
        "system",
        "spirit",
        "module",
        "law",
        "type",
        "requires",
        "uses",
        "mod",
        "val",
        "has",
        "is",
        "exists",
        "enum",
        "constraint",
        "trait",
        "gene",
        "impl",
    ]
)
"""Keywords only where what follows fits; `dolbuild.syntax.layout` decides."""

KEYWORDS = {word: word.upper() for word in HARD_KEYWORDS | SOFT_KEYWORDS}
_WORD_OPERATORS = {"and": "ANDAND", "or": "OROR", "not": "BANG"}
KEYWORDS.update(_WORD_OPERATORS)

_OPERATORS = {
    "...": "ELLIPSIS", "..=": "DOTDOTEQ", "..": "DOTDOT", ".*": "DOTSTAR", ".": "DOT",
    "<<=": "SHLEQ", ">>=": "SHREQ", "<<": "SHL", "<=": "LE", ">=": "GE", "<": "LT", ">": "GT",
    "->": "ARROW", "=>": "FATARROW", "==": "EQEQ", "!=": "NE", "=": "ASSIGN", "!": "BANG",
    "+=": "PLUSEQ", "-=": "MINUSEQ", "*=": "STAREQ", "/=": "SLASHEQ", "%=": "PERCENTEQ",
    "&=": "AMPEQ", "|=": "BAREQ", "^=": "CARETEQ", "&&": "ANDAND", "||": "OROR", "|>": "PIPE",
    "+": "PLUS", "-": "MINUS", "*": "STAR", "/": "SLASH", "%": "PERCENT", "&": "AMP", "|": "BAR",
    "^": "CARET", "?": "QUESTION", ",": "COMMA", ":": "COLON", ";": "SEMI", "(": "LPAR", ")": "RPAR",
    "[": "LBRACK", "]": "RBRACK", "{": "LBRACE", "}": "RBRACE", "@": "AT",
}  # fmt: skip

_NUMBER = r"0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+"
_AT_PATH = (
    r"@https://(?:[^\s\"'{}(),;:]|:(?=\d))*[^\s\"'{}(),;:.]"
    r"|@git:[\w.-]+(?::\d+)?(?:/[\w.-]*[\w-])+"
    r"|@[\w-]+/[\w-]+(?:\.[A-Za-z_]\w*)*"
)
_PATTERN = re.compile(
    r"[ \t\r]*(?:"
    r"(?P<EXEGESIS>exegesis(?=[ \t\r\n]*\{))"
    r"|(?P<NAME>[A-Za-z_]\w*)"
    r"|(?P<NL>\n)"
    r"|(?P<LINE>//[^\n]*|--(?=[ \-=\r\n]|\Z)[^\n]*)"
    r"|(?P<BLOCK>/\*)"
    rf"|(?P<FLOAT>(?<![\w)\]]\.)\d[\d_]*(?:\.\d[\d_]*(?:[eE][+-]?\d+)?|[eE][+-]?\d+)(?![A-Za-z_]))"
    rf"|(?P<INT>{_NUMBER}|\d[\d_]*)"
    r'|(?P<STRING>"[^"\\\n]*(?:\\.[^"\\\n]*)*")'
    r"|(?P<CHAR>'(?:[^'\\\n]|\\[^u\n]|\\u\{[0-9a-fA-F]{1,6}\})')"
    rf"|(?P<ATPATH>{_AT_PATH})"
    rf"|(?P<OP>{'|'.join(re.escape(op) for op in sorted(_OPERATORS, key=len, reverse=True))})"
    r"|(?P<BAD>[^ \t\r\n])"
    r")",
)
_BLOCK_MARK = re.compile(r"/\*|\*/")
_BRACE = re.compile(r"[{}]")


def _skip_block_comment(text: str, start: int) -> int:
    """The offset after the (nesting) comment that starts at *start*, or -1 where it is not closed."""
    depth = 0
    for mark in _BLOCK_MARK.finditer(text, start):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return -1


def _skip_braces(text: str, start: int) -> int:
    """The offset after the brace that closes the first one at or after *start*, or -1."""
    depth = 0
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return brace.end()
    return -1


def scan(source: SourceFile) -> Scan:
    """All tokens and comments of a file. What cannot be read is reported and left out."""
    result = Scan()
    text = source.text
    tokens, comments = result.tokens, result.comments
    push, keywords, operators = tokens.append, KEYWORDS, _OPERATORS
    match = _PATTERN.match
    position, newline = 0, False

    def report(start: int, end: int, code: str, message: str, hint: str = "") -> None:
        result.diagnostics.append(at(source, Span(start, end), code, message, hint))

    while found := match(text, position):
        kind = found.lastgroup or ""
        start, position = found.span(kind)
        if kind == "NAME":
            value = found[kind]
            push(Token(keywords.get(value, "NAME"), value, start, position, newline))
        elif kind == "NL":
            newline = True
            continue
        elif kind == "OP":
            value = found[kind]
            push(Token(operators[value], value, start, position, newline))
        elif kind == "LINE":
            doc = text.startswith("///", start) and not text.startswith("////", start)
            comments.append(Comment(start, position, doc))
            continue
        elif kind == "BLOCK":
            end = _skip_block_comment(text, start)
            if end < 0:
                report(start, start + 2, "E0102", "this comment is never closed", "close it with `*/`")
                end = len(text)
            comments.append(Comment(start, end, False))
            newline = newline or "\n" in text[start:end]
            position = end
            continue
        elif kind == "EXEGESIS":
            end = _skip_braces(text, start)
            if end < 0:
                report(start, position, "E0102", "this exegesis is never closed", "close it with `}`")
                end = len(text)
            position = end
            push(Token("EXEGESIS", text[start:end], start, end, newline))
        elif kind == "BAD":
            value = found[kind]
            if value == '"':
                position = _end_of_line(text, start)
                report(start, position, "E0103", "this string has no closing quote on its line")
                push(Token("STRING", '""', start, position, newline))
            elif value == "'":
                report(start, position, "E0103", "this is no character literal", "write one as 'a'")
            else:
                report(start, position, "E0101", f"{_name(value)} means nothing in DOL")
            result.bad.append(start)
            newline = False
            continue
        else:
            push(Token(kind, found[kind], start, position, newline))
            if kind == "INT" and text[position : position + 1].isidentifier():
                end = position
                while end < len(text) and (text[end].isalnum() or text[end] == "_"):
                    end += 1
                report(start, end, "E0104", f"`{text[start:end]}` is no number")
                position = end
        newline = False
    return result


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _name(char: str) -> str:
    return f"`{char}`" if char.isprintable() else f"the character U+{ord(char):04X}"
