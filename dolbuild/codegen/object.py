"""The object of a module (``.dolo``): encoded functions, globals, data, and what each refers to.

Every symbol has a digest of its own, so that a link can be named by the symbols that it reaches
(``docs/architecture.md``, "The link"). The encoding is a line of JSON followed by all bodies and data.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dolbuild.codegen.encode import Encoded, Relocation, signature_text
from dolbuild.codegen.ir import Code, Data, Function

MAGIC = b"dolo2\n"
"""First line of an object; the number is the version of the encoding."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Symbol:
    """One thing that a link can reach.

    *kind*: ``function``, ``import`` (the host gives it), ``global``, ``root`` (a variable that holds a reference),
    ``data``, ``template`` (a typed function that is compiled when it is linked, as `dolbuild.codegen.template` writes
    it), ``shape`` (a gene or trait), ``implementations`` (of a gene or trait), ``variable`` (its type), or ``unsupported`` (an engine would
    refuse it; its value says why). *references* are the symbols that it needs. *digest* covers everything here but
    the name of its file's module. *code* is there for what is compiled, but not encoded yet.
    """

    name: str
    kind: str
    digest: str
    references: tuple[str, ...]
    signature: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    body: bytes = b""
    relocations: tuple[Relocation, ...] = ()
    lines: tuple[tuple[int, int], ...] = ()
    file: str = ""
    type: str = ""
    value: Any = None
    mutable: bool = False
    code: Function | None = None


@dataclass(slots=True)
class Object:
    """All symbols of one module, what it exports to the host, its tests, and its System, if it declares one."""

    symbols: dict[str, Symbol] = field(default_factory=dict)
    exports: list[Json] = field(default_factory=list)
    tests: list[Json] = field(default_factory=list)
    system: Json | None = None


def _digest(*parts: object) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def function_symbol(encoded: Encoded, file: str) -> Symbol:
    """The symbol of an encoded function; *file* is shown in traps."""
    references = {r.symbol for r in encoded.relocations if r.kind in "fgde"}
    relocations = [[r.offset, r.kind, r.symbol] for r in encoded.relocations]
    digest = _digest("function", encoded.signature, encoded.body, relocations, encoded.lines, file)
    return Symbol(
        encoded.symbol,
        "function",
        digest,
        tuple(sorted(references)),
        encoded.signature,
        encoded.body,
        encoded.relocations,
        encoded.lines,
        file,
    )


def import_symbol(name: str, signature: tuple[tuple[str, ...], tuple[str, ...]]) -> Symbol:
    """A function that the host gives."""
    return Symbol(name, "import", _digest("import", signature), (), signature)


def unsupported_symbol(name: str, file: str, line: int, what: str) -> Symbol:
    """A function that cannot be compiled yet; a link that reaches it says so."""
    return Symbol(
        name, "unsupported", _digest("unsupported", what, line), (), file=file, lines=((0, line),), value=what
    )


def data_symbol(name: str, data: Data) -> Symbol:
    relocations = tuple(Relocation(*place) for place in data.places)
    digest = _digest("data", data.body, [list(place) for place in data.places])
    references = tuple(sorted({place.symbol for place in relocations}))
    return Symbol(name, "data", digest, references, body=data.body, relocations=relocations)


def combined_digest(name: str, parts: Mapping[str, str | None]) -> str:
    """The digest of what was made from other symbols."""
    return _digest("made", name, sorted(parts.items()))


def value_symbol(name: str, kind: str, value: Any, file: str = "") -> Symbol:
    """A template, a shape or implementations: JSON."""
    return Symbol(name, kind, _digest(kind, value, file), (), file=file, value=value)


def code_symbol(function: Function, file: str, digest: str) -> Symbol:
    """A function that is compiled and not encoded; *digest* stands for what it was compiled from."""
    signature = (function.parameters, function.results)
    references = tuple(sorted(references_of(function.body)))
    return Symbol(function.symbol, "function", digest, references, signature, file=file, code=function)


def references_of(code: Code) -> set[str]:
    """The symbols that code refers to."""
    found: set[str] = set()
    waiting = [code]
    while waiting:
        part = waiting.pop()
        if part.op in _REFERRING:
            found.add(part.imm)
        waiting += part.args
    return found


_REFERRING = frozenset(("call", "global.get", "global.set", "data", "table"))


def global_symbol(name: str, type_: str, value: Any, mutable: bool, data: str = "", init: str = "") -> Symbol:
    """A constant or variable of one slot; *data* is the symbol whose address is its value, if it is a reference; *init*
    the function that gives its first value, if none is known."""
    shown = repr(value) if isinstance(value, float) else value
    digest = _digest("global", type_, shown, mutable, data, init)
    references = tuple(name for name in (data, init) if name)
    kind = "root" if type_ == "ref" else "global"
    return Symbol(name, kind, digest, references, type=type_, value=value, mutable=mutable)


def dump(object_: Object) -> bytes:
    """The object as bytes; the same object gives the same bytes."""
    blob = bytearray()
    symbols: list[Json] = []
    for name in sorted(object_.symbols):
        symbol = object_.symbols[name]
        entry: Json = {"name": name, "kind": symbol.kind, "digest": symbol.digest}
        if symbol.references:
            entry["refs"] = list(symbol.references)
        if symbol.body:
            entry["at"] = [len(blob), len(symbol.body)]
            blob += symbol.body
        if symbol.kind in ("function", "import"):
            entry["type"] = signature_text(symbol.signature)
        if symbol.kind == "function":
            entry["relocs"] = [[r.offset, r.kind, r.symbol] for r in symbol.relocations]
            entry["lines"] = [list(line) for line in symbol.lines]
            entry["file"] = symbol.file
        elif symbol.kind == "data" and symbol.relocations:
            entry["relocs"] = [[r.offset, r.kind, r.symbol] for r in symbol.relocations]
        elif symbol.kind in ("template", "shape", "implementations", "variable"):
            entry |= {"value": symbol.value, "file": symbol.file}
        elif symbol.kind == "unsupported":
            entry |= {"lines": [list(line) for line in symbol.lines], "file": symbol.file, "value": symbol.value}
        elif symbol.kind in ("global", "root"):
            value = repr(symbol.value) if isinstance(symbol.value, float) else symbol.value
            entry |= {"type": symbol.type, "value": value, "mutable": symbol.mutable}
        symbols.append(entry)
    header: Json = {"symbols": symbols, "exports": object_.exports, "tests": object_.tests}
    if object_.system is not None:
        header["system"] = object_.system
    line = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return MAGIC + line + b"\n" + bytes(blob)


def parse_signature(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The inverse of `signature_text`."""
    parameters, results = text.split(">")
    return (
        tuple(parameters.split(",")) if parameters else (),
        tuple(results.split(",")) if results else (),
    )


def load(data: bytes) -> Object:
    """The inverse of `dump`. Raises ValueError for what is no object of this version."""
    if not data.startswith(MAGIC):
        raise ValueError("no object of this version")
    end = data.index(b"\n", len(MAGIC))
    header: Mapping[str, Any] = json.loads(data[len(MAGIC) : end])
    blob = memoryview(data)[end + 1 :]
    object_ = Object(exports=header["exports"], tests=header["tests"], system=header.get("system"))
    for entry in header["symbols"]:
        start, length = entry.get("at", (0, 0))
        kind = entry["kind"]
        value = entry.get("value")
        if kind in ("global", "root") and entry["type"] in ("f32", "f64") and value is not None:
            value = float(value)
        object_.symbols[entry["name"]] = Symbol(
            entry["name"],
            kind,
            entry["digest"],
            tuple(entry.get("refs", ())),
            parse_signature(entry["type"]) if kind in ("function", "import") else ((), ()),
            bytes(blob[start : start + length]),
            tuple(Relocation(*relocation) for relocation in entry.get("relocs", ())),
            tuple((offset, line) for offset, line in entry.get("lines", ())),
            entry.get("file", ""),
            entry["type"] if kind in ("global", "root") else "",
            value,
            entry.get("mutable", False),
        )
    return object_
