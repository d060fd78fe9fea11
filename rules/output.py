"""Ways to show a run: as plain lines, quietly, or as JSON. `rules/live.py` has the one for terminals, `rules/github.py` that of GitHub Actions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from dolbuild.diagnostics import render
from dolbuild.rules.events import Event, Status
from dolbuild.rules.report import Output, Report, size_of
from dolbuild.rules.runlog import EventLog
from dolbuild.terminal import wants_color

QUIET_KINDS = ("interface:", "_")
"""Nodes that are not worth a line."""

SHOWN = {Status.REMOTE_HIT: "remote"}
"""Outcomes whose word is shorter in a line than in data."""


def is_worth_a_line(node: str) -> bool:
    """Whether a node is one that people know of."""
    return not node.startswith(QUIET_KINDS) and "@dol/" not in node


def line_of(event: Event) -> str:
    """A node in one line."""
    return f"{SHOWN.get(event.status, str(event.status)):<7} {event.node}\n"


@dataclass(slots=True)
class Plain(Output):
    """Lines, for a pipe or a file: one for each node, then diagnostics, what was built, and a summary."""

    out: TextIO
    err: TextIO
    color: bool = False

    def node(self, event: Event) -> None:
        if is_worth_a_line(event.node):
            self.out.write(line_of(event))
            self.out.flush()

    def finish(self, report: Report) -> None:
        self.out.flush()
        show_diagnostics(report, self.err, self.color)
        show_end(report, self.out, self.err)


@dataclass(slots=True)
class Quiet(Output):
    """What went wrong, and nothing else: errors, without warnings."""

    err: TextIO
    color: bool = False

    def finish(self, report: Report) -> None:
        show_diagnostics(report, self.err, self.color, only="E")
        show_troubles(report, self.err)


@dataclass(slots=True)
class Machine(Output):
    """One JSON value a line, for programs."""

    out: TextIO
    err: TextIO

    def node(self, event: Event) -> None:
        self._write({"event": "node", "node": event.node, "status": str(event.status)})

    def skip(self, node: str) -> None:
        self._write({"event": "node", "node": node, "status": "skipped"})

    def finish(self, report: Report) -> None:
        for diagnostic in report.ordered():
            self._write({"event": "diagnostic", **diagnostic.to_json()})
        counts = {str(status): report.counts[status] for status in Status}
        counts[str(Status.SKIPPED)] = len(report.skipped)
        self._write(
            {"event": "summary", **counts, "saved_seconds": round(report.saved, 3), "failed_build": report.failed}
        )
        self.out.flush()
        show_troubles(report, self.err)

    def _write(self, value: dict[str, Any]) -> None:
        self.out.write(json.dumps(value, ensure_ascii=False) + "\n")


@dataclass(slots=True)
class Recorded(Output):
    """Writes the record that ``--events`` asks for."""

    log: EventLog

    def node(self, event: Event) -> None:
        self.log.add(event)

    def skip(self, node: str) -> None:
        self.log.add(Event(node, Status.SKIPPED))


def show_diagnostics(report: Report, err: TextIO, color: bool, only: str = "EW") -> None:
    """Write the diagnostics of a run whose codes begin with one of some letters."""
    for diagnostic in report.ordered():
        if diagnostic.code[0] in only:
            err.write(render(diagnostic, color=color) + "\n")
    err.flush()


def show_end(report: Report, out: TextIO, err: TextIO, most: int | None = None) -> None:
    """Write what was built (at *most* so many files by name), the summary, and what went wrong around the nodes."""
    built = sorted(report.built)
    for path in built[:most]:
        out.write(f"built   {path}  {size_of(report.session.root / path)}\n")
    if most is not None and len(built) > most:
        out.write(f"        and {len(built) - most} more files\n")
    out.write(report.summary() + "\n")
    out.flush()
    show_troubles(report, err)


def show_troubles(report: Report, err: TextIO) -> None:
    """Write what went wrong around the nodes."""
    for line in report.troubles():
        err.write(f"{line}\n")
    err.flush()


def choose(out: TextIO, err: TextIO, environment: Mapping[str, str], *, machine: bool, quiet: bool) -> Output:
    """The way to show a run that fits where its output goes."""
    color = wants_color(err, environment)
    if machine:
        return Machine(out, err)
    if quiet:
        return Quiet(err, color)
    if environment.get("GITHUB_ACTIONS") == "true":
        from dolbuild.rules.github import GitHub

        return GitHub(out, err, environment)
    if out.isatty() and environment.get("TERM", "dumb") != "dumb" and not environment.get("CI"):
        from dolbuild.rules.live import Live

        return Live(out, err, color)
    return Plain(out, err, color)
