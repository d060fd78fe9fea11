"""The collector: what is kept, what is given back, who has a frame, and how large programs are."""

import pytest

from dolbuild import compiler
from dolbuild.codegen import instances
from dolbuild.codegen.instances import Instances
from dolbuild.codegen.link import Root, reach
from dolbuild.codegen.optimise import collecting_functions
from dolbuild.codegen.wat import print_module
from dolbuild.runtime.instance import Program, Trapped
from tests.support.programs import RUNTIME, compile_case, link_face, runtime

DEV, RELEASE = compiler.Options(), compiler.Options(checked=False, whole=True)
PROFILES = pytest.mark.parametrize("options", [DEV, RELEASE], ids=["dev", "release"])

REQUESTS = """
pub gene Request { has path: String; has headers: Map<String, String>; has parent: Option<Request> }
pub gene Cache { has recent: List<Request> }

var CACHE: Cache = Cache { recent: [] }

// What a server does with a request: texts, maps, closures, a circle of references, a little that is kept.
fun handle(number: Int64) -> Int64 {
    headers: Map<String, String> = Map.new()
    for i in 0..20 { headers["header-" + i] = "value " + (number * i) }
    request = Request { path: "/item/" + number, headers: headers, parent: None }
    request.parent = Some(request)
    body = ""
    for i in 0..200 { body += "<li>" + i + "</li>" }
    sex {
        CACHE.recent.push(request)
        if CACHE.recent.len > 10 { CACHE.recent.remove(0) }
        return (CACHE.recent.map(r => r.path.len() as Int64).fold(0, (a, b) => a + b) + body.len() as Int64) % 1000
    }
}

pub fun serve(from: Int64, count: Int64) -> Int64 {
    total = 0
    for i in from..from + count { total += handle(i) }
    return total
}
"""


def program(source: str, options: compiler.Options) -> Program:
    built = compile_case({"lib": source}, options)
    assert not [d for d in built.diagnostics if d.code.startswith("E")], built.diagnostics
    return Program(link_face(built))


def variable(instance: object, name: str) -> int:
    found = instance.exports[f"dol.memory.{name}"]  # type: ignore[attr-defined]
    value: int = found.value(instance.store)  # type: ignore[attr-defined]
    return value


@PROFILES
def test_memory_stays_flat_however_long_it_runs(options: compiler.Options) -> None:
    made = program(REQUESTS, options)
    instance = made.instantiate()
    (serve,) = made.exports
    sizes = []
    for round_ in range(10):
        instance.call(serve, [round_ * 2000, 2000])
        sizes.append(variable(instance, "BLOCKS"))
    assert variable(instance, "COLLECTIONS") > 10
    assert sizes[-1] == sizes[1] < 1500  # of 16 KiB each


@PROFILES
def test_the_shadow_stack_is_left_as_it_was_found(options: compiler.Options) -> None:
    made = program(REQUESTS, options)
    instance = made.instantiate()
    before = variable(instance, "STACK")
    instance.call(made.exports[0], [0, 100])
    assert variable(instance, "STACK") == before == 1 << 22


@PROFILES
def test_a_recursion_without_end_is_reported(options: compiler.Options) -> None:
    source = """
fun down(xs: List<Int64>, n: Int64) -> Int64 {
    ys = [n]
    return down(ys, n + 1) + xs[0] + ys[0]
}
pub fun start() -> Int64 { return down([1], 0) }
"""
    made = program(source, options)
    with pytest.raises(Trapped) as trapped:
        made.instantiate().call(made.exports[0], [])
    assert "recursion" in trapped.value.message
    assert trapped.value.frames[0].function.startswith("lib.down")


@PROFILES
def test_memory_that_runs_out_is_reported(options: compiler.Options) -> None:
    source = """
pub fun fill() -> UInt64 {
    all: List<String> = []
    loop {
        all.push("0123456789abcdef".repeat(100000))
        if all.len > 1000 { return all.len }
    }
}
"""
    made = program(source, options)
    instance = made.instantiate()
    instance.store.set_limits(memory_size=64 << 20)
    with pytest.raises(Trapped) as trapped:
        instance.call(made.exports[0], [])
    assert trapped.value.message == "out of memory"


def test_functions_that_are_said_not_to_collect_do_not() -> None:
    """Calls of these are made without a frame, so they must not reach the collector."""
    built = runtime(RELEASE)
    names = [n.removeprefix(f"{RUNTIME}/") for n in instances._QUIET]
    roots: list[str] = []
    for name in names:
        if name.startswith("traps"):
            continue  # they do not come back
        found = [
            symbol.name
            for symbol in built.symbols.values()
            if symbol.kind == "template" and symbol.name.startswith(f"{RUNTIME}/{name.removesuffix('<')}")
        ]
        assert found, name
        roots += found
    made = Instances(built.symbols.get, RELEASE)
    arguments = {"maps": "<String,Int64>", "lists": "<String>"}
    wanted = []
    for name in roots:
        if name.endswith("lists.out_of_range"):
            continue
        generic = bool(built.symbols[name].value[0][4])
        module = name.rpartition("/")[2].split(".")[0]
        wanted.append(name + (arguments[module] if generic else ""))
    for name in wanted:
        symbols = reach((Root("f", name),), made.find)
        inside = [s for s in symbols if not s.name.startswith(f"{RUNTIME}/traps.")]
        without_traps = [s for s in inside if not s.name.startswith(f"{RUNTIME}/lists.out_of_range")]
        assert name not in collecting_functions(without_traps), name


def test_functions_without_references_have_no_frame() -> None:
    source = """
pub fun fib(n: Int64) -> Int64 { if n < 2 { return n }; return fib(n - 1) + fib(n - 2) }
"""
    assert "STACK" not in print_module(link_face(compile_case({"lib": source}, RELEASE)))


def test_a_pure_function_stays_below_a_kilobyte_without_its_sections() -> None:
    wasm = link_face(compile_case({"lib": "pub fun add(a: Int64, b: Int64) -> Int64 { return a + b }\n"}, RELEASE))
    assert len(wasm) < 1024
