"""Nodes of a System: what it uses, and its WebAssembly module with a description beside it."""

import json
from collections.abc import Mapping

from dolbuild import __version__, compiler
from dolbuild.analysis.check import SYSTEM
from dolbuild.cache.action import Record
from dolbuild.cache.digest import digest
from dolbuild.diagnostics import Diagnostic, has_errors
from dolbuild.packages.manifest import SYSTEM_FILE
from dolbuild.packages.package import Package
from dolbuild.rules.jobs import LINK_VERSION, Linking, Outcome
from dolbuild.rules.linking import Link, objects_of
from dolbuild.rules.node import Action, Node
from dolbuild.rules.session import Session
from dolbuild.rules.tool import tool_digest
from dolbuild.runtime.sections import custom_sections

MANIFEST_VERSION = 1
MODULE, DESCRIPTION = "system.wasm", "system.json"
"""Artifacts of a System."""

Uses = Mapping[str, Mapping[str, str]]
"""By package: what is required of it, and the version that it has."""


def system_manifest_node(
    label: str, shown: str, data: bytes, diagnostics: tuple[Diagnostic, ...], context: object
) -> Node:
    """``manifest:<system>``: what the System uses is there, in versions that fit."""

    def prepare(session: Session) -> Action:
        record = Record("system-manifest", MANIFEST_VERSION, tool_digest(), context, {"source": digest(data)})
        return Action(record, lambda: Outcome(diagnostics=diagnostics, failed=has_errors(diagnostics)))

    return Node(f"manifest:{label}", f"reads and checks what {SYSTEM_FILE} uses", prepare, shown=shown)


def system_targets(name: str, output: str) -> dict[str, str]:
    """What a System is built to: files in the workspace, and the artifact that each holds."""
    return {f"{output}/systems/{name}.wasm": MODULE, f"{output}/systems/{name}.json": DESCRIPTION}


def system_node(
    package: Package,
    packages: Mapping[str, Package],
    uses: Uses,
    output: str,
    profile: str,
    options: compiler.Options,
    dependencies: tuple[str, ...],
) -> Node:
    """``system:<system>``: ``<name>.wasm``, and ``<name>.json`` that says what is in it."""

    def prepare(session: Session) -> Action:
        described = {"profile": profile, "uses": uses}
        objects = objects_of(session, packages)
        linking = Linking((package.id, SYSTEM), described, objects, {}, options, uses=uses)
        link = Link(session, packages, linking, f"system:{package.label}")
        record = Record("system", LINK_VERSION, tool_digest(), {"name": package.label}, {MODULE: link.key})

        def run() -> Outcome:
            wasm = link.wasm()
            return Outcome({MODULE: wasm, DESCRIPTION: description(package.label, wasm)})

        return Action(record, run, (MODULE, DESCRIPTION))

    doc = f"links the System {package.label}"
    return Node(
        f"system:{package.label}", doc, prepare, dependencies, system_targets(package.label, output), package.shown
    )


def description(name: str, wasm: bytes) -> bytes:
    """``<name>.json``: what a System is made of and what can be asked of it, for people and tools that need not run it."""
    system = json.loads(custom_sections(wasm)[compiler.SYSTEM_SECTION])
    state = system["types"][system["symbol"]]["fields"]
    described = {
        "name": name,
        "system": system["name"],
        "exegesis": system["doc"],
        "tool": f"dolbuild {__version__}",
        "wasm": {"file": f"{name}.wasm", "sha256": digest(wasm), "size": len(wasm)},
        "spirits": [{"package": package, **use} for package, use in system["uses"].items()],
        "state": [{"name": field["name"], "type": compiler.shown_type(field["type"])} for field in state],
        "functions": [
            {
                "name": function["name"],
                "effects": function["effectful"],
                "parameters": [
                    {
                        "name": parameter["name"],
                        "type": compiler.shown_type(parameter["type"]),
                        "optional": parameter["default"] is not None,
                    }
                    for parameter in function["parameters"]
                ],
                "result": compiler.shown_type(function["result"]),
                "doc": function["doc"],
            }
            for function in system["functions"]
        ],
        "constraints": [
            {"name": one["name"], "text": one["text"], "file": system["file"], "line": one["line"]}
            for one in system["constraints"]
        ],
    }
    return json.dumps(described, indent=2, ensure_ascii=False).encode() + b"\n"
