"""A workspace to its graph: which nodes there are and what each waits for. Nothing is built here."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from dolbuild import compiler
from dolbuild.analysis.check import SYSTEM
from dolbuild.analysis.resolution import RUNTIME
from dolbuild.analysis.resolution import Package as Resolvable
from dolbuild.diagnostics import Diagnostic, DiagnosticError, in_file
from dolbuild.documenting.examples import has_examples
from dolbuild.packages.manifest import SPIRIT_FILE, SYSTEM_FILE, Manifest
from dolbuild.packages.name import PackageName
from dolbuild.packages.package import (
    Package,
    find_circle,
    is_standard,
    match_requirements,
    standard_manifest,
    standard_package,
)
from dolbuild.rules.docs import docs_name, docs_node, index_node
from dolbuild.rules.external import Externals
from dolbuild.rules.lazily import Lazily
from dolbuild.rules.module import (
    EXAMPLES,
    TESTS,
    all_modules,
    interface_name,
    interface_node,
    module_name,
    module_node,
    module_path,
)
from dolbuild.rules.node import Group, LinkTests, Node, Plan
from dolbuild.rules.reading import Reading, ReadSpirit, ReadSystem
from dolbuild.rules.spirit import manifest_node, spirit_entries, spirit_node
from dolbuild.rules.system import Uses, system_manifest_node, system_node, system_targets
from dolbuild.rules.test import link_tests, test_name, test_node
from dolbuild.settings import Profile
from dolbuild.workspace import Member, join

if TYPE_CHECKING:
    from dolbuild.rules.session import Session

_TEST_BLOCK = re.compile(rb'^[ \t]*test[ \t]+"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tested:
    """What a source has that is run: ``test`` blocks, and examples in its documentation."""

    blocks: bool
    examples: bool


KnownTests = Callable[[str], Tested | None]
"""What a source has, by its path in the workspace; None where that is not known."""


def plan(reading: Reading, profile: Profile, externals: Externals, known_tests: KnownTests = lambda _: None) -> Plan:
    """The graph of a workspace. What is wrong with the workspace as a whole stands in its diagnostics."""
    return _Planner(reading, profile, externals, known_tests).run()


class _Planner:
    def __init__(self, reading: Reading, profile: Profile, externals: Externals, known_tests: KnownTests) -> None:
        self.reading = reading
        self.known_tests = known_tests
        self.tested: dict[str, Tested] = {}
        self.links: dict[str, tuple[str, ...]] = {}
        self.externals = externals
        self.workspace = workspace = reading.workspace
        self.profile = profile
        self.options = compiler.Options(profile.checked, profile.whole)
        self.nodes: Lazily[Node] = Lazily()
        self.groups: Lazily[Group] = Lazily()
        self.targets: dict[str, str] = {}
        self.packages: dict[str, Package] = {}
        self.tests: dict[str, LinkTests] = {}
        self.uses: dict[str, Uses] = {}
        self._resolvable: dict[str, Resolvable] = {}
        self.diagnostics: list[Diagnostic] = [*workspace.diagnostics, *reading.diagnostics]
        self.wasm_nodes: list[str] = []

    def run(self) -> Plan:
        self.packages[RUNTIME] = standard_package(RUNTIME)
        available = {id_: manifest for id_, (manifest, _) in self.reading.members.items()}
        needed = [one.name for read in self.reading.manifests for one in read.requires]
        self.external(needed, available)
        self.standard(needed, available)
        for read in self.reading.spirits:
            self.member(read, available)
        for system in self.reading.systems:
            self.system(system, available)
        circle = find_circle({package.id: package.requires for package in self.packages.values()})
        if circle is not None:
            message = f"these Spirits require each other: {' -> '.join(circle)}"
            hint = "move what both need into a third Spirit"
            raise DiagnosticError(*self.diagnostics, Diagnostic("E0609", message, hint=hint))
        for package in self.packages.values():
            self.modules(package)
        self.docs()
        self.kinds()
        return Plan(
            self.nodes,
            self.groups,
            self.targets,
            tuple(self.diagnostics),
            self.tests,
            tuple(self.packages.values()),
            self.links,
            tuple(path for path, found in self.tested.items() if found.blocks),
            tuple(path for path, found in self.tested.items() if found.examples),
        )

    def external(self, needed: list[PackageName], available: dict[str, Manifest]) -> None:
        """Add the packages of the lock that are required, directly or not; what they require is needed too."""
        waiting = list(needed)
        while waiting:
            name = waiting.pop()
            locked = self.externals.lock.packages.get(name.id)
            if locked is None or name.id in available:
                continue
            manifest = available[name.id] = self.externals.manifest(locked)
            self.packages[name.id] = self.externals.package(locked, manifest)
            self.add(self.externals.node(locked))
            further = [required for required, _ in locked.requires]
            waiting += further
            needed += further

    def standard(self, needed: list[PackageName], available: dict[str, Manifest]) -> None:
        """Add the standard Spirits that are required, directly or not, and are no members."""
        waiting = list(needed)
        while waiting:
            name = waiting.pop()
            if name.id in available or not is_standard(name):
                continue
            manifest = available[name.id] = standard_manifest(name.parts[1])
            self.packages[name.id] = standard_package(name.id, manifest)
            waiting += [requirement.name for requirement in manifest.requires]

    def package_id(self, name: str) -> str:
        return self.reading.package_id(name)

    def member(self, read: ReadSpirit, available: Mapping[str, Manifest]) -> None:
        member, manifest = read.member, read.manifest
        diagnostics = list(read.diagnostics)
        context: list[object] = []
        requires: dict[str, str] = {}
        if manifest is not None:
            id_ = self.package_id(manifest.name)
            requires, problems = match_requirements(id_, manifest, lambda: read.parsed.source, available)
            diagnostics += problems
            diagnostics += self.entry_points(read)
            context = [sorted(requires), [d.message for d in diagnostics]]
            self.packages[id_] = Package(
                id_,
                manifest.name,
                self.workspace.root / member.folder,
                member.folder,
                manifest,
                member.modules,
                {**member.tests, **self.examples(member)},
                requires,
            )
        node = manifest_node(read.label, member.folder, lambda: read.data, manifest, tuple(diagnostics), context)
        self.add(node)

    def system(self, read: ReadSystem, available: Mapping[str, Manifest]) -> None:
        """A System is a package of one module, ``System.dol``, that requires what it uses."""
        diagnostics = list(read.problems)
        name = read.label
        if any(package.label == name for package in self.packages.values()):
            message = f"`{name}` is the name of a Spirit already"
            self.diagnostics.append(in_file(read.member.manifest_path, "E0610", message))
            return
        id_ = self.package_id(name)
        manifest = Manifest(name, "0.0.0", requires=read.requires)
        requires, problems = match_requirements(id_, manifest, lambda: read.parsed.source, available)
        diagnostics += problems
        folder = self.workspace.root / read.member.folder
        self.packages[id_] = Package(
            id_, name, folder, read.member.folder, manifest, {SYSTEM: SYSTEM_FILE}, requires=requires
        )
        context = [sorted(requires), [d.message for d in diagnostics]]
        self.add(system_manifest_node(name, read.member.folder, read.data, tuple(diagnostics), context))
        wanted = {requirement.name.text: str(requirement.wanted).strip('"') for requirement in read.requires}
        self.uses[id_] = {
            used: {"requirement": wanted[name], "version": available[used].version}
            for name, used in sorted(requires.items())
        }

    def entry_points(self, read: ReadSpirit) -> list[Diagnostic]:
        """Entry points that the manifest names and that do not exist."""
        manifest = read.manifest
        assert manifest is not None
        paths = [path for path in (manifest.lib, *(path for _, path in manifest.bins)) if path is not None]
        known = set(read.member.modules.values())
        return [
            in_file(
                SPIRIT_FILE,
                "E0605",
                f"the entry point {path} does not exist",
                f"create {join(read.member.folder, path)}",
            )
            for path in paths
            if path not in known
        ]

    def required(self, package: Package) -> dict[str, Package]:
        """The package and all that it requires, directly or not; the runtime always."""
        found: dict[str, Package] = {}
        waiting = [package.id, RUNTIME]
        while waiting:
            id_ = waiting.pop()
            if id_ not in found:
                found[id_] = self.packages[id_]
                waiting += self.packages[id_].requires.values()
        return dict(sorted(found.items()))

    def resolvable(self, package: Package) -> Resolvable:
        known = self._resolvable.get(package.id)
        if known is None:
            known = self._resolvable[package.id] = package.resolvable
        return known

    def modules(self, package: Package) -> None:
        """Add the nodes of a package's modules, its links and its tests. They are made when someone looks at them."""
        parts = _Parts(self, package)
        for module in parts.names:
            self.nodes.later(interface_name(package, module), partial(interface_node, package, module))
            self.nodes.later(module_name(package, module), partial(parts.module, module))
        modules = tuple(module_name(package, module) for module in package.modules)
        interfaces = tuple(interface_name(package, module) for module in parts.names)
        self.group_of(_interfaces(package), interfaces)
        self.group_of(_modules(package), modules)
        self.groups.later(_interfaces_for(package), parts.interfaces)
        self.groups.later(_modules_for(package), parts.modules)
        if not package.is_member:
            return
        links: list[str] = []
        if package.manifest.lib is not None or package.manifest.bins:
            name = f"spirit:{package.label}"
            self.nodes.later(name, parts.spirit)
            entries = spirit_entries(package, self.workspace.settings.output)
            self.targets |= {path: name for _, path, _ in entries}
            links.append(name)
        for module in parts.names:
            if self.has_tests(package, module):
                name = test_name(package, module)
                self.nodes.later(name, partial(parts.test, module))
                self.tests[name] = partial(parts.linked_tests, module)
                links.append(name)
        if package.id in self.uses:
            name = f"system:{package.label}"
            self.nodes.later(name, parts.system)
            self.targets |= dict.fromkeys(system_targets(package.label, self.workspace.settings.output), name)
            links.append(name)
        self.links[package.label] = tuple(links)

    def docs(self) -> None:
        """Add the nodes of the documentation: members and what they require."""
        output = self.workspace.settings.output
        described = [package for package in self.packages.values() if package.id != RUNTIME]
        if not described:
            return
        for package in described:
            name = docs_name(package)
            self.nodes.later(name, partial(self.docs_of, package))
            self.links[package.label] = (*self.links.get(package.label, ()), name)
            self.targets[f"{output}/docs/{package.label}/index.html"] = name
        index = index_node(described, f"@{self.workspace.settings.organisation}", output)
        self.add(index)
        self.targets |= dict.fromkeys(index.targets, index.name)

    def docs_of(self, package: Package) -> Node:
        output = self.workspace.settings.output
        return docs_node(package, self.required(package), output, (_interfaces_for(package),))

    def group_of(self, name: str, nodes: tuple[str, ...], doc: str = "") -> None:
        self.groups.add(name, Group(name, doc, nodes))

    def examples(self, member: Member) -> dict[str, str]:
        """The sources of a member that have examples, as test files of their own."""
        found = {name: path for name, path in member.modules.items() if self.look(join(member.folder, path)).examples}
        return {f"{EXAMPLES.removeprefix(TESTS)}{name}": path for name, path in found.items()}

    def has_tests(self, package: Package, module: str) -> bool:
        return module.startswith(TESTS) or self.look(join(package.shown, module_path(package, module))).blocks

    def look(self, path: str) -> Tested:
        """What a source of the workspace has that is run."""
        known = self.tested.get(path) or self.known_tests(path)
        if known is None:
            try:
                data = (self.workspace.root / path).read_bytes()
            except OSError:
                data = b""
            known = Tested(_TEST_BLOCK.search(data) is not None, has_examples(data))
        self.tested[path] = known
        return known

    def add(self, node: Node) -> None:
        self.nodes.add(node.name, node)

    def kinds(self) -> None:
        """Add the groups that users name."""
        kinds: dict[str, list[str]] = {
            kind: [] for kind in ("docs", "fetch", "interface", "manifest", "module", "spirit", "system", "test")
        }
        for name in self.nodes:
            kinds[name.split(":", 1)[0]].append(name)
        members = [package for package in self.packages.values() if package.is_member]
        own = [module_name(package, module) for package in members for module in all_modules(package)]
        sources = [module_name(package, module) for package in members for module in package.modules]
        built = kinds["manifest"] + kinds["spirit"] + kinds["system"] + sources
        for name, doc, nodes in (
            ("build", "build every Spirit of the workspace", built),
            ("check", "check every manifest and module, tests included", kinds["manifest"] + own),
            ("test", "run every test of the workspace", kinds["test"]),
            ("docs", "describe every package, in HTML", kinds["docs"]),
            ("fetch", "fetch every package that the lock names", kinds["fetch"]),
            ("interface", "what modules may know of each other", kinds["interface"]),
            ("manifest", "read the manifests", kinds["manifest"]),
            ("module", "check modules and generate their code", kinds["module"]),
            ("spirit", "link Spirits", kinds["spirit"]),
            ("system", "link Systems", kinds["system"]),
        ):
            self.group_of(name, tuple(sorted(nodes)), doc)


class _Parts:
    """Makes the nodes of one package."""

    def __init__(self, planner: _Planner, package: Package) -> None:
        self.planner = planner
        self.package = package
        self.names = all_modules(package)

    @cached_property
    def required(self) -> dict[str, Package]:
        return self.planner.required(self.package)

    @cached_property
    def resolvable(self) -> dict[str, Resolvable]:
        return {id_: self.planner.resolvable(other) for id_, other in self.required.items()}

    def interfaces(self) -> Group:
        """All that a module of the package may have to know."""
        found = [_interfaces(o) for o in self.required.values() if o.id != RUNTIME or self.package.standard]
        found += sorted(other.fetched_by for other in self.required.values() if other.fetched_by)
        return Group(_interfaces_for(self.package), "", tuple(found))

    def modules(self) -> Group:
        """All that can take part in a link."""
        return Group(_modules_for(self.package), "", tuple(map(_modules, self.required.values())))

    def module(self, module: str) -> Node:
        waits = (_interfaces_for(self.package),)
        return module_node(self.package, module, self.required, self.resolvable, self.planner.options, waits)

    def spirit(self) -> Node:
        planner = self.planner
        waits = (f"manifest:{self.package.label}", _modules_for(self.package))
        output = planner.workspace.settings.output
        return spirit_node(self.package, self.required, output, planner.profile.name, planner.options, waits)

    def system(self) -> Node:
        planner, package = self.planner, self.package
        waits = (f"manifest:{package.label}", _modules_for(package))
        output, profile = planner.workspace.settings.output, planner.profile.name
        return system_node(package, self.required, planner.uses[package.id], output, profile, planner.options, waits)

    def test(self, module: str) -> Node:
        planner = self.planner
        waits = (module_name(self.package, module), _modules_for(self.package))
        return test_node(self.package, module, self.required, planner.profile.name, planner.options, waits)

    def linked_tests(self, module: str, session: "Session") -> bytes:
        planner = self.planner
        return link_tests(self.package, module, self.required, planner.profile.name, planner.options)(session)


def _interfaces(package: Package) -> str:
    return f"_interfaces:{package.label}"


def _modules(package: Package) -> str:
    return f"_modules:{package.label}"


def _interfaces_for(package: Package) -> str:
    return f"_interfaces_for:{package.label}"


def _modules_for(package: Package) -> str:
    return f"_modules_for:{package.label}"


__all__ = ["plan", "test_name"]
