"""Loops that count through a list: ``for i in 0..xs.len``, in which ``xs[i]`` needs no look at the length.

It is so where nothing in the loop can change the length, the list's variable, or the counter: no call of any function,
and no assignment to the two. (Items may be assigned; that changes no length.)
"""

from typing import Any

from dolbuild.analysis import typed as v
from dolbuild.codegen.captures import children

_CALLS = (v.CallFunction, v.CallTrait, v.CallValue, v.Closure, v.ForEach, v.Quantify, v.Attempt)


def counts_through(value: v.Sequence) -> tuple[v.Local, v.Local] | None:
    """The list and the counter of such a loop (as the checker writes ``for`` over a range), or None."""
    match value.values:
        case [
            v.SetLocal(local=counter, value=v.Literal(value=int(low))),
            v.SetLocal(local=last, value=high),
            v.Loop(condition=v.Operation(name="lt", operands=[v.GetLocal(local=a), v.GetLocal(local=b)]), body=body),
        ] if low >= 0 and a is counter and b is last:
            items = _length_of(high)
            if items is not None and not _changes(body, items, counter):
                return items, counter
    return None


def _length_of(value: v.Value) -> v.Local | None:
    """The variable of a list whose length a value is."""
    match value:
        case v.Operation(name="List.len" | "List.length", operands=[v.GetLocal(local=local)]):
            return local
        case _:
            return None


def _changes(body: v.Value, items: v.Local, counter: v.Local) -> bool:
    waiting: list[Any] = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _CALLS):
            return True
        if isinstance(node, v.SetLocal) and (node.local is items or node.local is counter):
            return True
        waiting += children(node)
    return False


def is_counter(index: v.Value, counter: v.Local) -> bool:
    """Whether an index is the counter itself, perhaps as another integer type of 64 bits."""
    while isinstance(index, v.Convert):
        index = index.value
    return isinstance(index, v.GetLocal) and index.local is counter
