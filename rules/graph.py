"""The graph as people see it: Systems, Spirits, modules, tests and packages, and what made each edge.

It is not the graph of actions, in which a module waits for all interfaces that it might need: here a module leads to what it imports. It is made of
interfaces and manifests alone, so nothing has to be compiled for it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dolbuild.analysis.check import SYSTEM
from dolbuild.analysis.resolution import RUNTIME, TESTS, Target, resolve, split_id
from dolbuild.packages.manifest import SPIRIT_FILE, SYSTEM_FILE
from dolbuild.packages.package import Package
from dolbuild.rules.module import all_modules, interface_name, module_name, module_path
from dolbuild.rules.session import Session
from dolbuild.rules.test import test_name
from dolbuild.workspace import join

IMPORTS, REQUIRES, USES, HAS, TESTED = "imports", "requires", "uses", "has", "tests"
"""What an edge says: a module imports another, a Spirit requires one, a System uses one; a Spirit has a module, a test is in one."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """*name* is that of the node (``package:@org/name`` for what comes from elsewhere); *group* the Spirit or System that it belongs to; *file*
    is relative to the workspace, empty for what is not in it."""

    name: str
    kind: str
    group: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """*source* needs *target*; *text* is what says so (a path that is imported, a package that is required), in *file*."""

    source: str
    target: str
    why: str
    text: str = ""
    file: str = ""


@dataclass
class Graph:
    """Vertices by name, and all edges."""

    vertices: dict[str, Vertex] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    @cached_property
    def needs(self) -> Mapping[str, list[Edge]]:
        """The edges that leave each vertex."""
        return _by(self.edges, lambda edge: edge.source)

    @cached_property
    def needed_by(self) -> Mapping[str, list[Edge]]:
        """The edges that lead to each vertex."""
        return _by(self.edges, lambda edge: edge.target)

    def within(self, names: Iterable[str]) -> "Graph":
        """The part of the graph that lies between some vertices."""
        kept = set(names)
        vertices = {name: vertex for name, vertex in self.vertices.items() if name in kept}
        return Graph(vertices, [edge for edge in self.edges if edge.source in kept and edge.target in kept])


def _by(edges: Iterable[Edge], key: Callable[[Edge], str]) -> Mapping[str, list[Edge]]:
    found: dict[str, list[Edge]] = {}
    for edge in edges:
        found.setdefault(key(edge), []).append(edge)
    return found


def describe(session: Session) -> Graph:
    """The graph of a workspace whose interfaces are up to date."""
    return _Describer(session).run()


class _Describer:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.packages = {package.id: package for package in session.plan.packages if package.id != RUNTIME}
        self.resolvable = {id_: package.resolvable for id_, package in self.packages.items()}
        self.graph = Graph()

    def run(self) -> Graph:
        for package in self.packages.values():
            self.package(package)
        self.graph.vertices = dict(sorted(self.graph.vertices.items()))
        kept = {
            edge
            for edge in self.graph.edges
            if edge.source in self.graph.vertices and edge.target in self.graph.vertices
        }
        self.graph.edges = sorted(kept, key=lambda e: (e.source, e.target, e.why, e.text))
        return self.graph

    def head(self, package: Package) -> str:
        """The vertex of a package."""
        if not package.is_member:
            return f"package:{package.id}"
        return f"{'system' if SYSTEM in package.modules else 'spirit'}:{package.label}"

    def package(self, package: Package) -> None:
        head = self.head(package)
        is_system = SYSTEM in package.modules
        manifest = join(package.shown, SYSTEM_FILE if is_system else SPIRIT_FILE) if package.is_member else ""
        self.graph.vertices[head] = Vertex(head, head.partition(":")[0], head, manifest)
        for required, id_ in package.requires.items():
            other = self.packages.get(id_)
            if other is not None:
                why = USES if is_system else REQUIRES
                self.graph.edges.append(Edge(head, self.head(other), why, required, manifest))
        for module in all_modules(package) if package.is_member else ():
            self.module(package, module, head)

    def module(self, package: Package, module: str, head: str) -> None:
        name = module_name(package, module)
        file = join(package.shown, module_path(package, module))
        is_test = module.startswith(TESTS)
        if not is_test:
            self.graph.vertices[name] = Vertex(name, "module", head, file)
            self.graph.edges.append(Edge(head, name, HAS))
        test = test_name(package, module)
        if test in self.session.plan.nodes:
            self.graph.vertices[test] = Vertex(test, "test", head, file)
            if not is_test:
                self.graph.edges.append(Edge(test, name, TESTED))
        source = test if is_test else name
        for path, names in self.session.value(interface_name(package, module), "uses", json.loads):
            target = resolve(path, self.resolvable[package.id], self.resolvable)
            if isinstance(target, Target):
                self.graph.edges.append(Edge(source, self.target(target.module), IMPORTS, _shown(path, names), file))

    def target(self, module: str) -> str:
        """The vertex of a module; of a package from elsewhere, that of the package."""
        package = self.packages[split_id(module)[0]]
        return module_name(package, split_id(module)[1]) if package.is_member else self.head(package)


def _shown(path: str, names: list[str] | None) -> str:
    if not names:
        return path
    return f"{path}.{names[0]}" if len(names) == 1 else f"{path}.{{ {', '.join(names)} }}"


def line_of(edge: Edge, text: str) -> int:
    """The line in the text of an edge's file that made it; 0 where it is not found."""
    path = edge.text.partition(".{")[0]
    for candidate in (path, path.rpartition(".")[0]):
        at = _find_path(candidate, text) if candidate else -1
        if at >= 0:
            return text.count("\n", 0, at) + 1
    return 0


def _find_path(path: str, text: str) -> int:
    """Where a path stands in a text as a whole, not as a part of a longer name; -1 where it does not."""
    at = text.find(path)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(path) : at + len(path) + 1]
        if not (before.isalnum() or before in _PATH_PARTS) and not (after.isalnum() or after in ("_", "-")):
            return at
        at = text.find(path, at + 1)
    return -1


_PATH_PARTS = tuple("_.@/-")
