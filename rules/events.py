"""What happened to a node in a run, as reporters and logs see it."""

from dataclasses import dataclass, field
from enum import StrEnum

from dolbuild.diagnostics import Diagnostic


class Status(StrEnum):
    """How a node came to be done, or not."""

    UP_TO_DATE = "up-to-date"
    HIT = "hit"
    REMOTE_HIT = "remote-hit"
    RAN = "ran"
    FAILED = "failed"
    SKIPPED = "skipped"


DONE = (Status.HIT, Status.REMOTE_HIT, Status.RAN)
"""A node that was stale, and is done now."""


class Cause(StrEnum):
    """Why a node was not up to date."""

    NEW = "new"
    """It was never done in this workspace, or was forgotten."""
    CHANGED = "changed"
    """Its action has another key than the last time."""
    TARGET = "target"
    """A file that it makes is gone or altered."""
    FORCED = "forced"
    """Everything was asked for."""
    LOST = "lost"
    """What it does outside of the workspace is gone."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a node was not up to date; *previous* is the key of its last success."""

    cause: Cause
    previous: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """The end of a node. *started* is in seconds since the run began, *seconds* is the time that it took; *asked* says which caches did
    not know its result; *lane* is the thread that worked on it; *saved* is what a result from a cache took where it was made, in seconds."""

    node: str
    status: Status
    key: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    started: float = 0.0
    seconds: float = 0.0
    reason: Reason | None = None
    asked: tuple[str, ...] = field(default=())
    lane: int = 0
    saved: float = 0.0
