"""A System that watches what its constraints read refuses the same calls, for the same reasons, as one that evaluates all of them every
time: over random calls that go through linked genes, sets in maps in lists, enums, texts, variables of modules, and collections."""

import random
from typing import Any

import pytest

from dolbuild.deep import deeply
from dolbuild.systems.running import Refused
from tests.systems.conftest import BuildSystem, make

FUZZ = """
var COUNTER: Int64 = 0
var NAMES: List<String> = []
gene Node { has value: Int64; has next: Option<Node>; has tags: Set<String>; has notes: Map<String, List<Int64>> }
gene Kind { type: enum { Plain, Heavy(weight: Int64), Pair(Int64, String) } }
system Fuzz {
    has head: Option<Node>
    has nodes: List<Node>
    has kinds: Map<Int64, Kind>
    has text: String = ""
    has grid: List<List<Int64>>
    has pair: (Int64, String) = (0, "")
    has best: Option<Int64>
    constraint chain { sum_of(this.head) < 60 }
    constraint tags { this.nodes.all(n => n.tags.len <= 3 && !n.tags.contains("bad")) }
    constraint notes { forall n in this.nodes { n.notes.values().all(l => l.len < 4) } }
    constraint kinds { forall (k, v) in this.kinds { weight(v) + k < 50 } }
    constraint text { this.text.len < 30 && !this.text.contains("zz") }
    constraint grid { forall row in this.grid { sum(row) < 40 } }
    constraint counted { sex { COUNTER < 40 } }
    constraint named { sex { NAMES.len < 12 } }
    constraint pair { this.pair.0 < 30 || this.pair.1 == "ok" }
    constraint best { this.best.unwrap_or(0) < 25 }
    pub fun push(v: Int64) {
        n = Node { value: v, next: this.head, tags: Set.new(), notes: Map.new() }
        this.head = Some(n)
        this.nodes.push(n)
    }
    pub fun pop() { match this.head { Some(n) { this.head = n.next } None { } } }
    pub fun drop_last() { match this.nodes.pop() { Some(n) { n.value = n.value + 1 } None { } } }
    pub fun set(i: UInt64, v: Int64) { match this.nodes.get(i) { Some(n) { n.value = v } None { } } }
    pub fun tag(i: UInt64, t: String) { match this.nodes.get(i) { Some(n) { n.tags.insert(t) } None { } } }
    pub fun untag(i: UInt64, t: String) { match this.nodes.get(i) { Some(n) { n.tags.remove(t) } None { } } }
    pub fun note(i: UInt64, t: String, v: Int64) {
        match this.nodes.get(i) {
            Some(n) {
                match n.notes.get(t) { Some(l) { l.push(v) } None { n.notes.insert(t, [v]) } }
            }
            None { }
        }
    }
    pub fun kind(k: Int64, v: Kind) { this.kinds.insert(k, v) }
    pub fun unkind(k: Int64) { this.kinds.remove(k) }
    pub fun say(t: String) { this.text = this.text + t }
    pub fun quiet() { this.text = "" }
    pub fun row(v: Int64) { this.grid.push([v]) }
    pub fun cell(i: UInt64, v: Int64) { match this.grid.get(i) { Some(r) { r.push(v) } None { } } }
    pub fun swap(i: UInt64, j: UInt64) {
        if i < this.grid.len && j < this.grid.len { x = this.grid[i]; this.grid[i] = this.grid[j]; this.grid[j] = x }
    }
    pub sex fun count(n: Int64) -> Int64 { COUNTER += n; return COUNTER }
    pub sex fun name(t: String) -> UInt64 { NAMES.push(t); return NAMES.len }
    pub sex fun unname() { NAMES.pop() }
    pub fun pairs(a: Int64, b: String) { this.pair = (a, b) }
    pub fun top(v: Option<Int64>) { this.best = v }
    pub fun garbage(n: Int64) -> UInt64 { xs: List<String> = []; for i in 0..n { xs.push("n" + i) }; return xs.len }
    pub fun oops(v: Int64) -> Result<Int64, String> { this.head = None; this.text = "lost"; this.grid.clear(); return Err("oops") }
    pub fun trap(v: Int64) -> Int64 { this.kinds = Map.new(); this.best = Some(1); return this.grid[99][v as UInt64] }
}
fun sum_of(n: Option<Node>) -> Int64 {
    total = 0
    at = n
    loop { match at { Some(x) { total += x.value; at = x.next } None { return total } } }
}
fun weight(k: Kind) -> Int64 { match k { Plain => 0, Heavy(w) => w, Pair(a, t) => a + t.len as Int64 } }
"""

TEXTS = ["a", "b", "bad", "z", "ok", "", "ä", "long text here"]
NUMBERS = [0, 1, 2, 3, 5, 9, 20, -3]


def arguments(choose: random.Random, name: str) -> list[Any]:
    """Arguments that a function may like or not."""
    number, text = choose.choice(NUMBERS), choose.choice(TEXTS)
    place = choose.randrange(5)
    kind = choose.choice(["Plain", {"Heavy": {"weight": number}}, {"Pair": [number, text]}])
    return {
        "push": [number], "set": [place, number], "tag": [place, text], "untag": [place, text],
        "note": [place, text, number], "kind": [place, kind], "unkind": [place], "say": [text], "row": [number],
        "cell": [place, number], "swap": [place, choose.randrange(4)], "count": [choose.choice([1, -1, -2])],
        "name": [text], "pairs": [choose.choice([1, 29, 30, 31]), text], "top": [choose.choice([None, 5, 25])],
        "garbage": [choose.choice([1, 50, 3000])], "oops": [1], "trap": [1],
    }.get(name, [])  # fmt: skip


@pytest.mark.parametrize("release", [False, True])
@pytest.mark.parametrize("stress", [False, True])
def test_watched_and_plain_agree(build_system: BuildSystem, release: bool, stress: bool) -> None:
    wasm = build_system(FUZZ, None, *(("--release",) if release else ()))
    deeply(lambda: compare(wasm, stress, 500))


def compare(wasm: bytes, stress: bool, count: int) -> None:
    choose = random.Random(f"{stress}")
    watched, plain = make(wasm), make(wasm, watched=False)
    watched.start({})
    plain.start({})
    if stress:
        watched.instance.stress()
    refused = 0
    for number in range(count):
        name = choose.choice(list(watched.table.functions))
        given = arguments(choose, name)
        outcomes: list[Any] = []
        for one in (watched, plain):
            try:
                outcomes.append(one.call(name, given))
            except Refused as error:
                outcomes.append((type(error), str(error), getattr(error, "values", None)))
        assert outcomes[0] == outcomes[1], (number, name, given)
        refused += isinstance(outcomes[0], tuple)
        if number % 10 == 0:
            assert watched.state() == plain.state(), number
    assert refused > count / 15
    assert sum(watched.counts.evaluated.values()) < sum(plain.counts.evaluated.values()) / 5
