"""The graph as an interactive page: one file of HTML with everything in it (its source is in the folder ``page``)."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from dolbuild.rules.events import Status
from dolbuild.rules.graph import Edge, Graph
from dolbuild.rules.journal import Journal
from dolbuild.rules.lastrun import LastRun
from dolbuild.rules.node import Plan

FORMAT = 1
TEMPLATE = "graph.html"
"""Built from the folder ``page``."""
_DATA = b"/*GRAPH*/"


def page_data(
    graph: Graph,
    line: Callable[[Edge], int],
    plan: Plan,
    journal: Journal,
    run: LastRun | None,
    title: str,
    *,
    live: bool = False,
) -> dict[str, Any]:
    """What the page draws; ``source/data.ts`` says how it is read. *live*: it is served, and follows what is built."""
    places = {name: place for place, name in enumerate(graph.vertices)}
    seconds = durations(journal)
    nodes = [
        [v.name, v.kind, places[v.group], v.file, round(seconds(v.name), 3), _outcome(v.name, journal, run)]
        for v in graph.vertices.values()
    ]
    edges = [[places[e.source], places[e.target], e.why, e.text, line(e) if e.text else 0] for e in graph.edges]
    return {
        "format": FORMAT,
        "title": title,
        "live": live,
        "nodes": nodes,
        "edges": edges,
        "critical": [[name, round(took, 3)] for name, took in critical_path(plan, seconds)],
        "run": None
        if run is None or run.ended is None
        else {"planned": run.planned, "seconds": run.ended, "failed": run.failed},
    }


def _outcome(name: str, journal: Journal, run: LastRun | None) -> str:
    """What happened to a node in the last run; empty for one that was never done, or is none."""
    if run is not None and name in run.nodes:
        return run.nodes[name].outcome
    if run is not None and run.ended is None and name in run.working:
        return "working"
    return str(Status.UP_TO_DATE) if journal.entries.has(name) else ""


def durations(journal: Journal) -> Callable[[str], float]:
    """How long the action of a node took where it ran, in seconds; 0 where that is not known."""

    def seconds(name: str) -> float:
        entry = journal.entries.get(name)
        return 0.0 if entry is None else entry.result.seconds

    return seconds


def critical_path(plan: Plan, seconds: Callable[[str], float]) -> list[tuple[str, float]]:
    """The actions that wait for each other and together take longest, the first one first. No number of workers makes a build from nothing
    faster than these."""
    ends: dict[str, tuple[float, str]] = {}
    """When a node or a group can be done at the earliest, and the node that it waits for."""

    def end(name: str) -> tuple[float, str]:
        found = ends.get(name)
        if found is None:
            is_group = name in plan.groups
            waits = plan.groups[name].nodes if is_group else plan.nodes[name].dependencies
            latest, last = 0.0, ""
            for one in waits:
                at, before = end(one)
                if at > latest:
                    latest, last = at, before if one in plan.groups else one
            found = ends[name] = (latest, last) if is_group else (latest + seconds(name), last)
        return found

    last = max(sorted(plan.nodes), key=lambda name: end(name)[0], default="")
    path: list[tuple[str, float]] = []
    while last and ends[last][0] > 0:
        path.append((last, seconds(last)))
        last = ends[last][1]
    return path[::-1]


def to_page(data: Mapping[str, Any]) -> bytes:
    """The page, with the graph in it."""
    template = files("dolbuild").joinpath(TEMPLATE).read_bytes()
    assert template.count(_DATA) == 1
    # in a script element only these two would end it, or begin a comment
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace(_DATA, text.encode())
