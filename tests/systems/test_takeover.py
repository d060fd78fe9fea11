"""A new build takes over the state of an old one, or says exactly what does not fit."""

from pathlib import Path
from typing import Any

import pytest

from dolbuild.runtime.capabilities import Capabilities
from dolbuild.runtime.host import Host
from dolbuild.runtime.instance import Program
from dolbuild.systems.durable import CHECKPOINT
from dolbuild.systems.keeping import Opened, open_kept
from dolbuild.systems.running import Broken
from dolbuild.systems.takeover import DoesNotFit
from tests.systems.conftest import BuildSystem

BEFORE = """
var COUNTER: Int64 = 5
var NAMES: List<String> = ["first"]

gene Leaf { has size: Int32; has owner: Option<Tree> }
gene Tree { has name: String; has leaves: List<Leaf>; has best: Option<Leaf> }
gene Mood { type: enum { Calm, Angry(reason: String), Both(Int64, String) } }

system Forest {
    has trees: List<Tree>
    has moods: Map<String, Mood>
    has number: Int32 = 1
    has ratio: Float32 = 0.5
    has seen: Set<Int64>
    has pair: Option<(Int64, String)>
    has last: Option<Tree>

    pub sex fun plant(name: String, size: Int32) -> Int64 {
        tree = Tree { name: name, leaves: [], best: None }
        leaf = Leaf { size: size, owner: Some(tree) }
        tree.leaves.push(leaf)
        tree.best = Some(leaf)
        this.trees.push(tree)
        this.last = Some(tree)
        this.seen.insert(size as Int64)
        this.pair = Some((size as Int64, name))
        COUNTER += 1
        NAMES.push(name)
        return COUNTER
    }
    pub sex fun names() -> List<String> { return NAMES }
    pub fun grow(size: Int32) {
        match this.last {
            Some(tree) { match tree.best { Some(leaf) { leaf.size = size }; None { } } }
            None { }
        }
    }
    pub fun sizes() -> List<Int32> { return this.trees.flat_map(t => t.leaves.map(l => l.size)) }
    pub fun set_mood(name: String, mood: Mood) { this.moods.insert(name, mood) }
}
"""

AFTER = (
    BEFORE.replace("has number: Int32 = 1", "has number: Int64 = 1\n    has new: String = \"fresh\"\n    has more: List<Tree>")
    .replace("has ratio: Float32", "has ratio: Float64")
    .replace("has pair: Option<(Int64, String)>", "has pair: Option<(Int64, String)>\n    has label: Option<String>")
    .replace("enum { Calm, Angry", "enum { Happy, Calm, Angry")
    .replace("has name: String; has leaves", "has age: Int64 = 3; has name: String; has leaves")
)  # fmt: skip


def filled(wasm: bytes, folder: Path) -> dict[str, Any]:
    """A kept state that has been used; gives it as JSON."""
    opened = open_kept(Program(wasm), Host(Capabilities()), folder, synced=False)
    running = opened.running
    for number in range(40):
        running.call("plant", [f"tree {number} ä", number])
    running.call("set_mood", ["a", {"Angry": {"reason": "rain"}}])
    running.call("set_mood", ["b", "Calm"])
    running.call("set_mood", ["c", {"Both": [-1, "x"]}])
    state: dict[str, Any] = running.state()
    opened.close()
    return state


def reopen(wasm: bytes, folder: Path, accept_loss: bool = False) -> Opened:
    return open_kept(Program(wasm), Host(Capabilities()), folder, accept_loss=accept_loss, synced=False)


@pytest.mark.parametrize("stress", [False, True])
@pytest.mark.parametrize("options", [(), ("--release",)])
def test_what_fits(build_system: BuildSystem, tmp_path: Path, options: tuple[str, ...], stress: bool) -> None:
    state = filled(build_system(BEFORE), tmp_path / "kept")
    opened = reopen(build_system(AFTER, None, *options), tmp_path / "kept")
    running = opened.running
    if stress:
        running.instance.stress()
    assert opened.said == ("this build has taken over the state of another one after call 43",)
    found = running.state()
    assert found["number"] == 1 and found["new"] == "fresh" and found["more"] == [] and found["label"] is None
    assert found["trees"][3] == {"age": 3, **state["trees"][3]}
    assert found["moods"] == state["moods"] and found["seen"] == state["seen"] and found["pair"] == state["pair"]
    assert running.call("names", []) == ["first", *(f"tree {n} ä" for n in range(40))]
    # what was shared is shared: the last tree, its leaf in the list, and its best one
    running.call("grow", [1000])
    assert running.call("sizes", [])[-1] == 1000
    assert running.state("last")["best"]["size"] == 1000
    assert running.state("last")["leaves"][0]["owner"] == {"$cycle": "Tree"}
    assert running.call("plant", ["next", 1]) == 46  # the variable of the module went on
    opened.close()
    again = reopen(build_system(AFTER, None, *options), tmp_path / "kept")
    assert again.said == ("resumed after call 47",)
    assert again.running.call("sizes", [])[-2:] == [1000, 1]
    again.close()


MISFITS: dict[str, tuple[tuple[tuple[str, str], ...], tuple[str, ...]]] = {
    "a number that is too large": (
        (("has size: Int32;", "has size: Int8;"), ("size: Int32)", "size: Int8)"), ("List<Int32>", "List<Int8>")),
        ("last.best.size: 200 is no Int8, which goes from -128 to 127",),
    ),
    "another type": (
        (("has seen: Set<Int64>", "has seen: Set<String>"), ("insert(size as Int64)", 'insert("x")')),
        ("seen[0]: it was Int64, and is String now",),
    ),
    "no default": ((("has trees:", "has rate: Float64\n    has trees:"),), ("rate: `rate: Float64` is new, and has no default",)),
    "a variant that is gone": (
        (("Calm, Angry(reason: String), ", "Calm, "),),
        ("moods[0]: it is `Angry`, which `Mood` no longer has",),
    ),
    "a part of a variant that is new": (
        (("Angry(reason: String)", "Angry(reason: String, level: Int64)"),),
        ("moods[0].Angry.level: this part of `Angry` is new, and its value is not known",),
    ),
    "a constraint of a gene": (
        (("gene Leaf { has size: Int32;", "gene Leaf { constraint small { this.size < 100 }; has size: Int32;"),),
        ("last.best: ",),
    ),
    "a list that was a set": (
        (("has seen: Set<Int64>", "has seen: List<Int64>"), ("seen.insert(", "seen.push(")),
        ("seen: it was Set<Int64>, and is List<Int64> now",),
    ),
    "a function": (
        (("has number: Int32 = 1", "has number: (Int64) -> Int64 = x => x"),),
        ("number: (Int64) -> Int64 cannot be carried over",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit(build_system: BuildSystem, tmp_path: Path, name: str) -> None:
    changes, expected = MISFITS[name]
    text = BEFORE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    folder = tmp_path / "kept"
    before = build_system(BEFORE)
    opened = reopen(before, folder)
    opened.running.call("set_mood", ["a", {"Angry": {"reason": "rain"}}])
    for number in range(39):
        opened.running.call("plant", ["x", number])
    opened.running.call("plant", ["x", 200])
    state = opened.running.state()
    opened.close()
    checkpoint = (folder / CHECKPOINT).read_bytes()
    with pytest.raises(DoesNotFit) as raised:
        reopen(build_system(text), folder)
    for message in expected:
        assert any(one.startswith(message) for one in raised.value.misfits.wrong), raised.value.misfits
    assert (folder / CHECKPOINT).read_bytes() == checkpoint
    opened = reopen(before, folder)  # nothing has happened to what is kept
    assert opened.running.state() == state
    opened.close()


def test_what_would_be_lost(build_system: BuildSystem, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    state = filled(build_system(BEFORE), folder)
    text = BEFORE.replace("    has ratio: Float32 = 0.5\n", "").replace(
        "has size: Int32; has owner: Option<Tree> ", "has size: Int32 "
    )
    text = text.replace("size: size, owner: Some(tree) }", "size: size }")
    wasm = build_system(text)
    with pytest.raises(DoesNotFit) as raised:
        reopen(wasm, folder)
    assert raised.value.misfits.wrong == []
    assert raised.value.misfits.lost == [
        "ratio: the field `ratio` of `Forest` is no longer there",
        "last.best.owner: the field `owner` of `Leaf` is no longer there",
    ]
    opened = reopen(wasm, folder, accept_loss=True)
    assert any("lost: ratio" in said for said in opened.said)
    found = opened.running.state()
    assert "ratio" not in found and found["moods"] == state["moods"] and len(found["trees"]) == 40
    opened.close()


def test_a_constraint_that_is_new(build_system: BuildSystem, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    filled(build_system(BEFORE), folder)
    text = BEFORE.replace("    has last:", "    constraint few { this.trees.len < 10 }\n    has last:")
    with pytest.raises(Broken, match="few"):
        reopen(build_system(text), folder)
    reopen(build_system(BEFORE), folder).close()


def test_a_large_state(cluster: bytes, tmp_path: Path) -> None:
    """20,000 containers, each in a list and in a map, so twice as many paths as objects."""
    folder = tmp_path / "kept"
    given = {
        "clusters": [{"id": 1, "name": "a", "total_memory_mb": 1}],
        "config": {"max_containers_per_cluster": 100000},
    }
    given["config"] |= {"total_memory_limit_mb": 9, "default_container_memory_mb": 64}  # type: ignore[operator]
    opened = open_kept(Program(cluster), Host(Capabilities()), folder, given, synced=False)
    opened.running.call("scale", [1, 20_000])
    state = opened.running.state()
    opened.close()
    other = cluster + b"\x00\x04\x01xyz"  # the same code with one more section: another build
    opened = open_kept(Program(other), Host(Capabilities()), folder, synced=False)
    assert opened.running.state() == state
    assert opened.running.call("scale", [1, -19_999]) is None
    assert opened.running.state("monitor")["tracked"].keys() == {"2"}
    opened.close()


CHAIN = """
gene Link { has value: Int64; has next: Option<Link>; has names: Map<Key, Link> }
gene Key { has parts: List<String> }
system Chain {
    has head: Option<Link>
    pub fun grow(n: Int64) {
        for i in 0..n { this.head = Some(Link { value: i, next: this.head, names: Map.new() }) }
    }
    pub fun name(parts: List<String>) {
        match this.head { Some(link) { link.names.insert(Key { parts: parts }, link) } None { } }
    }
    pub fun total(parts: List<String>) -> Int64 {
        total = 0
        at = this.head
        match at { Some(link) { at = link.names.get(Key { parts: parts }) } None { } }
        loop { match at { Some(link) { total += link.value; at = link.next } None { return total } } }
    }
}
"""


def test_a_state_as_deep_as_it_is_long(build_system: BuildSystem, tmp_path: Path) -> None:
    """100,000 links, and a map whose keys are lists."""
    opened = reopen(build_system(CHAIN), tmp_path / "kept")
    opened.running.call("grow", [100_000])
    opened.running.call("name", [["a", "b"]])
    assert opened.running.call("total", [["a", "b"]]) == 99_999 * 50_000
    opened.close()
    other = build_system(CHAIN.replace("has value: Int64", "has more: Bool = true; has value: Int64"))
    opened = reopen(other, tmp_path / "kept")
    assert opened.running.call("total", [["a", "b"]]) == 99_999 * 50_000
    assert opened.running.call("total", [["b"]]) == 0
    opened.close()
