"""Nodes of a Spirit: its manifest, and its WebAssembly modules."""

from collections.abc import Callable, Mapping

from dolbuild import __version__, compiler
from dolbuild.cache.action import Record
from dolbuild.cache.digest import digest
from dolbuild.codegen.link import MissingSymbol
from dolbuild.codegen.object import Object, Symbol
from dolbuild.diagnostics import Diagnostic, DiagnosticError, has_errors, in_file
from dolbuild.packages.manifest import SPIRIT_FILE, Manifest
from dolbuild.packages.package import Package
from dolbuild.rules.linking import Objects
from dolbuild.rules.node import Action, Node, Outcome
from dolbuild.rules.session import Session
from dolbuild.rules.tool import tool_digest
from dolbuild.source import Place

MANIFEST_VERSION = 1
LINK_VERSION = 1


def manifest_node(
    label: str,
    shown: str,
    data: bytes,
    manifest: Manifest | None,
    diagnostics: tuple[Diagnostic, ...],
    context: object,
) -> Node:
    """``manifest:<member>``: the evaluated manifest. The planner has read it already; the node reports what
    it found. *context*: what else the diagnostics depend on (the versions of required members)."""

    def prepare(session: Session) -> Action:
        record = Record("manifest", MANIFEST_VERSION, tool_digest(), context, {"source": digest(data)})

        def run() -> Outcome:
            if manifest is None or has_errors(diagnostics):
                return Outcome(diagnostics=diagnostics, failed=True)
            return Outcome({"manifest": compiler.canonical_json(manifest.to_json())}, diagnostics)

        return Action(record, run)

    return Node(f"manifest:{label}", f"reads and checks {SPIRIT_FILE}", prepare, shown=shown)


def link_action(
    session: Session,
    prepare: Callable[[Objects], compiler.Linkable],
    packages: Mapping[str, Package],
    options: object,
) -> tuple[Record, compiler.Linkable]:
    """The record of a link: the symbols that it reaches, by their digests."""
    try:
        linkable = prepare(Objects(session, packages))
    except MissingSymbol as error:
        message = f"the symbol `{error.name}` is in no object; `{error.wanted_by}` refers to it"
        raise DiagnosticError(Diagnostic("E0802", message)) from None
    except compiler.CannotLink as error:
        raise DiagnosticError(_cannot_compile(session, error.symbol, packages)) from None
    sections = {name: digest(section) for name, section in linkable.request.sections.items()}
    described = {
        "options": options,
        "roots": [[root.name, root.symbol] for root in linkable.request.roots],
        "sections": sections,
        "version": __version__,
    }
    return Record("link", LINK_VERSION, tool_digest(), described, dict(linkable.record)), linkable


def _cannot_compile(session: Session, symbol: Symbol, packages: Mapping[str, Package]) -> Diagnostic:
    """What is reached and cannot be compiled yet, at its place."""
    package = packages[symbol.name.rpartition("/")[0]]
    file = symbol.file.partition("/")[2]
    line = symbol.lines[0][1]
    text = ""
    try:
        text = session.read(package.folder / file, file).decode("utf-8", "replace").split("\n")[line - 1].rstrip("\r")
    except (DiagnosticError, IndexError):
        pass  # the place alone has to do
    indent = len(text) - len(text.lstrip())
    shown = f"{package.shown}/{file}" if package.shown else file
    place = Place(shown, line, indent + 1, line, len(text) + 1)
    message = f"{symbol.value} cannot be compiled: engines refuse it"
    return Diagnostic("E0901", message, place, text, rooted=True)


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
        linkables: dict[str, compiler.Linkable] = {}
        inputs: dict[str, str] = {}
        for artifact, _, module in entries:
            if artifact != "lib.wasm":
                _check_main(session, packages, package, module)
            record, linkable = link_action(
                session,
                lambda table, module=module: compiler.prepare_spirit(  # type: ignore[misc]
                    _entry(table, package, module), table.find, __version__, manifest.to_json(), options
                ),
                packages,
                {"profile": profile},
            )
            linkables[artifact] = linkable
            inputs[artifact] = record.key
        record = Record("spirit", LINK_VERSION, tool_digest(), {"name": manifest.name}, inputs)

        def run() -> Outcome:
            return Outcome({artifact: compiler.finish(linkable) for artifact, linkable in linkables.items()})

        return Action(record, run)

    targets = {path: artifact for artifact, path, _ in entries}
    doc = f"links {manifest.name} {manifest.version}"
    return Node(f"spirit:{package.label}", doc, prepare, dependencies, targets, package.shown)


def _check_main(session: Session, packages: Mapping[str, Package], package: Package, module: str) -> None:
    """Raises DiagnosticError where a binary has no ``main`` that could be run."""
    problem = compiler.wrong_main(Objects(session, packages).object(package, module).exports)
    if problem is not None:
        hint = "write `pub fun main(args: List<String>) -> Int32 { ... }`"
        raise DiagnosticError(in_file(package.modules[module], "E0806", problem, hint))


def _module_of(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".dol").replace("/", ".")


def _entry(table: Objects, package: Package, module: str) -> Object:
    return table.object(package, module)
