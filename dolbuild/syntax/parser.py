"""Text to tree.

A file is parsed one top-level declaration at a time, so that a mistake in one does not hide those of the
others. lark's LALR(1) tables are driven directly (`_parse_chunk`): that leaves out its lexer and its
per-token wrappers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lark.parsers.lalr_analysis import Shift

from dolbuild.diagnostics import Diagnostic, at, has_errors
from dolbuild.source import SourceFile, Span
from dolbuild.syntax import tables
from dolbuild.syntax import tree as t
from dolbuild.syntax.build import Builder
from dolbuild.syntax.layout import Layout
from dolbuild.syntax.tokens import Comment, Scan, Token, scan


@dataclass(frozen=True, slots=True)
class Parsed:
    """The tree of a file with what was wrong in it and its comments, in the order of the text."""

    source: SourceFile
    file: t.File
    diagnostics: tuple[Diagnostic, ...]
    comments: tuple[Comment, ...]

    @property
    def broken(self) -> bool:
        """Whether a part of the text is missing from the tree."""
        return has_errors(self.diagnostics)


Reduction = tuple[int, Callable[[list[Any]], Any] | None, str]
"""What a rule does: take so many values off the stack, make one of them (None: the one it is), and go on as
this nonterminal."""


class _Tables:
    """The parse tables with a builder bound to them.

    For each state a dictionary from the type of a token (or the name of a nonterminal) to the next state, an
    int, or to a `Reduction`. This is lark's table with the rules' callbacks looked up once: hashing a rule
    for each reduction took a third of the time.
    """

    def __init__(self) -> None:
        self.builder = Builder()
        parser = tables.load(self.builder).parser.parser
        table, callbacks = parser._parse_table, parser.parser.callbacks
        self.start: int = table.start_states[tables.START]
        self.end: int = table.end_states[tables.START]
        reductions: dict[int, Reduction] = {}
        self.states: dict[int, dict[str, int | Reduction]] = {}
        for state, actions in table.states.items():
            self.states[state] = own = {}
            for name, (action, argument) in actions.items():
                if action is Shift:
                    own[name] = argument
                    continue
                if id(argument) not in reductions:
                    reductions[id(argument)] = _reduction(argument, callbacks)
                own[name] = reductions[id(argument)]


def _reduction(rule: Any, callbacks: Any) -> Reduction:
    """A rule of lark; one that only renames its child has no callback."""
    size = len(rule.expansion)
    renames = size == 1 and rule.alias is None and rule.options.expand1 and rule.origin.name[0] != "_"
    return size, None if renames else callbacks[rule], rule.origin.name


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    return _Tables()


def parse(source: SourceFile) -> Parsed:
    """Parse one file. The tree holds every declaration that could be read."""
    scanned = scan(source)
    diagnostics = list(scanned.diagnostics)
    tokens = _lay_out(source, scanned, diagnostics)
    items: list[t.Item] = []
    if tokens:
        parser = _tables()
        parser.builder.begin(source)
        docs = _doc_texts(source, scanned.comments, tokens)
        for start, end in _chunks(tokens):
            item = _parse_chunk(parser, source, tokens, start, end, diagnostics, scanned.bad)
            if item is not None:
                items.append(item)
        diagnostics += parser.builder.diagnostics
        if docs:
            _attach(items, docs)
    file = t.File(0, len(source.text), items)
    return Parsed(source, file, tuple(diagnostics), tuple(scanned.comments))


def _lay_out(source: SourceFile, scanned: Scan, diagnostics: list[Diagnostic]) -> list[Token]:
    """The tokens of the grammar. Where brackets do not match, declaration by declaration, so that only
    those are lost in which they do not."""
    layout = Layout(source, scanned)
    if layout.run():
        return layout.tokens
    tokens: list[Token] = []
    for part in _declarations(source, scanned.tokens):
        layout = Layout(source, Scan(part))
        if layout.run():
            if tokens:
                tokens.append(Token("NL", "\n", part[0].start, part[0].start))
            tokens += layout.tokens
        elif not _holds_any(part, scanned.bad):
            diagnostics += layout.diagnostics
    return tokens


def _holds_any(tokens: list[Token], offsets: list[int]) -> bool:
    """Whether one of the offsets lies in a range of tokens: its brackets may be lost with what was there."""
    return any(tokens[0].start <= offset <= tokens[-1].end for offset in offsets)


_BEGINS = frozenset("PUB FUN GENE TRAIT IMPL USE CONST VAR TYPE TEST SPIRIT SYSTEM MOD SEX EXEGESIS".split())


def _declarations(source: SourceFile, tokens: list[Token]) -> list[list[Token]]:
    """Raw tokens cut before each line that begins, without indentation, as a declaration does."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        begins = token.type in _BEGINS and source.text[token.start - 1 : token.start] in ("\n", "")
        if begins and parts[-1]:
            parts.append([])
        parts[-1].append(token)
    return [part for part in parts if part]


def _chunks(tokens: list[Token]) -> list[tuple[int, int]]:
    """Ranges of tokens between the newlines that stand outside all brackets."""
    chunks: list[tuple[int, int]] = []
    depth = start = 0
    for index, token in enumerate(tokens):
        kind = token.type
        if kind in _OPENERS:
            depth += 1
        elif kind in _CLOSERS:
            depth -= 1
        elif kind == "NL" and depth == 0:
            if index > start:
                chunks.append((start, index))
            start = index + 1
    if len(tokens) > start:
        chunks.append((start, len(tokens)))
    return chunks


def _parse_chunk(
    parser: _Tables,
    source: SourceFile,
    tokens: list[Token],
    start: int,
    end: int,
    diagnostics: list[Diagnostic],
    bad: list[int],
) -> t.Item | None:
    """One declaration. After a mistake in a statement or member, the rest is parsed without it, so that further
    mistakes are found; the declaration is lost all the same."""
    given = tokens[start:end]
    quiet = _holds_any(given, bad)
    for attempt in range(_MOST_MISTAKES):
        last = given[-1]
        try:
            item: t.Item = _run(parser, [*given, Token("$END", "", last.end, last.end)])
            return item if attempt == 0 else None
        except _Unexpected as error:
            if not quiet:
                diagnostics.append(_unexpected(source, error.token, last, error.expected))
            given = _without_statement(given, error.token)
            if quiet or not given:
                return None
    return None


_MOST_MISTAKES = 10
"""Mistakes of one declaration that are reported."""


def _without_statement(tokens: list[Token], at: Token) -> list[Token]:
    """The tokens without the statement (or member, or arm) in which *at* stands; empty where it stands in
    none, so that nothing can be left out."""
    where = next((index for index, token in enumerate(tokens) if token is at), len(tokens))
    depth = 0
    first = where - 1
    while first >= 0:
        kind = tokens[first].type
        if kind in _CLOSERS:
            depth += 1
        elif kind in _OPENERS:
            if depth == 0 and kind == "LBRACE":
                break
            depth -= depth > 0
        elif kind == "NL" and depth == 0:
            break
        first -= 1
    if first < 0:
        return []
    depth = 0
    end = first + 1
    while end < len(tokens):
        kind = tokens[end].type
        if kind in _OPENERS:
            depth += 1
        elif kind in _CLOSERS:
            if depth == 0:
                break
            depth -= 1
        elif kind == "NL" and depth == 0 and end >= where:
            break
        end += 1
    if tokens[first].type == "NL":
        return tokens[:first] + tokens[end:]  # what follows brings a newline of its own, or a brace
    if end < len(tokens) and tokens[end].type == "NL":
        end += 1
    if end == first + 1:
        return []
    return tokens[: first + 1] + tokens[end:]


_OPENERS = frozenset("LBRACE LREC LPAR LPARC LBRACK".split())
_CLOSERS = frozenset("RBRACE RPAR RBRACK".split())


class _Unexpected(Exception):
    """A token that fits nowhere, and the types that would."""

    def __init__(self, token: Token, expected: frozenset[str]) -> None:
        super().__init__(token.type)
        self.token = token
        self.expected = expected


def _run(parser: _Tables, tokens: list[Token]) -> Any:
    """The LALR(1) automaton (A. V. Aho et al., "Compilers", 2nd edition, algorithm 4.44)."""
    states, end = parser.states, parser.end
    stack = [parser.start]
    values: list[Any] = []
    for token in tokens:
        kind = token.type
        while True:
            action = states[stack[-1]].get(kind)
            if action.__class__ is int:
                stack.append(action)
                values.append(token)
                break
            if action is None:
                raise _Unexpected(token, frozenset(name for name in states[stack[-1]] if name.isupper()))
            size, callback, origin = action  # type: ignore[misc]
            if callback is None:
                stack.pop()
            elif size:
                made = callback(values[-size:])
                del stack[-size:], values[-size:]
                values.append(made)
            else:
                values.append(callback([]))
            following = states[stack[-1]][origin]
            stack.append(following)  # type: ignore[arg-type]
            if following == end and kind == "$END":
                return values[-1]
    raise AssertionError("the last token ends the parse")


_SHOWN = {
    "NAME": "a name", "INT": "a number", "FLOAT": "a number", "STRING": "a string", "CHAR": "a character",
    "NL": "the end of the line", "$END": "the end of the declaration", "LPARC": "`(`", "LREC": "`{`",
    "LANGLE": "`<`", "RANGLE": "`>`", "CBAR": "`|`", "CBARS": "`||`", "ATPATH": "an @path",
    "EXEGESIS": "an exegesis", "LPAR": "`(`", "RPAR": "`)`", "LBRACE": "`{`", "RBRACE": "`}`",
    "LBRACK": "`[`", "RBRACK": "`]`", "COMMA": "`,`", "COLON": "`:`", "ARROW": "`->`", "ASSIGN": "`=`",
    "FATARROW": "`=>`", "ARMARROW": "`=>`", "DOT": "`.`", "QDOT": "`.`", "SEX": "`sex`", "FUN": "`fun`",
    "IN": "`in`", "ENUM": "`enum`", "AS": "`as`",
}  # fmt: skip
_MANY = 5


def _unexpected(source: SourceFile, token: Token, last: Token, expected: frozenset[str]) -> Diagnostic:
    if token.type == "$END":
        found, span = "the declaration ends here", Span(max(last.start, last.end - 1), last.end)
    elif token.type == "NL" and source.text[token.start : token.start + 1] in (";", ","):
        found, span = "the statement ends here", Span(token.start, token.start + 1)
    elif token.type == "NL":
        line_end = source.text.rfind("\n", 0, token.start)
        found, span = "the line ends here", Span(max(0, line_end - 1), max(1, line_end))
    else:
        shown = _SHOWN.get(token.type, "") if token.type in ("STRING", "EXEGESIS") else f"`{token.value}`"
        found, span = f"{shown} does not fit here", token.span
    starts_expression = {"NAME", "INT", "STRING", "MINUS"} <= expected
    if starts_expression:
        wanted = ["an expression"]
    elif len(expected) <= _MANY:
        wanted = sorted({_SHOWN.get(kind, f"`{kind.lower()}`") for kind in expected})
    else:
        wanted = []
    message = found + (f"; expected {' or '.join(wanted)}" if wanted else "")
    hint = ""
    if token.type == "CONST" or (token.type == "NAME" and token.value in ("fn", "func", "def", "function")):
        hint = "a function is declared with `fun`"
    elif token.type == "NAME" and token.value in ("struct", "class"):
        hint = "a type is declared with `gene`"
    elif token.type == "NAME" and token.value in ("import", "from"):
        hint = "import with `use path.{ name }`"
    return at(source, span, "E0106", message, hint)


def _doc_texts(source: SourceFile, comments: list[Comment], tokens: list[Token]) -> dict[int, str]:
    """Runs of ``///`` lines, by the offset of the token that they stand before."""
    docs: dict[int, str] = {}
    wanted = [comment for comment in comments if comment.doc]
    if not wanted:
        return docs
    starts = [token.start for token in tokens if token.type != "NL"]
    position = 0
    for comment in wanted:
        while position < len(starts) and starts[position] < comment.start:
            position += 1
        if position < len(starts):
            line = source.text[comment.start + 3 : comment.end].rstrip()
            line = line.removeprefix(" ")
            before = docs.get(starts[position])
            docs[starts[position]] = line if before is None else f"{before}\n{line}"
    return docs


def _attach(items: list[t.Item], docs: dict[int, str]) -> None:
    for item in items:
        if item.start in docs:
            item.doc = docs[item.start]
        if isinstance(item, t.Module):
            _attach(item.items, docs)
        elif isinstance(item, t.Gene | t.Trait | t.Impl | t.System):
            _attach(item.members, docs)
        elif isinstance(item, t.Spirit):
            _attach(item.entries, docs)
