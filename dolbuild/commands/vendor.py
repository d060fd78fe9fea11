"""``dolbuild vendor``: a copy of every package from elsewhere in the workspace, for building without any network."""

import shutil
import sys
import tempfile
from pathlib import Path

from dolbuild.commands.opening import WrongUsage, flags, guarded, open_workspace, tell
from dolbuild.files import PREFIX
from dolbuild.packages.fetch import fetch, vendored_name
from dolbuild.rules.external import lock_for_build

USAGE_LINE = "dolbuild vendor [--locked] [--offline]"


def run(arguments: list[str]) -> int:
    """Make the folder of vendored packages anew."""

    def command() -> int:
        options, rest = flags(arguments, ("--locked", "--offline"), USAGE_LINE)
        if rest:
            raise WrongUsage(f"`vendor` takes no names; the setting `vendor` names the folder; {USAGE_LINE}")
        with open_workspace(offline="--offline" in options) as opened:
            lock = lock_for_build(opened.reading, opened.sources, locked="--locked" in options, tell=tell)
            folder = opened.sources.vendor
            work = Path(tempfile.mkdtemp(dir=opened.root, prefix=PREFIX))
            try:
                for locked in lock.packages.values():
                    tree = fetch(locked, opened.sources)
                    target = work / "new" / vendored_name(locked)
                    shutil.copytree(tree, target)
                    for path in sorted(target.rglob("*")):
                        path.chmod(0o755 if path.is_dir() else 0o644)
                if folder.exists():
                    folder.rename(work / "old")
                if lock.packages:
                    (work / "new").rename(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            count = len(lock.packages)
            name = opened.reading.workspace.settings.vendor
            sys.stdout.write(
                f"{name}/ holds {count} package{'' if count == 1 else 's'}\n" if count else "nothing to vendor\n"
            )
            return 0

    return guarded(command)
