"""``dolbuild parse``: the syntax tree of files."""

import json
import sys
from pathlib import Path
from typing import Any

from dolbuild import compiler
from dolbuild.diagnostics import Diagnostic, has_errors, in_file, render
from dolbuild.source import SourceFile
from dolbuild.syntax import tree as t
from dolbuild.terminal import wants_color

USAGE = 2


def run(arguments: list[str]) -> int:
    """Print the trees of files, or what is wrong with them; gives the exit status."""
    as_json = "--json" in arguments
    names = [argument for argument in arguments if argument != "--json"]
    if not names or any(name.startswith("-") for name in names):
        sys.stderr.write("error: dolbuild parse FILE... [--json]\n")
        return USAGE
    failed = False
    for name in names:
        failed = not _one(name, as_json) or failed
    return int(failed)


def _one(name: str, as_json: bool) -> bool:
    try:
        parsed = compiler.parse_bytes(name, Path(name).read_bytes())
        diagnostics: tuple[Diagnostic, ...] = parsed.diagnostics
    except OSError as error:
        parsed = None
        diagnostics = (in_file(name, "E0705", f"this file cannot be read: {error.strerror}"),)
    if as_json:
        value: dict[str, Any] = {"file": name, "diagnostics": [d.to_json() for d in diagnostics]}
        if parsed is not None:
            value["tree"] = tree_json(parsed.file, parsed.source)
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    else:
        if parsed is not None and not has_errors(diagnostics):
            for item in parsed.file.items:
                sys.stdout.write("\n".join(_lines(tree_json(item, parsed.source), "")) + "\n")
        for diagnostic in diagnostics:
            sys.stderr.write(render(diagnostic, color=wants_color(sys.stderr)) + "\n")
    return not has_errors(diagnostics)


def tree_json(node: Any, source: SourceFile) -> Any:
    """A tree as JSON: each node with its kind, its place (line and column, from 1) and its parts."""
    if isinstance(node, t.Node):
        value: dict[str, Any] = {"kind": type(node).__name__, "at": list(source.line_column(node.start))}
        for cls in type(node).__mro__:
            for slot in getattr(cls, "__slots__", ()):
                if slot not in ("start", "end", "name_start", "operator_start"):
                    value[slot] = tree_json(getattr(node, slot), source)
        return value
    if isinstance(node, list | tuple):
        return [tree_json(part, source) for part in node]
    return str(node) if isinstance(node, t.Visibility) else node


def _lines(value: Any, indent: str) -> list[str]:
    """JSON of a tree as indented text; parts that are empty are left out."""
    if isinstance(value, dict):
        line, column = value["at"]
        plain = {k: v for k, v in value.items() if k not in ("kind", "at") and not isinstance(v, dict | list)}
        shown = " ".join(f"{k}={v!r}" for k, v in plain.items() if v not in (None, "", "private"))
        lines = [f"{indent}{value['kind']} {line}:{column} {shown}".rstrip()]
        for key, part in value.items():
            if isinstance(part, dict | list) and part and key != "at":
                lines.append(f"{indent}  {key}:")
                for inner in part if isinstance(part, list) else [part]:
                    lines += _lines(inner, indent + "    ")
        return lines
    if isinstance(value, list):
        return [line for part in value for line in _lines(part, indent)]
    return [f"{indent}{value!r}"]
