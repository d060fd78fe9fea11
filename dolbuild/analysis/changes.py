"""What changed between two versions of a Spirit, for those who use it.

Compares interfaces (``docs/interface.md``) as data. A change is breaking when code that was compiled against the old
version may not compile against the new one, or may mean something else: an added variant is (a ``match`` is no longer
exhaustive), an added field with a default is not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

PUBLIC = "pub"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. *item* is the path of what changed, as a user of the Spirit writes it."""

    item: str
    text: str
    breaking: bool

    def __str__(self) -> str:
        return f"`{self.item}` {self.text}"


def compare(old: Mapping[str, Json], new: Mapping[str, Json]) -> list[Change]:
    """The changes from the modules of one version to those of another, sorted by what changed."""
    before, after = dict(_scopes(old)), dict(_scopes(new))
    found: list[Change] = []
    for path in sorted({*before, *after}):
        found += _scope(path, before, after)
    return sorted(found, key=lambda change: (change.item, change.text))


def _scopes(modules: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """Every module that others can name, inline ones too, by path."""
    waiting = list(modules.items())
    while waiting:
        path, module = waiting.pop()
        yield path, module
        for name, inner in module["modules"].items():
            if inner["vis"] == PUBLIC:
                waiting.append((f"{path}.{name}", inner))


def _scope(path: str, all_old: Mapping[str, Json], all_new: Mapping[str, Json]) -> Iterator[Change]:
    old, new = all_old.get(path), all_new.get(path)
    before, after = _names(old, all_old), _names(new, all_new)
    for name in sorted({*before, *after}):
        item = name if path == "lib" else f"{path}.{name}"
        if name not in after:
            yield Change(item, "is gone", True)
        elif name not in before:
            yield Change(item, "is new", False)
        elif before[name] is not None and after[name] is not None:
            yield from _item(item, before[name], after[name])
    if old is not None and new is not None:
        yield from _implementations(path, old["impls"], new["impls"])


def _names(module: Json | None, modules: Mapping[str, Json]) -> dict[str, Any]:
    """What a module offers, by name: items, and None for what it only passes on."""
    if module is None:
        return {}
    found: dict[str, Any] = {name: item for name, item in module["items"].items() if item["vis"] == PUBLIC}
    for use in module["uses"]:
        if use.get("vis") != PUBLIC:
            continue
        names = use["names"]
        if names:
            found.update({(alias or name): None for name, alias in names})
        elif use["all"]:
            passed = modules.get(use["path"], {"items": {}})["items"]
            found.update({name: None for name, item in passed.items() if item["vis"] == PUBLIC and name not in found})
        else:
            found.setdefault(use["alias"] or use["path"].rpartition(".")[2], None)
    return found


def _item(item: str, old: Json, new: Json) -> Iterator[Change]:
    if old["kind"] != new["kind"]:
        yield Change(item, f"was a {old['kind']} and is a {new['kind']}", True)
        return
    match old["kind"]:
        case "function":
            yield from _function(item, old, new)
        case "const" | "variable" | "alias":
            if show(old["type"]) != show(new["type"]) or old.get("generics") != new.get("generics"):
                yield Change(item, f"was of type {show(old['type'])} and is of type {show(new['type'])}", True)
            elif old.get("value") != new.get("value"):
                yield Change(item, "has another value", False)
        case _:
            yield from _gene(item, old, new)


def _function(item: str, old: Json, new: Json) -> Iterator[Change]:
    before, after = old["params"], new["params"]
    for (name, type_, default), (now, other, still) in zip(before, after, strict=False):
        if show(type_) != show(other):
            yield Change(item, f"takes `{name}` as {show(other)}, no longer as {show(type_)}", True)
        elif name != now:
            yield Change(item, f"calls its parameter `{name}` `{now}`", True)
        elif default and not still:
            yield Change(item, f"has no default for `{name}` any more", True)
    for name, _, _ in before[len(after) :]:
        yield Change(item, f"no longer takes `{name}`", True)
    for name, _, default in after[len(before) :]:
        yield Change(item, f"takes `{name}` too" + (", which has a default" if default else ""), not default)
    if show(old["result"]) != show(new["result"]):
        yield Change(item, f"gives {show(new['result'])}, no longer {show(old['result'])}", True)
    if old.get("generics") != new.get("generics"):
        yield Change(item, "has other type parameters", True)
    if bool(old.get("sex")) != bool(new.get("sex")):
        yield Change(item, "has effects now" if new.get("sex") else "has no effects any more", bool(new.get("sex")))
    if bool(old.get("self")) != bool(new.get("self")):
        yield Change(item, "belongs to an instance now" if new.get("self") else "belongs to no instance any more", True)


def _gene(item: str, old: Json, new: Json) -> Iterator[Change]:
    if old.get("generics") != new.get("generics"):
        yield Change(item, "has other type parameters", True)
    if old.get("supers") != new.get("supers"):
        yield Change(item, "has other supertraits", True)
    before = {name: (type_, default) for name, type_, default in old.get("fields", ())}
    after = {name: (type_, default) for name, type_, default in new.get("fields", ())}
    for name in sorted({*before, *after}):
        field = f"{item}.{name}"
        if name not in after:
            yield Change(field, "is gone", True)
        elif name not in before:
            yield Change(
                field,
                "is new" + (" and has a default" if after[name][1] else " and has no default"),
                not after[name][1],
            )
        elif show(before[name][0]) != show(after[name][0]):
            yield Change(field, f"was of type {show(before[name][0])} and is of type {show(after[name][0])}", True)
        elif before[name][1] and not after[name][1]:
            yield Change(field, "has no default any more", True)
    yield from _variants(item, old.get("variants"), new.get("variants"))
    yield from _functions(item, old, new)
    had, has = ({name for name, _ in one.get("constraints", ())} for one in (old, new))
    for name in sorted(has - had):
        yield Change(item, f"has the constraint `{name}` now", True)
    for name in sorted(had - has):
        yield Change(item, f"has no constraint `{name}` any more", False)


def _variants(item: str, old: Any, new: Any) -> Iterator[Change]:
    before, after = _by_name(old), _by_name(new)
    for name in sorted({*before, *after}):
        if name not in after:
            yield Change(f"{item}.{name}", "is gone", True)
        elif name not in before:
            yield Change(f"{item}.{name}", "is a new variant, which no `match` of others expects", True)
        elif before[name] != after[name]:
            yield Change(f"{item}.{name}", "holds something else", True)


def _by_name(variants: Any) -> dict[str, Any]:
    return {variant[0]: variant for variant in variants or ()}


def _functions(item: str, old: Json, new: Json) -> Iterator[Change]:
    before = {n: f for n, f in old.get("functions", {}).items() if _is_open(f, old)}
    after = {n: f for n, f in new.get("functions", {}).items() if _is_open(f, new)}
    for name in sorted({*before, *after}):
        path = f"{item}.{name}"
        if name not in after:
            yield Change(path, "is gone", True)
        elif name not in before:
            needed = new["kind"] == "trait" and not after[name].get("body")
            yield Change(path, "is new, and every implementation has to have it" if needed else "is new", needed)
        else:
            yield from _function(path, before[name], after[name])
            if new["kind"] == "trait" and before[name].get("body") and not after[name].get("body"):
                yield Change(path, "has no body any more, so every implementation has to have it", True)


def _is_open(function: Json, owner: Json) -> bool:
    return owner["kind"] == "trait" or function.get("vis") == PUBLIC


def _implementations(path: str, old: Sequence[Json], new: Sequence[Json]) -> Iterator[Change]:
    before = {_implementation(one) for one in old if one["trait"] is not None}
    after = {_implementation(one) for one in new if one["trait"] is not None}
    for trait, for_ in sorted(before - after):
        yield Change(path, f"has no implementation of {trait} for {for_} any more", True)
    for trait, for_ in sorted(after - before):
        yield Change(path, f"implements {trait} for {for_}", False)


def _implementation(one: Json) -> tuple[str, str]:
    return show(one["trait"]), show(one["for"])


def show(type_: Any) -> str:
    """A type of an interface as DOL writes it."""
    match type_:
        case ["name", path, arguments]:
            return f"{path}<{', '.join(map(show, arguments))}>" if arguments else str(path)
        case ["tuple", items]:
            return f"({', '.join(map(show, items))})"
        case ["function", parameters, result]:
            return f"({', '.join(map(show, parameters))}) => {show(result)}"
        case ["record", fields]:
            return "{ " + ", ".join(f"{name}: {show(field)}" for name, field in fields) + " }"
        case ["void"] | None:
            return "Void"
        case _:
            return str(type_)
