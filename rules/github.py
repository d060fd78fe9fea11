"""A run as GitHub Actions shows it: its lines in a group, diagnostics as annotations in the files, the summary on the run's page.

Source: "Workflow commands for GitHub Actions", docs.github.com.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from dolbuild.diagnostics import Diagnostic, Severity, render
from dolbuild.rules.events import Event
from dolbuild.rules.output import is_worth_a_line, line_of, show_end
from dolbuild.rules.report import WORDS, Output, Report, duration

MAX_ANNOTATIONS = 10
"""GitHub shows that many errors and that many warnings of a step."""


class GitHub(Output):
    """*environment*: ``GITHUB_WORKSPACE`` is the checkout that files are named from, ``GITHUB_STEP_SUMMARY`` the file of the summary."""

    def __init__(self, out: TextIO, err: TextIO, environment: Mapping[str, str]) -> None:
        self.out = out
        self.err = err
        self.checkout = environment.get("GITHUB_WORKSPACE", "")
        self.summary = environment.get("GITHUB_STEP_SUMMARY", "")
        self._is_open = False

    def node(self, event: Event) -> None:
        if is_worth_a_line(event.node):
            if not self._is_open:
                self.out.write("::group::nodes\n")
                self._is_open = True
            self.out.write(line_of(event))

    def finish(self, report: Report) -> None:
        if self._is_open:
            self.out.write("::endgroup::\n")
        left = dict.fromkeys(Severity, MAX_ANNOTATIONS)
        for diagnostic in report.ordered():
            # the place of the text is the log's, that of the annotation the changed files' view
            self.out.write(render(diagnostic) + "\n")
            if left[diagnostic.severity]:
                left[diagnostic.severity] -= 1
                self.out.write(self.annotation(diagnostic, report.session.root) + "\n")
        show_end(report, self.out, self.err)
        if self.summary:
            self._write_summary(report)

    def annotation(self, diagnostic: Diagnostic, root: Path) -> str:
        """A diagnostic as a workflow command."""
        properties = {"title": diagnostic.code}
        place = diagnostic.place
        if place is not None:
            properties = {"file": self._from_checkout(root, place.file), "line": str(place.line)} | properties
            if place.end_line == place.line and place.end_column > place.column:
                properties |= {"col": str(place.column), "endColumn": str(place.end_column)}
        said = "\n".join(
            [diagnostic.message, *diagnostic.notes, *([f"hint: {diagnostic.hint}"] if diagnostic.hint else [])]
        )
        told = ",".join(f"{name}={_escaped_property(value)}" for name, value in properties.items())
        return f"::{diagnostic.severity} {told}::{_escaped(said)}"

    def _from_checkout(self, root: Path, file: str) -> str:
        """A file of the workspace, seen from the checkout that it is in."""
        if not self.checkout:
            return file
        path = os.path.relpath(root / file, os.path.realpath(self.checkout))
        return file if path.startswith("..") else Path(path).as_posix()

    def _write_summary(self, report: Report) -> None:
        rows = [(word, report.counts[status]) for status, word in WORDS.items() if report.counts[status]]
        rows += [("skipped", len(report.skipped))] if report.skipped else []
        lines = [f"### dolbuild: {'failed' if report.failed else 'passed'}", "", "| nodes | |", "|---|---:|"]
        lines += [f"| {word} | {count} |" for word, count in rows]
        lines += ["", f"{duration(report.seconds)}, of work saved by the caches: {duration(report.saved)}.", ""]
        errors = [d for d in report.ordered() if d.severity is Severity.ERROR]
        if errors:
            shown = errors[:50]
            lines += [f"```text\n{''.join(render(one) + chr(10) for one in shown).replace('```', chr(96) * 2)}```", ""]
            if len(errors) > len(shown):
                lines += [f"and {len(errors) - len(shown)} more", ""]
        try:
            with open(self.summary, "a", encoding="utf-8") as file:
                file.write("\n".join(lines))
        except OSError as error:
            self.err.write(f"warning: the summary of this step cannot be written: {error.strerror or error}\n")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
