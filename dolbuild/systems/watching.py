"""Watched programs: the same code, which notes what it reads.

A constraint is a pure function of the state, so it need not be evaluated again until something that it read has changed. To know what it
reads, it is run in a second module: a copy of the System's code in which every access to memory is noted. The copy imports the System's memory and
variables, so it works on the same state; its notes are in a memory of its own, a byte for each word of eight bytes: 0 for nothing,
1 where it was read first, 2 where it was written first (what a constraint makes for itself is no input of it).

The copy is made from the binary alone (specification 2.0 of WebAssembly, chapter 5; and multiple memories, for the notes).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dolbuild.codegen.encode import sleb, text, uleb, vector
from dolbuild.runtime.sections import custom_sections, read_sleb, read_text, read_uleb, sections

NOTES = "notes"
"""The export of the memory with the notes."""

STATE = "state"
"""The module from which the copy imports memory and variables."""

READ, WRITTEN = 1, 2
WORD_BITS = 3
PAGES = (1 << 32 - WORD_BITS) // 65536
"""Pages of notes for all that a memory can be; they take no room until they are written."""

VARIABLES = 0xFFF00000
"""The address that stands for the first variable in the notes; no memory reaches it."""

TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA = range(1, 12)
I32, I64, F32, F64 = 0x7F, 0x7E, 0x7D, 0x7C
MULTIPLE = 0x40
"""The bit of a memory argument that says that a memory's index follows."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The copy, and the variables that it imports, by number of their export's global in the System."""

    wasm: bytes
    variables: tuple[int, ...]


def watch(wasm: bytes, exports: frozenset[str]) -> Watched:
    """The watched copy of a module, with those of its exports that are functions and named. Raises ValueError for what
    this has no instructions for."""
    return _Watcher(wasm, exports).run()


_ACCESSES = {
    **dict.fromkeys((0x28, *range(0x2C, 0x30), 0x29, *range(0x30, 0x36), 0x2A, 0x2B), 0),
    0x36: I32, 0x3A: I32, 0x3B: I32, 0x37: I64, 0x3C: I64, 0x3D: I64, 0x3E: I64, 0x38: F32, 0x39: F64,
}  # fmt: skip
"""Loads (0) and stores (the type of their value)."""


def exported_globals(wasm: bytes) -> dict[int, str]:
    """Names of the exports that are variables, by the number of the variable."""
    return {number: name for name, kind, number in _exports(wasm) if kind == _GLOBAL_KIND}


def _exports(wasm: bytes) -> Iterator[tuple[str, int, int]]:
    """Name, kind and number of each export."""
    start = next((start for number, start, _ in sections(wasm) if number == EXPORT), None)
    if start is None:
        return
    count, at = read_uleb(wasm, start)
    for _ in range(count):
        name, at = read_text(wasm, at)
        kind = wasm[at]
        number, at = read_uleb(wasm, at + 1)
        yield name, kind, number


_FUNCTION_KIND, _GLOBAL_KIND = 0, 3
ALLOCATOR = "@dol/runtime/memory."
"""How the names of functions begin that keep the books of the memory: what they read there is no input of anything."""


def _allocator(wasm: bytes) -> frozenset[int]:
    """Numbers of the allocator's functions, from the ``name`` section."""
    data = custom_sections(wasm).get("name", b"")
    if not data or data[0] != 1:
        return frozenset()
    _, at = read_uleb(data, 1)
    count, at = read_uleb(data, at)
    found: set[int] = set()
    for _ in range(count):
        number, at = read_uleb(data, at)
        name, at = read_text(data, at)
        if name.startswith(ALLOCATOR):
            found.add(number)
    return frozenset(found)


class _Watcher:
    def __init__(self, wasm: bytes, exports: frozenset[str]) -> None:
        self.wasm = wasm
        self.allocator = _allocator(wasm)
        self.wanted = exports
        self.parts = {number: (start, end) for number, start, end in sections(wasm) if number}
        self.globals: list[tuple[int, bool, bytes]] = []
        self.types: list[bytes] = []

    def run(self) -> Watched:
        self.read_globals()
        type_count, types = self.vector(TYPE)
        imports, import_entries = self.vector(IMPORT)
        functions = imports + self.vector(FUNCTION)[0]
        self.first = functions
        """Number of the first function that notes."""
        mutable = [number for number, (_, is_mutable, _) in enumerate(self.globals) if is_mutable]
        fixed = [number for number, (_, is_mutable, _) in enumerate(self.globals) if not is_mutable]
        self.global_map = {old: new for new, old in enumerate((*mutable, *fixed))}
        signatures, bodies = _notes(self.first)
        out = bytearray(b"\0asm\x01\0\0\0")
        out += _section(TYPE, uleb(type_count + len(signatures)) + types + b"".join(signatures))
        state = [text(STATE) + text("memory") + b"\x02\x00\x00"]
        for number in mutable:
            kind, _, _ = self.globals[number]
            state.append(text(STATE) + text(f"variable {number}") + b"\x03" + bytes((kind, 1)))
        out += _section(IMPORT, uleb(imports + len(state)) + import_entries + b"".join(state))
        count, declared = self.vector(FUNCTION)
        noted = b"".join(uleb(type_count + index) for index in range(len(signatures)))
        out += _section(FUNCTION, uleb(count + len(signatures)) + declared + noted)
        out += self.copied(TABLE)
        out += _section(MEMORY, b"\x01\x01" + uleb(PAGES) + uleb(PAGES))
        if fixed:
            out += _section(GLOBAL, vector([bytes((self.globals[n][0], 0)) + self.globals[n][2] for n in fixed]))
        out += _section(EXPORT, self.exports())
        out += self.copied(ELEMENT)
        code = [
            self.body(start, end, number in self.allocator)
            for number, (start, end) in enumerate(self.bodies(), imports)
        ]
        out += _section(CODE, vector([uleb(len(body)) + body for body in (*code, *bodies)]))
        return Watched(bytes(out), tuple(mutable))

    # -- sections ---------------------------------------------------------------------------------

    def vector(self, number: int) -> tuple[int, bytes]:
        """How many entries a section has, and their bytes."""
        if number not in self.parts:
            return 0, b""
        start, end = self.parts[number]
        count, at = read_uleb(self.wasm, start)
        return count, self.wasm[at:end]

    def copied(self, number: int) -> bytes:
        if number not in self.parts:
            return b""
        start, end = self.parts[number]
        return _section(number, self.wasm[start:end])

    def read_globals(self) -> None:
        count, data = self.vector(GLOBAL)
        at = 0
        for _ in range(count):
            kind, mutable = data[at], bool(data[at + 1])
            start = at + 2
            at = _Instructions(data, start).end_of_constant()
            self.globals.append((kind, mutable, data[start:at]))

    def exports(self) -> bytes:
        found = [text(NOTES) + b"\x02\x01"]
        for name, kind, number in _exports(self.wasm):
            if kind == _FUNCTION_KIND and name in self.wanted:
                found.append(text(name) + b"\x00" + uleb(number))
        return vector(found)

    def bodies(self) -> Iterator[tuple[int, int]]:
        start, _ = self.parts[CODE]
        count, at = read_uleb(self.wasm, start)
        for _ in range(count):
            size, at = read_uleb(self.wasm, at)
            yield at, at + size
            at += size

    # -- code -------------------------------------------------------------------------------------

    def body(self, start: int, end: int, writes_only: bool) -> bytes:
        """A function whose accesses are noted."""
        wasm = self.wasm
        groups, at = read_uleb(wasm, start)
        for _ in range(groups):
            _, at = read_uleb(wasm, at)
            at += 1
        out = bytearray(wasm[start:at])
        instructions = _Instructions(wasm, at)
        while instructions.at < end:
            here = instructions.at
            opcode = wasm[here]
            kind = _ACCESSES.get(opcode)
            if kind is not None and (kind or not writes_only):
                _, after = read_uleb(wasm, here + 1)
                offset, _ = read_uleb(wasm, after)
                number = _NOTE_READ if kind == 0 else _NOTE_WRITE[kind]
                out += b"\x41" + sleb(offset - (1 << 32) if offset >> 31 else offset) + self.note(number)
            elif opcode in (0x23, 0x24):
                index, after = read_uleb(wasm, here + 1)
                if opcode == 0x23 and self.globals[index][1] and not writes_only:
                    place = VARIABLES + (index << WORD_BITS) - (1 << 32)
                    out += b"\x41" + sleb(place) + b"\x41\x00" + self.note(_NOTE_READ) + b"\x1a"
                out += bytes((opcode,)) + uleb(self.global_map[index])
                instructions.at = after
                continue
            elif opcode == 0xFC and wasm[here + 1] in (10, 11):
                out += self.note(_NOTE_COPY if wasm[here + 1] == 10 else _NOTE_FILL)
            instructions.skip()
            out += wasm[here : instructions.at]
        return bytes(out)

    def note(self, number: int) -> bytes:
        return b"\x10" + uleb(self.first + number)


class _Instructions:
    """Goes from one instruction to the next."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def uleb(self, count: int = 1) -> None:
        for _ in range(count):
            _, self.at = read_uleb(self.data, self.at)

    def sleb(self) -> None:
        _, self.at = read_sleb(self.data, self.at)

    def end_of_constant(self) -> int:
        while self.data[self.at] != 0x0B:
            self.skip()
        return self.at + 1

    def skip(self) -> None:
        """Behind the instruction that is here. Raises ValueError for one that is not known."""
        opcode = self.data[self.at]
        self.at += 1
        if opcode in _WITHOUT or 0x45 <= opcode <= 0xC4:
            return
        if opcode in (0x02, 0x03, 0x04):
            self.sleb()
        elif opcode in (0x0C, 0x0D, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x3F, 0x40):
            self.uleb()
        elif opcode == 0x0E:
            count, self.at = read_uleb(self.data, self.at)
            self.uleb(count + 1)
        elif opcode == 0x11 or 0x28 <= opcode <= 0x3E:
            self.uleb(2)
        elif opcode in (0x41, 0x42):
            self.sleb()
        elif opcode == 0x43:
            self.at += 4
        elif opcode == 0x44:
            self.at += 8
        elif opcode == 0xFC:
            number, self.at = read_uleb(self.data, self.at)
            if number > 7:
                self.uleb({10: 2, 11: 1}.get(number, 0))
                if number not in (10, 11):
                    raise ValueError(f"the instruction FC {number:02X} cannot be watched")
        else:
            raise ValueError(f"the instruction {opcode:02X} cannot be watched")


_WITHOUT = frozenset((0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B))

_NOTE_READ, _NOTE_COPY, _NOTE_FILL, _MARK = 0, 5, 6, 7
_NOTE_WRITE = {I32: 1, I64: 2, F32: 3, F64: 4}


def _notes(first: int) -> tuple[list[bytes], list[bytes]]:
    """Signatures and bodies of the functions that note, in the order of their numbers, of which *first* is the first.

    ``read(address, offset) -> address`` and ``write(address, value, offset) -> address, value`` note one word;
    ``copy(to, from, size)`` and ``fill(to, value, size)`` give back what they take; ``mark(address, size, what)`` notes a range.
    """

    def get(index: int) -> bytes:
        return b"\x20" + uleb(index)

    def i32(value: int) -> bytes:
        return b"\x41" + sleb(value)

    def word(at: bytes, what: bytes, temporary: int) -> bytes:
        """``if notes[at >> 3] == 0 { notes[at >> 3] = what }``"""
        load = b"\x2d" + bytes((MULTIPLE, 1)) + b"\x00"
        store = b"\x3a" + bytes((MULTIPLE, 1)) + b"\x00"
        kept = b"\x22" + uleb(temporary)
        return at + i32(WORD_BITS) + b"\x76" + kept + load + b"\x45\x04\x40" + get(temporary) + what + store + b"\x0b"

    def function(parameters: tuple[int, ...], results: tuple[int, ...]) -> bytes:
        return b"\x60" + vector([bytes((p,)) for p in parameters]) + vector([bytes((r,)) for r in results])

    one_local = b"\x01\x01\x7f"
    address = get(0) + get(1) + b"\x6a"
    signatures = [function((I32, I32), (I32,))]
    bodies = [one_local + word(address, i32(READ), 2) + get(0) + b"\x0b"]
    for kind in (I32, I64, F32, F64):
        signatures.append(function((I32, kind, I32), (I32, kind)))
        at = get(0) + get(2) + b"\x6a"
        bodies.append(one_local + word(at, i32(WRITTEN), 3) + get(0) + get(1) + b"\x0b")
    mark = b"\x10" + uleb(first + _MARK)
    signatures += [function((I32, I32, I32), (I32, I32, I32))] * 2 + [function((I32, I32, I32), ())]
    everything = get(0) + get(1) + get(2)
    written = get(0) + get(2) + i32(WRITTEN) + mark + everything + b"\x0b"
    bodies.append(b"\x00" + get(1) + get(2) + i32(READ) + mark + written)
    bodies.append(b"\x00" + written)
    last = get(0) + get(1) + b"\x6a" + i32(7) + b"\x6a" + i32(WORD_BITS) + b"\x76\x21\x04"
    begin = get(0) + i32(WORD_BITS) + b"\x76\x21\x03" + last
    step = get(3) + i32(1) + b"\x6a\x21\x03"
    load, store = b"\x2d" + bytes((MULTIPLE, 1, 0)), b"\x3a" + bytes((MULTIPLE, 1, 0))
    note = get(3) + load + b"\x45\x04\x40" + get(3) + get(2) + store + b"\x0b"
    loop = b"\x02\x40\x03\x40" + get(3) + get(4) + b"\x4f\x0d\x01" + note + step + b"\x0c\x00\x0b\x0b"
    bodies.append(b"\x01\x02\x7f" + begin + loop + b"\x0b")
    return signatures, bodies


def _section(number: int, content: bytes) -> bytes:
    return bytes((number,)) + uleb(len(content)) + content
