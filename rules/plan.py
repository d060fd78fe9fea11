"""A workspace to its graph: which nodes there are and what each waits for. Nothing is built here."""

import re
from collections.abc import Callable, Mapping

from dolbuild import compiler
from dolbuild.analysis.check import SYSTEM
from dolbuild.analysis.resolution import RUNTIME
from dolbuild.diagnostics import Diagnostic, DiagnosticError, in_file
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
from dolbuild.rules.external import Externals
from dolbuild.rules.module import TESTS, interface_name, interface_node, module_name, module_node, module_path
from dolbuild.rules.node import Group, LinkTests, Node, Plan
from dolbuild.rules.reading import Reading, ReadSpirit, ReadSystem
from dolbuild.rules.spirit import manifest_node, spirit_node
from dolbuild.rules.system import system_manifest_node, system_node
from dolbuild.rules.test import link_tests, test_name, test_node
from dolbuild.settings import Profile
from dolbuild.workspace import join

_TEST_BLOCK = re.compile(rb'^[ \t]*test[ \t]+"', re.MULTILINE)


KnownTests = Callable[[str], bool | None]
"""Whether a source, by its path in the workspace, has tests; None where that is not known."""


def plan(reading: Reading, profile: Profile, externals: Externals, known_tests: KnownTests = lambda _: None) -> Plan:
    """The graph of a workspace. What is wrong with the workspace as a whole stands in its diagnostics."""
    return _Planner(reading, profile, externals, known_tests).run()


class _Planner:
    def __init__(self, reading: Reading, profile: Profile, externals: Externals, known_tests: KnownTests) -> None:
        self.reading = reading
        self.known_tests = known_tests
        self.tested: list[str] = []
        self.links: dict[str, tuple[str, ...]] = {}
        self.externals = externals
        self.workspace = workspace = reading.workspace
        self.profile = profile
        self.options = compiler.Options(profile.checked, profile.whole)
        self.nodes: dict[str, Node] = {}
        self.packages: dict[str, Package] = {}
        self.tests: dict[str, LinkTests] = {}
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
        return Plan(
            self.nodes,
            self.groups(),
            tuple(self.diagnostics),
            self.tests,
            tuple(self.packages.values()),
            self.links,
            tuple(self.tested),
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
                member.tests,
                requires,
            )
        node = manifest_node(read.label, member.folder, lambda: read.data, manifest, tuple(diagnostics), context)
        self.nodes[node.name] = node

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
        self.add(system_node(name, read.member.folder, read.data, (f"manifest:{name}", _modules(self.packages[id_]))))

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

    def modules(self, package: Package) -> None:
        required = self.required(package)
        interfaces = tuple(_interfaces(other) for other in required.values() if other.id != RUNTIME or package.standard)
        interfaces += tuple(sorted(other.fetched_by for other in required.values() if other.fetched_by))
        names = [*package.modules, *(f"{TESTS}{name}" for name in package.tests)]
        for module in names:
            self.add(interface_node(package, module))
            self.add(module_node(package, module, required, self.options, interfaces))
        if not package.is_member:
            return
        objects = tuple(_modules(other) for other in required.values())
        manifest = f"manifest:{package.label}"
        links: list[str] = []
        if package.manifest.lib is not None or package.manifest.bins:
            node = spirit_node(
                package,
                required,
                self.workspace.settings.output,
                self.profile.name,
                self.options,
                (manifest, *objects),
            )
            self.add(node)
            links.append(node.name)
        for module in names:
            if self.has_tests(package, module):
                own = module_name(package, module)
                node = test_node(package, module, required, self.profile.name, self.options, (own, *objects))
                self.add(node)
                self.tests[node.name] = link_tests(package, module, required, self.profile.name, self.options)
                links.append(node.name)
        if SYSTEM in package.modules:
            links.append(f"system:{package.label}")
        self.links[package.label] = tuple(links)

    def has_tests(self, package: Package, module: str) -> bool:
        if module.startswith(TESTS):
            return True
        path = join(package.shown, module_path(package, module))
        known = self.known_tests(path)
        if known is None:
            try:
                known = _TEST_BLOCK.search((self.workspace.root / path).read_bytes()) is not None
            except OSError:
                known = False
        if known:
            self.tested.append(path)
        return known

    def add(self, node: Node) -> None:
        self.nodes[node.name] = node

    def groups(self) -> dict[str, Group]:
        groups: dict[str, Group] = {}

        def group(name: str, doc: str, nodes: list[str]) -> None:
            groups[name] = Group(name, doc, tuple(sorted(nodes)))

        for package in self.packages.values():
            all_ = [*package.modules, *(f"{TESTS}{name}" for name in package.tests)]
            group(_interfaces(package), "", [interface_name(package, module) for module in all_])
            group(_modules(package), "", [module_name(package, module) for module in package.modules])
        members = [package for package in self.packages.values() if package.is_member]
        kinds: dict[str, list[str]] = {
            kind: [] for kind in ("fetch", "interface", "manifest", "module", "spirit", "system", "test")
        }
        for name in self.nodes:
            kinds[name.split(":", 1)[0]].append(name)
        own = [
            module_name(package, module)
            for package in members
            for module in (*package.modules, *(f"{TESTS}{name}" for name in package.tests))
        ]
        sources = [module_name(package, module) for package in members for module in package.modules]
        group(
            "build",
            "build every Spirit of the workspace",
            kinds["manifest"] + kinds["spirit"] + kinds["system"] + sources,
        )
        group("check", "check every manifest and module, tests included", kinds["manifest"] + own)
        group("test", "run every test of the workspace", kinds["test"])
        group("fetch", "fetch every package that the lock names", kinds["fetch"])
        group("interface", "what modules may know of each other", kinds["interface"])
        group("manifest", "read the manifests", kinds["manifest"])
        group("module", "check modules and generate their code", kinds["module"])
        group("spirit", "link Spirits", kinds["spirit"])
        group("system", "link Systems", kinds["system"])
        return groups


def _interfaces(package: Package) -> str:
    return f"_interfaces:{package.label}"


def _modules(package: Package) -> str:
    return f"_modules:{package.label}"


__all__ = ["plan", "test_name"]
