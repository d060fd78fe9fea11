"""A WebAssembly module as text (WAT), for reading and for tests.

The printer reads the binary, not our own low-level code, so that what it shows is what an engine gets; an
independent assembler can turn the text back (see ``tests/codegen/test_wat.py``).
"""

import math
import struct
from collections.abc import Iterator

from dolbuild.codegen.encode import LOADS, OPCODES, VALUE_TYPES

_TYPES = {code: name for name, code in VALUE_TYPES.items() if name != "ref"}
_PLAIN = {code: name for name, code in OPCODES.items()}
_MEMORY = {code: (name, alignment) for name, (code, alignment) in LOADS.items()}
_INDEXED = {
    0x0C: "br", 0x0D: "br_if", 0x10: "call", 0x20: "local.get", 0x21: "local.set", 0x22: "local.tee",
    0x23: "global.get", 0x24: "global.set",
}  # fmt: skip
_BLOCKS = {0x02: "block", 0x03: "loop", 0x04: "if"}
_KINDS = {0: "func", 1: "table", 2: "memory", 3: "global"}


class _Reader:
    """Reads the parts of the binary format. Raises ValueError where they are cut off."""

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def byte(self) -> int:
        if self.at >= self.end:
            raise ValueError("the module is cut off")
        self.at += 1
        return self.data[self.at - 1]

    def take(self, size: int) -> bytes:
        if self.at + size > self.end:
            raise ValueError("the module is cut off")
        self.at += size
        return self.data[self.at - size : self.at]

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def signed(self, bits: int) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        if byte & 0x40:
            value -= 1 << shift
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value

    def name(self) -> str:
        return self.take(self.unsigned()).decode("utf-8")

    def value_type(self) -> str:
        code = self.byte()
        if code not in _TYPES:
            raise ValueError(f"unknown value type 0x{code:02x}")
        return _TYPES[code]

    def types(self) -> list[str]:
        return [self.value_type() for _ in range(self.unsigned())]


class _Printer:
    def __init__(self, wasm: bytes) -> None:
        self.wasm = wasm
        self.out: list[str] = ["(module"]
        self.types: list[tuple[list[str], list[str]]] = []
        self.functions: list[int] = []
        self.imported = 0
        self.names: dict[int, str] = {}

    def sections(self) -> Iterator[tuple[int, _Reader]]:
        reader = _Reader(self.wasm)
        if reader.take(8) != b"\0asm\x01\0\0\0":
            raise ValueError("this is no WebAssembly module")
        while reader.at < reader.end:
            number = reader.byte()
            size = reader.unsigned()
            start = reader.at
            reader.take(size)
            yield number, _Reader(self.wasm, start, start + size)

    def run(self) -> str:
        for number, reader in self.sections():
            if number == 0 and reader.name() == "name" and reader.at < reader.end and reader.byte() == 1:
                reader.unsigned()
                for _ in range(reader.unsigned()):
                    index = reader.unsigned()
                    self.names[index] = reader.name()
        for number, reader in self.sections():
            method = _SECTIONS.get(number)
            if method is not None:
                method(self, reader)
        self.out.append(")")
        return "\n".join(self.out) + "\n"

    def signature(self, index: int) -> str:
        parameters, results = self.types[index]
        text = f"(type {index})"
        if parameters:
            text += f" (param {' '.join(parameters)})"
        if results:
            text += f" (result {' '.join(results)})"
        return text

    def type_section(self, reader: _Reader) -> None:
        for _ in range(reader.unsigned()):
            if reader.byte() != 0x60:
                raise ValueError("only function types are known")
            self.types.append((reader.types(), reader.types()))
            text = self.signature(len(self.types) - 1).split(")", 1)[1].strip()
            self.out.append(f"  (type (func{' ' + text if text else ''}))")

    def import_section(self, reader: _Reader) -> None:
        for _ in range(reader.unsigned()):
            module, name = reader.name(), reader.name()
            if reader.byte() != 0:
                raise ValueError("only functions are imported")
            index = reader.unsigned()
            self.out.append(f"  (import {_string(module)} {_string(name)} (func {self.signature(index)}))")
            self.imported += 1

    def function_section(self, reader: _Reader) -> None:
        self.functions = [reader.unsigned() for _ in range(reader.unsigned())]

    def table_section(self, reader: _Reader) -> None:
        for _ in range(reader.unsigned()):
            if reader.byte() != 0x70:
                raise ValueError("only tables of functions are known")
            flags, low = reader.byte(), reader.unsigned()
            high = f" {reader.unsigned()}" if flags & 1 else ""
            self.out.append(f"  (table {low}{high} funcref)")

    def element_section(self, reader: _Reader) -> None:
        for _ in range(reader.unsigned()):
            if reader.unsigned() != 0:
                raise ValueError("only active elements are known")
            place = self.instruction(reader, reader.byte())
            reader.byte()
            functions = " ".join(str(reader.unsigned()) for _ in range(reader.unsigned()))
            self.out.append(f"  (elem ({place}) func {functions})")

    def memory_section(self, reader: _Reader) -> None:
        for _ in range(reader.unsigned()):
            flags, low = reader.byte(), reader.unsigned()
            high = f" {reader.unsigned()}" if flags & 1 else ""
            self.out.append(f"  (memory {low}{high})")

    def global_section(self, reader: _Reader) -> None:
        for _ in range(reader.unsigned()):
            type_ = reader.value_type()
            shown = f"(mut {type_})" if reader.byte() else type_
            self.out.append(f"  (global {shown} ({self.instruction(reader, reader.byte())}))")
            if reader.byte() != 0x0B:
                raise ValueError("a global has one instruction")

    def export_section(self, reader: _Reader) -> None:
        for _ in range(reader.unsigned()):
            name, kind, index = reader.name(), reader.byte(), reader.unsigned()
            self.out.append(f"  (export {_string(name)} ({_KINDS[kind]} {index}))")

    def code_section(self, reader: _Reader) -> None:
        for number in range(reader.unsigned()):
            size = reader.unsigned()
            body = _Reader(self.wasm, reader.at, reader.at + size)
            reader.take(size)
            self.function(number, body)

    def function(self, number: int, body: _Reader) -> None:
        index = self.imported + number
        name = f"  ;; {self.names[index]}" if index in self.names else ""
        self.out.append(f"  (func {self.signature(self.functions[number])}{name}")
        locals_: list[str] = []
        for _ in range(body.unsigned()):
            count = body.unsigned()
            locals_ += [body.value_type()] * count
        if locals_:
            self.out.append(f"    (local {' '.join(locals_)})")
        depth = 2
        while body.at < body.end:
            opcode = body.byte()
            if opcode == 0x0B and body.at == body.end:
                break
            if opcode in (0x05, 0x0B):
                depth -= 1
            text = {0x05: "else", 0x0B: "end"}.get(opcode) or self.instruction(body, opcode)
            self.out.append("  " * depth + text)
            if opcode in _BLOCKS or opcode == 0x05:
                depth += 1
        self.out.append("  )")

    def instruction(self, reader: _Reader, opcode: int) -> str:
        if opcode in _INDEXED:
            return f"{_INDEXED[opcode]} {reader.unsigned()}"
        if opcode == 0x11:
            type_, table = reader.unsigned(), reader.unsigned()
            return f"call_indirect {table} {self.signature(type_)}"
        if opcode in _BLOCKS:
            return _BLOCKS[opcode] + self.block_type(reader)
        if opcode in _MEMORY:
            name, _ = _MEMORY[opcode]
            alignment, offset = reader.unsigned(), reader.unsigned()
            return f"{name} offset={offset} align={1 << alignment}"
        if opcode == 0x41:
            return f"i32.const {reader.signed(32)}"
        if opcode == 0x42:
            return f"i64.const {reader.signed(64)}"
        if opcode == 0x43:
            return f"f32.const {_float(reader.take(4))}"
        if opcode == 0x44:
            return f"f64.const {_float(reader.take(8))}"
        code = bytes([opcode])
        if opcode == 0xFC:
            number = reader.unsigned()
            code = bytes([opcode, number]) + reader.take({10: 2, 11: 1}.get(number, 0))
        elif opcode in (0x3F, 0x40):
            code += reader.take(1)
        if code not in _PLAIN:
            raise ValueError(f"unknown instruction 0x{code.hex()}")
        return _PLAIN[code]

    def block_type(self, reader: _Reader) -> str:
        code = reader.signed(33)
        if code == -64:
            return ""
        if code < 0:
            return f" (result {_TYPES[code & 0x7F]})"
        return f" {self.signature(code)}"

    def data_section(self, reader: _Reader) -> None:
        for _ in range(reader.unsigned()):
            if reader.unsigned() != 0:
                raise ValueError("only active data is known")
            place = self.instruction(reader, reader.byte())
            reader.byte()
            data = reader.take(reader.unsigned())
            self.out.append(f"  (data ({place}) {_bytes(data)})")


_SECTIONS = {
    1: _Printer.type_section,
    2: _Printer.import_section,
    3: _Printer.function_section,
    4: _Printer.table_section,
    5: _Printer.memory_section,
    6: _Printer.global_section,
    7: _Printer.export_section,
    9: _Printer.element_section,
    10: _Printer.code_section,
    11: _Printer.data_section,
}


def print_module(wasm: bytes) -> str:
    """The module as text, with its functions' names as comments. Raises ValueError for what is no module,
    or holds what this compiler never writes."""
    return _Printer(wasm).run()


def _float(data: bytes) -> str:
    """A float without loss: hexadecimal, NaNs with their payload."""
    wide = len(data) == 8
    (value,) = struct.unpack("<d" if wide else "<f", data)
    if math.isnan(value):
        bits = int.from_bytes(data, "little")
        payload = bits & ((1 << (52 if wide else 23)) - 1)
        return f"{'-' if bits >> (63 if wide else 31) else ''}nan:0x{payload:x}"
    return str(float(value).hex())


def _string(text: str) -> str:
    return _bytes(text.encode())


def _bytes(data: bytes) -> str:
    shown = "".join(chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:02x}" for b in data)
    return f'"{shown}"'
