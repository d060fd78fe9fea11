"""Constraints: evaluated when what they read has changed, and only then; a broken one undoes the call and shows its values."""

from typing import Any

import pytest

from dolbuild.systems.running import Broken, GaveError, Refused, Running, Stopped
from tests.systems.conftest import BuildSystem, make

LISTS = """
var COUNTER: Int64 = 0

gene Item { has value: Int64 }

system Lists {
    has a: List<Int64>
    has b: List<Int64>
    has items: List<Item>
    has names: Map<String, Item>
    has limit: Int64 = 100
    has shared: Option<Item>

    constraint a_is_small { forall x in this.a { x < this.limit } }
    constraint b_is_short { this.b.len <= 5 }
    constraint items_add_up { sum(this.items.map(i => i.value)) <= this.limit }
    constraint names_are_known { this.names.values().all(i => i.value >= 0) && !this.names.contains_key("") }
    constraint counted { sex { COUNTER < 10 } }
    constraint either { this.b.len == 0 || this.a.len > 0 }
    constraint one_is_there { exists i in this.items { i.value == 0 } || this.items.is_empty() }

    pub fun push_a(x: Int64) { this.a.push(x) }
    pub fun push_b(x: Int64) { this.b.push(x) }
    pub fun add(name: String, x: Int64) {
        item = Item { value: x }
        this.items.push(item)
        this.names.insert(name, item)
        this.shared = Some(item)
    }
    pub fun set_shared(x: Int64) {
        match this.shared {
            Some(item) { item.value = x }
            None { }
        }
    }
    pub fun look() -> Int64 { return this.a.len as Int64 + sum(this.b) + sum(this.items.map(i => i.value)) }
    pub sex fun count() -> Int64 {
        COUNTER += 1
        return COUNTER
    }
    pub fun same_again() {
        this.limit = this.limit
        this.a = this.a
    }
    pub fun fail_late(x: Int64) -> Result<Int64, String> {
        this.a.push(x)
        this.limit = 1000
        return Err("late")
    }
    pub fun trap_late(x: Int64) -> Int64 {
        this.a.push(x)
        return this.a[this.a.len]
    }
    pub fun garbage(n: Int64) -> Int64 {
        texts: List<String> = []
        for i in 0..n { texts.push("number " + i) }
        return texts.len as Int64
    }
    pub sex fun forever() { loop { COUNTER += 1 } }
}
"""

ALL = ("a_is_small", "b_is_short", "items_add_up", "names_are_known", "counted", "either", "one_is_there")


@pytest.fixture(params=["dev", "release"])
def lists(request: pytest.FixtureRequest, build_system: BuildSystem) -> Running:
    options = ("--release",) if request.param == "release" else ()
    running = make(build_system(LISTS, None, *options))
    running.start({"a": [1], "items": [{"value": 0}]})
    return running


def evaluated(running: Running, name: str, *arguments: Any) -> set[str]:
    """The constraints that a call evaluates."""
    before = dict(running.counts.evaluated)
    running.call(name, list(arguments))
    return {one for one, count in running.counts.evaluated.items() if count > before[one]}


def test_what_did_not_change_is_not_evaluated_again(lists: Running) -> None:
    assert set(lists.counts.evaluated.values()) == {1}
    assert tuple(lists.counts.evaluated) == ALL
    assert evaluated(lists, "push_a", 5) == {"a_is_small"}  # `either` need not look at a while b is empty
    assert evaluated(lists, "push_b", 5) == {"b_is_short", "either"}
    assert evaluated(lists, "add", "x", 9) == {"items_add_up", "names_are_known", "one_is_there"}
    assert evaluated(lists, "set_shared", 8) == {"items_add_up", "names_are_known"}
    assert evaluated(lists, "look") == set()
    assert evaluated(lists, "same_again") == set()
    assert evaluated(lists, "count") == {"counted"}
    for n in (1, 1000, 100_000):
        assert evaluated(lists, "garbage", n) == set()
    assert evaluated(lists, "push_a", 5) == {"a_is_small", "either"}
    assert evaluated(lists, "garbage", 100_000) == set()


def test_the_watched_copy_and_the_program_agree(lists: Running, build_system: BuildSystem) -> None:
    """Whatever is called, a System that watches refuses what one refuses that evaluates everything every time."""
    import random

    plain = make(lists.program.wasm, watched=False)
    plain.start({"a": [1], "items": [{"value": 0}]})
    choose = random.Random(4)
    for _ in range(400):
        name = choose.choice(
            ["push_a", "push_b", "add", "set_shared", "look", "count", "same_again", "fail_late", "trap_late"]
        )
        number = choose.choice([-1, 0, 1, 5, 40, 99, 100, 101])
        arguments: list[Any] = {"add": [choose.choice("abc") * choose.randrange(3), number]}.get(name, [number])
        if name in ("look", "count", "same_again"):
            arguments = []
        outcomes: list[Any] = []
        for one in (lists, plain):
            try:
                outcomes.append(one.call(name, arguments))
            except Refused as refused:
                outcomes.append((type(refused), str(refused), getattr(refused, "values", None)))
        assert outcomes[0] == outcomes[1], (name, arguments)
        assert lists.state() == plain.state()
    assert sum(lists.counts.evaluated.values()) < sum(plain.counts.evaluated.values()) / 2


@pytest.mark.parametrize(
    ("name", "arguments", "constraint", "values"),
    [
        ("push_a", [100], "a_is_small", ("x = 100", "this.limit = 100")),
        ("add", ["x", -1], "names_are_known", ("this.names.values() = [Item { value: -1 }]",)),
        ("add", ["", 1], "names_are_known", ('this.names = {"": Item { value: 1 }}',)),
        ("add", ["x", 101], "items_add_up", ("sum(this.items.map(i => i.value)) = 101", "this.limit = 100")),
    ],
)
def test_a_broken_constraint(
    lists: Running, name: str, arguments: list[Any], constraint: str, values: tuple[str, ...]
) -> None:
    before = lists.state()
    with pytest.raises(Broken) as raised:
        lists.call(name, arguments)
    assert raised.value.constraint.name == constraint
    assert raised.value.values == values
    assert raised.value.constraint.file == "lists/System.dol" and raised.value.constraint.line > 1
    assert lists.state() == before
    assert lists.call("look", []) == 1


def test_everything_is_undone(lists: Running) -> None:
    before = lists.state()
    lists.call("count", [])
    for name, arguments, kind in (
        ("fail_late", [1], GaveError), ("trap_late", [1], Stopped), ("push_a", [100], Broken),
    ):  # fmt: skip
        with pytest.raises(kind):
            lists.call(name, arguments)
        assert lists.state() == before
    with pytest.raises(GaveError) as raised:
        lists.call("fail_late", [3])
    assert raised.value.value == "late"
    with pytest.raises(Stopped) as trapped:
        lists.call("trap_late", [3])
    assert trapped.value.message == "index 2 is out of range: the length is 2"
    assert trapped.value.frames[0].function.endswith("Lists.trap_late")
    for expected in range(2, 10):
        assert lists.call("count", []) == expected  # variables of modules are a part of the state
    with pytest.raises(Broken) as broken:
        lists.call("count", [])
    assert broken.value.constraint.name == "counted"
    with pytest.raises(Broken):
        lists.call("count", [])
    assert lists.state() == before


def test_starting(lists: Running) -> None:
    wasm = lists.program.wasm
    for given, kind, message in (
        ({"a": [100]}, Broken, "a_is_small"),
        ({"a": ["x"]}, Refused, r"a\[0\]: expected an Int64"),
        ({"limits": 1}, Refused, "did you mean `limit`"),
        ({"items": [{"value": 5}]}, Broken, "one_is_there"),
    ):
        with pytest.raises(kind, match=message):
            make(wasm).start(given)
    running = make(wasm)
    running.start({"limit": 5})
    assert running.state("limit") == 5 and running.state()["names"] == {}


FLAGS = """
system Flags {
    has flag: Bool = false
    has x: Int64 = 0
    has y: Int64 = 0
    has fine: Bool = true
    constraint one_of_them { if this.flag { this.x < 10 } else { this.y < 10 } }
    constraint is_fine { this.fine }
    pub fun turn(flag: Bool, fine: Bool) { this.flag = flag; this.fine = fine }
    pub fun set(x: Int64, y: Int64) { this.x = x; this.y = y }
}
"""


def test_what_was_read_of_a_state_that_was_undone(build_system: BuildSystem) -> None:
    """The first constraint holds in a state that the second one refuses: what it read there must not be believed."""
    running = make(build_system(FLAGS))
    running.start({})
    with pytest.raises(Broken, match="is_fine"):
        running.call("turn", [True, False])
    with pytest.raises(Broken, match="one_of_them"):
        running.call("set", [0, 10])
    running.call("set", [10, 0])
    assert running.state() == {"flag": False, "x": 10, "y": 0, "fine": True}


LONG = """
gene Link { has value: Int64; has next: Option<Link> }
system Long {
    has head: Option<Link>
    has count: Int64 = 0
    constraint counted { this.count >= 0 }
    pub fun grow(n: Int64) -> Int64 {
        for i in 0..n { this.head = Some(Link { value: i, next: this.head }) }
        this.count += n
        return this.count
    }
    pub fun show() -> Option<Link> { return this.head }
    pub fun take(link: Link) -> Int64 { return link.value }
}
"""


def test_what_nests_too_deeply_to_be_json(build_system: BuildSystem) -> None:
    running = make(build_system(LONG))
    running.start({})
    assert running.call("grow", [100_000]) == 100_000
    for _ in range(2):
        with pytest.raises(Stopped, match="too deep for JSON"):
            running.call("show", [])
        with pytest.raises(Stopped, match="too deep for JSON"):
            running.state()
    assert running.state("count") == 100_000
    deep: Any = {"value": 1, "next": None}
    for _ in range(100_000):
        deep = {"value": 1, "next": deep}
    with pytest.raises(Stopped, match="too deep for JSON"):
        running.call("take", [deep])
    while deep["next"] is not None:  # taken apart by hand, since Python would do it by recursion
        deep = deep["next"]
    assert running.call("grow", [1]) == 100_001


WRITING = """
var SEEN: Int64 = 0
gene G { has n: Int64 }
fun touch(g: G) -> Bool { g.n = g.n + 1; return g.n < 10 }
fun seen() -> Bool { sex { SEEN += 1 }; return true }
system Writing {
    has g: G = G { n: 0 }
    constraint low { this.g.n < 5 }
    constraint touched { touch(this.g) }
    constraint counted { seen() }
    pub fun n() -> Int64 { return this.g.n }
    pub sex fun count() -> Int64 { return SEEN }
    pub fun add(x: Int64) { this.g.n += x }
}
"""


@pytest.mark.parametrize("watched", [False, True])
def test_what_a_constraint_changes_leaves_no_trace(build_system: BuildSystem, watched: bool) -> None:
    """Through a function that it calls, where the compiler does not see it."""
    running = make(build_system(WRITING), watched)
    running.start({})
    for _ in range(20):
        assert running.call("n", []) == 0 and running.call("count", []) == 0
        assert running.state() == {"g": {"n": 0}}
    running.call("add", [4])
    with pytest.raises(Broken, match="low"):
        running.call("add", [1])
    assert running.state() == {"g": {"n": 4}} and running.call("count", []) == 0
