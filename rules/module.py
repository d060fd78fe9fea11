"""Nodes of a module: its interface, and its object."""

import json
from collections.abc import Mapping
from typing import Any

from dolbuild import compiler
from dolbuild.analysis.closure import Closure
from dolbuild.analysis.resolution import Package as Resolvable
from dolbuild.analysis.resolution import Target, module_id
from dolbuild.cache.action import Record
from dolbuild.cache.digest import digest
from dolbuild.diagnostics import DiagnosticError
from dolbuild.documenting.examples import as_tests
from dolbuild.packages.package import Package
from dolbuild.rules.jobs import CompileModule, ExtractInterface, Outcome
from dolbuild.rules.node import Action, Node
from dolbuild.rules.session import Session
from dolbuild.rules.tool import tool_digest

INTERFACE_VERSION = 2
MODULE_VERSION = 1
TESTS = "tests:"
EXAMPLES = f"{TESTS}docs:"
"""Prefix of the modules that the examples in the documentation of others are."""


def module_path(package: Package, module: str) -> str:
    """The file of a module, relative to its package."""
    if module.startswith(TESTS):
        return package.tests[module.removeprefix(TESTS)]
    return package.modules[module]


def source_of(session: Session, package: Package, module: str) -> bytes:
    """The source of a module; that of examples is made from the documentation that they stand in. Raises DiagnosticError."""
    file = module_path(package, module)
    data = session.read(package.folder / file, file)
    return as_tests(data) if module.startswith(EXAMPLES) else data


def interface_name(package: Package, module: str) -> str:
    return f"interface:{package.label}/{module}"


def module_name(package: Package, module: str) -> str:
    return f"module:{package.label}/{module}"


def all_modules(package: Package) -> list[str]:
    """The modules of a package, those of its tests too."""
    return [*package.modules, *(f"{TESTS}{name}" for name in package.tests)]


def interface_node(package: Package, module: str) -> Node:
    """``interface:<member>/<module>``: from the source alone."""
    file = module_path(package, module)

    def prepare(session: Session) -> Action:
        options = {"file": file, "module": module}
        data: bytes | None = None
        source = "unreadable"
        try:
            data = source_of(session, package, module)
            source = digest(data)
        except DiagnosticError:
            pass  # the module's own node reports it; here it would keep others from being checked
        record = Record("interface", INTERFACE_VERSION, tool_digest(), options, {"source": source})

        job = ExtractInterface(file, module, data)
        return Action(record, lambda: session.run_job(job), ("doli", "uses", "docs", "private"), ("doli", "uses"))

    doc = f"what others may know of {file}"
    dependencies = (package.fetched_by,) if package.fetched_by else ()
    return Node(interface_name(package, module), doc, prepare, dependencies, shown=package.shown)


def module_node(
    package: Package,
    module: str,
    packages: Mapping[str, Package],
    resolvable: Mapping[str, Resolvable],
    options: compiler.Options,
    dependencies: tuple[str, ...],
) -> Node:
    """``module:<member>/<module>``: from the source and the interfaces of its closure. *packages* take part, *resolvable* says where
    paths in them lead."""
    file = module_path(package, module)
    id_ = module_id(package.id, module)
    own = interface_name(package, module)

    def prepare(session: Session) -> Action:
        data = source_of(session, package, module)
        closure = Closure(
            resolvable,
            lambda other: _interface(session, packages, other),
        )
        closure.of_module(id_, session.value(own, "uses", json.loads))
        inputs = {"source": digest(data)}
        closed = [_interface_node_of(packages, other) for other in sorted(closure.modules)]
        session.closures[module_name(package, module)] = (own, *closed)
        for other, interface in zip(sorted(closure.modules), closed, strict=True):
            inputs[f"interface {other}"] = session.ref(interface, "doli").digest.hash
        record = Record(
            "module",
            MODULE_VERSION,
            tool_digest(),
            {
                "file": file,
                "module": id_,
                "checked": options.checked,
                "resolutions": {
                    name: {path: _describe(target) for path, target in paths.items()}
                    for name, paths in closure.resolutions.items()
                },
            },
            inputs,
        )

        def run() -> Outcome:
            interfaces = dict(zip(sorted(closure.modules), (session.ref(one, "doli") for one in closed), strict=True))
            private = dict(zip(sorted(closure.modules), (session.ref(one, "private") for one in closed), strict=True))
            mute = bool(package.fetched_by)  # no one here can mend another's warnings
            return session.run_job(
                CompileModule(file, id_, data, interfaces, private, closure.resolutions, options, mute)
            )

        return Action(record, run, ("dolo",))

    doc = f"checks {file} and generates its code"
    return Node(module_name(package, module), doc, prepare, (own, *dependencies), shown=package.shown)


def _describe(target: Any) -> Any:
    return [target.module, *target.rest] if isinstance(target, Target) else str(target)


def _interface_node_of(packages: Mapping[str, Package], id_: str) -> str:
    package, _, module = id_.rpartition("/")
    return interface_name(packages[package], module)


def _interface(session: Session, packages: Mapping[str, Package], id_: str) -> Any:
    return session.value(_interface_node_of(packages, id_), "doli", json.loads)
