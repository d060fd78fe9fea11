"""What can be known of code before it runs: constants, conditions that are always the same, calls of known functions."""

from collections.abc import Callable, Mapping

from dolbuild.codegen.inline import closures_in, times_set
from dolbuild.codegen.ir import NOP, Code, Function
from dolbuild.codegen.object import Symbol

_CONSTANTS = frozenset(("i32.const", "i64.const", "f32.const", "f64.const", "data"))
_MASK = {"i32": 0xFFFFFFFF, "i64": 0xFFFFFFFFFFFFFFFF}


def fold(function: Function, symbols: Mapping[str, Symbol]) -> Function:
    """The function with constants put in, and calls of known closures made direct."""
    folder = _Folder(function, symbols)
    body = folder.run(function.body)
    if body is function.body:
        return function
    return Function(function.symbol, function.parameters, function.results, function.locals, body, function.start)


class _Folder:
    def __init__(self, function: Function, symbols: Mapping[str, Symbol]) -> None:
        self.symbols = symbols
        self.closures = closures_in(function)
        self.values = _known_values(function)

    def run(self, code: Code) -> Code:
        op = code.op
        if op == "local.get":
            return self.values.get(code.imm, code)
        if op == "global.get":
            return self.constant_global(code)
        if not code.args:
            return code
        args = tuple(self.run(part) for part in code.args)
        if op == "if":
            return self.condition(code, args)
        if op == "call_indirect":
            target = self.callee(args[0])
            if target is not None:
                return Code("call", args[:-1], target, code.results, code.start)
        if len(args) == 2:
            simple = _binary(op, args)
            if simple is not None:
                return simple
        if op == "i32.eqz" and args[0].op == "i32.const":
            return Code("i32.const", imm=int(args[0].imm & _MASK["i32"] == 0), results=("i32",))
        if all(a is b for a, b in zip(args, code.args, strict=True)):
            return code
        return Code(op, args, code.imm, code.results, code.start)

    def constant_global(self, code: Code) -> Code:
        symbol = self.symbols.get(code.imm)
        if symbol is None or symbol.mutable or symbol.references or symbol.kind != "global":
            return code
        return Code(f"{symbol.type}.const", imm=symbol.value, results=code.results)

    def condition(self, code: Code, args: tuple[Code, ...]) -> Code:
        test = args[0]
        if test.op == "i32.const":
            return args[1] if test.imm & _MASK["i32"] else args[2] if len(args) > 2 else NOP
        if all(a is b for a, b in zip(args, code.args, strict=True)):
            return code
        return Code("if", args, code.imm, code.results, code.start)

    def callee(self, value: Code) -> str | None:
        """The function behind a function value, where it is known."""
        if value.op == "local.get":
            name = self.closures.get(value.imm)
        elif value.op == "data":
            name = str(value.imm)
        else:
            return None
        if name is None or not name.endswith("#value"):
            return name
        data = self.symbols.get(name)
        if data is None or not data.relocations or data.relocations[0].kind != "e":
            return None
        return data.relocations[0].symbol


def _known_values(function: Function) -> dict[int, Code]:
    """Locals that are set once, to a constant."""
    sets = times_set(function)
    values: dict[int, Code] = {}
    waiting = [function.body]
    while waiting:
        code = waiting.pop()
        if code.op == "local.set" and len(code.imm) == 1 and code.args[0].op in _CONSTANTS and sets[code.imm[0]] == 1:
            values[code.imm[0]] = code.args[0]
        waiting += code.args
    return values


def _signed(value: int, kind: str) -> int:
    bits = 32 if kind == "i32" else 64
    value &= _MASK[kind]
    return value - (1 << bits) if value >> (bits - 1) else value


_OPERATIONS: dict[str, Callable[[int, int, str], int]] = {
    "add": lambda a, b, k: a + b, "sub": lambda a, b, k: a - b, "mul": lambda a, b, k: a * b,
    "and": lambda a, b, k: a & b, "or": lambda a, b, k: a | b, "xor": lambda a, b, k: a ^ b,
    "shl": lambda a, b, k: a << (b & (31 if k == "i32" else 63)),
    "eq": lambda a, b, k: int(a & _MASK[k] == b & _MASK[k]), "ne": lambda a, b, k: int(a & _MASK[k] != b & _MASK[k]),
    "lt_u": lambda a, b, k: int(a & _MASK[k] < b & _MASK[k]), "gt_u": lambda a, b, k: int(a & _MASK[k] > b & _MASK[k]),
    "le_u": lambda a, b, k: int(a & _MASK[k] <= b & _MASK[k]), "ge_u": lambda a, b, k: int(a & _MASK[k] >= b & _MASK[k]),
    "lt_s": lambda a, b, k: int(_signed(a, k) < _signed(b, k)), "gt_s": lambda a, b, k: int(_signed(a, k) > _signed(b, k)),
    "le_s": lambda a, b, k: int(_signed(a, k) <= _signed(b, k)), "ge_s": lambda a, b, k: int(_signed(a, k) >= _signed(b, k)),
}  # fmt: skip
_COMPARISONS = frozenset(("eq", "ne", "lt_u", "gt_u", "le_u", "ge_u", "lt_s", "gt_s", "le_s", "ge_s"))


def _binary(op: str, args: tuple[Code, ...]) -> Code | None:
    """An operation on two constants, or one that does nothing."""
    kind, _, name = op.partition(".")
    if kind not in _MASK or name not in _OPERATIONS:
        return None
    left, right = args
    if right.op == f"{kind}.const" and left.op == f"{kind}.const":
        value = _OPERATIONS[name](left.imm, right.imm, kind) & _MASK[kind]
        result = "i32" if name in _COMPARISONS else kind
        return Code(f"{result}.const", imm=value, results=(result,))
    if right.op == f"{kind}.const":
        if right.imm == 0 and name in ("add", "sub", "or", "xor", "shl"):
            return left
        if right.imm == 1 and name == "mul":
            return left
    return None
