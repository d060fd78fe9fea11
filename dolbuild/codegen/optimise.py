"""A whole program as low-level code, made better before it is encoded: which functions may collect is known exactly."""

from dolbuild.codegen.encode import encode_function
from dolbuild.codegen.object import Symbol, function_symbol
from dolbuild.codegen.roots import insert_roots


def program(symbols: list[Symbol], roots: list[str]) -> list[Symbol]:
    """The symbols with every function encoded."""
    del roots
    collecting = collecting_functions(symbols)
    done: list[Symbol] = []
    for symbol in symbols:
        if symbol.code is None:
            done.append(symbol)
            continue
        function = insert_roots(symbol.code, collecting.__contains__)
        done.append(function_symbol(encode_function(function, lambda line: line), symbol.file))
    return done


def collecting_functions(symbols: list[Symbol]) -> frozenset[str]:
    """The functions that may collect: the collector, what the host gives, calls of function values, and all that call
    them."""
    found = {s.name for s in symbols if s.kind == "import" or s.name in COLLECTORS}
    callers: dict[str, list[str]] = {}
    for symbol in symbols:
        if symbol.kind == "function":
            for reference in symbol.references:
                callers.setdefault(reference, []).append(symbol.name)
            if symbol.code is not None and _calls_values(symbol):
                found.add(symbol.name)
    waiting = list(found)
    while waiting:
        for caller in callers.get(waiting.pop(), ()):
            if caller not in found:
                found.add(caller)
                waiting.append(caller)
    return frozenset(found)


COLLECTORS = ("@dol/runtime/memory.collect",)


def _calls_values(symbol: Symbol) -> bool:
    assert symbol.code is not None
    waiting = [symbol.code.body]
    while waiting:
        code = waiting.pop()
        if code.op == "call_indirect":
            return True
        waiting += code.args
    return False
