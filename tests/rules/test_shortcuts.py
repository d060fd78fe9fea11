"""What a run remembers to do less must never make it do too little."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dolbuild.cache.store import Store
from dolbuild.rules.caching import pinned
from dolbuild.rules.journal import Journal
from dolbuild.rules.session import Session
from tests.conftest import MakeWorkspace
from tests.rules.test_graph import BASE, built, edit
from tests.support.workspaces import SETTINGS, Workspace, spirit

MEASURES_PROCESSES = True


def answer(workspace: Workspace) -> str:
    """What is really built says."""
    code = "import sys; from dolbuild.runtime.instance import Program; from dolbuild.runtime.host import Host; from dolbuild.runtime.capabilities import Capabilities\n"
    code += "p = Program(open(sys.argv[1], 'rb').read()); e = next(e for e in p.exports if e['name'] == 'three'); print(p.instantiate(Host(Capabilities())).call(e, []))"
    wasm = workspace.root / "target/spirits/user.wasm"
    done = subprocess.run([sys.executable, "-c", code, str(wasm)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_check_between_two_builds(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 7 }")
    assert workspace.command("check").status == 0
    assert workspace.build().ran() >= {"spirit:base", "spirit:user"}
    assert answer(workspace) == "9"


def test_there_and_back_and_something_else(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    for old, new in (("return 1 }", "return 7 }"), ("return 7 }", "return 1 }")):
        edit(workspace, "base/src/numbers.dol", old, new)
        workspace.build()
    workspace.write({"base/src/more.dol": "pub fun more() -> Int64 { return 1 }\n"})
    workspace.build()
    edit(workspace, "base/src/more.dol", "return 1", "return 2")
    workspace.build()
    assert answer(workspace) == "3"


def test_partial_builds_in_any_order(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    for number, tasks in enumerate((("spirit:base",), ("check",), ("test",), ("spirit:user",), ())):
        text = (workspace.root / "base/src/numbers.dol").read_text()
        workspace.write(
            {
                "base/src/numbers.dol": re.sub(
                    r"fun one\(\) -> Int64 \{ return \d+", f"fun one() -> Int64 {{ return {number + 10}", text
                )
            }
        )
        workspace.command("build", *tasks)
    workspace.build()
    assert answer(workspace) == "16"


@pytest.mark.parametrize("options", [("-n", "2"), ("-n", "1"), ()])
def test_lost_blobs_with_threads(options: tuple[str, ...], make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    assert workspace.command("cache", "clear").status == 0
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 7 }")
    edit(workspace, "user/src/alone.dol", "return 5 }", "return 6 }")
    assert workspace.build(*options).status == 0
    assert answer(workspace) == "9"


def test_lost_blobs_with_a_remote_that_is_down(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    assert workspace.command("cache", "clear").status == 0
    workspace.variables["DOL_REMOTE"] = "http://127.0.0.1:1"
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 7 }")
    edit(workspace, "user/src/alone.dol", "return 5 }", "return 6 }")
    assert workspace.build().status == 0
    assert answer(workspace) == "9"


def test_options_of_a_profile_reach_generic_functions(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    """They are compiled when they are linked, so no object changes with the option."""
    files = {
        "g/Spirit.dol": spirit("g"),
        "g/src/lib.dol": "fun twice<T>(x: T, n: Int64) -> Int64 { return n * 2 }\npub fun big(n: Int64) -> Int64 { return twice(n, n) }\n",
    }
    workspace = make_workspace(files)
    workspace.build()
    settings = SETTINGS + '[profiles.dev]\noverflow = "wrap"\n'
    workspace.write({"dolbuild.toml": settings})
    workspace.build()
    clean = Workspace(tmp_path / "clean", tmp_path / "clean-home")
    clean.write({"dolbuild.toml": settings, **files})
    clean.build()
    assert (workspace.root / "target/spirits/g.wasm").read_bytes() == (
        clean.root / "target/spirits/g.wasm"
    ).read_bytes()


def test_no_python_of_a_workspace_is_run(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    """Its root is the current folder; the processes that compile must not take a module from there."""
    trap = f"open({str(tmp_path / 'trapped')!r}, 'w')\n"
    files = {f"{name}.py": trap for name in ("lark", "json", "xxhash", "dolbuild", "pickle", "hashlib")}
    many = {f"base/src/n{n}.dol": f"pub fun n{n}() -> Int64 {{ return {n} }}\n" for n in range(40)}
    workspace = make_workspace({**BASE, **many, **files})
    program = shutil.which("dolbuild", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program is not None
    done = subprocess.run(
        [program, "build"], cwd=workspace.root, env=workspace.environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "trapped").exists()


def test_reading_a_journal_changes_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    store = Store(tmp_path / "store")
    end = store.pin(victim)
    assert pinned(store) == set()
    end()
    assert victim.read_text() == "precious"
    empty = tmp_path / "journal"
    empty.write_bytes(b"")
    assert len(Journal(empty).entries) == 0
    assert empty.exists()


def test_an_edit_between_two_looks_at_a_file(make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make_workspace(BASE)
    monkeypatch.chdir(workspace.root)
    monkeypatch.setenv("DOL_HOME", str(workspace.home))
    path = workspace.root / "base/src/numbers.dol"
    text = path.read_text()
    real = Session.read
    looked: list[str] = []

    def read(self: Session, file: Path, shown: str) -> bytes:
        data = real(self, file, shown)
        if file == path:
            looked.append(shown)
            if len(looked) == 1:
                path.write_text(text.replace("pub fun other() -> Int64 {", "pub fun other() -> Int32 {"))
        return data

    monkeypatch.setattr(Session, "read", read)
    from dolbuild.commands.main import main

    main(["build"])
    assert len(looked) > 1
    monkeypatch.setattr(Session, "read", real)
    later = workspace.build()
    assert "interface:base/numbers" in later.ran()


def test_a_spirit_gets_another_name(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    workspace.write({"base/Spirit.dol": spirit("basis")})
    assert "E0607" in workspace.build().codes
    assert workspace.build().status == 1
    workspace.write({"base/Spirit.dol": spirit("base")})
    assert workspace.build().status == 0


def test_a_spirit_gets_a_version_that_does_not_fit(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    workspace.write({"user/src/lib.dol": "pub fun three() -> Int64 { return 3 }\n"})
    assert workspace.build().status == 0
    workspace.write({"base/Spirit.dol": spirit("base", version="2.0.0")})
    assert "E0608" in workspace.build().codes


def test_sources_below_sources(make_workspace: MakeWorkspace) -> None:
    """A member below another one's ``src``: what comes there belongs to both."""
    files = {**BASE, "dolbuild.toml": 'organisation = "acme"\nmembers = ["*", "base/src/inner"]\n',
             "base/src/inner/Spirit.dol": spirit("inner"), "base/src/inner/src/lib.dol": "pub fun i() -> Int64 { return 1 }\n"}  # fmt: skip
    workspace = make_workspace(files)
    workspace.build()
    workspace.write({"base/src/inner/src/more.dol": "pub fun m() -> Int64 { return 1 }\n"})
    nodes = set(workspace.build().statuses)
    assert any(name.startswith("module:inner/more") for name in nodes)
    assert workspace.build().counts["ran"] == 0


def test_a_test_that_comes_into_a_module(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    workspace.command("test")
    text = BASE["user/src/alone.dol"] + 'test "five" { assert_eq(five(), 5) }\n'
    workspace.write({"user/src/alone.dol": text})
    ran = workspace.command("test", "--json")
    assert "test:user/src:alone" in ran.ran()
    total = sum(ran.counts[name] for name in ("ran", "hit", "up-to-date"))
    again = workspace.command("test", "--json")
    assert again.counts["up-to-date"] == total


def test_download_all_is_for_work_without_a_network(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    from tests.support.caches import webdav

    (tmp_path / "server").mkdir()
    with webdav(tmp_path / "server") as cache:
        workspace = make_workspace(BASE)
        workspace.variables |= {"DOL_REMOTE": cache.url, "DOL_REMOTE_UPLOAD": "true"}
        workspace.build()
        reader = Workspace(tmp_path / "reader", tmp_path / "reader-home", {"DOL_REMOTE": cache.url})
        reader.write({"dolbuild.toml": SETTINGS, **BASE})
        assert reader.build().counts["ran"] == 0
        assert reader.build("--download=all").counts["ran"] == 0
    other = Workspace(tmp_path / "other", reader.home, {"DOL_REMOTE": cache.url})
    other.write({"dolbuild.toml": SETTINGS, **BASE})
    without = other.build("--offline")
    assert without.counts["ran"] == 0
    assert without.counts["hit"] == len(without.statuses)
