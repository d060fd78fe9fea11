"""Programs that carry their own expectations.

Each file below this folder is one program. In it

``// error[E0301]: text``, ``// warning[W0201]: text``
    at the end of a line: exactly this is reported on this line, with *text* in its message (or no text);
``// error-at-end[E0307]``
    the same for the line itself, where a comment cannot stand at its end;
``// expect: value``
    before a ``pub fun`` without parameters: calling it gives this, as DOL prints it;
``// trap: text``
    before a ``pub fun`` without parameters or a ``test``: it traps with *text* in the message;
``// file: name.dol``
    begins another module of the same Spirit; what stands before the first one is ``lib``.

``// checks``
    nothing is expected but that it can be compiled, and its tests pass;
``// host``
    it calls a function of the host, so it is only compiled;
``// slow``
    it allocates too much to be run with a collection at every allocation.

A program without an error is compiled, linked and run, in the profiles ``dev`` and ``release`` (only in one
where ``// profile: dev`` says so), and each of its tests
passes. Each runs again with a collection at every allocation, and all of it
again in Node.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dolbuild import compiler
from dolbuild.runtime.instance import Instance, Program, Trapped
from dolbuild.runtime.values import show_value
from tests.support.node import Node, NodeInstance
from tests.support.programs import CASE, Built, compile_case, link_face

DEV, RELEASE = compiler.Options(), compiler.Options(checked=False, whole=True)
FOLDER = Path(__file__).parent
PROGRAMS = sorted(FOLDER.rglob("*.dol"))
_MARK = re.compile(r"//\s*(error|warning)(?:-at-end)?\[([EW]\d{4})\](?::\s*(.*))?$")
_FILE = re.compile(r"^// file: (?:src/)?([\w/]+)\.dol$")
_FUNCTION = re.compile(r"^\s*pub (?:sex )?fun (\w+)\(\)")
_TEST = re.compile(r'^\s*test "(.*?)"')


@dataclass
class Case:
    files: dict[str, str] = field(default_factory=dict)
    reports: set[tuple[str, int, str, str]] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    traps: dict[str, str] = field(default_factory=dict)
    profiles: tuple[compiler.Options, ...] = (DEV, RELEASE)
    slow: bool = False
    nothing_expected: bool = False
    needs_host: bool = False

    @property
    def runs(self) -> bool:
        """Whether there is anything to run."""
        wrong = any(code.startswith("E") for _, _, code, _ in self.reports)
        return not wrong and not self.needs_host


def read_case(path: Path) -> Case:
    case = Case()
    module, lines = "lib", []
    pending: tuple[str, str] | None = None
    for text in path.read_text("utf-8").split("\n"):
        started = _FILE.match(text)
        if started:
            case.files[module] = "\n".join(lines)
            module, lines = started[1].replace("/", "."), []
            continue
        lines.append(text)
        mark = _MARK.search(text)
        if mark:
            case.reports.add((module, len(lines), mark[2], mark[3] or ""))
        stripped = text.strip()
        if stripped.startswith("// profile: "):
            case.profiles = (DEV if stripped.endswith("dev") else RELEASE,)
        case.slow = case.slow or stripped == "// slow"
        case.nothing_expected = case.nothing_expected or stripped == "// checks"
        case.needs_host = case.needs_host or stripped == "// host"
        for kind in ("expect", "trap"):
            if stripped.startswith(f"// {kind}: "):
                pending = (kind, stripped.split(": ", 1)[1])
        declared = _FUNCTION.match(text) or _TEST.match(text)
        if declared and pending:
            (case.values if pending[0] == "expect" else case.traps)[declared[1]] = pending[1]
            pending = None
    case.files[module] = "\n".join(lines)
    if not case.files["lib"].strip():
        case.files.pop("lib")
    return case


def reported(built: Built) -> set[tuple[str, int, str, str]]:
    found = set()
    for diagnostic in built.diagnostics:
        assert diagnostic.place is not None
        module = diagnostic.place.file.removeprefix("src/").removesuffix(".dol").replace("/", ".")
        found.add((module, diagnostic.place.line, diagnostic.code, diagnostic.message))
    return found


def compare_reports(case: Case, built: Built) -> None:
    found = reported(built)
    for module, line, code, text in case.reports:
        matching = [r for r in found if r[:3] == (module, line, code) and text in r[3]]
        assert matching, f"{module}:{line}: {code} {text!r} is not reported; there is {sorted(found)}"
    expected = {r[:3] for r in case.reports}
    unexpected = sorted(r for r in found if r[:3] not in expected)
    assert not unexpected


def instance(program: Program, stress: bool, node: Node | None) -> Instance | NodeInstance:
    if node is not None:
        node.load(program.wasm)
    made = program.instantiate() if node is None else NodeInstance(node)
    if stress:
        made.stress()
    return made


@pytest.fixture(scope="session")
def node() -> Iterator[Node | None]:
    """Node, or None where it is not installed; in CI it has to be."""
    if shutil.which("node") is None and "CI" not in os.environ:
        yield None
        return
    made = Node()
    yield made
    made.close()


Run = Callable[[Program], Instance | NodeInstance]
"""Makes an instance of a program: in one engine or another, with collections at every allocation or not."""


def run_library(case: Case, program: Program, run: Run) -> None:
    for export in program.exports:
        name = export["name"]
        if name in case.values:
            value = run(program).call(export, [])
            assert show_value(export["result"], value) == case.values[name], name
        elif name in case.traps:
            with pytest.raises(Trapped) as trapped:
                run(program).call(export, [])
            assert case.traps[name] in trapped.value.message
    assert case.values.keys() <= {export["name"] for export in program.exports}


def run_tests(case: Case, program: Program, run: Run) -> None:
    for index, test in enumerate(program.tests):
        if test["name"] in case.traps:
            with pytest.raises(Trapped) as trapped:
                run(program).raw(f"test {index}")
            assert case.traps[test["name"]] in trapped.value.message
        else:
            run(program).raw(f"test {index}")


def run_case(case: Case, built: Built, runs: list[Run]) -> None:
    """Link what there is once, and run it in each way."""
    if "lib" in case.files:
        program = Program(link_face(built))
        for run in runs if case.values or case.traps else []:
            run_library(case, program, run)
    for module in case.files:
        object_ = built.objects[f"{CASE}/{module}"]
        linkable = compiler.prepare_tests(object_, built.symbols.get, "test", built.options)
        wasm = compiler.finish(linkable)
        for run in runs if object_.tests else []:
            run_tests(case, Program(wasm), run)


@pytest.mark.parametrize("path", PROGRAMS, ids=[str(path.relative_to(FOLDER)) for path in PROGRAMS])
def test_program(path: Path, node: Node | None) -> None:
    case = read_case(path)
    text = path.read_text("utf-8")
    assert case.nothing_expected or case.reports or case.values or case.traps or "test " in text, "expects nothing"
    runs: list[Run] = []
    for engine in (None, node) if node is not None else (None,):
        for stress in (False,) if case.slow else (False, True):
            runs.append(lambda program, stress=stress, engine=engine: instance(program, stress, engine))  # type: ignore[misc]
    for options in case.profiles:
        built = compile_case(case.files, options)
        compare_reports(case, built)
        if case.runs:
            run_case(case, built, runs)
