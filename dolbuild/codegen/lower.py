"""Typed tree to low-level code, one function at a time.

A value of a type with several slots (``docs/wasm.md``, "Values") is that many results on the stack, and that many locals
when it is kept.
"""

from collections.abc import Callable
from typing import Any

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known, resolve
from dolbuild.codegen import access, items, making, operations, optional
from dolbuild.codegen.captures import Captures, captures, children
from dolbuild.codegen.counted import counts_through
from dolbuild.codegen.frame import Environment, Frame, multi, negate, sequence
from dolbuild.codegen.ir import I32, I64, NOP, REF, UNREACHABLE, Code, Function, Unit, slots
from dolbuild.codegen.matching import lower_match
from dolbuild.codegen.names import instance_name
from dolbuild.codegen.storage import Layout, kinds, object_layout
from dolbuild.codegen.unsupported import Unsupported

MAX_LOCALS, MAX_PARAMETERS = 50_000, 1_000
"""What engines accept (the limits of the JavaScript API of WebAssembly, which wasmtime shares)."""


def lower_function(unit: Unit, environment: Environment, function: v.Function) -> None:
    """Add the low-level code of a function and of its closures to *unit*."""
    assert function.body is not None
    before = len(unit.functions)
    try:
        found = captures(function.parameters, function.body)
        lowered = Lowering(unit, environment, function, found).run(function.body)
        for made in (*unit.functions[before:], lowered):
            if len(made.locals) > MAX_LOCALS or len(made.parameters) > MAX_PARAMETERS:
                raise Unsupported(
                    function.start,
                    f"a function of {len(made.locals)} parameters and variables cannot be compiled: engines refuse it",
                )
        unit.functions.append(lowered)
    except Unsupported as problem:
        del unit.functions[before:]
        unit.unsupported[function.symbol] = (problem.start, problem.what)


class Lowering(Frame):
    """The lowering of one function or closure: code for each kind of typed value."""

    def __init__(
        self,
        unit: Unit,
        environment: Environment,
        function: v.Function,
        found: Captures,
        closure: v.Closure | None = None,
        numbers: list[int] | None = None,
    ) -> None:
        super().__init__(unit, environment)
        self.typed = function
        self.captures = found
        self.closure = closure
        self.numbers = numbers if numbers is not None else [0]
        self.indices: dict[int, tuple[int, ...]] = {}
        self.loops: list[tuple[int, int]] = []
        self.checks: list[str] = []
        self.in_range: list[tuple[v.Local, v.Local]] = []
        """Lists and counters of the loops around: the one is as long as the other counts."""
        self.itself: v.Local | None = None

    def run(self, body: v.Value) -> Function:
        front: list[Code] = []
        if self.closure is not None:
            self.temporary((REF,))
        for parameter in self.typed.parameters:
            self.indices[id(parameter)] = self.temporary(slots(parameter.type))
        parameters = tuple(self.locals)
        if self.closure is not None:
            front.append(making.unpack(self, self.captures.of[id(self.closure)]))
        for parameter in self.typed.parameters:
            if id(parameter) in self.captures.boxed:
                value = self.get(self.indices.pop(id(parameter)))
                front.append(self.declare(parameter, value))
        if self.typed.owner is not None:
            self.checks = self.broken_by(body)
        results = slots(self.typed.result)
        code = self.value(body) if results else self.effect(body)
        if self.checks and resolve(body.type) != ty.NEVER:
            code = self.checked_result(code)
        code = at_the_end(sequence((*front, code)), results)
        return Function(self.typed.symbol, parameters, results, self.locals, code, self.typed.start)

    def broken_by(self, body: v.Value) -> list[str]:
        """The constraints that read what this function assigns to its own instance."""
        owner = self.typed.owner
        shape = self.shape(owner) if owner is not None else None
        if shape is None or not shape.constraints or not self.typed.parameters:
            return []
        assert owner is not None
        self.itself = self.typed.parameters[0]
        names: list[str] = []
        waiting: list[Any] = [body]
        while waiting:
            node = waiting.pop()
            if isinstance(node, v.SetField) and self.is_itself(node.target):
                names += [n for n in shape.constraint_symbols(owner, node.name) if n not in names]
            waiting += children(node)
        every = shape.constraint_symbols(owner)
        return [name for name in every if name in names]

    def is_itself(self, value: v.Value) -> bool:
        return isinstance(value, v.GetLocal) and value.local is self.itself

    def checked_result(self, code: Code) -> Code:
        """The result of a function that assigned fields, behind a look at the constraints that read them."""
        assert self.itself is not None
        keep, at = self.keep(code)
        this = self.value(v.GetLocal(self.itself.type, self.typed.start, self.itself))
        looks = tuple(Code("call", (this,), name, (), self.typed.start) for name in self.checks)
        return sequence((keep if at else code, *looks, self.get(at) if at else NOP))

    # -- locals -----------------------------------------------------------------------------------

    def place(self, local: v.Local) -> tuple[int, ...]:
        """The WebAssembly locals of a variable; of one in a cell, that of the cell."""
        found = self.indices.get(id(local))
        if found is None:
            kinds_ = (REF,) if id(local) in self.captures.boxed else slots(local.type)
            found = self.indices[id(local)] = self.temporary(kinds_)
        return found

    def cell(self, local: v.Local) -> Layout:
        """How the cell of a captured variable lies."""
        return object_layout(kinds(local.type))

    def declare(self, local: v.Local, code: Code) -> Code:
        """A variable begins with a value."""
        if id(local) not in self.captures.boxed:
            return self.set(local, code)
        keep, values = self.keep(code)
        layout = self.cell(local)
        made, at = self.allocate(layout)
        written = self.store_cells(at, layout.cells, values)
        return sequence((keep, made, written, Code("local.set", (self.get((at,)),), self.place(local))))

    def set(self, local: v.Local, code: Code) -> Code:
        """A new value for a variable."""
        if id(local) in self.captures.boxed:
            keep, values = self.keep(code)
            (at,) = self.place(local)
            return sequence((keep, self.store_cells(at, self.cell(local).cells, values)))
        indices = self.place(local)
        if not indices or not code.results:
            return code
        return Code("local.set", (code,), indices)

    def bind(self, local: v.Local, at: tuple[int, ...]) -> Code:
        """A variable of a pattern begins with what lies in some locals."""
        return self.declare(local, self.get(at)) if at else NOP

    # -- values -----------------------------------------------------------------------------------

    def effect(self, value: v.Value) -> Code:
        """The value computed and dropped."""
        if isinstance(value, v.Sequence):
            return self.parts(value, used=False)
        if isinstance(value, v.Conditional):
            condition = self.value(value.condition)
            then, otherwise = self.effect(value.then), self.effect(value.otherwise)
            if then.op == "nop" and otherwise.op != "nop":
                return self.after(value, Code("if", (negate(condition), otherwise)))
            return self.after(value, Code("if", (condition, then, otherwise)))
        code = self.value(value)
        return Code("drop", (code,), len(code.results)) if code.results else code

    def after(self, value: v.Value, code: Code) -> Code:
        """Where *value* does not come back, tell WebAssembly so."""
        return sequence((code, UNREACHABLE)) if resolve(value.type) == ty.NEVER else code

    def value(self, value: v.Value) -> Code:
        """The value with its slots as results (none where control does not come back)."""
        lowered = _VALUES.get(type(value))
        if lowered is None:
            raise Unsupported(value.start, "this expression")
        return lowered(self, value)

    def value_as(self, value: v.Value, type_: ty.Type) -> Code:
        """The value with the slots of a type as results, even where control does not come back."""
        code = self.value(value)
        wanted = slots(type_)
        if code.results or not wanted:
            return code if wanted or not code.results else Code("drop", (code,), len(code.results))
        return sequence((code, UNREACHABLE, multi(self.zeros(type_))))

    def keep_value(self, value: v.Value, type_: ty.Type | None = None) -> tuple[Code, tuple[int, ...]]:
        """The value in locals. A variable is not copied where nothing can change it meanwhile."""
        if isinstance(value, v.GetLocal) and not value.local.mutable and id(value.local) not in self.captures.boxed:
            return NOP, self.place(value.local)
        return self.keep(self.value_as(value, value.type if type_ is None else type_))

    def literal(self, value: v.Literal) -> Code:
        return self.constant(value.type, value.value)

    def constant(self, type_: ty.Type, value: object) -> Code:
        type_ = known(type_)
        if type_ == ty.STRING:
            assert isinstance(value, str)
            return self.string(value)
        wanted = slots(type_)
        if not wanted or value is None:
            return NOP
        assert isinstance(value, int | float)
        number = int(value) if wanted[0] in (I32, I64) else float(value)
        return Code(f"{wanted[0]}.const", imm=number, results=wanted)

    def get_local(self, value: v.GetLocal) -> Code:
        if id(value.local) in self.captures.boxed:
            (at,) = self.place(value.local)
            return self.load_cells(at, self.cell(value.local).cells)
        return self.get(self.place(value.local))

    def set_local(self, value: v.SetLocal) -> Code:
        code = self.value_as(value.value, value.local.type)
        return self.declare(value.local, code) if value.declares else self.set(value.local, code)

    def get_global(self, value: v.GetGlobal) -> Code:
        constant = self.environment.constant(value.symbol)
        if constant is not None:
            return self.constant(*constant)
        wanted = slots(value.type)
        parts = tuple(
            Code("i32.load", (_address(name),), 0, (REF,))
            if slot == REF
            else Code("global.get", imm=name, results=(slot,))
            for name, slot in zip(global_names(value.symbol, wanted), wanted, strict=True)
        )
        return parts[0] if len(parts) == 1 else Code("multi", parts, results=wanted)

    def set_global(self, value: v.SetGlobal) -> Code:
        keep, at = self.keep(self.value(value.value))
        names = global_names(value.symbol, tuple(self.locals[index] for index in at))
        return sequence((keep, *(set_slot(name, self.get((i,))) for name, i in zip(names, at, strict=True))))

    # -- calls ------------------------------------------------------------------------------------

    def call_function(self, value: v.CallFunction) -> Code:
        arguments: list[Code] = []
        for argument in value.arguments:
            assert argument is not None  # the checker has put defaults in
            arguments.append(self.value(argument))
        name = instance_name(value.symbol, tuple(known(type_) for type_ in value.types))
        code = Code("call", tuple(arguments), name, slots(value.type), value.start)
        return self.after(value, code)

    def operation(self, value: v.Operation) -> Code:
        return operations.lower_operation(self, value, [self.value(operand) for operand in value.operands])

    def convert(self, value: v.Convert) -> Code:
        code = self.value_as(value.value, value.value.type)
        return operations.convert(self, code, known(value.value.type), known(value.type), value.start)

    # -- control flow -----------------------------------------------------------------------------

    def conditional(self, value: v.Conditional) -> Code:
        results = slots(value.type)
        if not results:
            return self.effect(value)
        condition = self.value(value.condition)
        then, otherwise = self.value(value.then), self.value(value.otherwise)
        return Code("if", (condition, then, otherwise), results=results)

    def sequence(self, value: v.Sequence) -> Code:
        return self.parts(value, used=bool(slots(value.type)))

    def parts(self, value: v.Sequence, used: bool) -> Code:
        """The parts one after the other; the last one's value is that of all where it is *used*."""
        counted = counts_through(value)
        if counted is not None:
            self.in_range.append(counted)
        last = len(value.values) - 1
        codes = [
            self.value(part) if used and index == last else self.effect(part) for index, part in enumerate(value.values)
        ]
        if counted is not None:
            self.in_range.pop()
        return sequence(tuple(codes))

    def loop(self, value: v.Loop) -> Code:
        """``block out { loop top { leave unless condition; block next { body }; step; again } }``"""
        out, top, following = self.label(), self.label(), self.label()
        body = self.loop_body(value.body, out, following)
        parts: list[Code] = []
        if value.condition is not None:
            parts.append(Code("br_if", (negate(self.value(value.condition)),), out))
        parts.append(Code("block", (body,), following))
        if value.step is not None:
            parts.append(self.loop_body(value.step, out, following))
        parts.append(Code("br", (), top))
        block = Code("block", (Code("loop", tuple(parts), top),), out)
        return self.after(value, block)

    def loop_body(self, body: v.Value, out: int, following: int) -> Code:
        """The body of a loop that ``break`` leaves by one label and ``continue`` by another."""
        self.loops.append((out, following))
        code = self.effect(body)
        self.loops.pop()
        return code

    def break_(self, value: v.Break) -> Code:
        return Code("br", (), self.loops[-1][0])

    def continue_(self, value: v.Continue) -> Code:
        return Code("br", (), self.loops[-1][1])

    def return_(self, value: v.Return) -> Code:
        code = NOP
        if value.value is not None:
            wanted = slots(self.typed.result)
            code = self.value_as(value.value, self.typed.result) if wanted else self.effect(value.value)
        return self.leave(code)

    def leave(self, code: Code) -> Code:
        """Leave the function with a result."""
        if self.checks:
            code = self.checked_result(code)
        if code.results:
            return Code("return", (code,))
        return sequence((code, Code("return")))

    def trap(self, value: v.Trap) -> Code:
        message = self.string(value.message)
        if value.shown is not None:
            shown = operations.shown(self, known(value.shown.type), self.value(value.shown))
            message = self.runtime("strings.concat", (message, shown), (REF,), value.start)
        return self.panic(message, value.start)


def at_the_end(code: Code, results: tuple[str, ...]) -> Code:
    """The body of a function without a ``return`` where it ends anyway."""
    match code.op:
        case "return":
            return code.args[0] if code.args else NOP
        case "seq":
            *front, last = code.args
            if last.op == "unreachable" and front:
                before = at_the_end(front[-1], results)
                if before is not front[-1] and before.results == results:
                    return sequence((*front[:-1], before))
            changed = at_the_end(last, results)
            return code if changed is last else sequence((*front, changed))
        case "if" if len(code.args) == 3 and not code.results:
            ways = [at_the_end(part, results) for part in code.args[1:]]
            ended = [new is not old and new.results == results for new, old in zip(ways, code.args[1:], strict=True)]
            if all(end or never_ends(part) for end, part in zip(ended, code.args[1:], strict=True)) and any(ended):
                return Code("if", (code.args[0], *ways), results=results, start=code.start)
    return code


def never_ends(code: Code) -> bool:
    """Whether code ends in ``unreachable``."""
    return code.op == "unreachable" or (code.op == "seq" and never_ends(code.args[-1]))


def _address(symbol: str) -> Code:
    """Where a variable that is a reference lies: among the roots, where the collector finds it."""
    return Code("data", imm=symbol, results=(I32,))


def set_slot(symbol: str, value: Code) -> Code:
    """A new value for a slot of a module's variable."""
    if value.results == (REF,):
        return Code("i32.store", (_address(symbol), value), 0)
    return Code("global.set", (value,), symbol)


def global_names(symbol: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The symbols of a variable's slots."""
    return (symbol,) if len(wanted) == 1 else tuple(f"{symbol}#{index}" for index in range(len(wanted)))


_VALUES: dict[type, Callable[[Any, Any], Code]] = {
    v.Literal: Lowering.literal,
    v.GetLocal: Lowering.get_local,
    v.SetLocal: Lowering.set_local,
    v.GetGlobal: Lowering.get_global,
    v.SetGlobal: Lowering.set_global,
    v.CallFunction: Lowering.call_function,
    v.CallTrait: making.call_trait,
    v.CallValue: making.call_value,
    v.FunctionReference: making.function_reference,
    v.Closure: making.closure,
    v.MakeGene: making.gene,
    v.MakeVariant: making.variant,
    v.MakeTuple: making.tuple_,
    v.MakeRecord: making.record,
    v.MakeList: making.list_,
    v.MakeRange: making.range_,
    v.MakeJson: making.json,
    v.MakeDynamic: making.dynamic,
    v.GetField: access.get_field,
    v.SetField: access.set_field,
    v.GetIndex: access.get_index,
    v.SetIndex: access.set_index,
    v.Attempt: optional.attempt,
    v.Match: lower_match,
    v.ForEach: items.for_each,
    v.Quantify: items.quantify,
    v.Operation: Lowering.operation,
    v.Instruction: access.instruction,
    v.Convert: Lowering.convert,
    v.Conditional: Lowering.conditional,
    v.Sequence: Lowering.sequence,
    v.Loop: Lowering.loop,
    v.Break: Lowering.break_,
    v.Continue: Lowering.continue_,
    v.Return: Lowering.return_,
    v.Trap: Lowering.trap,
}
