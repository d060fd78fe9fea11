"""``System.dol``, as far as a build needs it before it is checked: its name and what it uses."""

import re
from dataclasses import dataclass

from dolbuild.diagnostics import Diagnostic, at
from dolbuild.packages.evaluate import CannotEvaluate, Evaluator
from dolbuild.packages.manifest import SYSTEM_FILE, Requirement, requirement_of
from dolbuild.source import Span
from dolbuild.syntax import tree as t
from dolbuild.syntax.parser import Parsed

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class ReadSystem:
    """*name* is the System's name in lower case with hyphens: ``ProductionCluster`` is production-cluster."""

    name: str
    requires: tuple[Requirement, ...]
    diagnostics: tuple[Diagnostic, ...]


def read_system(parsed: Parsed) -> ReadSystem:
    """Read the tree of a ``System.dol``."""
    diagnostics: list[Diagnostic] = []
    systems = [item for item in parsed.file.items if isinstance(item, t.System)]
    if len(systems) != 1 and not parsed.broken:
        what = "no system" if not systems else "more than one system"
        diagnostics.append(at(parsed.source, Span(0, 0), "E0602", f"{SYSTEM_FILE} declares {what}"))
    if not systems:
        return ReadSystem("", (), tuple(diagnostics))

    def report(node: t.Node | Span, code: str, message: str, hint: str = "") -> None:
        span = node if isinstance(node, Span) else node.span
        diagnostics.append(at(parsed.source, span, code, message, hint))

    requirements: dict[str, Requirement] = {}
    for member in systems[0].members:
        if not isinstance(member, t.Requires):
            continue
        try:
            value = Evaluator({}).value(member.value)
        except CannotEvaluate as error:
            report(error.node, "E0502", f"`{member.package}` is used in no way: {error.reason}")
            continue
        requirement = requirement_of(member, value, report)
        if requirement is None:
            continue
        if requirement.name.id in requirements:
            report(member, "E0603", f"`{member.package}` is used twice")
        else:
            requirements[requirement.name.id] = requirement
    name = "-".join(_WORD.split(systems[0].name)).lower().replace("_", "-")
    return ReadSystem(name, tuple(requirements.values()), tuple(diagnostics))
