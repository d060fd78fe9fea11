"""Compiling and running small programs in one process, without a workspace."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from dolbuild import compiler
from dolbuild.analysis import resolution
from dolbuild.analysis.closure import Closure
from dolbuild.codegen import object as objects
from dolbuild.codegen.object import Object, Symbol
from dolbuild.diagnostics import Diagnostic
from dolbuild.packages.package import STANDARD_FOLDER

RUNTIME = resolution.RUNTIME
CASE = "@test/case"


@dataclass
class Built:
    """Objects by module id, all symbols, and everything that was reported."""

    objects: dict[str, Object] = field(default_factory=dict)
    symbols: dict[str, Symbol] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    options: compiler.Options = field(default_factory=compiler.Options)


def compile_packages(
    packages: Mapping[str, Mapping[str, tuple[str, bytes]]],
    requires: Mapping[str, Mapping[str, str]] | None = None,
    options: compiler.Options | None = None,
) -> Built:
    """Compile packages given as ``{package id: {module: (file, source)}}``."""
    resolvable = {
        id_: resolution.Package(id_, frozenset(modules), (requires or {}).get(id_, {}))
        for id_, modules in packages.items()
    }
    extracted = {
        f"{id_}/{module}": compiler.extract_interface(file, module, data)
        for id_, modules in packages.items()
        for module, (file, data) in modules.items()
    }
    interfaces = {name: json.loads(value.doli) for name, value in extracted.items()}
    built = Built()
    for id_, modules in packages.items():
        for module, (file, data) in modules.items():
            name = f"{id_}/{module}"
            closure = Closure(resolvable, interfaces.get)
            closure.of_module(name, json.loads(extracted[name].uses))
            world = {other: interfaces[other] for other in closure.modules}
            compiled = compiler.compile_module(
                file,
                name,
                data,
                world,
                closure.resolutions,
                options or compiler.Options(),
                lambda other: json.loads(extracted[other].private),
            )
            built.diagnostics += compiled.diagnostics
            if compiled.object is not None:
                built.objects[name] = objects.load(compiled.object)
                built.symbols.update(built.objects[name].symbols)
    return built


@lru_cache(maxsize=2)
def runtime(options: compiler.Options) -> Built:
    """The runtime, compiled once for each profile."""
    base = STANDARD_FOLDER / "runtime"
    modules = {path.stem: (f"src/{path.name}", path.read_bytes()) for path in sorted((base / "src").glob("*.dol"))}
    built = compile_packages({RUNTIME: modules}, options=options)
    assert not built.diagnostics, [(d.place, d.message) for d in built.diagnostics]
    return built


def compile_case(files: Mapping[str, str], options: compiler.Options | None = None) -> Built:
    """Compile the modules of one Spirit, given as ``{module: source}``."""
    modules = {module: (f"src/{module.replace('.', '/')}.dol", text.encode()) for module, text in files.items()}
    built = compile_packages({CASE: modules}, options=options)
    built.options = options or compiler.Options()
    built.symbols.update(runtime(built.options).symbols)
    return built


def link_face(built: Built, module: str = "lib") -> bytes:
    """The library of a compiled case."""
    face = built.objects[f"{CASE}/{module}"]
    return compiler.finish(compiler.prepare_spirit(face, built.symbols.get, "test", {}, built.options))


def library(source: str, options: compiler.Options | None = None) -> Any:
    """An instance of a library made of one module, as a caller: ``library(text)("name", 1, 2)``."""
    from dolbuild.runtime.instance import Program

    built = compile_case({"lib": source}, options)
    assert not [d for d in built.diagnostics if d.code.startswith("E")], built.diagnostics
    program = Program(link_face(built))
    exports = {export["name"]: export for export in program.exports}

    def call(name: str, *arguments: Any) -> Any:
        return program.instantiate().call(exports[name], list(arguments))

    return call
