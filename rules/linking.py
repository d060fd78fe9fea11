"""Links of a run: their keys, which are remembered, and their modules."""

import json
from collections.abc import Mapping
from functools import partial

from dolbuild import compiler
from dolbuild.cache.action import canonical
from dolbuild.cache.digest import digest
from dolbuild.cache.tiered import Origin
from dolbuild.codegen.names import split_instance
from dolbuild.diagnostics import Diagnostic, DiagnosticError
from dolbuild.packages.package import Package
from dolbuild.rules.jobs import (
    CANNOT_LINK,
    KEY,
    LINK_VERSION,
    MISSING_SYMBOL,
    OPENED,
    WASM,
    Finish,
    Linking,
    Objects,
    Outcome,
    Reach,
    Ref,
)
from dolbuild.rules.lazily import Lazily
from dolbuild.rules.module import interface_name, module_name
from dolbuild.rules.session import Session, Trace
from dolbuild.source import Place

__all__ = ["LINK_VERSION", "Link", "objects_of"]


class Link:
    """One link of a run.

    Its key is made of the digests of the symbols that it reaches. Finding them is work of its own, so the key is remembered in the
    cache under the digests of all objects that could take part: where none of them changed, nothing has to be looked at.
    """

    def __init__(self, session: Session, packages: Mapping[str, Package], linking: Linking, name: str) -> None:
        self.session = session
        self.packages = packages
        self.linking = linking
        self.name = name
        self.shallow = linking.shallow()

    @property
    def key(self) -> str:
        """Raises DiagnosticError where the link cannot be made."""
        trace = self.session.traces.get(self.name)
        if trace is not None and self._holds(trace):
            return trace.key
        known = self.session.cache.lookup(self.shallow)
        if known is not None and isinstance(known.result.notes, str):
            if known.origin is Origin.REMOTE:
                self.session.cache.adopt(self.shallow.key, known.result)
            return known.result.notes
        outputs = self._run(Reach(self.linking, self.shallow.key))
        key = outputs[KEY].decode()
        opened = tuple((node, self.session.ref(node, "dolo").digest.hash) for node in json.loads(outputs[OPENED]))
        self.session.traces[self.name] = Trace(key, self._described(), opened)
        self.session.cache.remember(self.shallow, key)
        return key

    def _described(self) -> str:
        """What the link is made from beside objects."""
        interfaces = {name: ref.digest.hash for name, ref in (self.linking.interfaces or {}).items()}
        return digest(canonical([self.linking.said, interfaces]))

    def _holds(self, trace: Trace) -> bool:
        """Whether no object has changed that was opened to find the symbols, so that they are the same."""
        session = self.session
        return trace.described == self._described() and all(
            node in session.results and session.ref(node, "dolo").digest.hash == found for node, found in trace.opened
        )

    def wasm(self) -> bytes:
        """The module. Raises DiagnosticError."""
        return self._run(Finish(self.linking, self.shallow.key))[WASM]

    def _run(self, job: Reach | Finish) -> Mapping[str, bytes]:
        outcome = self.session.run_job(job, hint=self.shallow.key)
        if outcome.failed:
            raise DiagnosticError(*self._explain(outcome))
        return outcome.outputs

    def _explain(self, outcome: Outcome) -> tuple[Diagnostic, ...]:
        if MISSING_SYMBOL in outcome.outputs:
            name, wanted_by = json.loads(outcome.outputs[MISSING_SYMBOL])
            message = f"the symbol `{name}` is in no object; `{wanted_by}` refers to it"
            return (Diagnostic("E0802", message),)
        if CANNOT_LINK in outcome.outputs:
            return (self._cannot_compile(*json.loads(outcome.outputs[CANNOT_LINK])),)
        return outcome.diagnostics

    def _cannot_compile(self, symbol: str, file: str, line: int, message: str) -> Diagnostic:
        """What is reached and cannot be compiled, at its place."""
        package = self.packages.get(split_instance(symbol)[0].rpartition("/")[0])
        if package is None:
            return Diagnostic("E0901", message)
        file = file.partition("/")[2]
        text = ""
        try:
            source = self.session.read(package.folder / file, file).decode("utf-8", "replace")
            text = source.split("\n")[line - 1].rstrip("\r")
        except (DiagnosticError, IndexError):
            pass  # the place alone has to do
        indent = len(text) - len(text.lstrip())
        shown = f"{package.shown}/{file}" if package.shown else file
        place = Place(shown, line, indent + 1, line, len(text) + 1)
        return Diagnostic("E0901", message, place, text, rooted=True)


def objects_of(session: Session, packages: Mapping[str, Package]) -> dict[str, Objects]:
    """The objects of packages whose nodes are done."""
    return {id_: _objects(session, package) for id_, package in packages.items()}


def _objects(session: Session, package: Package) -> Objects:
    known = session.objects.get(package.id)
    if known is None:
        modules: Lazily[Ref] = Lazily()
        for module in package.modules:
            modules.later(module, partial(session.ref, module_name(package, module), "dolo"))
        named = session.known_objects.get(package.id)
        if named is None:
            named = _digest(session, package)
        known = session.objects[package.id] = Objects(named, modules)
    return known


def _digest(session: Session, package: Package) -> str:
    """The digest of all objects and interfaces of a package."""
    found: dict[str, str] = {}
    for module in package.modules:
        node = module_name(package, module)
        found[node] = session.ref(node, "dolo").digest.hash
        found[f"interface {node}"] = session.ref(interface_name(package, module), "doli").digest.hash
    return digest(canonical(found))


def linking_of_tests(
    session: Session,
    package: Package,
    module: str,
    packages: Mapping[str, Package],
    profile: str,
    options: compiler.Options,
) -> Linking:
    """The link of the tests of one module, whose node is done."""
    own = module_name(package, module)
    tests = {module: session.ref(own, "dolo")}
    return Linking(
        (package.id, module), {"profile": profile, "tests": own}, objects_of(session, packages), tests, options
    )
