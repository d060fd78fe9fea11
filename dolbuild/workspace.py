"""The workspace: its members, and the files that they consist of.

This is the only reader of a user's tree. Paths that leave here are relative to the workspace's root, with
``/``; what the user wrote in settings of members and folders never leads outside of the root.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from dolbuild.diagnostics import Diagnostic, in_file
from dolbuild.packages.manifest import SPIRIT_FILE, SYSTEM_FILE
from dolbuild.settings import PYPROJECT, SETTINGS_FILE, Settings, has_table, read_settings

STATE_FOLDER = ".dolbuild"
"""Holds what the build remembers of this workspace; safe to remove."""

NO_WORKSPACE = """error: there is no workspace here
A workspace is a folder with a dolbuild.toml, or with [tool.dolbuild] in its pyproject.toml;
a folder with a Spirit.dol is a workspace of one Spirit.
"""

_MODULE_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Member:
    """A folder with a manifest. Module names map to paths below the folder."""

    folder: str
    modules: dict[str, str]
    tests: dict[str, str]
    kind: str = "spirit"

    @property
    def manifest_path(self) -> str:
        return join(self.folder, SPIRIT_FILE if self.kind == "spirit" else SYSTEM_FILE)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace as it is on the disk now."""

    root: Path
    settings: Settings
    members: tuple[Member, ...]
    diagnostics: tuple[Diagnostic, ...]
    folders: Mapping[str, int] = field(default_factory=dict)
    """Every folder that was looked into, relative to the root, with its modification time (ns) before."""

    def path(self, relative: str) -> Path:
        return self.root / relative


def join(folder: str, path: str) -> str:
    """Join relative paths with ``/``; the root itself is the empty folder."""
    return f"{folder}/{path}" if folder else path


def find_root(start: Path) -> Path | None:
    """The root of the workspace around *start*: the nearest folder upwards with settings; where there is
    none, the nearest one with a ``Spirit.dol``, which is then a workspace of its own."""
    nearest: Path | None = None
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file() or has_table(folder / PYPROJECT):
            return folder
        if nearest is None and (folder / SPIRIT_FILE).is_file():
            nearest = folder
    return nearest


@dataclass(frozen=True, slots=True)
class Known:
    """Members as they were found before, the folders that were looked into with their times, and those that have changed since."""

    members: tuple[Member, ...]
    folders: Mapping[str, int]
    changed: frozenset[str]


def load(root: Path, known: Known | None = None) -> Workspace:
    """Read the settings and find the members; of those that are *known* only what has changed is looked at. Raises DiagnosticError
    where the settings are unusable."""
    settings = read_settings(root)
    if known is not None:
        finder = _Finder(root, settings)
        again = finder.again(known)
        if again is not None:
            return Workspace(root, settings, again, tuple(finder.diagnostics), finder.seen)
    finder = _Finder(root, settings)
    members = finder.members()
    return Workspace(root, settings, members, tuple(finder.diagnostics), finder.seen)


# -- members ---------------------------------------------------------------------------------------


class _Finder:
    """Walks the tree. Hidden folders, the folders for output and vendored packages, and links to folders are not entered."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings
        self.closed = {PurePosixPath(settings.output).as_posix(), settings.vendor}
        self.diagnostics: list[Diagnostic] = []
        self.seen: dict[str, int] = {}
        self._see(".")

    def _see(self, folder: str) -> None:
        """Remember when a folder was changed last, before it is looked into."""
        if folder not in self.seen:
            try:
                self.seen[folder] = os.stat(self.root / folder).st_mtime_ns
            except OSError:
                self.seen[folder] = -1

    def members(self) -> tuple[Member, ...]:
        folders: set[str] = set()
        for pattern in self.settings.members:
            found = self.matches(pattern)
            if not found:
                hint = f"a member is a folder with a {SPIRIT_FILE}"
                name = SETTINGS_FILE if (self.root / SETTINGS_FILE).is_file() else PYPROJECT
                self.diagnostics.append(in_file(name, "E0702", f'no member matches "{pattern}"', hint))
            folders |= found
        kept = [
            folder
            for folder in sorted(folders)
            if not any(fnmatchcase(folder, pattern) for pattern in self.settings.exclude)
        ]
        members: list[Member] = []
        for folder in kept:
            base = self.root / folder
            self._see(folder or ".")
            if (base / SPIRIT_FILE).is_file():
                modules = self.modules(folder, "src")
                members.append(Member(folder, modules, self.modules(folder, "tests")))
            if (base / SYSTEM_FILE).is_file():
                members.append(Member(folder, {}, {}, "system"))
        return tuple(members)

    def again(self, known: Known) -> tuple[Member, ...] | None:
        """The members, where only files of known ones came or went; None where all have to be looked for."""
        spirits = {member.folder: member for member in known.members if member.kind == "spirit"}
        stale: dict[str, set[str]] = {}
        if any("**" in pattern for pattern in self.settings.members):
            return None  # a folder of sources may have become a member
        for changed in known.changed:
            parts = changed.split("/")
            found = [("/".join(parts[:n]), parts[n]) for n in range(1, len(parts)) if parts[n] in ("src", "tests")]
            owners = [(folder, top) for folder, top in found if folder in spirits]
            if not owners:
                return None
            for folder, top in owners:
                stale.setdefault(folder, set()).add(top)
        gone = tuple(join(folder, top) for folder, tops in stale.items() for top in tops)
        kept = {
            p: t for p, t in known.folders.items() if not gone or not f"{p}/".startswith(tuple(f"{g}/" for g in gone))
        }
        members = tuple(
            Member(
                member.folder,
                self.modules(member.folder, "src") if "src" in stale[member.folder] else member.modules,
                self.modules(member.folder, "tests") if "tests" in stale[member.folder] else member.tests,
            )
            if member.kind == "spirit" and member.folder in stale
            else member
            for member in known.members
        )
        self.seen = {**kept, **{path: time for path, time in self.seen.items() if path != "."}}
        return members

    def matches(self, pattern: str) -> set[str]:
        """Folders with a manifest that a glob names; ``**`` matches any depth."""
        parts = [part for part in PurePosixPath(pattern).parts if part != "."]
        found: set[str] = set()
        self._match("", parts, found, 0)
        return found

    def _match(self, folder: str, parts: list[str], found: set[str], depth: int) -> None:
        if depth > _MAX_DEPTH:
            return
        if not parts:
            base = self.root / folder
            if (base / SPIRIT_FILE).is_file() or (base / SYSTEM_FILE).is_file():
                found.add(folder)
            return
        head, *rest = parts
        if head == "**":
            self._match(folder, rest, found, depth + 1)
        elif not any(char in head for char in "*?["):
            if (self.root / join(folder, head)).is_dir():
                self._match(join(folder, head), rest, found, depth + 1)
            return
        for name in self.folders(folder):
            if head == "**":
                self._match(join(folder, name), parts, found, depth + 1)
            elif fnmatchcase(name, head):
                self._match(join(folder, name), rest, found, depth + 1)

    def folders(self, folder: str) -> list[str]:
        self._see(folder or ".")
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if not entry.name.startswith(".")
                    and join(folder, entry.name) not in self.closed
                    and entry.is_dir(follow_symlinks=False)
                )
        except OSError as error:
            self.diagnostics.append(in_file(folder or ".", "E0703", f"this folder cannot be read: {error.strerror}"))
            return []

    def modules(self, folder: str, top: str) -> dict[str, str]:
        """Module names below ``src`` or ``tests`` with their paths, relative to the member."""
        modules: dict[str, str] = {}
        if (self.root / folder / top).is_dir():
            self._modules(folder, top, (), modules)
        return dict(sorted(modules.items()))

    def _modules(self, folder: str, path: str, parts: tuple[str, ...], modules: dict[str, str]) -> None:
        if len(parts) > _MAX_DEPTH:
            return
        self._see(join(folder, path))
        try:
            with os.scandir(self.root / folder / path) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            place = join(folder, path)
            self.diagnostics.append(in_file(place, "E0703", f"this folder cannot be read: {error.strerror}"))
            return
        for entry in listed:
            if entry.name.startswith("."):
                continue
            inner = f"{path}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                self._modules(folder, inner, (*parts, entry.name), modules)
            elif entry.name.endswith(".dol"):
                names = (*parts, entry.name.removesuffix(".dol"))
                if all(_MODULE_PART.fullmatch(name) for name in names):
                    modules[".".join(names)] = inner
                else:
                    hint = "use letters, digits and underscores, not a digit first"
                    self.diagnostics.append(
                        in_file(join(folder, inner), "E0704", "the name of this file is no name of a module", hint)
                    )
