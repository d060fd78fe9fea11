"""What a run takes from the snapshot of the last one, and the snapshot that it leaves."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dolbuild.files import write_atomic
from dolbuild.packages.lockfile import LOCK_FILE
from dolbuild.packages.manifest import SPIRIT_FILE, SYSTEM_FILE, Manifest, Requirement
from dolbuild.packages.name import parse_name
from dolbuild.packages.wanted import parse_wanted
from dolbuild.rules import snapshot as disk
from dolbuild.rules.node import Plan
from dolbuild.rules.plan import Tested
from dolbuild.rules.pruning import stale_nodes
from dolbuild.rules.quick import SNAPSHOT
from dolbuild.rules.reading import Reading
from dolbuild.rules.session import Session, Trace
from dolbuild.rules.snapshot import Difference, Snapshot
from dolbuild.settings import PYPROJECT, SETTINGS_FILE
from dolbuild.source import Span
from dolbuild.workspace import STATE_FOLDER, Known, Member, Workspace, join

JOURNAL = f"{STATE_FOLDER}/journal"
LIBRARIES = ("lark", "wasmtime")
"""Packages whose versions are part of keys (`rules/tool.py`)."""


class Remembered:
    """The snapshot of the last run, as far as it still holds. Without one, nothing is known and everything is looked at.

    The journal is one of its files: a run that was killed, or that runs at the same time, has written to the journal, so what the
    snapshot says of results may no longer be so.
    """

    def __init__(self, root: Path, context: str) -> None:
        self.root = root
        self.context = context
        self.path = root / STATE_FOLDER / SNAPSHOT
        self.started = time.time_ns()
        self.snapshot: Snapshot | None = None
        self._is_same_shape = False
        self.difference = Difference(frozenset(), frozenset(), {})
        try:
            found = disk.decode(self.path.read_bytes())
        except OSError:
            return
        if found is None or found.context != context or Path.cwd() != root:
            return
        self.difference = disk.compare(found, self.started)
        changed = (*self.difference.files, *(f for f in self.difference.folders if f.startswith("/")))
        if not any(map(_decides_all, changed)):
            self.snapshot = found

    def _is_known(self, path: str) -> bool:
        return self.snapshot is not None and path in self.snapshot.files and path not in self.difference.files

    @property
    def members(self) -> Known | None:
        """The members as they were."""
        if self.snapshot is None:
            return None
        members = tuple(
            Member(path.rpartition("/")[0], modules, tests, "system" if path.endswith(SYSTEM_FILE) else "spirit")
            for path, modules, tests in self.snapshot.facts["members"]
        )
        folders = {path: time for path, time in self.snapshot.folders.items() if not path.startswith("/")}
        return Known(members, folders, self.difference.folders)

    def manifest(self, path: str) -> Manifest | None:
        """A manifest without any problem, whose file has not changed."""
        return self._manifest(path) if self._is_known(path) else None

    def _manifest(self, path: str) -> Manifest | None:
        known = self.snapshot.facts["manifests"].get(path) if self.snapshot is not None else None
        return None if known is None else _manifest_from(known)

    def tested(self, path: str) -> Tested | None:
        """What a source has that is run; None where that is not known."""
        if self.snapshot is None or not self._is_known(path):
            return None
        facts = self.snapshot.facts
        return Tested(path in facts["tested"], path in facts["documented"])

    def cone(self, plan: Plan, workspace: Workspace) -> frozenset[str] | None:
        """The nodes that may be stale; None where everything has to be looked at."""
        if self.snapshot is None:
            return None
        found = [(m.manifest_path, m.modules, m.tests) for m in workspace.members]
        self._is_same_shape = found == self.snapshot.facts["members"]
        before = {p: manifest for p in self.difference.files if (manifest := self._manifest(p)) is not None}
        stale = stale_nodes(plan, self.difference, self.snapshot.facts, before, workspace.members)
        return None if stale is None else frozenset(stale)

    def tell(self, session: Session) -> None:
        """Tell a session what else still holds: counts, and the objects of packages that none of its nodes may change."""
        if self.snapshot is None or session.cone is None:
            return
        facts = self.snapshot.facts
        if self._is_same_shape and not any(map(_is_manifest, self.difference.files)):
            if facts["nodes"] == len(session.plan.nodes):
                session.totals = dict(facts["totals"])
            session.traces = {name: Trace(*trace) for name, trace in facts["traces"].items()}
        session.closures = {
            name: tuple(closure) for name, closure in facts["closures"].items() if session.is_proven(name)
        }
        changed = {name.partition(":")[2].rpartition("/")[0] for name in session.cone}
        session.known_objects = {
            package.id: facts["objects"][package.id]
            for package in session.plan.packages
            if package.label not in changed and package.id in facts["objects"]
        }

    # -- leaving a new one -------------------------------------------------------------------------

    def look(self, workspace: Workspace, others: Iterable[Path]) -> None:
        """Take the stat of everything that the run may read and that is not known yet, before anything is read. *others* are
        folders outside of the workspace, with all that is in them."""
        self.folders = {p: disk.settled((t, 0, 0), self.started)[0] for p, t in workspace.folders.items()}
        outside: list[str] = []
        for folder in others:
            for base, _, names in os.walk(folder):
                if not base.endswith("__pycache__"):
                    self.folders[base] = os.stat(base).st_mtime_ns
                    outside += [f"{base}/{name}" for name in names]
        outside += [spec.origin for name in LIBRARIES if (spec := find_spec(name)) is not None and spec.origin]
        self.stats: dict[str, tuple[int, int, int]] = {}
        old = self.snapshot
        for path in (*_files_of(workspace), *outside):
            known = old.files.get(path) if old is not None and path not in self.difference.files else None
            known = self.difference.touched.get(path, known)
            self.stats[path] = known if known is not None else disk.settled(disk.stat_of(path), self.started)

    def leave(self, session: Session, reading: Reading, complete: Mapping[str, int]) -> None:
        """Write the snapshot of a run that has ended."""
        plan, workspace, old = session.plan, reading.workspace, self.snapshot
        if plan.diagnostics or session.journal.size is None or Path.cwd() != self.root:
            return
        session.journal.tidy()
        files = dict(self.stats)
        for path in plan.targets:
            known = old.files.get(path) if old is not None and path not in session.written else None
            known = self.difference.touched.get(path, known) if path not in session.written else None
            files[path] = disk.stat_of(path) if known is None or path in self.difference.files else known
        files[JOURNAL] = journal = disk.stat_of(JOURNAL)
        if journal[1] != session.journal.size:
            return  # someone else is building here
        hashes = {p: h for p, h in (old.hashes if old else {}).items() if p in files and p not in self.difference.files}
        closures = dict(old.facts["closures"]) if old is not None else {}
        closures |= session.closures
        cone = session.cone if session.cone is not None else plan.nodes.keys()
        manifests = {
            read.member.manifest_path: _manifest_values(read.manifest)
            for read in reading.spirits
            if read.manifest is not None and not read.diagnostics
        }
        facts = {
            "members": [(m.manifest_path, m.modules, m.tests) for m in workspace.members],
            "manifests": manifests,
            "tested": frozenset(plan.tested),
            "documented": frozenset(plan.documented),
            "closures": {name: closure for name, closure in closures.items() if name in plan.nodes},
            "totals": session.totals,
            "nodes": len(plan.nodes),
            "traces": {n: tuple(trace) for n, trace in session.traces.items() if n.partition(" ")[0] in plan.nodes},
            "objects": session.known_objects | {id_: one.digest for id_, one in session.objects.items()},
            "unproven": tuple(sorted(name for name in cone if name not in session.verified)),
        }
        kept = old.complete if old is not None and not session.cone else {}
        made = Snapshot(self.context, files, hashes | session.contents, self.folders, {**kept, **complete}, facts)
        try:
            write_atomic(self.path, disk.encode(made))
        except (OSError, ValueError):
            self.path.unlink(missing_ok=True)  # a value that marshal does not know: the next run looks at everything


def _is_manifest(path: str) -> bool:
    return path.endswith((SPIRIT_FILE, SYSTEM_FILE))


def _decides_all(path: str) -> bool:
    """Whether a file decides on everything: settings, the lock, the journal, and what is outside of the workspace."""
    return path in (SETTINGS_FILE, PYPROJECT, LOCK_FILE, JOURNAL) or path.startswith("/")


def _files_of(workspace: Workspace) -> Iterator[str]:
    for name in (SETTINGS_FILE, PYPROJECT, LOCK_FILE):
        if (workspace.root / name).exists():
            yield name
    for member in workspace.members:
        yield member.manifest_path
        for path in (*member.modules.values(), *member.tests.values()):
            yield join(member.folder, path)


def _manifest_values(manifest: Manifest) -> tuple[Any, ...]:
    requires = [(one.name.text, one.value, one.span.start, one.span.end) for one in manifest.requires]
    return (
        manifest.name, manifest.version, manifest.lib, manifest.bins, requires, dict(manifest.values), manifest.exegesis
    )  # fmt: skip


def _manifest_from(values: tuple[Any, ...]) -> Manifest:
    name, version, lib, bins, requires, has, exegesis = values
    found = []
    for text, value, start, end in requires:
        package = parse_name(text)
        found.append(Requirement(package, parse_wanted(package, value), value, Span(start, end)))
    return Manifest(name, version, lib, bins, tuple(found), has, exegesis)
