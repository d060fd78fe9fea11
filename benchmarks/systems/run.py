"""Calls of a running System as its state grows, beside SQLite doing the same: ``python -m benchmarks.systems.run``.

The System is example 4 (``examples/workspace/production-cluster``). A *call* adds a container and a second one takes it away again, so the
state stays as large as it is; *looking* is a call that changes nothing. Constraints: how long it takes to evaluate all three, and how many a call
evaluates. SQLite keeps the same rows in a file of its own (WAL), makes the same change in a transaction, and asks the same three
questions before it commits.
"""

import argparse
import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from dolbuild.runtime.capabilities import Capabilities
from dolbuild.runtime.host import Host
from dolbuild.runtime.instance import Program
from dolbuild.systems.keeping import open_kept
from dolbuild.systems.running import Running
from dolbuild.systems.serving import Calls, Limits, Server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "workspace"
MOST = 10_000_000


def first_state() -> dict[str, Any]:
    return {
        "config": {
            "max_containers_per_cluster": MOST,
            "total_memory_limit_mb": MOST,
            "default_container_memory_mb": 64,
        },
        "clusters": [{"id": n, "name": f"c{n}", "total_memory_mb": 1} for n in (1, 2)],
        "monitor": {"room": MOST, "tracked": {}},
    }


def build(folder: Path, release: bool) -> bytes:
    work = folder / "work"
    shutil.copytree(EXAMPLES, work, ignore=shutil.ignore_patterns("target", ".dolbuild", "state", "http-service"))
    command = [sys.executable, "-m", "dolbuild.commands.main", "build", "system:production-cluster"]
    subprocess.run([*command, *(["--release"] if release else [])], cwd=work, check=True, capture_output=True)
    return (work / "target/systems/production-cluster.wasm").read_bytes()


def seconds(work: Callable[[], Any], runs: int) -> float:
    """The median of a few runs, of some work that is done often enough to be measured."""
    count = 1
    while True:
        began = time.perf_counter()
        for _ in range(count):
            work()
        if time.perf_counter() - began > 0.05:
            break
        count *= 2
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        for _ in range(count):
            work()
        found.append((time.perf_counter() - began) / count)
    return statistics.median(found)


# -- the System ------------------------------------------------------------------------------------


def grow(running: Running, size: int) -> None:
    while size > 0:
        running.call("scale", [1, min(size, 100_000)])
        size -= 100_000


def pair(call: Callable[[str, Any], Any]) -> Callable[[], None]:
    """Two calls that change the state there and back."""

    def work() -> None:
        call("scale", [2, 1])
        call("scale", [2, -1])

    return work


def system(wasm: bytes, folder: Path, size: int, runs: int) -> dict[str, float]:
    """Seconds of a call in each way of keeping, and of constraints."""
    program = Program(wasm, interruptible=True)
    found: dict[str, float] = {}
    opened = open_kept(program, Host(Capabilities()), folder / f"kept-{size}", first_state(), synced=False)
    running = opened.running
    calls = Calls(running, Limits(call=3600))
    calls.do(lambda: grow(running, size))
    before = dict(running.counts.evaluated)
    calls.call("scale", [2, 1])
    calls.call("scale", [2, -1])
    calls.call("health_check", [])
    found["evaluated"] = sum(running.counts.evaluated.values()) - sum(before.values())
    found["memory"] = running.instance.size() / (1 << 20)
    found["kept"] = seconds(pair(calls.call), runs) / 2
    found["looking"] = seconds(lambda: calls.call("health_check", []), runs)
    opened.durable.synced = True
    found["synced"] = seconds(pair(calls.call), runs) / 2
    running.keeper = None
    found["in memory"] = seconds(pair(calls.call), runs) / 2
    watcher, running.watcher = running.watcher, None
    found["constraints"] = calls.do(lambda: seconds(lambda: running.judge(running.table.constraints), runs))
    running.watcher = watcher
    found["constraints watched"] = calls.do(lambda: seconds(lambda: running.judge(running.table.constraints), runs))
    calls.do(lambda: running.image.commit(running.image.changes()))
    found["comparing"] = calls.do(lambda: seconds(running.image.changes, runs))
    calls.close()
    opened.close()
    return found


def http(wasm: bytes, folder: Path, clients: int, count: int, synced: bool) -> float:
    """Calls a second over HTTP, of so many clients at once."""
    name = f"http-{clients}-{synced}"
    opened = open_kept(
        Program(wasm, interruptible=True), Host(Capabilities()), folder / name, first_state(), synced=synced
    )
    server = Server("127.0.0.1", 0, opened.running, None)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()

    def work() -> None:
        with httpx.Client(base_url=server.url) as client:
            for number in range(count):
                answer = client.post("/functions/scale", json=[2, 1 if number % 2 == 0 else -1])
                assert answer.status_code == 200, answer.text

    threads = [threading.Thread(target=work) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    server.shutdown()
    serving.join()
    server.stop()
    opened.close()
    return clients * count / took


# -- SQLite ----------------------------------------------------------------------------------------

QUESTIONS = (
    "SELECT NOT EXISTS (SELECT 1 FROM cluster c WHERE (SELECT count(*) FROM container k WHERE k.cluster = c.id) > ?)",
    "SELECT (SELECT coalesce(sum(total_memory_mb), 0) FROM cluster) <= ?",
    "SELECT NOT EXISTS (SELECT 1 FROM container k WHERE NOT EXISTS (SELECT 1 FROM tracked t WHERE t.id = k.id)) OR ? < 0",
)


def sqlite(folder: Path, size: int, runs: int) -> dict[str, float]:
    """The same rows, changes and questions."""
    base = sqlite3.connect(folder / f"sqlite-{size}", isolation_level=None)
    base.executescript(
        "PRAGMA journal_mode = WAL;"
        "CREATE TABLE cluster (id INTEGER PRIMARY KEY, name TEXT, total_memory_mb INTEGER);"
        "CREATE TABLE container (id INTEGER PRIMARY KEY, cluster INTEGER, name TEXT, state TEXT, config TEXT);"
        "CREATE INDEX of_cluster ON container (cluster);"
        "CREATE TABLE tracked (id INTEGER PRIMARY KEY);"
        "INSERT INTO cluster VALUES (1, 'c1', 1), (2, 'c2', 1);"
    )
    config = json.dumps({"memory_limit_mb": 512, "cpu_shares": 1024, "environment": {}})
    base.execute("BEGIN")
    base.executemany(
        "INSERT INTO container VALUES (?, 1, ?, 'Running', ?)", ((n, f"scaled-{n}", config) for n in range(size))
    )
    base.executemany("INSERT INTO tracked VALUES (?)", ((n,) for n in range(size)))
    base.execute("COMMIT")

    def questions() -> None:
        for question in QUESTIONS:
            assert base.execute(question, (MOST,)).fetchone()[0] == 1

    def call(name: str, arguments: list[int]) -> None:
        base.execute("BEGIN IMMEDIATE")
        if arguments[1] > 0:
            at = base.execute("INSERT INTO container VALUES (NULL, 2, 'scaled', 'Running', ?)", (config,)).lastrowid
            base.execute("INSERT INTO tracked VALUES (?)", (at,))
        else:
            (at,) = base.execute("SELECT max(id) FROM container WHERE cluster = 2").fetchone()
            base.execute("DELETE FROM tracked WHERE id = ?", (at,))
            base.execute("DELETE FROM container WHERE id = ?", (at,))
        questions()
        base.execute("COMMIT")

    found = {"constraints": seconds(questions, runs)}
    base.execute("PRAGMA synchronous = OFF")
    found["kept"] = seconds(pair(call), runs) / 2
    base.execute("PRAGMA synchronous = FULL")
    found["synced"] = seconds(pair(call), runs) / 2
    base.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=[0, 1000, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--calls", type=int, default=400, help="of each client over HTTP")
    parser.add_argument("--release", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wasm = build(folder, options.release)
        rows = [
            ("in memory", "a call, nothing kept"), ("kept", "a call, kept"), ("synced", "a call, on the disk"),
            ("looking", "a call that changes nothing"), ("comparing", "comparing the memory"),
            ("constraints", "all three constraints"), ("constraints watched", "the same, watched"),
        ]  # fmt: skip
        for size in options.sizes:
            ours, theirs = system(wasm, folder, size, options.runs), sqlite(folder, size, options.runs)
            print(
                f"{size} containers, {ours['memory']:.0f} MiB of memory; three calls evaluate {ours['evaluated']:.0f} constraints"
            )
            for key, title in rows:
                other = f"   SQLite {theirs[key] * 1e6:9.0f} us" if key in theirs else ""
                print(f"  {title:30} {ours[key] * 1e6:9.0f} us{other}", flush=True)
        for synced in (False, True):
            for clients in (1, 8):
                rate = http(wasm, folder, clients, options.calls, synced)
                print(
                    f"HTTP, {clients} clients, {'on the disk' if synced else 'kept'}: {rate:.0f} calls a second",
                    flush=True,
                )


if __name__ == "__main__":
    main()
