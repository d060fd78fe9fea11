"""Comparing syntax trees."""

from typing import Any

from dolbuild.syntax import tree as t

_PLACES = ("start", "end", "name_start", "operator_start")


def plain(node: Any) -> Any:
    """A tree as nested tuples, without places in the text."""
    if isinstance(node, t.Node):
        slots = [slot for cls in type(node).__mro__ for slot in getattr(cls, "__slots__", ())]
        return (type(node).__name__, *((slot, plain(getattr(node, slot))) for slot in slots if slot not in _PLACES))
    if isinstance(node, list):
        return [plain(part) for part in node]
    if isinstance(node, tuple):
        return tuple(plain(part) for part in node if not (isinstance(part, int) and not isinstance(part, bool)))
    return node


def same_tree(left: t.Node, right: t.Node) -> bool:
    return bool(plain(left) == plain(right))
