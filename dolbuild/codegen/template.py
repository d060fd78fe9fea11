"""Typed functions as JSON, so that an object can carry what is compiled when it is linked.

A function is ``[symbol, parameters, result, body, line, generics, owner]`` with tables of its types and variables. A node
is ``[class, fields...]``; which field is what comes from the annotations of `dolbuild.analysis.typed`. Offsets in
the source become lines.
"""

import re
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known
from dolbuild.codegen.names import parse_type, type_text

_NODES: list[type] = [
    v.Literal, v.GetLocal, v.SetLocal, v.GetGlobal, v.SetGlobal, v.CallFunction, v.CallTrait, v.CallValue,
    v.FunctionReference, v.Closure, v.MakeGene, v.MakeVariant, v.MakeTuple, v.MakeRecord, v.MakeList, v.MakeRange,
    v.MakeJson, v.MakeDynamic, v.GetField, v.SetField, v.GetIndex, v.SetIndex, v.Attempt, v.Match, v.ForEach,
    v.Quantify, v.Operation, v.Instruction, v.Convert, v.Conditional, v.Sequence, v.Loop, v.Break, v.Continue,
    v.Return, v.Trap, v.AnyPattern, v.BindPattern, v.LiteralPattern, v.RangePattern, v.VariantPattern,
    v.FieldsPattern, v.TuplePattern, v.ListPattern, v.AlternativePattern, v.Arm,
]  # fmt: skip
NUMBERS = {class_: number for number, class_ in enumerate(_NODES)}


def _kind(field: Field[Any]) -> str:
    """How a field is written: from its annotation."""
    if field.name == "start":
        return "line"
    text = field.type.__name__ if type(field.type) is type else str(field.type)
    if "Local" in text:
        return "locals" if text.startswith("list") else "local?" if "None" in text else "local"
    if re.search(r"\b(Value|Pattern|Arm)\b", text):
        return "named" if text.startswith("dict") else "nodes" if text.startswith("list") else "node"
    if re.search(r"\bType\b", text):
        return "types" if text.startswith("tuple") else "type"
    return "raw"


FIELDS: list[list[tuple[str, str]]] = [[(field.name, _kind(field)) for field in fields(class_)] for class_ in _NODES]


class _Writer:
    def __init__(self, line_of: Callable[[int], int]) -> None:
        self.line_of = line_of
        self.types: dict[str, int] = {}
        self.locals: dict[int, int] = {}
        self.described: list[Any] = []

    def type(self, type_: ty.Type) -> int:
        return self.types.setdefault(type_text(type_), len(self.types))

    def local(self, local: v.Local) -> int:
        number = self.locals.get(id(local))
        if number is None:
            number = self.locals[id(local)] = len(self.described)
            self.described.append([local.name, self.type(local.type), local.mutable])
        return number

    def node(self, node: Any) -> Any:
        if node is None:
            return None
        number = NUMBERS[type(node)]
        return [number, *(self.field(kind, getattr(node, name)) for name, kind in FIELDS[number])]

    def field(self, kind: str, value: Any) -> Any:
        match kind:
            case "raw":
                return value
            case "line":
                return self.line_of(value) if value >= 0 else -1
            case "type":
                return self.type(value)
            case "types":
                return [self.type(type_) for type_ in value]
            case "local":
                return self.local(value)
            case "local?":
                return None if value is None else self.local(value)
            case "locals":
                return [self.local(local) for local in value]
            case "node":
                return self.node(value)
            case "nodes":
                return [self.node(part) for part in value]
            case _:
                return [[name, self.node(part)] for name, part in value.items()]


def dump(function: v.Function, line_of: Callable[[int], int]) -> Any:
    """A typed function as JSON. *line_of* gives the line of an offset."""
    writer = _Writer(line_of)
    parameters = [writer.local(local) for local in function.parameters]
    result = writer.type(function.result)
    owner = None if function.owner is None else writer.type(function.owner)
    body = writer.node(function.body)
    head = [function.symbol, parameters, result, line_of(function.start), list(function.generics), owner]
    return [head, list(writer.types), writer.described, body]


class _Reader:
    def __init__(self, types: list[str], described: list[Any], replace: Callable[[ty.Type], ty.Type]) -> None:
        self.types = [replace(parse_type(text)) for text in types]
        self.locals = [v.Local(name, self.types[type_], mutable) for name, type_, mutable in described]

    def node(self, data: Any) -> Any:
        if data is None:
            return None
        number = data[0]
        values = [self.field(kind, data[index]) for index, (_, kind) in enumerate(FIELDS[number], 1)]
        return _NODES[number](*values)

    def field(self, kind: str, data: Any) -> Any:
        match kind:
            case "raw" | "line":
                return data
            case "type":
                return self.types[data]
            case "types":
                return tuple(self.types[number] for number in data)
            case "local":
                return self.locals[data]
            case "local?":
                return None if data is None else self.locals[data]
            case "locals":
                return [self.locals[number] for number in data]
            case "node":
                return self.node(data)
            case "nodes":
                return [self.node(part) for part in data]
            case _:
                return {name: self.node(part) for name, part in data}


def load(
    data: Any, types: tuple[ty.Type, ...], substitute: Callable[[ty.Type, dict[str, ty.Type]], ty.Type]
) -> v.Function:
    """A function with *types* in the place of its type parameters; offsets are lines."""
    (symbol, parameters, result, line, generics, owner), texts, described, body = data
    by_name = dict(zip(generics, types, strict=True))
    reader = _Reader(texts, described, lambda type_: known(substitute(type_, by_name)) if by_name else type_)
    return v.Function(
        symbol,
        [reader.locals[number] for number in parameters],
        reader.types[result],
        reader.node(body),
        line,
        (),
        None if owner is None else reader.types[owner],
    )


def generics_of(data: Any) -> list[str]:
    """The type parameters of a function that `dump` wrote."""
    found: list[str] = data[0][4]
    return found
