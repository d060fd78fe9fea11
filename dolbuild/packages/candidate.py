"""Values of the search for packages: what is asked for, by whom, and what there is."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from dolbuild.diagnostics import Diagnostic
from dolbuild.packages.name import PackageName
from dolbuild.packages.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Member:
    """A Spirit of the workspace; *manifest* is its file as the user sees it."""

    manifest: str


@dataclass(frozen=True, slots=True)
class Standard:
    """A Spirit that ships with the tool."""


@dataclass(frozen=True, slots=True)
class FromRegistry:
    """A published version. *sha256* is the archive's."""

    registry: str
    sha256: str
    yanked: bool = False


@dataclass(frozen=True, slots=True)
class FromGit:
    """A commit of a repository, and the references that were found to mean it. *host*, *path* and *folder* as in the name."""

    host: str
    path: str
    folder: str
    commit: str


@dataclass(frozen=True, slots=True)
class FromHttps:
    """A file. *sha256* is what it must be."""

    url: str
    sha256: str


Origin = Member | Standard | FromRegistry | FromGit | FromHttps


@dataclass(frozen=True, slots=True)
class Candidate:
    """One version of a package, from one place. *version* is empty for a single file."""

    id: str
    version: str
    origin: Origin

    def __str__(self) -> str:
        match self.origin:
            case FromGit(commit=commit):
                return f"{self.id} {self.version} ({commit[:10]})"
            case FromHttps():
                return self.id
            case _:
                return f"{self.id} {self.version}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A requirement. *where* is the manifest and line that a user wrote, empty where a package's own manifest asks;
    *by* names who asks; *diagnostic* shows the place, for what is to be said about it."""

    name: PackageName
    wanted: Wanted
    by: str
    where: str = ""
    diagnostic: Diagnostic | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.name} {self.wanted}"

    def at_its_place(self, told: Diagnostic) -> Diagnostic:
        """What is to be said about it, at the line where a user wrote it."""
        if told.place is not None or self.diagnostic is None:
            return told
        return replace(told, place=self.diagnostic.place, line_text=self.diagnostic.line_text, rooted=True)


class Catalogue(Protocol):
    """What the search may ask. Answers do not change while a search goes on."""

    def candidates(self, name: PackageName, wanted: Sequence[Wanted]) -> Sequence[Candidate]:
        """What there is of a package that may meet what is wanted, the best first."""

    def meets(self, wanted: Wanted, candidate: Candidate) -> bool:
        """Whether a candidate of the package is what is wanted."""

    def requirements(self, candidate: Candidate) -> Sequence[Asked]:
        """What a candidate asks for."""

    def inventory(self, name: PackageName) -> str:
        """A sentence on what there is of a package, for an error message."""
