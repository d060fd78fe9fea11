"""``dolbuild lock`` and ``dolbuild update``: write ``dol.lock``."""

import sys

from dolbuild.commands.opening import Opened, WrongUsage, exclusive, flags, guarded, listed, open_workspace, root_here
from dolbuild.diagnostics import Diagnostic, DiagnosticError
from dolbuild.packages.candidate import FromRegistry
from dolbuild.packages.lockfile import LOCK_FILE, Lock, Locked
from dolbuild.packages.locking import changes
from dolbuild.packages.name import WrongName, parse_name
from dolbuild.packages.problem import WRONG_INDEX
from dolbuild.rules.external import lock_fit, read_lock, search, stale_lock, write_lock

LOCK_USAGE = "dolbuild lock [--locked] [--offline]"
UPDATE_USAGE = "dolbuild update [--offline] [PACKAGE...]"


def lock(arguments: list[str]) -> int:
    """Make the lock fit the manifests; what is locked already stays."""

    def command() -> int:
        options, rest = flags(arguments, ("--locked", "--offline"), LOCK_USAGE)
        if rest:
            raise WrongUsage(f"`lock` takes no names; {LOCK_USAGE}")
        with exclusive(root_here()), open_workspace(offline="--offline" in options) as opened:
            broken = opened.reading.problems()
            if broken:
                raise DiagnosticError(*broken)
            before = read_lock(opened.root) or Lock()
            stale = stale_lock(lock_fit(opened.reading, opened.sources, before), strict=True)
            if stale is None:
                sys.stdout.write(f"{LOCK_FILE} fits: {_count(before)}\n" if before.packages else f"{_file(before)}\n")
            elif "--locked" in options:
                raise DiagnosticError(stale)
            else:
                _write(opened, before, search(opened.reading, opened.sources, before))
        return 0

    return guarded(command)


def update(arguments: list[str]) -> int:
    """Look for newer versions of all packages, or of some."""

    def command() -> int:
        options, names = flags(arguments, ("--offline",), UPDATE_USAGE)
        with exclusive(root_here()), open_workspace(offline="--offline" in options) as opened:
            before = read_lock(opened.root) or Lock()
            dropped = {_known(name, before) for name in names} or set(before.packages)
            preferred = Lock({id_: locked for id_, locked in before.packages.items() if id_ not in dropped})
            _write(opened, before, search(opened.reading, opened.sources, preferred))
            return 0

    return guarded(command)


def _known(text: str, lock_: Lock) -> str:
    try:
        id_ = parse_name(text).id
    except WrongName as error:
        raise WrongUsage(f"`{text}`: {error}") from None
    if id_ not in lock_.packages:
        raise WrongUsage(f"{text} is not in {LOCK_FILE}; there are: {listed(lock_.packages)}")
    return id_


def _write(opened: Opened, before: Lock, after: Lock) -> None:
    for id_, locked in after.packages.items():
        was = before.packages.get(id_)
        if was is not None and _was_replaced(was, locked):
            message = f"{locked.name} {locked.version} was published once more with other contents"
            hint = f"ask whoever keeps the registry; to take it all the same, remove its line from {LOCK_FILE}"
            raise DiagnosticError(Diagnostic(WRONG_INDEX, message, hint=hint))
    write_lock(opened.root, after)
    report(before, after)


def _was_replaced(was: Locked, now: Locked) -> bool:
    """Whether a registry has other contents under the version that was locked."""
    match was.origin, now.origin:
        case FromRegistry(registry=before, sha256=old), FromRegistry(registry=after, sha256=new):
            return (was.version, before) == (now.version, after) and old != new
        case _:
            return False


def report(before: Lock, after: Lock) -> None:
    """Say what a new lock has that the old one had not."""
    for change in changes(before, after):
        sys.stdout.write(f"  {change.sign} {change.text}\n")
    for locked in after.packages.values():
        if isinstance(locked.origin, FromRegistry) and locked.origin.yanked:
            sys.stderr.write(f"warning: {locked.name} {locked.version} was yanked; `dolbuild update {locked.name}`\n")
    sys.stdout.write(f"{_file(after)}: {_count(after)}\n")


def _file(lock_: Lock) -> str:
    return LOCK_FILE if lock_.packages else f"no {LOCK_FILE} is needed"


def _count(lock_: Lock) -> str:
    count = len(lock_.packages)
    return f"{count} package{'' if count == 1 else 's'} from elsewhere"
