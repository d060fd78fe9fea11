"""What a run says: lines while it goes on, diagnostics and a summary at its end."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, TextIO

from dolbuild.diagnostics import Diagnostic, render, sort_key
from dolbuild.rules.events import Event, Status
from dolbuild.rules.runlog import EventLog
from dolbuild.rules.session import Session

_QUIET_KINDS = ("interface:", "_")
_WORDS = {Status.REMOTE_HIT: "remote"}


@dataclass(frozen=True, slots=True)
class Style:
    """How to speak. *json*: one JSON value a line on *out*, for machines."""

    out: TextIO
    err: TextIO
    json: bool = False
    color: bool = False


class Report:
    """Follows the events of one session. *proven*: how many nodes are up to date without being looked at."""

    def __init__(self, session: Session, style: Style, proven: int = 0) -> None:
        self.session = session
        self.style = style
        self.counts: Counter[Status] = Counter({Status.UP_TO_DATE: proven})
        self.skipped: list[str] = []
        self.diagnostics: list[Diagnostic] = list(session.plan.diagnostics)
        self.built: list[str] = []
        self.internal: list[str] = []
        self._lock = threading.Lock()
        self.events: list[Event] = []
        self.log: EventLog | None = None
        self.started = time.perf_counter()
        session.on_event = self.event

    @property
    def failed(self) -> bool:
        return bool(self.counts[Status.FAILED] or self.internal or any(d.code[0] == "E" for d in self.diagnostics))

    @property
    def total(self) -> int:
        """How many nodes were meant."""
        return sum(self.counts.values()) + len(self.skipped)

    def _write(self, value: dict[str, Any]) -> None:
        self.style.out.write(json.dumps(value, ensure_ascii=False) + "\n")

    def event(self, event: Event) -> None:
        """Take in an event; from any thread."""
        with self._lock:
            self._event(event)

    def _event(self, event: Event) -> None:
        self.counts[event.status] += 1
        if event.status is Status.UP_TO_DATE:
            return
        self.events.append(event)
        if self.log is not None:
            self.log.add(event)
        self.diagnostics += event.diagnostics
        node = self.session.plan.nodes[event.node]
        if event.status is not Status.FAILED:
            self.built += sorted(node.targets)
        if self.style.json:
            self._write({"event": "node", "node": event.node, "status": str(event.status)})
        elif not event.node.startswith(_QUIET_KINDS) and "@dol/" not in event.node:
            word = _WORDS.get(event.status, str(event.status))
            self.style.out.write(f"{word:<7} {event.node}\n")
            self.style.out.flush()

    def up_to_date(self) -> None:
        with self._lock:
            self.counts[Status.UP_TO_DATE] += 1

    def skip(self, node: str) -> None:
        """A node that waits for one that failed."""
        with self._lock:
            self._skip(node)

    def _skip(self, node: str) -> None:
        self.skipped.append(node)
        if self.log is not None:
            self.log.add(Event(node, Status.SKIPPED))
        if self.style.json:
            self._write({"event": "node", "node": node, "status": "skipped"})

    def crash(self, node: str, text: str) -> None:
        """A fault of the tool itself."""
        self.internal.append(f"{node}: {text}")
        self.counts[Status.FAILED] += 1

    def finish(self) -> None:
        """Show the diagnostics, what was built, and the counts."""
        ordered = sorted(set(self.diagnostics), key=sort_key)
        seconds = time.perf_counter() - self.started
        if self.style.json:
            for diagnostic in ordered:
                self._write({"event": "diagnostic", **diagnostic.to_json()})
            counts = {str(status): self.counts[status] for status in Status}
            counts[str(Status.SKIPPED)] = len(self.skipped)
            self._write({"event": "summary", **counts, "failed_build": self.failed})
        else:
            self.style.out.flush()
            for diagnostic in ordered:
                self.style.err.write(render(diagnostic, color=self.style.color) + "\n")
            self.style.err.flush()
            for path in sorted(self.built):
                self.style.out.write(f"built   {path}  {self._size(path)}\n")
            self.style.out.write(self.summary(seconds) + "\n")
        for text in self.internal:
            self.style.err.write(f"internal error in {text}\nThis is a fault of dolbuild; please report it.\n")
        if self.session.journal_problem:
            self.style.err.write(f"warning: this build is not remembered: {self.session.journal_problem}\n")
        for story in self.session.cache.stories():
            self.style.err.write(f"warning: {story}\n")
        self.style.out.flush()

    def _size(self, path: str) -> str:
        try:
            size = (self.session.root / path).stat().st_size
        except OSError:
            return ""
        return f"{size} bytes" if size < 1024 else f"{size / 1024:.1f} KiB"

    def summary(self, seconds: float) -> str:
        counts = self.counts
        total = self.total
        if total == 0 and not self.failed:
            if any(name.startswith("manifest:") for name in self.session.plan.nodes):
                return "nothing to do: this workspace has nothing of this kind"
            return "nothing to do: there is nothing in this workspace yet"
        nodes = f"{total} node{'' if total == 1 else 's'}"
        if total == counts[Status.UP_TO_DATE] and not self.failed:
            return f"nothing to do: {nodes} up to date ({seconds:.2f} s)"
        parts = [
            f"{counts[status]} {word}"
            for status, word in (
                (Status.RAN, "ran"),
                (Status.HIT, "from the store"),
                (Status.REMOTE_HIT, "from the remote cache"),
                (Status.UP_TO_DATE, "up to date"),
                (Status.FAILED, "failed"),
            )
            if counts[status]
        ]
        if self.skipped:
            parts.append(f"{len(self.skipped)} skipped")
        return f"{nodes}: {', '.join(parts)} ({seconds:.2f} s)"
