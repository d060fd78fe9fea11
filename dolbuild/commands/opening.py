"""What commands on packages begin with: the workspace, its manifests, and where packages come from."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dolbuild.diagnostics import Diagnostic, DiagnosticError, render
from dolbuild.packages.fetch import Sources
from dolbuild.packages.manifest import SPIRIT_FILE
from dolbuild.rules.build import dol_home
from dolbuild.rules.external import open_sources
from dolbuild.rules.reading import Reading, ReadSpirit, read_workspace
from dolbuild.terminal import wants_color
from dolbuild.workspace import NO_WORKSPACE, STATE_FOLDER, find_root, load

USAGE = 2


class WrongUsage(Exception):
    """The command line cannot be understood."""


class Help(Exception):
    """The usage of a command was asked for."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A workspace that a command works on."""

    root: Path
    reading: Reading
    sources: Sources

    def spirit(self, name: str) -> ReadSpirit:
        """The member of a name; without one, the one around the current folder, or the only one. Raises WrongUsage."""
        spirits = self.reading.spirits
        if name:
            found = [read for read in spirits if read.label == name]
            if not found:
                raise WrongUsage(f"there is no Spirit `{name}` here; there are: {listed(r.label for r in spirits)}")
            return found[0]
        here = Path.cwd()
        for system in self.reading.systems:
            folder = (self.root / system.member.folder).resolve()
            if system.member.folder and here.is_relative_to(folder) and not (folder / SPIRIT_FILE).is_file():
                raise WrongUsage(f"{system.member.manifest_path} is a System's; write its `uses` by hand")
        around = [r for r in spirits if here.is_relative_to((self.root / r.member.folder).resolve())]
        around.sort(key=lambda read: -len(read.member.folder))
        if around and (around[0].member.folder or len(spirits) == 1):
            return around[0]
        if len(spirits) == 1:
            return spirits[0]
        raise WrongUsage(f"which Spirit? Give its name; there are: {listed(r.label for r in spirits)}")


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """While no other command changes the manifests, the lock or the vendored packages of the workspace."""
    folder = root / STATE_FOLDER
    folder.mkdir(exist_ok=True)
    handle = os.open(folder / "packages.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def tell(text: str) -> None:
    """Say what is being done."""
    sys.stderr.write(f"{text}\n")


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(sorted(names)) or "none"


def root_here() -> Path:
    """The root of the workspace around the current folder. Raises WrongUsage where there is none."""
    root = find_root(Path.cwd())
    if root is None:
        raise WrongUsage("")
    return root


@contextmanager
def open_workspace(*, offline: bool = False) -> Iterator[Opened]:
    """The workspace around the current folder, until its connections are closed. Raises DiagnosticError, and WrongUsage where
    there is none."""
    workspace = load(root_here())
    root = workspace.root
    reading = read_workspace(workspace)
    sources = open_sources(workspace, dol_home(os.environ), os.environ, offline=offline)
    try:
        yield Opened(root, reading, sources)
    finally:
        sources.close()


def guarded(command: Callable[[], int]) -> int:
    """Run a command; what it raises is shown as a user should see it."""
    try:
        return command()
    except Help as asked:
        sys.stdout.write(f"usage: {asked}\n")
        return 0
    except WrongUsage as error:
        sys.stderr.write(f"error: {error}\n" if str(error) else NO_WORKSPACE)
        return USAGE
    except DiagnosticError as error:
        show(error.diagnostics)
        return 1
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or ''}: {error.strerror or error}\n".replace(": :", ":"))
        return 1


def show(diagnostics: Iterable[Diagnostic]) -> None:
    """Diagnostics on the terminal."""
    color = wants_color(sys.stderr)
    for diagnostic in diagnostics:
        sys.stderr.write(render(diagnostic, color=color) + "\n")


def flags(arguments: list[str], known: Iterable[str], usage: str) -> tuple[dict[str, str], list[str]]:
    """Options of the form ``--name`` and ``--name=value`` (or ``--name value`` for those in *known* that end in ``=``), and
    the rest. Raises WrongUsage."""
    allowed = set(known)
    options: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        one = waiting.pop(0)
        if one == "--":
            return options, rest + waiting
        if one in ("-h", "--help"):
            raise Help(usage)
        if not one.startswith("-") or one == "-":
            rest.append(one)
            continue
        name, given, value = one.partition("=")
        if f"{name}=" in allowed:
            if not given:
                if not waiting:
                    raise WrongUsage(f"`{name}` wants a value; {usage}")
                value = waiting.pop(0)
        elif name not in allowed or given:
            raise WrongUsage(f"there is no option `{one}`; {usage}")
        options[name] = value
    return options, rest
