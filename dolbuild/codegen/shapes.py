"""What code generation has to know of declared types: fields, variants, functions of traits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dolbuild.analysis import types as ty
from dolbuild.analysis.members import CONSTRAINT
from dolbuild.analysis.targets import DEFAULT
from dolbuild.analysis.unify import known
from dolbuild.analysis.world import substitute
from dolbuild.codegen.names import instance_name, parse_type, type_text
from dolbuild.codegen.storage import Cell, Layout, kinds, object_layout


@dataclass(frozen=True, slots=True)
class TraitFunction:
    """A function of a trait; *generics* are its own type parameters (then it cannot be called dynamically)."""

    name: str
    parameters: tuple[ty.Type, ...]
    result: ty.Type
    generics: int
    has_body: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A gene, a System or a trait. *variants* is None for what has fields; *text* is the symbol of a ``to_string`` of
    its own; *constraints* are names with the fields that they read (None: perhaps all); *functions* are a
    trait's; *supers* what it extends."""

    symbol: str
    generics: tuple[str, ...]
    fields: tuple[tuple[str, ty.Type], ...] = ()
    variants: tuple[tuple[str, tuple[tuple[str | None, ty.Type], ...]], ...] | None = None
    defaults: tuple[str, ...] = ()
    text: str = ""
    constraints: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    functions: tuple[TraitFunction, ...] | None = None
    supers: tuple[ty.Type, ...] = ()

    def by_name(self, type_: ty.Type) -> dict[str, ty.Type]:
        assert isinstance(type_, ty.Named)
        return dict(zip(self.generics, type_.arguments, strict=True))

    def field_types(self, type_: ty.Type) -> list[tuple[str, ty.Type]]:
        """The fields with the type's own arguments put in."""
        by_name = self.by_name(type_)
        return [(name, known(substitute(kind, by_name))) for name, kind in self.fields]

    def payload_types(self, type_: ty.Type, variant: str) -> list[tuple[str | None, ty.Type]]:
        by_name = self.by_name(type_)
        payload = dict(self.variants or ())[variant]
        return [(name, known(substitute(kind, by_name))) for name, kind in payload]

    def tag(self, variant: str) -> int:
        return [name for name, _ in self.variants or ()].index(variant)

    def constraint_symbols(self, type_: ty.Type, changed: str | None = None) -> list[str]:
        """The functions that look at the constraints; *changed*: only those that read this field."""
        assert isinstance(type_, ty.Named)
        return [
            instance_name(f"{self.symbol}{CONSTRAINT}{name}", type_.arguments)
            for name, reads in self.constraints
            if changed is None or reads is None or changed in reads
        ]

    def default_symbol(self, field: str) -> str:
        return f"{self.symbol}{DEFAULT}{field}"


Shapes = Callable[[str], Shape | None]
"""The shape behind a symbol, or None where it is a built-in type."""


def fields_layout(shape: Shape, type_: ty.Type) -> tuple[Layout, dict[str, tuple[Cell, ...]]]:
    """How a gene's object lies, and the cells of each field."""
    return _split([(name, kind) for name, kind in shape.field_types(type_)], ())


def variant_layout(shape: Shape, type_: ty.Type, variant: str) -> tuple[Layout, list[tuple[Cell, ...]]]:
    """How a variant's object lies: its tag comes first; and the cells of each part of the payload."""
    payload = shape.payload_types(type_, variant)
    layout, cells = _split([(str(index), kind) for index, (_, kind) in enumerate(payload)], ("i32",))
    return layout, [cells[str(index)] for index in range(len(payload))]


def _split(parts: list[tuple[str, ty.Type]], front: tuple[str, ...]) -> tuple[Layout, dict[str, tuple[Cell, ...]]]:
    all_kinds = list(front)
    ranges: list[tuple[str, int, int]] = []
    for name, type_ in parts:
        own = kinds(type_)
        ranges.append((name, len(all_kinds), len(all_kinds) + len(own)))
        all_kinds += own
    layout = object_layout(tuple(all_kinds))
    return layout, {name: layout.cells[start:end] for name, start, end in ranges}


def to_json(shape: Shape) -> Any:
    """A shape as an object carries it."""
    return {
        "symbol": shape.symbol,
        "generics": list(shape.generics),
        "fields": [[name, type_text(type_)] for name, type_ in shape.fields],
        "variants": None
        if shape.variants is None
        else [[name, [[part, type_text(type_)] for part, type_ in payload]] for name, payload in shape.variants],
        "defaults": list(shape.defaults),
        "text": shape.text,
        "constraints": [[name, None if reads is None else list(reads)] for name, reads in shape.constraints],
        "functions": None
        if shape.functions is None
        else [
            [f.name, [type_text(p) for p in f.parameters], type_text(f.result), f.generics, f.has_body]
            for f in shape.functions
        ],
        "supers": [type_text(above) for above in shape.supers],
    }


def from_json(data: Any) -> Shape:
    """The inverse of `to_json`."""
    functions = data["functions"]
    return Shape(
        data["symbol"],
        tuple(data["generics"]),
        tuple((name, parse_type(text)) for name, text in data["fields"]),
        None
        if data["variants"] is None
        else tuple(
            (name, tuple((part, parse_type(text)) for part, text in payload)) for name, payload in data["variants"]
        ),
        tuple(data["defaults"]),
        data["text"],
        tuple((name, None if reads is None else tuple(reads)) for name, reads in data["constraints"]),
        None
        if functions is None
        else tuple(
            TraitFunction(name, tuple(map(parse_type, parameters)), parse_type(result), generics, has_body)
            for name, parameters, result, generics, has_body in functions
        ),
        tuple(map(parse_type, data["supers"])),
    )


def vtable_functions(shape: Shape, shapes: Shapes, type_: ty.Type) -> list[tuple[ty.Named, TraitFunction]]:
    """The functions of a trait and of those that it extends, in the order of the table, each with its trait; the
    types of the functions have the trait's arguments put in."""
    found: list[tuple[ty.Named, TraitFunction]] = []
    seen: set[str] = set()
    waiting: list[ty.Type] = [type_]
    while waiting:
        trait = waiting.pop(0)
        assert isinstance(trait, ty.Named)
        own = shape if trait.symbol == shape.symbol else shapes(trait.symbol)
        if own is None or trait.symbol in seen:
            continue
        seen.add(trait.symbol)
        by_name = dict(zip(own.generics, trait.arguments, strict=True))
        for function in own.functions or ():
            found.append(
                (
                    trait,
                    TraitFunction(
                        function.name,
                        tuple(substitute(p, by_name) for p in function.parameters),
                        substitute(function.result, by_name),
                        function.generics,
                        function.has_body,
                    ),
                )
            )
        waiting += [substitute(above, by_name) for above in own.supers]
    return found
