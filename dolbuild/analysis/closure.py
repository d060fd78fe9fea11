"""The interface closure of a module: the interfaces that can change what it compiles to.

Those are the interfaces of what it imports, of what re-exports lead to, and of the types that the imported
signatures name. Names are followed one by one, so that a face that re-exports a hundred modules does not
drag all of them in for the sake of one function.
"""

from collections.abc import Callable, Mapping
from typing import Any

from dolbuild.analysis.interface import mentioned
from dolbuild.analysis.resolution import Package, Target, Unresolved, resolve, split_id
from dolbuild.analysis.world import bound_name

Json = dict[str, Any]


class Closure:
    """Collects `modules` and, for each of them, where its paths lead (`resolutions`)."""

    def __init__(self, packages: Mapping[str, Package], interface: Callable[[str], Json | None]) -> None:
        self.packages = packages
        self.interface = interface
        self.modules: set[str] = set()
        self.resolutions: dict[str, dict[str, Target | Unresolved]] = {}
        self._seen: set[tuple[str, tuple[str, ...], str | None]] = set()
        self._waiting: list[tuple[str, tuple[str, ...], str | None]] = []
        """Names that have not been followed yet: re-exports may lead on as far as they like."""

    def of_module(self, module: str, uses: list[list[Any]]) -> None:
        """Start from a module's own imports."""
        for path, names in uses:
            target = self._resolve(module, path)
            if isinstance(target, Target):
                for name in names if names is not None else (None,):
                    rest = target.rest if name is None else (*target.rest, name)
                    self._visit(target.module, rest)
        while self._waiting:
            self._follow_name(*self._waiting.pop())

    def _resolve(self, module: str, path: str) -> Target | Unresolved:
        known = self.resolutions.setdefault(module, {})
        if path not in known:
            package = self.packages[split_id(module)[0]]
            known[path] = resolve(path, package, self.packages)
        return known[path]

    def _visit(self, module: str, path: tuple[str, ...]) -> None:
        """Take in a module for what *path* names in it; the empty path means everything."""
        self.modules.add(module)
        scope = self.interface(module)
        inner: list[str] = []
        while scope is not None and path and path[0] in scope["modules"]:
            inner.append(path[0])
            scope = scope["modules"][path[0]]
            path = path[1:]
        self._name(module, tuple(inner), path[0] if path else None)

    def _name(self, module: str, inner: tuple[str, ...], name: str | None) -> None:
        if (module, inner, name) not in self._seen:
            self._seen.add((module, inner, name))
            self._waiting.append((module, inner, name))

    def _follow_name(self, module: str, inner: tuple[str, ...], name: str | None) -> None:
        root = self.interface(module)
        scope = root
        for part in inner:
            scope = scope["modules"].get(part) if scope is not None else None
        if scope is None:
            return
        if name is None:
            for other in (*scope["items"], *_bound(scope)):
                self._name(module, inner, other)
            for use in scope["uses"]:
                if use["all"]:
                    self._follow(module, use, ())
            for other in scope["modules"]:
                self._name(module, (*inner, other), None)
            return
        if name in scope["items"]:
            for other in mentioned(scope["items"][name]):
                if other.startswith("@"):
                    target = self._resolve(module, other)
                    if isinstance(target, Target):
                        self._visit(target.module, target.rest)
                else:
                    self._name(module, inner, other)
            return
        for use in scope["uses"]:
            wanted = bound_name(use, name)
            if wanted is not None:
                self._follow(module, use, wanted)
        if inner:
            self._name(module, inner[:-1], name)

    def _follow(self, module: str, use: Json, wanted: tuple[str, ...]) -> None:
        target = self._resolve(module, use["path"])
        if isinstance(target, Target):
            self._visit(target.module, (*target.rest, *wanted))


def _bound(scope: Json) -> list[str]:
    names: list[str] = []
    for use in scope["uses"]:
        if use["names"] is not None:
            names += [alias or name for name, alias in use["names"]]
        elif not use["all"]:
            names.append(use["alias"] or use["path"].rsplit(".", 1)[-1])
    return names
