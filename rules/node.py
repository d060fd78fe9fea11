"""Nodes of the graph and the actions behind them, as values."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dolbuild.cache.action import Record
from dolbuild.diagnostics import Diagnostic
from dolbuild.packages.package import Package
from dolbuild.rules.jobs import Outcome

if TYPE_CHECKING:
    from dolbuild.rules.session import Session


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done: its record, and how to do it. Nothing is done before `run` is called. *outputs* are the
    artifacts that it makes; *inline* those that are sent along with its result, because others need them for their keys."""

    record: Record
    run: Callable[[], Outcome]
    outputs: tuple[str, ...] = ()
    inline: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the graph (a doit task).

    *dependencies* are names of nodes and groups that must be done before. *targets* maps files, relative to
    the workspace, to the artifact that each holds. *prepare* makes the action once the dependencies are
    done; *shown* is the folder that its diagnostics' files are in.
    """

    name: str
    doc: str
    prepare: Callable[["Session"], Action]
    dependencies: tuple[str, ...] = ()
    targets: Mapping[str, str] = field(default_factory=dict)
    shown: str = ""
    intact: Callable[[], bool] | None = None
    """For an action whose effect is outside of the workspace: whether that is still there. Its result is never taken from
    the store."""


@dataclass(frozen=True, slots=True)
class Group:
    """A name for several nodes and groups."""

    name: str
    doc: str
    nodes: tuple[str, ...]


LinkTests = Callable[["Session"], bytes]
"""Gives the module that holds the tests of a file, once the node's dependencies are done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole graph."""

    nodes: Mapping[str, Node]
    groups: Mapping[str, Group]
    targets: Mapping[str, str]
    """The node that makes a file of the workspace."""
    diagnostics: tuple[Diagnostic, ...] = ()
    tests: Mapping[str, "LinkTests"] = field(default_factory=dict)
    """How the tests of a test node are linked, for who wants to run them one by one."""
    packages: tuple[Package, ...] = ()
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The nodes of a package, by its label, that depend on every module of every package that takes part."""
    tested: tuple[str, ...] = ()
    """Sources below ``src`` that have tests, relative to the workspace."""
    documented: tuple[str, ...] = ()
    """Sources below ``src`` that have examples in their documentation."""

    def reached(self, names: Iterable[str], through: Callable[[str], bool] = lambda _: True) -> set[str]:
        """The nodes that are meant by names, and all that they depend on, as far as *through* says that a node is looked into."""
        found: set[str] = set()
        groups: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in self.groups:
                if name not in groups:
                    groups.add(name)
                    waiting += self.groups[name].nodes
            elif name not in found:
                found.add(name)
                if through(name):
                    waiting += [one for one in self.nodes[name].dependencies if one not in groups]
        return found

    def expand(self, names: Iterable[str]) -> Iterator[str]:
        """The nodes that are meant by names of nodes and groups, each once."""
        seen: set[str] = set()
        waiting = list(reversed(list(names)))
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.groups:
                waiting += reversed(self.groups[name].nodes)
            else:
                yield name
