"""Which module a path leads to (specification, "Module Resolution").

Pure: the packages with their modules are given. The longest prefix of a path that is a module wins; what
is left names an item in it. For another package the face (``src/lib.dol``) answers where no module does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

RUNTIME = "@dol/runtime"
"""The package whose functions generated code may call, and which may write instructions."""

FACE = "lib"
"""The module that other Spirits see: ``src/lib.dol``."""

TESTS = "tests:"
"""Prefix of the module names of test files."""


class Unresolved(StrEnum):
    NO_MODULE = "no-module"
    NOT_REQUIRED = "not-required"
    NO_FACE = "no-face"


@dataclass(frozen=True, slots=True)
class Package:
    """What resolution needs to know of a package. *requires* maps ``@org/name`` to a package id."""

    id: str
    modules: frozenset[str]
    requires: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """A module id with the parts of the path that are left."""

    module: str
    rest: tuple[str, ...]


def module_id(package: str, module: str) -> str:
    """The id of a module: ``@org/name/a.b``."""
    return f"{package}/{module}"


def split_id(id_: str) -> tuple[str, str]:
    """Package id and dotted module path of a module id."""
    package, _, module = id_.rpartition("/")
    return package, module


def package_of(path: str, requires: Mapping[str, str]) -> tuple[str, str] | None:
    """Split an ``@`` path into the requirement that it starts with and what follows its point."""
    for required in sorted(requires, key=len, reverse=True):
        if path == required:
            return required, ""
        if path.startswith(required + "."):
            return required, path[len(required) + 1 :]
    return None


def resolve(path: str, package: Package, packages: Mapping[str, Package]) -> Target | Unresolved:
    """Where *path*, written in a module of *package*, leads. A package may name itself, as an example in its documentation does."""
    if not path.startswith("@"):
        found = _longest(tuple(path.split(".")), package)
        return found or Unresolved.NO_MODULE
    requires = {package.id: package.id, **package.requires}
    split = package_of(path, requires)
    if split is None:
        return Unresolved.NOT_REQUIRED
    target = packages.get(requires[split[0]])
    if target is None:
        return Unresolved.NOT_REQUIRED
    parts = tuple(split[1].split(".")) if split[1] else ()
    found = _longest(parts, target)
    if found is not None:
        return found
    return Target(module_id(target.id, FACE), parts) if FACE in target.modules else Unresolved.NO_FACE


def _longest(parts: tuple[str, ...], package: Package) -> Target | None:
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in package.modules:
            return Target(module_id(package.id, name), parts[length:])
    return None
