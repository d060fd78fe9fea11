"""Typed tree to low-level code, one function at a time.

A value of a type with several slots (``docs/architecture.md``, "Values in WebAssembly") is that many
results on the stack, and that many locals when it is kept.
"""

from collections.abc import Callable
from typing import Any

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known, resolve
from dolbuild.codegen import operations
from dolbuild.codegen.frame import Frame, Options, negate, sequence
from dolbuild.codegen.ir import I32, I64, NOP, UNREACHABLE, Code, Function, Unit, slots
from dolbuild.codegen.matching import lower_match
from dolbuild.codegen.tables import powers_of_ten
from dolbuild.codegen.unsupported import Unsupported

MAX_LOCALS, MAX_PARAMETERS = 50_000, 1_000
"""What engines accept (the limits of the JavaScript API of WebAssembly, which wasmtime shares)."""


def lower(module: v.Module, options: Options) -> Unit:
    """Low-level code for every function of a module that has a body."""
    unit = Unit()
    constants = {constant.symbol: constant for constant in module.constants}
    for function in module.functions:
        if function.body is None:
            continue
        try:
            if function.generics:
                raise Unsupported(function.start, "a generic function")
            lowered = Lowering(unit, options, constants, function).run(function.body)
            if len(lowered.locals) > MAX_LOCALS or len(lowered.parameters) > MAX_PARAMETERS:
                raise Unsupported(function.start, f"a function of {len(lowered.locals)} variables")
            unit.functions.append(lowered)
        except Unsupported as problem:
            unit.unsupported[function.symbol] = (problem.start, problem.what)
    return unit


class Lowering(Frame):
    """The lowering of one function: code for each kind of typed value."""

    def __init__(self, unit: Unit, options: Options, constants: dict[str, v.Constant], function: v.Function) -> None:
        super().__init__(unit, options)
        self.constants = constants
        self.typed = function
        self.indices: dict[int, tuple[int, ...]] = {}
        self.loops: list[tuple[int, int]] = []

    def run(self, body: v.Value) -> Function:
        for parameter in self.typed.parameters:
            self.place(parameter)
        parameters = tuple(self.locals)
        results = slots(self.typed.result)
        code = self.value(body) if results else self.effect(body)
        return Function(self.typed.symbol, parameters, results, self.locals, code, self.typed.start)

    # -- locals -----------------------------------------------------------------------------------

    def place(self, local: v.Local) -> tuple[int, ...]:
        """The WebAssembly locals of a variable."""
        found = self.indices.get(id(local))
        if found is None:
            found = self.indices[id(local)] = self.temporary(slots(local.type))
        return found

    # -- values -----------------------------------------------------------------------------------

    def effect(self, value: v.Value) -> Code:
        """The value computed and dropped."""
        if isinstance(value, v.Sequence):
            return sequence(tuple(self.effect(part) for part in value.values))
        if isinstance(value, v.Conditional):
            then, otherwise = self.effect(value.then), self.effect(value.otherwise)
            return self.after(value, Code("if", (self.value(value.condition), then, otherwise)))
        code = self.value(value)
        return Code("drop", (code,), len(code.results)) if code.results else code

    def after(self, value: v.Value, code: Code) -> Code:
        """Where *value* does not come back, tell WebAssembly so."""
        return sequence((code, UNREACHABLE)) if resolve(value.type) == ty.NEVER else code

    def value(self, value: v.Value) -> Code:
        """The value with its slots as results (none where control does not come back)."""
        lowered = _VALUES.get(type(value))
        if lowered is None:
            raise Unsupported(value.start, _DESCRIBED.get(type(value), "this expression"))
        return lowered(self, value)

    def literal(self, value: v.Literal) -> Code:
        return self.constant(value.type, value.value)

    def constant(self, type_: ty.Type, value: object) -> Code:
        if type_ == ty.STRING:
            assert isinstance(value, str)
            return self.string(value)
        kinds = slots(type_)
        if not kinds:
            return NOP
        assert isinstance(value, int | float)
        number = int(value) if kinds[0] in (I32, I64) else float(value)
        return Code(f"{kinds[0]}.const", imm=number, results=kinds)

    def get_local(self, value: v.GetLocal) -> Code:
        return self.get(self.place(value.local))

    def set_local(self, value: v.SetLocal) -> Code:
        code = self.value(value.value)
        indices = self.place(value.local)
        if not indices or not code.results:
            return code
        return Code("local.set", (code,), indices)

    def get_global(self, value: v.GetGlobal) -> Code:
        constant = self.constants.get(value.symbol)
        if constant is not None and not constant.mutable:
            return self.constant(constant.type, constant.value)
        results = slots(known(value.type))
        if len(results) != 1:
            raise Unsupported(value.start, "a variable of this type")
        return Code("global.get", imm=value.symbol, results=results)

    def set_global(self, value: v.SetGlobal) -> Code:
        return Code("global.set", (self.value(value.value),), value.symbol)

    def call_function(self, value: v.CallFunction) -> Code:
        if value.types:
            raise Unsupported(value.start, "a call of a generic function")
        arguments: list[Code] = []
        for argument in value.arguments:
            if argument is None:
                raise Unsupported(value.start, "a default argument")
            arguments.append(self.value(argument))
        code = Code("call", tuple(arguments), value.symbol, slots(known(value.type)), value.start)
        return self.after(value, code)

    def make_variant(self, value: v.MakeVariant) -> Code:
        if ty.argument_of(resolve(value.type), "Option") is None:
            raise Unsupported(value.start, "a variant of a gene")
        payload = [self.value(part) for part in value.payload]
        return operations.option(known(value.type), payload)

    def get_index(self, value: v.GetIndex) -> Code:
        if resolve(value.value.type) != ty.list_of(ty.STRING):
            raise Unsupported(value.start, "an index into this")
        operands = (self.value(value.value), self.value(value.index))
        return self.runtime("lists.get", operands, slots(known(value.type)), value.start)

    def match(self, value: v.Match) -> Code:
        return lower_match(self, value)

    def operation(self, value: v.Operation) -> Code:
        return operations.lower_operation(self, value, [self.value(operand) for operand in value.operands])

    def instruction(self, value: v.Instruction) -> Code:
        operands = tuple(self.value(operand) for operand in value.operands)
        results = slots(known(value.type))
        if value.name in ("address_of", "string_at", "list_address", "list_at"):
            return Code("seq", operands, results=results)
        if value.name == "powers_of_ten":
            symbol, data = powers_of_ten()
            self.unit.data[symbol] = data
            return Code("data", imm=symbol, results=results)
        if value.name == "heap_base":
            return Code("heap_base", results=results)
        name = value.name.replace("_", ".", 1)
        return Code(name, operands, 0, results, value.start)

    def convert(self, value: v.Convert) -> Code:
        return operations.convert(
            self, self.value(value.value), known(value.value.type), known(value.type), value.start
        )

    def conditional(self, value: v.Conditional) -> Code:
        results = slots(known(value.type))
        if not results:
            return self.effect(value)
        condition = self.value(value.condition)
        then, otherwise = self.value(value.then), self.value(value.otherwise)
        return Code("if", (condition, then, otherwise), results=results)

    def sequence(self, value: v.Sequence) -> Code:
        if not value.values:
            return NOP
        *front, last = value.values
        code = self.value(last) if slots(known(value.type)) else self.effect(last)
        return sequence((*(self.effect(part) for part in front), code))

    def loop(self, value: v.Loop) -> Code:
        """``block out { loop top { leave unless condition; block next { body }; step; again } }``"""
        out, top, following = self.label(), self.label(), self.label()
        self.loops.append((out, following))
        body = self.effect(value.body)
        self.loops.pop()
        parts: list[Code] = []
        if value.condition is not None:
            parts.append(Code("br_if", (negate(self.value(value.condition)),), out))
        parts.append(Code("block", (body,), following))
        if value.step is not None:
            self.loops.append((out, following))
            parts.append(self.effect(value.step))
            self.loops.pop()
        parts.append(Code("br", (), top))
        block = Code("block", (Code("loop", tuple(parts), top),), out)
        return self.after(value, block)

    def break_(self, value: v.Break) -> Code:
        return Code("br", (), self.loops[-1][0])

    def continue_(self, value: v.Continue) -> Code:
        return Code("br", (), self.loops[-1][1])

    def return_(self, value: v.Return) -> Code:
        if value.value is None:
            return Code("return")
        if slots(self.typed.result):
            return Code("return", (self.value(value.value),))
        return sequence((self.effect(value.value), Code("return")))

    def trap(self, value: v.Trap) -> Code:
        message = self.string(value.message)
        return sequence((self.runtime("traps.panic", (message,), (), value.start), UNREACHABLE))


_VALUES: dict[type, Callable[[Lowering, Any], Code]] = {
    v.Literal: Lowering.literal,
    v.GetLocal: Lowering.get_local,
    v.SetLocal: Lowering.set_local,
    v.GetGlobal: Lowering.get_global,
    v.SetGlobal: Lowering.set_global,
    v.CallFunction: Lowering.call_function,
    v.Operation: Lowering.operation,
    v.Instruction: Lowering.instruction,
    v.Convert: Lowering.convert,
    v.Conditional: Lowering.conditional,
    v.Sequence: Lowering.sequence,
    v.Loop: Lowering.loop,
    v.Break: Lowering.break_,
    v.Continue: Lowering.continue_,
    v.Return: Lowering.return_,
    v.Trap: Lowering.trap,
    v.MakeVariant: Lowering.make_variant,
    v.GetIndex: Lowering.get_index,
    v.Match: Lowering.match,
}

_DESCRIBED: dict[type, str] = {
    v.MakeTuple: "a tuple",
    v.MakeList: "a list literal",
    v.MakeRecord: "a record",
    v.MakeGene: "a gene's construction",
    v.MakeRange: "a range outside of `for`",
    v.MakeDynamic: "a trait used as a type",
    v.MakeJson: "a Json literal",
    v.GetField: "a field",
    v.SetField: "an assignment to a field",
    v.SetIndex: "an assignment to an element",
    v.Closure: "a closure",
    v.CallValue: "a call of a function value",
    v.CallTrait: "a call of a trait's function",
    v.FunctionReference: "a function as a value",
    v.Attempt: "`?`",
    v.ForEach: "`for` over anything but a range",
    v.Quantify: "`forall`",
}
"""What is in the language and cannot be compiled yet."""
