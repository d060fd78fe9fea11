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
from collections.abc import Iterator
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
def node() -> Iterator[Node]:
    if shutil.which("node") is None and "CI" not in os.environ:
        pytest.skip("Node is not installed")
    made = Node()
    yield made
    made.close()


def run_case(case: Case, built: Built, stress: bool = False, node: Node | None = None) -> None:
    if "lib" in case.files:
        program = Program(link_face(built))
        for export in program.exports:
            name = export["name"]
            if name in case.values:
                value = instance(program, stress, node).call(export, [])
                assert show_value(export["result"], value) == case.values[name], name
            elif name in case.traps:
                with pytest.raises(Trapped) as trapped:
                    instance(program, stress, node).call(export, [])
                assert case.traps[name] in trapped.value.message
        known = {export["name"] for export in program.exports}
        assert case.values.keys() <= known
    for module in case.files:
        object_ = built.objects[f"{CASE}/{module}"]
        linkable = compiler.prepare_tests(object_, built.symbols.get, "test", built.options)
        program = Program(compiler.finish(linkable))
        for index, test in enumerate(object_.tests):
            if test["name"] in case.traps:
                with pytest.raises(Trapped) as trapped:
                    instance(program, stress, node).raw(f"test {index}")
                assert case.traps[test["name"]] in trapped.value.message
            else:
                instance(program, stress, node).raw(f"test {index}")


NAMES = [str(path.relative_to(FOLDER)) for path in PROGRAMS]


@pytest.mark.parametrize("path", PROGRAMS, ids=NAMES)
def test_program(path: Path) -> None:
    case = read_case(path)
    text = path.read_text("utf-8")
    assert case.nothing_expected or case.reports or case.values or case.traps or "test " in text, "expects nothing"
    for options in case.profiles:
        built = compile_case(case.files, options)
        compare_reports(case, built)
        if case.runs:
            run_case(case, built)
            if not case.slow:
                run_case(case, built, stress=True)


@pytest.mark.parametrize("path", [p for p in PROGRAMS if read_case(p).runs], ids=lambda p: str(p.relative_to(FOLDER)))
def test_program_in_node(path: Path, node: Node) -> None:
    case = read_case(path)
    for options in case.profiles:
        built = compile_case(case.files, options)
        run_case(case, built, node=node)
        if not case.slow:
            run_case(case, built, stress=True, node=node)
