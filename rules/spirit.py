"""Nodes of a Spirit: its manifest, and its WebAssembly modules."""

from collections.abc import Callable, Mapping

from dolbuild import compiler
from dolbuild.cache.action import Record
from dolbuild.cache.digest import digest
from dolbuild.diagnostics import Diagnostic, has_errors
from dolbuild.packages.manifest import SPIRIT_FILE, Manifest
from dolbuild.packages.package import Package
from dolbuild.rules.jobs import LINK_VERSION, Linking, Outcome, Ref
from dolbuild.rules.linking import Link, objects_of
from dolbuild.rules.module import interface_name
from dolbuild.rules.node import Action, Node
from dolbuild.rules.session import Session
from dolbuild.rules.tool import tool_digest

MANIFEST_VERSION = 1
LIBRARY = "lib.wasm"


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

        return Action(record, run, ("manifest",))

    return Node(f"manifest:{label}", f"reads and checks {SPIRIT_FILE}", prepare, shown=shown)


def spirit_entries(package: Package, output: str) -> list[tuple[str, str, str]]:
    """What a Spirit is built to: artifact, target and module of its library and of each binary."""
    manifest = package.manifest
    entries: list[tuple[str, str, str]] = []
    if manifest.lib is not None:
        entries.append((LIBRARY, f"{output}/spirits/{manifest.name}.wasm", _module_of(manifest.lib)))
    for name, path in manifest.bins:
        entries.append((f"{name}.wasm", f"{output}/spirits/{manifest.name}.{name}.wasm", _module_of(path)))
    return entries


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
    entries = spirit_entries(package, output)

    def prepare(session: Session) -> Action:
        objects = objects_of(session, packages)
        described = {"profile": profile, "manifest": digest(compiler.canonical_json(manifest.to_json()))}
        links: dict[str, Link] = {}
        for artifact, _, module in entries:
            library = artifact == LIBRARY
            linking = Linking(
                (package.id, module),
                {**described, "entry": module},
                objects,
                {},
                options,
                manifest.to_json(),
                _interfaces(session, package) if library else None,
                None if library else package.modules[module],
            )
            links[artifact] = Link(session, packages, linking, f"spirit:{package.label} {artifact}")
        inputs = {artifact: link.key for artifact, link in links.items()}
        record = Record("spirit", LINK_VERSION, tool_digest(), {"name": manifest.name}, inputs)

        def run() -> Outcome:
            return Outcome({artifact: link.wasm() for artifact, link in links.items()})

        return Action(record, run, tuple(links))

    targets = {path: artifact for artifact, path, _ in entries}
    doc = f"links {manifest.name} {manifest.version}"
    return Node(f"spirit:{package.label}", doc, prepare, dependencies, targets, package.shown)


def _interfaces(session: Session, package: Package) -> dict[str, Ref]:
    """The interfaces of a Spirit's modules, so that others can be compiled against its binary alone."""
    return {module: session.ref(interface_name(package, module), "doli") for module in sorted(package.modules)}


def _module_of(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".dol").replace("/", ".")
