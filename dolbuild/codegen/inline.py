"""Putting the code of small functions where they are called.

What is put in carries the line of the call: a trap in it is shown where the call stands.
"""

from collections import Counter
from dataclasses import dataclass, field

from dolbuild.codegen.frame import zero
from dolbuild.codegen.ir import UNREACHABLE, Code, Function

SMALL = 40
"""Instructions of a function that is put in wherever it is called."""

WITH_FUNCTION = 260
"""The same where a known function is an argument: called directly, it can be put in, too."""

ONCE = 400
"""The same where there is only this one call."""

UNROLLED = 30
"""Instructions of a recursive function whose own code is put into it once."""

LARGEST = 6000
"""Instructions of a function into which nothing more is put."""

_FREE = frozenset(("local.get", "i32.const", "i64.const", "f32.const", "f64.const", "nop", "seq", "multi", "data"))


def size(code: Code) -> int:
    """Instructions, without those that only bring operands."""
    total = 0
    waiting = [code]
    while waiting:
        part = waiting.pop()
        total += part.op not in _FREE
        waiting += part.args
    return total


def calls(code: Code) -> list[str]:
    """The functions that code calls, once for each call."""
    found: list[str] = []
    waiting = [code]
    while waiting:
        part = waiting.pop()
        if part.op == "call":
            found.append(part.imm)
        waiting += part.args
    return found


@dataclass(slots=True)
class Facts:
    """What decides: sizes by symbol, how often each function is called, and those that are known by name elsewhere."""

    functions: dict[str, Function]
    sizes: dict[str, int]
    uses: dict[str, int]
    never: frozenset[str]
    zeroed: dict[str, tuple[Function, frozenset[int]]] = field(default_factory=dict)

    def read_first(self, function: Function) -> frozenset[int]:
        """Variables of a function that are read on some way before they are set: those for which 0 matters. Found once
        for as long as the function stays the same."""
        known = self.zeroed.get(function.symbol)
        if known is None or known[0] is not function:
            reader = _Reads()
            reader.walk(function.body, frozenset(range(len(function.parameters))))
            known = self.zeroed[function.symbol] = (function, frozenset(reader.found))
        return known[1]


class Inliner:
    """Puts callees into one function after the other."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def run(self, function: Function) -> Function:
        """The function with the code of its small callees in the place of the calls."""
        if self.facts.sizes[function.symbol] > LARGEST:
            return function
        work = _Work(self.facts, function)
        body = work.rewrite(function.body)
        if body is function.body:
            return function
        self.facts.sizes[function.symbol] = size(body)
        return Function(function.symbol, function.parameters, function.results, work.locals, body, function.start)


def unroll(function: Function) -> Function:
    """A small recursive function with its own code once in the place of each call of itself, so that it calls less
    often."""
    count = size(function.body)
    if count > UNROLLED or function.symbol not in calls(function.body):
        return function
    facts = Facts({function.symbol: function}, {function.symbol: count}, {}, frozenset())
    work = _Work(facts, function, only_itself=True)
    body = work.rewrite(function.body)
    return Function(function.symbol, function.parameters, function.results, work.locals, body, function.start)


class _Work:
    def __init__(self, facts: Facts, function: Function, only_itself: bool = False) -> None:
        self.only_itself = only_itself
        self.facts = facts
        self.function = function
        self.locals = list(function.locals)
        self.label = max_label(function.body)
        self.grown = facts.sizes[function.symbol]
        self.closures = closures_in(function)

    def rewrite(self, code: Code) -> Code:
        if not code.args and code.op != "call":
            return code
        args = tuple(self.rewrite(part) for part in code.args)
        if code.op == "call" and self.wanted(code, args):
            callee = self.facts.functions[code.imm]
            self.grown += self.facts.sizes[code.imm]
            return self.put_in(callee, args, code)
        if all(a is b for a, b in zip(args, code.args, strict=True)):
            return code
        return Code(code.op, args, code.imm, code.results, code.start)

    def wanted(self, call: Code, args: tuple[Code, ...]) -> bool:
        facts = self.facts
        callee = facts.functions.get(call.imm)
        itself = bool(call.imm == self.function.symbol)
        if self.only_itself or itself:
            return self.only_itself and itself
        if callee is None or call.imm in facts.never:
            return False
        count = facts.sizes[call.imm]
        if self.grown + count > LARGEST:
            return False
        if count <= SMALL:
            return True
        if facts.uses.get(call.imm, 0) == 1 and count <= ONCE:
            return True
        return count <= WITH_FUNCTION and any(self.is_closure(part) for part in args)

    def is_closure(self, code: Code) -> bool:
        if code.op == "data":
            return str(code.imm).endswith("#value")
        if code.op == "seq":
            return self.is_closure(code.args[-1])
        return code.op == "local.get" and code.imm in self.closures

    def put_in(self, callee: Function, args: tuple[Code, ...], call: Code) -> Code:
        """The callee's code with locals and labels of its own."""
        first = len(self.locals)
        self.locals += callee.locals
        parts: list[Code] = []
        at = first
        for part in args:
            count = len(part.results)
            parts.append(Code("local.set", (part,), tuple(range(at, at + count))) if count else part)
            at += count
        # A variable that is set only on some ways through a loop has to begin anew with each round.
        for index in sorted(self.facts.read_first(callee)):
            parts.append(Code("local.set", (zero(callee.locals[index]),), (first + index,)))
        out = self.label + 1
        copy = _Copy(first, self.label + 1, out, call.start)
        body = copy.run(callee.body)
        self.label = max(out, copy.highest)
        if copy.returned:
            if callee.results and not body.results:
                body = Code("seq", (body, UNREACHABLE))
            body = Code("block", (body,), out, callee.results)
        elif callee.results and not body.results:
            body = Code("seq", (body, UNREACHABLE))
        return Code("seq", (*parts, body), results=body.results)


class _Reads:
    """Which variables are surely set before each read, roughly: what is set inside of a branch counts only there."""

    def __init__(self) -> None:
        self.found: set[int] = set()

    def walk(self, code: Code, known: frozenset[int]) -> frozenset[int]:
        op = code.op
        if op == "local.get":
            if code.imm not in known:
                self.found.add(code.imm)
            return known
        if op == "if":
            known = self.walk(code.args[0], known)
            ways = [self.walk(part, known) for part in code.args[1:]]
            if len(ways) == 1:
                return known
            return ways[0] & ways[1]
        if op in ("block", "loop"):
            inner = known
            for part in code.args:
                inner = self.walk(part, inner)
            return known if op == "block" else inner
        for part in code.args:
            known = self.walk(part, known)
        if op == "local.set":
            return known.union(code.imm)
        if op == "local.tee":
            return known.union((code.imm,))
        return known


class _Copy:
    """A copy of code with other locals and labels; ``return`` becomes a jump to a label."""

    def __init__(self, first: int, first_label: int, out: int, start: int) -> None:
        self.first = first
        self.out = out
        self.base = first_label
        self.highest = out
        self.start = start
        self.returned = False

    def label(self, label: int) -> int:
        renamed = self.base + label
        self.highest = max(self.highest, renamed)
        return renamed

    def run(self, code: Code) -> Code:
        op, imm = code.op, code.imm
        args = tuple(self.run(part) for part in code.args)
        if op == "local.get" or op == "local.tee":
            imm = imm + self.first
        elif op == "local.set":
            imm = tuple(index + self.first for index in imm)
        elif op in ("block", "loop", "br", "br_if"):
            imm = self.label(imm)
        elif op == "return":
            self.returned = True
            op, imm = "br", self.out
        start = self.start if code.start >= 0 else -1
        return Code(op, args, imm, code.results, start)


def max_label(code: Code) -> int:
    """The highest label of some code."""
    highest = 0
    waiting = [code]
    while waiting:
        part = waiting.pop()
        if part.op in ("block", "loop"):
            highest = max(highest, part.imm)
        waiting += part.args
    return highest


def times_set(function: Function) -> Counter[int]:
    """How often each local is set by the code of a function; a parameter is set once before."""
    found = Counter(range(len(function.parameters)))
    waiting = [function.body]
    while waiting:
        code = waiting.pop()
        if code.op == "local.set":
            found.update(code.imm)
        elif code.op == "local.tee":
            found[code.imm] += 1
        waiting += code.args
    return found


def closures_in(function: Function) -> dict[int, str]:
    """Locals that hold closures of known functions: those that are made here, and copies of them."""
    sets = times_set(function)
    copies: dict[int, int] = {}
    made: dict[int, set[str]] = {}
    statics: dict[int, str] = {}
    waiting = [function.body]
    while waiting:
        code = waiting.pop()
        if code.op == "local.set":
            source = code.args[0]
            while source.op == "seq":
                source = source.args[-1]
            if len(code.imm) == 1 and source.op == "local.get":
                copies[code.imm[0]] = source.imm
            elif len(code.imm) == 1 and source.op == "data" and str(source.imm).endswith("#value"):
                statics[code.imm[0]] = source.imm
        elif code.op == "i32.store" and code.args[1].op == "table" and code.imm == 4:
            target = code.args[0]
            if target.op == "local.get":
                made.setdefault(target.imm, set()).add(code.args[1].imm)
        waiting += code.args
    found = {index: next(iter(names)) for index, names in made.items() if len(names) == 1}
    found |= {index: name for index, name in statics.items() if sets[index] == 1}
    for index in copies:
        seen: set[int] = set()
        at = index
        while at in copies and sets[at] == 1 and at not in seen:
            seen.add(at)
            at = copies[at]
        if at in found and seen:
            found[index] = found[at]
    return found
