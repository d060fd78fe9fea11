"""The completion script, in a real bash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeWorkspace
from tests.support.workspaces import Workspace, spirit

FILES = {
    "one/Spirit.dol": spirit("one"), "one/src/lib.dol": "pub fun one() -> Int64 { return 1 }\n",
    "sys/System.dol": "system Whole { }\n",
}  # fmt: skip


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    return make_workspace(FILES)


def complete(workspace: Workspace, line: str) -> list[str]:
    """What bash offers at the end of a line."""
    script = workspace.command("completion", "bash").out
    words = line.split(" ")
    asked = f"{script}\nCOMP_WORDS=({' '.join(words)})\nCOMP_CWORD={len(words) - 1}\n_dolbuild\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    folder = str(Path(sys.executable).parent)
    environment = workspace.environment() | {"PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", asked], cwd=workspace.root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == "", done.stderr
    return done.stdout.split()


def test_bash(workspace: Workspace) -> None:
    assert complete(workspace, "dolbuild que") == ["query"]
    assert complete(workspace, "dolbuild ca") == ["cache"]
    assert complete(workspace, "dolbuild cache v") == ["verify"]
    assert complete(workspace, "dolbuild new s") == ["spirit", "system"]
    assert complete(workspace, "dolbuild build --off") == ["--offline"]
    assert complete(workspace, "dolbuild exec o") == ["one"]
    assert complete(workspace, "dolbuild up w") == ["whole"]
    assert complete(workspace, "dolbuild why system:") == ["system:whole"]
    assert complete(workspace, "dolbuild fmt one/Sp") == ["one/Spirit.dol"]


def test_every_command_is_completed(workspace: Workspace) -> None:
    shown = {line.split()[1] for line in workspace.command("--help").out.splitlines() if line.startswith("  dolbuild ")}
    assert shown - {"|"} <= set(complete(workspace, "dolbuild "))
    zsh = workspace.command("completion", "zsh")
    assert zsh.status == 0 and zsh.out.startswith("autoload")
    assert workspace.command("completion", "tcsh").status == 2
