"""How the page of the graph draws, beside ``nx graph``, in Chromium: ``python -m benchmarks.page.run``.

One synthetic graph is given to both: Spirits of ten modules with imports as `benchmarks.scale` generates them. To Nx every node is a project
whose ``implicitDependencies`` are the node's edges.
"""

import argparse
import functools
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from dolbuild.rules.page import to_page

SOFTWARE = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
SIZE = {"width": 1400, "height": 850}
PATIENCE = 120.0
"""Seconds after which a page is given up."""

Nodes = list[tuple[str, str, int]]
Edges = list[tuple[int, int, str]]


def graph(modules: int, seed: int = 1) -> tuple[Nodes, Edges]:
    """Nodes (name, kind, head of the group) and edges; layers of Spirits as in `benchmarks.scale`."""
    dice = random.Random(seed)
    nodes: Nodes = []
    edges: Edges = []
    heads: list[int] = []
    for spirit in range(max(1, modules // 10)):
        head = len(nodes)
        heads.append(head)
        nodes.append((f"spirit:s{spirit:05}", "spirit", head))
        below = heads[max(0, spirit - 200) : max(0, spirit - 20)]
        for other in dice.sample(below, min(len(below), 3)):
            edges.append((head, other, "requires"))
        first = len(nodes)
        for module in range(10):
            at = len(nodes)
            nodes.append((f"module:s{spirit:05}/m{module}", "module", head))
            edges.append((head, at, "has"))
            for other in dice.sample(range(first, at), min(module, 2)):
                edges.append((at, other, "imports"))
    return nodes, edges


def write_ours(folder: Path, nodes: Nodes, edges: Edges) -> Path:
    """Our page."""
    data = {
        "format": 1,
        "title": "bench",
        "live": False,
        "nodes": [
            [name, kind, head, f"spirits/{name.partition(':')[2]}.dol", 0.01, "hit"] for name, kind, head in nodes
        ],
        "edges": [[a, b, why, "" if why == "has" else nodes[b][0], 1] for a, b, why in edges],
        "critical": [],
        "run": None,
    }
    path = folder / "graph.html"
    path.write_bytes(to_page(data))
    return path


def write_nx(folder: Path, nodes: Nodes, edges: Edges, nx: Path) -> Path:
    """Nx's page, of a workspace whose projects are the nodes. Raises CalledProcessError."""
    names = [name.replace(":", "-").replace("/", "-") for name, _, _ in nodes]
    needs: list[list[str]] = [[] for _ in nodes]
    for a, b, _ in edges:
        needs[a].append(names[b])
    (folder / "package.json").write_text('{"name": "bench", "private": true, "version": "0.0.0"}')
    (folder / "nx.json").write_text("{}")
    for name, needed in zip(names, needs, strict=True):
        place = folder / "projects" / name
        place.mkdir(parents=True)
        (place / "project.json").write_text(json.dumps({"name": name, "implicitDependencies": needed, "targets": {}}))
    (folder / "node_modules").symlink_to(nx / "node_modules")
    environment = os.environ | {"NX_DAEMON": "false", "CI": "true", "NX_NO_CLOUD": "true"}
    subprocess.run(
        [nx / "node_modules/.bin/nx", "graph", "--file=graph.html"], cwd=folder, env=environment, check=True,
        capture_output=True,
    )  # fmt: skip
    return folder / "graph.html"


def open_ours(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("html[data-drawn]", state="attached", timeout=PATIENCE * 1000)


def open_nx(page: Page, address: str) -> None:
    """All projects at once: what it calls flat. Its first view would show one folder."""
    settings = {
        "theme": "light", "rankDir": "TB", "query": "", "autoExpand": 15, "dependencyDistance": 1, "mode": "individual",
        "showMode": "all", "showOnlyExternalDependencies": False, "traceAlgorithm": "shortest",
    }  # fmt: skip
    said = quote(json.dumps({"c": settings, "v": 1}, separators=(",", ":")), safe="")
    page.goto(f"{address}#/projects?graph={quote(b64encode(said.encode()).decode())}")
    page.wait_for_selector("canvas", state="attached", timeout=PATIENCE * 1000)


PIXELS = """() => new Promise(done => requestAnimationFrame(() => {
  let found = 0;
  for (const canvas of document.querySelectorAll('canvas')) {
    const small = document.createElement('canvas');
    small.width = 200; small.height = 120;
    const context = small.getContext('2d');
    try { context.drawImage(canvas, 0, 0, 200, 120); } catch { continue; }
    const data = context.getImageData(0, 0, 200, 120).data;
    for (let at = 3; at < data.length; at += 4) if (data[at] > 8) found++;
  }
  done(found);
}))"""
"""How many points of the drawing are not empty, whatever draws it."""

FRAMES = """seconds => new Promise(done => {
  const times = [];
  const end = performance.now() + seconds * 1000;
  const frame = now => { times.push(now); performance.now() < end ? requestAnimationFrame(frame) : done(times); };
  requestAnimationFrame(frame);
})"""


def drawn(page: Page, began: float) -> float:
    """Seconds until something is drawn that stays the same for half a second."""
    before, since = -1, time.monotonic()
    while time.monotonic() - began < PATIENCE:
        now = page.evaluate(PIXELS)
        if now > 40 and now == before and time.monotonic() - since > 0.5:
            return since - began
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.05)
    raise TimeoutError


def panning(page: Page, seconds: float) -> list[float]:
    """Milliseconds of each frame while the drawing is dragged to and fro."""
    x, y = 500, 420
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(f"() => {{ window.frames_ = ({FRAMES})({seconds}); }}")
    end = time.monotonic() + seconds
    step = 0
    while time.monotonic() < end:
        step += 1
        page.mouse.move(x + 150 * (1 if step % 20 < 10 else -1) * (step % 10) / 10, y + 60 * (step % 7) / 7)
    times: list[float] = page.evaluate("() => window.frames_")
    page.mouse.up()
    return [b - a for a, b in itertools.pairwise(times)]


def measure(browser: Browser, open_: Callable[[Page, str], None], address: str, seconds: float) -> dict[str, Any]:
    """One page, opened once."""
    page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE * 1000)
    began = time.monotonic()
    try:
        open_(page, address)
        first = drawn(page, began)
        frames = panning(page, seconds)
        heap = page.evaluate("() => performance.memory ? performance.memory.usedJSHeapSize : 0")
        ordered = sorted(frames)
        return {
            "drawn": first,
            "fps": 1000 * len(frames) / sum(frames),
            "worst": ordered[-max(1, len(ordered) // 20)],
            "heap": heap / 2**20,
        }
    except Exception as error:
        return {"given up": f"{type(error).__name__} after {time.monotonic() - began:.0f} s"}
    finally:
        page.close(run_before_unload=False)


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None: ...


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder behind HTTP on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--modules", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--nx", type=Path, help="a folder with node_modules/nx")
    given = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is not installed")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as temporary, served(Path(temporary)) as base:
        for modules in given.modules:
            nodes, edges = graph(modules)
            folder = Path(temporary) / str(modules)
            (folder / "ours").mkdir(parents=True)
            pages = {"dolbuild": (open_ours, write_ours(folder / "ours", nodes, edges))}
            if given.nx:
                (folder / "nx").mkdir()
                began = time.monotonic()
                pages["nx"] = (open_nx, write_nx(folder / "nx", nodes, edges, given.nx.absolute()))
                print(f"nx graph --file took {time.monotonic() - began:.1f} s", flush=True)
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in pages}
            for _ in range(given.runs):
                for name, (open_, path) in pages.items():
                    if any("given up" in one for one in found[name]):
                        continue  # once is enough
                    browser = playwright.chromium.launch(
                        executable_path=chromium, args=[*SOFTWARE, "--enable-precise-memory-info"]
                    )
                    found[name].append(measure(browser, open_, f"{base}{path.relative_to(temporary)}", given.seconds))
                    browser.close()
            print(f"{len(nodes)} nodes, {len(edges)} edges")
            for name, runs in found.items():
                print(f"  {name:9} {told(runs)}  ({pages[name][1].stat().st_size / 1024:.0f} KiB)", flush=True)


def told(runs: list[dict[str, Any]]) -> str:
    """The medians of some runs."""
    for one in runs:
        if "given up" in one:
            return f"given up: {one['given up']}"
    middle = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
    return (
        f"drawn {middle['drawn']:6.2f} s   {middle['fps']:5.1f} frames/s while panning "
        f"(the slowest of twenty {middle['worst']:.0f} ms)   heap {middle['heap']:.0f} MiB"
    )


if __name__ == "__main__":
    main()
