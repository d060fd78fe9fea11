"""What a run comes to: it follows a session's events, counts them, and hands them to those who show or record them."""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dolbuild.diagnostics import Diagnostic, sort_key
from dolbuild.rules.events import Event, Status
from dolbuild.rules.session import Session

WORTH_TELLING = 0.05
"""Seconds of work that a cache must have spared to be spoken of."""


class Output:
    """Shows a run to someone, or records it. Its methods are called by one thread at a time, and do nothing unless they are overridden."""

    def start(self, report: "Report") -> None:
        """The run begins."""

    def begin(self, node: str, lane: int) -> None:
        """Something is about to be done for a node, by a thread."""

    def node(self, event: Event) -> None:
        """A node that was not up to date is done, or has failed."""

    def skip(self, node: str) -> None:
        """A node waits for one that failed."""

    def finish(self, report: "Report") -> None:
        """The run has come to its end."""

    def close(self) -> None:
        """The run is over, in whatever way; also after `finish`."""


class Report:
    """Follows one session. *proven*: how many nodes are up to date without being looked at; *planned*: how many of each kind are to be looked
    at."""

    def __init__(
        self,
        session: Session,
        outputs: Sequence[Output] = (),
        *,
        proven: int = 0,
        planned: Mapping[str, int] | None = None,
    ) -> None:
        self.session = session
        self.outputs = outputs
        self.planned = Counter(planned or {})
        self.proven = proven
        self.ended: Counter[str] = Counter(dict.fromkeys(self.planned, 0))
        """How many nodes of each kind have come to an end. All keys are there from the beginning, so that who draws may look at any moment."""
        self.counts: Counter[Status] = Counter(dict.fromkeys(Status, 0) | {Status.UP_TO_DATE: proven})
        self.skipped: list[str] = []
        self.diagnostics: list[Diagnostic] = list(session.plan.diagnostics)
        self.built: list[str] = []
        self.internal: list[str] = []
        self.saved = 0.0
        """Seconds that results from caches took where they were made."""
        self.events: list[Event] = []
        self.started = time.perf_counter()
        self.seconds = 0.0
        self._lock = threading.Lock()
        session.on_event = self.event
        session.on_begin = self.begin
        for output in outputs:
            output.start(self)

    @property
    def failed(self) -> bool:
        return bool(self.counts[Status.FAILED] or self.internal or any(d.code[0] == "E" for d in self.diagnostics))

    @property
    def total(self) -> int:
        """How many nodes have come to an end, in whatever way."""
        return sum(self.counts.values()) + len(self.skipped)

    def ordered(self) -> list[Diagnostic]:
        """The diagnostics, by place."""
        return sorted(set(self.diagnostics), key=sort_key)

    def begin(self, node: str, lane: int) -> None:
        """A thread begins to work on a node."""
        with self._lock:
            for output in self.outputs:
                output.begin(node, lane)

    def event(self, event: Event) -> None:
        """Take in the end of a node; from any thread."""
        with self._lock:
            self.counts[event.status] += 1
            self.ended[kind_of(event.node)] += 1
            if event.status is Status.UP_TO_DATE:
                return
            self.events.append(event)
            self.diagnostics += event.diagnostics
            self.saved += event.saved
            if event.status is not Status.FAILED:
                self.built += sorted(self.session.plan.nodes[event.node].targets)
            for output in self.outputs:
                output.node(event)

    def up_to_date(self, node: str) -> None:
        """A node that was found to be up to date before it was executed."""
        with self._lock:
            self.counts[Status.UP_TO_DATE] += 1
            self.ended[kind_of(node)] += 1

    def skip(self, node: str) -> None:
        """A node that waits for one that failed."""
        with self._lock:
            self.skipped.append(node)
            self.ended[kind_of(node)] += 1
            for output in self.outputs:
                output.skip(node)

    def crash(self, node: str, text: str) -> None:
        """A fault of the tool itself."""
        with self._lock:
            self.internal.append(f"{node}: {text}")
            self.counts[Status.FAILED] += 1

    def finish(self) -> None:
        """Show what is to be shown at the end."""
        self.seconds = time.perf_counter() - self.started
        for output in self.outputs:
            output.finish(self)

    def close(self) -> None:
        """To be called when the run is over, also where it was given up."""
        for output in self.outputs:
            output.close()

    def troubles(self) -> list[str]:
        """Lines on what went wrong around the nodes: faults of the tool, a journal that cannot be written, a remote that is down."""
        lines = [f"internal error in {text}\nThis is a fault of dolbuild; please report it." for text in self.internal]
        if self.session.journal_problem:
            lines.append(f"warning: this build is not remembered: {self.session.journal_problem}")
        return lines + [f"warning: {story}" for story in self.session.cache.stories()]

    def summary(self) -> str:
        """The run in one line."""
        counts, total = self.counts, self.total
        if total == 0 and not self.failed:
            if any(name.startswith("manifest:") for name in self.session.plan.nodes):
                return "nothing to do: this workspace has nothing of this kind"
            return "nothing to do: there is nothing in this workspace yet"
        nodes = f"{total} node{'' if total == 1 else 's'}"
        took = f"{self.seconds:.2f} s"
        if total == counts[Status.UP_TO_DATE] and not self.failed:
            return f"nothing to do: {nodes} up to date ({took})"
        parts = [f"{counts[status]} {word}" for status, word in WORDS.items() if counts[status]]
        if self.skipped:
            parts.append(f"{len(self.skipped)} skipped")
        if self.saved >= WORTH_TELLING:
            took += f"; the caches saved {duration(self.saved)}"
        return f"{nodes}: {', '.join(parts)} ({took})"


def kind_of(node: str) -> str:
    """``module`` of ``module:a/b``."""
    return node.partition(":")[0]


WORDS = {
    Status.RAN: "ran",
    Status.HIT: "from the store",
    Status.REMOTE_HIT: "from the remote cache",
    Status.UP_TO_DATE: "up to date",
    Status.FAILED: "failed",
}
"""How outcomes are called in a summary, in the order of showing."""


def duration(seconds: float) -> str:
    """A time for people: ``0.31 s``, ``12 s``, ``4:07 min``, ``1:02 h``."""
    if seconds < 9.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60) if seconds >= 3570 else seconds / 60
    if seconds < 3570:
        return f"{int(minutes)}:{int(seconds) % 60:02} min"
    return f"{int(minutes) // 60}:{int(minutes) % 60:02} h"


def size_of(path: Path) -> str:
    """The size of a file for people; empty where it is gone."""
    try:
        size = path.stat().st_size
    except OSError:
        return ""
    return f"{size} bytes" if size < 1024 else f"{size / 1024:.1f} KiB"
