"""Bodies: statements and expressions to typed values, in both directions.

`Body.infer` finds the type of an expression; `Body.check` gives it one from outside. What the checker does
not understand is reported once and has the type `UNKNOWN`, which fits everywhere.
"""

import struct

from dolbuild.analysis import methods
from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.context import Context, did_you_mean
from dolbuild.analysis.patterns import compile_match
from dolbuild.analysis.world import Found, Item, Missing, Scope
from dolbuild.source import Span
from dolbuild.syntax import tree as t

ARITHMETIC = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "rem", "&": "and", "|": "or", "^": "xor",
    "<<": "shl", ">>": "shr",
}  # fmt: skip
COMPARE = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_INTEGER_ONLY = frozenset(["%", "&", "|", "^", "<<", ">>"])

RUNTIME = "@dol/runtime"
"""The package whose modules may write ``wasm.name(...)``."""


class Body:
    """The checker of one function's body (or of one constant's value)."""

    def __init__(self, context: Context, result: ty.Type, in_test: bool = False) -> None:
        self.context = context
        self.result = result
        self.in_test = in_test
        self.scopes: list[dict[str, v.Local]] = [{}]
        self.loops = 0

    # -- entry points -----------------------------------------------------------------------------

    def function(self, parameters: list[v.Local], body: t.Block) -> v.Value:
        """The whole body: its last expression is the result, if it has one."""
        for parameter in parameters:
            self.scopes[0][parameter.name] = parameter
        value = self.block(body, self.result)
        if self.result == ty.VOID:
            return value
        if value.type == ty.VOID and self.result != ty.UNKNOWN:
            end = Span(body.end - 1, body.end)
            if not body.statements:
                message = f"this function has no body, but gives {_a(self.result)}"
                self.context.report(body, "E0307", message, "write `...` for a body that is still to come")
            else:
                message = f"not every way through this function gives {_a(self.result)}"
                self.context.report(end, "E0307", message, "end it with a value or a `return`")
        return value

    # -- statements -------------------------------------------------------------------------------

    def block(self, block: t.Block, expected: ty.Type | None = None) -> v.Value:
        self.scopes.append({})
        values: list[v.Value] = []
        last = len(block.statements) - 1
        stopped = False
        for index, statement in enumerate(block.statements):
            if stopped:
                self.context.report(statement, "W0302", "this is never reached")
                break
            is_value = index == last and not _lacks_else(statement)
            value = self.statement(statement, expected if is_value else ty.VOID)
            values.append(value)
            stopped = value.type == ty.NEVER
        self.scopes.pop()
        if len(values) == 1:
            return values[0]
        type_ = values[-1].type if values else ty.VOID
        return v.Sequence(type_, block.start, values) if values else v.Literal(ty.VOID, block.start, None)

    def statement(self, node: t.Node, expected: ty.Type | None) -> v.Value:
        """One statement; *expected* is `VOID` where its value is not used."""
        match node:
            case t.Assign():
                return self.assign(node)
            case t.Declare():
                return self.declare(node)
            case t.Exegesis():
                return v.Literal(ty.VOID, node.start, None)
            case t.Expression():
                if expected == ty.VOID:
                    return self.infer(node, statement=True)
                return self.check(node, expected) if expected is not None else self.infer(node)
            case _:
                return self.unsupported(node, "this statement")

    def assign(self, node: t.Assign) -> v.Value:
        target = node.target
        if not isinstance(target, t.Name):
            return self.unsupported(target, "an assignment to a field or an element")
        local = self.local(target.name)
        if local is None:
            found = self.context.name(target.name)
            if isinstance(found, Item):
                return self.assign_global(node, found)
            if node.operator:
                self.unknown_name(target, target.name)
                return self.unknown(node)
            value = self.infer(node.value)
            return self.bind(node, target.name, value, mutable=True)
        if not local.mutable:
            hint = f"declare it with `var {local.name}` to change it"
            self.context.report(target, "E0308", f"`{local.name}` cannot be changed", hint)
        if node.operator:
            left = v.GetLocal(local.type, target.start, local)
            value = self.operation(node, node.operator, left, node.value)
            value = self.fit(value, local.type, node.value)
        else:
            value = self.check(node.value, local.type)
        return v.SetLocal(ty.VOID, node.start, local, value)

    def assign_global(self, node: t.Assign, found: Item) -> v.Value:
        if found.kind != "variable":
            message = f"`{found.name}` is a {found.kind} and cannot be changed"
            self.context.report(node.target, "E0308", message)
            return self.unknown(node)
        type_ = self.item_type(found)
        if node.operator:
            left = v.GetGlobal(type_, node.start, found.symbol)
            value = self.fit(self.operation(node, node.operator, left, node.value), type_, node.value)
        else:
            value = self.check(node.value, type_)
        return v.SetGlobal(ty.VOID, node.start, found.symbol, value)

    def declare(self, node: t.Declare) -> v.Value:
        pattern = node.pattern
        if isinstance(pattern, t.WildcardPattern):
            name = "_"
        elif isinstance(pattern, t.NamePattern) and len(pattern.path.parts) == 1:
            name = pattern.path.parts[0]
        else:
            return self.unsupported(pattern, "a pattern in a declaration")
        if node.type is not None:
            value = self.check(node.value, self.context.type(node.type))
            value.type = self.context.type(node.type) if value.type == ty.NEVER else value.type
        else:
            value = self.infer(node.value)
        return self.bind(node, name, value, mutable=node.keyword in ("", "var"))

    def bind(self, node: t.Node, name: str, value: v.Value, mutable: bool) -> v.Value:
        if value.type == ty.VOID:
            self.context.report(node, "E0309", f"`{name}` would have no value: this gives Void")
        local = v.Local(name, value.type, mutable)
        if name != "_":
            self.scopes[-1][name] = local
        return v.SetLocal(ty.VOID, node.start, local, value)

    # -- both directions --------------------------------------------------------------------------

    def check(self, node: t.Expression, expected: ty.Type) -> v.Value:
        """The value of *node*, which must be of type *expected*."""
        match node:
            case t.Integer() | t.Float() | t.Unary(operator="-", operand=t.Integer() | t.Float()):
                literal = self.number(node, expected)
                if literal is not None:
                    return literal
            case t.Name(name="None") if self.local("None") is None:
                if ty.argument_of(expected, "Option") is not None:
                    return v.Operation(expected, node.start, "option.none", [])
            case t.Call(callee=t.Name(name="Some"), arguments=[argument]) if self.local("Some") is None:
                item = ty.argument_of(expected, "Option")
                if item is not None:
                    inner = self.check(argument.value, item)
                    return v.Operation(expected, node.start, "option.some", [inner])
            case t.Call(callee=t.Member(name="parse"), arguments=[]):
                parsed = self.parse(node, expected)
                if parsed is not None:
                    return parsed
            case t.If():
                return self.conditional(node, expected)
            case t.Match():
                return compile_match(self, node, expected)
            case t.Block():
                return self.fit(self.block(node, expected), expected, node)
            case t.Hole():
                return self.hole(node, expected)
            case t.Binary(operator=operator) if operator in ARITHMETIC and ty.is_numeric(expected):
                if _is_literal(node.left) and _is_literal(node.right):
                    left = self.check(node.left, expected)
                    return self.fit(self.operation(node, operator, left, node.right), expected, node)
        return self.fit(self.infer(node), expected, node)

    def fit(self, value: v.Value, expected: ty.Type, node: t.Node) -> v.Value:
        """*value* as one of type *expected*: as it is, widened, or reported."""
        actual = value.type
        if actual == expected or actual in (ty.NEVER, ty.UNKNOWN) or expected in (ty.UNKNOWN, ty.VOID):
            return value
        if ty.widens(actual, expected):
            return v.Convert(expected, value.start, value)
        hint = ""
        if ty.is_numeric(actual) and ty.is_numeric(expected):
            hint = f"convert it with `as {expected}`"
        elif ty.argument_of(expected, "Option") == actual:
            hint = "wrap it in `Some(...)`"
        elif ty.argument_of(actual, "Option") == expected:
            hint = "take the value out with `unwrap_or(...)`, `?` or `match`"
        elif expected == ty.STRING:
            hint = "turn it into text with `.to_string()`"
        self.context.report(node, "E0301", f"expected {_a(expected)}, found {_a(actual)}", hint)
        return v.Literal(ty.UNKNOWN, value.start, None)

    def infer(self, node: t.Expression, statement: bool = False) -> v.Value:
        """The value of *node* with the type that it has by itself."""
        match node:
            case t.Integer() | t.Float():
                literal = self.number(node, ty.INT64 if isinstance(node, t.Integer) else ty.FLOAT64)
                return literal or self.unknown(node)
            case t.Boolean(value=value):
                return v.Literal(ty.BOOL, node.start, value)
            case t.String(value=text):
                return v.Literal(ty.STRING, node.start, text)
            case t.Char(value=scalar):
                return v.Literal(ty.CHAR, node.start, scalar)
            case t.Tuple(items=[]):
                return v.Literal(ty.VOID, node.start, None)
            case t.Name():
                return self.name(node)
            case t.AtPath(text=text):
                return self.value_of(node, text, self.context.at_path(text))
            case t.Unary():
                return self.unary(node)
            case t.Binary():
                return self.binary(node)
            case t.Cast():
                return self.cast(node)
            case t.Call():
                return self.call(node)
            case t.Member():
                return self.member(node)
            case t.Index():
                return self.index(node)
            case t.If():
                return self.conditional(node, ty.VOID if statement else None)
            case t.Match():
                return compile_match(self, node, ty.VOID if statement else None)
            case t.Block():
                return self.block(node, ty.VOID if statement else None)
            case t.While():
                return self.while_(node)
            case t.Loop():
                return self.loop(node)
            case t.For():
                return self.for_(node)
            case t.Return():
                return self.return_(node)
            case t.Break() | t.Continue():
                return self.jump(node)
            case t.Hole():
                return self.hole(node, ty.NEVER)
            case _:
                return self.unsupported(node, _DESCRIBED.get(type(node), "this expression"))

    # -- literals and names -----------------------------------------------------------------------

    def number(self, node: t.Expression, expected: ty.Type) -> v.Value | None:
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

    def local(self, name: str) -> v.Local | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    def name(self, node: t.Name) -> v.Value:
        local = self.local(node.name)
        if local is not None:
            return v.GetLocal(local.type, node.start, local)
        found = self.context.name(node.name)
        if isinstance(found, Missing) and not found.broken:
            if node.name == "None":
                message = "nothing here says what this `None` could hold"
                hint = "declare the type: `x: Option<Int64> = None`"
                self.context.report(node, "E0305", message, hint)
            else:
                self.unknown_name(node, node.name)
            return self.unknown(node)
        return self.value_of(node, node.name, found)

    def unknown_name(self, node: t.Node, name: str) -> None:
        locals_ = [local for scope in self.scopes for local in scope]
        hint = did_you_mean(name, (*locals_, *self.context.names()))
        self.context.report(node, "E0201", f"`{name}` is not known here", hint)

    def value_of(self, node: t.Expression, path: str, found: Found) -> v.Value:
        """An item used as a value."""
        if isinstance(found, Item):
            if found.kind in ("const", "variable"):
                return v.GetGlobal(self.item_type(found), node.start, found.symbol)
            if found.kind == "function":
                return self.unsupported(node, "a function as a value")
        self.context.explain(node, path, found)
        return self.unknown(node)

    def item_type(self, found: Item) -> ty.Type:
        type_ = self.context.world.type_of(found.value["type"], found.scope, frozenset())
        return ty.UNKNOWN if isinstance(type_, Missing) else type_

    # -- operators --------------------------------------------------------------------------------

    def unary(self, node: t.Unary) -> v.Value:
        if node.operator == "!":
            return v.Operation(ty.BOOL, node.start, "not", [self.check(node.operand, ty.BOOL)])
        if isinstance(node.operand, t.Integer | t.Float):
            type_ = ty.INT64 if isinstance(node.operand, t.Integer) else ty.FLOAT64
            sign = node if node.operator == "-" else node.operand
            return self.number(sign, type_) or self.unknown(node)
        operand = self.infer(node.operand)
        if operand.type == ty.UNKNOWN:
            return operand
        if not ty.is_numeric(operand.type):
            message = f"`{node.operator}` needs a number, found {_a(operand.type)}"
            self.context.report(node.operand, "E0302", message)
            return self.unknown(node)
        if node.operator == "+":
            return operand
        if operand.type in ty.INTEGERS and not ty.INTEGERS[operand.type].signed:
            message = f"`-` has no meaning for {_a(operand.type)}"
            self.context.report(node, "E0302", message, "convert it to a signed type first")
            return self.unknown(node)
        return v.Operation(operand.type, node.start, "neg", [operand])

    def binary(self, node: t.Binary) -> v.Value:
        operator = node.operator
        if operator in ("&&", "||"):
            left = self.check(node.left, ty.BOOL)
            right = self.check(node.right, ty.BOOL)
            constant = v.Literal(ty.BOOL, node.start, operator == "||")
            then, otherwise = (right, constant) if operator == "&&" else (constant, right)
            return v.Conditional(ty.BOOL, node.start, left, then, otherwise)
        if operator == "|>":
            argument = t.Argument(node.left.start, node.left.end, None, node.left)
            return self.call(t.Call(node.start, node.end, node.right, [argument]))
        if operator in ("..", "..="):
            return self.unsupported(node, "a range outside `for`")
        if _needs_context(node.left) and not _needs_context(node.right):
            right = self.infer(node.right)
            left = self.check(node.left, self.literal_type(node.left, right.type))
            return self.combine(node, operator, left, right)
        left = self.infer(node.left)
        return self.operation(node, operator, left, node.right)

    def literal_type(self, node: t.Expression, other: ty.Type) -> ty.Type:
        """The type that a literal takes beside a value of type *other*."""
        if isinstance(node, t.Float) and other not in ty.FLOATS:
            return ty.FLOAT64
        if isinstance(node, t.Integer) and not ty.is_numeric(other):
            return ty.INT64
        return other

    def operation(self, node: t.Node, operator: str, left: v.Value, right_node: t.Expression) -> v.Value:
        """``left operator right``, the right side in the light of the left one."""
        if (left.type == ty.STRING and operator == "+") or operator in ("<<", ">>"):
            right = self.infer(right_node)
        elif _needs_context(right_node):
            right = self.check(right_node, self.literal_type(right_node, left.type))
        else:
            right = self.infer(right_node)
        return self.combine(node, operator, left, right)

    def combine(self, node: t.Node, operator: str, left: v.Value, right: v.Value) -> v.Value:
        if ty.UNKNOWN in (left.type, right.type):
            return self.unknown(node)
        if ty.NEVER in (left.type, right.type):
            return v.Sequence(ty.NEVER, node.start, [left, right])
        if operator == "+" and left.type == ty.STRING:
            if right.type == ty.VOID:
                self.context.report(node, "E0302", "`+` cannot append Void, which has no text")
                return self.unknown(node)
            text = right if right.type == ty.STRING else v.Operation(ty.STRING, right.start, "to_string", [right])
            return v.Operation(ty.STRING, node.start, "string.concat", [left, text])
        if operator in ("<<", ">>"):
            return self.shift(node, operator, left, right)
        common = _common(left.type, right.type)
        if common is None:
            if operator in COMPARE:
                message = f"{_a(left.type)} cannot be compared with {_a(right.type)}"
            else:
                message = f"`{operator}` does not work on {_a(left.type)} and {_a(right.type)}"
            hint = "convert one side with `as`" if ty.is_numeric(left.type) and ty.is_numeric(right.type) else ""
            self.context.report(node, "E0302", message, hint)
            return self.unknown(node)
        left, right = _widen(left, common), _widen(right, common)
        if operator in COMPARE:
            return self.compare(node, operator, left, right)
        fits = common in ty.INTEGERS or (common in ty.FLOATS and operator not in _INTEGER_ONLY)
        if common == ty.BOOL and operator in ("&", "|", "^"):
            fits = True
        if operator not in ARITHMETIC or not fits:
            hint = "write the text on the left: `text + value`" if right.type == ty.STRING else ""
            self.context.report(node, "E0302", f"`{operator}` does not work on {_a(common)}", hint)
            return self.unknown(node)
        return v.Operation(common, node.start, ARITHMETIC[operator], [left, right])

    def shift(self, node: t.Node, operator: str, left: v.Value, right: v.Value) -> v.Value:
        if left.type not in ty.INTEGERS or right.type not in ty.INTEGERS:
            message = f"`{operator}` needs integers, found {_a(left.type)} and {_a(right.type)}"
            self.context.report(node, "E0302", message)
            return self.unknown(node)
        amount = right if right.type == left.type else v.Convert(left.type, right.start, right)
        return v.Operation(left.type, node.start, ARITHMETIC[operator], [left, amount])

    def compare(self, node: t.Node, operator: str, left: v.Value, right: v.Value) -> v.Value:
        if operator not in ("==", "!=") and not (ty.is_numeric(left.type) or left.type in (ty.CHAR, ty.STRING)):
            message = f"{_a(left.type)} has no order"
            self.context.report(node, "E0302", message, "numbers, Char and String have one")
            return self.unknown(node)
        return v.Operation(ty.BOOL, node.start, COMPARE[operator], [left, right])

    def cast(self, node: t.Cast) -> v.Value:
        target = self.context.type(node.type)
        if isinstance(node.value, t.Integer) and target in ty.INTEGERS | ty.FLOATS:
            kind = ty.INTEGERS.get(target)
            if kind is None or kind.low <= node.value.value <= kind.high:
                return self.number(node.value, target) or self.unknown(node)
        value = self.infer(node.value)
        if ty.UNKNOWN in (value.type, target):
            return v.Literal(target, node.start, None) if target == ty.UNKNOWN else self.unknown(node)
        pair = {value.type, target}
        char = ty.CHAR in pair and ty.UINT32 in pair
        if not (char or (ty.is_numeric(value.type) and ty.is_numeric(target))):
            hint = "`as` converts between numbers, and between Char and UInt32"
            self.context.report(node, "E0304", f"{_a(value.type)} cannot become {_a(target)}", hint)
            return self.unknown(node)
        return value if value.type == target else v.Convert(target, node.start, value)

    # -- calls ------------------------------------------------------------------------------------

    def call(self, node: t.Call) -> v.Value:
        callee = node.callee
        if isinstance(callee, t.Name) and self.local(callee.name) is None:
            built_in = self.built_in_call(node, callee.name)
            if built_in is not None:
                return built_in
            found = self.context.name(callee.name)
            if isinstance(found, Missing) and not found.broken:
                self.unknown_name(callee, callee.name)
                return self.arguments_only(node)
            return self.call_item(node, callee.name, found)
        if isinstance(callee, t.AtPath):
            return self.call_item(node, callee.text, self.context.at_path(callee.text))
        if isinstance(callee, t.Member):
            path = _path(callee)
            if path is not None and self.local(path[0]) is None:
                if path[0] == "wasm" and self.context.scope.package == RUNTIME:
                    return self.instruction(node, path[1])
                walked = self.walk(path)
                if walked is not None:
                    return self.call_item(node, ".".join(path), walked)
            return self.method(node, callee)
        value = self.infer(callee)
        if value.type == ty.UNKNOWN:
            return self.arguments_only(node)
        return self.unsupported(node, "a call of a value")

    def walk(self, path: list[str]) -> Found | None:
        """Follow a dotted path that starts at a module; None where its first name is a value."""
        at: Found = self.context.name(path[0])
        if not isinstance(at, Scope):
            return None
        for name in path[1:]:
            if not isinstance(at, Scope):
                return Missing(self.context.scope, name)
            at = self.context.world.member(at, name, self.context.scope)
        return at

    def call_item(self, node: t.Call, path: str, found: Found) -> v.Value:
        if not isinstance(found, Item) or found.kind != "function":
            self.context.explain(node.callee, path, found)
            return self.arguments_only(node)
        value = found.value
        if value.get("generics"):
            return self.unsupported(node, "a call of a generic function")
        world = self.context.world
        parameters: list[tuple[str, ty.Type, bool]] = []
        for name, written, has_default in value["params"]:
            type_ = world.type_of(written, found.scope, frozenset())
            parameters.append((name, ty.UNKNOWN if isinstance(type_, Missing) else type_, has_default))
        result = world.type_of(value["result"], found.scope, frozenset())
        arguments = self.arguments(node, found.name, parameters)
        return v.CallFunction(
            ty.UNKNOWN if isinstance(result, Missing) else result, node.start, found.symbol, arguments
        )

    def arguments(self, node: t.Call, name: str, parameters: list[tuple[str, ty.Type, bool]]) -> list[v.Value]:
        """The arguments in the order of the parameters."""
        given: dict[str, t.Argument] = {}
        positional = 0
        for argument in node.arguments:
            if argument.name is None:
                if positional < len(parameters):
                    given[parameters[positional][0]] = argument
                positional += 1
            elif argument.name in given:
                self.context.report(argument, "E0306", f"`{argument.name}` is given twice")
            elif all(argument.name != parameter for parameter, _, _ in parameters):
                hint = did_you_mean(argument.name, [parameter for parameter, _, _ in parameters])
                self.context.report(argument, "E0306", f"`{name}` has no parameter `{argument.name}`", hint)
            else:
                given[argument.name] = argument
        if positional > len(parameters):
            self.count_error(node, name, len(parameters), positional)
        values: list[v.Value] = []
        for parameter, type_, has_default in parameters:
            if parameter in given:
                values.append(self.check(given[parameter].value, type_))
            elif has_default:
                values.append(self.unsupported(node, "a default argument"))
            else:
                signature = ", ".join(f"{p}: {kind}" for p, kind, _ in parameters)
                message = f"`{name}` needs an argument for `{parameter}`"
                self.context.report(node, "E0306", message, f"its parameters are ({signature})")
                break
        return values

    def count_error(self, node: t.Call, name: str, wanted: int, found: int) -> None:
        plural = "" if wanted == 1 else "s"
        self.context.report(node, "E0306", f"`{name}` takes {wanted} argument{plural}, found {found}")

    def arguments_only(self, node: t.Call) -> v.Value:
        """Check the arguments of a call whose callee was reported."""
        for argument in node.arguments:
            if not _needs_context(argument.value):
                self.infer(argument.value)
        return self.unknown(node)

    def built_in_call(self, node: t.Call, name: str) -> v.Value | None:
        """A call of a name that every module has, or None where it is none (or a module has its own)."""
        if name not in ("Some", "assert", "assert_eq", "assert_ne"):
            return None
        if not isinstance(self.context.name(name), Missing):
            return None
        wanted = 2 if name in ("assert_eq", "assert_ne") else 1
        if len(node.arguments) != wanted:
            self.count_error(node, name, wanted, len(node.arguments))
            return self.arguments_only(node)
        values = [argument.value for argument in node.arguments]
        if name == "Some":
            inner = self.infer(values[0])
            return v.Operation(ty.option(inner.type), node.start, "option.some", [inner])
        if name == "assert":
            return v.Operation(ty.VOID, node.start, "assert", [self.check(values[0], ty.BOOL)])
        first, second = (1, 0) if _needs_context(values[0]) and not _needs_context(values[1]) else (0, 1)
        known = self.infer(values[first])
        other_node = values[second]
        if _needs_context(other_node) or isinstance(other_node, t.Call):
            other = self.check(other_node, self.literal_type(other_node, known.type))
        else:
            other = self.infer(other_node)
        if ty.UNKNOWN in (known.type, other.type):
            return self.unknown(node)
        common = _common(known.type, other.type)
        if common is None:
            message = f"{_a(known.type)} cannot be compared with {_a(other.type)}"
            self.context.report(other_node, "E0302", message)
            return self.unknown(node)
        known, other = _widen(known, common), _widen(other, common)
        pair = [known, other] if first == 0 else [other, known]
        return v.Operation(ty.VOID, node.start, name, pair)

    def instruction(self, node: t.Call, name: str) -> v.Value:
        signature = methods.INSTRUCTIONS.get(name)
        if signature is None or len(signature[0]) != len(node.arguments):
            self.context.report(node, "E0201", f"there is no instruction `wasm.{name}` of this shape")
            return self.unknown(node)
        operands = [
            self.check(argument.value, type_) for argument, type_ in zip(node.arguments, signature[0], strict=True)
        ]
        return v.Instruction(signature[1], node.start, name, operands)

    def method(self, node: t.Call, callee: t.Member) -> v.Value:
        receiver = self.infer(callee.value)
        if receiver.type == ty.UNKNOWN:
            return self.arguments_only(node)
        found = self.find_method(callee, receiver)
        if found is None:
            return self.arguments_only(node)
        if len(node.arguments) != len(found.parameters):
            self.count_error(node, callee.name, len(found.parameters), len(node.arguments))
            return self.arguments_only(node)
        operands = [
            self.check(argument.value, type_) for argument, type_ in zip(node.arguments, found.parameters, strict=True)
        ]
        return v.Operation(found.result, node.start, found.operation, [receiver, *operands])

    def parse(self, node: t.Call, expected: ty.Type) -> v.Value | None:
        """``text.parse()``, whose result type comes from where it stands."""
        assert isinstance(node.callee, t.Member)
        if ty.argument_of(expected, "Option") not in ty.INTEGERS:
            return None
        receiver = self.infer(node.callee.value)
        if receiver.type != ty.STRING:
            return None
        return v.Operation(expected, node.start, "string.parse", [receiver])

    def find_method(self, callee: t.Member, receiver: v.Value) -> methods.Method | None:
        found = methods.method(receiver.type, callee.name)
        if found is None:
            place = Span(callee.name_start, callee.end)
            hint = did_you_mean(callee.name, methods.NAMES)
            self.context.report(place, "E0208", f"{_a(receiver.type)} has no `{callee.name}`", hint)
        return found

    def member(self, node: t.Member) -> v.Value:
        path = _path(node)
        if path is not None and self.local(path[0]) is None:
            found = self.walk(path)
            if found is not None:
                return self.value_of(node, ".".join(path), found)
        receiver = self.infer(node.value)
        if receiver.type == ty.UNKNOWN:
            return self.unknown(node)
        found_method = self.find_method(node, receiver)
        if found_method is None:
            return self.unknown(node)
        if found_method.parameters:
            message = f"`{node.name}` is a function and needs its arguments"
            self.context.report(node, "E0306", message)
            return self.unknown(node)
        return v.Operation(found_method.result, node.start, found_method.operation, [receiver])

    def index(self, node: t.Index) -> v.Value:
        value = self.infer(node.value)
        item = ty.argument_of(value.type, "List")
        if item is None:
            if value.type != ty.UNKNOWN:
                self.context.report(node.value, "E0302", f"{_a(value.type)} cannot be indexed")
            return self.unknown(node)
        position = self.infer(node.index)
        if position.type not in ty.INTEGERS:
            if position.type != ty.UNKNOWN:
                self.context.report(node.index, "E0301", f"expected an integer, found {_a(position.type)}")
            return self.unknown(node)
        wide = position if position.type == ty.INT64 else v.Convert(ty.INT64, position.start, position)
        return v.Operation(item, node.start, "list.get", [value, wide])

    # -- control flow -----------------------------------------------------------------------------

    def conditional(self, node: t.If, expected: ty.Type | None) -> v.Value:
        condition = self.check(node.condition, ty.BOOL)
        if node.otherwise is None:
            then = self.block(node.then, ty.VOID)
            if expected not in (None, ty.VOID, ty.UNKNOWN) and then.type != ty.UNKNOWN:
                message = f"this `if` without `else` gives no {expected}"
                self.context.report(node, "E0301", message, "add an `else` with the other value")
            nothing = v.Literal(ty.VOID, node.end, None)
            return v.Conditional(ty.VOID, node.start, condition, then, nothing)
        then = self.branch(node.then, expected)
        if expected is None and then.type not in (ty.NEVER, ty.UNKNOWN):
            expected = then.type
        otherwise = self.branch(node.otherwise, expected)
        return v.Conditional(join(then, otherwise, expected), node.start, condition, then, otherwise)

    def branch(self, node: t.Node, expected: ty.Type | None) -> v.Value:
        """The body of a branch: a block, another ``if``, or what stands behind ``=>``."""
        if isinstance(node, t.Block):
            value = self.block(node, expected)
        elif isinstance(node, t.If):
            return self.conditional(node, expected)
        else:
            value = self.statement(node, expected)
        if expected not in (None, ty.VOID) and value.type == ty.VOID:
            message = f"this branch gives no {expected}"
            self.context.report(node, "E0301", message)
        return value

    def while_(self, node: t.While) -> v.Value:
        condition = self.check(node.condition, ty.BOOL)
        return v.Loop(ty.VOID, node.start, condition, self.loop_body(node.body), None)

    def loop(self, node: t.Loop) -> v.Value:
        body = self.loop_body(node.body)
        leaves = _has_break(node.body)
        return v.Loop(ty.VOID if leaves else ty.NEVER, node.start, None, body, None)

    def loop_body(self, body: t.Block) -> v.Value:
        self.loops += 1
        value = self.block(body, ty.VOID)
        self.loops -= 1
        return value

    def for_(self, node: t.For) -> v.Value:
        """``for i in a..b``: a counter that is compared before it is used, so that it cannot overflow."""
        if not isinstance(node.iterable, t.Binary) or node.iterable.operator not in ("..", "..="):
            return self.unsupported(node.iterable, "`for` over anything but a range")
        names = node.pattern
        if isinstance(names, t.WildcardPattern):
            name = "_"
        elif isinstance(names, t.NamePattern) and len(names.path.parts) == 1:
            name = names.path.parts[0]
        else:
            return self.unsupported(names, "a pattern in `for`")
        low, high = self.range_ends(node.iterable)
        if ty.UNKNOWN in (low.type, high.type):
            return self.unknown(node)
        type_ = low.type
        counter, last = v.Local(name, type_), v.Local(".last", type_, False)
        current = v.GetLocal(type_, node.start, counter)
        end = v.GetLocal(type_, node.start, last)
        self.scopes.append({} if name == "_" else {name: counter})
        body = self.loop_body(node.body)
        self.scopes.pop()
        inclusive = node.iterable.operator == "..="
        go = v.Operation(ty.BOOL, node.start, "le" if inclusive else "lt", [current, end])
        one = v.Literal(type_, node.start, 1)
        step: v.Value = v.SetLocal(
            ty.VOID, node.start, counter, v.Operation(type_, node.start, "wrapping_add", [current, one])
        )
        if inclusive:
            at_end = v.Operation(ty.BOOL, node.start, "eq", [current, end])
            stop = v.Break(ty.NEVER, node.start)
            nothing = v.Literal(ty.VOID, node.start, None)
            step = v.Sequence(ty.VOID, node.start, [v.Conditional(ty.VOID, node.start, at_end, stop, nothing), step])
        return v.Sequence(
            ty.VOID,
            node.start,
            [
                v.SetLocal(ty.VOID, node.start, counter, low),
                v.SetLocal(ty.VOID, node.start, last, high),
                v.Loop(ty.VOID, node.start, go, body, step),
            ],
        )

    def range_ends(self, node: t.Binary) -> tuple[v.Value, v.Value]:
        if _needs_context(node.left) and not _needs_context(node.right):
            high = self.infer(node.right)
            low = self.check(node.left, high.type)
        else:
            low = self.infer(node.left)
            high = self.check(node.right, low.type) if _needs_context(node.right) else self.infer(node.right)
        common = _common(low.type, high.type)
        if common is None or common not in ty.INTEGERS:
            if ty.UNKNOWN not in (low.type, high.type):
                message = f"a range needs two integers, found {_a(low.type)} and {_a(high.type)}"
                self.context.report(node, "E0302", message)
            return self.unknown(node), self.unknown(node)
        return _widen(low, common), _widen(high, common)

    def return_(self, node: t.Return) -> v.Value:
        if node.value is None:
            if self.result not in (ty.VOID, ty.UNKNOWN):
                self.context.report(node, "E0301", f"expected {_a(self.result)} to return")
            return v.Return(ty.NEVER, node.start, None)
        if self.result == ty.VOID:
            value = self.infer(node.value)
            if value.type not in (ty.VOID, ty.UNKNOWN, ty.NEVER):
                message = f"this function gives nothing, but here it returns {_a(value.type)}"
                self.context.report(node.value, "E0301", message, "declare the result with `-> Type`")
            return v.Return(ty.NEVER, node.start, value)
        return v.Return(ty.NEVER, node.start, self.check(node.value, self.result))

    def jump(self, node: t.Break | t.Continue) -> v.Value:
        if not self.loops:
            word = "break" if isinstance(node, t.Break) else "continue"
            self.context.report(node, "E0312", f"`{word}` stands outside every loop")
            return self.unknown(node)
        return (v.Break if isinstance(node, t.Break) else v.Continue)(ty.NEVER, node.start)

    def hole(self, node: t.Hole, expected: ty.Type) -> v.Value:
        self.context.report(node, "W0301", "a hole: this traps when it is run")
        line = self.context.source.line_column(node.start)[0]
        trap = v.Trap(ty.NEVER, node.start, f"reached the hole `...` in line {line}")
        return trap if expected != ty.VOID else v.Sequence(ty.VOID, node.start, [trap])

    # -- giving up --------------------------------------------------------------------------------

    def unknown(self, node: t.Node) -> v.Value:
        return v.Literal(ty.UNKNOWN, node.start, None)

    def unsupported(self, node: t.Node, what: str) -> v.Value:
        """What the language has and this version of the compiler does not."""
        self.context.report(node, "E0901", f"{what} cannot be compiled by this version of dolbuild")
        return self.unknown(node)


_DESCRIBED: dict[type, str] = {
    t.Tuple: "a tuple",
    t.ListLiteral: "a list literal",
    t.Record: "a record",
    t.Construct: "a gene's construction",
    t.Closure: "a closure",
    t.Try: "`?`",
    t.Quantifier: "`forall`",
    t.SexBlock: "a `sex` block",
    t.ApplyTypes: "a type argument",
}


def join(then: v.Value, otherwise: v.Value, expected: ty.Type | None) -> ty.Type:
    """The type of a choice between two values."""
    if expected == ty.VOID:
        both = then.type == otherwise.type == ty.NEVER
        return ty.NEVER if both else ty.VOID
    if ty.UNKNOWN in (then.type, otherwise.type):
        return ty.UNKNOWN
    return otherwise.type if then.type == ty.NEVER else then.type


def _a(type_: ty.Type) -> str:
    return f"`{type_}`"


def _is_literal(node: t.Expression) -> bool:
    if isinstance(node, t.Unary) and node.operator in "+-":
        return isinstance(node.operand, t.Integer | t.Float)
    if isinstance(node, t.Binary) and node.operator in ARITHMETIC:
        return _is_literal(node.left) and _is_literal(node.right)
    return isinstance(node, t.Integer | t.Float)


def _needs_context(node: t.Expression) -> bool:
    """Whether the type of *node* comes from where it stands rather than from itself."""
    if isinstance(node, t.Name):
        return node.name == "None"
    if isinstance(node, t.Call) and isinstance(node.callee, t.Name) and node.callee.name == "Some":
        return all(_needs_context(argument.value) for argument in node.arguments)
    return _is_literal(node)


def _common(left: ty.Type, right: ty.Type) -> ty.Type | None:
    """The type that both sides can take without loss."""
    if left == right or right == ty.NEVER:
        return left
    if left == ty.NEVER or ty.widens(left, right):
        return right
    return left if ty.widens(right, left) else None


def _widen(value: v.Value, target: ty.Type) -> v.Value:
    return value if value.type in (target, ty.NEVER) else v.Convert(target, value.start, value)


def _path(node: t.Expression) -> list[str] | None:
    """``a.b.c`` as names, or None where a part of it is no name."""
    parts: list[str] = []
    while isinstance(node, t.Member):
        parts.append(node.name)
        node = node.value
    if not isinstance(node, t.Name):
        return None
    return [node.name, *reversed(parts)]


def _lacks_else(node: t.Node) -> bool:
    """Whether this is an ``if`` that has no value on one of its ways, because no ``else`` is there."""
    while isinstance(node, t.If):
        if node.otherwise is None:
            return True
        node = node.otherwise
    return False


def _has_break(node: t.Node) -> bool:
    """Whether a ``break`` in *node* leaves the loop whose body it is."""
    match node:
        case t.Break():
            return True
        case t.Block(statements=statements):
            return any(_has_break(statement) for statement in statements)
        case t.If(then=then, otherwise=otherwise):
            return _has_break(then) or (otherwise is not None and _has_break(otherwise))
        case t.Match(arms=arms):
            return any(_has_break(arm.body) for arm in arms)
        case t.SexBlock(body=body):
            return _has_break(body)
        case _:
            return False
