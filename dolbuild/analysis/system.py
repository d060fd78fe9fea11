"""A System as its host sees it: state, functions that can be called from outside, constraints, and what each of them needs
to be looked at one by one."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from dolbuild.analysis import interface
from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.context import RUNTIME, Context
from dolbuild.analysis.declarations import Declarations
from dolbuild.analysis.statements import Body
from dolbuild.analysis.targets import DEFAULT
from dolbuild.analysis.unify import known
from dolbuild.analysis.world import substitute
from dolbuild.source import Span
from dolbuild.syntax import tree as t

HOLDS, EXPLAIN = "#holds.", "#explain."
"""Between a System's symbol and a constraint's name: whether it holds, and which values say so (a list of texts)."""

FOUND = "#found"
"""The list that an explanation fills; no source can name it."""

MEMORY = "memory"
"""The name under which a module's memory is exported."""

COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter; *default* is the symbol of what gives its default, or empty."""

    name: str
    type: ty.Type
    default: str


@dataclass(frozen=True, slots=True)
class Callable:
    """A function that can be called from outside. *instance*: it takes the System before its parameters."""

    name: str
    symbol: str
    instance: bool
    effectful: bool
    parameters: tuple[Argument, ...]
    result: ty.Type
    doc: str
    start: int


@dataclass(frozen=True, slots=True)
class Condition:
    """A constraint. *text* is its source in one line; *holds* and *explain* are symbols, *explain* may be empty."""

    name: str
    text: str
    holds: str
    explain: str
    start: int


@dataclass(slots=True)
class System:
    """What a System is to its host."""

    name: str
    symbol: str
    doc: str
    functions: list[Callable] = field(default_factory=list)
    constraints: list[Condition] = field(default_factory=list)


def describe(item: t.System, symbol: str, context: Context, declarations: Declarations, module: v.Module) -> System:
    """The System, whose members but for its constraints are checked already; the functions that look at those go to *module*.

    What cannot cross the border to the host is reported: a function that takes or gives it, and state that a new build
    could not take over.
    """
    documentation = [member.text for member in item.members if isinstance(member, t.Exegesis)]
    system = System(item.name, symbol, item.doc or "\n".join(documentation))
    own = ty.Named(symbol)
    gene = declarations.gene(own)
    for member in item.members:
        if isinstance(member, t.Constraint):
            system.constraints.append(_condition(member, own, context, declarations, module))
        elif isinstance(member, t.HasField) and gene is not None:
            type_ = gene.fields[member.name][0]
            problem = _stays_inside(type_, declarations, set())
            if problem is not None:
                message = f"`{member.name}` holds {problem}, so a new build cannot take over its value"
                context.report(member, "W0306", message, "keep what can be written down in the state")
        elif (
            isinstance(member, t.Function) and member.visibility is not t.Visibility.PRIVATE and member.body is not None
        ):
            signature = gene.functions.get(member.name) if gene is not None else None
            if signature is None:
                continue
            place = Span(member.name_start, member.name_start + len(member.name))
            kinds = [(f"its parameter `{p.name}` is", p.type) for p in signature.parameters]
            kinds.append(("its result is", signature.result))
            problems = [(where, _stays_inside(kind, declarations, set())) for where, kind in kinds]
            if member.generics:
                problems.insert(0, ("it has", "type parameters"))
            where, problem = next(((w, p) for w, p in problems if p is not None), ("", None))
            if problem is not None:
                message = f"`{member.name}` cannot be called from outside: {where} {problem}"
                context.report(place, "W0306", message, "leave out `pub` if it is only called from inside")
                continue
            if member.name == MEMORY:
                context.report(place, "E0212", f"a System cannot export `{MEMORY}`", "its memory has that name")
            parameters = tuple(
                Argument(p.name, known(p.type), f"{signature.symbol}{DEFAULT}{p.name}" if p.has_default else "")
                for p in signature.parameters
            )
            system.functions.append(
                Callable(
                    member.name,
                    signature.symbol,
                    interface.is_instance(member),
                    member.effectful,
                    parameters,
                    known(signature.result),
                    member.doc,
                    member.name_start,
                )
            )
    return system


def _stays_inside(type_: ty.Type, declarations: Declarations, seen: set[ty.Type]) -> str | None:
    """What in a type has no meaning outside of the program: functions, traits, ranges."""
    type_ = known(type_)
    if type_ in seen:
        return None
    seen.add(type_)
    match type_:
        case ty.FunctionOf():
            return "a function"
        case ty.TupleOf(items):
            parts: Iterator[ty.Type] = iter(items)
        case ty.RecordOf(fields):
            parts = (kind for _, kind in fields)
        case ty.Named(ty.RANGE):
            return "a range"
        case ty.Named(symbol, arguments) if symbol in ty.ARITY and symbol != str(ty.ERROR):
            parts = iter(arguments)
        case ty.Named():
            if declarations.trait(type_) is not None:
                return f"the trait `{type_}`"
            parts = iter(_inside(type_, declarations))
        case _:
            return None
    return next((found for part in parts if (found := _stays_inside(part, declarations, seen)) is not None), None)


def _inside(type_: ty.Named, declarations: Declarations) -> list[ty.Type]:
    gene = declarations.gene(type_)
    if gene is None:
        return []
    by_name = gene.by_name(type_)
    if gene.variants is not None:
        payloads = [kind for variant in gene.variants.values() for _, kind in variant.payload]
        return [substitute(kind, by_name) for kind in payloads]
    return [substitute(kind, by_name) for kind, _ in gene.fields.values()]


# -- constraints -----------------------------------------------------------------------------------


def _condition(
    member: t.Constraint, own: ty.Type, context: Context, declarations: Declarations, module: v.Module
) -> Condition:
    source = context.source.text
    text = " ".join(source[member.body.start + 1 : member.body.end - 1].split())
    before = len(context.diagnostics)
    context.function = f"the constraint `{member.name}`"
    itself, holds = Body(context, declarations, ty.BOOL, this=own, owner=own).condition(member.body)
    changing = _changes(holds, itself)
    assert isinstance(own, ty.Named)
    name = f"{own.symbol}{HOLDS}{member.name}"
    module.functions.append(v.Function(name, [itself], ty.BOOL, holds, member.start))
    if changing is not None:
        message = f"the constraint `{member.name}` changes the state that it looks at"
        place = Span(changing, changing + 1)
        context.report(place, "E0326", message, "a constraint only looks; change a copy, or change it in a function")
    explain = ""
    if not any(d.code.startswith("E") for d in context.diagnostics[before:]):
        explain = f"{own.symbol}{EXPLAIN}{member.name}"
        texts = ty.list_of(ty.STRING)
        body = Body(context, declarations, texts, this=own, owner=own)
        before = len(context.diagnostics)
        explanation = body.function([], _Explanation(source).of(member.body))
        del context.diagnostics[before:]  # what there is to say of the constraint was said
        module.functions.append(v.Function(explain, [body.scopes[0]["this"]], texts, explanation, member.start))
    return Condition(member.name, text, name, explain, member.start)


CHANGING = frozenset(
    prefix + name
    for owner, module, names in (
        ("List", "lists", "push pop insert remove sort sort_by reverse take_first take_last clear extend"),
        ("Map", "maps", "insert remove clear"),
        ("Set", "sets", "insert remove clear"),
    )
    for name in names.split()
    for prefix in (f"{owner}.", f"{RUNTIME}/{module}.")
)
"""Built-in functions that change what they are called on, as operations and as functions of the runtime."""


def _changes(holds: v.Value, itself: v.Local) -> int | None:
    """Where a condition changes the System, or an item of it that it goes through; None where it does not itself (what it calls is not
    looked into)."""
    state = {id(itself)}
    waiting: list[Any] = [holds]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, v.Quantify | v.ForEach) and _root(node.iterable) in state:
            state |= {id(part.local) for part in _below(node.pattern) if isinstance(part, v.BindPattern)}
        target = node.target if isinstance(node, v.SetField | v.SetIndex) else None
        if isinstance(node, v.Operation) and node.name in CHANGING and node.operands:
            target = node.operands[0]
        elif isinstance(node, v.CallFunction) and node.symbol in CHANGING and node.arguments:
            target = node.arguments[0]
        if target is not None and _root(target) in state:
            return int(node.start)
        waiting += _children(node)
    return None


def _root(value: v.Value) -> int:
    """The variable whose part a value is, by its identity."""
    while isinstance(value, v.GetField | v.GetIndex):
        value = value.value
    return id(value.local) if isinstance(value, v.GetLocal) else 0


def _children(node: Any) -> list[Any]:
    found: list[Any] = []
    for one in fields(node):
        value = getattr(node, one.name)
        values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else (value,)
        found += [part for part in values if isinstance(part, v.Value | v.Pattern | v.Arm)]
    return found


def _below(node: Any) -> list[Any]:
    found = [node]
    for one in found:
        found += _children(one)
    return found


class _Explanation:
    """Statements that go the way of a condition that does not hold, and note the values on it."""

    def __init__(self, source: str) -> None:
        self.source = source

    def of(self, body: t.Block) -> t.Block:
        at = (body.start, body.end)
        texts = t.NamedType(*at, t.Path(*at, ["List"]), [t.NamedType(*at, t.Path(*at, ["String"]), [])])
        found = t.Declare(*at, "var", t.NamePattern(*at, t.Path(*at, [FOUND])), texts, t.ListLiteral(*at, []))
        return t.Block(*at, [found, *self.block(body), self.leave(body)])

    def leave(self, node: t.Node) -> t.Node:
        return t.Return(node.start, node.end, t.Name(node.start, node.end, FOUND))

    def block(self, body: t.Block) -> list[t.Node]:
        statements = [s for s in body.statements if not isinstance(s, t.Exegesis)]
        if not statements or not isinstance(statements[-1], t.Expression):
            return []
        return [*statements[:-1], *self.expression(statements[-1])]

    def expression(self, node: t.Expression) -> list[t.Node]:
        at = (node.start, node.end)
        match node:
            case t.Block():
                return self.block(node)
            case t.Quantifier(universal=True):
                inner = [*self.names(node.pattern), *self.block(node.body), self.leave(node)]
                fails = t.If(*at, t.Unary(*at, "!", node.body), t.Block(*at, inner), None)
                return [t.For(*at, node.pattern, node.iterable, t.Block(*at, [fails]))]
            case t.Quantifier():
                return self.note(node.iterable)
            case t.Binary(operator="&&"):
                left = t.Block(*at, self.expression(node.left))
                right = t.Block(*at, self.expression(node.right))
                return [t.If(*at, t.Unary(*at, "!", node.left), left, right)]
            case t.Binary(operator="||"):
                return [*self.expression(node.left), *self.expression(node.right)]
            case t.Binary() if node.operator in COMPARISONS:
                return [*self.note(node.left), *self.note(node.right)]
            case t.Unary():
                return self.expression(node.operand)
            case t.Call():
                found = [part for argument in node.arguments for part in self.note(argument.value)]
                return found or (self.note(node.callee.value) if isinstance(node.callee, t.Member) else [])
            case t.Member():
                return self.note(node)
            case _:
                return []

    def names(self, pattern: t.Pattern) -> list[t.Node]:
        """The item that a quantifier stands at."""
        if isinstance(pattern, t.NamePattern) and len(pattern.path.parts) == 1:
            return self.note(t.Name(pattern.start, pattern.end, pattern.path.text))
        return []

    def note(self, node: t.Expression) -> list[t.Node]:
        """``#found.push("text = " + value)``."""
        if isinstance(node, t.Integer | t.Float | t.String | t.Char | t.Boolean | t.Closure):
            return []
        at = (node.start, node.end)
        text = " ".join(self.source[node.start : node.end].split())
        shown = t.Binary(*at, "+", t.String(*at, f"{text} = "), node, node.start)
        push = t.Member(*at, t.Name(*at, FOUND), "push", node.start)
        return [t.Call(*at, push, [t.Argument(*at, None, shown)])]
