"""Warm processes that run jobs, so that a build uses every core."""

import io
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO, cast

from dolbuild.diagnostics import Diagnostic, DiagnosticError
from dolbuild.rules.jobs import Job, Missing, Outcome
from dolbuild.rules.worker import CRASHED, MISSING, Packer, read_message, write_message

ATTEMPTS = 2
"""How often a job is given to a process that then ends without an answer."""


class Crashed(Exception):
    """A fault of the tool in another process; the text is its traceback."""


class _Worker:
    """One process. It is started when its first job comes."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.hint = ""
        self.sent: set[str] = set()
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, job: Job) -> tuple[str, object]:
        """The answer to a request. Raises OSError and EOFError where the process has ended."""
        if self.process is None:
            self.sent.clear()
            # -P: the workspace is the current folder, and none of its files may be taken for a module of Python
            self.process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-P", "-m", "dolbuild.rules.worker", str(self.store)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        request = io.BytesIO()
        Packer(request, self.sent).dump(job)
        write_message(cast(BinaryIO, self.process.stdin), request.getvalue())
        answer = read_message(cast(BinaryIO, self.process.stdout))
        if answer is None:
            raise EOFError
        kind, value = pickle.loads(answer)  # noqa: S301 - from our own child
        return kind, value

    def end(self) -> str:
        """End the process; gives how it ended where it already had."""
        process, self.process = self.process, None
        if process is None:
            return ""
        status = process.poll()
        if status is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                pass  # it has gone
        return (
            "" if status is None else f"it was ended by signal {-status}" if status < 0 else f"it ended with {status}"
        )


class Pool:
    """As many processes as there are cores, for one run. A process that ends is an error of its action, never a wait."""

    def __init__(self, store: Path, size: int) -> None:
        self.size = size
        self._idle = [_Worker(store) for _ in range(size)]
        self._all = list(self._idle)
        self._changed = threading.Condition()
        self._closed = False

    def run(self, job: Job, hint: str) -> Outcome:
        """Run a job where others with its hint were run, if that process is free. Raises Missing, Crashed and DiagnosticError."""
        worker = self._take(hint)
        try:
            kind, value = self._ask(worker, job)
        finally:
            with self._changed:
                self._idle.append(worker)
                self._changed.notify()
        if kind == MISSING:
            raise Missing(value)  # type: ignore[arg-type]
        if kind == CRASHED:
            raise Crashed(str(value))
        assert isinstance(value, Outcome)
        return value

    def _take(self, hint: str) -> _Worker:
        with self._changed:
            while not self._idle:
                self._changed.wait()
            chosen = next((one for one in self._idle if hint and one.hint == hint), None)
            if chosen is None:  # one that runs already, the last one that was used first
                chosen = next((one for one in reversed(self._idle) if one.process is not None), self._idle[-1])
            self._idle.remove(chosen)
            chosen.hint = hint
            return chosen

    def _ask(self, worker: _Worker, job: Job) -> tuple[str, object]:
        story = ""
        for _ in range(ATTEMPTS):
            if self._closed:
                story = "the build is over"
                break
            try:
                return worker.ask(job)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                story = worker.end() or str(error) or "it gave no answer"
        hint = "if the machine has run out of memory, build with fewer processes: -n 1"
        raise DiagnosticError(Diagnostic("E0807", f"the process that did this twice has ended: {story}", hint=hint))

    def close(self) -> None:
        """End all processes; none is started after that."""
        self._closed = True
        for worker in self._all:
            worker.end()


def cores() -> int:
    """How many processes may run at once on this machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
