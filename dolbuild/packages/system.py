"""``System.dol``, as far as a build needs it before it is checked: its name and what it uses."""

import re
from dataclasses import dataclass

from dolbuild.diagnostics import Diagnostic, at
from dolbuild.packages.manifest import SYSTEM_FILE, Requirement
from dolbuild.packages.version import is_requirement
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
    requirements: dict[str, Requirement] = {}
    for member in systems[0].members:
        if not isinstance(member, t.Requires):
            continue
        if member.package in requirements:
            diagnostics.append(at(parsed.source, member.span, "E0603", f"`{member.package}` is used twice"))
        elif not isinstance(member.value, t.String) or not is_requirement(member.value.value):
            hint = 'write "^1.0", "~1.2", "=1.2.3" or ">=1.0, <3"'
            diagnostics.append(
                at(parsed.source, member.value.span, "E0606", "this is no requirement on versions", hint)
            )
        else:
            requirements[member.package] = Requirement(member.package, member.value.value, member.span)
    name = "-".join(_WORD.split(systems[0].name)).lower().replace("_", "-")
    return ReadSystem(name, tuple(requirements.values()), tuple(diagnostics))
