"""A whole program as low-level code, made better before it is encoded.

In rounds: constants are put in and calls of known closures made direct, then small functions are put where they
are called, from the leaves of the call graph on. What nobody reaches any more is dropped. Which functions may collect is
then known exactly, so that only those that need one have a frame.
"""

from collections.abc import Mapping
from dataclasses import replace

from dolbuild.codegen.encode import encode_function
from dolbuild.codegen.fold import fold
from dolbuild.codegen.inline import Facts, Inliner, calls, size, unroll
from dolbuild.codegen.ir import Code, Function
from dolbuild.codegen.object import Symbol, function_symbol, references_of
from dolbuild.codegen.roots import insert_roots

COLLECTORS = ("@dol/runtime/memory.collect",)
ROUNDS = 3

COLD = ("@dol/runtime/traps.", "@dol/runtime/lists.out_of_range")
"""Functions into which nothing is put: they run once, if ever."""

_NEVER = (
    "@dol/runtime/lists.grow<",
    "@dol/runtime/lists.out_of_range",
    "@dol/runtime/maps.rebuild<",
    "@dol/runtime/strings.append",
    "@dol/runtime/memory.allocate",
    "@dol/runtime/traps.",
    "@dol/runtime/memory.refill",
    "@dol/runtime/memory.collect",
    "@dol/runtime/memory.large",
)
"""Functions that are called seldom and would only make others larger."""


def program(symbols: list[Symbol], roots: list[str]) -> list[Symbol]:
    """The symbols that are still reached, with every function encoded."""
    by_name = {symbol.name: symbol for symbol in symbols}
    functions = {s.name: s.code for s in symbols if s.code is not None}
    functions = {name: unroll(fold(function, by_name)) for name, function in functions.items()}
    for _ in range(ROUNDS):
        before = functions
        functions = {name: fold(function, by_name) for name, function in functions.items()}
        functions = _reached(functions, by_name, roots)
        functions = _inlined(functions, frozenset(roots), by_name)
        if all(functions.get(name) is function for name, function in before.items()):
            break
    functions = {name: fold(function, by_name) for name, function in functions.items()}
    for name, function in functions.items():
        references = tuple(sorted(references_of(function.body)))
        by_name[name] = replace(by_name[name], code=function, references=references)
    reached = _reach(by_name, roots)
    kept = [by_name[name] for name in sorted(reached)]
    collecting = collecting_functions(kept)
    done: list[Symbol] = []
    for symbol in kept:
        if symbol.code is None:
            done.append(symbol)
            continue
        function = insert_roots(symbol.code, collecting.__contains__)
        done.append(function_symbol(encode_function(function, lambda line: line), symbol.file))
    return done


def _reach(symbols: dict[str, Symbol], roots: list[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += symbols[name].references
    return found


def _reached(functions: dict[str, Function], symbols: dict[str, Symbol], roots: list[str]) -> dict[str, Function]:
    """The functions that are still reached."""
    current = dict(symbols)
    for name, function in functions.items():
        current[name] = replace(symbols[name], references=tuple(references_of(function.body)))
    found = _reach(current, roots)
    return {name: function for name, function in functions.items() if name in found}


def _inlined(functions: dict[str, Function], roots: frozenset[str], symbols: dict[str, Symbol]) -> dict[str, Function]:
    """Each function with its small callees put in, callees before their callers."""
    called = {name: calls(function.body) for name, function in functions.items()}
    uses: dict[str, int] = dict.fromkeys(roots, 2)
    for name, others in called.items():
        for other in others:
            uses[other] = uses.get(other, 0) + 1
        for other in references_of(functions[name].body) - set(others):
            uses[other] = uses.get(other, 0) + 2
    for symbol in symbols.values():
        if symbol.kind == "data":
            for relocation in symbol.relocations:
                uses[relocation.symbol] = uses.get(relocation.symbol, 0) + 1
    order = _leaves_first(called)
    recursive = frozenset(name for name, others in called.items() if name in others)
    never = recursive | frozenset(name for name in functions if name.startswith(_NEVER))
    sizes = {name: size(function.body) for name, function in functions.items()}
    facts = Facts(dict(functions), sizes, uses, never)
    inliner = Inliner(facts)
    for name in order:
        if not name.startswith(COLD):
            facts.functions[name] = inliner.run(facts.functions[name])
    return facts.functions


def _leaves_first(called: dict[str, list[str]]) -> list[str]:
    """An order in which callees come before their callers, as far as there are no circles."""
    order: list[str] = []
    done: set[str] = set()
    for start in sorted(called):
        stack = [(start, iter(sorted(set(called[start]))))]
        if start in done:
            continue
        done.add(start)
        while stack:
            name, rest = stack[-1]
            following = next((other for other in rest if other in called and other not in done), None)
            if following is None:
                order.append(name)
                stack.pop()
            else:
                done.add(following)
                stack.append((following, iter(sorted(set(called[following])))))
    return order


def collecting_functions(symbols: list[Symbol]) -> set[str]:
    """The functions of a whole program that may collect: the collector, what the host gives, and what calls them."""
    bodies = {symbol.name: symbol.code.body for symbol in symbols if symbol.code is not None}
    return collecting(bodies, {s.name for s in symbols if s.kind == "import" or s.name in COLLECTORS})


def collecting(bodies: Mapping[str, Code], known: set[str]) -> set[str]:
    """The functions of which it is *known* that they may collect, those that call function values, and all that call
    these."""
    found = set(known)
    callers: dict[str, list[str]] = {}
    for name, body in bodies.items():
        for called in set(calls(body)):
            callers.setdefault(called, []).append(name)
        if _calls_values(body):
            found.add(name)
    waiting = list(found)
    while waiting:
        for caller in callers.get(waiting.pop(), ()):
            if caller not in found:
                found.add(caller)
                waiting.append(caller)
    return found


def _calls_values(body: Code) -> bool:
    waiting = [body]
    while waiting:
        code = waiting.pop()
        if code.op == "call_indirect":
            return True
        waiting += code.args
    return False
