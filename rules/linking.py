"""Links: finding symbols in the objects of the packages that take part, and the key of what they make."""

from collections.abc import Callable, Mapping

from dolbuild import __version__, compiler
from dolbuild.cache.action import Record, canonical
from dolbuild.cache.digest import digest
from dolbuild.codegen import object as objects
from dolbuild.codegen.link import MissingSymbol
from dolbuild.codegen.names import split_instance
from dolbuild.codegen.object import Object, Symbol
from dolbuild.diagnostics import Diagnostic, DiagnosticError
from dolbuild.packages.package import Package
from dolbuild.rules.module import interface_name, module_name
from dolbuild.rules.session import Session
from dolbuild.rules.tool import tool_digest
from dolbuild.source import Place

LINK_VERSION = 3


class Objects:
    """The symbol table of a link: opens an object when the first of its symbols is asked for."""

    def __init__(self, session: Session, packages: Mapping[str, Package]) -> None:
        self.session = session
        self.packages = packages
        self.opened: dict[str, Object] = {}
        self.data: dict[str, Symbol] = {}

    def object(self, package: Package, module: str) -> Object:
        """The object of a module whose node is done."""
        node = module_name(package, module)
        found = self.opened.get(node)
        if found is None:
            found = self.opened[node] = self.session.value(node, "dolo", objects.load)
            self.data.update({name: s for name, s in found.symbols.items() if s.kind == "data"})
        return found

    def find(self, name: str) -> Symbol | None:
        """A symbol by name, or None. Literals have no module; whoever refers to one has brought it."""
        if name in self.data:
            return self.data[name]
        package_id, _, path = name.rpartition("/")
        package = self.packages.get(package_id)
        if package is None:
            return None
        parts = path.split("#", 1)[0].split(".")
        for length in range(len(parts) - 1, 0, -1):
            module = ".".join(parts[:length])
            known = module in package.modules or module.removeprefix("tests:") in package.tests
            if known:
                symbol = self.object(package, module).symbols.get(name)
                if symbol is not None:
                    return symbol
        return None


class Link:
    """One link of a run. *described* is what it is made from beside objects; *prepare* finds the symbols that it reaches; *tests* are
    nodes of test modules that take part.

    Its key is made of the digests of those symbols. Finding them is work of its own, so the key is remembered in the store
    under the digests of all objects that could take part: where none of them changed, nothing has to be looked at.
    """

    def __init__(
        self,
        session: Session,
        packages: Mapping[str, Package],
        described: Mapping[str, object],
        prepare: Callable[[Objects], compiler.Linkable],
        tests: tuple[str, ...] = (),
    ) -> None:
        self.session = session
        self.packages = packages
        self.described = described
        self.prepare = prepare
        self.tests = tests
        self._linkable: compiler.Linkable | None = None

    @property
    def key(self) -> str:
        """Raises DiagnosticError where the link cannot be made."""
        shallow = Record("reach", LINK_VERSION, tool_digest(), dict(self.described), self._objects()).key
        known = self.session.store.lookup(shallow)
        if known is not None and isinstance(known.notes, str):
            return known.notes
        key = self._record().key
        self.session.remember(shallow, key)
        return key

    def _objects(self) -> dict[str, str]:
        """The digests of all objects and interfaces that could take part: one for each package, one for each test module."""
        found = {id_: _package_digest(self.session, package) for id_, package in self.packages.items()}
        for node in self.tests:
            found[node] = self.session.results[node].outputs["dolo"]
        return found

    def linkable(self) -> compiler.Linkable:
        """What is linked. Raises DiagnosticError."""
        if self._linkable is None:
            try:
                self._linkable = self.prepare(Objects(self.session, self.packages))
            except MissingSymbol as error:
                message = f"the symbol `{error.name}` is in no object; `{error.wanted_by}` refers to it"
                raise DiagnosticError(Diagnostic("E0802", message)) from None
            except compiler.CannotLink as error:
                raise DiagnosticError(_cannot_compile(self.session, error.symbol, self.packages)) from None
        return self._linkable

    def _record(self) -> Record:
        linkable = self.linkable()
        sections = {name: digest(section) for name, section in linkable.request.sections.items()}
        described = {
            **self.described,
            "roots": [[root.name, root.symbol] for root in linkable.request.roots],
            "sections": sections,
            "version": __version__,
        }
        return Record("link", LINK_VERSION, tool_digest(), described, dict(linkable.record))

    def wasm(self) -> bytes:
        """The module."""
        return compiler.finish(self.linkable())


def _package_digest(session: Session, package: Package) -> str:
    """The digest of all objects and interfaces of a package, whose nodes are done."""
    known = session.packages.get(package.id)
    if known is None:
        found: dict[str, str] = {}
        for module in package.modules:
            node = module_name(package, module)
            found[node] = session.results[node].outputs["dolo"]
            found[f"interface {node}"] = session.results[interface_name(package, module)].outputs["doli"]
        known = session.packages[package.id] = digest(canonical(found))
    return known


def _cannot_compile(session: Session, symbol: Symbol, packages: Mapping[str, Package]) -> Diagnostic:
    """What is reached and cannot be compiled yet, at its place."""
    package = packages.get(split_instance(symbol.name)[0].rpartition("/")[0])
    if package is None:
        return Diagnostic("E0901", str(symbol.value))
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
    message = str(symbol.value)
    return Diagnostic("E0901", message, place, text, rooted=True)
