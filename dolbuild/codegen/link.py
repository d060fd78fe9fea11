"""Objects to one WebAssembly module.

The link walks the symbols that its exports reach, gives them indices and addresses, and copies their
encoded bodies with the relocations filled in. Nothing is compiled here.
"""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dolbuild.codegen import optimise, roots
from dolbuild.codegen.encode import VALUE_TYPES, encode_function, padded, signature_text, sleb, text, uleb, vector
from dolbuild.codegen.ir import Code, Function
from dolbuild.codegen.lower import set_slot
from dolbuild.codegen.object import Symbol, code_symbol, function_symbol, parse_signature
from dolbuild.codegen.roots import insert_roots
from dolbuild.codegen.storage import CLASSES

PAGE = 65536
STACK_TOP = 1 << 22
"""Where the shadow stack begins; it grows down to 0."""

DATA_START = 16
"""Addresses below are never used, so that 0 can stand for "nothing"."""

SymbolTable = Callable[[str], Symbol | None]
"""Finds a symbol by name in whatever objects there are."""


@dataclass(frozen=True, slots=True)
class Root:
    """A symbol that the module exports under *name*."""

    name: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be linked. *sections* are custom sections by name. *state*: the host keeps the whole state of the program, so
    all variables are exported, and a section says where the rest lies."""

    roots: tuple[Root, ...]
    sections: Mapping[str, bytes] = field(default_factory=dict)
    tool: str = ""
    state: bool = False


class MissingSymbol(Exception):
    """A symbol that no object has; carries its name and who refers to it."""

    def __init__(self, name: str, wanted_by: str) -> None:
        super().__init__(f"{name} (wanted by {wanted_by})")
        self.name = name
        self.wanted_by = wanted_by


class CannotLink(Exception):
    """A function that is reached and cannot be compiled yet; carries its symbol."""

    def __init__(self, symbol: Symbol) -> None:
        super().__init__(symbol.name)
        self.symbol = symbol


def reach(roots: tuple[Root, ...], find: SymbolTable) -> list[Symbol]:
    """All symbols that the roots reach, in the order of their names."""
    found: dict[str, Symbol] = {}
    waiting = [(root.symbol, "an export") for root in roots]
    while waiting:
        name, wanted_by = waiting.pop()
        if name in found:
            continue
        symbol = find(name)
        if symbol is None:
            raise MissingSymbol(name, wanted_by)
        if symbol.kind == "unsupported":
            raise CannotLink(symbol)
        found[name] = symbol
        waiting += [(reference, name) for reference in symbol.references if reference not in found]
    return [found[name] for name in sorted(found)]


def link(request: Request, symbols: list[Symbol]) -> bytes:
    """The binary of a module. *symbols* is what `reach` gave."""
    symbols = _with_start(symbols)
    if any(symbol.code is not None for symbol in symbols):
        roots = [root.symbol for root in request.roots]
        symbols = optimise.program(symbols, [*roots, *(s.name for s in symbols if s.name == START)])
    return _Linker(request, symbols).run()


START = "@dol/derived/start"
"""The function that gives variables their first values, where those are computed."""

INITIALISE = "_initialize"
"""The export under which a host finds that function, to call it before any other; WASI has the same name for it. It is no
start section, since then the host could neither serve what it calls nor read why it trapped."""


def _with_start(symbols: list[Symbol]) -> list[Symbol]:
    """The symbols, and a function that runs the initialisers of the variables among them: each behind those whose
    variables it reads."""
    by_name = {symbol.name: symbol for symbol in symbols}
    slots: dict[str, list[Symbol]] = {}
    for symbol in symbols:
        for reference in symbol.references if symbol.kind in ("global", "root") else ():
            if by_name[reference].kind == "function":
                slots.setdefault(reference, []).append(symbol)
    if not slots:
        return symbols
    order: list[str] = []

    def visit(name: str, seen: set[str]) -> None:
        waiting = [name]
        reached: set[str] = set()
        while waiting:
            reference = waiting.pop()
            if reference not in reached:
                reached.add(reference)
                waiting += by_name[reference].references
        for other in sorted(slots):
            if other in reached and other != name and other not in seen:
                seen.add(other)
                visit(other, seen)
        if name not in order:
            order.append(name)

    for name in sorted(slots):
        visit(name, {name})
    parts: list[Code] = []
    locals_: list[str] = []
    for name in order:
        results = by_name[name].signature[1]
        at = tuple(range(len(locals_), len(locals_) + len(results)))
        locals_ += results
        parts.append(Code("local.set", (Code("call", (), name, results),), at))
        variables = sorted(slots[name], key=lambda s: (len(s.name), s.name))
        for variable, index in zip(variables, at, strict=True):
            value = Code("local.get", imm=index, results=(locals_[index],))
            parts.append(set_slot(variable.name, value))
    function = Function(START, (), (), locals_, Code("seq", tuple(parts)), -1)
    whole = any(symbol.code is not None for symbol in symbols)
    if whole:
        return [*symbols, code_symbol(function, "start", "")]
    encoded = encode_function(insert_roots(function, lambda name: True), lambda line: line)
    return [*symbols, function_symbol(encoded, "start")]


class _Linker:
    def __init__(self, request: Request, symbols: list[Symbol]) -> None:
        self.request = request
        self.imports = [s for s in symbols if s.kind == "import"]
        self.functions = [s for s in symbols if s.kind == "function"]
        self.globals = [s for s in symbols if s.kind == "global"]
        self.roots = [s for s in symbols if s.kind == "root"]
        self.data = sorted((s for s in symbols if s.kind == "data"), key=lambda s: (_is_zero(s), s.name))
        self.types: dict[str, int] = {}
        self.addresses: dict[str, int] = {}
        self.indices: dict[str, dict[str, int]] = {
            "f": {s.name: index for index, s in enumerate((*self.imports, *self.functions))},
            "g": {s.name: index for index, s in enumerate(self.globals)},
        }
        placed = {r.symbol for s in (*self.functions, *self.data) for r in s.relocations if r.kind == "e"}
        self.table = {name: index for index, name in enumerate(sorted(placed), 1)}
        self.places: dict[str, int] = {}

    def run(self) -> bytes:
        data, heap_base = self._place_data()
        for symbol in (*self.imports, *self.functions):
            self._type(signature_text(symbol.signature))
        bodies = [self._body(symbol) for symbol in self.functions]
        head = bytearray(b"\0asm\x01\0\0\0")
        head += _section(1, vector([_type_bytes(signature) for signature in self.types]))
        if self.imports:
            head += _section(2, vector([self._import(symbol) for symbol in self.imports]))
        declared = [uleb(self._type(signature_text(s.signature))) for s in self.functions]
        head += _section(3, vector(declared))
        if self.table:
            head += _section(4, vector([b"\x70\x01" + uleb(len(self.table) + 1) + uleb(len(self.table) + 1)]))
        pages = max(1, -(-heap_base // PAGE))
        head += _section(5, vector([b"\x00" + uleb(pages)]))
        if self.globals:
            head += _section(6, vector([self._global(symbol) for symbol in self.globals]))
        exports = [text(root.name) + b"\x00" + uleb(self._function(root.symbol)) for root in self.request.roots]
        if START in self.indices["f"]:
            exports.append(text(INITIALISE) + b"\x00" + uleb(self._function(START)))
        exports.append(text("memory") + b"\x02\x00")
        exports += [
            text("dol." + symbol.name.rpartition("/")[2]) + b"\x03" + uleb(index)
            for index, symbol in enumerate(self.globals)
            if symbol.name in SHOWN_GLOBALS
        ]
        if self.request.state:
            exports += [
                text(VARIABLE_EXPORT + symbol.name) + b"\x03" + uleb(index)
                for index, symbol in enumerate(self.globals)
                if symbol.mutable
            ]
        head += _section(7, vector(exports))
        if self.table:
            functions = vector([uleb(self._function(name)) for name in self.table])
            head += _section(9, vector([b"\x00\x41\x01\x0b" + functions]))
        code = vector(bodies)
        prefix = uleb(len(code))
        code_start = len(head) + 1 + len(prefix)
        tail = bytearray()
        if data:
            tail += _section(
                11, vector([b"\x00\x41" + sleb(self.places["data_start"]) + b"\x0b" + uleb(len(data)) + data])
            )
        tail += _custom("name", self._names())
        tail += _custom("dol.lines", self._lines(code_start, bodies))
        sections = dict(self.request.sections)
        if self.request.state:
            sections["dol.layout"] = json_section(self._layout())
        for name in sorted(sections):
            tail += _custom(name, sections[name])
        if self.request.tool:
            producers = vector([text("processed-by") + vector([text("dolbuild") + text(self.request.tool)])])
            tail += _custom("producers", producers)
        return bytes(head) + b"\x0a" + prefix + code + bytes(tail)

    # -- indices and addresses --------------------------------------------------------------------

    def _type(self, signature: str) -> int:
        return self.types.setdefault(signature.replace("ref", "i32"), len(self.types))

    def _function(self, name: str) -> int:
        return self.indices["f"][name]

    def _place_data(self) -> tuple[bytes, int]:
        """The roots and all data one after the other, aligned to eight bytes, and the first address behind it. Data that
        is all zeros comes last and is not in the file."""
        start = STACK_TOP if roots.STACK in self.indices["g"] else DATA_START
        self.places["stack_top"] = self.places["data_start"] = self.places["roots_start"] = start
        out = bytearray()
        for symbol in self.roots:
            self.addresses[symbol.name] = start + len(out)
            out += bytes(4)
        self.places["roots_end"] = start + len(out)
        out += b"\0" * (-len(out) % 8)
        for symbol in self.data:
            self.addresses[symbol.name] = start + len(out)
            out += symbol.body
            out += b"\0" * (-len(out) % 8)
        for symbol in self.roots:
            value = next((self.addresses[name] for name in symbol.references if name in self.addresses), 0)
            at = self.addresses[symbol.name] - start
            out[at : at + 4] = value.to_bytes(4, "little")
        for symbol in self.data:
            for place in symbol.relocations:
                value = self.table[place.symbol] if place.kind == "e" else self.addresses[place.symbol]
                at = self.addresses[symbol.name] - start + place.offset
                out[at : at + 4] = value.to_bytes(4, "little")
        self.places["heap_base"] = start + len(out)
        return bytes(out).rstrip(b"\0"), start + len(out)

    def _layout(self) -> Any:
        """Where a host finds what belongs to the state, and what does not: below *start* is the shadow stack, *bookkeeping*
        belongs to the allocator."""
        classes = self.addresses.get(CLASSES)
        size = next((len(s.body) for s in self.data if s.name == CLASSES), 0)
        return {
            "start": self.places["data_start"],
            "bookkeeping": None if classes is None else [classes, classes + size],
            "roots": {symbol.name: self.addresses[symbol.name] for symbol in self.roots},
            "heap": self.places["heap_base"],
        }

    # -- parts ------------------------------------------------------------------------------------

    def _body(self, symbol: Symbol) -> bytes:
        body = bytearray(symbol.body)
        for relocation in symbol.relocations:
            if relocation.kind == "d":
                value = self.addresses[relocation.symbol]
            elif relocation.kind == "e":
                value = self.table[relocation.symbol]
            elif relocation.kind == "p":
                value = self.places[relocation.symbol]
            elif relocation.kind == "t":
                value = self._type(relocation.symbol)
            else:
                value = self.indices[relocation.kind][relocation.symbol]
            body[relocation.offset : relocation.offset + 5] = padded(value)
        return uleb(len(body)) + bytes(body)

    def _import(self, symbol: Symbol) -> bytes:
        module, _, name = symbol.name.rpartition("/")
        return text(module) + text(name) + b"\x00" + uleb(self._type(signature_text(symbol.signature)))

    def _global(self, symbol: Symbol) -> bytes:
        mutable = symbol.mutable or bool(symbol.references)
        return bytes((VALUE_TYPES[symbol.type], int(mutable))) + _constant(symbol.type, symbol.value) + b"\x0b"

    def _names(self) -> bytes:
        """The name section: functions only (specification 2.0, appendix "Custom Sections")."""
        names = [uleb(index) + text(symbol.name) for index, symbol in enumerate((*self.imports, *self.functions))]
        functions = vector(names)
        return b"\x01" + uleb(len(functions)) + functions

    def _lines(self, code_start: int, bodies: list[bytes]) -> bytes:
        """The line table (``docs/wasm.md``): files, then for each function its marks, offsets from the
        start of the module."""
        files = sorted({symbol.file for symbol in self.functions})
        numbers = {file: index for index, file in enumerate(files)}
        out = bytearray(vector([text(file) for file in files]))
        out += uleb(len(bodies))
        position = code_start + len(uleb(len(bodies)))
        before = 0
        for symbol, body in zip(self.functions, bodies, strict=True):
            start = position + len(body) - len(symbol.body)
            out += uleb(start - before) + uleb(numbers[symbol.file]) + uleb(len(symbol.lines))
            offset, line = 0, 0
            for mark, number in symbol.lines:
                out += uleb(mark - offset) + sleb(number - line)
                offset, line = mark, number
            before = start
            position += len(body)
        return bytes(out)


VARIABLE_EXPORT = "dol.variable "
"""Before the symbol of a variable that is exported as a part of the state."""

SHOWN_GLOBALS = frozenset((
    "@dol/runtime/traps.MESSAGE", "@dol/runtime/memory.STACK", "@dol/runtime/memory.STRESS",
    "@dol/runtime/memory.COLLECTIONS", "@dol/runtime/memory.BLOCKS",
))  # fmt: skip
"""Variables of the runtime that the host may see, exported where they are there: the address of a trap's message; the
shadow stack, on which the host holds what it makes; whether to collect at every allocation; how often it collected, and
the blocks of memory that it manages."""


def _is_zero(symbol: Symbol) -> bool:
    return not any(symbol.body) and not symbol.relocations


def _section(number: int, content: bytes) -> bytes:
    return bytes((number,)) + uleb(len(content)) + content


def _custom(name: str, content: bytes) -> bytes:
    return _section(0, text(name) + content)


def _type_bytes(signature: str) -> bytes:
    parameters, results = parse_signature(signature)
    return (
        b"\x60"
        + vector([bytes((VALUE_TYPES[type_],)) for type_ in parameters])
        + vector([bytes((VALUE_TYPES[type_],)) for type_ in results])
    )


def _constant(type_: str, value: Any) -> bytes:
    if type_ == "f32":
        return b"\x43" + struct.pack("<f", value)
    if type_ == "f64":
        return b"\x44" + struct.pack("<d", value)
    bits = 64 if type_ == "i64" else 32
    number = int(value or 0) & ((1 << bits) - 1)
    signed = number - (1 << bits) if number >= 1 << (bits - 1) else number
    return (b"\x42" if type_ == "i64" else b"\x41") + sleb(signed)


def json_section(value: Any) -> bytes:
    """JSON as the content of a custom section."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
