"""Cold builds with a warm remote, and what latency does to them: ``python -m benchmarks.scale.remote --modules 1000 --runs 3``.

nginx with WebDAV on loopback has everything; a proxy in front of it holds each answer for a while. Each build is a process of its own, with
an empty home and no state. Rounds are interleaved; shown are medians.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.scale.generate import write
from benchmarks.scale.run import MODULES, Run, dolbuild
from tests.support.caches import delaying, server


def build(root: Path, home: Path, url: str, *arguments: str) -> Run:
    """A build with nothing on this machine."""
    shutil.rmtree(home, ignore_errors=True)
    for name in (".dolbuild", "target"):
        shutil.rmtree(root / name, ignore_errors=True)
    os.environ["DOL_REMOTE"] = url
    return dolbuild(root, home, "build", *arguments)


def outcomes(path: Path) -> dict[str, int]:
    """How many nodes had which outcome."""
    found: dict[str, int] = {}
    for line in path.read_text().splitlines():
        outcome = json.loads(line)["outcome"]
        found[outcome] = found.get(outcome, 0) + 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--delays", type=float, nargs="+", default=[0.0, 0.005, 0.02, 0.05])
    parser.add_argument("--server", default="nginx", help="nginx, casd or buildgrid")
    given = parser.parse_args()
    os.environ["DOL_REMOTE_TIMEOUT"] = "30"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root, home = folder / "work", folder / "home"
        write(root, max(1, given.modules // MODULES), MODULES)
        with server(given.server, folder / "server") as cache:
            os.environ["DOL_REMOTE_UPLOAD"] = "true"
            cold = build(root, home, cache.url)
            os.environ["DOL_REMOTE_UPLOAD"] = "false"
            print(f"{given.modules} modules, {given.server}; cold, with uploads: {cold.wall:.2f} s")
            split = urlsplit(cache.url)
            runs: dict[float, list[Run]] = {delay: [] for delay in given.delays}
            for _ in range(given.runs):
                for delay, found in runs.items():
                    with delaying(split.port or 0, delay) as port:
                        url = f"{split.scheme}://127.0.0.1:{port}{split.path}"
                        found.append(build(root, home, url, f"--events={folder}/events.jsonl"))
                    counts = outcomes(folder / "events.jsonl")
                    assert set(counts) == {"remote-hit"}, counts
        first = statistics.median(run.wall for run in runs[given.delays[0]])
        print("| delay ms | wall s | processor s | peak MiB | ratio |\n|---|---|---|---|---|")
        for delay, found in runs.items():
            wall = statistics.median(run.wall for run in found)
            processor = statistics.median(run.processor for run in found)
            memory = max(run.memory for run in found)
            print(f"| {delay * 1000:.0f} | {wall:.2f} | {processor:.2f} | {memory:.0f} | {wall / first:.2f} |")


if __name__ == "__main__":
    main()
