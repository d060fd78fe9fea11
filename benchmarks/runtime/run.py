"""The same programs in C, AssemblyScript and DOL: how long each takes in wasmtime, and whether their results agree."""

import argparse
import gc
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import wasmtime

from dolbuild.runtime.sections import sections

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
ASC = HERE / "node_modules" / ".bin" / "asc"
PEERS = ("C", "AS")
LANGUAGES = (*PEERS, "DOL")
CODE_SECTION = 10
ABSENT = "-"
MESSAGE = 12
"""Lines of what a compiler says that are shown."""

ZIG_OPTIONS = "-target wasm32-wasi -mexec-model=reactor -O2 -s -Wl,-z,stack-size=1048576 -Wall -Wextra -Werror".split()
ASC_OPTIONS = "-O3".split()


@dataclass(frozen=True, slots=True)
class Program:
    """A program: the argument that is measured, and one for `--check` with its result."""

    name: str
    n: int
    small: int
    expected: int | float


PROGRAMS = (
    Program("fib", 37, 15, 610),
    Program("binary_trees", 16, 6, 2366),
    Program("n_body", 1_000_000, 100, -0.1690507623824282),
    Program("spectral_norm", 1000, 20, 1.2738398405412965),
    Program("fannkuch", 10, 6, 4910),
    Program("records", 200, 2, 160875098),
    Program("string_builder", 2_000_000, 2000, 14797351770214),
    Program("short_concat", 2_000_000, 2000, 19090),
    Program("map", 1_000_000, 2000, 1007389),
    Program("map_string", 2_000_000, 20_000, 59816),
    Program("enum_match", 10_000, 3, 160665.80275290416),
    Program("closures", 2_000_000, 50, 328792942795817260),
    Program("list_pipeline", 20_000, 20, 15010310),
    Program("json", 20, 1, 314731778166500),
)


class Failed(Exception):
    """A program that cannot be built, or does not end well."""


@dataclass(slots=True)
class Measured:
    """What is known of a program in one language."""

    module: wasmtime.Module
    size: int
    code: int
    seconds: list[float] = field(default_factory=list)
    memory: int = 0


# -- building ------------------------------------------------------------------------------------------


def compile_c(program: Program) -> Path:
    command = [sys.executable, "-m", "ziglang", "cc", *ZIG_OPTIONS]
    version = importlib.metadata.version("ziglang")
    return compile_peer(program, "c", command, [version], sorted((HERE / "c").glob("*.h")))


def compile_assemblyscript(program: Program) -> Path:
    return compile_peer(program, "as", [str(ASC), *ASC_OPTIONS], [], [HERE / "package.json"])


def compile_peer(program: Program, kind: str, command: list[str], versions: list[str], others: list[Path]) -> Path:
    """Compile a program, unless what it is made from is what it was made from before."""
    source = HERE / kind / f"{program.name}{'.ts' if kind == 'as' else '.c'}"
    made, known = BUILD / f"{program.name}.{kind}.wasm", BUILD / f"{program.name}.{kind}.key"
    contents = [path.read_bytes() for path in (source, *others)]
    key = hashlib.sha256(repr((command, versions, contents)).encode()).hexdigest()
    if not made.exists() or not known.exists() or known.read_text() != key:
        execute([*command, "-o", str(made), str(source.relative_to(HERE))])
        known.write_text(key)
    return made


def compile_dol(program: Program) -> Path:
    name = program.name.replace("_", "-")
    execute([sys.executable, "-m", "dolbuild.commands.main", "build", "--release", f"spirit:{name}"], HERE / "dol")
    return HERE / "dol" / "target" / "spirits" / f"{name}.wasm"


COMPILERS = {"C": compile_c, "AS": compile_assemblyscript, "DOL": compile_dol}


def execute(command: list[str], folder: Path = HERE) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        more = [f"... and {len(lines) - MESSAGE} more lines"] if len(lines) > MESSAGE else []
        raise Failed("\n".join(lines[:MESSAGE] + more))


def prepare(program: Program, language: str, engine: wasmtime.Engine) -> Measured:
    """Build it and hand it to the engine. Raises `Failed`."""
    wasm = COMPILERS[language](program).read_bytes()
    code = sum(end - start for number, start, end in sections(wasm) if number == CODE_SECTION)
    return Measured(wasmtime.Module(engine, wasm), len(wasm), code)


# -- running -------------------------------------------------------------------------------------------


def call(measured: Measured, engine: wasmtime.Engine, n: int) -> int | float:
    """Run it once in an instance of its own; keeps the time of this thread. Raises `Failed`."""
    store = wasmtime.Store(engine)
    linker = wasmtime.Linker(engine)
    linker.define_unknown_imports_as_traps(measured.module)
    try:
        exports = linker.instantiate(store, measured.module).exports(store)
        start, run = exports.get("_initialize"), exports.get("run")
        if isinstance(start, wasmtime.Func):
            start(store)
        if not isinstance(run, wasmtime.Func):
            raise Failed("it exports no `run`")
        started = time.thread_time()
        result = run(store, n)
        measured.seconds.append(time.thread_time() - started)
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        raise Failed(str(error)) from None
    memory = exports.get("memory")
    if isinstance(memory, wasmtime.Memory):
        measured.memory = max(measured.memory, memory.data_len(store))
    if not isinstance(result, int | float):
        raise Failed(f"its result is {result!r}")
    return result


def measure(
    program: Program, languages: tuple[str, ...], engine: wasmtime.Engine, n: int, runs: int
) -> tuple[dict[str, Measured], int | float | None, list[str]]:
    """A program in all languages, by turns. Gives what was measured, the common result, and what went wrong."""
    prepared: dict[str, Measured] = {}
    failures: list[str] = []
    for language in languages:
        try:
            prepared[language] = prepare(program, language, engine)
        except Failed as failed:
            failures.append(f"{program.name} in {language} cannot be built: {failed}")
    results: dict[str, int | float] = {}
    for _ in range(runs):
        for language in list(prepared):
            try:
                result = call(prepared[language], engine, n)
            except Failed as failed:
                failures.append(f"{program.name} in {language} fails: {failed}")
                del prepared[language]
                continue
            if results.setdefault(language, result) != result:
                failures.append(f"{program.name} in {language} gives {results[language]!r}, then {result!r}")
    if len(set(results.values())) > 1:
        failures.append(f"{program.name}: the results differ: {results}")
    return prepared, next(iter(results.values()), None), failures


def check(programs: list[Program], languages: tuple[str, ...], engine: wasmtime.Engine) -> list[str]:
    """Run every program once with its small argument; gives what went wrong."""
    failures: list[str] = []
    for program in programs:
        prepared, result, wrong = measure(program, languages, engine, program.small, 1)
        if not wrong and result != program.expected:
            wrong.append(f"{program.name}: {result!r}, not {program.expected!r}")
        print(f"{program.name:<16} {'failed' if wrong else 'ok'}  {' '.join(prepared)}", flush=True)
        failures += wrong
    return failures


# -- showing -------------------------------------------------------------------------------------------


def show_table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown that is aligned as it stands."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        f"| {' | '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])} |"
        for row in (head, rule, *rows)
    )


def show_times(program: Program, found: dict[str, Measured]) -> list[str]:
    """The row of a program: best and median time in milliseconds, and quotients of the best."""
    best = {language: min(measured.seconds) for language, measured in found.items()}
    row = [f"{program.name} {program.n:,}"]
    for language in LANGUAGES:
        row.append(f"{best[language] * 1000:.1f}" if language in best else ABSENT)
        row.append(f"{statistics.median(found[language].seconds) * 1000:.1f}" if language in best else ABSENT)
    for left, right in (("DOL", "C"), ("DOL", "AS"), ("AS", "C")):
        row.append(f"{best[left] / best[right]:.2f}" if left in best and right in best else ABSENT)
    return row


TIMES = ["program", *(f"{language} {kind}" for language in LANGUAGES for kind in ("best", "median"))]
TIMES += ["DOL/C", "DOL/AS", "AS/C"]


def show_sizes(program: Program, found: dict[str, Measured]) -> list[str]:
    """The row of a program: bytes of the file and of its code section, and KiB of memory after the run."""
    row = [program.name]
    for language in LANGUAGES:
        one = found.get(language)
        row += [f"{one.size:,}", f"{one.code:,}", f"{one.memory // 1024:,}"] if one is not None else [ABSENT] * 3
    return row


SIZES = ["program", *(f"{language} {kind}" for language in LANGUAGES for kind in ("file", "code", "memory"))]


def main() -> int:
    names = [program.name for program in PROGRAMS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtime.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"programs, all unless told: {' '.join(names)}")
    parser.add_argument("--runs", type=int, default=7, help="runs of each program in each language (7)")
    parser.add_argument("--check", action="store_true", help="run each once with a small argument and compare results")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-peers", action="store_true", help="C and AssemblyScript alone")
    only.add_argument("--only-dol", action="store_true", help="DOL alone, which needs neither zig nor npm")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times of all runs there")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(names))
    if unknown:
        parser.error(f"there is no program {unknown[0]!r}")
    if arguments.runs < 1:
        parser.error("--runs has to be 1 or more")
    programs = [program for program in PROGRAMS if not arguments.names or program.name in arguments.names]
    languages = PEERS if arguments.only_peers else ("DOL",) if arguments.only_dol else LANGUAGES
    if "C" in languages and importlib.util.find_spec("ziglang") is None:
        parser.error("there is no C compiler: pip install ziglang==0.17.1")
    if "AS" in languages and not ASC.exists():
        parser.error(f"there is no AssemblyScript: npm install --prefix {os.path.relpath(HERE)}")

    BUILD.mkdir(exist_ok=True)
    engine = wasmtime.Engine()
    gc.disable()
    if arguments.check:
        failures = check(programs, languages, engine)
    else:
        failures = []
        times: list[list[str]] = []
        sizes: list[list[str]] = []
        all_runs: dict[str, dict[str, list[float]]] = {}
        for program in programs:
            found, _, wrong = measure(program, languages, engine, program.n, arguments.runs)
            failures += wrong
            if sys.stderr.isatty():
                sys.stderr.write(f"{program.name}\n")
            times.append(show_times(program, found))
            sizes.append(show_sizes(program, found))
            all_runs[program.name] = {language: measured.seconds for language, measured in found.items()}
        print(
            f"wasmtime {importlib.metadata.version('wasmtime')}, {arguments.runs} runs, milliseconds of thread CPU time\n"
        )
        print(show_table(TIMES, times))
        print("\nbytes of the file and of its code, KiB of memory after a run\n")
        print(show_table(SIZES, sizes))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(all_runs, indent=1) + "\n", "utf-8")
    for failure in failures:
        sys.stderr.write(f"\n{failure}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
