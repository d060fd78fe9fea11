"""Nodes of documentation: a page for each package, and what they share."""

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from dolbuild.analysis.resolution import RUNTIME, module_id
from dolbuild.cache.action import Record
from dolbuild.packages.package import Package
from dolbuild.rules.jobs import Outcome
from dolbuild.rules.module import interface_name, module_path
from dolbuild.rules.node import Action, Node
from dolbuild.rules.session import Session

DOCS_VERSION = 1
INDEX = "docs:.index"
"""The node of what all pages share; no member can have this name."""

PAGE, FOUND = "page.html", "found.json"
"""Artifacts of a page: itself, and what a search may find in it."""

_SHARED = ("index.html", "index.js", "style.css", "search.js")


def docs_name(package: Package) -> str:
    """``docs:<member>``, or ``docs:@org/name`` for a package from elsewhere."""
    return f"docs:{package.label}"


def docs_node(package: Package, packages: Mapping[str, Package], output: str, dependencies: tuple[str, ...]) -> Node:
    """The page of a package: from the interfaces and the documentation of its modules, and the interfaces of what it requires.

    *packages* are the package and all that it requires.
    """
    known = {id_: other for id_, other in packages.items() if id_ != RUNTIME}

    def prepare(session: Session) -> Action:
        inputs: dict[str, str] = {}
        for id_, other in known.items():
            for module in other.modules:
                name = interface_name(other, module)
                inputs[f"interface {module_id(id_, module)}"] = session.ref(name, "doli").digest.hash
                if other is package:
                    inputs[f"docs {module_id(id_, module)}"] = session.ref(name, "docs").digest.hash
        options = {
            "package": package.id,
            "label": package.label,
            "manifest": dict(package.manifest.values),
            "exegesis": package.manifest.exegesis,
            "files": {module: module_path(package, module) for module in package.modules},
            "labels": {id_: other.label for id_, other in known.items()},
            "requires": {id_: dict(other.requires) for id_, other in known.items()},
        }
        record = Record("docs", DOCS_VERSION, renderer_digest(), options, inputs)
        return Action(record, lambda: _render(session, package, known), (PAGE, FOUND))

    target = f"{output}/docs/{package.label}/index.html"
    doc = f"describes {package.label}"
    return Node(docs_name(package), doc, prepare, dependencies, {target: PAGE}, package.shown)


def _render(session: Session, package: Package, known: Mapping[str, Package]) -> Outcome:
    from dolbuild.documenting.names import Names
    from dolbuild.documenting.page import Described, render

    interfaces: dict[str, Any] = {
        module_id(id_, module): session.value(interface_name(other, module), "doli", json.loads)
        for id_, other in known.items()
        for module in other.modules
    }
    modules = {
        module: (
            module_path(package, module),
            interfaces[module_id(package.id, module)],
            session.value(interface_name(package, module), "docs", json.loads),
        )
        for module in package.modules
    }
    manifest = package.manifest
    described = Described(package.id, package.label, modules, manifest.values, manifest.exegesis, package.requires)
    names = Names(interfaces, {id_: other.resolvable for id_, other in known.items()})
    page = render(described, names, {id_: other.label for id_, other in known.items()})
    return Outcome({PAGE: page.html.encode(), FOUND: json.dumps(page.index, ensure_ascii=False).encode()})


def index_node(packages: list[Package], title: str, output: str) -> Node:
    """The first page, the index for searches, style and script."""
    shown = sorted(packages, key=lambda package: (not package.is_member, package.label))

    def prepare(session: Session) -> Action:
        inputs = {package.label: session.ref(docs_name(package), FOUND).digest.hash for package in shown}
        options = {"title": title, "packages": [[package.label, _version(package)] for package in shown]}

        def run() -> Outcome:
            from dolbuild.documenting.site import assets, front, index_script

            found = {package.label: session.value(docs_name(package), FOUND, json.loads) for package in shown}
            rows = [(package.label, _version(package), found[package.label][0][3]) for package in shown]
            entries = [entry for package in shown for entry in found[package.label]]
            return Outcome({"index.html": front(title, rows), "index.js": index_script(entries), **assets()})

        return Action(Record("docs-index", DOCS_VERSION, renderer_digest(), options, inputs), run, _SHARED)

    targets = {f"{output}/docs/{name}": name for name in _SHARED}
    return Node(
        INDEX, "the first page of the documentation, and its search", prepare, tuple(map(docs_name, shown)), targets
    )


def _version(package: Package) -> str:
    return str(package.manifest.values.get("version", ""))


@lru_cache(maxsize=1)
def renderer_digest() -> str:
    """Digest of all that decides how documentation looks."""
    from importlib.metadata import version
    from importlib.resources import files

    hasher = sha256(f"markdown-it-py {version('markdown-it-py')}\n".encode())
    for file in sorted(files("dolbuild.documenting").iterdir(), key=lambda one: one.name):
        if file.name.endswith((".py", ".css", ".js")):
            data = file.read_bytes()
            hasher.update(f"{file.name}\0{len(data)}\0".encode())
            hasher.update(data)
    return hasher.hexdigest()
