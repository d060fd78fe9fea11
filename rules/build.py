"""Opening a workspace for one run: settings, plan, journal, store."""

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dolbuild.cache
import dolbuild.rules
from dolbuild.files import sweep
from dolbuild.packages.lockfile import Lock
from dolbuild.rules.caching import Caching, collect_if_due, open_cache
from dolbuild.rules.external import Externals, lock_for_build, open_sources, read_lock
from dolbuild.rules.journal import Journal
from dolbuild.rules.node import Node
from dolbuild.rules.plan import plan
from dolbuild.rules.quick import context_of
from dolbuild.rules.reading import Reading, read_workspace
from dolbuild.rules.remembered import Remembered
from dolbuild.rules.session import Failed, Session
from dolbuild.rules.snapshot import RACY
from dolbuild.settings import Profile, read_settings
from dolbuild.workspace import STATE_FOLDER, load

HOME_VARIABLE = "DOL_HOME"

TOOL_FOLDERS = tuple(Path(package.__path__[0]).resolve() for package in (dolbuild, dolbuild.rules, dolbuild.cache))
"""Where the tool is: another tool means that everything has to be looked at."""

GARBAGE = 200_000
"""Objects between two looks for cycles. A compiler makes many objects and hardly any cycle; Python's own
threshold costs it a quarter of its time (``benchmarks/README.md``)."""


def dol_home(environment: "os._Environ[str] | dict[str, str]") -> Path:
    """Where caches are kept: ``DOL_HOME``, else ``~/.dol``."""
    named = environment.get(HOME_VARIABLE)
    return Path(named).absolute() if named else Path.home() / ".dol"


@dataclass(frozen=True, slots=True)
class Access:
    """How a run may get at packages. *fetch*: those that are missing are fetched (a run that only lists tasks does not);
    *locked*: the lock has to fit as it is; *tell* takes a line on what is being done."""

    offline: bool = False
    locked: bool = False
    fetch: bool = True
    tell: Callable[[str], None] = lambda _: None


def open_session(
    root: Path,
    *,
    release: bool = False,
    home: Path | None = None,
    access: Access | None = None,
    caching: Caching | None = None,
) -> Session:
    """A session for the workspace at *root*. Raises DiagnosticError where it cannot be read at all."""
    gc.set_threshold(GARBAGE, 50, 50)
    home = home or dol_home(os.environ)
    _make_folders(root)
    remembered = Remembered(root, context_of(release, str(home)))
    workspace = load(root, remembered.members)
    settings = workspace.settings
    name = "release" if release else settings.profile
    profile: Profile = settings.profiles[name]
    sweep(root / settings.output / "spirits")
    sweep(root / STATE_FOLDER)
    caching = caching or Caching()
    cache = open_cache(root, settings.cache, home, os.environ, caching)
    journal = Journal(root / STATE_FOLDER / "journal")
    reading = read_workspace(workspace, known=remembered.manifest)
    externals = bring_externals(reading, home, access or Access())
    remembered.look(workspace, (*TOOL_FOLDERS, *externals.folders()))
    made = plan(reading, profile, externals, remembered.tested)
    session = Session(made, root, journal, cache, remembered.cone(made, workspace))
    remembered.tell(session)
    session.download = caching.download or settings.cache.download
    unpin = cache.store.pin(journal.path)

    def end() -> None:
        told = collect_if_due(cache.store, settings.cache.size)
        if told:
            cache.told.append(told)
        unpin()

    session.on_close = end
    session.leave = lambda complete: remembered.leave(session, reading, complete)
    return session


def _make_folders(root: Path) -> None:
    """Make the folders of a build before anything is looked at, so that the root's time is not changed after that. Raises
    DiagnosticError."""
    if (root / STATE_FOLDER).is_dir():
        return
    try:
        (root / STATE_FOLDER).mkdir()
        (root / read_settings(root).output / "spirits").mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # what has to be written there will say so
    time.sleep(RACY / 1e9)


def bring_externals(reading: Reading, home: Path, access: Access) -> Externals:
    """The packages from elsewhere, locked and (if they may be) fetched. Raises DiagnosticError."""
    sources = open_sources(reading.workspace, home, os.environ, offline=access.offline)
    if not access.fetch:
        return Externals(read_lock(reading.workspace.root) or Lock(), sources)
    try:
        lock = lock_for_build(reading, sources, locked=access.locked, tell=access.tell)
        externals = Externals(lock, sources)
        externals.fetch_all(access.tell)
    finally:
        sources.close()
    return externals


def bring_up(session: Session, node: Node, seen: set[str]) -> None:
    """Do the dependencies of a node and then itself, outside of doit. Raises `Failed`. The graph is a few layers deep, never
    more."""
    if node.name in seen or session.is_proven(node.name):
        return
    seen.add(node.name)
    failed: Failed | None = None
    for dependency in session.plan.expand(node.dependencies):
        try:
            bring_up(session, session.plan.nodes[dependency], seen)
        except Failed as error:
            failed = error
    if failed is not None:
        raise failed
    if not session.is_up_to_date(node):
        session.execute(node)
