"""``dolbuild lock`` and ``dolbuild update``: write ``dol.lock``."""

import sys

from dolbuild.commands.opening import Opened, WrongUsage, flags, guarded, listed, open_workspace
from dolbuild.diagnostics import DiagnosticError
from dolbuild.packages.candidate import FromRegistry
from dolbuild.packages.lockfile import LOCK_FILE, Lock
from dolbuild.packages.locking import changes
from dolbuild.packages.name import WrongName, parse_name
from dolbuild.rules.external import lock_fit, read_lock, search, stale_lock, write_lock

LOCK_USAGE = "dolbuild lock [--locked] [--offline]"
UPDATE_USAGE = "dolbuild update [--offline] [PACKAGE...]"


def lock(arguments: list[str]) -> int:
    """Make the lock fit the manifests; what is locked already stays."""

    def command() -> int:
        options, rest = flags(arguments, ("--locked", "--offline"), LOCK_USAGE)
        if rest:
            raise WrongUsage(f"`lock` takes no names; {LOCK_USAGE}")
        with open_workspace(offline="--offline" in options) as opened:
            before = read_lock(opened.root)
            found = lock_fit(opened.reading, opened.sources, before or Lock())
            stale = stale_lock(found, strict=True)
            if stale is None:
                sys.stdout.write(f"{_file(before or Lock())} fits: {_count(before or Lock())}\n")
                return 0
            if "--locked" in options:
                raise DiagnosticError(stale)
            _write(opened, before or Lock(), search(opened.reading, opened.sources, before or Lock()))
            return 0

    return guarded(command)


def update(arguments: list[str]) -> int:
    """Look for newer versions of all packages, or of some."""

    def command() -> int:
        options, names = flags(arguments, ("--offline",), UPDATE_USAGE)
        with open_workspace(offline="--offline" in options) as opened:
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
    write_lock(opened.root, after)
    report(before, after)


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
