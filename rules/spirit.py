"""Nodes of a Spirit: its manifest, and its WebAssembly modules."""

import json
from collections.abc import Callable, Mapping

from dolbuild import __version__, compiler
from dolbuild.cache.action import Record
from dolbuild.cache.digest import digest
from dolbuild.codegen.object import Object
from dolbuild.diagnostics import Diagnostic, DiagnosticError, has_errors, in_file
from dolbuild.packages.manifest import SPIRIT_FILE, Manifest
from dolbuild.packages.package import Package
from dolbuild.rules.linking import LINK_VERSION, Link, Objects
from dolbuild.rules.module import interface_name
from dolbuild.rules.node import Action, Node, Outcome
from dolbuild.rules.session import Session
from dolbuild.rules.tool import tool_digest

MANIFEST_VERSION = 1


def manifest_node(
    label: str,
    shown: str,
    read: Callable[[], bytes],
    manifest: Manifest | None,
    diagnostics: tuple[Diagnostic, ...],
    context: object,
) -> Node:
    """``manifest:<member>``: the evaluated manifest. The planner has read it already; the node reports what
    it found. *context*: what else the diagnostics depend on (the versions of required members)."""

    def prepare(session: Session) -> Action:
        record = Record("manifest", MANIFEST_VERSION, tool_digest(), context, {"source": digest(read())})

        def run() -> Outcome:
            if manifest is None or has_errors(diagnostics):
                return Outcome(diagnostics=diagnostics, failed=True)
            return Outcome({"manifest": compiler.canonical_json(manifest.to_json())}, diagnostics)

        return Action(record, run)

    return Node(f"manifest:{label}", f"reads and checks {SPIRIT_FILE}", prepare, shown=shown)


def spirit_node(
    package: Package,
    packages: Mapping[str, Package],
    output: str,
    profile: str,
    options: compiler.Options,
    dependencies: tuple[str, ...],
) -> Node:
    """``spirit:<member>``: ``<name>.wasm`` for the library, ``<name>.<binary>.wasm`` for each binary."""
    manifest = package.manifest
    entries: list[tuple[str, str, str]] = []
    if manifest.lib is not None:
        entries.append(("lib.wasm", f"{output}/spirits/{manifest.name}.wasm", _module_of(manifest.lib)))
    for name, path in manifest.bins:
        entries.append((f"{name}.wasm", f"{output}/spirits/{manifest.name}.{name}.wasm", _module_of(path)))

    def prepare(session: Session) -> Action:
        links: dict[str, Link] = {}
        for artifact, _, module in entries:

            def prepare_link(table: Objects, module: str = module, artifact: str = artifact) -> compiler.Linkable:
                face = table.object(package, module)
                if artifact != "lib.wasm":
                    _check_main(face, package.modules[module])
                interfaces = _interfaces(session, package) if artifact == "lib.wasm" else None
                return compiler.prepare_spirit(face, table.find, __version__, manifest.to_json(), options, interfaces)

            described = {
                "profile": profile,
                "entry": module,
                "manifest": digest(compiler.canonical_json(manifest.to_json())),
            }
            links[artifact] = Link(session, packages, described, prepare_link)
        inputs = {artifact: link.key for artifact, link in links.items()}
        record = Record("spirit", LINK_VERSION, tool_digest(), {"name": manifest.name}, inputs)

        def run() -> Outcome:
            return Outcome({artifact: link.wasm() for artifact, link in links.items()})

        return Action(record, run)

    targets = {path: artifact for artifact, path, _ in entries}
    doc = f"links {manifest.name} {manifest.version}"
    return Node(f"spirit:{package.label}", doc, prepare, dependencies, targets, package.shown)


def _interfaces(session: Session, package: Package) -> dict[str, object]:
    """The interfaces of a Spirit's modules, so that others can be compiled against its binary alone."""
    return {
        module: session.value(interface_name(package, module), "doli", json.loads) for module in sorted(package.modules)
    }


def _check_main(face: Object, file: str) -> None:
    """Raises DiagnosticError where a binary has no ``main`` that could be run."""
    problem = compiler.wrong_main(face.exports)
    if problem is not None:
        hint = "write `pub fun main(args: List<String>) -> Int32 { ... }`"
        raise DiagnosticError(in_file(file, "E0806", problem, hint))


def _module_of(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".dol").replace("/", ".")
