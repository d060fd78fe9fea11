"""Systems for the tests, each built once for all of them."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dolbuild.runtime.capabilities import Capabilities
from dolbuild.runtime.host import Host
from dolbuild.runtime.instance import Program
from dolbuild.systems.running import Running
from tests.support.workspaces import EXAMPLES, SETTINGS, Workspace

BuildSystem = Callable[[str], bytes]
Start = Callable[..., Running]


@pytest.fixture(scope="session")
def system_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``DOL_HOME`` that the Systems of these tests share."""
    return tmp_path_factory.mktemp("systems-home")


@pytest.fixture(scope="session")
def cluster_workspace(tmp_path_factory: pytest.TempPathFactory, system_home: Path) -> Workspace:
    """A copy of the example workspace, built."""
    root = tmp_path_factory.mktemp("cluster") / "work"
    shutil.copytree(EXAMPLES, root, ignore=shutil.ignore_patterns("target", ".dolbuild", "state", "http-service"))
    workspace = Workspace(root, system_home)
    ran = workspace.build()
    assert ran.status == 0, ran.err
    return workspace


@pytest.fixture(scope="session")
def cluster(cluster_workspace: Workspace) -> bytes:
    """Example 4 of the specification, linked."""
    return (cluster_workspace.root / "target/systems/production-cluster.wasm").read_bytes()


@pytest.fixture(scope="session")
def build_system(tmp_path_factory: pytest.TempPathFactory, system_home: Path) -> BuildSystem:
    """Builds a System from the text of a ``System.dol``; other files of the workspace are given by their names."""
    known: dict[str, bytes] = {}

    def build(text: str, files: Mapping[str, str] | None = None, *options: str) -> bytes:
        key = repr((text, sorted((files or {}).items()), options))
        if key not in known:
            root = tmp_path_factory.mktemp("system") / "work"
            workspace = Workspace(root, system_home)
            workspace.write({"dolbuild.toml": SETTINGS, "it/System.dol": text, **(files or {})})
            ran = workspace.build(*options)
            assert ran.status == 0, [e for e in ran.events if e["event"] == "diagnostic"]
            (found,) = (root / "target/systems").glob("*.wasm")
            known[key] = found.read_bytes()
        return known[key]

    return build


def make(wasm: bytes, watched: bool = True) -> Running:
    """A System that was not started."""
    return Running(Program(wasm), Host(Capabilities()), watched)
