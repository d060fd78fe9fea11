"""Raw tokens to the tokens of the grammar: which newlines end a statement, and what each brace opens.

Newlines, braces, angle brackets and bars mean different things in different places. Settling that here,
in one pass with a stack of open brackets, keeps the grammar LALR(1) and the parser without backtracking.
The rules are those of ``docs/language.md``, "Text".
"""

from dolbuild.diagnostics import Diagnostic, at
from dolbuild.source import SourceFile
from dolbuild.syntax.tokens import SOFT_KEYWORDS, Scan, Token

MAX_NESTING = 250
"""Open brackets at one place. Deeper source is refused, so that no later stage can run out of stack."""

_SCAN_LIMIT = 256
"""How many tokens a look ahead may read; it bounds the work for hostile input."""

_OPEN = {"LPAR": "RPAR", "LBRACK": "RBRACK", "LBRACE": "RBRACE"}
_CLOSE = frozenset(_OPEN.values())

_ASSIGNMENTS = frozenset(
    ["ASSIGN", "PLUSEQ", "MINUSEQ", "STAREQ", "SLASHEQ", "PERCENTEQ", "AMPEQ", "BAREQ", "CARETEQ", "SHLEQ", "SHREQ"]
)
_INFIX = frozenset(
    [
        "PLUS",
        "STAR",
        "SLASH",
        "PERCENT",
        "ANDAND",
        "OROR",
        "EQEQ",
        "NE",
        "LT",
        "LE",
        "GT",
        "GE",
        "BAR",
        "CARET",
        "AMP",
        "SHL",
        "SHR",
        "DOTDOT",
        "DOTDOTEQ",
        "PIPE",
        "AS",
    ]
)
_CONTINUES = (
    _INFIX | _ASSIGNMENTS | frozenset(["DOT", "DOTSTAR", "QUESTION", "ELSE", "ARROW", "FATARROW", "COMMA", "COLON"])
)
"""A token of these at the start of a line goes on with the statement before it."""

_CANNOT_END = (
    _INFIX
    | _ASSIGNMENTS
    | frozenset(
        [
            "MINUS",
            "BANG",
            "COMMA",
            "DOT",
            "ARROW",
            "FATARROW",
            "ARMARROW",
            "COLON",
            "LPAR",
            "LPARC",
            "LBRACK",
            "LBRACE",
            "LREC",
            "LANGLE",
            "CBAR",
            "ELSE",
            "IN",
            "IF",
            "WHILE",
            "FOR",
            "MATCH",
            "FORALL",
            "EXISTS",
            "PUB",
            "FUN",
            "LET",
            "VAL",
            "VAR",
            "CONST",
            "USE",
            "TRAIT",
            "GENE",
            "IMPL",
            "MOD",
        ]
    )
)
"""A line that ends in one of these is not finished."""

EXPRESSION_NEXT = _CANNOT_END | {"NL", "RETURN"}
"""After one of these an expression begins, so that ``|`` opens a closure."""

_DECLARATIONS = frozenset(["GENE", "TRAIT", "IMPL", "MOD", "SPIRIT", "SYSTEM", "CONSTRAINT", "LAW", "TEST", "FUN"])
_HEADS = frozenset(["IF", "WHILE", "FOR", "MATCH", "FORALL", "EXISTS"])

_GENERIC_INSIDE = frozenset(
    ["NAME", "DOT", "COMMA", "LT", "GT", "LPAR", "RPAR", "ARROW", "LBRACE", "RBRACE", "COLON", "ATPATH", "PLUS"]
) | {word.upper() for word in SOFT_KEYWORDS}
_GENERIC_AFTER = frozenset(
    [
        "LPAR",
        "RPAR",
        "RBRACK",
        "LBRACE",
        "RBRACE",
        "DOT",
        "COMMA",
        "SEMI",
        "COLON",
        "ASSIGN",
        "FATARROW",
        "ARROW",
        "BAR",
        "OROR",
        "ANDAND",
        "GT",
        "QUESTION",
        "EQEQ",
        "NE",
    ]
)

_SOFT_FOLLOW: dict[str, frozenset[str]] = {
    "TEST": frozenset({"STRING"}),
    "REQUIRES": frozenset({"ATPATH"}),
    "USES": frozenset({"ATPATH"}),
    "ENUM": frozenset({"LBRACE"}),
    "IMPL": frozenset({"NAME", "LT", "ATPATH"}),
    "EXISTS": frozenset({"NAME", "LPAR"}),
    "TYPE": frozenset({"NAME", "COLON"}),
}
_NAME_FOLLOWS = frozenset({"NAME"})
_WORDS = frozenset(word.upper() for word in SOFT_KEYWORDS) | {"NAME"}


class _Level:
    """One open bracket: what it is, and what has been begun in it but not yet opened."""

    __slots__ = ("arm_block", "declaration", "heads", "kind", "pattern", "quantifier")

    def __init__(self, kind: str) -> None:
        self.kind = kind  # "block" (newlines count), "match" (a block of arms), "flat" (they do not)
        self.heads: list[str] = []  # keywords that wait for their block, innermost last
        self.declaration = False  # a declaration waits for its body
        self.pattern = kind == "match"  # in a match: before the arm's `=>` or block
        self.arm_block = False  # in a match: the block of an arm was the last thing closed
        self.quantifier = False  # `forall x: T` waits for its point


class Layout:
    """The pass over one file. `tokens` is filled by `run`."""

    def __init__(self, source: SourceFile, scan: Scan) -> None:
        self.source = source
        self.raw = scan.tokens
        self.tokens: list[Token] = []
        self.diagnostics: list[Diagnostic] = []
        self.levels = [_Level("block")]
        self.partner: dict[int, int] = {}
        self.angles: dict[int, str] = {}
        self.closure_bars: set[int] = set()

    def run(self) -> bool:
        """Fill `tokens`. False where the brackets do not match (reported), so that no tree can be had."""
        if not self._match_brackets():
            return False
        raw = self.raw
        skip_next = False
        for index, token in enumerate(raw):
            if skip_next:
                skip_next = False
                continue
            kind = self._keyword(index)
            level = self.levels[-1]
            if kind == "SEMI" or (kind == "COMMA" and level.kind == "match"):
                self._end_statement(token, level)
                continue
            if level.kind != "flat":
                if token.nl:
                    self._newline(token, kind, level)
                elif level.arm_block and kind not in _CONTINUES and kind != "RBRACE":
                    self._end_statement(token, level)
                level.arm_block = False
            if kind in _OPEN:
                kind = self._open(index, token, kind, level)
            elif kind in _CLOSE:
                self._close()
                if self.tokens[-1].type == "NL":
                    self.tokens.pop()
            elif kind == "GT" and index + 1 < len(raw) and index not in self.angles:
                after = raw[index + 1]
                if after.start == token.end and after.type in ("GT", "GE") and index + 1 not in self.angles:
                    kind = "SHR" if after.type == "GT" else "SHREQ"
                    self.tokens.append(Token(kind, token.value + after.value, token.start, after.end))
                    skip_next = True
                    continue
            kind = self._reclassify(index, kind, level)
            if kind:
                if kind == token.type:
                    self.tokens.append(token)
                else:
                    self.tokens.append(Token(kind, token.value, token.start, token.end))
        while self.tokens and self.tokens[-1].type == "NL":
            self.tokens.pop()
        return True

    # -- brackets ---------------------------------------------------------------------------------

    def _match_brackets(self) -> bool:
        open_: list[int] = []
        for index, token in enumerate(self.raw):
            if token.type in _OPEN:
                if len(open_) == MAX_NESTING:
                    self._report(token, "E0107", f"brackets are nested more than {MAX_NESTING} deep here")
                    return False
                open_.append(index)
            elif token.type in _CLOSE:
                if not open_:
                    self._report(token, "E0105", f"`{token.value}` closes nothing")
                    return False
                opener = self.raw[open_[-1]]
                if _OPEN[opener.type] != token.type:
                    line = self.source.line_column(opener.start)[0]
                    message = f"`{token.value}` cannot close the `{opener.value}` of line {line}"
                    self._report(token, "E0105", message)
                    return False
                self.partner[open_.pop()] = index
        if open_:
            opener = self.raw[self._likely_unclosed(open_)]
            self._report(opener, "E0105", f"this `{opener.value}` is never closed")
            return False
        return True

    def _likely_unclosed(self, open_: list[int]) -> int:
        """Of the brackets left open, the one whose line a later, less indented opener points back at."""
        columns = [self.source.line_column(self.raw[index].start) for index in open_]
        for (index, (line, _)), (later, _) in zip(zip(open_, columns, strict=True), columns[1:], strict=False):
            if later > line and _indent(self.source, later) <= _indent(self.source, line):
                return index
        return open_[-1]

    def _open(self, index: int, token: Token, kind: str, level: _Level) -> str:
        if kind != "LBRACE":
            self.levels.append(_Level("flat"))
            after = self.partner[index] + 1
            arrow = after < len(self.raw) and self.raw[after].type == "FATARROW"
            in_pattern = level.kind == "match" and level.pattern
            return "LPARC" if kind == "LPAR" and arrow and not in_pattern else kind
        opened = self._brace(index, token, level)
        self.levels.append(_Level(opened))
        return "LREC" if opened == "flat" else "LBRACE"

    def _close(self) -> None:
        closed = self.levels.pop()
        level = self.levels[-1]
        if level.kind == "match" and closed.kind != "flat":
            level.arm_block = True

    def _brace(self, index: int, token: Token, level: _Level) -> str:
        """What the brace at *index* opens: "block", "match" or "flat" (a record, a group, an enum)."""
        before = self.tokens[-1].type if self.tokens else "NL"
        if before in ("DOT", "ENUM"):
            return "flat"
        if before in ("ELSE", "LOOP", "SEX"):
            return "block"
        if level.declaration:
            if before in ("ARROW", "COLON") and self._looks_like_record(index):
                return "flat"
            level.declaration = False
            level.heads.clear()
            return "block"
        if level.heads:
            return "match" if level.heads.pop() == "MATCH" else "block"
        if level.kind == "match" and level.pattern:
            after = self.partner[index] + 1
            follower = self.raw[after] if after < len(self.raw) else None
            if follower and not follower.nl and follower.type in ("FATARROW", "LBRACE", "IF", "BAR"):
                return "flat"
            return "block"
        if before in ("NAME", "RANGLE", "ATPATH"):
            return "flat"
        empty = self.raw[index + 1].type == "RBRACE"
        if before in ("FATARROW", "ARMARROW", "CBAR", "CBARS", "NL", "LBRACE"):
            return "flat" if not empty and self._looks_like_record(index) else "block"
        return "flat" if empty or self._looks_like_record(index) else "block"

    def _looks_like_record(self, index: int) -> bool:
        """Whether ``{ name: value`` follows, and not ``{ name: Type = value``, a declaration."""
        raw = self.raw
        if index + 2 >= len(raw) or raw[index + 2].type != "COLON":
            return False
        if raw[index + 1].type != "STRING" and not raw[index + 1].value.isidentifier():
            return False
        position = index + 3
        limit = min(len(raw), position + _SCAN_LIMIT)
        while position < limit:
            token = raw[position]
            if token.type in ("COMMA", "RBRACE", "LBRACE", "SEMI") or (token.nl and position > index + 3):
                return True
            if token.type == "ASSIGN":
                return False
            position = self.partner.get(position, position) + 1
        return True

    # -- newlines ---------------------------------------------------------------------------------

    def _newline(self, token: Token, kind: str, level: _Level) -> None:
        before = self.tokens[-1].type if self.tokens else "NL"
        if before in _CANNOT_END or before == "NL" or kind in _CONTINUES or kind == "RBRACE":
            return
        if kind == "LBRACE" and (level.declaration or level.heads):
            return
        self._end_statement(token, level)

    def _end_statement(self, token: Token, level: _Level) -> None:
        level.declaration = False
        level.heads.clear()
        level.pattern = level.kind == "match"
        level.arm_block = False
        if self.tokens and self.tokens[-1].type not in ("NL", "LBRACE"):
            self.tokens.append(Token("NL", "\n", token.start, token.start))

    # -- words and operators ----------------------------------------------------------------------

    def _keyword(self, index: int) -> str:
        """The token's type, with keywords taken back to names where they cannot be keywords."""
        token = self.raw[index]
        kind = token.type
        if kind == "NAME" or not token.value[0].isalpha() or kind in ("EXEGESIS", "INT", "FLOAT"):
            return kind
        if index and self.raw[index - 1].type in ("DOT", "USE", "FUN"):
            return "NAME"
        if token.value not in SOFT_KEYWORDS:
            return kind
        following = self.raw[index + 1] if index + 1 < len(self.raw) else None
        if following is None or (following.nl and kind != "TYPE"):
            return "NAME"
        follow = _SOFT_FOLLOW.get(kind, _NAME_FOLLOWS)
        type_ = "NAME" if "NAME" in follow and following.type in _WORDS else following.type
        if type_ not in follow:
            return "NAME"
        if kind == "TYPE" and type_ == "COLON":
            third = self.raw[index + 2] if index + 2 < len(self.raw) else None
            return kind if third is not None and third.type == "ENUM" else "NAME"
        before = self.tokens[-1].type if self.tokens else "NL"
        if kind in ("EXISTS", "ENUM"):
            return kind
        starts = token.nl or before in ("NL", "LBRACE", "PUB", "RPAR", "SEX", "RBRACE")
        return kind if starts else "NAME"

    def _reclassify(self, index: int, kind: str, level: _Level) -> str:
        """Settle angle brackets, bars and points, and note what a keyword has begun; empty: drop it."""
        if kind == "LT":
            if index not in self.angles:
                self._find_generic(index)
            return self.angles.get(index, kind)
        if kind == "GT":
            return self.angles.get(index, kind)
        if kind in ("BAR", "OROR") and self.raw[index].value[0] == "|":
            return self._bar(index, kind, level)
        if kind in _DECLARATIONS:
            level.declaration = True
        elif kind in _HEADS:
            level.heads.append(kind)
            level.quantifier = kind in ("FORALL", "EXISTS")
        elif kind == "FATARROW":
            if level.kind == "match" and level.pattern:
                level.pattern = False
                level.heads.clear()
                return "ARMARROW"
        elif kind == "IN":
            level.quantifier = False
        elif kind == "DOT" and level.quantifier and self._spaced_point(index):
            level.quantifier = False
            if level.heads:
                level.heads.pop()
            return "QDOT"
        return kind

    def _spaced_point(self, index: int) -> bool:
        end = self.raw[index].end
        return self.source.text[end : end + 1] in (" ", "\n", "\t", "\r")

    def _bar(self, index: int, kind: str, level: _Level) -> str:
        if index in self.closure_bars:
            return "CBAR"
        before = self.tokens[-1].type if self.tokens else "NL"
        if before not in EXPRESSION_NEXT:
            return kind
        if level.kind == "match" and level.pattern:
            return "" if kind == "BAR" else kind
        if kind == "OROR":
            return "CBARS"
        position = index + 1
        limit = min(len(self.raw), index + _SCAN_LIMIT)
        while position < limit:
            if self.raw[position].type == "BAR":
                self.closure_bars.add(position)
                return "CBAR"
            position = self.partner.get(position, position) + 1
        return kind

    def _find_generic(self, index: int) -> None:
        """Mark the ``<`` at *index* and its partners as type argument brackets, if they can be that."""
        if not index or self.raw[index - 1].type not in _WORDS | {"IMPL", "ATPATH"}:
            return
        raw = self.raw
        open_: list[int] = [index]
        marks = {index: "LANGLE"}
        limit = min(len(raw), index + _SCAN_LIMIT)
        braces = 0
        for position in range(index + 1, limit):
            kind = raw[position].type
            braces += (kind == "LBRACE") - (kind == "RBRACE")
            # A default (`<T = Int64>`) stands between the brackets themselves; `{ x = ...` is a block.
            if kind not in _GENERIC_INSIDE and (kind != "ASSIGN" or braces):
                return
            if kind == "LT":
                open_.append(position)
                marks[position] = "LANGLE"
            elif kind == "GT":
                open_.pop()
                marks[position] = "RANGLE"
                if not open_:
                    following = raw[position + 1] if position + 1 < len(raw) else None
                    word = following is not None and following.type in _WORDS | {"FOR"}
                    after_impl = word and raw[index - 1].type == "IMPL"
                    impl_for = following is not None and following.type == "FOR"
                    if following is None or following.nl or following.type in _GENERIC_AFTER or after_impl or impl_for:
                        self.angles.update(marks)
                    return

    def _report(self, token: Token, code: str, message: str) -> None:
        self.diagnostics.append(at(self.source, token.span, code, message))


def _indent(source: SourceFile, line: int) -> int:
    text = source.line_text(line)
    return len(text) - len(text.lstrip())
