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

MAGIC = b"dolo1\n"
"""First line of an object; the number is the version of the encoding."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Symbol:
    """One thing that a link can reach.

    *kind*: ``function``, ``import`` (the host gives it), ``global``, ``data``, or ``unsupported`` (it cannot
    be compiled yet; its value says what in it). *references* are the
    symbols that it needs. *digest* covers everything here but the name of its file's module.
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


@dataclass(slots=True)
class Object:
    """All symbols of one module, what it exports to the host, and its tests."""

    symbols: dict[str, Symbol] = field(default_factory=dict)
    exports: list[Json] = field(default_factory=list)
    tests: list[Json] = field(default_factory=list)


def _digest(*parts: object) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def function_symbol(encoded: Encoded, file: str) -> Symbol:
    """The symbol of an encoded function; *file* is shown in traps."""
    references = {r.symbol for r in encoded.relocations if r.kind in "fgd"}
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


def data_symbol(name: str, data: bytes) -> Symbol:
    return Symbol(name, "data", _digest("data", data), (), body=data)


def global_symbol(name: str, type_: str, value: Any, mutable: bool, data: str = "") -> Symbol:
    """A constant or variable; *data* is the symbol whose address is its value, if it is a reference."""
    shown = repr(value) if isinstance(value, float) else value
    digest = _digest("global", type_, shown, mutable, data)
    references = (data,) if data else ()
    return Symbol(name, "global", digest, references, type=type_, value=value, mutable=mutable)


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
        elif symbol.kind == "unsupported":
            entry |= {"lines": [list(line) for line in symbol.lines], "file": symbol.file, "value": symbol.value}
        elif symbol.kind == "global":
            value = repr(symbol.value) if isinstance(symbol.value, float) else symbol.value
            entry |= {"type": symbol.type, "value": value, "mutable": symbol.mutable}
        symbols.append(entry)
    header = {"symbols": symbols, "exports": object_.exports, "tests": object_.tests}
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
    object_ = Object(exports=header["exports"], tests=header["tests"])
    for entry in header["symbols"]:
        start, length = entry.get("at", (0, 0))
        kind = entry["kind"]
        value = entry.get("value")
        if kind == "global" and entry["type"] in ("f32", "f64") and value is not None:
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
            entry["type"] if kind == "global" else "",
            value,
            entry.get("mutable", False),
        )
    return object_
