"""Values and constraints of a manifest, evaluated when the workspace is read.

A manifest is data: literals, lists, records, and constraints over them. This is the small language of
those, over Python values; code is never run.
"""

from collections.abc import Callable, Mapping
from typing import Any

from dolbuild.syntax import tree as t

MAX_STEPS = 100_000
"""Steps that the values and constraints of one manifest may take."""

MAX_TEXT = 1 << 20
"""Characters of a text."""

MAX_WEIGHT = 100_000
"""Values in a list or record, those inside of others counted each time."""

MAX_SHOWN = 200
_LOW, _HIGH = -(1 << 63), (1 << 64) - 1


class CannotEvaluate(Exception):
    """What stands there is no value that can be told now; carries the node and the reason."""

    def __init__(self, node: t.Node, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


class Evaluator:
    """Evaluates expressions over the values of ``this``."""

    def __init__(self, this: Mapping[str, Any]) -> None:
        self.scopes: list[dict[str, Any]] = [{"this": this}]
        self.steps = 0

    def value(self, node: t.Node) -> Any:
        """The value of an expression, of a bounded size. Raises CannotEvaluate."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise CannotEvaluate(node, "this takes too long")
        try:
            found = self._value(node)
        except (OverflowError, RecursionError):
            raise CannotEvaluate(node, "this is too large") from None
        if isinstance(found, int) and not _LOW <= found <= _HIGH:
            raise CannotEvaluate(node, "this number is too large")
        if isinstance(found, str) and len(found) > MAX_TEXT:
            raise CannotEvaluate(node, "this text is too long")
        if isinstance(found, list | dict) and _weight(found, MAX_WEIGHT) <= 0:
            raise CannotEvaluate(node, "this is too large")
        return found

    def _value(self, node: t.Node) -> Any:
        match node:
            case t.String(value=value) | t.Integer(value=value) | t.Boolean(value=value):
                return value
            case t.Float(text=text):
                return float(text)
            case t.Char(value=scalar):
                return chr(scalar)
            case t.ListLiteral(items=items):
                return [self.value(item) for item in items]
            case t.Record(fields=fields):
                return {field.name: self.value(field.value) for field in fields}
            case t.Name(name=name):
                return self.name(node, name)
            case t.Member(value=inner, name=name):
                return self.member(node, self.value(inner), name)
            case t.Call(callee=t.Member(value=inner, name=name), arguments=arguments):
                return self.call(node, self.value(inner), name, [self.value(a.value) for a in arguments])
            case t.Index(value=inner, index=index):
                return self.index(node, self.value(inner), self.value(index))
            case t.Unary():
                return self.unary(node)
            case t.Binary():
                return self.binary(node)
            case t.If(condition=condition, then=then, otherwise=otherwise):
                if self.truth(condition):
                    return self.value(then)
                return None if otherwise is None else self.value(otherwise)
            case t.Block(statements=statements):
                result = None
                for statement in statements:
                    result = self.value(statement)
                return result
            case t.Quantifier():
                return self.quantifier(node)
            case t.Exegesis():
                return None
            case _:
                raise CannotEvaluate(node, "a manifest cannot hold this")

    def truth(self, node: t.Node) -> bool:
        value = self.value(node)
        if not isinstance(value, bool):
            raise CannotEvaluate(node, f"this should be true or false, but it is {show(value)}")
        return value

    def name(self, node: t.Node, name: str) -> Any:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        raise CannotEvaluate(node, f"`{name}` is not known here; a manifest's values are `this.name`")

    def member(self, node: t.Member, value: Any, name: str) -> Any:
        if isinstance(value, Mapping):
            if name in value:
                return value[name]
            if value is self.scopes[0]["this"]:
                raise CannotEvaluate(node, f"`this.{name}` is not declared; add `has {name}: ...`")
            raise CannotEvaluate(node, f"there is no field `{name}`")
        return self.call(node, value, name, [])

    def call(self, node: t.Node, value: Any, name: str, arguments: list[Any]) -> Any:
        if isinstance(value, str | list) and name in ("len", "length") and not arguments:
            return len(value)
        if isinstance(value, str | list) and name == "is_empty" and not arguments:
            return not value
        if isinstance(value, str | list) and name == "contains" and len(arguments) == 1:
            if isinstance(value, list) or isinstance(arguments[0], str):
                return arguments[0] in value
        if isinstance(value, str) and name in ("starts_with", "ends_with") and len(arguments) == 1:
            if isinstance(arguments[0], str):
                return getattr(value, name.replace("_", ""))(arguments[0])
        raise CannotEvaluate(node, f"{show(value)} has no `{name}` that a manifest can use")

    def index(self, node: t.Index, value: Any, index: Any) -> Any:
        if isinstance(value, list) and isinstance(index, int) and 0 <= index < len(value):
            return value[index]
        raise CannotEvaluate(node, f"{show(value)} has no element {show(index)}")

    def unary(self, node: t.Unary) -> Any:
        if node.operator == "!":
            return not self.truth(node.operand)
        value = self.value(node.operand)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CannotEvaluate(node, f"`{node.operator}` needs a number")
        return -value if node.operator == "-" else value

    def binary(self, node: t.Binary) -> Any:
        operator = node.operator
        if operator == "&&":
            return self.truth(node.left) and self.truth(node.right)
        if operator == "||":
            return self.truth(node.left) or self.truth(node.right)
        left, right = self.value(node.left), self.value(node.right)
        if operator in ("==", "!="):
            return (left == right) == (operator == "==")
        function = _BINARY.get(operator)
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (left, right))
        texts = isinstance(left, str) and isinstance(right, str) and operator in ("+", "<", "<=", ">", ">=")
        if function is None or not (numbers or texts):
            raise CannotEvaluate(node, f"`{operator}` does not work on {show(left)} and {show(right)}")
        try:
            return function(left, right)
        except ZeroDivisionError:
            raise CannotEvaluate(node, "this divides by zero") from None

    def quantifier(self, node: t.Quantifier) -> bool:
        items = self.value(node.iterable)
        if not isinstance(items, list) or not isinstance(node.pattern, t.NamePattern | t.WildcardPattern):
            raise CannotEvaluate(node.iterable, "this goes over lists only")
        name = node.pattern.path.text if isinstance(node.pattern, t.NamePattern) else "_"
        for item in items:
            self.scopes.append({name: item})
            holds = self.truth(node.body)
            self.scopes.pop()
            if holds != node.universal:
                return not node.universal
        return node.universal


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": _divide,
    "%": lambda a, b: a - b * _divide(a, b), "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


def _weight(value: Any, left: int) -> int:
    """How much of a budget is left after all that is in a value."""
    left -= 1
    inner = value if isinstance(value, list) else value.values() if isinstance(value, Mapping) else ()
    for one in inner:
        if left <= 0:
            break
        left = _weight(one, left)
    return left


def show(value: Any) -> str:
    """A value as DOL would write it; a long one is cut."""
    text = _show(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _show(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list():
            return "[" + ", ".join(map(_show, value)) + "]"
        case Mapping():
            return "{ " + ", ".join(f"{name}: {_show(inner)}" for name, inner in value.items()) + " }"
        case None:
            return "nothing"
        case _:
            return repr(value)
