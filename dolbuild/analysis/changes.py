"""What changed between two versions of a Spirit, for those who use it.

Compares interfaces (``docs/interface.md``) as data. A change is breaking when code that was compiled against the old
version may not compile against the new one: an added variant is (a ``match`` is no longer exhaustive), an added field with
a default is not. What an interface does not tell is not compared: bodies, values of defaults, what a constraint says.
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
    before, after = _Version(old), _Version(new)
    found: list[Change] = []
    for path in sorted({*before.scopes, *after.scopes}):
        found += _scope(path, before, after)
    return sorted(set(found), key=lambda change: (change.item, change.text))


class _Version:
    """The interfaces of one version, in which names are followed to what they mean."""

    def __init__(self, modules: Mapping[str, Json]) -> None:
        self.scopes: dict[str, Json] = {}
        waiting = list(modules.items())
        while waiting:
            path, module = waiting.pop()
            self.scopes[path] = module
            waiting += [
                (f"{path}.{name}", inner) for name, inner in module["modules"].items() if inner["vis"] == PUBLIC
            ]

    def offered(self, path: str) -> dict[str, tuple[str, Json] | None]:
        """What a module offers, by name: the place of an item and the item; None for what comes from another Spirit."""
        module = self.scopes.get(path)
        if module is None:
            return {}
        found: dict[str, tuple[str, Json] | None] = {
            name: (f"{path}.{name}", _qualified(item, self.names(path)))
            for name, item in module["items"].items()
            if item["vis"] == PUBLIC
        }
        for use in module["uses"]:
            if use["vis"] != PUBLIC:
                continue
            if use["all"]:
                found = {**{name: self.item(f"{use['path']}.{name}") for name in self.offered(use["path"])}, **found}
            elif use["names"] is None:
                found.setdefault(use["alias"] or use["path"].rpartition(".")[2], self.item(use["path"]))
            else:
                for name, alias in use["names"]:
                    found.setdefault(alias or name, self.item(f"{use['path']}.{name}"))
        return found

    def item(self, path: str, depth: int = 0) -> tuple[str, Json] | None:
        """The item that a path leads to, through what modules pass on."""
        module, _, name = path.rpartition(".")
        scope = self.scopes.get(module)
        if scope is None or depth > 20:
            return None
        if name in scope["items"]:
            return f"{module}.{name}", _qualified(scope["items"][name], self.names(module))
        for use in scope["uses"]:
            for original, alias in use["names"] or ():
                if (alias or original) == name:
                    return self.item(f"{use['path']}.{original}", depth + 1)
            if use["all"] and (found := self.item(f"{use['path']}.{name}", depth + 1)) is not None:
                return found
        return None

    def names(self, path: str) -> dict[str, str]:
        """What the names of types in a module mean: where they are declared."""
        scope = self.scopes[path]
        found = {name: f"{path}.{name}" for name in scope["items"]}
        for use in scope["uses"]:
            for original, alias in use["names"] or ():
                place = self.item(f"{use['path']}.{original}")
                found[alias or original] = place[0] if place is not None else f"{use['path']}.{original}"
        return found


def _qualified(value: Any, names: Mapping[str, str]) -> Any:
    """An item with the names of its types as places: ``["name", path, arguments]`` anywhere in it."""
    if isinstance(value, Mapping):
        return {key: _qualified(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        if len(value) == 3 and value[0] == "name" and isinstance(value[1], str) and isinstance(value[2], list):
            return ["name", names.get(value[1], value[1]), [_qualified(one, names) for one in value[2]]]
        return [_qualified(one, names) for one in value]
    return value


def _scope(path: str, old: _Version, new: _Version) -> Iterator[Change]:
    before, after = old.offered(path), new.offered(path)
    for name in sorted({*before, *after}):
        item = name if path == "lib" else f"{path}.{name}"
        was, now = before.get(name), after.get(name)
        if name not in after:
            yield Change(item, "is gone", True)
        elif name not in before:
            yield Change(item, "is new", False)
        elif was is not None and now is not None:
            yield from _item(item, was[1], now[1])
        elif was is not None or now is not None:
            yield Change(item, "comes from another Spirit now" if now is None else "comes from this Spirit now", True)
    if path in old.scopes and path in new.scopes:
        yield from _implementations(path, old.scopes[path]["impls"], new.scopes[path]["impls"])


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
            path = path.removeprefix("lib.")
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
