"""Low-level code to the bytes of the WebAssembly binary format (specification 2.0, chapter 5).

An index that only the linker knows is written as five padded bytes and noted as a relocation.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from dolbuild.codegen.ir import Code, Function

VALUE_TYPES = {"i32": 0x7F, "i64": 0x7E, "f32": 0x7D, "f64": 0x7C, "ref": 0x7F}

OPCODES: dict[str, bytes] = {
    "unreachable": b"\x00", "return": b"\x0f", "select": b"\x1b", "drop": b"\x1a",
    "memory.size": b"\x3f\x00", "memory.grow": b"\x40\x00",
    "memory.copy": b"\xfc\x0a\x00\x00", "memory.fill": b"\xfc\x0b\x00",
}  # fmt: skip
"""Opcodes of the instructions without immediates, by name."""

LOADS: dict[str, tuple[int, int]] = {
    "i32.load": (0x28, 2), "i64.load": (0x29, 3), "f32.load": (0x2A, 2), "f64.load": (0x2B, 3),
    "i32.load8_s": (0x2C, 0), "i32.load8_u": (0x2D, 0), "i32.load16_s": (0x2E, 1), "i32.load16_u": (0x2F, 1),
    "i32.store": (0x36, 2), "i64.store": (0x37, 3), "f32.store": (0x38, 2), "f64.store": (0x39, 3),
    "i32.store8": (0x3A, 0), "i32.store16": (0x3B, 1),
}  # fmt: skip
"""Memory accesses: opcode and log2 of the alignment."""

_PLAIN = """
45 i32.eqz i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u
50 i64.eqz i64.eq i64.ne i64.lt_s i64.lt_u i64.gt_s i64.gt_u i64.le_s i64.le_u i64.ge_s i64.ge_u
5b f32.eq f32.ne f32.lt f32.gt f32.le f32.ge f64.eq f64.ne f64.lt f64.gt f64.le f64.ge
67 i32.clz i32.ctz i32.popcnt i32.add i32.sub i32.mul i32.div_s i32.div_u i32.rem_s i32.rem_u i32.and i32.or
73 i32.xor i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr
79 i64.clz i64.ctz i64.popcnt i64.add i64.sub i64.mul i64.div_s i64.div_u i64.rem_s i64.rem_u i64.and i64.or
85 i64.xor i64.shl i64.shr_s i64.shr_u i64.rotl i64.rotr
8b f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt f32.add f32.sub f32.mul f32.div f32.min
97 f32.max f32.copysign
99 f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt f64.add f64.sub f64.mul f64.div f64.min
a5 f64.max f64.copysign
a7 i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u
ac i64.extend_i32_s i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u
b2 f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64
b7 f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32
bc i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64
c0 i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s
"""
for _line in _PLAIN.split("\n"):
    if _line:
        _first, *_names = _line.split()
        OPCODES.update({name: bytes([int(_first, 16) + index]) for index, name in enumerate(_names)})
_SATURATING = [
    "i32.trunc_sat_f32_s",
    "i32.trunc_sat_f32_u",
    "i32.trunc_sat_f64_s",
    "i32.trunc_sat_f64_u",
    "i64.trunc_sat_f32_s",
    "i64.trunc_sat_f32_u",
    "i64.trunc_sat_f64_s",
    "i64.trunc_sat_f64_u",
]
OPCODES.update({name: bytes([0xFC, index]) for index, name in enumerate(_SATURATING)})


def uleb(value: int) -> bytes:
    """Unsigned LEB128."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sleb(value: int) -> bytes:
    """Signed LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def padded(value: int) -> bytes:
    """*value* (0 to 2**32 - 1) as LEB128 of exactly five bytes; signed or unsigned, it reads the same
    below 2**31 and as the same 32 bits above."""
    return bytes((value >> shift & 0x7F) | (0x80 if shift < 28 else 0) for shift in range(0, 35, 7))


def text(value: str) -> bytes:
    """A name: its length in bytes, then UTF-8."""
    data = value.encode()
    return uleb(len(data)) + data


def vector(items: list[bytes]) -> bytes:
    """A count, then the items."""
    return uleb(len(items)) + b"".join(items)


Signature = tuple[tuple[str, ...], tuple[str, ...]]


def signature_text(signature: Signature) -> str:
    """A signature as the name of a relocation: ``i32,i64>i32``."""
    return f"{','.join(signature[0])}>{','.join(signature[1])}"


@dataclass(frozen=True, slots=True)
class Relocation:
    """Five bytes at *offset* in a body that take an index or an address.

    *kind*: ``f`` a function, ``g`` a global, ``d`` the address of data, ``e`` a function's place in the table, ``t`` a
    type (the symbol is its signature), ``p`` an address that the linker knows. In data, where they are four plain
    bytes, only ``d`` and ``e``.
    """

    offset: int
    kind: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A function's body, local declarations included, with what is left to fill in.

    *lines* are pairs (offset in the body, source line) in the order of the offsets.
    """

    symbol: str
    signature: Signature
    body: bytes
    relocations: tuple[Relocation, ...]
    lines: tuple[tuple[int, int], ...]


def encode_function(function: Function, line_of: Callable[[int], int]) -> Encoded:
    """Encode one function. *line_of* gives the line of a source offset."""
    encoder = _Encoder(line_of)
    if function.start >= 0:
        encoder.mark(function.start)
    encoder.locals(function.locals[len(function.parameters) :])
    encoder.emit(function.body)
    if function.results and not function.body.results:
        encoder.out.append(0x00)  # what ends here does not come back; this tells the validator
    encoder.out.append(0x0B)
    return Encoded(
        function.symbol,
        (function.parameters, function.results),
        bytes(encoder.out),
        tuple(encoder.relocations),
        tuple(encoder.lines),
    )


class _Encoder:
    def __init__(self, line_of: Callable[[int], int]) -> None:
        self.line_of = line_of
        self.out = bytearray()
        self.relocations: list[Relocation] = []
        self.lines: list[tuple[int, int]] = []
        self.labels: list[int] = []
        self.line = 0

    def locals(self, types: list[str]) -> None:
        groups: list[tuple[int, int]] = []
        for type_ in types:
            value_type = VALUE_TYPES[type_]
            if groups and groups[-1][1] == value_type:
                groups[-1] = (groups[-1][0] + 1, value_type)
            else:
                groups.append((1, value_type))
        self.out += vector([uleb(count) + bytes((value_type,)) for count, value_type in groups])

    def relocate(self, kind: str, symbol: str) -> None:
        self.relocations.append(Relocation(len(self.out), kind, symbol))
        self.out += padded(0)

    def block_type(self, results: tuple[str, ...]) -> None:
        if not results:
            self.out.append(0x40)
        elif len(results) == 1:
            self.out.append(VALUE_TYPES[results[0]])
        else:
            self.relocate("t", signature_text(((), results)))

    def mark(self, start: int) -> None:
        """Note the source line of the instruction that comes next."""
        line = self.line_of(start)
        if line != self.line:
            self.line = line
            self.lines.append((len(self.out), line))

    def branch(self, label: int) -> None:
        self.out += uleb(len(self.labels) - 1 - self.labels.index(label))

    def emit(self, code: Code) -> None:
        op = code.op
        plain = OPCODES.get(op)
        out = self.out
        if plain is not None:
            for argument in code.args:
                self.emit(argument)
            if code.start >= 0:
                self.mark(code.start)
            if op == "drop":
                out += plain * code.imm
            else:
                out += plain
            return
        method = _EMIT.get(op)
        if method is not None:
            method(self, code)
            return
        opcode, alignment = LOADS[op]
        for argument in code.args:
            self.emit(argument)
        out.append(opcode)
        out += uleb(alignment) + uleb(code.imm or 0)

    def sequence(self, code: Code) -> None:
        for argument in code.args:
            self.emit(argument)

    def local_get(self, code: Code) -> None:
        self.out.append(0x20)
        self.out += uleb(code.imm)

    def local_set(self, code: Code) -> None:
        self.emit(code.args[0])
        for index in reversed(code.imm):
            self.out.append(0x21)
            self.out += uleb(index)

    def local_tee(self, code: Code) -> None:
        self.emit(code.args[0])
        self.out.append(0x22)
        self.out += uleb(code.imm)

    def i32_const(self, code: Code) -> None:
        self.out.append(0x41)
        value = code.imm & 0xFFFFFFFF
        self.out += sleb(value - (1 << 32) if value >= 1 << 31 else value)

    def i64_const(self, code: Code) -> None:
        self.out.append(0x42)
        value = code.imm & 0xFFFFFFFFFFFFFFFF
        self.out += sleb(value - (1 << 64) if value >= 1 << 63 else value)

    def f32_const(self, code: Code) -> None:
        self.out.append(0x43)
        self.out += struct.pack("<f", code.imm)

    def f64_const(self, code: Code) -> None:
        self.out.append(0x44)
        self.out += struct.pack("<d", code.imm)

    def call(self, code: Code) -> None:
        self.sequence(code)
        if code.start >= 0:
            self.mark(code.start)
        self.out.append(0x10)
        self.relocate("f", code.imm)

    def global_get(self, code: Code) -> None:
        self.out.append(0x23)
        self.relocate("g", code.imm)

    def global_set(self, code: Code) -> None:
        self.sequence(code)
        self.out.append(0x24)
        self.relocate("g", code.imm)

    def data(self, code: Code) -> None:
        self.out.append(0x41)
        self.relocate("d", code.imm)

    def table(self, code: Code) -> None:
        self.out.append(0x41)
        self.relocate("e", code.imm)

    def place(self, code: Code) -> None:
        self.out.append(0x41)
        self.relocate("p", code.imm)

    def call_indirect(self, code: Code) -> None:
        self.sequence(code)
        if code.start >= 0:
            self.mark(code.start)
        self.out.append(0x11)
        self.relocate("t", signature_text(code.imm))
        self.out.append(0x00)

    def block(self, code: Code) -> None:
        self.out.append(0x02 if code.op == "block" else 0x03)
        self.block_type(code.results)
        self.labels.append(code.imm)
        self.sequence(code)
        self.labels.pop()
        self.out.append(0x0B)

    def conditional(self, code: Code) -> None:
        self.emit(code.args[0])
        self.out.append(0x04)
        self.block_type(code.results)
        self.labels.append(-1)
        self.emit(code.args[1])
        if code.results and not code.args[1].results:
            self.out.append(0x00)
        if len(code.args) > 2 and code.args[2].op != "nop":
            self.out.append(0x05)
            self.emit(code.args[2])
            if code.results and not code.args[2].results:
                self.out.append(0x00)
        self.labels.pop()
        self.out.append(0x0B)

    def br(self, code: Code) -> None:
        self.sequence(code)
        self.out.append(0x0C if code.op == "br" else 0x0D)
        self.branch(code.imm)


_EMIT = {
    "nop": lambda encoder, code: None,
    "seq": _Encoder.sequence,
    "multi": _Encoder.sequence,
    "local.get": _Encoder.local_get,
    "local.set": _Encoder.local_set,
    "local.tee": _Encoder.local_tee,
    "i32.const": _Encoder.i32_const,
    "i64.const": _Encoder.i64_const,
    "f32.const": _Encoder.f32_const,
    "f64.const": _Encoder.f64_const,
    "call": _Encoder.call,
    "global.get": _Encoder.global_get,
    "global.set": _Encoder.global_set,
    "data": _Encoder.data,
    "table": _Encoder.table,
    "place": _Encoder.place,
    "call_indirect": _Encoder.call_indirect,
    "block": _Encoder.block,
    "loop": _Encoder.block,
    "if": _Encoder.conditional,
    "br": _Encoder.br,
    "br_if": _Encoder.br,
}
