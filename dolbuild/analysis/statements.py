"""Statements and control flow: the top layer of the checking of bodies."""

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.body import is_unknown, show
from dolbuild.analysis.making import JSON_LITERALS, Making
from dolbuild.analysis.matching import joined
from dolbuild.analysis.operators import ARITHMETIC, is_literal
from dolbuild.analysis.targets import Failed, GlobalTarget, TypeTarget
from dolbuild.analysis.unify import has_variable, known, resolve
from dolbuild.source import Span
from dolbuild.syntax import tree as t


class Body(Making):
    """The checker of one body."""

    # -- entry points -----------------------------------------------------------------------------

    def function(self, parameters: list[v.Local], body: t.Block) -> v.Value:
        """The whole body: its last expression is the result, if it has one."""
        for parameter in parameters:
            self.scopes[0][parameter.name] = parameter
        if self.this is not None:
            itself = self.scopes[0].get("self") or v.Local("self", self.this, False)
            self.scopes[0]["self"] = self.scopes[0]["this"] = itself
        value = self.block(body, self.result)
        if self.result != ty.VOID and resolve(value.type) == ty.VOID and self.result != ty.UNKNOWN:
            if not body.statements:
                message = f"this function has no body, but gives {show(self.result)}"
                self.context.report(body, "E0307", message, "write `...` for a body that is still to come")
            else:
                message = f"not every way through this function gives {show(self.result)}"
                end = Span(body.end - 1, body.end)
                self.context.report(end, "E0307", message, "end it with a value or a `return`")
        self.settle()
        return value

    def condition(self, body: t.Block) -> tuple[v.Local, v.Value]:
        """A constraint or law: a block that says yes or no, and the variable that stands for ``this`` in it.
        Without a statement it says yes."""
        itself = v.Local("self", self.this if self.this is not None else ty.UNKNOWN, False)
        self.scopes[0]["self"] = self.scopes[0]["this"] = itself
        statements = [s for s in body.statements if not isinstance(s, t.Exegesis)]
        if not statements:
            return itself, v.Literal(ty.BOOL, body.start, True)
        value = self.block(body, ty.BOOL)
        if resolve(value.type) == ty.VOID:
            self.context.report(statements[-1], "E0301", "expected `Bool`: a constraint says yes or no")
        self.settle()
        return itself, value

    def settle(self) -> None:
        """Report what had to be known by now and is not. Once for each place."""
        places: set[int] = set()
        for node, type_, message in self.pending:
            if has_variable(type_) and node.start not in places:
                places.add(node.start)
                hint = "declare the type, for example `x: Option<Int64> = ...`"
                self.context.report(node, "E0305", message, hint)
        self.pending.clear()

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
            stopped = resolve(value.type) == ty.NEVER
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
                if expected is not None and resolve(expected) == ty.VOID:
                    return self.infer(node, statement=True)
                return self.infer(node) if expected is None else self.check(node, expected)
            case _:
                return self.wrong(node, "E0112", "this cannot stand inside of a function")

    def assign(self, node: t.Assign) -> v.Value:
        target = node.target
        match target:
            case t.Name(name=name):
                local = self.local(name)
                return self.assign_name(node, name) if local is None else self.assign_local(node, target, local)
            case t.Member():
                return self.assign_field(node, target)
            case t.Index():
                return self.assign_index(node, target)
            case _:
                self.infer(node.value)
                return self.wrong(target, "E0308", "nothing can be assigned to this")

    def assigned(self, node: t.Assign, current: v.Value) -> v.Value:
        """The new value of something that has a type already."""
        if not node.operator:
            return self.check(node.value, current.type)
        value = self.operation(node, node.operator, current, node.value)
        return self.fit(value, current.type, node.value)

    def assign_name(self, node: t.Assign, name: str) -> v.Value:
        found = self.context.name(name)
        target = None
        if self.context.is_found(found):
            target = self.target(node.target)
        if isinstance(target, GlobalTarget):
            if target.item.kind != "variable":
                return self.unchangeable(node, f"`{name}` is a {target.item.kind} and cannot be changed")
            current = self.global_value(node.target, target.item)
            return v.SetGlobal(ty.VOID, node.start, target.item.symbol, self.assigned(node, current))
        if target is not None and not isinstance(target, Failed):
            kind = "type" if isinstance(target, TypeTarget) else type(target).__name__.removesuffix("Target").lower()
            value = self.infer(node.value)
            hint = f"declare a variable of that name: `var {name} = ...`"
            self.wrong(node.target, "E0308", f"`{name}` is a {kind} and cannot be changed", hint)
            return self.bind(node, name, value, mutable=True)  # so that its uses are not reported, too
        if node.operator:
            self.unknown_name(node.target, name)
            return self.unknown(node)
        return self.bind(node, name, self.infer(node.value), mutable=True)

    def unchangeable(self, node: t.Assign, message: str, hint: str = "") -> v.Value:
        self.infer(node.value)
        return self.wrong(node.target, "E0308", message, hint)

    def assign_local(self, node: t.Assign, target: t.Name, local: v.Local) -> v.Value:
        if not local.mutable:
            if local.name in ("self", "this"):
                return self.unchangeable(node, f"`{target.name}` cannot be changed", "change its fields instead")
            hint = f"declare it with `var {local.name}` to change it"
            self.context.report(target, "E0308", f"`{local.name}` cannot be changed", hint)
        value = self.assigned(node, v.GetLocal(local.type, target.start, local))
        return v.SetLocal(ty.VOID, node.start, local, value)

    def assign_field(self, node: t.Assign, target: t.Member) -> v.Value:
        inner = self.target(target)
        if isinstance(inner, GlobalTarget):
            if inner.item.kind != "variable":
                return self.unchangeable(node, f"`{inner.item.name}` is a {inner.item.kind} and cannot be changed")
            current = self.global_value(target, inner.item)
            return v.SetGlobal(ty.VOID, node.start, inner.item.symbol, self.assigned(node, current))
        if inner is not None:
            return (
                self.unchangeable(node, "this cannot be changed")
                if not isinstance(inner, Failed)
                else self.unknown(node)
            )
        receiver = self.infer(target.value)
        if is_unknown(receiver):
            return self.arguments_of(node)
        type_ = self.field_type(receiver.type, target.name)
        if type_ is None:
            self.no_member(target, receiver)
            return self.arguments_of(node)
        if isinstance(resolve(receiver.type), ty.TupleOf | ty.RecordOf):
            return self.unchangeable(node, "tuples and records are values: make a new one")
        kept: list[v.Value] = []
        receiver = self.kept(node, receiver, kept)
        value = self.assigned(node, v.GetField(type_, target.start, receiver, target.name))
        return self.behind(kept, v.SetField(ty.VOID, node.start, receiver, target.name, value))

    def kept(self, node: t.Assign, value: v.Value, kept: list[v.Value]) -> v.Value:
        """A part of the place of a compound assignment, computed once: what is no variable or literal is put into one."""
        if not node.operator or isinstance(value, v.GetLocal | v.Literal):
            return value
        local = v.Local(".place", value.type, False)
        kept.append(v.SetLocal(ty.VOID, value.start, local, value, True))
        return v.GetLocal(value.type, value.start, local)

    @staticmethod
    def behind(kept: list[v.Value], value: v.Value) -> v.Value:
        return v.Sequence(ty.VOID, value.start, [*kept, value]) if kept else value

    def arguments_of(self, node: t.Assign) -> v.Value:
        self.infer(node.value)
        return self.unknown(node)

    def assign_index(self, node: t.Assign, target: t.Index) -> v.Value:
        current = self.index(target)
        if not isinstance(current, v.GetIndex):
            return self.arguments_of(node)
        if resolve(current.value.type) == ty.STRING:
            return self.unchangeable(node, "a String cannot be changed", "make a new one")
        kept: list[v.Value] = []
        items = self.kept(node, current.value, kept)
        index = self.kept(node, current.index, kept)
        value = self.assigned(node, v.GetIndex(current.type, current.start, items, index))
        return self.behind(kept, v.SetIndex(ty.VOID, node.start, items, index, value))

    def declare(self, node: t.Declare) -> v.Value:
        if node.type is not None:
            type_ = self.type(node.type)
            value = self.check(node.value, type_)
        else:
            value = self.infer(node.value)
            type_ = value.type
        mutable = node.keyword in ("", "var")
        pattern = node.pattern
        if isinstance(pattern, t.WildcardPattern):
            return self.bind(node, "_", value, mutable, type_)
        if isinstance(pattern, t.NamePattern) and len(pattern.path.parts) == 1:
            return self.bind(node, pattern.path.parts[0], value, mutable, type_)
        checked = self.pattern(pattern, type_)
        self.exhaustive(pattern.span, type_, [checked], "pattern")
        return v.Match(ty.VOID, node.start, value, [v.Arm(checked, None, v.Literal(ty.VOID, node.end, None))])

    def bind(self, node: t.Node, name: str, value: v.Value, mutable: bool, type_: ty.Type | None = None) -> v.Value:
        if resolve(value.type) == ty.VOID and name != "_":
            self.context.report(node, "E0309", f"`{name}` would have no value: this gives Void")
        self.context.shadows(Span(node.start, node.start + len(name)) if isinstance(node, t.Assign) else node, name)
        local = self.declare_local(name, type_ if type_ is not None else value.type, mutable)
        return v.SetLocal(ty.VOID, node.start, local, value, True)

    # -- both directions --------------------------------------------------------------------------

    def check(self, node: t.Node, expected: ty.Type) -> v.Value:
        wanted = resolve(expected)
        negative = isinstance(node, t.Unary) and node.operator == "-" and isinstance(node.operand, t.Integer | t.Float)
        if self.is_json(wanted) and (negative or isinstance(node, JSON_LITERALS)):
            return v.MakeJson(wanted, node.start, self.json_literal(node, wanted))
        match node:
            case t.Integer() | t.Float() | t.Unary(operator="-", operand=t.Integer() | t.Float()):
                literal = self.number(node, wanted)
                return literal if literal is not None else self.fit(self.own_number(node), expected, node)
            case t.If():
                return self.conditional(node, expected)
            case t.Match():
                return self.fit(self.match(node, expected), expected, node)
            case t.Block():
                return self.fit(self.block(node, expected), expected, node)
            case t.SexBlock():
                return self.fit(self.sex_block(node, expected), expected, node)
            case t.Hole():
                return self.hole(node, expected)
            case t.Closure():
                return self.fit(self.closure(node, expected), expected, node)
            case t.ListLiteral():
                return self.fit(self.list_literal(node, expected), expected, node)
            case t.Tuple():
                return self.fit(self.tuple_literal(node, expected), expected, node)
            case t.Record():
                return self.fit(self.record_literal(node, expected), expected, node)
            case t.Call():
                return self.fit(self.call(node, expected), expected, node)
            case t.Member() | t.Name():
                return self.fit(self.name_or_member(node, expected), expected, node)
            case t.Binary(operator="|>"):
                return self.fit(self.binary(node, expected), expected, node)
            case t.Binary(operator=operator) if operator in ARITHMETIC and ty.is_numeric(wanted):
                if is_literal(node.left) and is_literal(node.right):
                    left = self.check(node.left, wanted)
                    return self.fit(self.operation(node, operator, left, node.right), wanted, node)
        return self.fit(self.infer(node), expected, node)

    def infer(self, node: t.Node, statement: bool = False) -> v.Value:
        match node:
            case t.Integer() | t.Float():
                return self.own_number(node)
            case t.Boolean(value=value):
                return v.Literal(ty.BOOL, node.start, value)
            case t.String(value=text):
                return v.Literal(ty.STRING, node.start, text)
            case t.Char(value=scalar):
                return v.Literal(ty.CHAR, node.start, scalar)
            case t.Name() | t.Member():
                return self.name_or_member(node, None)
            case t.AtPath() | t.ApplyTypes():
                target = self.target(node)
                return self.unknown(node) if target is None else self.value_of(node, target, None)
            case t.Unary():
                return self.unary(node)
            case t.Binary():
                return self.binary(node)
            case t.Cast():
                return self.cast(node)
            case t.Call():
                return self.call(node)
            case t.Index():
                return self.index(node)
            case t.Try():
                return self.attempt(node)
            case t.If():
                return self.conditional(node, ty.VOID if statement else None)
            case t.Match():
                return self.match(node, ty.VOID if statement else None)
            case t.Block():
                return self.block(node, ty.VOID if statement else None)
            case t.SexBlock():
                return self.sex_block(node, ty.VOID if statement else None)
            case t.While():
                condition = self.check(node.condition, ty.BOOL)
                return v.Loop(ty.VOID, node.start, condition, self.loop_body(node.body), None)
            case t.Loop():
                body = self.loop_body(node.body)
                return v.Loop(ty.VOID if _has_break(node.body) else ty.NEVER, node.start, None, body, None)
            case t.For():
                return self.for_(node)
            case t.Quantifier():
                return self.quantifier(node)
            case t.TypeQuantifier():
                return self.type_quantifier(node)
            case t.Return():
                return self.return_(node)
            case t.Break() | t.Continue():
                return self.jump(node)
            case t.Hole():
                return self.hole(node, ty.VOID if statement else ty.NEVER)
            case t.Tuple():
                return self.tuple_literal(node, None)
            case t.ListLiteral():
                return self.list_literal(node, None)
            case t.Record():
                return self.record_literal(node, None)
            case t.Construct():
                return self.construct(node)
            case t.Closure():
                return self.closure(node, None)
            case _:
                return self.wrong(node, "E0112", "this cannot stand inside of a function")

    def name_or_member(self, node: t.Name | t.Member, expected: ty.Type | None) -> v.Value:
        if isinstance(node, t.Name):
            local = self.local(node.name)
            if local is not None:
                return v.GetLocal(local.type, node.start, local)
        target = self.target(node)
        if target is not None:
            return self.value_of(node, target, expected)
        assert isinstance(node, t.Member)
        return self.member(node, expected)

    # -- control flow -----------------------------------------------------------------------------

    def sex_block(self, node: t.SexBlock, expected: ty.Type | None) -> v.Value:
        before, self.effectful = self.effectful, True
        value = self.block(node.body, expected)
        self.effectful = before
        return value

    def conditional(self, node: t.If, expected: ty.Type | None) -> v.Value:
        condition = self.check(node.condition, ty.BOOL)
        used = expected is not None and resolve(expected) not in (ty.VOID, ty.UNKNOWN)
        if node.otherwise is None:
            then = self.block(node.then, ty.VOID)
            if used and resolve(then.type) != ty.UNKNOWN:
                message = f"this `if` without `else` gives no {known(expected) if expected else ''}"
                self.context.report(node, "E0301", message, "add an `else` with the other value")
            nothing = v.Literal(ty.VOID, node.end, None)
            return v.Conditional(ty.VOID, node.start, condition, then, nothing)
        then = self.branch(node.then, expected)
        inner = expected
        kind = resolve(then.type)
        if expected is None and kind not in (ty.NEVER, ty.UNKNOWN):
            inner = kind
        otherwise = self.branch(node.otherwise, inner)
        type_ = joined([kind, resolve(otherwise.type)], expected, inner if expected is None else expected)
        if expected is None and kind == ty.NEVER:
            type_ = otherwise.type
        return v.Conditional(type_, node.start, condition, then, otherwise)

    def loop_body(self, body: t.Block) -> v.Value:
        self.loops += 1
        value = self.block(body, ty.VOID)
        self.loops -= 1
        return value

    def for_(self, node: t.For) -> v.Value:
        """``for i in a..b`` counts; over anything else it is a `ForEach`."""
        if isinstance(node.iterable, t.Binary) and node.iterable.operator in ("..", "..="):
            return self.for_range(node, node.iterable)
        iterable = self.infer(node.iterable)
        item = self.item_of(node.iterable, iterable.type)
        self.scopes.append({})
        pattern = self.pattern(node.pattern, item)
        self.exhaustive(node.pattern.span, item, [pattern], "pattern")
        body = self.loop_body(node.body)
        self.scopes.pop()
        return v.ForEach(ty.VOID, node.start, pattern, iterable, body)

    def item_of(self, node: t.Node, type_: ty.Type) -> ty.Type:
        """What comes out of something that is gone through."""
        type_ = resolve(type_)
        match type_:
            case ty.Named("List" | "Set", (item,)) | ty.Named(ty.RANGE, (item,)):
                return item
            case ty.Named("Map", (key, value)):
                return ty.TupleOf((key, value))
            case ty.STRING:
                return ty.CHAR
        if type_ not in (ty.UNKNOWN, ty.NEVER):
            message = f"{show(type_)} cannot be gone through"
            self.context.report(node, "E0302", message, "lists, maps, sets, ranges and texts can")
        return ty.UNKNOWN

    def for_range(self, node: t.For, range_: t.Binary) -> v.Value:
        """A counter that is compared before it is used, so that it cannot overflow."""
        low, high = self.range_ends(range_)
        if is_unknown(low) or is_unknown(high):
            self.scopes.append({})
            self.pattern(node.pattern, ty.UNKNOWN)
            self.loop_body(node.body)
            self.scopes.pop()
            return self.unknown(node)
        type_ = resolve(low.type)
        name = "_"
        if isinstance(node.pattern, t.NamePattern) and len(node.pattern.path.parts) == 1:
            name = node.pattern.path.parts[0]
        elif not isinstance(node.pattern, t.WildcardPattern):
            self.context.report(node.pattern, "E0301", f"this pattern cannot match {show(type_)}")
        self.scopes.append({})
        counter, last = self.declare_local(name, type_), v.Local(".last", type_, False)
        captured = any(isinstance(part, t.Closure) for part in t.walk(node.body))
        own = counter
        if captured:  # a closure gets the variable of its own round
            counter = v.Local(".counter", type_)
        current = v.GetLocal(type_, node.start, counter)
        end = v.GetLocal(type_, node.start, last)
        body = self.loop_body(node.body)
        if captured:
            body = v.Sequence(body.type, node.start, [v.SetLocal(ty.VOID, node.start, own, current, True), body])
        self.scopes.pop()
        inclusive = range_.operator == "..="
        go = v.Operation(ty.BOOL, node.start, "le" if inclusive else "lt", [current, end])
        one = v.Literal(type_, node.start, 1)
        step: v.Value = v.SetLocal(
            ty.VOID, node.start, counter, v.Operation(type_, node.start, "wrapping_add", [current, one])
        )
        if inclusive:
            at_end = v.Operation(ty.BOOL, node.start, "eq", [current, end])
            nothing = v.Literal(ty.VOID, node.start, None)
            leave = v.Conditional(ty.VOID, node.start, at_end, v.Break(ty.NEVER, node.start), nothing)
            step = v.Sequence(ty.VOID, node.start, [leave, step])
        start = v.SetLocal(ty.VOID, node.start, counter, low)
        stop = v.SetLocal(ty.VOID, node.start, last, high)
        loop = v.Loop(ty.VOID, node.start, go, body, step)
        return v.Sequence(ty.VOID, node.start, [start, stop, loop])

    def quantifier(self, node: t.Quantifier) -> v.Value:
        iterable = self.infer(node.iterable)
        item = self.item_of(node.iterable, iterable.type)
        self.scopes.append({})
        pattern = self.pattern(node.pattern, item)
        body = self.block(node.body, ty.BOOL)
        self.scopes.pop()
        return v.Quantify(ty.BOOL, node.start, node.universal, pattern, iterable, body)

    def type_quantifier(self, node: t.TypeQuantifier) -> v.Value:
        """``forall x: T. condition`` of a law: a statement about all values, which is checked, not run."""
        self.scopes.append({})
        for name, type_ in node.binders:
            self.declare_local(name, self.type(type_), mutable=False)
        self.check(node.body, ty.BOOL)
        self.scopes.pop()
        return v.Literal(ty.BOOL, node.start, True)

    def return_(self, node: t.Return) -> v.Value:
        result = resolve(self.result)
        if node.value is None:
            if result not in (ty.VOID, ty.UNKNOWN) and not isinstance(result, ty.Variable):
                self.context.report(node, "E0301", f"expected {show(result)} to return")
            return v.Return(ty.NEVER, node.start, None)
        if result == ty.VOID:
            value = self.infer(node.value)
            if resolve(value.type) not in (ty.VOID, ty.UNKNOWN, ty.NEVER):
                message = f"this function gives nothing, but here it returns {show(value.type)}"
                self.context.report(node.value, "E0301", message, "declare the result with `-> Type`")
            return v.Return(ty.NEVER, node.start, value)
        return v.Return(ty.NEVER, node.start, self.check(node.value, self.result))

    def jump(self, node: t.Break | t.Continue) -> v.Value:
        if not self.loops:
            word = "break" if isinstance(node, t.Break) else "continue"
            return self.wrong(node, "E0312", f"`{word}` stands outside every loop")
        return (v.Break if isinstance(node, t.Break) else v.Continue)(ty.NEVER, node.start)

    def hole(self, node: t.Hole, expected: ty.Type) -> v.Value:
        self.context.report(node, "W0301", "a hole: this traps when it is run")
        line = self.context.source.line_column(node.start)[0]
        trap = v.Trap(ty.NEVER, node.start, f"reached the hole `...` in line {line}")
        return trap if expected != ty.VOID else v.Sequence(ty.VOID, node.start, [trap])


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
