"""A run on a terminal: a bar, what each worker does, how much is left. What stays on the screen are tests, failures, and the end.

Nothing is drawn, and nothing heavy imported, before a run has taken long enough for someone to wonder.
"""

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from dolbuild.rules.events import DONE, Event, Status
from dolbuild.rules.output import is_worth_a_line, line_of, show_diagnostics, show_end
from dolbuild.rules.report import Output, Report, duration, kind_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live as RichLive

PATIENCE = 0.4
"""Seconds that a run may take without a word."""

REFRESH = 8
"""Drawings a second."""

MAX_LINES = 8
"""Workers that are shown at once; the longest at work come first."""

MAX_BUILT = 12
"""Built files that are named at the end."""

ENOUGH = 0.04
"""Part of the nodes that must be done before the rest is estimated."""

VERBS = {
    "fetch": "fetching",
    "interface": "reading",
    "manifest": "checking",
    "module": "compiling",
    "spirit": "linking",
    "system": "linking",
    "test": "testing",
    "docs": "describing",
}
_COLORS = {Status.RAN: "\x1b[32m", Status.HIT: "\x1b[36m", Status.REMOTE_HIT: "\x1b[36m", Status.FAILED: "\x1b[1;31m"}


class Estimate:
    """How long the rest of a run will take, from what nodes of the same kind took."""

    def __init__(self) -> None:
        self._done: Counter[str] = Counter()
        self._seconds: dict[str, float] = {}

    def add(self, kind: str, seconds: float) -> None:
        """A node is done."""
        self._done[kind] += 1
        self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds

    def rest(self, left: Counter[str], elapsed: float) -> float | None:
        """Seconds, for so many nodes of each kind; None where nothing is known yet. How many are done at once is in what was done so far."""
        seconds, done = dict(self._seconds), dict(self._done)  # they grow meanwhile
        worked = sum(seconds.values())
        if not worked:
            return None
        average = worked / sum(done.values())
        ahead = sum(
            count * (seconds[kind] / done[kind] if kind in seconds and kind in done else average)
            for kind, count in left.items()
        )
        return elapsed * ahead / worked


class Live(Output):
    """Follows a run on a terminal."""

    def __init__(self, out: TextIO, err: TextIO, color: bool) -> None:
        self.out = out
        self.err = err
        self.color = color
        self._report: Report | None = None
        self._estimate = Estimate()
        self._lanes: dict[int, tuple[str, float]] = {}
        self._began = time.perf_counter()
        self._live: RichLive | None = None
        self._waiting = threading.Timer(PATIENCE, self._open)
        self._waiting.daemon = True
        self._opening = threading.Lock()
        self._is_over = False

    # -- what happens ------------------------------------------------------------------------------

    def start(self, report: Report) -> None:
        self._report = report
        if report.planned:
            self._waiting.start()

    def begin(self, node: str, lane: int) -> None:
        self._lanes[lane] = (node, time.perf_counter())

    def node(self, event: Event) -> None:
        self._lanes.pop(event.lane, None)
        self._estimate.add(kind_of(event.node), event.seconds)
        if event.status is Status.FAILED or (event.node.startswith("test:") and event.status in DONE):
            if is_worth_a_line(event.node):
                self._print(line_of(event), event.status)

    def finish(self, report: Report) -> None:
        self.close()
        self.out.flush()
        show_diagnostics(report, self.err, self.color)
        show_end(report, self.out, self.err, MAX_BUILT)

    def close(self) -> None:
        self._waiting.cancel()
        with self._opening:
            self._is_over = True
            if self._live is not None:
                self._live.stop()
                self._live = None

    # -- the picture -------------------------------------------------------------------------------

    def _print(self, line: str, status: Status) -> None:
        """A line that stays, above the picture."""
        if self.color:
            word, _, rest = line.partition(" ")
            line = f"{_COLORS.get(status, '')}{word}\x1b[0m {rest}"
        with self._opening:
            if self._live is None:
                self.out.write(line)
                self.out.flush()
            else:
                from rich.text import Text

                self._live.console.print(Text.from_ansi(line.rstrip("\n")), soft_wrap=True)

    def _open(self) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        with self._opening:
            if self._is_over:
                return
            console = Console(file=self.out, no_color=not self.color, highlight=False)
            self._live = RichLive(
                get_renderable=self.picture, console=console, transient=True, refresh_per_second=REFRESH,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()

    def picture(self) -> "RenderableType":
        """The bar and the workers."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        report = self._report
        assert report is not None
        now = time.perf_counter()
        done = report.total
        planned = max(report.planned.total() + report.proven, done)
        head = Table.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(total=planned or 1, completed=done, width=24, complete_style="green", finished_style="green"),
            Text(f"{done:,}/{planned:,}", "bold"),
            Text(", ".join(self._counted(report)), no_wrap=True, overflow="ellipsis"),
            Text(self._times(report, now), "dim", no_wrap=True),
        )
        lines: list[RenderableType] = [head]
        working = sorted(self._lanes.copy().values(), key=lambda one: (one[1], one[0]))
        for node, began in working[:MAX_LINES]:
            kind, name = kind_of(node), node.partition(":")[2]
            took = f"{now - began:5.1f} s" if now - began >= 1 else ""
            lines.append(
                Text(f"  {VERBS.get(kind, kind):<10} {name}  {took}".rstrip(), no_wrap=True, overflow="ellipsis")
            )
        return Group(*lines)

    @staticmethod
    def _counted(report: Report) -> list[str]:
        hits = report.counts[Status.HIT] + report.counts[Status.REMOTE_HIT]
        return [
            f"{count:,} {word}"
            for count, word in (
                (hits, "from caches"),
                (report.counts[Status.FAILED], "failed"),
                (len(report.skipped), "skipped"),
            )
            if count
        ]

    def _times(self, report: Report, now: float) -> str:
        elapsed = now - self._began
        told = duration(elapsed)
        left = report.planned - report.ended
        if elapsed > 2 and report.ended.total() > ENOUGH * report.planned.total():
            rest = self._estimate.rest(left, elapsed)
            if rest is not None and rest >= 1:
                told += f", about {duration(rest)} left"
        return told
