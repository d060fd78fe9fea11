"""``dolbuild query`` and ``dolbuild graph``: the graph of the workspace, asked and drawn."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from dolbuild.commands.opening import WrongUsage, flags, guarded, root_here, tell
from dolbuild.files import write_atomic
from dolbuild.rules.build import Access, bring_up, open_session
from dolbuild.rules.drawing import to_dot, to_json, to_mermaid
from dolbuild.rules.graph import Edge, Graph, describe, line_of
from dolbuild.rules.lastrun import last_run
from dolbuild.rules.module import all_modules, interface_name
from dolbuild.rules.page import page_data, to_page
from dolbuild.rules.query import WrongQuery, evaluate
from dolbuild.rules.session import Session
from dolbuild.settings import read_settings

QUERY_USAGE = "dolbuild query [--json|--dot|--mermaid] EXPRESSION"
GRAPH_USAGE = "dolbuild graph [--html|--json|--dot|--mermaid|--svg] [--output=FILE] [EXPRESSION], or dolbuild graph --open [--port=N]"
FORMATS = ("--json", "--dot", "--mermaid", "--svg", "--html")


class Lines:
    """Which line made an edge; each file is read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.texts: dict[str, str] = {}

    def __call__(self, edge: Edge) -> int:
        if not edge.file:
            return 0
        if edge.file not in self.texts:
            try:
                self.texts[edge.file] = (self.root / edge.file).read_text("utf-8", "replace")
            except OSError:
                self.texts[edge.file] = ""
        return line_of(edge, self.texts[edge.file])


def load() -> tuple[Session, Graph]:
    """The graph of the workspace around the current folder. Interfaces that are stale are made. Raises DiagnosticError, WrongUsage."""
    session = open_session(root_here(), access=Access(tell=tell))
    seen: set[str] = set()
    try:
        for package in session.plan.packages:
            if package.is_member:
                for module in all_modules(package):
                    bring_up(session, session.plan.nodes[interface_name(package, module)], seen)
        return session, describe(session)
    finally:
        session.close()


def query(arguments: list[str]) -> int:
    """Answer a question; gives the exit status."""

    def command() -> int:
        options, rest = flags(arguments, FORMATS[:3], QUERY_USAGE)
        if not rest:
            raise WrongUsage(QUERY_USAGE)
        session, graph = load()
        names = _evaluate(graph, " ".join(rest))
        chosen = [option for option in FORMATS if option in options]
        if chosen:
            sys.stdout.buffer.write(_drawn(graph.within(names), chosen[0], session.root))
        elif " ".join(rest).lstrip().startswith("somepath"):
            sys.stdout.write(told(graph, names, Lines(session.root)))
        else:
            sys.stdout.writelines(f"{name}\n" for name in names)
        return 0

    return guarded(command)


def graph(arguments: list[str]) -> int:
    """Draw the graph, or what an expression means of it; gives the exit status."""

    def command() -> int:
        options, rest = flags(arguments, (*FORMATS, "--output=", "--open", "--port="), GRAPH_USAGE)
        chosen = [option for option in FORMATS if option in options]
        if len(chosen) > 1:
            raise WrongUsage(f"one format at a time; {GRAPH_USAGE}")
        if "--open" in options:
            from dolbuild.commands.graph_server import serve

            if chosen or "--output" in options or rest:
                raise WrongUsage(f"--open shows the whole graph in a browser; {GRAPH_USAGE}")
            return serve(options.get("--port", "0"))
        if "--port" in options:
            raise WrongUsage(f"--port goes with --open; {GRAPH_USAGE}")
        output = options.get("--output")
        if output is not None and Path(output).is_dir():
            raise WrongUsage(f"{output} is a folder; --output takes the name of a file")
        if "--html" in chosen and output is None and sys.stdout.isatty():
            raise WrongUsage(
                "the page is for a browser: write it into a file, with --output=graph.html, or see it with --open"
            )
        session, whole = load()
        part = whole.within(_evaluate(whole, " ".join(rest))) if rest else whole
        format_ = chosen[0] if chosen else "--dot"
        data = to_page(data_of(session, part)) if format_ == "--html" else _drawn(part, format_, session.root)
        if output is not None:
            write_atomic(Path(output).absolute(), data)
        else:
            sys.stdout.buffer.write(data)
        return 0

    return guarded(command)


def data_of(session: Session, graph: Graph, *, live: bool = False) -> dict[str, Any]:
    """What the page of a graph draws."""
    title = read_settings(session.root).organisation
    return page_data(
        graph, Lines(session.root), session.plan, session.journal, last_run(session.root), title, live=live
    )


def _evaluate(graph: Graph, text: str) -> list[str]:
    try:
        return evaluate(graph, text)
    except WrongQuery as error:
        raise WrongUsage(f"{error}\n  {text}\n  {' ' * (error.column - 1)}^") from None


def told(graph: Graph, names: list[str], line: Lines) -> str:
    """A path, with what made each of its edges."""
    out: list[str] = []
    for number, name in enumerate(names):
        if number:
            edge = next(e for e in graph.needs[names[number - 1]] if e.target == name)
            at = line(edge)
            place = f" ({edge.file}:{at})" if at else ""
            out.append(f"  {edge.why}{f' {edge.text}' if edge.text else ''}{place}\n")
        out.append(f"{name}\n")
    return "".join(out)


def _drawn(graph: Graph, format_: str, root: Path) -> bytes:
    if format_ == "--json":
        return to_json(graph, Lines(root))
    if format_ == "--mermaid":
        return to_mermaid(graph)
    if format_ == "--dot":
        return to_dot(graph)
    program = shutil.which("dot")
    if program is None:
        raise WrongUsage(
            "SVG is drawn by Graphviz, and its program `dot` is not there; --dot and --mermaid need nothing"
        )
    done = subprocess.run([program, "-Tsvg"], input=to_dot(graph), capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise WrongUsage(f"`dot` has failed: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout
