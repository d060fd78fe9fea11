"""Questions about the graph, and the graph as text."""

import json
import os
import re
import shutil
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolbuild.rules.graph import IMPORTS, Edge, Graph, Vertex
from dolbuild.rules.query import WrongQuery, evaluate
from tests.conftest import MakeWorkspace
from tests.support.workspaces import Workspace, spirit

MEASURES_PROCESSES = True


def graph_of(edges: list[tuple[str, str]], more: str = "") -> Graph:
    names = sorted({name for edge in edges for name in edge} | set(more.split()))
    kinds = {name: "test" if name.startswith("t") else "module" for name in names}
    return Graph({n: Vertex(n, kinds[n], n) for n in names}, [Edge(a, b, IMPORTS) for a, b in edges])


SMALL = graph_of(
    [("a", "b"), ("b", "c"), ("a", "d"), ("d", "c"), ("c", "e"), ("t1", "a"), ("t2", "e"), ("e", "e")], "alone-x"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "a"),
        ("all", "a alone-x b c d e t1 t2"),
        ("deps(a)", "a b c d e"),
        ("deps(a, 0)", "a"),
        ("deps(a, 1)", "a b d"),
        ("deps(b + d, 1)", "b c d"),
        ("rdeps(c)", "a b c d t1"),
        ("rdeps(e, 1)", "c e t2"),
        ("kind(test, all)", "t1 t2"),
        ("kind(t*, rdeps(e)) - t2", "t1"),
        ("deps(a) & rdeps(c)", "a b c d"),
        ("deps(a) intersect rdeps(c) except (b union d)", "a c"),
        ("somepath(t1, e)", "t1 a b c e"),
        ("somepath(e, a)", ""),
        ("somepath(a, a)", "a"),
        ("allpaths(a, c)", "a b c d"),
        ("allpaths(b, d)", ""),
        ("filter(lone, all)", "alone-x"),
        ("alone-x", "alone-x"),
        ("t? + [ab]", "a b t1 t2"),
        ('filter("1", all)', "t1"),
        ("nothing*", ""),
        ("  ( ( a ) )  ", "a"),
    ],
)
def test_answers(text: str, expected: str) -> None:
    assert evaluate(SMALL, text) == expected.split()


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "expected a name"),
        ("a +", 4, "expected a name"),
        ("a b", 3, "`b` is not expected here"),
        ("deps(a", 7, "expected `)`"),
        ("deps(a, x)", 9, "expected a number of edges"),
        ("deps(a, -1)", 9, "expected a number of edges"),
        ("nope(a)", 1, "there is no function `nope`"),
        ("alone-y", 1, "did you mean `alone-x`?"),
        ("a + )", 5, "found `)`"),
        ("somepath(a)", 11, "expected `,`, found `)`"),
        ('filter("a, all)', 8, "this text has no end"),
        ("(" * 5000, 201, "nests too deeply"),
        ("deps(" * 5000, 1001, "nests too deeply"),
    ],
)
def test_what_is_no_question(text: str, column: int, message: str) -> None:
    with pytest.raises(WrongQuery) as raised:
        evaluate(SMALL, text)
    assert message in str(raised.value) and raised.value.column == column


NAMES = [f"n{number}" for number in range(7)]
EDGES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=14)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(EDGES, st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(0, 4))
def test_any_graph(edges: list[tuple[str, str]], a: str, b: str, depth: int) -> None:
    """Against the plain closure of the relation; circles too (modules may import each other)."""
    graph = graph_of(edges, " ".join(NAMES))
    steps = [{name: {name} for name in NAMES}]
    for _ in NAMES:
        steps.append({name: {name}.union(*({t} | steps[-1][t] for s, t in edges if s == name)) for name in NAMES})
    everything = steps[-1]
    assert evaluate(graph, f"deps({a})") == sorted(everything[a])
    assert evaluate(graph, f"deps({a}, {depth})") == sorted(steps[depth][a])
    assert evaluate(graph, f"rdeps({a})") == sorted(name for name in NAMES if a in everything[name])
    on_the_way = sorted(name for name in everything[a] if b in everything[name])
    assert evaluate(graph, f"allpaths({a}, {b})") == on_the_way
    path = evaluate(graph, f"somepath({a}, {b})")
    assert bool(path) == (b in everything[a])
    if path:
        assert (path[0], path[-1]) == (a, b) and all(pair in edges for pair in pairwise(path))
        assert b not in steps[len(path) - 2][a] or len(path) == 1


FILES = {
    "base/Spirit.dol": spirit("base"),
    "base/src/lib.dol": "pub use tools.{ one, two }\n",
    "base/src/tools.dol": 'use deep.inner.three\n\npub fun one() -> Int64 { return three() }\npub fun two() -> Int64 { return 2 }\ntest "in here" { assert_eq(one(), 3) }\n',
    "base/src/deep/inner.dol": "pub fun three() -> Int64 { return 3 }\n",
    "base/tests/all_test.dol": 'use tools.one\ntest "one" { assert_eq(one(), 3) }\n',
    "top/Spirit.dol": spirit("top", "base"),
    "top/src/lib.dol": "// one line\nuse @acme/base.{ one }\npub fun more() -> Int64 { return one() }\n",
    "sys/System.dol": 'system Whole {\n    uses @acme/top: "^1.0"\n    pub fun ask() -> Int64 { return more() }\n}\n',
}  # fmt: skip


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    return make_workspace(FILES)


def test_the_commands(workspace: Workspace) -> None:
    def ask(text: str) -> list[str]:
        ran = workspace.command("query", text)
        assert ran.status == 0 and ran.err == "", ran
        return ran.out.splitlines()

    assert ask("all") == [
        "module:base/deep.inner", "module:base/lib", "module:base/tools", "module:top/lib", "module:whole/System",
        "spirit:base", "spirit:top", "system:whole", "test:base/all_test", "test:base/src:tools",
    ]  # fmt: skip
    assert ask("deps(whole, 1)") == ["module:whole/System", "spirit:top", "system:whole"]
    assert ask("kind(test, rdeps(module:base/deep.inner))") == ["test:base/all_test", "test:base/src:tools"]
    assert ask("somepath(module:top/lib, module:base/deep.inner)") == [
        "module:top/lib",
        "  imports @acme/base.one (top/src/lib.dol:2)",
        "module:base/lib",
        "  imports tools.{ one, two } (base/src/lib.dol:1)",
        "module:base/tools",
        "  imports deep.inner.three (base/src/tools.dol:1)",
        "module:base/deep.inner",
    ]
    assert ask("somepath(whole, spirit:base)") == [
        "system:whole", "  uses @acme/top (sys/System.dol:2)", "spirit:top", "  requires @acme/base (top/Spirit.dol:5)", "spirit:base",
    ]  # fmt: skip
    wrong = workspace.command("query", "deps(spirit:bas)")
    assert wrong.status == 2
    assert (
        wrong.err
        == "error: column 6: there is nothing named `spirit:bas`; did you mean `spirit:base`?\n  deps(spirit:bas)\n       ^\n"
    )
    for arguments in (
        ["query"],
        ["graph", "--dot", "--json"],
        ["query", "--svg", "all"],
        ["graph", "--png"],
        ["query", "kind(modul, all)"],
        ["graph", "--port=1"],
        ["graph", "--output=base"],
    ):
        ran = workspace.command(*arguments)
        assert ran.status == 2 and "Traceback" not in ran.err, ran


def test_drawings(workspace: Workspace) -> None:
    described = json.loads(workspace.command("graph", "--json").out)
    assert described["format"] == 1 and len(described["nodes"]) == 10
    assert {"from": "module:top/lib", "to": "module:base/lib", "why": "imports", "text": "@acme/base.one",
            "file": "top/src/lib.dol", "line": 2} in described["edges"]  # fmt: skip
    names = {node["name"] for node in described["nodes"]}
    assert all(edge["from"] in names and edge["to"] in names for edge in described["edges"])
    dot = workspace.command("graph", "--output=g.dot")
    assert dot.status == 0 and dot.out == ""
    text = (workspace.root / "g.dot").read_text()
    assert text.count("->") == len(described["edges"]) and text.count("{") == text.count("}")
    mermaid = workspace.command("query", "--mermaid", "deps(base)").out
    assert mermaid.startswith("flowchart LR\n") and len(re.findall(r"n\d+ -+\.?-*>", mermaid)) == 5
    assert workspace.command("graph", "--json").out == workspace.command("graph", "--json").out
    workspace.variables = {"PATH": ""}
    refused = workspace.command("graph", "--svg")
    assert refused.status == 2 and "its program `dot` is not there" in refused.err


@pytest.mark.skipif(shutil.which("dot") is None and "CI" not in os.environ, reason="Graphviz is not installed")
def test_svg(workspace: Workspace) -> None:
    drawn = workspace.command("graph", "--svg", "deps(whole)")
    assert drawn.status == 0, drawn.err
    root = ElementTree.fromstring(drawn.out)
    titles = {title.text for title in root.iter("{http://www.w3.org/2000/svg}title")}
    assert {"system:whole", "module:base/deep.inner", "module:top/lib->module:base/lib"} <= titles


def test_a_broken_module_has_its_place_in_the_graph(workspace: Workspace) -> None:
    workspace.write({"base/src/tools.dol": "use deep.inner.three\npub fun one( {"})
    ran = workspace.command("query", "deps(module:base/tools)")
    assert ran.status == 0 and "module:base/tools" in ran.out
