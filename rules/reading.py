"""The manifests of a workspace as they were read: what the plan and the lock are made from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from dolbuild import compiler
from dolbuild.diagnostics import Diagnostic, Severity, at, in_file
from dolbuild.packages.candidate import Asked
from dolbuild.packages.manifest import SPIRIT_FILE, SYSTEM_FILE, Manifest, ReadManifest, Requirement, read_manifest
from dolbuild.packages.package import is_external
from dolbuild.packages.registry import Registries
from dolbuild.packages.system import read_system
from dolbuild.syntax.parser import Parsed
from dolbuild.workspace import Member, Workspace


class ReadSpirit:
    """A member with its manifest. Where it is *known*, its file is only read when someone wants more than that."""

    def __init__(
        self, workspace: Workspace, member: Member, edited: bytes | None = None, known: Manifest | None = None
    ) -> None:
        self.workspace = workspace
        self.member = member
        self.edited = edited
        self.known = known

    @cached_property
    def _bytes(self) -> tuple[bytes, Diagnostic | None]:
        return (self.edited, None) if self.edited is not None else _bytes(self.workspace, self.member, SPIRIT_FILE)

    @property
    def data(self) -> bytes:
        return self._bytes[0]

    @cached_property
    def parsed(self) -> Parsed:
        return compiler.parse_bytes(SPIRIT_FILE, self.data)

    @cached_property
    def read(self) -> ReadManifest:
        problem = self._bytes[1]
        return read_manifest(self.parsed) if problem is None else ReadManifest(None, (problem,))

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the manifest; nothing with one that is known."""
        return () if self.known is not None else self.read.diagnostics

    @property
    def manifest(self) -> Manifest | None:
        return self.known if self.known is not None else self.read.manifest

    @property
    def label(self) -> str:
        return self.manifest.name if self.manifest is not None else self.member.folder or "."

    @property
    def requires(self) -> tuple[Requirement, ...]:
        return self.manifest.requires if self.manifest is not None else ()


class ReadSystem:
    """A ``System.dol`` as far as the plan needs it: its name and what it uses."""

    def __init__(self, workspace: Workspace, member: Member) -> None:
        self.member = member
        self.data, problem = _bytes(workspace, member, SYSTEM_FILE)
        self.problems: list[Diagnostic] = [] if problem is None else [problem]
        self.parsed: Parsed = compiler.parse_bytes(SYSTEM_FILE, self.data)
        read = read_system(self.parsed)
        self.problems += read.diagnostics
        self.requires = read.requires
        self.label = read.name or (member.folder.rpartition("/")[2] or ".")


def _bytes(workspace: Workspace, member: Member, name: str) -> tuple[bytes, Diagnostic | None]:
    try:
        return (workspace.root / member.manifest_path).read_bytes(), None
    except OSError as error:
        return b"", in_file(name, "E0705", f"this file cannot be read: {error.strerror or error}")


@dataclass(frozen=True)
class Reading:
    """All manifests of a workspace. *spirits* have names of their own; *diagnostics* tell of those that do not."""

    workspace: Workspace
    spirits: tuple[ReadSpirit, ...]
    systems: tuple[ReadSystem, ...]
    diagnostics: tuple[Diagnostic, ...]

    def package_id(self, name: str) -> str:
        """The id of a member."""
        return f"@{self.workspace.settings.organisation}/{name}"

    @cached_property
    def members(self) -> Mapping[str, tuple[Manifest, str]]:
        """Manifests of members, and their files, by id."""
        return {
            self.package_id(read.manifest.name): (read.manifest, read.member.manifest_path)
            for read in self.spirits
            if read.manifest is not None
        }

    @property
    def manifests(self) -> "tuple[ReadSpirit | ReadSystem, ...]":
        """All that were read."""
        return (*self.spirits, *self.systems)

    def problems(self) -> list[Diagnostic]:
        """The errors of all manifests, as seen from the workspace."""
        found: list[Diagnostic] = []
        for read in self.spirits:
            found += (d.in_folder(read.member.folder) for d in read.diagnostics if d.severity is Severity.ERROR)
        for system in self.systems:
            found += (d.in_folder(system.member.folder) for d in (*system.parsed.diagnostics, *system.problems))
        return [d for d in dict.fromkeys(found) if d.severity is Severity.ERROR]

    def asked(self, registries: Registries) -> list[Asked]:
        """What the members ask for that comes from elsewhere."""
        members = self.members
        found: list[Asked] = []
        for read in self.manifests:
            file = read.member.manifest_path
            version = read.manifest.version if isinstance(read, ReadSpirit) and read.manifest is not None else ""
            for requirement in read.requires:
                if not is_external(requirement.name, members, registries.url(requirement.name)):
                    continue
                place = at(read.parsed.source, requirement.span, "", "").in_folder(read.member.folder)
                line = place.place.line if place.place is not None else 1
                by = f"{read.label} {version}".rstrip()
                found.append(Asked(requirement.name, requirement.wanted, by, f"{file}:{line}", place))
        return found


def read_workspace(
    workspace: Workspace,
    edited: Mapping[str, bytes] | None = None,
    known: Callable[[str], Manifest | None] = lambda _: None,
) -> Reading:
    """Read every manifest. What is wrong with one stands with it. *edited*: manifests of Spirits, by path, that are taken
    instead of what is on the disk; *known* gives those that need not be read."""
    diagnostics: list[Diagnostic] = []
    first: dict[str, ReadSpirit] = {}
    for member in workspace.members:
        if member.kind != "spirit":
            continue
        path = member.manifest_path
        read = ReadSpirit(workspace, member, (edited or {}).get(path), known(path))
        before = first.setdefault(read.label, read)
        if before is not read:
            message = f"the Spirit `{read.label}` is already in {before.member.manifest_path}"
            diagnostics.append(in_file(member.manifest_path, "E0610", message))
    systems = tuple(ReadSystem(workspace, member) for member in workspace.members if member.kind == "system")
    return Reading(workspace, tuple(first.values()), systems, tuple(diagnostics))
