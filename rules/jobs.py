"""Work that takes a processor's time, as values: it can be done here or be sent to another process.

A job says what it needs by reference; who runs it gives the values (`Inputs`). It reads and writes nothing else.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dolbuild import __version__, compiler
from dolbuild.analysis.world import Resolutions
from dolbuild.cache.action import Record
from dolbuild.cache.digest import Digest, digest
from dolbuild.codegen import object as objects
from dolbuild.codegen.object import Object, Symbol
from dolbuild.diagnostics import Diagnostic, in_file
from dolbuild.rules.tool import tool_digest

LINK_VERSION = 4


class Ref(NamedTuple):
    """An artifact of a node."""

    node: str
    artifact: str
    digest: Digest


class Missing(Exception):
    """An artifact is not where the job runs."""

    def __init__(self, ref: Ref) -> None:
        super().__init__(ref.node)
        self.ref = ref


class Inputs(Protocol):
    """What a job may ask for."""

    def value(self, ref: Ref, decode: Callable[[bytes], Any]) -> Any:
        """An artifact decoded. Raises Missing."""

    def kept(self, key: str, make: Callable[[], Any]) -> Any:
        """Something that was made a moment ago under the same key, or is made now."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action gave when it ran: artifacts by name, or only diagnostics where it failed. *stored*: artifacts that are in the
    local store already; *seconds*: what it took, without the time that it waited for a process."""

    outputs: Mapping[str, bytes] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    failed: bool = False
    stored: Mapping[str, Digest] = field(default_factory=dict)
    seconds: float = 0.0


class Job(Protocol):
    """Something to be done."""

    def run(self, inputs: Inputs) -> Outcome:
        """Do it. Raises Missing."""


# -- modules ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExtractInterface:
    """The interface of a source; *data* is None where it cannot be read."""

    file: str
    module: str
    data: bytes | None

    def run(self, inputs: Inputs) -> Outcome:
        found = compiler.extract_interface(self.file, self.module, self.data)
        return Outcome({"doli": found.doli, "uses": found.uses, "docs": found.docs, "private": found.private})


@dataclass(frozen=True, slots=True)
class CompileModule:
    """The object of a module. *interfaces* and *private* are those of its closure, by module. *mute*: no warnings."""

    file: str
    module: str
    data: bytes
    interfaces: Mapping[str, Ref]
    private: Mapping[str, Ref]
    resolutions: Resolutions
    options: compiler.Options
    mute: bool

    def run(self, inputs: Inputs) -> Outcome:
        interfaces = {other: inputs.value(ref, json.loads) for other, ref in self.interfaces.items()}
        compiled = compiler.compile_module(
            self.file,
            self.module,
            self.data,
            interfaces,
            self.resolutions,
            self.options,
            lambda other: inputs.value(self.private[other], json.loads),
        )
        if compiled.object is None:
            return Outcome(diagnostics=compiled.diagnostics, failed=True)
        return Outcome({"dolo": compiled.object}, () if self.mute else compiled.diagnostics)


# -- links -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a package by module; *digest* names them all."""

    digest: str
    modules: Mapping[str, Ref]


@dataclass(frozen=True, slots=True)
class Linking:
    """One link. *described* is what it is made from beside objects; *entry* is package and module of its face, its ``main`` or its tests.

    *manifest* is given for a Spirit, *interfaces* for a library, *main* (its file) for a binary, *uses* for a System: requirement and version
    of the packages that it uses.
    """

    entry: tuple[str, str]
    described: Mapping[str, object]
    packages: Mapping[str, Objects]
    tests: Mapping[str, Ref]
    options: compiler.Options
    manifest: Any = None
    interfaces: Mapping[str, Ref] | None = None
    main: str | None = None
    uses: Mapping[str, Mapping[str, str]] | None = None

    @property
    def said(self) -> dict[str, object]:
        """What the link is made from beside objects: generic functions are compiled when they are linked."""
        return {**self.described, "checked": self.options.checked, "whole": self.options.whole}

    def shallow(self) -> Record:
        """A record that changes with any object that could take part."""
        inputs = {id_: package.digest for id_, package in self.packages.items()}
        inputs |= {ref.node: ref.digest.hash for ref in self.tests.values()}
        return Record("reach", LINK_VERSION, tool_digest(), self.said, inputs)

    def linkable(self, inputs: Inputs) -> "Linked":
        """What is linked. Raises Missing, CannotLink, MissingSymbol."""
        table = SymbolTable(self, inputs)
        face = table.object(*self.entry)
        if self.uses is not None:
            system = compiler.prepare_system(face, table.find, __version__, self.options, self.uses)
            return Linked(system, table.nodes())
        if self.manifest is None:
            tests = compiler.prepare_tests(face, table.find, __version__, self.options)
            return Linked(tests, table.nodes())
        interfaces = None
        if self.interfaces is not None:
            interfaces = {module: inputs.value(ref, json.loads) for module, ref in self.interfaces.items()}
        found = compiler.prepare_spirit(face, table.find, __version__, self.manifest, self.options, interfaces)
        return Linked(found, table.nodes())

    def record(self, linkable: compiler.Linkable) -> Record:
        """What the module is made from: the digests of the symbols that it reaches, and no others."""
        described = {
            **self.said,
            "roots": [[root.name, root.symbol] for root in linkable.request.roots],
            "sections": {name: digest(section) for name, section in linkable.request.sections.items()},
            "version": __version__,
        }
        return Record("link", LINK_VERSION, tool_digest(), described, dict(linkable.record))


@dataclass(frozen=True, slots=True)
class Linked:
    """What a link consists of, and the nodes of the objects that were opened to find it."""

    linkable: compiler.Linkable
    opened: tuple[str, ...]


class SymbolTable:
    """Finds symbols in the objects of a link; opens an object when the first of its symbols is asked for."""

    def __init__(self, linking: Linking, inputs: Inputs) -> None:
        self.linking = linking
        self.inputs = inputs
        self.opened: dict[tuple[str, str], Object] = {}
        self.data: dict[str, Symbol] = {}

    def _ref(self, package: str, module: str) -> Ref | None:
        found = self.linking.packages[package].modules.get(module)
        if found is None and package == self.linking.entry[0]:
            found = self.linking.tests.get(module)
        return found

    def object(self, package: str, module: str) -> Object:
        """The object of a module that takes part."""
        found = self.opened.get((package, module))
        if found is None:
            ref = self._ref(package, module)
            assert ref is not None
            found = self.opened[package, module] = self.inputs.value(ref, objects.load)
            self.data.update({name: symbol for name, symbol in found.symbols.items() if symbol.kind == "data"})
        return found

    def nodes(self) -> tuple[str, ...]:
        """The nodes of the objects that were opened."""
        return tuple(sorted(ref.node for place in self.opened if (ref := self._ref(*place)) is not None))

    def find(self, name: str) -> Symbol | None:
        """A symbol by name, or None. Literals have no module; whoever refers to one has brought it."""
        if name in self.data:
            return self.data[name]
        package, _, path = name.rpartition("/")
        if package not in self.linking.packages:
            return None
        parts = path.split("#", 1)[0].split(".")
        for length in range(len(parts) - 1, 0, -1):
            module = ".".join(parts[:length])
            if self._ref(package, module) is not None:
                symbol = self.object(package, module).symbols.get(name)
                if symbol is not None:
                    return symbol
        return None


CANNOT_LINK, MISSING_SYMBOL = "cannot-link", "missing-symbol"
KEY, OPENED, WASM = "key", "opened", "wasm"


@dataclass(frozen=True, slots=True)
class Reach:
    """The key of a link: its symbols have to be found for it."""

    linking: Linking
    shallow: str

    def run(self, inputs: Inputs) -> Outcome:
        """Gives the key as artifact ``key`` and the nodes of the objects that were opened as ``opened``; where the link cannot be made,
        ``cannot-link`` or ``missing-symbol``."""
        linked = _linked(self, inputs)
        if isinstance(linked, Outcome):
            return linked
        key = self.linking.record(linked.linkable).key
        return Outcome({KEY: key.encode(), OPENED: json.dumps(linked.opened).encode()})


@dataclass(frozen=True, slots=True)
class Finish:
    """The WebAssembly module of a link."""

    linking: Linking
    shallow: str

    def run(self, inputs: Inputs) -> Outcome:
        """Gives the module as artifact ``wasm``."""
        linked = _linked(self, inputs)
        if isinstance(linked, Outcome):
            return linked
        return Outcome({WASM: compiler.finish(linked.linkable)})


def _linked(job: Reach | Finish, inputs: Inputs) -> Linked | Outcome:
    linking = job.linking
    try:
        if linking.main is not None:
            face = SymbolTable(linking, inputs).object(*linking.entry)
            problem = compiler.wrong_main(face.exports)
            if problem is not None:
                hint = "write `pub fun main(args: List<String>) -> Int32 { ... }`"
                return Outcome(diagnostics=(in_file(linking.main, "E0806", problem, hint),), failed=True)
        found: Linked = inputs.kept(job.shallow, lambda: linking.linkable(inputs))
        return found
    except compiler.MissingSymbol as error:
        return Outcome({MISSING_SYMBOL: json.dumps([error.name, error.wanted_by]).encode()}, failed=True)
    except compiler.CannotLink as error:
        symbol = error.symbol
        place = [symbol.name, symbol.file, symbol.lines[0][1], str(symbol.value)]
        return Outcome({CANNOT_LINK: json.dumps(place).encode()}, failed=True)


# -- tests -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunTests:
    """The tests of a module that was linked for them."""

    wasm: bytes

    def run(self, inputs: Inputs) -> Outcome:
        """Gives the results of all tests as artifact ``log``."""
        from dolbuild.runtime.harness import run_tests

        return Outcome({"log": compiler.canonical_json(run_tests(self.wasm))})
