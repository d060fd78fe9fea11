"""``dolbuild vendor``: a copy of every package from elsewhere in the workspace, for building without any network."""

import shutil
import sys
import tempfile
from pathlib import Path

from dolbuild.commands.opening import Opened, WrongUsage, exclusive, flags, guarded, open_workspace, root_here, tell
from dolbuild.diagnostics import DiagnosticError, in_file
from dolbuild.files import PREFIX
from dolbuild.packages.fetch import fetch, vendored_name
from dolbuild.packages.lockfile import Lock
from dolbuild.rules.external import lock_for_build

USAGE_LINE = "dolbuild vendor [--locked] [--offline]"


MARKER = ".dolbuild-vendor"
"""The file that tells a folder of ours from one of another tool."""


def run(arguments: list[str]) -> int:
    """Make the folder of vendored packages anew."""

    def command() -> int:
        options, rest = flags(arguments, ("--locked", "--offline"), USAGE_LINE)
        if rest:
            raise WrongUsage(f"`vendor` takes no names; the setting `vendor` names the folder; {USAGE_LINE}")
        with exclusive(root_here()), open_workspace(offline="--offline" in options) as opened:
            _check_place(opened)
            lock = lock_for_build(opened.reading, opened.sources, locked="--locked" in options, tell=tell)
            _write(opened, lock)
        count = len(lock.packages)
        name = opened.reading.workspace.settings.vendor
        plural = "" if count == 1 else "s"
        sys.stdout.write(f"{name}/ holds {count} package{plural}\n" if count else "nothing to vendor\n")
        return 0

    return guarded(command)


def _check_place(opened: Opened) -> None:
    """Refuse a folder that is not ours, or not in the workspace. Raises DiagnosticError."""
    folder = opened.sources.vendor
    name = opened.reading.workspace.settings.vendor
    if not folder.parent.resolve().is_relative_to(opened.root.resolve()) or folder.is_symlink():
        raise DiagnosticError(in_file(name, "E0706", "a link leads out of the workspace"))
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        hint = "choose another one with the setting `vendor`, or remove it"
        raise DiagnosticError(
            in_file(name, "E0706", "this folder holds something that dolbuild did not put there", hint)
        )


def _write(opened: Opened, lock: Lock) -> None:
    folder = opened.sources.vendor
    work = Path(tempfile.mkdtemp(dir=opened.root, prefix=PREFIX))
    try:
        (work / "new").mkdir()
        (work / "new" / MARKER).write_text("Written by `dolbuild vendor`, which replaces all of it.\n", "utf-8")
        for locked in lock.packages.values():
            target = work / "new" / vendored_name(locked)
            shutil.copytree(fetch(locked, opened.sources), target)
            for path in sorted(target.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rename(work / "old")
        try:
            if lock.packages:
                (work / "new").rename(folder)
        except OSError:
            if (work / "old").exists():
                (work / "old").rename(folder)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
