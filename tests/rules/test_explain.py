"""Why something ran again, and what a run leaves to read: ``why``, ``compare``, ``--events``, ``--profile``."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dolbuild.cache.action import Record
from dolbuild.cache.digest import digest
from dolbuild.rules.explain import Difference, compare
from tests.conftest import MakeWorkspace
from tests.rules.test_graph import BASE, built, edit

MEASURES_PROCESSES = True

values = st.dictionaries(st.sampled_from("abcd"), st.text(max_size=3) | st.integers(0, 3), max_size=4)
records = st.builds(
    Record, st.sampled_from(["module", "spirit"]), st.integers(1, 2), st.sampled_from(["t", "u"]), values,
    st.dictionaries(st.sampled_from("wxyz"), st.sampled_from([digest(b"1"), digest(b"2")]), max_size=4),
)  # fmt: skip


@given(records, records)
def test_two_records_differ_where_their_keys_do(one: Record, other: Record) -> None:
    assert (compare(one, other) == []) == (one.key == other.key)
    assert [(d.name, d.old, d.new) for d in compare(one, other)] == [
        (d.name, d.new, d.old) for d in compare(other, one)
    ]


def test_a_difference_as_text() -> None:
    assert Difference("input x", None, digest(b"x")).text() == "input x is new: 2d711642b726"
    assert Difference("input x", digest(b"x"), None).text() == "input x is gone; it was 2d711642b726"
    assert Difference("option a", "1", "2").text() == "option a changed: 1 -> 2"


def test_why(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    first = workspace.command("why", "module:base/numbers")
    assert first.out == (
        "module:base/numbers\n"
        "  the last time it ran, since it had never been done in this workspace\n"
        "  now it is up to date\n"
    )
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 11 - 10 }")
    stale = json.loads(workspace.command("why", "--json", "spirit:user").out)
    assert stale["now"] == {"stale": True, "waits": ["interface:base/numbers"]}
    workspace.build()
    found = json.loads(workspace.command("why", "--json", "module:base/numbers").out)
    (changed,) = found["last"]["changed"]
    assert changed["input"] == "input source"
    assert changed["old"] == digest(BASE["base/src/numbers.dol"].encode())
    assert found["now"] == {"stale": False}
    link = json.loads(workspace.command("why", "--json", "spirit:user").out)
    assert [one["input"] for one in link["last"]["changed"]] == ["input lib.wasm"]
    assert link["last"]["together"] == ["interface:base/numbers", "module:base/numbers"]
    (workspace.root / "target/spirits/user.wasm").unlink()
    gone = workspace.command("why", "spirit:user")
    assert "now it is stale: a file that it makes is gone or altered" in gone.out
    assert workspace.command("why", "module:nothing").status == 2
    assert workspace.command("why").status == 2


def test_why_a_test_was_not_run_again(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    assert "it was never done in this workspace" in workspace.command("why", "test:base/numbers_test").out
    workspace.command("test")
    edit(workspace, "base/src/numbers.dol", "return 9 }", "return 10 }")
    workspace.command("test")
    assert "since it had never been done in this workspace" in workspace.command("why", "test:base/numbers_test").out


def test_compare(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    key = json.loads(workspace.command("why", "--json", "interface:base/numbers").out)["last"]["key"]
    edit(workspace, "base/src/numbers.dol", "return 9 }", "return 10 }")
    workspace.build()
    other = json.loads(workspace.command("why", "--json", "interface:base/numbers").out)["last"]["key"]
    shown = workspace.command("compare", key, other[:12])
    assert shown.status == 0
    assert shown.out.splitlines()[1].startswith("  input source changed: ")
    assert workspace.command("compare", key, key).out.endswith("they are the same\n")
    for wrong in ("xyz", "ab", "0" * 64, "../../etc/passwd"):
        assert workspace.command("compare", key, wrong).status == 2


def test_events(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    workspace = built(make_workspace)
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 11 - 10 }")
    edit(workspace, "user/src/alone.dol", "return 5 }", 'return "five" }')
    path = tmp_path / "events.jsonl"
    assert workspace.command("build", "--events", str(path)).status == 1
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    by_name = {line["node"]: line for line in lines}
    assert len(by_name) == len(lines), "a line for each node"
    outcomes = {name: line["outcome"] for name, line in by_name.items()}
    assert outcomes["module:base/numbers"] == outcomes["spirit:base"] == "ran"
    assert outcomes["module:user/alone"] == "failed"
    assert outcomes["spirit:user"] == "skipped"
    assert outcomes["module:base/lib"] == outcomes["interface:base/lib"] == "up-to-date"
    changed = by_name["module:base/numbers"]["reason"]["changed"]
    assert [one["input"] for one in changed] == ["input source"]
    assert by_name["module:base/numbers"]["missed"] == ["local"]
    assert by_name["module:base/numbers"]["seconds"] > 0
    edit(workspace, "user/src/alone.dol", 'return "five" }', "return 5 }")
    edit(workspace, "base/src/numbers.dol", "return 11 - 10 }", "return 1 }")
    assert workspace.command("build", f"--events={path}").status == 0
    outcomes = {line["node"]: line["outcome"] for line in map(json.loads, path.read_text().splitlines())}
    assert outcomes["module:base/numbers"] == "hit"
    assert workspace.command("build", "--events", str(path)).status == 0
    assert {json.loads(line)["outcome"] for line in path.read_text().splitlines()} == {"up-to-date"}
    assert workspace.command("build", "--events", str(tmp_path / "no" / "folder")).status == 1


def test_profile(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    workspace = make_workspace(BASE)
    path = tmp_path / "trace.json"
    ran = workspace.command("build", f"--profile={path}", "--json")
    trace = json.loads(path.read_text())["traceEvents"]
    spans = [event for event in trace if event["ph"] == "X"]
    assert {span["name"] for span in spans} == set(ran.statuses)
    assert all(span["dur"] >= 1 and span["ts"] >= 0 and span["pid"] == 1 for span in spans)
    last: dict[int, float] = {}
    for span in sorted(spans, key=lambda one: one["ts"]):
        assert span["ts"] >= last.get(span["tid"], 0.0) - 1, "the spans of a row do not overlap"
        last[span["tid"]] = span["ts"] + span["dur"]


def test_the_cache_command(make_workspace: MakeWorkspace) -> None:
    workspace = built(make_workspace)
    stats = json.loads(workspace.command("cache", "stats", "--json").out)
    assert stats["results"] > 40 and stats["blobs"] > stats["results"]
    assert stats["folder"] == str(workspace.home / "store") and stats["remote"] is None
    assert workspace.command("cache", "verify").out.endswith(" 0 of them wrong\n")
    blob = next(path for path in sorted((workspace.home / "store/v2/cas").rglob("*")) if path.is_file())
    blob.chmod(0o644)
    blob.write_bytes(b"wrong")
    broken = workspace.command("cache", "verify")
    assert broken.status == 1 and f"removed cas/{blob.name}" in broken.out
    assert workspace.command("cache", "gc", "--size=100 kB").status == 0
    assert json.loads(workspace.command("cache", "stats", "--json").out)["size"] <= 100_000
    assert workspace.build("-a").status == 0
    assert workspace.command("cache", "clear").status == 0
    assert json.loads(workspace.command("cache", "stats", "--json").out)["results"] == 0
    assert workspace.build().counts["up-to-date"] > 0
    for wrong in ((), ("prune",), ("gc", "--size=much"), ("stats", "x")):
        assert workspace.command("cache", *wrong).status == 2


def test_the_limit_of_the_store_is_kept_by_builds(make_workspace: MakeWorkspace) -> None:
    import os
    import time

    workspace = make_workspace({"dolbuild.toml": 'organisation = "acme"\n[cache]\nsize = "50 kB"\n', **BASE})
    workspace.build()
    stamp = workspace.home / "store/v2/collected"
    for path in (workspace.home / "store/v2").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 100_000,) * 2)
    assert stamp.exists()
    edit(workspace, "base/src/numbers.dol", "return 9 }", "return 10 }")
    told = workspace.command("build")
    assert told.status == 0
    assert "out of the store that were not used for longest" in told.err
    assert workspace.build().ran() == set()
    edit(workspace, "base/src/numbers.dol", "return 1 }", "return 11 - 10 }")
    assert workspace.build().status == 0
    assert workspace.command("exec", "user", "three").out == "3\n"
