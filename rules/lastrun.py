"""The record of the last run in a workspace that had something to do: what a graph is coloured by, also while the run goes on.

``.dolbuild/run`` has one JSON value a line, appended as things happen: ``{format, run, began, planned}`` at first, ``{begin, at}`` for a node
that is worked on, ``{node, outcome, at, seconds, saved}`` for one that is done, ``{end, failed}`` at last. Times are seconds since the run
began, but for *began*, which is the time of the clock. It is a trace, no input of anything.
"""

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dolbuild.files import write_atomic
from dolbuild.rules.events import Event, Status
from dolbuild.rules.report import Output, Report
from dolbuild.workspace import STATE_FOLDER

FORMAT = 1
RUN_FILE = f"{STATE_FOLDER}/run"


class RunFile(Output):
    """Writes the record, at *path*. Where it cannot be written there is none: it is no reason to fail."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = -1
        self._began = 0.0

    def start(self, report: Report) -> None:
        self._began = time.perf_counter()
        head = {
            "format": FORMAT,
            "run": f"{time.time_ns():x}-{os.getpid():x}",
            "began": round(time.time(), 3),
            "planned": report.planned.total(),
        }
        with suppress(OSError):
            write_atomic(self.path, _line(head))
            self._handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def begin(self, node: str, lane: int) -> None:
        self._write({"begin": node, "at": self._now()})

    def node(self, event: Event) -> None:
        value: dict[str, Any] = {"node": event.node, "outcome": str(event.status), "at": round(event.started, 3)}
        self._write(value | {"seconds": round(event.seconds, 3), "saved": round(event.saved, 3)})

    def skip(self, node: str) -> None:
        self._write({"node": node, "outcome": str(Status.SKIPPED)})

    def finish(self, report: Report) -> None:
        self._write({"end": self._now(), "failed": report.failed})

    def close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def _now(self) -> float:
        return round(time.perf_counter() - self._began, 3)

    def _write(self, value: dict[str, Any]) -> None:
        if self._handle < 0:
            return
        try:
            os.write(self._handle, _line(value))
        except OSError:
            os.close(self._handle)
            self._handle = -1


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class Outcome(NamedTuple):
    """How a node ended, what it took, and what a cache saved, in seconds."""

    outcome: str
    seconds: float
    saved: float


@dataclass(slots=True)
class LastRun:
    """What a record says. *nodes* by name; *working*: nodes that were begun and are not done; *ended* is None
    while the run goes on, or where it was killed."""

    began: float = 0.0
    planned: int = 0
    nodes: dict[str, Outcome] = field(default_factory=dict)
    working: dict[str, float] = field(default_factory=dict)
    ended: float | None = None
    failed: bool = False


def read_run(lines: Iterable[bytes]) -> LastRun | None:
    """The record in some lines; None where there is none. A line that is cut off or strange is passed over."""
    run: LastRun | None = None
    for line in lines:
        try:
            value = json.loads(line)
            if run is None:
                if value["format"] != FORMAT:
                    return None
                run = LastRun(float(value["began"]), int(value["planned"]))
            elif "begin" in value:
                run.working[str(value["begin"])] = float(value["at"])
            elif "node" in value:
                name = str(value["node"])
                run.working.pop(name, None)
                outcome, seconds, saved = str(value["outcome"]), value.get("seconds", 0.0), value.get("saved", 0.0)
                run.nodes[name] = Outcome(outcome, float(seconds), float(saved))
            elif "end" in value:
                run.ended, run.failed = float(value["end"]), bool(value["failed"])
        except (ValueError, KeyError, TypeError, AttributeError):
            if run is None:
                return None
    return run


def last_run(root: Path) -> LastRun | None:
    """The record of the last run in a workspace; None where there is none."""
    try:
        return read_run((root / RUN_FILE).read_bytes().splitlines())
    except OSError:
        return None
