"""Packages: a Spirit with its modules, wherever it comes from, and what it requires."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dolbuild.analysis.resolution import RUNTIME
from dolbuild.analysis.resolution import Package as Resolvable
from dolbuild.diagnostics import Diagnostic, at
from dolbuild.packages.manifest import SPIRIT_FILE, Manifest, Requirement, read_manifest
from dolbuild.packages.name import Kind, PackageName
from dolbuild.packages.version import satisfies
from dolbuild.packages.wanted import Versions
from dolbuild.source import SourceFile
from dolbuild.syntax.parser import parse

STANDARD_FOLDER = Path(__file__).resolve().parent.parent / "std"
"""Where the Spirits that ship with the tool are."""


@dataclass(frozen=True, slots=True)
class Package:
    """A Spirit that takes part in a build.

    *label* names it in nodes and messages, *folder* is where its files are. Paths of modules are relative
    to it. *shown* is the folder as the user sees it (relative to the workspace).
    """

    id: str
    label: str
    folder: Path
    shown: str
    manifest: Manifest
    modules: Mapping[str, str]
    tests: Mapping[str, str] = field(default_factory=dict)
    requires: Mapping[str, str] = field(default_factory=dict)
    standard: bool = False
    """Whether it ships with the tool."""
    fetched_by: str = ""
    """The node that fetches it, for a package from elsewhere."""

    @property
    def is_member(self) -> bool:
        """Whether it is a part of the workspace."""
        return not self.standard and not self.fetched_by

    @property
    def resolvable(self) -> Resolvable:
        """What paths in its modules can lead to; made anew at each call."""
        names = frozenset((*self.modules, *(f"tests:{name}" for name in self.tests)))
        return Resolvable(self.id, names, self.requires)


STANDARD_SPIRITS = ("http", "json", "std")
"""Spirits of the organisation ``univrs`` that ship with the tool."""


def is_standard(name: PackageName) -> bool:
    """Whether a package ships with the tool."""
    return name.kind is Kind.REGISTRY and name.parts[0] == "univrs" and name.parts[1] in STANDARD_SPIRITS


def is_external(name: PackageName, members: Container[str], registry: str | None) -> bool:
    """Whether a package has to be locked: it is no member, it does not ship with the tool, and there is somewhere that it can
    come from. *registry* is the address of its registry, if it has one."""
    if name.kind is not Kind.REGISTRY:
        return True
    return name.id not in members and not is_standard(name) and registry is not None


def standard_package(id_: str, manifest: Manifest | None = None) -> Package:
    """A package that ships with the tool: the runtime, or a standard Spirit with its *manifest*. All of them may use the
    runtime."""
    name = id_.rpartition("/")[2]
    folder = STANDARD_FOLDER / name
    requires = {} if manifest is None else {RUNTIME: RUNTIME, **{r.package: r.package for r in manifest.requires}}
    return Package(
        id_,
        id_,
        folder,
        f"<dolbuild>/{name}",
        manifest or Manifest(name, "0.1.0"),
        modules_of(folder),
        requires=requires,
        standard=True,
    )


def modules_of(folder: Path) -> dict[str, str]:
    """The modules below a package's ``src``, with their files."""
    return {
        path.relative_to(folder / "src").with_suffix("").as_posix().replace("/", "."): path.relative_to(
            folder
        ).as_posix()
        for path in sorted((folder / "src").rglob("*.dol"))
    }


def standard_manifest(name: str) -> Manifest:
    """The manifest of a standard Spirit."""
    source = SourceFile(SPIRIT_FILE, (STANDARD_FOLDER / name / SPIRIT_FILE).read_text("utf-8"))
    read = read_manifest(parse(source))
    assert read.manifest is not None, read.diagnostics
    return read.manifest


def match_requirements(
    package_id: str, manifest: Manifest, source_of: Callable[[], SourceFile], available: Mapping[str, Manifest]
) -> tuple[dict[str, str], list[Diagnostic]]:
    """The packages that a manifest's requirements mean, from those that are *available* by id. *source_of* gives its text,
    which is needed only where something is wrong."""
    matched: dict[str, str] = {}
    problems: list[Diagnostic] = []

    def report(requirement: Requirement, code: str, message: str, hint: str = "") -> None:
        problems.append(at(source_of(), requirement.span, code, message, hint))

    for requirement in manifest.requires:
        name, wanted = requirement.name, requirement.wanted
        found = available.get(name.id)
        if name.id == package_id:
            report(requirement, "E0607", "this Spirit requires itself")
        elif found is None:
            hint = "a Spirit of this workspace is required as @organisation/name"
            if name.kind is Kind.REGISTRY:
                hint += f"; another one needs a registry: [registries] {name.parts[0]} in the settings"
            report(requirement, "E0607", f"there is no package `{name}`", hint)
        elif name.kind is Kind.REGISTRY and isinstance(wanted, Versions) and not satisfies(found.version, wanted.text):
            message = f"`{name}` is required as {wanted}, but this workspace has {found.version}"
            hint = "change the requirement here, or the version in its Spirit.dol"
            report(requirement, "E0608", message, hint)
        else:
            matched[name.text] = name.id
    return matched, problems


def find_circle(requires: Mapping[str, Mapping[str, str]]) -> list[str] | None:
    """A circle of packages that require each other, first and last the same; None where there is none."""
    done: set[str] = set()
    for start in sorted(requires):
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, list[str]]] = [(start, sorted(requires[start].values()))]
        while stack:
            name, rest = stack[-1]
            if name not in on_path and name not in done:
                path.append(name)
                on_path.add(name)
            if not rest or name in done:
                stack.pop()
                if name in on_path:
                    path.pop()
                    on_path.discard(name)
                    done.add(name)
                continue
            following = rest.pop(0)
            if following in on_path:
                return [*path[path.index(following) :], following]
            if following not in done and following in requires:
                stack.append((following, sorted(requires[following].values())))
    return None
