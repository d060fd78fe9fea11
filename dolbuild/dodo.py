"""For a workspace that has a ``dodo.py`` of its own::

    from dolbuild.dodo import *
    DOIT_CONFIG = {"default_tasks": ["build"]}

The second line makes ``doit`` alone build the Spirits; the workspace's own tasks can name ours in their
``task_dep``, and our targets in their ``file_dep``.
"""

import atexit
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["task_dolbuild"]


def task_dolbuild() -> Iterator[dict[str, Any]]:
    """the Spirits of this workspace"""
    from dolbuild.rules.build import open_session
    from dolbuild.rules.doit_adapter import task_dictionaries
    from dolbuild.workspace import find_root

    root = find_root(Path.cwd())
    if root is not None:
        session = open_session(root)
        atexit.register(session.close)  # doit has no place where a loader is told that the run is over
        yield from task_dictionaries(session)
