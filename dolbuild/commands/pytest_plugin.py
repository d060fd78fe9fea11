"""Tests of DOL programs through pytest: each ``test`` block of a Spirit's ``tests/*_test.dol`` is an item of its own.

So ``-k``, ``-x``, JUnit XML and xdist work on them. What has to be built first is built as ``doit test`` builds it, from
the same cache; the tests themselves run each time.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dolbuild.rules.session import Session

SUFFIX = "_test.dol"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A ``tests/*_test.dol`` of a Spirit in a workspace."""
    if not file_path.name.endswith(SUFFIX) or "tests" not in (p.name for p in file_path.parents):
        return None
    from dolbuild.workspace import find_root

    root = find_root(file_path.parent)
    if root is None:
        return None
    made: DolFile = DolFile.from_parent(parent, path=file_path)
    made.root = root
    return made


class DolFile(pytest.File):
    """A file of tests."""

    root: Path
    _program: Any = None

    def collect(self) -> Iterable[pytest.Item]:
        """The tests by name, as the parser finds them."""
        from dolbuild import compiler
        from dolbuild.diagnostics import has_errors, render
        from dolbuild.syntax import tree as t

        shown = str(self.path.relative_to(self.root))
        parsed = compiler.parse_bytes(shown, self.path.read_bytes())
        if has_errors(parsed.diagnostics):
            raise self.CollectError("\n".join(render(d) for d in parsed.diagnostics))
        tests = [item for item in parsed.file.items if isinstance(item, t.Test)]
        for index, test in enumerate(tests):
            item: DolTest = DolTest.from_parent(self, name=test.name)
            item.index = index
            item.line = parsed.source.line_column(test.start)[0]
            yield item

    def program(self) -> Any:
        """The linked tests; built when the first of them runs."""
        if self._program is None:
            from dolbuild.rules.build import bring_up
            from dolbuild.runtime.instance import Program

            session = self.session_of_workspace()
            name = self.node_name(session)
            try:
                seen: set[str] = set()
                for dependency in session.plan.expand(session.plan.nodes[name].dependencies):
                    bring_up(session, session.plan.nodes[dependency], seen)
            except Exception as error:
                raise BuildFailed(session, error) from error
            self._program = Program(session.plan.tests[name](session))
        return self._program

    def session_of_workspace(self) -> "Session":
        """The build's session, one for each workspace of a run of pytest."""
        from dolbuild.rules.build import open_session

        sessions: dict[Path, Session] = self.config.stash.setdefault(_SESSIONS, {})
        if self.root not in sessions:
            sessions[self.root] = open_session(self.root)
        return sessions[self.root]

    def node_name(self, session: "Session") -> str:
        """The test node of this file."""
        module = self.path.with_suffix("").name
        for name in session.plan.tests:
            label, _, file = name.removeprefix("test:").partition("/")
            folder = session.plan.nodes[name].shown
            if file.rpartition("/")[2] == module and (self.root / folder) in self.path.parents and label:
                return name
        raise LookupError(f"no Spirit of the workspace has the test file {self.path}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the builds: uploads, and what says that they use the store."""
    for session in config.stash.get(_SESSIONS, {}).values():
        session.close()


_SESSIONS: pytest.StashKey[dict[Path, Any]] = pytest.StashKey()


class BuildFailed(Exception):
    """What the tests need could not be built; shown as the build shows it."""

    def __init__(self, session: "Session", error: Exception) -> None:
        from dolbuild.diagnostics import render

        found = [d for event in session.events for d in event.diagnostics]
        found += [d for d in getattr(error, "diagnostics", ()) if d not in found]
        super().__init__("\n".join(render(d) for d in found) or str(error))


class TestFailed(Exception):
    """A test that trapped."""

    __test__ = False


class DolTest(pytest.Item):
    """One test."""

    index: int
    line: int

    def runtest(self) -> None:
        """Run the test in an instance of its own."""
        from dolbuild.runtime.harness import run_test

        assert isinstance(self.parent, DolFile)
        result = run_test(self.parent.program(), self.index)
        if result["output"]:
            self.add_report_section("call", "stdout", result["output"])
        if not result["ok"]:
            frames = [f"  in {f['function']}, {f['file']}:{f['line']}" for f in result["frames"]]
            raise TestFailed("\n".join([str(result["message"]), *frames]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The message alone: the Python behind it is no business of the program's."""
        if isinstance(excinfo.value, TestFailed | BuildFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line - 1, f"test {self.name!r}"
