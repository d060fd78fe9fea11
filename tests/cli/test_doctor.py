"""``dolbuild doctor``: what it finds on a machine that is well, and on one that is not."""

import json
import socket
from pathlib import Path
from typing import Any

from tests.conftest import MakeWorkspace
from tests.support.workspaces import Ran, Workspace, spirit

MEASURES_PROCESSES = True


def findings(ran: Ran) -> dict[str, Any]:
    assert "Traceback" not in ran.err, ran.err
    return {one["what"]: one for one in json.loads(ran.out)}


def test_all_is_well(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(
        {"one/Spirit.dol": spirit("one"), "one/src/lib.dol": "pub fun one() -> Int64 { return 1 }\n"}
    )
    ran = workspace.command("doctor")
    assert ran.status == 0 and ran.err == "" and ran.out.endswith("everything is there\n"), ran
    found = findings(workspace.command("doctor", "--json"))
    assert {"dolbuild", "packages", "engine", "git", "home", "disk", "workspace", "lock", "store", "remote"} <= set(
        found
    )
    assert found["workspace"]["text"].endswith("1 Spirit, 0 Systems") and found["remote"]["state"] == "note"


def test_what_is_not_well(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    workspace = make_workspace(
        {"one/Spirit.dol": spirit("one", "nothing"), "one/src/lib.dol": "\n", "two/Spirit.dol": "spirit Two {"}
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    workspace.variables = {"DOL_REMOTE": f"http://127.0.0.1:{port}", "DOL_HOME": "/proc/nowhere"}
    ran = workspace.command("doctor", "--json")
    found = findings(ran)
    assert ran.status == 1
    assert found["home"]["state"] == "bad" and "DOL_HOME" in found["home"]["hint"]
    assert found["remote"]["state"] == "bad" and f"127.0.0.1:{port}" in found["remote"]["text"]
    assert found["workspace"]["state"] == "bad"
    (workspace.root / "dolbuild.toml").write_text("members = 5\n")
    found = findings(workspace.command("doctor", "--json"))
    assert found["workspace"]["state"] == "bad" and "`members` is a list" in found["workspace"]["text"]
    elsewhere = Workspace(tmp_path, tmp_path / "home")
    found = findings(elsewhere.command("doctor", "--json"))
    assert found["workspace"]["state"] == "note" and "dolbuild new workspace" in found["workspace"]["hint"]
    assert elsewhere.command("doctor", "more").status == 2
