"""Opening a workspace for one run: settings, plan, journal, store."""

import gc
import os
from pathlib import Path

from dolbuild.cache.files import sweep
from dolbuild.cache.store import Store
from dolbuild.rules.journal import Journal
from dolbuild.rules.node import Node
from dolbuild.rules.plan import plan
from dolbuild.rules.session import Failed, Session
from dolbuild.workspace import STATE_FOLDER, Profile, Settings, load

HOME_VARIABLE = "DOL_HOME"

GARBAGE = 200_000
"""Objects between two looks for cycles. A compiler makes many objects and hardly any cycle; Python's own
threshold costs it a quarter of its time (``benchmarks/README.md``)."""


def dol_home(environment: "os._Environ[str] | dict[str, str]") -> Path:
    """Where caches are kept: ``DOL_HOME``, else ``~/.dol``."""
    named = environment.get(HOME_VARIABLE)
    return Path(named) if named else Path.home() / ".dol"


def store_folder(root: Path, settings: Settings, home: Path) -> Path:
    """The folder of the local store."""
    return root / settings.store if settings.store is not None else home / "store"


def open_session(root: Path, *, release: bool = False, home: Path | None = None) -> Session:
    """A session for the workspace at *root*. Raises DiagnosticError where it cannot be read at all."""
    gc.set_threshold(GARBAGE, 50, 50)
    workspace = load(root)
    settings = workspace.settings
    name = "release" if release else settings.profile
    profile: Profile = settings.profiles[name]
    sweep(root / settings.output / "spirits")
    sweep(root / STATE_FOLDER)
    store = Store(store_folder(root, settings, home or dol_home(os.environ)))
    journal = Journal(root / STATE_FOLDER / "journal")
    return Session(plan(workspace, profile), root, journal, store)


def bring_up(session: Session, node: Node, seen: set[str]) -> None:
    """Do the dependencies of a node and then itself, outside of doit. Raises `Failed`. The graph is a few layers deep, never
    more."""
    if node.name in seen:
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
