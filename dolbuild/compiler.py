"""The pure face of the compiler: bytes in, bytes and diagnostics out. It reads no file.

The rules of the build call these functions and nothing else of `syntax`, `analysis` and `codegen`.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dolbuild.analysis import check as checking
from dolbuild.analysis import interface
from dolbuild.analysis import system as systems
from dolbuild.analysis import types as ty
from dolbuild.analysis.resolution import FACE, RUNTIME, split_id
from dolbuild.analysis.world import Resolutions, Scope, World
from dolbuild.codegen import object as objects
from dolbuild.codegen.border import Border
from dolbuild.codegen.frame import Options
from dolbuild.codegen.generate import VARIABLE, generate
from dolbuild.codegen.instances import Instances
from dolbuild.codegen.link import (
    CannotLink,
    MissingSymbol,
    Request,
    Root,
    SymbolTable,
    json_section,
    link,
    reach,
)
from dolbuild.codegen.names import parse_type, type_text
from dolbuild.codegen.object import Object, Symbol
from dolbuild.deep import deeply
from dolbuild.diagnostics import Diagnostic, has_errors, in_file
from dolbuild.source import SourceFile, decode
from dolbuild.syntax.parser import Parsed, parse

MAX_SOURCE = 64 * 1024 * 1024
"""Bytes of the largest source file that is read."""

EFFECT_BOUNDARY = "sex"
"""First part of the path of the modules that are a Spirit's effect boundary."""

NEW_STRING = "dol.new_string"
NEW_LIST = "dol.new_list"
"""Exports through which the host makes arguments."""


def canonical_json(value: Any) -> bytes:
    """The one encoding of a JSON value that every artifact uses."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def parse_bytes(file: str, data: bytes) -> Parsed:
    """Parse a file's bytes; what is no UTF-8 or too large is a diagnostic and an empty tree."""
    problem = None
    text = ""
    if len(data) > MAX_SOURCE:
        problem = in_file(file, "E0115", f"this file is larger than {MAX_SOURCE >> 20} MiB")
    else:
        try:
            text = decode(data)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            message = f"this file is no UTF-8: line {line} holds the byte 0x{data[error.start]:02X}"
            problem = in_file(file, "E0114", message)
    parsed = parse(SourceFile(file, text))
    if problem is None:
        return parsed
    return Parsed(parsed.source, parsed.file, (problem,), ())


@dataclass(frozen=True, slots=True)
class Interface:
    """The artifacts of a module's interface, each as bytes."""

    doli: bytes
    uses: bytes
    docs: bytes
    private: bytes


def extract_interface(file: str, module: str, data: bytes | None) -> Interface:
    """What others may know of a module (see `dolbuild.analysis.interface`). Never fails: a file that cannot
    be read (None) or parsed gives an interface that says it is broken."""
    parsed = parse_bytes(file, data or b"")
    if data is None:
        parsed = replace(parsed, diagnostics=(in_file(file, "E0705", "this file cannot be read"),))
    extracted = interface.extract(parsed, _is_effect_boundary(module))
    return Interface(
        canonical_json(extracted.doli),
        canonical_json(extracted.uses),
        canonical_json(extracted.docs),
        canonical_json(extracted.private),
    )


@dataclass(frozen=True, slots=True)
class Compiled:
    """A module's object, or None where it has errors; the diagnostics name the file as it was given."""

    object: bytes | None
    diagnostics: tuple[Diagnostic, ...]


def compile_module(
    file: str,
    module_id: str,
    data: bytes,
    interfaces: Mapping[str, Any],
    resolutions: Resolutions,
    options: Options,
    private: Callable[[str], Collection[str]] = lambda module: (),
) -> Compiled:
    """Check one module against the interfaces of its closure and generate its code.

    *private* names the private items of a module; it is asked only where there is an error to explain.
    """
    try:
        return deeply(lambda: _compile_module(file, module_id, data, interfaces, resolutions, options, private))
    except RecursionError:
        problem = in_file(file, "E0107", "this file nests too deeply", "give the inner parts names of their own")
        return Compiled(None, (problem,))


def _compile_module(
    file: str,
    module_id: str,
    data: bytes,
    interfaces: Mapping[str, Any],
    resolutions: Resolutions,
    options: Options,
    private: Callable[[str], Collection[str]],
) -> Compiled:
    package, module = split_id(module_id)
    parsed = parse_bytes(file, data)
    world = World(interfaces, resolutions, private)
    checked = checking.check(parsed, Scope(module_id), world, _is_effect_boundary(module))
    diagnostics = tuple(checked.diagnostics)
    if has_errors(diagnostics):
        return Compiled(None, diagnostics)
    shown = f"{package.rpartition('/')[2]}/{file}"
    object_ = generate(parsed.source, checked, options, shown, package == RUNTIME)
    object_.exports = [describe_export(export) for export in checked.exports]
    if checked.system is not None:
        object_.system = describe_system(checked.system, shown, parsed)
    return Compiled(objects.dump(object_), diagnostics)


def _is_effect_boundary(module: str) -> bool:
    return module.split(".", 1)[0] == EFFECT_BOUNDARY


def type_value(type_: ty.Type) -> Any:
    """A type as JSON for the host: a name, or ``[name, arguments...]``."""
    if isinstance(type_, ty.Named):
        return [type_.symbol, *map(type_value, type_.arguments)]
    if isinstance(type_, ty.TupleOf):
        return ["tuple", *map(type_value, type_.items)]
    return str(type_)


def shown_type(text: str) -> str:
    """A type as people write it, from its text in objects and sections."""
    return str(parse_type(text))


def describe_export(export: checking.Export) -> dict[str, Any]:
    """An exported function as the ``dol.exports`` section has it."""
    return {
        "name": export.name,
        "symbol": export.symbol,
        "parameters": [[name, type_value(type_)] for name, type_ in export.parameters],
        "result": type_value(export.result),
    }


def describe_system(system: systems.System, file: str, parsed: Parsed) -> dict[str, Any]:
    """A System as its object has it: types are texts (`dolbuild.codegen.names`), what a host calls are symbols."""

    def line(offset: int) -> int:
        return parsed.source.line_column(offset)[0]

    return {
        "name": system.name,
        "symbol": system.symbol,
        "doc": system.doc,
        "file": file,
        "functions": [
            {
                "name": function.name,
                "symbol": function.symbol,
                "instance": function.instance,
                "effectful": function.effectful,
                "parameters": [
                    {"name": p.name, "type": type_text(p.type), "default": p.default or None}
                    for p in function.parameters
                ],
                "result": type_text(function.result),
                "doc": function.doc,
                "line": line(function.start),
            }
            for function in system.functions
        ],
        "constraints": [
            {
                "name": constraint.name,
                "text": constraint.text,
                "holds": constraint.holds,
                "explain": constraint.explain or None,
                "line": line(constraint.start),
            }
            for constraint in system.constraints
        ],
    }


@dataclass(frozen=True, slots=True)
class Linkable:
    """What a link consists of: its request and the symbols that it reaches."""

    request: Request
    symbols: list[Symbol]

    @property
    def record(self) -> list[tuple[str, str]]:
        """Names and digests of all that the link depends on."""
        return [(symbol.name, symbol.digest) for symbol in self.symbols]


def host_roots(exports: list[dict[str, Any]]) -> tuple[Root, ...]:
    """The exports, and what the host needs to make arguments for them."""
    roots = [Root(export["name"], export["symbol"]) for export in exports]
    kinds = [type_ for export in exports for _, type_ in export["parameters"]]
    if any(_mentions(kind, ("String", "List")) for kind in kinds):
        roots.append(Root(NEW_STRING, f"{RUNTIME}/strings.create"))
    if any(_mentions(kind, ("List",)) for kind in kinds):
        roots.append(Root(NEW_LIST, f"{RUNTIME}/lists.create"))
    return tuple(roots)


def _mentions(kind: Any, names: tuple[str, ...]) -> bool:
    if isinstance(kind, str):
        return kind in names
    return kind[0] in names or any(_mentions(part, names) for part in kind[1:])


def prepare_spirit(
    face: Object,
    find: SymbolTable,
    tool: str,
    manifest: Any,
    options: Options,
    interfaces: Mapping[str, Any] | None = None,
) -> Linkable:
    """The link of a Spirit's library or binary from the object of its face (or ``main``). *interfaces*: those of its
    modules, which a library carries."""
    exports = [export for export in face.exports if _is_hostable(export)]
    sections = {
        "dol.exports": json_section(exports),
        "dol.manifest": json_section(manifest),
    }
    if interfaces is not None:
        sections["dol.interface"] = json_section(dict(interfaces))
    return _reached(Request(host_roots(exports), sections, tool), find, options)


SYSTEM_SECTION = "dol.system"


def prepare_system(
    object_: Object, find: SymbolTable, tool: str, options: Options, uses: Mapping[str, Mapping[str, str]]
) -> Linkable:
    """The link of a System from its object. *uses*: requirement and version of each package that it uses."""
    system = object_.system
    assert system is not None
    instances = Instances(find, options)
    border = Border(instances.shape, instances.find)
    functions = [function | {"export": function["name"]} for function in system["functions"]]
    for function in functions:
        border.roots[function["symbol"]] = Root(function["name"], function["symbol"])
        border.add(parse_type(text) for text in (function["result"], *(p["type"] for p in function["parameters"])))
        function["parameters"] = [
            parameter | {"default": parameter["default"] and border.export(parameter["default"])}
            for parameter in function["parameters"]
        ]
    constraints = [
        constraint
        | {
            "holds": border.export(constraint["holds"]),
            "explain": constraint["explain"] and border.export(constraint["explain"]),
        }
        for constraint in system["constraints"]
    ]
    border.add([ty.Named(system["symbol"])])
    new_string = Root(NEW_STRING, f"{RUNTIME}/strings.create")
    variables: dict[str, Any] = {}
    while True:
        roots = (*border.roots.values(), new_string)
        symbols = reach(roots, instances.find)
        found = {name: value for symbol in symbols if (value := _variable(symbol, find)) for name in [value["name"]]}
        if found.keys() == variables.keys():
            break
        variables = found
        border.add(parse_type(value["type"]) for value in found.values())
    described = {
        **{key: value for key, value in system.items() if key not in ("functions", "constraints")},
        "uses": {
            package: dict(use) | {"digest": _digest_of(package, symbols)} for package, use in sorted(uses.items())
        },
        "functions": functions,
        "constraints": constraints,
        "types": border.types,
        "variables": [variables[name] for name in sorted(variables)],
    }
    return _linkable(Request(roots, {SYSTEM_SECTION: json_section(described)}, tool, state=True), symbols, options)


def _variable(symbol: Symbol, find: SymbolTable) -> dict[str, Any] | None:
    """The module's variable that a symbol is a slot of; None for what is none, or belongs to the runtime."""
    if symbol.kind not in ("global", "root") or not symbol.mutable or symbol.name.startswith(RUNTIME + "/"):
        return None
    name = symbol.name.partition("#")[0]
    described = find(name + VARIABLE)
    return None if described is None else {"name": name, **described.value}


def _digest_of(package: str, symbols: list[Symbol]) -> str:
    """What of a package is in the link: a digest of its symbols that are reached."""
    own = [[symbol.name, symbol.digest] for symbol in symbols if symbol.name.startswith(package + "/")]
    return hashlib.sha256(canonical_json(own)).hexdigest()


def _reached(request: Request, find: SymbolTable, options: Options) -> Linkable:
    """The link of a request, with the symbols that its roots reach."""
    return _linkable(request, reach(request.roots, Instances(find, options).find), options)


def _linkable(request: Request, symbols: list[Symbol], options: Options) -> Linkable:
    """What a link consists of, and the section that says what it was made from: the tool, and a digest of all symbols."""
    record = [[symbol.name, symbol.digest] for symbol in symbols]
    made_from = {
        "tool": f"dolbuild {request.tool}",
        "profile": {"overflow": "trap" if options.checked else "wrap", "whole": options.whole},
        "symbols": hashlib.sha256(canonical_json(record)).hexdigest(),
    }
    sections = {**request.sections, "dol.provenance": json_section(made_from)}
    return Linkable(replace(request, sections=sections), symbols)


def _is_hostable(export: dict[str, Any]) -> bool:
    kinds = [type_ for _, type_ in export["parameters"]] + [export["result"]]
    return all(_is_host_type(kind) for kind in kinds)


def _is_host_type(kind: Any) -> bool:
    """Whether the host can make and read values of a type."""
    if isinstance(kind, str):
        return kind in ty.PRIMITIVES
    return kind[0] in ("Option", "List") and all(_is_host_type(part) for part in kind[1:])


MAIN_RESULTS = ("Void", *(f"{prefix}Int{bits}" for prefix in ("", "U") for bits in (8, 16, 32, 64)))
"""What ``main`` may give: nothing, or a number whose low eight bits are the exit status."""


def wrong_main(exports: list[dict[str, Any]]) -> str | None:
    """What is wrong with the ``main`` of a binary, or None."""
    main = next((export for export in exports if export["name"] == "main"), None)
    if main is None:
        return "this binary has no function `main`"
    if [kind for _, kind in main["parameters"]] not in ([], [["List", "String"]]):
        return "`main` takes nothing, or a List<String>"
    return None if main["result"] in MAIN_RESULTS else "`main` gives nothing, or an integer"


def prepare_tests(object_: Object, find: SymbolTable, tool: str, options: Options) -> Linkable:
    """The link of a module's tests: each is exported as ``test 0``, ``test 1``, ..."""
    roots = tuple(Root(f"test {index}", test["symbol"]) for index, test in enumerate(object_.tests))
    return _reached(Request(roots, {"dol.tests": json_section(object_.tests)}, tool), find, options)


def finish(linkable: Linkable) -> bytes:
    """The WebAssembly module of a prepared link."""
    return deeply(lambda: link(linkable.request, linkable.symbols))


__all__ = [
    "FACE",
    "SYSTEM_SECTION",
    "CannotLink",
    "Compiled",
    "Interface",
    "Linkable",
    "MissingSymbol",
    "Options",
    "compile_module",
    "extract_interface",
    "finish",
    "prepare_spirit",
    "prepare_system",
    "prepare_tests",
    "shown_type",
    "wrong_main",
]
