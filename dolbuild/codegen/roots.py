"""The shadow stack: where the collector finds the references that functions hold.

Objects do not move, so a reference in a local stays good; the collector only has to know of it. A function that holds
references across calls which may collect gets a frame on the shadow stack, and stores a reference there before
such a call, unless it lies there already. Functions without such calls have no frame. The frame is cleared when it is
made, since the collector looks at all of it.

The stack grows downwards to address 0, so that one that is too deep ends in an access beyond the memory: a trap, without
a test at each call.
"""

from collections.abc import Callable

from dolbuild.codegen.frame import constant
from dolbuild.codegen.ir import I32, I64, REF, Code, Function

STACK = "@dol/runtime/memory.STACK"
"""The global that holds the address of the innermost frame."""

_EVERYTHING = -1

Collects = Callable[[str], bool]
"""Whether a call of a function may collect."""


def insert_roots(function: Function, collects: Collects) -> Function:
    """The function with a frame, if it needs one."""
    pass_ = _Roots(function, collects)
    if not pass_.may_collect(function.body):
        return function
    body = pass_.hold(function.body)[0]
    pass_.live(body, 0)
    needed = 0
    for mask in pass_.across.values():
        needed |= mask
    if needed == 0:
        return Function(function.symbol, function.parameters, function.results, function.locals, body, function.start)
    return pass_.framed(body)


class _Roots:
    def __init__(self, function: Function, collects: Collects) -> None:
        self.function = function
        self.locals = function.locals
        self.collects = collects
        self.bits = {index: 1 << index for index, kind in enumerate(self.locals) if kind == REF}
        self.across: dict[int, int] = {}
        """References that live across each call, by the identity of the call."""
        self.labels: dict[int, int] = {}
        self.known: dict[int, bool] = {}
        self.assigned_in: dict[int, int] = {}

    # -- what may collect -------------------------------------------------------------------------

    def is_collecting(self, code: Code) -> bool:
        return code.op == "call_indirect" or (code.op == "call" and self.collects(code.imm))

    def may_collect(self, code: Code) -> bool:
        found = self.known.get(id(code))
        if found is None:
            found = self.is_collecting(code) or any(self.may_collect(part) for part in code.args)
            self.known[id(code)] = found
        return found

    # -- operands that wait -----------------------------------------------------------------------

    def hold(self, code: Code) -> tuple[Code, bool]:
        """Put operands that wait on the stack while a later one may collect into locals, too."""
        args = code.args
        if not args:
            return code, self.is_collecting(code)
        held = [self.hold(part) for part in args]
        new = [part for part, _ in held]
        collecting = [flag for _, flag in held]
        if code.op not in ("seq", "block", "loop", "if") and any(collecting[1:]):
            last = max(index for index, flag in enumerate(collecting) if flag)
            for index in range(last):
                if REF in new[index].results:
                    new[index] = self.waiting(new[index], new[index + 1 : last + 1])
        result = code
        if any(a is not b for a, b in zip(new, args, strict=True)):
            result = Code(code.op, tuple(new), code.imm, code.results, code.start)
        return result, any(collecting) or self.is_collecting(code)

    def waiting(self, code: Code, later: list[Code]) -> Code:
        """A value whose references are in locals that nothing changes until it is used."""
        if code.op == "multi":
            return Code("multi", tuple(self.waiting(part, later) for part in code.args), None, code.results)
        if REF not in code.results or code.op == "data":
            return code
        if code.op == "local.get" and not any(self.assigned(part) & self.bits[code.imm] for part in later):
            return code
        start = len(self.locals)
        self.locals += code.results
        for index, kind in enumerate(code.results, start):
            if kind == REF:
                self.bits[index] = 1 << index
        kept = Code("local.set", (code,), tuple(range(start, start + len(code.results))))
        gets = tuple(Code("local.get", imm=index, results=(kind,)) for index, kind in enumerate(code.results, start))
        value = gets[0] if len(gets) == 1 else Code("multi", gets, results=code.results)
        return Code("seq", (kept, value), results=code.results)

    def assigned(self, code: Code) -> int:
        """The references that code assigns."""
        found = self.assigned_in.get(id(code))
        if found is None:
            found = 0
            if code.op == "local.set":
                for index in code.imm:
                    found |= self.bits.get(index, 0)
            elif code.op == "local.tee":
                found |= self.bits.get(code.imm, 0)
            for part in code.args:
                found |= self.assigned(part)
            self.assigned_in[id(code)] = found
        return found

    # -- liveness, backwards ----------------------------------------------------------------------

    def live(self, code: Code, after: int) -> int:
        """The references that are used from here on, where those of *after* are used behind the code."""
        op = code.op
        if op == "local.get":
            return after | self.bits.get(code.imm, 0)
        if op == "seq":
            for part in reversed(code.args):
                after = self.live(part, after)
            return after
        if op == "local.set":
            for index in code.imm:
                after &= ~self.bits.get(index, 0)
            return self.live(code.args[0], after)
        if op == "local.tee":
            return self.live(code.args[0], after & ~self.bits.get(code.imm, 0))
        if op == "if":
            then = self.live(code.args[1], after)
            otherwise = self.live(code.args[2], after) if len(code.args) > 2 else after
            return self.live(code.args[0], then | otherwise)
        if op == "block":
            self.labels[code.imm] = after
            return self.operands(code.args, after)
        if op == "loop":
            head = 0
            while True:
                self.labels[code.imm] = head
                found = self.operands(code.args, after)
                if found | head == head:
                    return head
                head |= found
        if op == "br":
            return self.operands(code.args, self.labels[code.imm])
        if op == "br_if":
            return self.operands(code.args, self.labels[code.imm] | after)
        if op in ("return", "unreachable"):
            return self.operands(code.args, 0)
        if op in ("call", "call_indirect") and self.is_collecting(code):
            self.across[id(code)] = self.across.get(id(code), 0) | after
        return self.operands(code.args, after)

    def operands(self, args: tuple[Code, ...], after: int) -> int:
        """Operands from the last to the first; while one is computed, those before it wait."""
        if len(args) == 1:
            return self.live(args[0], after)
        waiting = [_tail(part, self.bits) for part in args]
        for index in range(len(args) - 1, -1, -1):
            before = 0
            for mask in waiting[:index]:
                before |= mask
            after = self.live(args[index], after | before)
        return after

    # -- the frame --------------------------------------------------------------------------------

    def framed(self, body: Code) -> Function:
        self.slots = self.colour()
        self.shared: dict[int, int] = {}
        for bit, slot in self.slots.items():
            self.shared[bit] = sum(other for other, place in self.slots.items() if place == slot and other != bit)
        self.count = max(self.slots.values()) + 1
        self.frame = len(self.locals)
        self.locals.append(I32)
        self.size = -(-self.count // 2) * 8
        self.clean: dict[int, int] = {}
        self.bit_of = {bit: index for index, bit in self.bits.items()}
        self.masks: dict[int, int] = {}
        spilled, _ = self.spill(body, 0)
        frame = Code("local.get", imm=self.frame, results=(I32,))
        stack = Code("global.get", imm=STACK, results=(I32,))
        pushed = Code("i32.sub", (stack, constant(self.size)), results=(I32,))
        enter = [Code("local.set", (pushed,), (self.frame,))]
        nothing = Code("i64.const", imm=0, results=(I64,))
        enter += [Code("i64.store", (frame, nothing), offset) for offset in range(0, self.size, 8)]
        enter.append(Code("global.set", (frame,), STACK))
        function = self.function
        parts = [*enter, spilled]
        results: tuple[str, ...] = spilled.results
        if results or not _never(spilled):
            parts.append(self.leave())
        code = Code("seq", tuple(parts), results=results)
        return Function(function.symbol, function.parameters, function.results, self.locals, code, function.start)

    def leave(self) -> Code:
        frame = Code("local.get", imm=self.frame, results=(I32,))
        return Code("global.set", (Code("i32.add", (frame, constant(self.size)), results=(I32,)),), STACK)

    def colour(self) -> dict[int, int]:
        """A slot of the frame for each reference; those that never live across the same call may share one."""
        masks = sorted(set(self.across.values()))
        every = 0
        for mask in masks:
            every |= mask
        slots: dict[int, int] = {}
        taken: list[int] = []
        rest = every
        while rest:
            bit = rest & -rest
            rest ^= bit
            together = 0
            for mask in masks:
                if mask & bit:
                    together |= mask
            for slot, members in enumerate(taken):
                if not members & together:
                    taken[slot] |= bit
                    slots[bit] = slot
                    break
            else:
                slots[bit] = len(taken)
                taken.append(bit)
        return slots

    def stores(self, mask: int) -> tuple[Code, ...]:
        """References into their slots."""
        found = []
        while mask:
            bit = mask & -mask
            mask ^= bit
            frame = Code("local.get", imm=self.frame, results=(I32,))
            value = Code("local.get", imm=self.bit_of[bit], results=(REF,))
            found.append(Code("i32.store", (frame, value), 4 * self.slots[bit]))
        return tuple(found)

    def stored(self, mask: int, clean: int) -> int:
        """What lies in its slot after the references of *mask* were stored."""
        rest = mask
        while rest:
            bit = rest & -rest
            rest ^= bit
            clean &= ~self.shared[bit]
        return clean | mask

    def mask_in(self, code: Code) -> int:
        """All references that live across any call inside of code."""
        found = self.masks.get(id(code))
        if found is None:
            found = self.across.get(id(code), 0)
            for part in code.args:
                found |= self.mask_in(part)
            self.masks[id(code)] = found
        return found

    def spill(self, code: Code, clean: int) -> tuple[Code, int]:
        """The code with its stores, and what lies in its slot afterwards (everything, where nothing comes after)."""
        op = code.op
        if not code.args:
            if op == "br":
                self.clean[code.imm] = self.clean.get(code.imm, _EVERYTHING) & clean
                return code, _EVERYTHING
            if op == "return":
                return Code("seq", (self.leave(), code)), _EVERYTHING
            if op == "unreachable":
                return code, _EVERYTHING
            if op not in ("call", "call_indirect"):
                return code, clean
        if op == "if":
            condition, clean = self.spill(code.args[0], clean)
            then, after = self.spill(code.args[1], clean)
            parts = [condition, then]
            if len(code.args) > 2:
                otherwise, other = self.spill(code.args[2], clean)
                parts.append(otherwise)
                after &= other
            else:
                after &= clean
            return Code("if", tuple(parts), None, code.results, code.start), after
        if op == "block":
            self.clean[code.imm] = _EVERYTHING
            args, after = self.all(code.args, clean)
            return Code("block", args, code.imm, code.results), after & self.clean[code.imm]
        if op == "loop":
            changed = self.assigned(code)
            mask = self.mask_in(code)
            early = mask & ~changed & ~clean
            early &= ~self.sharing(early | mask)
            clean = self.stored(early, clean)
            held = clean & ~changed & ~self.sharing(mask)
            self.clean[code.imm] = _EVERYTHING
            args, after = self.all(code.args, held)
            loop = Code("loop", args, code.imm, code.results)
            stores = self.stores(early)
            return (Code("seq", (*stores, loop), results=code.results) if stores else loop), after
        args, clean = self.all(code.args, clean)
        if op in ("call", "call_indirect"):
            mask = self.across.get(id(code), 0)
            missing = mask & ~clean
            if missing:
                args = (*args, *self.stores(missing))
                clean = self.stored(missing, clean)
            return Code(op, args, code.imm, code.results, code.start), clean
        if op == "local.set":
            for index in code.imm:
                clean &= ~self.bits.get(index, 0)
        elif op == "local.tee":
            clean &= ~self.bits.get(code.imm, 0)
        elif op in ("br", "br_if"):
            self.clean[code.imm] = self.clean.get(code.imm, _EVERYTHING) & clean
            if op == "br":
                clean = _EVERYTHING
        elif op == "return":
            return Code("return", (*args, self.leave())), _EVERYTHING
        return Code(op, args, code.imm, code.results, code.start), clean

    def all(self, args: tuple[Code, ...], clean: int) -> tuple[tuple[Code, ...], int]:
        found = []
        for part in args:
            new, clean = self.spill(part, clean)
            found.append(new)
        return tuple(found), clean

    def sharing(self, mask: int) -> int:
        """References that share a slot with one of *mask*."""
        found = 0
        while mask:
            bit = mask & -mask
            mask ^= bit
            found |= self.shared.get(bit, 0)
        return found


def _tail(code: Code, bits: dict[int, int]) -> int:
    """The references in locals that a waiting value consists of."""
    if code.op in ("local.get", "local.tee"):
        return bits.get(code.imm, 0)
    if code.op == "multi":
        found = 0
        for part in code.args:
            found |= _tail(part, bits)
        return found
    if code.op == "seq":
        return _tail(code.args[-1], bits)
    return 0


def _never(code: Code) -> bool:
    """Whether code surely does not come back."""
    if code.op in ("unreachable", "return", "br"):
        return True
    if code.op == "seq":
        return bool(code.args) and _never(code.args[-1])
    return False
