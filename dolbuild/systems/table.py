"""What a linked System says of itself: its ``dol.system`` and ``dol.layout`` sections (`docs/systems.md`) as values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dolbuild.runtime.sections import custom_sections

Cells = tuple[tuple[str, int], ...]
"""Kind and offset of each cell of a value in memory."""


class NoSystem(Exception):
    """A module that is no System of this version of the tool."""


@dataclass(frozen=True, slots=True)
class Part:
    """A field, or a part of a variant's payload (whose name may be None). *default* is an export, or None."""

    name: str | None
    type: str
    cells: Cells
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    blank: str
    payload: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Type:
    """A type by its *kind*: the name of a primitive, ``option``, ``result``, ``list``, ``set``, ``map``, ``tuple``, ``record``, ``gene``,
    ``enum``, or ``inside`` for what cannot leave the program. *slots* are the WebAssembly types of a value; *arguments* the
    types of an option's, list's, map's ... parts."""

    text: str
    kind: str
    shown: str
    slots: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Names of a record's fields."""
    plain: bool = False
    """Of an option: ``None`` is the address 0. Of a result: ``Ok`` is where the address of the error is 0."""
    stride: int = 0
    cells: Cells = ()
    """How an item (with its hash, in sets and maps) lies in an array."""
    new: str = ""
    add: str = ""
    fields: tuple[Part, ...] = ()
    variants: tuple[Variant, ...] = ()
    constraints: tuple[tuple[str, str], ...] = ()
    """Names and exports of a gene's constraints."""


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Function:
    """A function that can be called from outside. *instance*: its first argument is the System."""

    name: str
    export: str
    instance: bool
    effectful: bool
    parameters: tuple[Parameter, ...]
    result: str
    doc: str


@dataclass(frozen=True, slots=True)
class Constraint:
    name: str
    text: str
    file: str
    line: int
    holds: str
    explain: str | None


@dataclass(frozen=True, slots=True)
class Variable:
    """A module's ``var`` that is a part of the state; *slots* are symbols of globals, or of roots in memory."""

    name: str
    type: str
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """*start*: the first byte of the state, below is the shadow stack. *bookkeeping* is the allocator's own."""

    start: int
    bookkeeping: tuple[int, int] | None
    roots: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Table:
    """A System's functions, constraints, types, variables and memory."""

    name: str
    symbol: str
    doc: str
    functions: Mapping[str, Function]
    constraints: tuple[Constraint, ...]
    types: Mapping[str, Type]
    variables: tuple[Variable, ...]
    layout: Layout
    uses: Mapping[str, Mapping[str, str]]

    @property
    def state(self) -> Type:
        """The System's own type: its fields are the state."""
        return self.types[self.symbol]


def read_table(wasm: bytes) -> Table:
    """Raises NoSystem."""
    try:
        sections = custom_sections(wasm)
        system, layout = json.loads(sections["dol.system"]), json.loads(sections["dol.layout"])
        return _table(system, layout)
    except (ValueError, KeyError, TypeError) as error:
        raise NoSystem(f"this is no System that this version of dolbuild has built: {error}") from None


def _table(system: Any, layout: Any) -> Table:
    return Table(
        system["name"],
        system["symbol"],
        system["doc"],
        {
            one["name"]: Function(
                one["name"],
                one["export"],
                one["instance"],
                one["effectful"],
                tuple(Parameter(p["name"], p["type"], p["default"]) for p in one["parameters"]),
                one["result"],
                one["doc"],
            )
            for one in system["functions"]
        },
        tuple(
            Constraint(one["name"], one["text"], system["file"], one["line"], one["holds"], one["explain"])
            for one in system["constraints"]
        ),
        {text: _type(text, described) for text, described in system["types"].items()},
        tuple(Variable(one["name"], one["type"], tuple(one["slots"])) for one in system["variables"]),
        Layout(
            layout["start"],
            None if layout["bookkeeping"] is None else (layout["bookkeeping"][0], layout["bookkeeping"][1]),
            layout["roots"],
        ),
        system["uses"],
    )


_ARGUMENTS = {
    "option": ("item",), "result": ("ok", "error"), "list": ("item",), "set": ("item",), "map": ("key", "value"),
}  # fmt: skip


def _type(text: str, one: Any) -> Type:
    kind = one["kind"]
    slots = tuple(one["slots"])
    shown = one["shown"]
    if kind in _ARGUMENTS:
        return Type(
            text,
            kind,
            shown,
            slots,
            tuple(one[name] for name in _ARGUMENTS[kind]),
            plain=one.get("nullable", one.get("marked", False)),
            stride=one.get("stride", 0),
            cells=_cells(one.get("cells", ())),
            new=one.get("new", ""),
            add=one.get("add", ""),
        )
    if kind == "tuple":
        return Type(text, kind, shown, slots, tuple(one["items"]))
    if kind == "record":
        fields = one["fields"]
        return Type(text, kind, shown, slots, tuple(t for _, t in fields), tuple(name for name, _ in fields))
    if kind not in ("gene", "enum"):
        return Type(text, kind, shown, slots)
    constraints = tuple((name, export) for name, export in one["constraints"])
    if kind == "gene":
        parts = tuple(Part(f["name"], f["type"], _cells(f["cells"]), f["default"]) for f in one["fields"])
        return Type(text, kind, shown, slots, new=one["blank"], fields=parts, constraints=constraints)
    variants = tuple(
        Variant(v["name"], v["blank"], tuple(Part(p["name"], p["type"], _cells(p["cells"])) for p in v["payload"]))
        for v in one["variants"]
    )
    return Type(text, kind, shown, slots, variants=variants, constraints=constraints)


def _cells(described: Any) -> Cells:
    return tuple((kind, offset) for kind, offset in described)
