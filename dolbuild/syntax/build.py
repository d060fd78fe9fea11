"""Grammar rules to tree nodes: the callbacks that lark runs while it parses.

Each method is named for a rule or an alias of ``grammar.lark`` and gets the rule's children, terminals
included, in order; an optional part that is absent is None.
"""

import re
from textwrap import dedent
from typing import Any

from dolbuild.diagnostics import Diagnostic, at
from dolbuild.source import SourceFile, Span
from dolbuild.syntax import tree as t
from dolbuild.syntax.tokens import Token

Children = list[Any]

MAX_CHAIN = 1000
"""Operands of one chain of operators, and steps of one chain of calls: both nest in the tree."""

PRECEDENCE = {
    operator: level
    for level, operators in enumerate(
        (
            ("|>",),
            ("||",),
            ("&&",),
            ("==", "!=", "<", "<=", ">", ">="),
            ("|",),
            ("^",),
            ("&",),
            ("<<", ">>"),
            ("..", "..="),
            ("+", "-"),
            ("*", "/", "%"),
            ("as",),
        )
    )
    for operator in operators
}
"""Binary operators with their binding strength, loosest first (``docs/language.md``, "Values and types")."""

COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
_WORDS = {"and": "&&", "or": "||", "not": "!"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|(.))", re.DOTALL)


class Builder:
    """The callbacks for one parser. `source` is set before each file; problems go to `diagnostics`."""

    def __init__(self) -> None:
        self.source = SourceFile("", "")
        self.diagnostics: list[Diagnostic] = []
        self.prefixes = 0

    def begin(self, source: SourceFile) -> None:
        self.source = source
        self.diagnostics = []

    def report(self, start: int, end: int, code: str, message: str, hint: str = "") -> None:
        self.diagnostics.append(at(self.source, Span(start, end), code, message, hint))

    # -- lists ------------------------------------------------------------------------------------

    def empty(self, c: Children) -> list[Any]:
        return []

    def first(self, c: Children) -> list[Any]:
        return [c[0]]

    items = entries = use_items = generic_list = bounds = params = variants = payloads = first
    types = type_fields = statements = binders = exprs = args = fields = arms = first
    sub_patterns = field_patterns = first

    def more(self, c: Children) -> list[Any]:
        c[0].append(c[2])
        return c[0]  # type: ignore[no-any-return]

    more_after_comma = more

    def trailing(self, c: Children) -> list[Any]:
        return c[0]  # type: ignore[no-any-return]

    def second(self, c: Children) -> Any:
        return c[1]

    supers = implements = default = result = annotation = generic_bounds = generic_default = guard = second
    generics = second

    def members(self, c: Children) -> tuple[list[t.Item], int]:
        return c[1], c[2].end

    # -- paths and types --------------------------------------------------------------------------

    def path_start(self, c: Children) -> t.Path:
        return t.Path(c[0].start, c[0].end, [c[0].value])

    def path_more(self, c: Children) -> t.Path:
        path: t.Path = c[0]
        return t.Path(path.start, c[2].end, [*path.parts, c[2].value])

    def named_type(self, c: Children) -> t.NamedType:
        return t.NamedType(c[0].start, c[0].end, c[0], [])

    def applied_type(self, c: Children) -> t.NamedType:
        return t.NamedType(c[0].start, c[3].end, c[0], c[2])

    def void_type(self, c: Children) -> t.TupleType:
        return t.TupleType(c[0].start, c[1].end, [])

    def tuple_type(self, c: Children) -> t.TypeNode:
        if len(c[1]) == 1:
            inner: t.TypeNode = c[1][0]
            return inner
        return t.TupleType(c[0].start, c[2].end, c[1])

    def function_type_0(self, c: Children) -> t.FunctionType:
        return t.FunctionType(c[0].start, c[3].end, [], c[3])

    def function_type(self, c: Children) -> t.FunctionType:
        return t.FunctionType(c[0].start, c[4].end, c[1], c[4])

    def record_type(self, c: Children) -> t.RecordType:
        return t.RecordType(c[0].start, c[2].end, c[1])

    def type_field(self, c: Children) -> tuple[str, t.TypeNode]:
        return c[0].value, c[2]

    # -- declarations -----------------------------------------------------------------------------

    def public(self, c: Children) -> t.Item:
        c[1].visibility = t.Visibility.PUBLIC
        c[1].start = c[0].start
        return c[1]  # type: ignore[no-any-return]

    def restricted(self, c: Children) -> t.Item:
        scope: Token = c[2]
        item: t.Item = c[4]
        item.start = c[0].start
        if scope.value == "spirit":
            item.visibility = t.Visibility.SPIRIT
        elif scope.value == "parent":
            item.visibility = t.Visibility.PARENT
        else:
            known = {"crate": "spirit", "super": "parent"}.get(scope.value)
            hint = f"write pub({known})" if known else "write pub, pub(spirit) or pub(parent)"
            self.report(scope.start, scope.end, "E0111", f"there is no visibility `pub({scope.value})`", hint)
        return item

    def function(self, c: Children) -> t.Function:
        sex, fun, name, generics, _, parameters, close, result, body = c
        end = (body or result or close).end
        start = (sex or fun).start
        return t.Function(
            start, end, name.value, name.start, sex is not None, generics or [], parameters or [], result, body
        )

    def is_function(self, c: Children) -> t.Function:
        head, name, _, parameters, close, result, body = c
        end = (body or result or close).end
        return t.Function(head.start, end, name.value, name.start, False, [], parameters or [], result, body)

    def param(self, c: Children) -> t.Parameter:
        name, type_, default = c
        return t.Parameter(name.start, (default or type_ or name).end, name.value, type_, default)

    def generic(self, c: Children) -> t.GenericParameter:
        name, bounds, default = c
        return t.GenericParameter(name.start, name.end, name.value, bounds or [], default)

    def use_path(self, c: Children) -> t.Use:
        alias = c[3] if len(c) > 2 else None
        return t.Use(c[0].start, (alias or c[1]).end, c[1], alias and alias.value, None, False)

    def use_group(self, c: Children) -> t.Use:
        return t.Use(c[0].start, c[5].end, c[1], None, c[4], False)

    def use_all(self, c: Children) -> t.Use:
        return t.Use(c[0].start, c[2].end, c[1], None, None, True)

    def use_item(self, c: Children) -> tuple[str, str | None, int]:
        name, _, alias = c
        return name.value, alias and alias.value, name.start

    def gene(self, c: Children) -> t.Gene:
        head, name, generics, (members, end) = c
        return t.Gene(head.start, end, name.value, name.start, generics or [], members)

    def trait(self, c: Children) -> t.Trait:
        head, name, generics, supers, (members, end) = c
        return t.Trait(head.start, end, name.value, name.start, generics or [], supers or [], members)

    def impl(self, c: Children) -> t.Impl:
        head, generics, first, second, (members, end) = c
        trait, target = (first, second) if second else (None, first)
        return t.Impl(head.start, end, generics or [], trait, target, members)

    def module(self, c: Children) -> t.Module:
        return t.Module(c[0].start, c[4].end, c[1].value, c[1].start, c[3])

    def const(self, c: Children) -> t.Const:
        return t.Const(c[0].start, c[4].end, c[1].value, c[1].start, c[2], c[4])

    def variable(self, c: Children) -> t.Variable:
        return t.Variable(c[0].start, c[4].end, c[1].value, c[1].start, c[2], c[4])

    def alias(self, c: Children) -> t.Alias:
        return t.Alias(c[0].start, c[4].end, c[1].value, c[1].start, c[2] or [], c[4])

    def test(self, c: Children) -> t.Test:
        return t.Test(c[0].start, c[2].end, self.unescape(c[1]), c[2])

    def spirit(self, c: Children) -> t.Spirit:
        return t.Spirit(c[0].start, c[4].end, c[1].value, c[1].start, c[3])

    def system(self, c: Children) -> t.System:
        return t.System(c[0].start, c[2][1], c[1].value, c[1].start, c[2][0])

    def header(self, c: Children) -> t.Header:
        version = c[2]
        return t.Header(c[0].start, version[1] if version else c[1].end, c[1], version and version[0])

    def version(self, c: Children) -> tuple[str, int]:
        return f"{c[1].value}.{c[3].value}", c[3].end

    def exegesis(self, c: Children) -> t.Exegesis:
        token: Token = c[0]
        inner = token.value[token.value.index("{") + 1 : -1]
        lines = inner.split("\n", 1)
        body = lines[0].strip() + ("\n" + dedent(lines[1].expandtabs(4)) if len(lines) > 1 else "")
        text = "\n".join(line.rstrip() for line in body.split("\n")).strip()
        return t.Exegesis(token.start, token.end, text)

    def hole_item(self, c: Children) -> t.HoleItem:
        return t.HoleItem(c[0].start, c[0].end)

    def has_field(self, c: Children) -> t.HasField:
        return t.HasField(c[0].start, (c[4] or c[3]).end, c[1].value, c[3], c[4])

    def has_value(self, c: Children) -> t.HasValue:
        return t.HasValue(c[0].start, c[3].end, c[1].value, c[3])

    def constraint(self, c: Children) -> t.Constraint:
        return t.Constraint(c[0].start, c[2].end, c[1].value, c[2])

    def law(self, c: Children) -> t.Law:
        return t.Law(c[0].start, c[2].end, c[1].value, c[2])

    def enum(self, c: Children) -> t.Enum:
        return t.Enum(c[0].start, c[5].end, c[4])

    def bare_variant(self, c: Children) -> t.Variant:
        return t.Variant(c[0].start, c[0].end, c[0].value, [])

    def payload_variant(self, c: Children) -> t.Variant:
        return t.Variant(c[0].start, c[3].end, c[0].value, c[2])

    def positional_payload(self, c: Children) -> tuple[None, t.TypeNode]:
        return None, c[0]

    def named_payload(self, c: Children) -> tuple[str, t.TypeNode]:
        return c[0].value, c[2]

    def requires(self, c: Children) -> t.Requires:
        return t.Requires(c[0].start, c[3].end, c[1].value, c[3])

    def uses(self, c: Children) -> t.Requires:
        return t.Requires(c[0].start, c[3].end, c[1].value, self.string(c[3:]))

    # -- statements -------------------------------------------------------------------------------

    def block(self, c: Children) -> t.Block:
        return t.Block(c[0].start, c[2].end, c[1])

    def empty_block(self, c: Children) -> t.Block:
        return t.Block(c[0].start, c[1].end, [])

    def assign(self, c: Children) -> t.Assign:
        return t.Assign(c[0].start, c[2].end, c[0], c[1].value[:-1], c[2])

    def declare(self, c: Children) -> t.Declare:
        pattern = t.NamePattern(c[0].start, c[0].end, self.path_start(c))
        return t.Declare(c[0].start, c[4].end, "", pattern, c[2], c[4])

    def binding(self, c: Children) -> t.Declare:
        return t.Declare(c[0].start, c[4].end, c[0].value, c[1], c[2], c[4])

    # -- expressions ------------------------------------------------------------------------------

    def name(self, c: Children) -> t.Name:
        token = c[0]
        return t.Name(token.start, token.end, token.value)

    def at_path(self, c: Children) -> t.AtPath:
        return t.AtPath(c[0].start, c[0].end, c[0].value)

    def int_(self, c: Children) -> t.Integer:
        token = c[0]
        text = token.value.replace("_", "")
        if len(text) > 200:
            self.report(token.start, token.end, "E0104", "this number is too long for any type")
            text = "0"
        elif len(text) > 1 and text[0] == "0" and text.isdecimal():
            text = text.lstrip("0") or "0"
        try:
            return t.Integer(token.start, token.end, int(text, 0))
        except ValueError:
            self.report(token.start, token.end, "E0104", f"`{token.value}` is no number")
            return t.Integer(token.start, token.end, 0)

    def float_(self, c: Children) -> t.Float:
        return t.Float(c[0].start, c[0].end, c[0].value.replace("_", ""))

    def string(self, c: Children) -> t.String:
        return t.String(c[0].start, c[0].end, self.unescape(c[0]))

    def char(self, c: Children) -> t.Char:
        text = self.unescape(c[0])
        return t.Char(c[0].start, c[0].end, ord(text) if len(text) == 1 else 0xFFFD)

    def unescape(self, token: Token) -> str:
        """The text of a string or character literal."""
        body = token.value[1:-1]
        if "\\" not in body:
            return body

        def one(found: re.Match[str]) -> str:
            digits, char = found.groups()
            start = token.start + 1 + found.start()
            if digits:
                scalar = int(digits, 16)
                if scalar <= 0x10FFFF and not 0xD800 <= scalar <= 0xDFFF:
                    return chr(scalar)
            elif char in _ESCAPES:
                return _ESCAPES[char]
            end = start + found.end() - found.start()
            self.report(
                start, end, "E0110", f"`{found[0]}` is no escape",
                'there are \\n \\t \\r \\0 \\\\ \\" \\\' and \\u{1F600}',
            )  # fmt: skip
            return "\N{REPLACEMENT CHARACTER}"

        return _ESCAPE.sub(one, body)

    def true(self, c: Children) -> t.Boolean:
        return t.Boolean(c[0].start, c[0].end, True)

    def false(self, c: Children) -> t.Boolean:
        return t.Boolean(c[0].start, c[0].end, False)

    def negative(self, c: Children) -> t.Unary:
        value = self.int_(c[1:]) if c[1].type == "INT" else self.float_(c[1:])
        return t.Unary(c[0].start, c[1].end, "-", value)

    def hole(self, c: Children) -> t.Hole:
        return t.Hole(c[0].start, c[0].end)

    def unit(self, c: Children) -> t.Tuple:
        return t.Tuple(c[0].start, c[1].end, [])

    def parens(self, c: Children) -> t.Expression:
        return c[1]  # type: ignore[no-any-return]

    def tuple_one(self, c: Children) -> t.Tuple:
        return t.Tuple(c[0].start, c[3].end, [c[1]])

    def tuple_(self, c: Children) -> t.Tuple:
        return t.Tuple(c[0].start, c[4].end, [c[1], *c[3]])

    def empty_list(self, c: Children) -> t.ListLiteral:
        return t.ListLiteral(c[0].start, c[1].end, [])

    def list_(self, c: Children) -> t.ListLiteral:
        return t.ListLiteral(c[0].start, c[2].end, c[1])

    def record(self, c: Children) -> t.Record:
        return t.Record(c[0].start, c[2].end, c[1] or [])

    def full_field(self, c: Children) -> t.Field:
        name = self.unescape(c[0]) if c[0].type == "STRING" else c[0].value
        return t.Field(c[0].start, c[2].end, name, c[2])

    def short_field(self, c: Children) -> t.Field:
        return t.Field(c[0].start, c[0].end, c[0].value, self.name(c))

    def construct(self, c: Children) -> t.Construct:
        return t.Construct(c[0].start, c[3].end, c[0], c[2] or [])

    def prefix(self, c: Children) -> t.Unary:
        operator = c[0].value
        self.prefixes = self.prefixes + 1 if isinstance(c[1], t.Unary) else 1
        if self.prefixes == MAX_CHAIN:
            self.report(c[0].start, c[0].end, "E0107", f"more than {MAX_CHAIN} operators in one expression")
        return t.Unary(c[0].start, c[1].end, _WORDS.get(operator, operator), c[1])

    def chain_start(self, c: Children) -> list[Any]:
        return c

    def chain_more(self, c: Children) -> list[Any]:
        c[0].append(c[1])
        c[0].append(c[2])
        return c[0]  # type: ignore[no-any-return]

    def shaped(self, c: Children) -> t.Expression:
        """Give a flat chain ``operand operator operand ...`` its shape by precedence climbing."""
        flat: list[Any] = c[0]
        if len(flat) == 3:
            return self._binary(flat[0], flat[1], flat[2])
        if len(flat) > 2 * MAX_CHAIN:
            self.report(flat[0].start, flat[-1].end, "E0107", f"more than {MAX_CHAIN} operators in one expression")
            return flat[0]  # type: ignore[no-any-return]
        operands: list[Any] = [flat[0]]
        operators: list[Token] = []
        for index in range(1, len(flat), 2):
            operator = flat[index]
            level = PRECEDENCE[_WORDS.get(operator.value, operator.value)]
            while operators and PRECEDENCE[_WORDS.get(operators[-1].value, operators[-1].value)] >= level:
                right, left = operands.pop(), operands.pop()
                operands.append(self._binary(left, operators.pop(), right))
            operators.append(operator)
            operands.append(flat[index + 1])
        while operators:
            right, left = operands.pop(), operands.pop()
            operands.append(self._binary(left, operators.pop(), right))
        return operands[0]  # type: ignore[no-any-return]

    def _binary(self, left: Any, token: Token, right: Any) -> t.Expression:
        operator = _WORDS.get(token.value, token.value)
        if operator == "as":
            return t.Cast(left.start, right.end, left, right)
        if operator in COMPARISONS and isinstance(left, t.Binary) and left.operator in COMPARISONS:
            if left.end <= token.start and not self._in_parens(left, token):
                self.report(
                    token.start, token.end, "E0108", "comparisons do not chain",
                    "join two comparisons with `&&`",
                )  # fmt: skip
                second = t.Binary(left.right.start, right.end, operator, left.right, right, token.start)
                return t.Binary(left.start, right.end, "&&", left, second, token.start)
        return t.Binary(left.start, right.end, operator, left, right, token.start)

    def _in_parens(self, left: t.Node, token: Token) -> bool:
        return ")" in self.source.text[left.end : token.start]

    def member(self, c: Children) -> t.Member:
        return t.Member(c[0].start, c[2].end, c[0], c[2].value, c[2].start)

    def positional_arg(self, c: Children) -> t.Argument:
        return t.Argument(c[0].start, c[0].end, None, c[0])

    def named_arg(self, c: Children) -> t.Argument:
        return t.Argument(c[0].start, c[2].end, c[0].value, c[2])

    def call_0(self, c: Children) -> t.Call:
        return t.Call(c[0].start, c[2].end, c[0], [])

    def call(self, c: Children) -> t.Call:
        return t.Call(c[0].start, c[3].end, c[0], c[2])

    def index(self, c: Children) -> t.Index:
        return t.Index(c[0].start, c[3].end, c[0], c[2])

    def apply_types(self, c: Children) -> t.ApplyTypes:
        return t.ApplyTypes(c[0].start, c[3].end, c[0], c[2])

    def try_(self, c: Children) -> t.Try:
        return t.Try(c[0].start, c[1].end, c[0])

    def closure_name(self, c: Children) -> t.Closure:
        parameter = t.Parameter(c[0].start, c[0].end, c[0].value, None, None)
        return t.Closure(c[0].start, c[2].end, [parameter], c[2])

    def closure_parens(self, c: Children) -> t.Closure:
        return t.Closure(c[0].start, c[4].end, c[1] or [], c[4])

    def closure_bars(self, c: Children) -> t.Closure:
        return t.Closure(c[0].start, c[3].end, c[1], c[3])

    def closure_empty(self, c: Children) -> t.Closure:
        return t.Closure(c[0].start, c[1].end, [], c[1])

    def return_(self, c: Children) -> t.Return:
        return t.Return(c[0].start, c[-1].end, c[1] if len(c) > 1 else None)

    def break_(self, c: Children) -> t.Break:
        return t.Break(c[0].start, c[0].end)

    def continue_(self, c: Children) -> t.Continue:
        return t.Continue(c[0].start, c[0].end)

    def forall_types(self, c: Children) -> t.TypeQuantifier:
        return t.TypeQuantifier(c[0].start, c[3].end, True, c[1], c[3])

    def exists_types(self, c: Children) -> t.TypeQuantifier:
        return t.TypeQuantifier(c[0].start, c[3].end, False, c[1], c[3])

    def binder(self, c: Children) -> tuple[str, t.TypeNode]:
        return c[0].value, c[2]

    def sex_block(self, c: Children) -> t.SexBlock:
        return t.SexBlock(c[0].start, c[1].end, c[1])

    def if_then(self, c: Children) -> t.If:
        return t.If(c[0].start, c[2].end, c[1], c[2], None)

    def if_else(self, c: Children) -> t.If:
        return t.If(c[0].start, c[4].end, c[1], c[2], c[4])

    def match_(self, c: Children) -> t.Match:
        return t.Match(c[0].start, c[4].end, c[1], c[3] or [])

    def arm_block(self, c: Children) -> t.Arm:
        return t.Arm(c[0].start, c[2].end, c[0], c[1], c[2])

    def arm_value(self, c: Children) -> t.Arm:
        return t.Arm(c[0].start, c[3].end, c[0], c[1], c[3])

    def loop(self, c: Children) -> t.Loop:
        return t.Loop(c[0].start, c[1].end, c[1])

    def while_(self, c: Children) -> t.While:
        return t.While(c[0].start, c[2].end, c[1], c[2])

    def for_(self, c: Children) -> t.For:
        return t.For(c[0].start, c[4].end, c[1], c[3], c[4])

    def forall(self, c: Children) -> t.Quantifier:
        return t.Quantifier(c[0].start, c[4].end, True, c[1], c[3], c[4])

    def exists(self, c: Children) -> t.Quantifier:
        return t.Quantifier(c[0].start, c[4].end, False, c[1], c[3], c[4])

    # -- patterns ---------------------------------------------------------------------------------

    def path_pattern(self, c: Children) -> t.Pattern:
        path: t.Path = c[0]
        if path.parts == ["_"]:
            return t.WildcardPattern(path.start, path.end)
        return t.NamePattern(path.start, path.end, path)

    def variant_pattern_0(self, c: Children) -> t.VariantPattern:
        return t.VariantPattern(c[0].start, c[2].end, c[0], [])

    def variant_pattern(self, c: Children) -> t.VariantPattern:
        return t.VariantPattern(c[0].start, c[3].end, c[0], [self._sub(argument) for argument in c[2]])

    def _sub(self, argument: t.Node) -> tuple[str | None, t.Pattern]:
        """A sub-pattern with its name; named and positional ones come as arguments."""
        if isinstance(argument, t.Argument):
            return argument.name, argument.value  # type: ignore[return-value]
        return None, argument  # type: ignore[return-value]

    def gene_pattern(self, c: Children) -> t.GenePattern:
        fields: list[tuple[str, t.Pattern]] = []
        rest = False
        for field in c[2]:
            if isinstance(field, t.RestPattern):
                rest = True
            elif isinstance(field.value, t.Name):
                path = t.Path(field.start, field.end, [field.name])
                fields.append((field.name, t.NamePattern(field.start, field.end, path)))
            else:
                fields.append((field.name, field.value))
        return t.GenePattern(c[0].start, c[3].end, c[0], fields, rest)

    def rest_pattern(self, c: Children) -> t.RestPattern:
        return t.RestPattern(c[0].start, c[-1].end, c[1].value if len(c) > 1 else None)

    def literal_pattern(self, c: Children) -> t.LiteralPattern:
        return t.LiteralPattern(c[0].start, c[0].end, c[0])

    def range_pattern(self, c: Children) -> t.RangePattern:
        return t.RangePattern(c[0].start, c[2].end, c[0], c[2], c[1].type == "DOTDOTEQ")

    def unit_pattern(self, c: Children) -> t.TuplePattern:
        return t.TuplePattern(c[0].start, c[1].end, [])

    def tuple_pattern(self, c: Children) -> t.Pattern:
        items = [self._sub(item)[1] for item in c[1]]
        return items[0] if len(items) == 1 else t.TuplePattern(c[0].start, c[2].end, items)

    def empty_list_pattern(self, c: Children) -> t.ListPattern:
        return t.ListPattern(c[0].start, c[1].end, [])

    def list_pattern(self, c: Children) -> t.ListPattern:
        return t.ListPattern(c[0].start, c[2].end, [self._sub(item)[1] for item in c[1]])

    def alternatives_start(self, c: Children) -> t.AlternativePattern:
        return t.AlternativePattern(c[0].start, c[2].end, [c[0], c[2]])

    def alternatives_more(self, c: Children) -> t.AlternativePattern:
        return t.AlternativePattern(c[0].start, c[2].end, [*c[0].patterns, c[2]])
