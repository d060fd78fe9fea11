"""Fixtures for all tests."""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dolbuild.deep import FRAMES
from tests.support.workspaces import EXAMPLES, MEASURED, SETTINGS, Workspace

sys.setrecursionlimit(FRAMES)  # as the compiler does; hypothesis complains of a change in the middle of a test

MakeWorkspace = Callable[[Mapping[str, str | bytes]], Workspace]


@pytest.fixture(autouse=True)
def measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage follows the processes of those test modules that say ``MEASURES_PROCESSES``: together they run every command. The
    others run whole builds again and again, whose lines are measured there."""
    if getattr(request.module, "MEASURES_PROCESSES", False):
        monkeypatch.setenv(MEASURED, "1")


@pytest.fixture
def make_workspace(tmp_path: Path) -> MakeWorkspace:
    """Makes a workspace from files; settings for the organisation ``acme`` are there unless given."""

    def make(files: Mapping[str, str | bytes]) -> Workspace:
        root = tmp_path / "work"
        root.mkdir()
        workspace = Workspace(root, tmp_path / "home")
        defaults = {} if "pyproject.toml" in files else {"dolbuild.toml": SETTINGS}
        workspace.write({**defaults, **files})
        return workspace

    return make


@pytest.fixture
def examples(tmp_path: Path) -> Workspace:
    """A copy of the Spirits of ``examples/workspace`` that need no others, which nobody has built."""
    root = tmp_path / "examples"
    others = (
        "http-service",
        "container-lib",
        "containers",
        "scheduler",
        "monitoring",
        "networking",
        "production-cluster",
    )
    shutil.copytree(EXAMPLES, root, ignore=shutil.ignore_patterns("target", ".dolbuild", *others))
    return Workspace(root, tmp_path / "home")
