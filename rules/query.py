"""Questions about the graph: ``deps(spirit:a, 2)``, ``rdeps(module:b/lib) & kind(test, all)``.

A *word* is a name, or a pattern of names with ``*`` and ``?``; ``all`` is everything. Sets are joined with ``+`` (or ``union``), ``-`` (``except``) and ``&`` (``intersect``), from left to right;
operators stand between blanks, since names may hold them. Functions:

- ``deps(x)``, ``deps(x, n)``: what is needed, directly or not, over at most *n* edges; *x* is among it
- ``rdeps(x)``, ``rdeps(x, n)``: what needs it
- ``somepath(a, b)``: the vertices of a shortest way; ``allpaths(a, b)``: all that lie on any way
- ``kind(pattern, x)``, ``filter(pattern, x)``: those of a kind; those whose names hold the pattern
"""

import difflib
import fnmatch
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dolbuild.rules.graph import Edge, Graph

KINDS = ("system", "spirit", "module", "test", "package")
"""Kinds of vertices."""


class WrongQuery(Exception):
    """A question that cannot be understood; *column* counts from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"column {column}: {message}")
        self.column = column


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    column: int


_TOKEN = re.compile(r"\s*([(),]|\"[^\"]*\"|[^\s(),\"]+)")
_OPERATORS = {"+": "+", "union": "+", "-": "-", "except": "-", "&": "&", "intersect": "&"}
DEEPEST = 200
"""Parentheses that may nest."""


def evaluate(graph: Graph, text: str) -> list[str]:
    """The names that are the answer: sorted, those of a path in its order. Raises WrongQuery."""
    return _Query(graph, text).run()


class _Query:
    def __init__(self, graph: Graph, text: str) -> None:
        self.graph = graph
        self.tokens: list[_Token] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise WrongQuery("this text has no end", len(text) - len(text[at:].lstrip()) + 1)
            self.tokens.append(_Token(found[1], found.start(1) + 1))
            at = found.end()
        self.end = len(text) + 1
        self.at = 0
        self.depth = 0

    def run(self) -> list[str]:
        ordered = self.expression()
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            raise WrongQuery(f"`{token.text}` is not expected here; sets are joined with +, - or &", token.column)
        return ordered

    # -- reading ----------------------------------------------------------------------------------

    def peek(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def take(self, what: str) -> _Token:
        if self.at >= len(self.tokens):
            raise WrongQuery(f"expected {what}", self.end)
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, text: str) -> None:
        token = self.take(f"`{text}`")
        if token.text != text:
            raise WrongQuery(f"expected `{text}`, found `{token.text}`", token.column)

    def expression(self) -> list[str]:
        found = self.term()
        while self.peek() in _OPERATORS:
            operator = _OPERATORS[self.take("an operator").text]
            other = set(self.term())
            if operator == "+":
                found = sorted({*found, *other})
            else:
                found = [name for name in found if (name in other) == (operator == "&")]
        return found

    def term(self) -> list[str]:
        token = self.take("a name, a pattern or a function")
        if token.text == "(":
            self.depth += 1
            if self.depth > DEEPEST:
                raise WrongQuery("this nests too deeply", token.column)
            found = self.expression()
            self.expect(")")
            self.depth -= 1
            return found
        if token.text in (")", ",") or token.text in _OPERATORS:
            raise WrongQuery(f"expected a name, a pattern or a function, found `{token.text}`", token.column)
        if self.peek() == "(":
            return self.function(token)
        return self.names(token)

    def names(self, token: _Token) -> list[str]:
        """The vertices that a word means."""
        word = token.text.strip('"')
        if word == "all":
            return sorted(self.graph.vertices)
        if word in self.graph.vertices:
            return [word]
        if any(c in word for c in "*?["):
            return sorted(fnmatch.filter(self.graph.vertices, word))
        kinds = [f"{kind}:{word}" for kind in KINDS]
        found = [name for name in kinds if name in self.graph.vertices]
        if not found:
            raise WrongQuery(f"there is nothing named `{word}`{_close(word, self.graph.vertices)}", token.column)
        return found[:1]

    def function(self, token: _Token) -> list[str]:
        self.depth += 1
        if self.depth > DEEPEST:
            raise WrongQuery("this nests too deeply", token.column)
        self.expect("(")
        if token.text in ("deps", "rdeps"):
            start = self.expression()
            depth = self.number() if self.peek() == "," else None
            edges = self.graph.needs if token.text == "deps" else self.graph.needed_by
            found = sorted(reach(edges, start, _target if token.text == "deps" else _source, depth))
        elif token.text in ("somepath", "allpaths"):
            first = self.expression()
            self.expect(",")
            last = self.expression()
            found = path(self.graph, first, last) if token.text == "somepath" else between(self.graph, first, last)
        elif token.text in ("kind", "filter"):
            taken = self.take("a pattern")
            pattern = taken.text.strip('"')
            if token.text == "kind" and not fnmatch.filter(KINDS, pattern):
                raise WrongQuery(f"there is no kind `{pattern}`; there are: {', '.join(KINDS)}", taken.column)
            self.expect(",")
            found = [name for name in self.expression() if self.matches(token.text, pattern, name)]
        else:
            functions = "deps, rdeps, somepath, allpaths, kind, filter"
            raise WrongQuery(f"there is no function `{token.text}`; there are: {functions}", token.column)
        self.expect(")")
        self.depth -= 1
        return found

    def number(self) -> int:
        self.expect(",")
        token = self.take("a number")
        if not (token.text.isascii() and token.text.isdigit()) or len(token.text) > 9:
            raise WrongQuery(f"expected a number of edges, found `{token.text}`", token.column)
        return int(token.text)

    def matches(self, function: str, pattern: str, name: str) -> bool:
        if function == "kind":
            return fnmatch.fnmatchcase(self.graph.vertices[name].kind, pattern)
        return fnmatch.fnmatchcase(name, pattern if any(c in pattern for c in "*?[") else f"*{pattern}*")


def _close(word: str, names: Iterable[str]) -> str:
    bare = {name.partition(":")[2]: name for name in names} | {name: name for name in names}
    close = difflib.get_close_matches(word, bare, 1)
    return f"; did you mean `{bare[close[0]]}`?" if close else "; `dolbuild query all` lists everything"


# -- walks -----------------------------------------------------------------------------------------

_Next = Callable[[Edge], str]


def _target(edge: Edge) -> str:
    return edge.target


def _source(edge: Edge) -> str:
    return edge.source


def reach(
    edges: Mapping[str, list[Edge]], start: Iterable[str], following: _Next, depth: int | None = None
) -> set[str]:
    """What is reached over at most *depth* edges, the start included."""
    found = set(start)
    front = list(found)
    while front and (depth is None or depth > 0):
        after = {following(edge) for name in front for edge in edges.get(name, ())} - found
        found |= after
        front = list(after)
        depth = None if depth is None else depth - 1
    return found


def path(graph: Graph, first: Iterable[str], last: Iterable[str]) -> list[str]:
    """The vertices of a shortest way from one of *first* to one of *last*, in its order; nothing where there is none."""
    goals = set(last)
    before: dict[str, str] = {}
    waiting = deque(sorted(set(first)))
    seen = set(waiting)
    while waiting:
        name = waiting.popleft()
        if name in goals:
            found = [name]
            while found[-1] in before:
                found.append(before[found[-1]])
            return found[::-1]
        for edge in graph.needs.get(name, ()):
            if edge.target not in seen:
                seen.add(edge.target)
                before[edge.target] = name
                waiting.append(edge.target)
    return []


def between(graph: Graph, first: Iterable[str], last: Iterable[str]) -> list[str]:
    """All vertices on any way from one of *first* to one of *last*."""
    return sorted(reach(graph.needs, first, _target) & reach(graph.needed_by, last, _source))
