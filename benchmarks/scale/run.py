"""How long builds take in workspaces of many modules: ``python -m benchmarks.scale.run --modules 100 1000 --runs 3``.

Each size is generated anew in a temporary folder with an empty home. Every command is a process of its own; wall time, processor
time and peak memory are those of the process (``wait4``). Edits are really different each time, so that nothing comes out of the store.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scale.generate import spirit_name, write

MODULES = 10
"""Modules of a Spirit."""


@dataclass(frozen=True, slots=True)
class Run:
    """Wall time (s), processor time (s), peak memory (MiB)."""

    wall: float
    processor: float
    memory: float


def dolbuild(root: Path, home: Path, *arguments: str) -> Run:
    """Run a command; it has to succeed."""
    environment = {**os.environ, "DOL_HOME": str(home)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", "import os,sys; os.chdir(sys.argv.pop(1)); from dolbuild.commands.main import main; sys.exit(main())",
         str(root), *arguments],
        environment,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )  # fmt: skip
    _, status, usage = os.wait4(process, 0)
    assert status == 0, arguments
    return Run(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure(root: Path, home: Path, runs: int, change: Callable[[int], None]) -> list[Run]:
    """Runs after a change each."""
    found = []
    for number in range(runs):
        change(number)
        found.append(dolbuild(root, home, "build"))
    return found


def size(modules: int, runs: int) -> dict[str, list[Run]]:
    """All scenarios at one size."""
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder) / "work", Path(folder) / "home"
        spirits = max(1, modules // MODULES)
        write(root, spirits, MODULES)
        deep = root / "spirits" / spirit_name(0) / "src"
        top = root / "spirits" / spirit_name(spirits - 1)
        found = {"cold": [dolbuild(root, home, "build")]}
        time.sleep(0.1)
        dolbuild(root, home, "build")

        def body(number: int) -> None:
            path = top / "src" / "m3.dol"
            path.write_text(path.read_text().replace("return x\n", f"return x + {number} - {number}\n", 1))

        def deep_body(number: int) -> None:
            path = deep / "m3.dol"
            path.write_text(path.read_text().replace("if x > ", f"if x + {number} > ", 1))

        def interface(number: int) -> None:
            path = deep / "lib.dol"
            path.write_text(path.read_text() + f"pub fun more{number}() -> Int64 {{ return {number} }}\n")

        def manifest(number: int) -> None:
            path = top / "Spirit.dol"
            path.write_text(path.read_text().replace("has lib", f'has note{number}: "x"\n    has lib', 1))

        found["nothing"] = measure(root, home, runs, lambda _: None)
        found["a body at the top"] = measure(root, home, runs, body)
        found["a body in the deep"] = measure(root, home, runs, deep_body)
        found["an interface in the deep"] = measure(root, home, runs, interface)
        found["a manifest"] = measure(root, home, runs, manifest)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    print("| modules | change | wall s | processor s | peak MiB |\n|---|---|---|---|---|")
    for modules in given.modules:
        for name, runs in size(modules, given.runs).items():
            wall, processor = (
                statistics.median(getattr(run, field) for run in runs) for field in ("wall", "processor")
            )
            print(
                f"| {modules:,} | {name} | {wall:.2f} | {processor:.2f} | {max(run.memory for run in runs):.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
