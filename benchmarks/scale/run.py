"""How long builds take in workspaces of many modules, dolbuild's and its peers' in one run.

``python -m benchmarks.scale.run --modules 100 1000 --runs 5``. Each size is generated anew in a temporary folder with an empty home
for each tool. Every command is a process of its own. Runs are interleaved: each tool has its first run before any has its
second. Edits are really different each time, so that nothing comes out of a store, and it is checked that what is built from
the edited Spirit became different.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.scale.generate import spirit_name
from benchmarks.scale.peers import DOLBUILD, TOOLS, Place, Tool

MODULES = 10
"""Modules of a Spirit."""

MARK = "DOLBUILD_BENCHMARK"
"""A variable that all processes of a tool inherit, by which its daemons are found."""

MESSAGE = 15
"""Lines of what a failed command says that are shown."""

TICKS = os.sysconf("SC_CLK_TCK")

LAUNCH = """
import os, sys, time
result = int(sys.argv[1])
os.set_inheritable(result, False)
started = time.perf_counter()
process = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(process, 0)
wall = time.perf_counter() - started
code = os.waitstatus_to_exitcode(status)
os.write(result, f"{code} {wall} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024}".encode())
"""
"""Starts a command and writes its exit status, wall time (s), processor time (s) and peak memory (MiB) to a file descriptor. Linux
counts the memory of who starts a process as that process's own, so that nothing under the size of this small one can be seen."""


class Failed(Exception):
    """A command that does not succeed, or does not build what it should."""


@dataclass(frozen=True, slots=True)
class Run:
    """Wall time (s), processor time (s), peak memory of the largest process (MiB)."""

    wall: float
    processor: float
    memory: float


# -- edits ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done before each run to the Spirit at the *top*, which nobody requires, or else to the first. *change* gets its folder
    and the number of the run, which makes each edit another one. *peers*: whether they have such a thing."""

    name: str
    change: Callable[[Path, int], None]
    top: bool = False
    peers: bool = True


def edit(path: Path, pattern: str, replacement: str) -> None:
    """Replace the first match; there has to be a difference."""
    before = path.read_text()
    after = re.sub(pattern, replacement, before, count=1, flags=re.M)
    assert before != after, path
    path.write_text(after)


def nothing(spirit: Path, number: int) -> None:
    pass


def body(spirit: Path, number: int) -> None:
    """Another limit in a function that only its module sees."""
    edit(spirit / "src" / "m3.dol", r"if x > \d+", f"if x > {1_000_001 + number}")


def interface(spirit: Path, number: int) -> None:
    """One more public function."""
    edit(spirit / "src" / "lib.dol", r"\Z", f"pub fun more{number}() -> Int64 {{ return {number} }}\n")


def manifest(spirit: Path, number: int) -> None:
    edit(spirit / "Spirit.dol", "has lib", f'has note{number}: "x"\n    has lib')


COLD = "cold"
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(COLD, nothing),
        Scenario("no-op", nothing),
        Scenario("body-top", body, top=True),
        Scenario("body-deep", body),
        Scenario("interface-deep", interface),
        Scenario("manifest", manifest, top=True, peers=False),
    )
}


# -- processes -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Daemon:
    """Processor time of a process and of the children it waited for (s), peak memory (MiB)."""

    processor: float
    memory: float


def daemons(mark: str) -> dict[int, Daemon]:
    """The processes that have the mark, by their id."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                times = (folder / "stat").read_text().rpartition(")")[2].split()[11:15]
                peak = re.search(r"^VmHWM:\s+(\d+) kB", (folder / "status").read_text(), re.M)
                memory = int(peak[1]) / 1024 if peak else 0.0
                found[int(folder.name)] = Daemon(sum(map(int, times)) / TICKS, memory)
    return found


def stop(mark: str) -> None:
    """End the processes that have the mark."""
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        for process in daemons(mark):
            with suppress(ProcessLookupError):
                os.kill(process, signal_)
        for _ in range(50):
            if not daemons(mark):
                return
            time.sleep(0.1)


def environment_of(home: Path) -> dict[str, str]:
    """The environment of a build, without what tells tools to behave otherwise than for a person."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTHONDONTWRITEBYTECODE")}
    return kept | {"DOL_HOME": str(home)}


def timed(command: list[str], root: Path, environment: dict[str, str], patience: float | None = None) -> Run:
    """Run a command in a folder. Raises Failed where it does not succeed, and TimeoutExpired after *patience* (s), with the command
    still running."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as result:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LAUNCH, str(result.fileno()), *command],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=[result.fileno()],
        )
        process.wait(patience)
        if process.returncode != 0:
            raise Failed("the program that starts commands was ended")
        said.seek(0)
        result.seek(0)
        status, wall, processor, memory = map(float, result.read().split())
        if status != 0:
            lines = said.read().decode(errors="replace").strip().splitlines()[-MESSAGE:]
            raise Failed("\n".join([f"exit status {status:.0f}", *lines]))
    return Run(wall, processor, memory)


def dolbuild(root: Path, home: Path, *arguments: str) -> Run:
    """Run a command of dolbuild. Raises Failed."""
    return timed([sys.executable, "-m", "dolbuild.commands.main", *arguments], root, environment_of(home))


@dataclass(slots=True)
class Measured:
    """A tool at one size, and the runs of each scenario."""

    tool: Tool
    place: Place
    patience: float
    runs: dict[str, list[Run]] = field(default_factory=dict)
    failed: str | None = None

    def run(self, change: Callable[[], None]) -> Run:
        """Build after a change. Raises Failed."""
        mark = str(self.place.root)
        environment = environment_of(self.place.home) | {"HOME": str(self.place.home), MARK: mark}
        environment |= self.tool.environment
        before = daemons(mark)
        change()
        try:
            run = timed(self.tool.command(self.place), self.place.root, environment, self.patience)
        except subprocess.TimeoutExpired:
            stop(mark)
            raise Failed(f"no end after {self.patience:.0f} s") from None
        processor, memory = run.processor, run.memory
        for id_, daemon in daemons(mark).items():
            processor += daemon.processor - (before[id_].processor if id_ in before else 0.0)
            memory = max(memory, daemon.memory)
        return Run(run.wall, processor, memory)

    def output(self, spirit: str) -> bytes:
        return (self.place.root / self.tool.output.format(spirit=spirit)).read_bytes()

    def attempt(self, scenario: Scenario, spirits: int, number: int) -> Run:
        """One run of a scenario. Raises Failed."""
        spirit = spirit_name(spirits - 1 if scenario.top else 0)
        if scenario.name == COLD:
            self.start(spirits)
            run = self.run(lambda: None)
            self.output(spirit)
            return run
        before = self.output(spirit)
        run = self.run(lambda: scenario.change(self.place.root / "spirits" / spirit, number))
        if (before != self.output(spirit)) != (scenario.change is not nothing):
            raise Failed(f"{scenario.name}: the output of {spirit} is not what it should be")
        return run

    def start(self, spirits: int) -> None:
        """A workspace in which nothing was built, and no daemon."""
        stop(str(self.place.root))
        self.tool.generate(self.place, spirits, MODULES)

    def try_(self, scenario: Scenario, spirits: int, number: int) -> None:
        if self.failed is None and (scenario.peers or self.tool.name == DOLBUILD):
            try:
                run = self.attempt(scenario, spirits, number)
                self.runs.setdefault(scenario.name, []).append(run)
            except (Failed, OSError) as failure:
                self.failed = str(failure)


# -- sizes ---------------------------------------------------------------------------------------------


def size(modules: int, tools: Iterable[Tool], scenarios: list[Scenario], given: argparse.Namespace) -> list[Measured]:
    """All scenarios at one size."""
    with tempfile.TemporaryDirectory(prefix="scale-", dir=given.folder) as folder:
        spirits = max(1, modules // MODULES)
        all_ = []
        for tool in tools:
            place = Place(Path(folder) / tool.name / "work", Path(folder) / tool.name / "home", given.peers)
            all_.append(Measured(tool, place, given.patience))
        try:
            for _ in range(given.cold_runs):
                for measured in all_:
                    measured.try_(SCENARIOS[COLD], spirits, 0)
            for measured in all_:
                # what was written in the last moment may be looked at again
                measured.try_(SCENARIOS["no-op"], spirits, 0)
                measured.runs.pop("no-op", None)
            for scenario in scenarios:
                if scenario.name != COLD:
                    for number in range(given.runs):
                        for measured in all_:
                            measured.try_(scenario, spirits, number + (1000 if scenario.top else 0))
        finally:
            for measured in all_:
                stop(str(measured.place.root))
        return all_


def median(runs: list[Run], field_: str) -> float:
    return float(statistics.median(getattr(run, field_) for run in runs))


def rows(modules: int, scenario: str, all_: list[Measured], earlier: dict[tuple[str, str], float]) -> Iterable[str]:
    """The rows of a scenario; *earlier* has the wall times at the size before."""
    walls = {one.tool.name: median(one.runs[scenario], "wall") for one in all_ if scenario in one.runs}
    ours = walls.get(DOLBUILD)
    for one in all_:
        name = one.tool.name
        if name not in walls:
            continue
        runs = one.runs[scenario]
        wall = walls[name]
        ratio = f"{ours / wall:.2f}" if ours is not None and name != DOLBUILD else ""
        before = earlier.get((scenario, name))
        growth = f"{wall / before:.1f}" if before is not None else ""
        memory = max(run.memory for run in runs)
        yield (
            f"| {modules:,} | {scenario} | {name} | {wall:.3f} | {median(runs, 'processor'):.2f} | {memory:.0f} "
            f"| {ratio} | {growth} |"
        )
        earlier[scenario, name] = wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=int, nargs="+", default=[100, 1000], help="sizes (100 1000)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each scenario, of which the median is shown (5)")
    parser.add_argument("--cold-runs", type=int, default=1, help="runs from nothing (1)")
    parser.add_argument("--only", nargs="+", choices=TOOLS, default=list(TOOLS), help="tools (all)")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="scenarios (all)")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds after which a command is given up (600)")
    parser.add_argument("--folder", type=Path, help="where workspaces are generated (the system's temporary folder)")
    default = Path(__file__).resolve().parent / "build"
    parser.add_argument("--peers", type=Path, default=default, help=f"where peers were installed ({default})")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that daemons and folders go
    tools = []
    for name in given.only:
        if TOOLS[name].found(given.peers) is None:
            print(f"{name}: not installed")
        else:
            tools.append(TOOLS[name])
    scenarios = [SCENARIOS[name] for name in given.scenarios]
    print("\n| modules | change | tool | wall s | processor s | peak MiB | dolbuild/tool | growth |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    load = os.getloadavg()[0]
    earlier: dict[tuple[str, str], float] = {}
    failures = []
    for modules in given.modules:
        all_ = size(modules, tools, scenarios, given)
        for scenario in scenarios:
            for row in rows(modules, scenario.name, all_, earlier):
                print(row, flush=True)
        failures += [f"{one.tool.name} at {modules:,} modules: {one.failed}" for one in all_ if one.failed is not None]
    print(f"\nload average of the machine {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    if failures:
        sys.exit("\n".join(["", *failures]))


if __name__ == "__main__":
    main()
