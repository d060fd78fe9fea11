"""The built-in surface (``surface.dol``) as an interface, read when it is first asked for."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from dolbuild.analysis import interface
from dolbuild.source import SourceFile
from dolbuild.syntax.parser import parse

MODULE = "@dol/builtin/surface"
"""The module id under which the surface stands in a world."""

_FILE = Path(__file__).with_name("surface.dol")


@lru_cache(maxsize=1)
def surface() -> dict[str, Any]:
    """The interface of the surface."""
    parsed = parse(SourceFile("surface.dol", _FILE.read_text("utf-8")))
    assert not parsed.broken, parsed.diagnostics
    return interface.whole(parsed)
