"""When a remote is left alone: a remote is never a reason to fail or to hang."""

import threading
from collections.abc import Callable
from typing import TypeVar

from dolbuild.cache.remote.backend import RemoteError

T = TypeVar("T")

ERRORS = 3
"""Faults in a row after which a remote is not asked again in this run. One that is silent is not asked again at all, since each
time costs the whole of the time limit."""

MANY = 10
"""Faults with answers between them after which it is not asked again either."""


class Breaker:
    """Stands before one remote for one run. Several threads may be waiting when it breaks; none begins to wait after that."""

    def __init__(self, label: str, then: "Breaker | None" = None) -> None:
        self.label = label
        self.then = then
        """What is broken as well when this is."""
        self.broken = False
        self.faults = 0
        self.reason = ""
        """The first fault."""
        self._row = 0
        self._lock = threading.Lock()

    def call(self, work: Callable[[], T], otherwise: T) -> T:
        """What *work* gives; *otherwise* where it fails, or is not tried any more."""
        if self.broken:
            return otherwise
        try:
            found = work()
        except RemoteError as error:
            self.fault(str(error), at_once=error.late or error.refused)
            return otherwise
        except Exception as error:  # whatever a library raises, a remote is no reason to fail
            self.fault(f"{type(error).__name__}: {error}")
            return otherwise
        self._row = 0
        return found

    def fault(self, reason: str, *, at_once: bool = False) -> None:
        """Take in a fault."""
        with self._lock:
            self.faults += 1
            self._row += 1
            if not self.reason:
                self.reason = reason
            if at_once or self._row >= ERRORS or self.faults >= MANY:
                self.broken = True
                if self.then is not None:
                    self.then.broken = True

    def story(self) -> str:
        """One line on what went wrong; empty where nothing did."""
        if not self.faults:
            return ""
        reason = "".join(c if c.isprintable() else " " for c in self.reason)  # some of it is what the server said
        if self.broken:
            return f"{self.label} was not used: {reason}"
        times = "once" if self.faults == 1 else f"{self.faults} times"
        return f"{self.label} failed {times}: {reason}"
