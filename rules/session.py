"""One run of the build: is a node up to date, does a cache know its result, or must it run?

Nodes that do not wait for each other are done in several threads at once. Each node is looked at and done by one thread only;
what threads share are dictionaries that grow, and a few places that have locks.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from dolbuild.cache.action import Result
from dolbuild.cache.digest import Digest, digest
from dolbuild.cache.tiered import Cache, Found, Origin
from dolbuild.deep import deeply
from dolbuild.diagnostics import Diagnostic, DiagnosticError, in_file
from dolbuild.files import read_whole, write_atomic
from dolbuild.rules.events import Cause, Event, Reason, Status
from dolbuild.rules.jobs import Job, Missing, Objects, Outcome, Ref
from dolbuild.rules.journal import Entry, Journal
from dolbuild.rules.lru import Recent
from dolbuild.rules.node import Action, Node, Plan

__all__ = ["Event", "Failed", "Session", "Status"]


class Failed(Exception):
    """A node could not be done; its diagnostics say why."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(f"{len(diagnostics)} diagnostics")
        self.diagnostics = diagnostics


class Trace(NamedTuple):
    """What it took to find the symbols of a link: its key, what it was made from beside objects, and the nodes of the objects that were
    opened, with the digests of these."""

    key: str
    described: str
    opened: tuple[tuple[str, str], ...]


class _Results(dict[str, Result]):
    """Results by node. Those of nodes that are *proven* come out of the journal when someone asks."""

    def __init__(self, journal: Journal, is_proven: Callable[[str], bool]) -> None:
        super().__init__()
        self._journal = journal
        self._is_proven = is_proven

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and self._is_proven(name))

    def __missing__(self, name: str) -> Result:
        if not self._is_proven(name):
            raise KeyError(name)
        entry = self._journal.entries.get(name)
        if entry is None:
            hint = "remove the folder .dolbuild; what was built is still in the store"
            raise DiagnosticError(Diagnostic("E0801", f"the journal's line of `{name}` is damaged", hint=hint))
        result = self[name] = entry.result
        return result

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - this is what `get` is


MAX_DECODED = 24 << 20
"""Bytes of artifacts that are kept decoded (each takes about ten times as much). Those that were not asked for longest are decoded
again when they are needed."""

MAX_LINKABLES = 4
"""Links whose symbols have been found and that wait to be finished."""


FINAL, ALL, NONE = "final", "all", "none"
"""What is fetched of results that a remote knows: what is built, everything, or what is needed to go on."""


class Session:
    """State of one run: results so far, what was read, and where results are kept.

    *cone*: the nodes that may be stale; all others are proven to be up to date and are not looked at. None: all may be.
    """

    def __init__(
        self, plan: Plan, root: Path, journal: Journal, cache: Cache, cone: frozenset[str] | None = None
    ) -> None:
        self.plan = plan
        self.root = root
        self.journal = journal
        self.cache = cache
        self.cone = cone
        self.results: dict[str, Result] = _Results(journal, self.is_proven)
        self.verified: set[str] = set()
        """Nodes that were found to be up to date, or done, in this run."""
        self.closures: dict[str, tuple[str, ...]] = {}
        """The interface nodes that a module depends on, for modules that were looked at."""
        self.contents: dict[str, str] = {}
        """A fast hash of each source that was read, by its path in the workspace."""
        self.written: set[str] = set()
        """Targets that were written in this run."""
        self.objects: dict[str, Objects] = {}
        """The objects of each package whose nodes are done, by its id."""
        self.totals: dict[str, int] = {}
        """How many nodes were counted for selections, as long as the graph has the same shape."""
        self.traces: dict[str, Trace] = {}
        """What is known of links, by name, as long as the graph has the same shape."""
        self.known_objects: dict[str, str] = {}
        """The digest of the objects of packages that have not changed, by id."""
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] = self.events.append
        self.on_begin: Callable[[str, int], None] = lambda *_: None
        """Told of a node that is not known to be up to date, and of the thread that works on it, before it is looked up or run."""
        self.leave: Callable[[dict[str, int]], None] = lambda _: None
        """To be called when the run has ended, with the selections that are wholly up to date and how many nodes they have."""
        self.always = False
        self.deferred = False
        """Whether the question if a node is up to date is answered when it is executed, by many threads, instead of before, by one."""
        self.download = FINAL
        self.run_elsewhere: Callable[[Job, str], Outcome] | None = None
        """Runs jobs in other processes, if there are any; its second argument says which jobs belong together. Raises Missing."""
        self.on_close: Callable[[], None] = lambda: None
        self.began = time.perf_counter()
        self.journal_problem: str | None = None
        self._run_id = time.time_ns()
        self._prefix = f"{root}{os.sep}"
        self._actions: dict[str, Action] = {}
        self._reasons: dict[str, Reason] = {}
        self._stale: set[str] = set()
        self._settled: set[str] = set()
        """Nodes and groups that have all their results."""
        self._values = Recent(MAX_DECODED)
        self._linkables = Recent(MAX_LINKABLES)
        self._working = threading.RLock()
        """Held while a job runs in this process, since the compiler is not made for several threads, and while something is made again. It is
        the only lock under which others are waited for, and is taken inside of `deeply`, which may change the thread."""
        self._telling = threading.Lock()

    # -- what actions are made from ----------------------------------------------------------------

    def read(self, path: Path, shown: str) -> bytes:
        """The bytes of a source file. Raises DiagnosticError where they cannot be had."""
        text = str(path)
        try:
            data = read_whole(text)
        except OSError as error:
            message = f"this file cannot be read: {error.strerror or error}"
            raise DiagnosticError(in_file(shown, "E0705", message)) from None
        if text.startswith(self._prefix):
            name, found = text[len(self._prefix) :], xxhash.xxh3_64_hexdigest(data)
            # a file that was edited between two looks is not known to be as any of them saw it
            self.contents[name] = found if self.contents.get(name, found) == found else ""
        return data

    def is_proven(self, name: str) -> bool:
        """Whether a node is known to be up to date without being looked at."""
        return (
            self.cone is not None
            and name not in self.cone
            and name in self.plan.nodes
            and self.journal.entries.has(name)
        )

    def count(self, names: Iterable[str]) -> int:
        """How many nodes are meant by names, with all that they depend on."""
        key = " ".join(names)
        if key not in self.totals:
            self.totals[key] = len(self.plan.reached(key.split()))
        return self.totals[key]

    def ref(self, node: str, artifact: str) -> Ref:
        """An artifact of a node that is done."""
        return Ref(node, artifact, self.results[node].outputs[artifact])

    def blob(self, ref: Ref) -> bytes:
        """The bytes of an artifact; where no cache has them any more, its node runs again."""
        data = self.cache.read(ref.digest)
        if data is None:
            data = self._make_again(ref)
        return data

    def value(self, node: str, artifact: str, decode: Callable[[bytes], Any]) -> Any:
        """An artifact of a node that is done, decoded."""
        return self._value(self.ref(node, artifact), decode)

    def _value(self, ref: Ref, decode: Callable[[bytes], Any]) -> Any:
        key = f"{ref.artifact}:{ref.digest.hash}"
        found = self._values.get(key)
        if found is None:
            if self.cache.remote is not None and not self.cache.has(ref.digest):
                self._bring(ref)
            data = self.blob(ref)
            try:
                found = decode(data)
            except Exception:  # a cache may be believed that has garbage under its right name
                found = decode(self._make_again(ref))
            self._values.put(key, found, ref.digest.size)
        return found

    def _make_again(self, ref: Ref) -> bytes:
        """Run the node of an artifact that is lost. Raises DiagnosticError."""
        return deeply(lambda: self._make_again_here(ref))

    def _make_again_here(self, ref: Ref) -> bytes:
        node = self.plan.nodes[ref.node]
        with self._working:
            self._run(node, self.action(node))
            made = self.results[ref.node].outputs.get(ref.artifact)
            data = None if made is None else self.cache.read_local(made)
        if data is None:
            raise DiagnosticError(Diagnostic("E0801", f"the store does not keep what `{ref.node}` makes"))
        return data

    # -- jobs --------------------------------------------------------------------------------------

    def run_job(self, job: Job, hint: str = "") -> Outcome:
        """Run a job, in another process where there is one. *hint*: jobs with the same one belong together."""
        if self.run_elsewhere is not None:
            brought: set[Digest] = set()
            while True:
                try:
                    return self.run_elsewhere(job, hint)
                except Missing as missing:
                    if missing.ref.digest in brought:
                        break  # the store does not keep it: only this process has it
                    self._bring(missing.ref)
                    brought.add(missing.ref.digest)
        return deeply(lambda: self._run_here(job))

    def _run_here(self, job: Job) -> Outcome:
        with self._working:
            started = time.perf_counter()
            outcome = job.run(_Here(self))
            return replace(outcome, seconds=time.perf_counter() - started)

    def _bring(self, ref: Ref) -> None:
        """Get an artifact into the local store, and with it the same of the other modules of its package, which are likely to be
        needed next."""
        package = ref.node.rpartition("/")[0] + "/"
        others = [
            result.outputs[ref.artifact]
            for name, result in list(self.results.items())
            if name.startswith(package) and ref.artifact in result.outputs
        ]
        self.cache.bring(dict.fromkeys((ref.digest, *others)))
        if not self.cache.has(ref.digest):
            self._make_again(ref)

    # -- states -----------------------------------------------------------------------------------

    def action(self, node: Node) -> Action:
        """The action of a node whose dependencies are done. Raises DiagnosticError."""
        action = self._actions.get(node.name)
        if action is None:
            action = self._actions[node.name] = node.prepare(self)
        return action

    def is_up_to_date(self, node: Node) -> bool:
        """Whether the last success of a node still stands; what it depends on is asked first."""
        if self.is_proven(node.name):
            return True
        if node.name in self.results:
            return node.name not in self._stale
        if node.name in self._stale or self.deferred:
            return False
        if self._stands(node):
            self.verified.add(node.name)
            return True
        self._stale.add(node.name)
        return False

    def stale_roots(self, name: str) -> set[str]:
        """The stale nodes below a node that depend on no other stale one."""
        below = [n for n in self.plan.reached([name]) if n != name and not self.is_up_to_date(self.plan.nodes[n])]
        return {n for n in below if all(map(self.is_up_to_date, map(self.plan.nodes.__getitem__,
                self.plan.expand(self.plan.nodes[n].dependencies))))}  # fmt: skip

    def _stands(self, node: Node) -> bool:
        entry = self.journal.entries.get(node.name)
        if entry is None or set(entry.targets) != set(node.targets):
            return False
        for dependency in node.dependencies:
            if dependency not in self._settled and not self._is_settled(dependency):
                return False
        if node.intact is not None and not node.intact():
            self._reasons[node.name] = Reason(Cause.LOST, entry.key)
            return False
        try:
            key = self.action(node).record.key
        except DiagnosticError:
            return False
        if key != entry.key or not all(map(self._is_intact, entry.targets.items())):
            return False
        self.results[node.name] = entry.result
        return True

    def _is_settled(self, name: str) -> bool:
        """Whether a node, or all nodes of a group, are done; a group that is settled need not be walked through again."""
        if name in self.plan.groups:
            for one in self.plan.groups[name].nodes:
                if one not in self._settled and not self._is_settled(one):
                    return False
        elif name not in self.results and not self.is_up_to_date(self.plan.nodes[name]):
            return False
        self._settled.add(name)
        return True

    def _is_intact(self, target: tuple[str, tuple[str, int, int]]) -> bool:
        """Whether a target is as it was written; its bytes are read only where its stat has changed."""
        path, (name, modified, size) = target
        try:
            stat = os.stat(self.root / path)
            if stat.st_size != size:
                return False
            if stat.st_mtime_ns == modified:
                return True
            return digest((self.root / path).read_bytes()) == name
        except OSError:
            return False

    def _reason(self, node: Node, key: str) -> Reason:
        entry = self.journal.entries.get(node.name)
        previous = entry.key if entry is not None else ""
        if self.always:
            return Reason(Cause.FORCED, previous)
        if entry is None:
            return Reason(Cause.NEW)
        if key != previous:
            return Reason(Cause.CHANGED, previous)
        return self._reasons.get(node.name) or Reason(Cause.TARGET, previous)

    # -- doing nodes -------------------------------------------------------------------------------

    def execute(self, node: Node) -> Event:
        """Get a node's result from a cache or by running it. Raises `Failed`."""
        started = time.perf_counter()
        lane = threading.get_ident()
        key, reason = "", None
        asked: tuple[str, ...] = ()
        if self.deferred and not self.always and self._stands(node):
            self.verified.add(node.name)
            event = Event(node.name, Status.UP_TO_DATE)
            self._tell(event)
            return event
        with self._telling:
            self.on_begin(node.name, lane)
        try:
            action = self.action(node)
            key = action.record.key
            reason = self._reason(node, key)
            found = None if self.always or node.intact is not None else self._lookup(node, action)
            if found is None and not self.always and node.intact is None:
                asked = (Origin.LOCAL,) if self.cache.remote is None else (Origin.LOCAL, Origin.REMOTE)
            if found is None:
                status, notes = Status.RAN, self._run(node, action)
            else:
                status = Status.HIT if found.origin is Origin.LOCAL else Status.REMOTE_HIT
                self.results[node.name] = found.result
                notes = _diagnostics(found.result)
            before = self.journal.entries.get(node.name)
            runs = (self._run_id, before.run if before is not None else 0)
            self._finish(node, Entry(key, self.results[node.name], {}, reason.previous, status, *runs))
        except DiagnosticError as error:
            diagnostics = tuple(d.in_folder(node.shown) for d in error.diagnostics)
            elapsed = time.perf_counter() - started
            self._tell(
                Event(node.name, Status.FAILED, key, diagnostics, started - self.began, elapsed, reason, asked, lane)
            )
            raise Failed(diagnostics) from None
        shown = tuple(d.in_folder(node.shown) for d in notes)
        elapsed = time.perf_counter() - started
        saved = self.results[node.name].seconds if found is not None else 0.0
        event = Event(node.name, status, key, shown, started - self.began, elapsed, reason, asked, lane, saved)
        self._tell(event)
        return event

    def _tell(self, event: Event) -> None:
        with self._telling:
            self.on_event(event)

    def _lookup(self, node: Node, action: Action) -> Found | None:
        """A result that a cache knows and that can be used: it has what the action makes, and what is wanted of it can be had."""
        found = self.cache.lookup(action.record, action.inline)
        if found is None or not found.result.has_outputs(action.outputs):
            return None
        try:
            _diagnostics(found.result)
        except (KeyError, TypeError, AttributeError, ValueError):
            return None
        if found.origin is Origin.REMOTE:
            self.cache.keep_record(action.record)
            outputs = found.result.outputs
            wanted: Iterable[Digest] = ()
            if self.download == ALL:
                wanted = outputs.values()
            elif self.download == FINAL:
                wanted = [outputs[artifact] for artifact in node.targets.values()]
            if not self.cache.bring(wanted):
                return None
            self.cache.adopt(action.record.key, found.result)
        return found

    def _run(self, node: Node, action: Action) -> tuple[Diagnostic, ...]:
        """Do an action and keep what it gives; gives its warnings. Raises DiagnosticError."""
        started = time.perf_counter()
        outcome = action.run()
        seconds = outcome.seconds or time.perf_counter() - started
        if outcome.failed:
            raise DiagnosticError(*outcome.diagnostics)
        notes = [diagnostic.to_json() for diagnostic in outcome.diagnostics] or None
        outputs = outcome.stored or self.cache.keep_blobs(outcome.outputs)
        result = self.cache.publish(action.record, Result(outputs, notes, seconds=seconds), action.inline)
        self.results[node.name] = result
        return outcome.diagnostics

    def _finish(self, node: Node, entry: Entry) -> None:
        """Write a node's targets and remember its success."""
        targets: dict[str, tuple[str, int, int]] = {}
        path = ""
        try:
            for path, artifact in node.targets.items():
                if self.download == NONE and not self.cache.has(entry.result.outputs[artifact]):
                    continue
                full = self.root / path
                write_atomic(full, self.blob(self.ref(node.name, artifact)))
                stat = full.stat()
                self.written.add(path)
                targets[path] = (self.results[node.name].outputs[artifact].hash, stat.st_mtime_ns, stat.st_size)
        except OSError as error:
            message = f"{path} cannot be written: {error.strerror or error}"
            raise DiagnosticError(Diagnostic("E0706", message)) from None
        if len(targets) == len(node.targets):
            self.verified.add(node.name)
        try:
            self.journal.record(node.name, entry.with_targets(self.results[node.name], targets))
        except OSError as error:
            self.journal_problem = f"{error.strerror or error}"

    def close(self) -> None:
        """End the run: wait for uploads within their bounds, and close connections."""
        if self.download == ALL:
            self._bring_all()
        for step in (self.cache.close, self.journal.close, self.on_close):
            with suppress(OSError):
                step()

    def _bring_all(self) -> None:
        """Fetch the artifacts of all nodes that are up to date, and keep their results in the store: for work without a network."""
        entries = [
            entry
            for name in self.plan.nodes
            if (name in self.verified or self.is_proven(name)) and (entry := self.journal.entries.get(name)) is not None
        ]
        self.cache.bring(found for entry in entries for found in entry.result.outputs.values())
        for entry in entries:
            self.cache.adopt(entry.key, entry.result)


class _Here:
    """What a job that runs in this process may ask for."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def value(self, ref: Ref, decode: Callable[[bytes], Any]) -> Any:
        return self.session._value(ref, decode)

    def kept(self, key: str, make: Callable[[], Any]) -> Any:
        found = self.session._linkables.get(key)
        if found is None:
            found = make()
            self.session._linkables.put(key, found, 1)
        return found


def _diagnostics(result: Result) -> tuple[Diagnostic, ...]:
    return tuple(Diagnostic.from_json(note) for note in result.notes or ())
