"""Packages from elsewhere: their lock, and a node for each that fetches it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dolbuild.cache.action import Record
from dolbuild.diagnostics import Diagnostic, DiagnosticError, in_file
from dolbuild.files import write_atomic
from dolbuild.packages.candidate import FromGit, FromHttps
from dolbuild.packages.catalogue import WorkspaceCatalogue
from dolbuild.packages.download import Downloader
from dolbuild.packages.fetch import FILE_MODULE, Sources, digest_of, fetch, is_fetched, manifest_of, place_of
from dolbuild.packages.git import Git
from dolbuild.packages.lockfile import LOCK_FILE, Lock, Locked, WrongLock, decode, encode
from dolbuild.packages.locking import Fit, fit, make_lock, version_text
from dolbuild.packages.manifest import SPIRIT_FILE, Manifest
from dolbuild.packages.package import Package, modules_of
from dolbuild.packages.problem import UNREACHABLE, problem
from dolbuild.packages.registry import Registries, trim
from dolbuild.rules.jobs import Outcome
from dolbuild.rules.node import Action, Node
from dolbuild.rules.reading import Reading
from dolbuild.rules.session import Session
from dolbuild.rules.tool import tool_digest
from dolbuild.source import Place
from dolbuild.workspace import Workspace

FETCH_VERSION = 1
_WORKERS = 8
MAX_REASONS = 8
"""Reasons why a lock is stale that are shown."""


def open_sources(workspace: Workspace, home: Path, environment: Mapping[str, str], *, offline: bool = False) -> Sources:
    """Where the packages of a workspace come from. Nothing is asked yet."""
    settings = workspace.settings
    downloader = Downloader(offline=offline, environment=environment)
    registries = Registries(
        settings.registries, settings.organisation, workspace.root, home / "cache", downloader, environment
    )
    git = Git(home / "git" / "repositories", offline=offline, environment=environment)
    return Sources(home, workspace.root / settings.vendor, registries, git, downloader)


# -- the lock --------------------------------------------------------------------------------------


def read_lock(root: Path) -> Lock | None:
    """The lock of a workspace, or None where there is none. Raises DiagnosticError."""
    path = root / LOCK_FILE
    try:
        return decode(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return None
    except WrongLock as error:
        place = Place(LOCK_FILE, error.line, 1, error.line, 1)
        hint = "take one side of it and run `dolbuild lock`, or `dolbuild update` to make it anew"
        raise DiagnosticError(Diagnostic("E1002", f"this lock cannot be used: {error}", place, hint=hint)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DiagnosticError(in_file(LOCK_FILE, "E0705", f"this file cannot be read: {error}")) from None


def write_lock(root: Path, lock: Lock) -> None:
    """Write the lock of a workspace; one without packages is removed. Raises DiagnosticError."""
    path = root / LOCK_FILE
    try:
        if lock.packages:
            write_atomic(path, encode(lock).encode())
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DiagnosticError(in_file(LOCK_FILE, "E0706", f"it cannot be written: {error.strerror or error}")) from None


def search(reading: Reading, sources: Sources, preferred: Lock) -> Lock:
    """A new lock for the workspace. Where a manifest cannot be read, what it requires is not known, and no lock is made. Raises
    DiagnosticError."""
    broken = reading.problems()
    if broken:
        raise DiagnosticError(*broken)
    catalogue = WorkspaceCatalogue(reading.members, sources, preferred)
    try:
        return make_lock(reading.asked(sources.registries), catalogue)
    finally:
        catalogue.close()
        trim(sources.registries.cache)


def lock_fit(reading: Reading, sources: Sources, lock: Lock) -> Fit:
    """How a lock fits the workspace."""
    found = fit(lock, reading.asked(sources.registries), reading.members, sources.registries)
    return Fit((*found.stale, *_altered(lock, sources.home)), found.unused)


def _altered(lock: Lock, home: Path) -> list[str]:
    """What the lock says of packages that are here, and that they do not say themselves."""
    found: list[str] = []
    for locked in lock.packages.values():
        if isinstance(locked.origin, FromHttps) or not is_fetched(locked, home):
            continue
        manifest = manifest_of({SPIRIT_FILE: (place_of(locked, home) / SPIRIT_FILE).read_bytes()}, str(locked.name))
        said = {(name.id, str(wanted)) for name, wanted in locked.requires}
        if manifest.version != locked.version or said != {(one.name.id, str(one.wanted)) for one in manifest.requires}:
            found.append(f"{locked.name} {version_text(locked)} says otherwise of itself")
    return found


def stale_lock(found: Fit, *, strict: bool) -> Diagnostic | None:
    """What is to be said of a lock that does not fit; None where it does. *strict*: nothing may be in it that no one needs."""
    reasons = [*found.stale, *(f"no one requires {id_} any more" for id_ in found.unused if strict)]
    if not reasons:
        return None
    notes = tuple(reasons[:MAX_REASONS])
    if len(reasons) > MAX_REASONS:
        notes += (f"and {len(reasons) - MAX_REASONS} more",)
    place = Place(LOCK_FILE, 1, 1, 1, 1)
    hint = "run `dolbuild lock`, and commit what it writes"
    return Diagnostic("E1002", "the lock does not fit the manifests", place, hint=hint, notes=notes)


def lock_for_build(reading: Reading, sources: Sources, *, locked: bool, tell: Callable[[str], None]) -> Lock:
    """The lock that a build goes by. A build writes one only where there is none yet. Raises DiagnosticError."""
    root = reading.workspace.root
    lock = read_lock(root)
    if reading.problems() and not locked:
        return lock or Lock()  # the manifests' own nodes say what is wrong with them
    found = lock_fit(reading, sources, lock or Lock())
    if lock is None and found.stale and not locked:
        lock = search(reading, sources, Lock())
        write_lock(root, lock)
        count = len(lock.packages)
        tell(f"wrote {LOCK_FILE}: {count} package{'' if count == 1 else 's'}; keep it under version control")
        return lock
    stale = stale_lock(found, strict=locked)
    if stale is not None:
        raise DiagnosticError(stale)
    return lock or Lock()


# -- nodes -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Externals:
    """The packages from elsewhere in one run."""

    lock: Lock
    sources: Sources
    fetched: set[str] = field(default_factory=set)
    """Ids of packages that were fetched in this run."""
    failed: dict[str, DiagnosticError] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch_all(self, tell: Callable[[str], None]) -> None:
        """Fetch what is missing, several at a time; what fails is remembered for its node."""
        missing = [locked for locked in self.lock.packages.values() if not is_fetched(locked, self.sources.home)]
        if not missing:
            return
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(_WORKERS)
        try:
            for done in [pool.submit(self._fetch, locked, tell) for locked in missing]:
                done.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _fetch(self, locked: Locked, tell: Callable[[str], None]) -> None:
        tell(f"fetching {locked.name} {version_text(locked)}".rstrip())
        try:
            fetch(locked, self.sources)
        except DiagnosticError as error:
            with self._lock:
                self.failed[locked.id] = error
        except OSError as error:
            message = f"{locked.name} cannot be stored in {self.sources.home}: {error.strerror or error}"
            with self._lock:
                self.failed[locked.id] = problem(UNREACHABLE, message)
        else:
            with self._lock:
                self.fetched.add(locked.id)

    def folders(self) -> list[Path]:
        """The trees of all packages."""
        return [place_of(locked, self.sources.home) for locked in self.lock.packages.values()]

    def manifest(self, locked: Locked) -> Manifest:
        """The manifest of a package; where it is not here, what the lock knows of it."""
        if isinstance(locked.origin, FromHttps):
            return Manifest(locked.name.text, "0.0.0", FILE_MODULE)
        folder = place_of(locked, self.sources.home)
        try:
            return manifest_of({"Spirit.dol": (folder / "Spirit.dol").read_bytes()}, str(locked.name))
        except (OSError, DiagnosticError):
            return Manifest(locked.name.text, locked.version)

    def package(self, locked: Locked, manifest: Manifest) -> Package:
        """The package, with the modules that are here."""
        here = locked.id not in self.failed
        folder = place_of(locked, self.sources.home)
        requires = {name.text: name.id for name, _ in locked.requires}
        shown = f"{locked.name}@{version_text(locked)}" if locked.version else str(locked.name)
        modules = modules_of(folder) if here else {}
        return Package(
            locked.id, locked.id, folder, shown, manifest, modules, requires=requires, fetched_by=fetch_name(locked)
        )

    def node(self, locked: Locked) -> Node:
        """``fetch:<package>@<version>``: from the entry of the lock."""

        def prepare(session: Session) -> Action:
            record = Record("fetch", FETCH_VERSION, tool_digest(), {"package": locked.id}, {"tree": digest_of(locked)})

            def run() -> Outcome:
                failure = self.failed.get(locked.id)
                if failure is not None:
                    raise failure
                fetch(locked, self.sources)
                return Outcome()

            return Action(record, run)

        def intact() -> bool:
            return locked.id not in self.fetched and is_fetched(locked, self.sources.home)

        doc = f"fetches {locked.name}"
        return Node(fetch_name(locked), doc, prepare, intact=intact)


def fetch_name(locked: Locked) -> str:
    """The name of the node that fetches a package."""
    match locked.origin:
        case FromGit(commit=commit):
            return f"fetch:{locked.id}@{commit[:10]}"
        case FromHttps():
            return f"fetch:{locked.id}"
        case _:
            return f"fetch:{locked.id}@{locked.version}"
