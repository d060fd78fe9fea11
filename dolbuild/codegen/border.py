"""The border between a System and its host: how the values of each type lie, and the exports through which the host makes them.

The host reads and writes objects itself, by the cells that stand here; what needs the program (a fresh object, a key's hash, a default,
a gene's constraints) is an export. An export's name is a number behind ``dol.``, since symbols can be long.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dolbuild.analysis import types as ty
from dolbuild.analysis.resolution import RUNTIME
from dolbuild.analysis.unify import known
from dolbuild.codegen.ir import REF, is_marked_by_error, is_nullable, slots
from dolbuild.codegen.link import Root
from dolbuild.codegen.names import derived, instance_name, type_text
from dolbuild.codegen.object import Symbol
from dolbuild.codegen.shapes import Shape, Shapes, fields_layout, variant_layout
from dolbuild.codegen.storage import Cell, item_layout, kinds

Json = Any


@dataclass(slots=True)
class Border:
    """Collects the types that cross it, and what has to be exported for them."""

    shapes: Shapes
    find: Callable[[str], Symbol | None]
    types: dict[str, Json] = field(default_factory=dict)
    roots: dict[str, Root] = field(default_factory=dict)

    def export(self, symbol: str) -> str:
        """The name under which a symbol is exported."""
        root = self.roots.get(symbol)
        if root is None:
            root = self.roots[symbol] = Root(f"dol.{len(self.roots)}", symbol)
        return root.name

    def add(self, types: Iterable[ty.Type]) -> None:
        """Types, and all types of their parts."""
        waiting = [known(type_) for type_ in types]
        while waiting:
            type_ = waiting.pop()
            text = type_text(type_)
            if text not in self.types:
                self.types[text] = None  # so that a type within itself ends
                described, parts = self.describe(type_)
                self.types[text] = {"shown": str(type_), "slots": list(slots(type_)), **described}
                waiting += parts

    def default(self, shape: Shape, owner: ty.Named, name: str, type_: ty.Type) -> str | None:
        """The export that gives the value of a field that is left out; None where there is none."""
        if name in shape.defaults:
            return self.export(instance_name(shape.default_symbol(name), owner.arguments))
        if isinstance(type_, ty.Named) and type_.symbol not in ("Option", "Result", "List", "Map", "Set"):
            symbol = instance_name(f"{type_.symbol}.default", type_.arguments)
            found = self.find(symbol)
            if found is not None and found.kind == "function" and not found.signature[0]:
                return self.export(symbol)
        return None

    def describe(self, type_: ty.Type) -> tuple[Json, list[ty.Type]]:
        """A type as JSON, and the types of its parts."""
        match type_:
            case ty.Primitive():
                return {"kind": str(type_)}, []
            case ty.TupleOf(items):
                return {"kind": "tuple", "items": [*map(type_text, items)]}, [*items]
            case ty.RecordOf(fields):
                return {"kind": "record", "fields": [[n, type_text(f)] for n, f in fields]}, [f for _, f in fields]
            case ty.Named("Option", (item,)):
                return {"kind": "option", "item": type_text(item), "nullable": is_nullable(type_)}, [item]
            case ty.Named("Result", (value, error)):
                marked = is_marked_by_error(type_)
                described = {"kind": "result", "ok": type_text(value), "error": type_text(error), "marked": marked}
                return described, [value, error]
            case ty.Named("List", (item,)):
                described = {"kind": "list", "item": type_text(item), **self.items(item)}
                return described | self.makers("lists", "push", type_), [item]
            case ty.Named("Set", (item,)):
                described = {"kind": "set", "item": type_text(item), **self.items(ty.TupleOf((ty.UINT32, item)))}
                return described | self.makers("sets", "insert", type_), [item]
            case ty.Named("Map", (key, value)):
                entry = self.items(ty.TupleOf((ty.UINT32, key, value)))
                described = {"kind": "map", "key": type_text(key), "value": type_text(value), **entry}
                return described | self.makers("maps", "insert", type_), [key, value]
            case ty.Named():
                shape = self.shapes(type_.symbol)
                if shape is not None and shape.functions is None:
                    return self.gene(shape, type_)
        return {"kind": "inside"}, []

    def items(self, item: ty.Type) -> dict[str, Json]:
        """How items lie in an array."""
        layout = item_layout(kinds(item))
        return {"stride": layout.size, "cells": _cells(layout.cells)}

    def makers(self, module: str, adding: str, type_: ty.Named) -> dict[str, Json]:
        names = [instance_name(f"{RUNTIME}/{module}.{name}", type_.arguments) for name in ("new", adding)]
        return {"new": self.export(names[0]), "add": self.export(names[1])}

    def gene(self, shape: Shape, type_: ty.Named) -> tuple[Json, list[ty.Type]]:
        described: dict[str, Json] = {}
        described["constraints"] = [
            [symbol.rpartition("#constraint.")[2].partition("<")[0], self.export(symbol)]
            for symbol in shape.constraint_symbols(type_)
        ]
        if shape.variants is not None:
            parts: list[ty.Type] = []
            variants: list[Json] = []
            for name, _ in shape.variants:
                payload = shape.payload_types(type_, name)
                _, cells = variant_layout(shape, type_, name)
                variants.append({
                    "name": name,
                    "blank": self.export(derived(f"blank:{name}", type_)),
                    "payload": [
                        {"name": part, "type": type_text(kind), "cells": _cells(own)}
                        for (part, kind), own in zip(payload, cells, strict=True)
                    ],
                })  # fmt: skip
                parts += [kind for _, kind in payload]
            return {**described, "kind": "enum", "variants": variants}, parts
        _, by_field = fields_layout(shape, type_)
        fields = shape.field_types(type_)
        described["blank"] = self.export(derived("blank", type_))
        described["fields"] = [
            {
                "name": name,
                "type": type_text(kind),
                "cells": _cells(by_field[name]),
                "default": self.default(shape, type_, name, kind),
            }
            for name, kind in fields
        ]
        return {**described, "kind": "gene"}, [kind for _, kind in fields]


def _cells(cells: Iterable[Cell]) -> list[list[Json]]:
    """Kind and offset of each cell; a reference is ``ref``."""
    return [[REF if cell.kind == REF else cell.kind, cell.offset] for cell in cells]
