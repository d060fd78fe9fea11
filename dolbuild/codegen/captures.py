"""Which variables a function's closures capture, and which of those need a cell of their own in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dolbuild.analysis import typed as v
from dolbuild.codegen.template import FIELDS, NUMBERS


def children(node: Any) -> Iterator[Any]:
    """The nodes right below one, in the order in which they are evaluated."""
    for name, kind in FIELDS[NUMBERS[type(node)]]:
        value = getattr(node, name)
        if value is None:
            continue
        match kind:
            case "node":
                yield value
            case "nodes":
                yield from (part for part in value if part is not None)
            case "named":
                yield from (part for part in value.values() if part is not None)


def bound_by(node: Any) -> list[v.Local]:
    """The variables that a node sets."""
    match node:
        case v.SetLocal(local=local) | v.BindPattern(local=local):
            return [local]
        case v.ListPattern(rest_local=local) if local is not None:
            return [local]
        case v.Closure(parameters=parameters):
            return parameters
        case _:
            return []


@dataclass(slots=True)
class Captures:
    """What a function's closures capture, by the identity of closures and variables. *boxed*: captured variables that
    are set more than once, so that all who hold them must see it."""

    of: dict[int, list[v.Local]] = field(default_factory=dict)
    boxed: set[int] = field(default_factory=set)


def captures(parameters: list[v.Local], body: v.Value) -> Captures:
    """The captures of a function."""
    return _Walk(parameters, body).result


class _Walk:
    def __init__(self, parameters: list[v.Local], body: v.Value) -> None:
        self.result = Captures()
        self.homes: dict[int, int] = {id(parameter): 0 for parameter in parameters}
        self.sets: dict[int, int] = {id(parameter): 1 for parameter in parameters}
        self.captured: dict[int, v.Local] = {}
        self.closures: list[v.Closure] = []
        self.node(body)
        self.result.boxed = {number for number in self.captured if self.sets.get(number, 0) > 1}

    def use(self, local: v.Local) -> None:
        home = self.homes.setdefault(id(local), len(self.closures))
        for closure in self.closures[home:]:
            of = self.result.of[id(closure)]
            if all(local is not other for other in of):
                of.append(local)
            self.captured[id(local)] = local

    def node(self, node: Any) -> None:
        if isinstance(node, v.GetLocal):
            self.use(node.local)
            return
        if isinstance(node, v.Closure):
            self.closures.append(node)
            self.result.of[id(node)] = []
        for local in bound_by(node):
            self.sets[id(local)] = self.sets.get(id(local), 0) + 1
            self.use(local)
        for child in children(node):
            self.node(child)
        if isinstance(node, v.Closure):
            self.closures.pop()
