"""The graph as text for other programs: JSON, DOT (Graphviz) and Mermaid."""

import json
from collections.abc import Callable
from typing import Any

from dolbuild.rules.graph import HAS, Edge, Graph

FORMAT = 1
"""Version of the JSON."""

SHAPES = {"system": "hexagon", "spirit": "box", "module": "ellipse", "test": "note", "package": "cylinder"}
_MERMAID = {
    "system": ("{{", "}}"),
    "spirit": ("[", "]"),
    "module": ("(", ")"),
    "test": (">", "]"),
    "package": ("[(", ")]"),
}


def to_json(graph: Graph, line: Callable[[Edge], int]) -> bytes:
    """``{format, nodes: [{name, kind, group, file}], edges: [{from, to, why, text, file, line}]}``; *line* says which line of its file made an
    edge."""
    nodes = [{"name": v.name, "kind": v.kind, "group": v.group, "file": v.file} for v in graph.vertices.values()]
    edges: list[dict[str, Any]] = []
    for edge in graph.edges:
        described: dict[str, Any] = {"from": edge.source, "to": edge.target, "why": edge.why}
        if edge.text:
            described |= {"text": edge.text, "file": edge.file, "line": line(edge)}
        edges.append(described)
    return json.dumps({"format": FORMAT, "nodes": nodes, "edges": edges}, ensure_ascii=False).encode() + b"\n"


def to_dot(graph: Graph) -> bytes:
    """For Graphviz: the modules and tests of a Spirit in a box of their own."""
    out = ["digraph build {", "  rankdir=LR;", '  node [fontname="Helvetica" fontsize=11];']
    groups: dict[str, list[str]] = {}
    for vertex in graph.vertices.values():
        groups.setdefault(vertex.group, []).append(vertex.name)
    for number, (group, names) in enumerate(sorted(groups.items())):
        out += [f"  subgraph cluster_{number} {{", f"    label={_quoted(group)};", "    color=gray;"]
        for name in names:
            vertex = graph.vertices[name]
            label = name.partition(":")[2] if vertex.kind != "module" else name.rpartition("/")[2]
            out.append(f"    {_quoted(name)} [label={_quoted(label)} shape={SHAPES[vertex.kind]}];")
        out.append("  }")
    for edge in graph.edges:
        style = " [style=dotted]" if edge.why == HAS else f" [tooltip={_quoted(edge.text)}]" if edge.text else ""
        out.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)}{style};")
    return "\n".join([*out, "}", ""]).encode()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def to_mermaid(graph: Graph) -> bytes:
    """A flowchart."""
    numbers = {name: f"n{number}" for number, name in enumerate(graph.vertices)}
    out = ["flowchart LR"]
    for name, vertex in graph.vertices.items():
        left, right = _MERMAID[vertex.kind]
        out.append(f'  {numbers[name]}{left}"{name.replace(chr(34), "#quot;")}"{right}')
    for edge in graph.edges:
        arrow = "-.->" if edge.why == HAS else "-->"
        out.append(f"  {numbers[edge.source]} {arrow} {numbers[edge.target]}")
    return "\n".join([*out, ""]).encode()
