"""The record of a run: a line for each node as JSON (``--events``), and a trace for Chrome or Perfetto (``--profile``)."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

from dolbuild.cache.action import Record
from dolbuild.files import write_atomic
from dolbuild.rules.events import Cause, Event, Reason, Status
from dolbuild.rules.explain import compare

ReadRecord = Callable[[str], Record | None]
"""The record of an action key, where it is still known."""


def reason_json(event: Event, record: ReadRecord) -> dict[str, Any] | None:
    """Why a node was not up to date, with the inputs that changed."""
    reason: Reason | None = event.reason
    if reason is None:
        return None
    value: dict[str, Any] = {"cause": str(reason.cause)}
    if reason.previous and reason.previous != event.key:
        value["previous"] = reason.previous
        old, new = record(reason.previous), record(event.key)
        if old is not None and new is not None:
            value["changed"] = [difference.to_json() for difference in compare(old, new)]
    return value


def event_json(event: Event, record: ReadRecord) -> dict[str, Any]:
    """A line of the events."""
    value: dict[str, Any] = {"node": event.node, "outcome": str(event.status)}
    if event.status in (Status.UP_TO_DATE, Status.SKIPPED):
        return value
    value |= {
        "key": event.key,
        "reason": reason_json(event, record),
        "missed": list(event.asked),
        "started": round(event.started, 6),
        "seconds": round(event.seconds, 6),
    }
    if event.saved:
        value["saved"] = event.saved
    return value


class EventLog:
    """Writes events to a file while the run goes on. Raises OSError when it is opened."""

    def __init__(self, path: Path, record: ReadRecord) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._record = record
        self._seen: set[str] = set()

    def add(self, event: Event) -> None:
        """Write a line."""
        self._seen.add(event.node)
        self._file.write(json.dumps(event_json(event, self._record), ensure_ascii=False) + "\n")

    def close(self, up_to_date: Iterable[str]) -> None:
        """Write a line for each node that was not looked at because it is up to date, and close the file."""
        for node in sorted(set(up_to_date) - self._seen):
            self.add(Event(node, Status.UP_TO_DATE))
        self._file.close()


def trace(events: Iterable[Event]) -> bytes:
    """Events in the Trace Event Format (of Chrome's about:tracing and Perfetto), times in microseconds; a row for each thread that worked
    at the same time."""
    rows: dict[int, int] = {}
    made: list[dict[str, Any]] = []
    for event in sorted(events, key=lambda one: (one.started, one.node)):
        if event.status in (Status.UP_TO_DATE, Status.SKIPPED):
            continue
        row = rows.setdefault(event.lane, len(rows) + 1)
        arguments = {"outcome": str(event.status), "key": event.key}
        if event.reason is not None and event.reason.cause is not Cause.NEW:
            arguments["cause"] = str(event.reason.cause)
        made.append(
            {
                "name": event.node,
                "cat": f"{event.node.partition(':')[0]},{event.status}",
                "ph": "X",
                "ts": round(event.started * 1e6),
                "dur": max(1, round(event.seconds * 1e6)),
                "pid": 1,
                "tid": row,
                "args": arguments,
            }
        )
    head: list[dict[str, Any]] = [{"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "dolbuild"}}]
    return json.dumps({"traceEvents": head + made, "displayTimeUnit": "ms"}, ensure_ascii=False).encode()


def write_trace(path: Path, events: Iterable[Event]) -> None:
    """Write a trace into a folder that is there. Raises OSError."""
    path.absolute().parent.stat()
    write_atomic(path.absolute(), trace(events))
