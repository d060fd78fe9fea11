"""Types in the names of symbols: ``@org/pkg/mod.function<Int64,List<String>>``.

The text of a type is canonical, and can be read back: symbols in full, ``(A,B)`` a tuple, ``{name:A}`` a record,
``(A,B)=>R`` a function.
"""

import re
from functools import lru_cache

from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known

DERIVED = "@dol/derived"
"""The package of the functions that are made for each type: ``@dol/derived/same<T>``."""


def type_text(type_: ty.Type) -> str:
    """The canonical text of a type."""
    return _text(known(type_))


@lru_cache(maxsize=16384)
def _text(type_: ty.Type) -> str:
    match type_:
        case ty.Named(symbol, arguments):
            return f"{symbol}<{','.join(map(type_text, arguments))}>" if arguments else symbol
        case ty.TupleOf(items):
            return f"({','.join(map(type_text, items))})"
        case ty.RecordOf(fields):
            return "{" + ",".join(f"{name}:{type_text(field)}" for name, field in fields) + "}"
        case ty.FunctionOf(parameters, result):
            return f"({','.join(map(type_text, parameters))})=>{type_text(result)}"
        case ty.GenericOf(name):
            return f"'{name}"
        case ty.Variable():
            return str(ty.VOID)  # nothing depends on what it is
        case _:
            return str(type_)


_OPEN, _BRACE = "({"
_TOKEN = re.compile(r"=>|[<>(){},]|[^<>(){},=]+")
_BUILT_IN = {**ty.PRIMITIVES, str(ty.NEVER): ty.NEVER, str(ty.UNKNOWN): ty.UNKNOWN}


@lru_cache(maxsize=16384)
def parse_type(text: str) -> ty.Type:
    """The inverse of `type_text`. Raises ValueError for what is none."""
    type_, rest = _parse(_TOKEN.findall(text), 0)
    if rest != len(_TOKEN.findall(text)):
        raise ValueError(f"{text!r} is no type")
    return type_


def _parse(tokens: list[str], at: int) -> tuple[ty.Type, int]:
    token = tokens[at]
    if token == _OPEN:
        items, at = _parse_list(tokens, at + 1, ")")
        if at < len(tokens) and tokens[at] == "=>":
            result, at = _parse(tokens, at + 1)
            return ty.FunctionOf(items, result), at
        return ty.TupleOf(items), at
    if token == _BRACE:
        fields: list[tuple[str, ty.Type]] = []
        at += 1
        while tokens[at] != "}":
            if tokens[at] == ",":
                at += 1
            name, _, begun = tokens[at].partition(":")
            if begun:
                tokens[at] = begun
            else:
                at += 1
            type_, at = _parse(tokens, at)
            fields.append((name, type_))
        return ty.RecordOf(tuple(fields)), at + 1
    at += 1
    if token.startswith("'"):
        return ty.GenericOf(token[1:]), at
    if token in _BUILT_IN:
        return _BUILT_IN[token], at
    if at < len(tokens) and tokens[at] == "<":
        arguments, at = _parse_list(tokens, at + 1, ">")
        return ty.Named(token, arguments), at
    return ty.Named(token), at


def _parse_list(tokens: list[str], at: int, end: str) -> tuple[tuple[ty.Type, ...], int]:
    items: list[ty.Type] = []
    while tokens[at] != end:
        if tokens[at] == ",":
            at += 1
        item, at = _parse(tokens, at)
        items.append(item)
    return tuple(items), at + 1


def instance_name(symbol: str, types: tuple[ty.Type, ...]) -> str:
    """The symbol of a function for some type arguments."""
    return f"{symbol}<{','.join(map(type_text, types))}>" if types else symbol


def derived(kind: str, *types: ty.Type) -> str:
    """The symbol of what is derived for some types."""
    return instance_name(f"{DERIVED}/{kind}", types)


@lru_cache(maxsize=16384)
def split_instance(name: str) -> tuple[str, tuple[ty.Type, ...]]:
    """The inverse of `instance_name`."""
    if not name.endswith(">"):
        return name, ()
    start = name.index("<")
    tokens = _TOKEN.findall(name[start + 1 :])
    types, _ = _parse_list(tokens, 0, ">")
    return name[:start], types
