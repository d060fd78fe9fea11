"""Servers for the tests of fetching, and workspaces that use them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.servers import GitServer, Nginx, git_server, nginx
from tests.support.workspaces import Workspace


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """One nginx for all tests; each uses folders of its own below its root."""
    with nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def repositories(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "repositories") as server:
        yield server


class Places:
    """Makes workspaces below one folder, each with an own ``DOL_HOME`` unless told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables: dict[str, str] = {"DOL_HTTP_TIMEOUT": "5", "HOME": str(folder / "user")}
        (folder / "user").mkdir()

    def make(self, name: str, files: Mapping[str, str | bytes], home: str = "") -> Workspace:
        root = self.folder / name
        root.mkdir()
        workspace = Workspace(root, self.folder / (home or f"{name}-home"), self.variables)
        workspace.write(files)
        return workspace


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)
