"""What a name in an interface means, so that a page can lead there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dolbuild.analysis.interface import mentioned
from dolbuild.analysis.resolution import Package, Target, module_id, resolve, split_id

TYPES = ("gene", "trait", "alias", "system")
MAX_STEPS = 16
"""Re-exports that are followed; a longer chain is a circle."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item (``Gene``, ``inner.Gene``) in a module."""

    module: str
    name: str


class Names:
    """Interfaces by the id of their module, and the packages that they are in."""

    def __init__(self, interfaces: Mapping[str, Any], packages: Mapping[str, Package]) -> None:
        self.interfaces = interfaces
        self.packages = packages
        self._shown: dict[str, dict[str, Any]] = {}

    def find(self, module: str, path: str, steps: int = MAX_STEPS) -> Item | None:
        """The item that a path in a module means; None for what is built in, a generic parameter, or not known."""
        if steps == 0 or module not in self.interfaces:
            return None
        first, _, rest = path.partition(".")
        if not path.startswith("@"):
            here = self._within(self.interfaces[module], path)
            if here:
                return Item(module, path)
            for use in self.interfaces[module]["uses"]:
                found = self._imported(module, use, first, rest, steps)
                if found is not None:
                    return found
        return self._led_to(module, path, steps)

    def _imported(self, module: str, use: Mapping[str, Any], first: str, rest: str, steps: int) -> Item | None:
        """What an import makes of a name."""
        path, more = use["path"], f".{rest}" if rest else ""
        if use["all"]:
            target = self._led_to(module, f"{path}.{first}{more}", steps)
            return target if target is not None and target.module != module else None
        if use["names"] is not None:
            names = {alias or name: name for name, alias in use["names"]}
            return self._led_to(module, f"{path}.{names[first]}{more}", steps) if first in names else None
        bound = use["alias"] or path.rpartition(".")[2]
        return self._led_to(module, f"{path}{more}", steps) if bound == first else None

    def _led_to(self, module: str, path: str, steps: int) -> Item | None:
        package = self.packages.get(split_id(module)[0])
        target = None if package is None else resolve(path, package, self.packages)
        if not isinstance(target, Target) or not target.rest or target.module == module:
            return None
        return self.find(target.module, ".".join(target.rest), steps - 1)

    @staticmethod
    def _within(interface: Mapping[str, Any], path: str) -> bool:
        """Whether an interface has an item itself, perhaps in an inline module."""
        *modules, name = path.split(".")
        for inner in modules:
            interface = interface["modules"].get(inner)
            if interface is None:
                return False
        return name in interface["items"]

    def shown(self, module: str) -> dict[str, Any]:
        """The items of a module that a page describes: those that others may name, and the types that those mention."""
        found = self._shown.get(module)
        if found is None:
            items = dict(_flat(self.interfaces[module]))
            found = {}
            waiting = [name for name, item in items.items() if item["vis"] == "pub" or item["kind"] == "system"]
            while waiting:
                name = waiting.pop()
                if name not in found:
                    found[name] = items[name]
                    waiting += [n for n in mentioned(items[name]) if n in items and items[n]["kind"] in TYPES]
            found = self._shown[module] = dict(sorted(found.items()))
        return found

    def exported(self, package: str, face: str) -> dict[str, Item]:
        """What the face of a package re-exports, by the name that it has there."""
        module = module_id(package, face)
        found: dict[str, Item] = {}
        for use in self.interfaces.get(module, {"uses": ()})["uses"]:
            if use["vis"] != "pub":
                continue
            if use["all"]:
                for name in self._all_of(module, use["path"]):
                    self._add(found, module, name)
            elif use["names"] is not None:
                for name, alias in use["names"]:
                    self._add(found, module, alias or name)
            else:
                self._add(found, module, use["alias"] or use["path"].rpartition(".")[2])
        return dict(sorted(found.items()))

    def _add(self, found: dict[str, Item], module: str, name: str) -> None:
        item = self.find(module, name)
        if item is not None:
            found[name] = item

    def _all_of(self, module: str, path: str) -> list[str]:
        package = self.packages.get(split_id(module)[0])
        target = None if package is None else resolve(path, package, self.packages)
        if not isinstance(target, Target) or target.rest or target.module not in self.interfaces:
            return []
        items = self.interfaces[target.module]["items"]
        return [name for name, item in items.items() if item["vis"] == "pub"]


def _flat(interface: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The items of a module and of its public inline modules, by their paths in it."""
    for name, item in interface["items"].items():
        yield f"{prefix}{name}", item
    for name, inner in interface["modules"].items():
        if inner["vis"] == "pub":
            yield from _flat(inner, f"{prefix}{name}.")
