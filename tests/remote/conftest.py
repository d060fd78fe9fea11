"""Workspaces that share a remote cache."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.rules.test_graph import BASE
from tests.support.workspaces import SETTINGS, Workspace

FILES = {name: text for name, text in BASE.items() if name != "user/src/alone.dol"}

Clone = Callable[..., Workspace]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Makes workspaces with the same files, each in a path and with a home of its own."""
    made: list[Workspace] = []

    def make(variables: Mapping[str, str] | None = None, settings: str = "", home: Path | None = None) -> Workspace:
        root = tmp_path / f"clone-{len(made)}" / ("deep" * len(made)) / "work"
        root.mkdir(parents=True)
        place = Workspace(
            root, home or tmp_path / f"home-{len(made)}", {"DOL_REMOTE_TIMEOUT": "3", **(variables or {})}
        )
        place.write({"dolbuild.toml": SETTINGS + settings, **FILES})
        made.append(place)
        return place

    return make


UPLOADING = {"DOL_REMOTE_UPLOAD": "true"}
