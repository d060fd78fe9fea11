"""One run of the build: is a node up to date, is its result in the store, or must it run?"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import xxhash

from dolbuild.cache.action import Result
from dolbuild.cache.digest import digest
from dolbuild.cache.store import Store
from dolbuild.diagnostics import Diagnostic, DiagnosticError, in_file
from dolbuild.files import write_atomic
from dolbuild.rules.journal import Entry, Journal
from dolbuild.rules.node import Action, Node, Plan


class Status(StrEnum):
    """How a node came to be done."""

    UP_TO_DATE = "up-to-date"
    HIT = "hit"
    RAN = "ran"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    """The end of a node, as reporters see it. *seconds* is the time that it took."""

    node: str
    status: Status
    key: str
    diagnostics: tuple[Diagnostic, ...]
    seconds: float


class Failed(Exception):
    """A node could not be done; its diagnostics say why."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(f"{len(diagnostics)} diagnostics")
        self.diagnostics = diagnostics


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


MAX_DECODED = 96 << 20
"""Bytes of artifacts that are kept decoded. Those that were not asked for longest are decoded again when they are needed."""


class _Decoded:
    """Decoded artifacts, as many as there is room for."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: str, read: Callable[[], bytes], decode: Callable[[bytes], Any]) -> Any:
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
                return found[0]
        data = read()
        value = decode(data)
        with self._lock:
            if key not in self._values:
                self._size += len(data)
            self._values[key] = (value, len(data))
            while self._size > MAX_DECODED and len(self._values) > 1:
                self._size -= self._values.popitem(last=False)[1][1]
        return value


class Session:
    """State of one run: results so far, what was read, and where results are kept.

    *cone*: the nodes that may be stale; all others are proven to be up to date and are not looked at. None: all may be.
    """

    def __init__(
        self, plan: Plan, root: Path, journal: Journal, store: Store, cone: frozenset[str] | None = None
    ) -> None:
        self.plan = plan
        self.root = root
        self.journal = journal
        self.store = store
        self.cone = cone
        self.results: dict[str, Result] = _Results(journal, self.is_proven)
        self.verified: set[str] = set()
        """Nodes that were found to be up to date, or done, in this run."""
        self.closures: dict[str, tuple[str, ...]] = {}
        """The interface nodes that a module depends on, for modules that were looked at."""
        self.contents: dict[str, str] = {}
        """A fast hash of each source that was read, by its path in the workspace."""
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] = self.events.append
        self.leave: Callable[[dict[str, int]], None] = lambda _: None
        """To be called when the run has ended, with the selections that are wholly up to date and how many nodes they have."""
        self._prefix = f"{root}{os.sep}"
        self._actions: dict[str, Action] = {}
        self.packages: dict[str, str] = {}
        """The digest of all objects of a package, for packages whose nodes are done."""
        self._values = _Decoded()
        self._blobs: dict[str, bytes] = {}
        self._lock = threading.RLock()
        self.store_problem: str | None = None
        self.journal_problem: str | None = None
        self.always = False
        self._stale: set[str] = set()

    # -- what actions are made from ----------------------------------------------------------------

    def read(self, path: Path, shown: str) -> bytes:
        """The bytes of a source file. Raises DiagnosticError where they cannot be had."""
        try:
            data = path.read_bytes()
        except OSError as error:
            message = f"this file cannot be read: {error.strerror or error}"
            raise DiagnosticError(in_file(shown, "E0705", message)) from None
        text = str(path)
        if text.startswith(self._prefix):
            self.contents[text[len(self._prefix) :]] = xxhash.xxh3_64_hexdigest(data)
        return data

    def is_proven(self, name: str) -> bool:
        """Whether a node is known to be up to date without being looked at."""
        return (
            self.cone is not None
            and name not in self.cone
            and name in self.plan.nodes
            and self.journal.entries.has(name)
        )

    def digest_of(self, node: str, artifact: str) -> str:
        """The digest of what a node that is done has made."""
        return self.results[node].outputs[artifact]

    def blob(self, node: str, artifact: str) -> bytes:
        """The bytes of an artifact; where the store has lost them, its node runs again."""
        name = self.digest_of(node, artifact)
        data = self._blobs.get(name) or self.store.read(name)
        if data is None:
            self._run(self.plan.nodes[node], self._action(self.plan.nodes[node]))
            name = self.digest_of(node, artifact)
            data = self._blobs.get(name) or self.store.read(name)
            if data is None:
                raise DiagnosticError(Diagnostic("E0801", f"the store does not keep what `{node}` makes"))
        return data

    def value(self, node: str, artifact: str, decode: Callable[[bytes], Any]) -> Any:
        """An artifact decoded; each is decoded once."""
        name = self.digest_of(node, artifact)
        return self._values.get(f"{artifact}:{name}", lambda: self.blob(node, artifact), decode)

    # -- states -----------------------------------------------------------------------------------

    def _action(self, node: Node) -> Action:
        action = self._actions.get(node.name)
        if action is None:
            action = self._actions[node.name] = node.prepare(self)
        return action

    def is_up_to_date(self, node: Node) -> bool:
        """Whether the last success of a node still stands; what it depends on is asked first."""
        if self.is_proven(node.name):
            return True
        with self._lock:
            if node.name in self.results:
                return node.name not in self._stale
            if node.name in self._stale:
                return False
            if self._stands(node):
                self.verified.add(node.name)
                return True
            self._stale.add(node.name)
            return False

    def _stands(self, node: Node) -> bool:
        for dependency in self.plan.expand(node.dependencies):
            if dependency not in self.results and not self.is_up_to_date(self.plan.nodes[dependency]):
                return False
        entry = self.journal.entries.get(node.name)
        if entry is None or set(entry.targets) != set(node.targets):
            return False
        if node.intact is not None and not node.intact():
            return False
        try:
            key = self._action(node).record.key
        except DiagnosticError:
            return False
        if key != entry.key or not all(map(self._is_intact, entry.targets.items())):
            return False
        self.results[node.name] = entry.result
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

    def execute(self, node: Node) -> Event:
        """Get a node's result from the store or by running it. Raises `Failed`."""
        with self._lock:
            started = time.perf_counter()
            try:
                action = self._action(node)
                key = action.record.key
                result = None if self.always or node.intact is not None else self.store.lookup(key)
                status = Status.HIT if result is not None else Status.RAN
                if result is not None:
                    self.results[node.name] = result
                    notes = tuple(Diagnostic.from_json(note) for note in result.notes or ())
                else:
                    notes = self._run(node, action)
                self._finish(node, key)
            except DiagnosticError as error:
                diagnostics = tuple(d.in_folder(node.shown) for d in error.diagnostics)
                elapsed = time.perf_counter() - started
                self.on_event(Event(node.name, Status.FAILED, "", diagnostics, elapsed))
                raise Failed(diagnostics) from None
            shown = tuple(d.in_folder(node.shown) for d in notes)
            self.verified.add(node.name)
            event = Event(node.name, status, key, shown, time.perf_counter() - started)
            self.on_event(event)
            return event

    def _run(self, node: Node, action: Action) -> tuple[Diagnostic, ...]:
        """Do an action and keep what it gives; gives its warnings. Raises DiagnosticError."""
        outcome = action.run()
        if outcome.failed:
            raise DiagnosticError(*outcome.diagnostics)
        notes = [diagnostic.to_json() for diagnostic in outcome.diagnostics] or None
        outputs: dict[str, str] = {}
        for artifact, data in outcome.outputs.items():
            outputs[artifact] = digest(data)
        result = Result(outputs, notes)
        self.results[node.name] = result
        try:
            for data in outcome.outputs.values():
                self.store.write(data)
            self.store.record(action.record.key, result)
        except OSError as error:
            self.store_problem = f"{error.strerror or error}"
            self._blobs.update({outputs[artifact]: data for artifact, data in outcome.outputs.items()})
        return outcome.diagnostics

    def remember(self, key: str, note: str) -> None:
        """Keep a text under the key of what it was found from; a store that cannot be written forgets it."""
        try:
            self.store.record(key, Result({}, note))
        except OSError as error:
            self.store_problem = f"{error.strerror or error}"

    def _finish(self, node: Node, key: str) -> None:
        """Write a node's targets and remember its success."""
        result = self.results[node.name]
        targets: dict[str, tuple[str, int, int]] = {}
        path = ""
        try:
            for path, artifact in node.targets.items():
                if artifact not in result.outputs:
                    continue
                full = self.root / path
                write_atomic(full, self.blob(node.name, artifact))
                stat = full.stat()
                targets[path] = (result.outputs[artifact], stat.st_mtime_ns, stat.st_size)
        except OSError as error:
            message = f"{path} cannot be written: {error.strerror or error}"
            raise DiagnosticError(Diagnostic("E0706", message)) from None
        try:
            self.journal.record(node.name, Entry(key, result, targets))
        except OSError as error:
            self.journal_problem = f"{error.strerror or error}"
