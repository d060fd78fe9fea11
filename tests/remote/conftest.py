"""Workspaces that share a remote cache."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.workspaces import SETTINGS, Workspace, spirit

FILES: dict[str, str] = {
    "base/Spirit.dol": spirit("base"),
    "base/src/lib.dol": "pub use numbers.{ one, two }\n",
    "base/src/numbers.dol": (
        "pub fun one() -> Int64 { return 1 }\n"
        "pub fun two() -> Int64 { return one() + 1 }\n"
        "pub fun other() -> Int64 { return 9 }\n"
    ),
    "base/tests/numbers_test.dol": 'use numbers.two\ntest "two" { assert_eq(two(), 2) }\n',
    "user/Spirit.dol": spirit("user", "base"),
    "user/src/lib.dol": "use @acme/base.one\npub fun three() -> Int64 { return one() + 2 }\n",
}

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
