"""From what changed on the disk to the nodes that may be stale; all others are proven and never looked at.

A node may be stale if a file that it reads changed, or a node that it depends on may be stale. What a module depends on is known
from the last time that it was looked at: the interfaces of its closure. Links and tests depend on all modules of
the packages that take part. Where files came or went, or a manifest requires something else, every node of the package and of those that
require it is looked at.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dolbuild.analysis.check import SYSTEM
from dolbuild.packages.manifest import SPIRIT_FILE, SYSTEM_FILE, Manifest
from dolbuild.packages.package import Package
from dolbuild.rules.docs import INDEX
from dolbuild.rules.module import TESTS, all_modules, module_path
from dolbuild.rules.node import Plan
from dolbuild.rules.snapshot import Difference
from dolbuild.workspace import Member, join


class Cone:
    """Collects nodes that may be stale."""

    def __init__(self, plan: Plan, closures: Mapping[str, Iterable[str]]) -> None:
        self.plan = plan
        self.closures = closures
        self.nodes: set[str] = set()
        self.packages = {package.id: package for package in plan.packages}
        self._by_label = {package.label: package for package in plan.packages}
        self._interfaces: set[str] = set()
        self._relinked: set[str] = set()
        self._requiring: dict[str, list[str]] | None = None

    def add(self, name: str) -> None:
        """Add a node of the plan."""
        if name in self.plan.nodes:
            self.nodes.add(name)

    @property
    def changes_interfaces(self) -> bool:
        """Whether others than the modules that were added may have to be checked."""
        return bool(self._interfaces)

    def source(self, package: Package, module: str, *, inside: bool = False) -> None:
        """A source has other contents. *inside*: what others may know of it is known to be the same."""
        interface = f"interface:{package.label}/{module}"
        self.add(interface)
        if not inside:
            self._interfaces.add(interface)
        self.add(f"module:{package.label}/{module}")
        self._relinked.add(package.id)
        for test in _tests_of(package, module):
            self.add(test)

    def whole(self, package: Package) -> None:
        """The package has other modules, or requires others: it and all that require it are looked at."""
        for id_ in self.with_requiring([package.id]):
            one = self.packages[id_]
            for module in all_modules(one):
                self.source(one, module)
            self.add(f"manifest:{one.label}")

    def close(self) -> set[str]:
        """All nodes that may be stale because those that were added are."""
        if self._interfaces:
            for name, closure in self.closures.items():
                if name not in self.nodes and not self._interfaces.isdisjoint(closure):
                    self.add(name)
                    label = name.partition(":")[2].rpartition("/")[0]
                    if label in self._by_label:
                        self._relinked.add(self._by_label[label].id)
        for id_ in self.with_requiring(self._relinked):
            one = self.packages[id_]
            for node in self.plan.links.get(one.label, ()):
                self.add(node)
        if any(name.startswith("docs:") for name in self.nodes):
            self.add(INDEX)
        return self.nodes

    def with_requiring(self, ids: Iterable[str]) -> set[str]:
        """Packages, and those that require them, directly or not."""
        if self._requiring is None:
            self._requiring = {}
            for package in self.plan.packages:
                for required in package.requires.values():
                    self._requiring.setdefault(required, []).append(package.id)
        found: set[str] = set()
        waiting = [id_ for id_ in ids if id_ in self.packages]
        while waiting:
            id_ = waiting.pop()
            if id_ not in found:
                found.add(id_)
                waiting += self._requiring.get(id_, ())
        return found


def _tests_of(package: Package, module: str) -> tuple[str, ...]:
    if module.startswith(TESTS):
        return (f"test:{package.label}/{module.removeprefix(TESTS)}",)
    return (f"test:{package.label}/src:{module}",)


def sources_of(plan: Plan) -> dict[str, list[tuple[Package, str]]]:
    """The package and the modules of each source of the workspace, by path: a source may have examples, which are another module."""
    found: dict[str, list[tuple[Package, str]]] = {}
    for package in plan.packages:
        if package.is_member:
            for module in all_modules(package):
                found.setdefault(join(package.shown, module_path(package, module)), []).append((package, module))
    return found


def stale_nodes(
    plan: Plan,
    difference: Difference,
    facts: Mapping[str, Any],
    before: Mapping[str, Manifest],
    members: Iterable[Member],
) -> set[str] | None:
    """The nodes that may be stale after a difference; None where everything has to be looked at. *before* are manifests as they
    were, by path; *members* those that are there now."""
    cone = Cone(plan, facts["closures"])
    known = {entry[0]: entry[1:] for entry in facts["members"]}
    now = {member.manifest_path: member for member in members}
    if set(known) != set(now):
        return None
    sources = sources_of(plan)
    manifests: dict[str, Package] = {}
    for package in plan.packages:
        if not package.is_member:
            continue
        path = join(package.shown, SYSTEM_FILE if SYSTEM in package.modules else SPIRIT_FILE)
        member = now.get(path)
        if member is None:
            return None
        manifests[path] = package
        if known[path] != (member.modules, member.tests):
            cone.whole(package)
    for path in difference.files:
        if path in manifests:
            package = manifests[path]
            old = before.get(path)
            if old is None or (old.name, old.version) != (package.manifest.name, package.manifest.version):
                return None  # who requires it may not find it any more, so the new plan does not know them
            if not is_same_shape(old, package.manifest):
                cone.whole(package)
            cone.add(f"manifest:{package.label}")
            for node in plan.links.get(package.label, ()):
                cone.add(node)
        elif path in sources:
            for package, module in sources[path]:
                cone.source(package, module)
        elif path in plan.targets:
            cone.add(plan.targets[path])
        elif path.endswith(".dol") and not path.startswith("/"):
            continue  # a source that is gone: its folder has changed, too
        else:
            return None
    return cone.close() | {name for name in facts["unproven"] if name in plan.nodes}


def is_same_shape(before: Manifest | None, now: Manifest) -> bool:
    """Whether a manifest says the same to all but its own Spirit."""
    if before is None:
        return False
    return (before.name, before.version, before.lib, before.bins, _asks(before)) == (
        now.name, now.version, now.lib, now.bins, _asks(now)
    )  # fmt: skip


def _asks(manifest: Manifest) -> list[tuple[str, str]]:
    return sorted((one.name.text, str(one.wanted)) for one in manifest.requires)
