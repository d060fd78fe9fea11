"""Nodes of a System."""

from dolbuild.cache.action import Record
from dolbuild.cache.digest import digest
from dolbuild.diagnostics import Diagnostic, has_errors, in_file
from dolbuild.packages.manifest import SYSTEM_FILE
from dolbuild.rules.jobs import Outcome
from dolbuild.rules.node import Action, Node
from dolbuild.rules.session import Session
from dolbuild.rules.tool import tool_digest

MANIFEST_VERSION = 1


def system_manifest_node(
    label: str, shown: str, data: bytes, diagnostics: tuple[Diagnostic, ...], context: object
) -> Node:
    """``manifest:<system>``: what the System uses is there, in versions that fit."""

    def prepare(session: Session) -> Action:
        record = Record("system-manifest", MANIFEST_VERSION, tool_digest(), context, {"source": digest(data)})
        return Action(record, lambda: Outcome(diagnostics=diagnostics, failed=has_errors(diagnostics)))

    return Node(f"manifest:{label}", f"reads and checks what {SYSTEM_FILE} uses", prepare, shown=shown)


def system_node(label: str, shown: str, data: bytes, dependencies: tuple[str, ...]) -> Node:
    """``system:<system>``: the link, which this version cannot do; it says so."""

    def prepare(session: Session) -> Action:
        record = Record("system", MANIFEST_VERSION, tool_digest(), label, {"source": digest(data)})
        message = "a System is checked, but cannot be linked by this version of dolbuild"
        problem = in_file(SYSTEM_FILE, "E0901", message)
        return Action(record, lambda: Outcome(diagnostics=(problem,), failed=True))

    return Node(f"system:{label}", f"links {label}", prepare, dependencies, shown=shown)
