"""Lines per second of the front end on a generated workspace, one process."""

import argparse
import gc
import json
import random
import statistics
import time
from collections.abc import Callable

from dolbuild import compiler
from dolbuild.analysis import resolution
from dolbuild.analysis.check import check
from dolbuild.analysis.closure import Closure
from dolbuild.analysis.world import Scope, World
from dolbuild.rules.build import GARBAGE
from dolbuild.source import SourceFile
from dolbuild.syntax.parser import parse
from dolbuild.syntax.tokens import scan

PACKAGE = "@bench/generated"
FUNCTION = """
/// Documentation of the function, as people write it.
pub fun {name}(left: Int64, right: Int64, factor: Float64) -> Int64 {{
    sum = left * {a} + right % {b}
    limit: Int64 = if sum > {c} {{ sum - {c} }} else {{ sum }}
    for i in 0..{d} {{
        // a comment in the middle
        if i % 3 == 0 && limit < {e} {{ limit += i * 2 }}
        else {{ limit -= 1 }}
    }}
    scaled = (limit as Float64) * factor / 2.5
    message = "n = " + limit + ", scaled = " + scaled
    if message.is_empty() {{
        return {callee}(limit, right, factor)
    }}
    match half(limit) {{
        Some(value) {{ return value }}
        None {{ return {callee}(1, 2, 0.5) + limit }}
    }}
}}
"""
HALF = """
fun half(n: Int64) -> Option<Int64> {
    if n % 2 == 1 { return None }
    return Some(n / 2)
}
"""
PER_MODULE = 25


def generate(lines: int) -> dict[str, str]:
    """Modules of about that many lines in all; each imports from two that come before it."""
    random_ = random.Random(1)
    modules: dict[str, str] = {}
    total = 0
    while total < lines:
        number = len(modules)
        parts: list[str] = []
        imported: list[str] = []
        for other in sorted({random_.randrange(number) for _ in range(2)} if number else set()):
            parts.append(f"use part{other}.f{other}_0\n")
            imported.append(f"f{other}_0")
        for index in range(PER_MODULE):
            callee = imported[index % len(imported)] if imported else f"f{number}_{index}"
            values = {letter: random_.randrange(2, 1000) for letter in "abcde"}
            parts.append(FUNCTION.format(name=f"f{number}_{index}", callee=callee, **values))
        parts.append(HALF)
        text = "".join(parts)
        modules[f"part{number}"] = text
        total += text.count("\n")
    return modules


def median(work: Callable[[], object], runs: int = 3) -> float:
    times: list[float] = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    gc.set_threshold(GARBAGE, 50, 50)  # as a build does
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=100_000)
    modules = generate(arguments.parse_args().lines)
    lines = sum(text.count("\n") for text in modules.values())
    parse(SourceFile("warm", "pub fun f() { }\n"))

    sources = [SourceFile(f"src/{name}.dol", text) for name, text in modules.items()]
    data = {name: text.encode() for name, text in modules.items()}
    interfaces = {name: compiler.extract_interface(f"src/{name}.dol", name, text) for name, text in data.items()}
    values = {f"{PACKAGE}/{name}": json.loads(value.doli) for name, value in interfaces.items()}
    package = resolution.Package(PACKAGE, frozenset(modules), {})

    def compile_all() -> None:
        for name, text in data.items():
            id_ = f"{PACKAGE}/{name}"
            closure = Closure({PACKAGE: package}, values.get)
            closure.of_module(id_, json.loads(interfaces[name].uses))
            known = {other: values[other] for other in closure.modules}
            result = compiler.compile_module(
                f"src/{name}.dol", id_, text, known, closure.resolutions, compiler.Options()
            )
            assert result.object is not None, result.diagnostics[:3]

    def check_all() -> None:
        for source in sources:
            id_ = f"{PACKAGE}/{source.name.removeprefix('src/').removesuffix('.dol')}"
            closure = Closure({PACKAGE: package}, values.get)
            closure.of_module(id_, json.loads(interfaces[id_.rpartition("/")[2]].uses))
            known = {other: values[other] for other in closure.modules}
            checked = check(parse(source), Scope(id_), World(known, closure.resolutions))
            assert not any(d.code.startswith("E") for d in checked.diagnostics)

    stages = {
        "tokens": lambda: [scan(source) for source in sources],
        "parse": lambda: [parse(source) for source in sources],
        "interface (with parse)": lambda: [
            compiler.extract_interface(f"src/{name}.dol", name, text) for name, text in data.items()
        ],
        "check (with parse)": check_all,
        "module (parse, check, code)": compile_all,
    }
    print(f"{lines} lines in {len(modules)} modules")
    for stage, work in stages.items():
        seconds = median(work)
        print(f"{stage:<30} {seconds:8.2f} s {lines / seconds:12,.0f} lines/s")


if __name__ == "__main__":
    main()
