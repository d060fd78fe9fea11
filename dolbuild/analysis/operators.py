"""Literals and operators."""

import struct

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.body import Ground, is_unknown, show
from dolbuild.analysis.unify import has_variable, resolve, unify
from dolbuild.syntax import tree as t

ARITHMETIC = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "rem", "&": "and", "|": "or", "^": "xor",
    "<<": "shl", ">>": "shr",
}  # fmt: skip
COMPARE = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_INTEGER_ONLY = frozenset("% & | ^ << >>".split())


class Operators(Ground):
    """Numbers, texts, lists, records; arithmetic, comparison, conversion."""

    # -- literals ---------------------------------------------------------------------------------

    def number(self, node: t.Node, expected: ty.Type) -> v.Value | None:
        """A number literal as *expected*, or None where that is no type for it."""
        negative = isinstance(node, t.Unary)
        literal = node.operand if isinstance(node, t.Unary) else node
        if isinstance(literal, t.Integer) and expected in ty.INTEGERS:
            kind = ty.INTEGERS[expected]
            value = -literal.value if negative else literal.value
            if not kind.low <= value <= kind.high:
                message = f"{value} is no {expected}, which goes from {kind.low} to {kind.high}"
                self.context.report(node, "E0303", message)
                value = 0
            return v.Literal(expected, node.start, value)
        if expected in ty.FLOATS and isinstance(literal, t.Integer | t.Float):
            number = float(literal.value if isinstance(literal, t.Integer) else literal.text)
            if expected == ty.FLOAT32 and abs(number) < 3.5e38:
                number = struct.unpack("<f", struct.pack("<f", number))[0]
            return v.Literal(expected, node.start, -number if negative else number)
        return None

    def own_number(self, node: t.Node) -> v.Value:
        """A number literal with the type that it has where nothing is expected of it."""
        literal = node.operand if isinstance(node, t.Unary) else node
        type_ = ty.INT64 if isinstance(literal, t.Integer) else ty.FLOAT64
        return self.number(node, type_) or self.unknown(node)

    def literal_type(self, node: t.Node, other: ty.Type) -> ty.Type:
        """The type that a literal takes beside a value of type *other*."""
        literal = node.operand if isinstance(node, t.Unary) else node
        while isinstance(literal, t.Binary):
            literal = literal.left
        other = resolve(other)
        if isinstance(literal, t.Float) and other not in ty.FLOATS:
            return ty.FLOAT64
        if isinstance(literal, t.Integer) and not ty.is_numeric(other):
            return ty.INT64
        return other

    def list_literal(self, node: t.ListLiteral, expected: ty.Type | None) -> v.Value:
        item: ty.Type | None = None
        if expected is not None:
            item = ty.argument_of(resolve(expected), "List")
        item = item if item is not None else ty.Variable()
        items: list[v.Value] = []
        for part in node.items:
            if isinstance(resolve(item), ty.Variable) and not needs_context(part):
                value = self.infer(part)
                unify(item, value.type) if not is_unknown(value) else None
                items.append(value)
            else:
                items.append(self.check(part, item))
        if not node.items:
            self.must_be_known(node, item, "nothing here says what this list holds")
        return v.MakeList(ty.list_of(item), node.start, items)

    def tuple_literal(self, node: t.Tuple, expected: ty.Type | None) -> v.Value:
        if not node.items:
            return v.Literal(ty.VOID, node.start, None)
        wanted = resolve(expected) if expected is not None else None
        if isinstance(wanted, ty.TupleOf) and len(wanted.items) == len(node.items):
            items = [self.check(part, type_) for part, type_ in zip(node.items, wanted.items, strict=True)]
        else:
            items = [self.infer(part) for part in node.items]
        types = tuple(resolve(item.type) for item in items)
        if isinstance(wanted, ty.TupleOf) and len(wanted.items) == len(items):
            types = wanted.items
        return v.MakeTuple(ty.TupleOf(types), node.start, items)

    def record_literal(self, node: t.Record, expected: ty.Type | None) -> v.Value:
        wanted = resolve(expected) if expected is not None else None
        given: dict[str, ty.Type] = dict(wanted.fields) if isinstance(wanted, ty.RecordOf) else {}
        fields: dict[str, v.Value] = {}
        for field in node.fields:
            if field.name in fields:
                self.context.report(field, "E0209", f"`{field.name}` is given twice")
            known_type = given.get(field.name)
            fields[field.name] = self.infer(field.value) if known_type is None else self.check(field.value, known_type)
        order = list(given) if set(given) == set(fields) else list(fields)
        type_ = ty.RecordOf(tuple((name, given.get(name, fields[name].type)) for name in order))
        return v.MakeRecord(type_, node.start, {name: fields[name] for name in order})

    # -- operators --------------------------------------------------------------------------------

    def unary(self, node: t.Unary) -> v.Value:
        if node.operator == "!":
            return v.Operation(ty.BOOL, node.start, "not", [self.check(node.operand, ty.BOOL)])
        if isinstance(node.operand, t.Integer | t.Float):
            return self.own_number(node if node.operator == "-" else node.operand)
        operand = self.infer(node.operand)
        type_ = resolve(operand.type)
        if type_ in (ty.UNKNOWN, ty.NEVER):
            return operand
        if not ty.is_numeric(type_):
            return self.wrong(node.operand, "E0302", f"`{node.operator}` needs a number, found {show(type_)}")
        if node.operator == "+":
            return operand
        if type_ in ty.INTEGERS and not ty.INTEGERS[type_].signed:
            message = f"`-` has no meaning for {show(type_)}"
            return self.wrong(node, "E0302", message, "convert it to a signed type first")
        return v.Operation(type_, node.start, "neg", [operand])

    def binary(self, node: t.Binary, expected: ty.Type | None = None) -> v.Value:
        operator = node.operator
        if operator in ("&&", "||"):
            left = self.check(node.left, ty.BOOL)
            right = self.check(node.right, ty.BOOL)
            constant = v.Literal(ty.BOOL, node.start, operator == "||")
            then, otherwise = (right, constant) if operator == "&&" else (constant, right)
            return v.Conditional(ty.BOOL, node.start, left, then, otherwise)
        if operator == "|>":
            argument = t.Argument(node.left.start, node.left.end, None, node.left)
            return self.call(t.Call(node.start, node.end, node.right, [argument]), expected)
        if operator in ("..", "..="):
            return self.range(node)
        if needs_context(node.left) and not needs_context(node.right):
            right = self.infer(node.right)
            left = self.check(node.left, self.literal_type(node.left, right.type))
            return self.combine(node, operator, left, right)
        return self.operation(node, operator, self.infer(node.left), node.right)

    def operation(self, node: t.Node, operator: str, left: v.Value, right_node: t.Expression) -> v.Value:
        """``left operator right``, the right side in the light of the left one."""
        left_type = resolve(left.type)
        if (left_type == ty.STRING and operator == "+") or operator in ("<<", ">>"):
            right = self.infer(right_node)
        elif needs_context(right_node) or (operator in COMPARE and has_variable(left_type)):
            right = self.check(right_node, self.literal_type(right_node, left_type))
        else:
            right = self.infer(right_node)
        return self.combine(node, operator, left, right)

    def combine(self, node: t.Node, operator: str, left: v.Value, right: v.Value) -> v.Value:
        left_type, right_type = resolve(left.type), resolve(right.type)
        if ty.UNKNOWN in (left_type, right_type):
            return self.unknown(node)
        if ty.NEVER in (left_type, right_type):
            return v.Sequence(ty.NEVER, node.start, [left, right])
        if operator == "+" and left_type == ty.STRING:
            if right_type == ty.VOID:
                return self.wrong(node, "E0302", "`+` cannot append Void, which has no text")
            text = right if right_type == ty.STRING else self.to_string(right)
            return v.Operation(ty.STRING, node.start, "string.concat", [left, text])
        if operator in ("<<", ">>"):
            return self.shift(node, operator, left, right)
        common = common_type(left_type, right_type)
        if common is None:
            if operator in COMPARE:
                message = f"{show(left_type)} cannot be compared with {show(right_type)}"
            else:
                message = f"`{operator}` does not work on {show(left_type)} and {show(right_type)}"
            both = ty.is_numeric(left_type) and ty.is_numeric(right_type)
            return self.wrong(node, "E0302", message, "convert one side with `as`" if both else "")
        left, right = widened(left, common), widened(right, common)
        if operator in COMPARE:
            return self.compare(node, operator, left, right, common)
        fits = common in ty.INTEGERS or (common in ty.FLOATS and operator not in _INTEGER_ONLY)
        if common == ty.BOOL and operator in ("&", "|", "^"):
            fits = True
        if operator not in ARITHMETIC or not fits:
            hint = "write the text on the left: `text + value`" if right_type == ty.STRING else ""
            return self.wrong(node, "E0302", f"`{operator}` does not work on {show(common)}", hint)
        return v.Operation(common, node.start, ARITHMETIC[operator], [left, right])

    def to_string(self, value: v.Value) -> v.Value:
        return v.Operation(ty.STRING, value.start, "to_string", [value])

    def shift(self, node: t.Node, operator: str, left: v.Value, right: v.Value) -> v.Value:
        left_type, right_type = resolve(left.type), resolve(right.type)
        if left_type not in ty.INTEGERS or right_type not in ty.INTEGERS:
            message = f"`{operator}` needs integers, found {show(left_type)} and {show(right_type)}"
            return self.wrong(node, "E0302", message)
        amount = right if right_type == left_type else v.Convert(left_type, right.start, right)
        return v.Operation(left_type, node.start, ARITHMETIC[operator], [left, amount])

    def compare(self, node: t.Node, operator: str, left: v.Value, right: v.Value, common: ty.Type) -> v.Value:
        if operator not in ("==", "!=") and not self.has_order(common):
            message = f"{show(common)} has no order"
            return self.wrong(node, "E0302", message, "numbers, Char, String, and lists and tuples of those have one")
        if isinstance(resolve(common), ty.FunctionOf):
            return self.wrong(node, "E0302", "functions cannot be compared")
        return v.Operation(ty.BOOL, node.start, COMPARE[operator], [left, right])

    def has_order(self, type_: ty.Type) -> bool:
        type_ = resolve(type_)
        if isinstance(type_, ty.TupleOf):
            return all(map(self.has_order, type_.items))
        item = ty.argument_of(type_, "List")
        if item is not None:
            return self.has_order(item)
        if isinstance(type_, ty.GenericOf) and self.context.may_write_instructions:
            return True  # whoever calls the runtime has looked at the type
        return ty.is_numeric(type_) or type_ in (ty.CHAR, ty.STRING) or isinstance(type_, ty.Variable)

    def cast(self, node: t.Cast) -> v.Value:
        target = self.type(node.type)
        if isinstance(node.value, t.Integer) and ty.is_numeric(target):
            kind = ty.INTEGERS.get(target)
            if kind is None or kind.low <= node.value.value <= kind.high:
                return self.number(node.value, target) or self.unknown(node)
        code_point = target == ty.CHAR and isinstance(node.value, t.Integer)
        value = self.check(node.value, ty.UINT32) if code_point else self.infer(node.value)
        source = resolve(value.type)
        if ty.UNKNOWN in (source, target):
            return v.Literal(target, node.start, None) if target == ty.UNKNOWN else self.unknown(node)
        pair = {source, target}
        char = ty.CHAR in pair and ty.UINT32 in pair
        if not (char or (ty.is_numeric(source) and ty.is_numeric(target))):
            hint = "`as` converts between numbers, and between Char and UInt32"
            return self.wrong(node, "E0304", f"{show(source)} cannot become {show(target)}", hint)
        return value if source == target else v.Convert(target, node.start, value)

    # -- ranges -----------------------------------------------------------------------------------

    def range(self, node: t.Binary) -> v.Value:
        low, high = self.range_ends(node)
        type_ = ty.Named(ty.RANGE, (low.type,))
        return v.MakeRange(type_, node.start, low, high, node.operator == "..=")

    def range_ends(self, node: t.Binary) -> tuple[v.Value, v.Value]:
        """The two ends of a range, of one integer type."""
        if needs_context(node.left) and not needs_context(node.right):
            high = self.infer(node.right)
            low = self.check(node.left, self.literal_type(node.left, high.type))
        else:
            low = self.infer(node.left)
            literal = needs_context(node.right)
            high = (
                self.check(node.right, self.literal_type(node.right, low.type)) if literal else self.infer(node.right)
            )
        if is_unknown(low) or is_unknown(high):
            return self.unknown(node), self.unknown(node)
        common = common_type(resolve(low.type), resolve(high.type))
        if common is None or common not in ty.INTEGERS:
            message = f"a range needs two integers, found {show(low.type)} and {show(high.type)}"
            self.context.report(node, "E0302", message)
            return self.unknown(node), self.unknown(node)
        return widened(low, common), widened(high, common)


def is_literal(node: t.Node) -> bool:
    """Whether a number literal, perhaps with a sign or in arithmetic with others, stands here."""
    if isinstance(node, t.Unary) and node.operator in ("+", "-"):
        return isinstance(node.operand, t.Integer | t.Float)
    if isinstance(node, t.Binary) and node.operator in ARITHMETIC:
        return is_literal(node.left) and is_literal(node.right)
    return isinstance(node, t.Integer | t.Float)


def needs_context(node: t.Node) -> bool:
    """Whether the type of *node* comes from where it stands rather than from itself."""
    if isinstance(node, t.Name):
        return node.name == "None"
    if isinstance(node, t.Call) and isinstance(node.callee, t.Name) and node.callee.name in ("Some", "Ok", "Err"):
        return node.callee.name != "Some" or all(needs_context(argument.value) for argument in node.arguments)
    if isinstance(node, t.ListLiteral):
        return all(needs_context(item) for item in node.items)
    if isinstance(node, t.Call) and isinstance(node.callee, t.Member) and node.callee.name == "parse":
        return not node.arguments
    return is_literal(node)


def common_type(left: ty.Type, right: ty.Type) -> ty.Type | None:
    """The type that both sides can take without loss."""
    if right == ty.NEVER or left == right:
        return left
    if left == ty.NEVER or ty.widens(left, right):
        return right
    if ty.widens(right, left) or unify(left, right):
        return resolve(left)
    return None


def widened(value: v.Value, target: ty.Type) -> v.Value:
    """The value converted to the wider numeric type, where it is not of that type already."""
    actual = resolve(value.type)
    if actual != target and ty.widens(actual, target):
        return v.Convert(target, value.start, value)
    return value
