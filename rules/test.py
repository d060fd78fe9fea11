"""Nodes of tests: every file with ``test`` blocks is one."""

import json
from collections.abc import Mapping
from typing import Any

from dolbuild import compiler
from dolbuild.cache.action import Record
from dolbuild.diagnostics import Diagnostic
from dolbuild.packages.package import Package
from dolbuild.rules.jobs import Outcome, RunTests
from dolbuild.rules.linking import Link, linking_of_tests
from dolbuild.rules.module import TESTS, module_path
from dolbuild.rules.node import Action, LinkTests, Node
from dolbuild.rules.session import Session
from dolbuild.rules.tool import engine_version
from dolbuild.source import Place

TEST_VERSION = 1


def test_name(package: Package, module: str) -> str:
    """``test:<member>/<file>``; tests inside of a module below ``src`` have ``src:`` before its name."""
    if module.startswith(TESTS):
        return f"test:{package.label}/{module.removeprefix(TESTS)}"
    return f"test:{package.label}/src:{module}"


def link_tests(
    package: Package, module: str, packages: Mapping[str, Package], profile: str, options: compiler.Options
) -> LinkTests:
    """How the tests of one file are linked."""

    return lambda session: _link(session, package, module, packages, profile, options).wasm()


def _link(
    session: Session,
    package: Package,
    module: str,
    packages: Mapping[str, Package],
    profile: str,
    options: compiler.Options,
) -> Link:
    linking = linking_of_tests(session, package, module, packages, profile, options)
    return Link(session, packages, linking, test_name(package, module))


def test_node(
    package: Package,
    module: str,
    packages: Mapping[str, Package],
    profile: str,
    options: compiler.Options,
    dependencies: tuple[str, ...],
) -> Node:
    """Link the tests of one file and run them; a failure is never remembered, so it runs again."""
    file = module_path(package, module)

    def prepare(session: Session) -> Action:
        link = _link(session, package, module, packages, profile, options)
        engine = Record("test", TEST_VERSION, engine_version(), {"file": file}, {"link": link.key})

        def run() -> Outcome:
            log = session.run_job(RunTests(link.wasm())).outputs["log"]
            results = json.loads(log)
            source = session.read(package.folder / file, file).decode("utf-8", "replace").split("\n")
            failures = tuple(describe_failure(result, package, source) for result in results if not result["ok"])
            if failures:
                return Outcome(diagnostics=failures, failed=True)
            return Outcome({"log": log})

        return Action(engine, run, ("log",))

    doc = f"runs the tests of {file}"
    return Node(test_name(package, module), doc, prepare, dependencies, shown=package.shown)


def describe_failure(result: dict[str, Any], package: Package, source: list[str]) -> Diagnostic:
    """A failed test as a diagnostic at the line of the test file that led to it."""
    lines = str(result["message"]).split("\n")
    notes = [line.strip() for line in lines[1:]]
    name = f'test "{result["name"]}": {lines[0]}'
    written = [f"it wrote: {line}" for line in str(result["output"]).splitlines()]
    place = None
    text = ""
    own = f"{package.id.rpartition('/')[2]}/"
    frames = [frame for frame in result["frames"] if frame["file"].startswith(own)]
    if frames:
        # the innermost frame of the test's own Spirit; the chain shows how it came there
        file, line = frames[0]["file"].removeprefix(own), frames[0]["line"]
        chain = [f"called at {f['file'].removeprefix(own)}:{f['line']}, in {f['function']}" for f in frames[1:]]
        notes += chain
        if file == frames[-1]["file"].removeprefix(own) and 0 < line <= len(source):
            text = source[line - 1].rstrip("\r")
        indent = len(text) - len(text.lstrip())
        place = Place(file, line, indent + 1, line, len(text) + 1 if text else 1)
    notes += written[-20:]
    return Diagnostic("E0803", name, place, text, "", tuple(notes))
