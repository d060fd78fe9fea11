"""Making a lock, and telling whether one still fits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dolbuild.diagnostics import Diagnostic, DiagnosticError
from dolbuild.packages.candidate import Asked, Candidate, FromGit, FromHttps, FromRegistry
from dolbuild.packages.catalogue import WorkspaceCatalogue
from dolbuild.packages.fetch import store
from dolbuild.packages.lockfile import Lock, Locked
from dolbuild.packages.manifest import Manifest
from dolbuild.packages.name import PackageName
from dolbuild.packages.package import is_standard, standard_manifest
from dolbuild.packages.problem import WRONG_CONTENT, problem
from dolbuild.packages.registry import Registries
from dolbuild.packages.tree import tree_digest
from dolbuild.packages.version import satisfies
from dolbuild.packages.wanted import Hash, Ref, RefKind, Versions, Wanted


@dataclass(frozen=True, slots=True)
class Fit:
    """How a lock fits a workspace: why it does not (*stale*), and what no one requires any more (*unused*)."""

    stale: tuple[str, ...]
    unused: tuple[str, ...]


def fit(lock: Lock, asked: Iterable[Asked], members: Mapping[str, tuple[Manifest, str]], registries: Registries) -> Fit:
    """Compare a lock with what is asked for, without looking at any package."""
    stale: list[str] = []
    used: set[str] = set()
    waiting = [(one.name, one.wanted, one.where or one.by) for one in asked]
    seen: set[tuple[str, Wanted]] = set()
    while waiting:
        name, wanted, by = waiting.pop()
        if (name.id, wanted) in seen:
            continue
        seen.add((name.id, wanted))
        version = _version_here(name, members)
        if version is not None:
            if not isinstance(wanted, Versions) or not satisfies(version, wanted.text):
                stale.append(f"{by} requires {name} {wanted}, which is {version} now")
            continue
        locked = lock.packages.get(name.id)
        if locked is None:
            stale.append(f"{by} requires {name} {wanted}, which is not in it")
            continue
        used.add(name.id)
        reason = _misfit(locked, wanted, registries)
        if reason:
            stale.append(f"{by} requires {name} {wanted}, {reason}")
        waiting += [(n, w, f"{locked.name} {locked.version}") for n, w in locked.requires]
    return Fit(tuple(sorted(set(stale))), tuple(sorted(lock.packages.keys() - used)))


def _version_here(name: PackageName, members: Mapping[str, tuple[Manifest, str]]) -> str | None:
    member = members.get(name.id)
    if member is not None:
        return member[0].version
    return standard_manifest(name.parts[1]).version if is_standard(name) else None


def _misfit(locked: Locked, wanted: Wanted, registries: Registries) -> str:
    match locked.origin, wanted:
        case FromRegistry(registry=registry), Versions(text):
            if registry != registries.url(locked.name):
                return f"which was locked from another registry, {registry}"
            return "" if satisfies(locked.version, text) else f"but it has {locked.version}"
        case FromGit(commit=commit), Ref(name=name, kind=RefKind.COMMIT):
            return "" if commit == name else f"but it has {commit[:10]}"
        case FromGit(), _:
            return "" if wanted in locked.wanted else "which it was not locked for"
        case FromHttps(sha256=sha256), Hash(given):
            return "" if sha256 == given else "but it has another hash"
        case _:
            return "which it does not have"


def make_lock(asked: Sequence[Asked], catalogue: WorkspaceCatalogue) -> Lock:
    """Search for versions, and pin them. Raises DiagnosticError."""
    from dolbuild.packages.conflict import explain
    from dolbuild.packages.resolve import Conflict, TooHard, resolve  # a build with a lock never comes here

    catalogue.prefetch(one.name for one in asked)
    try:
        chosen = resolve(asked, catalogue)
    except Conflict as conflict:
        raise DiagnosticError(explain(conflict, asked, catalogue)) from None
    except TooHard:
        raise DiagnosticError(
            Diagnostic("E1001", "no versions that fit together were found in a sensible time",
                       hint="narrow some requirements, so that fewer versions have to be tried")
        ) from None  # fmt: skip
    names = {one.name.id: one.name for one in asked}
    wanted: dict[str, list[Wanted]] = {}
    for one in asked:
        wanted.setdefault(one.name.id, []).append(one.wanted)
    for candidate in chosen.values():
        for one in catalogue.requirements(candidate):
            names.setdefault(one.name.id, one.name)
            wanted.setdefault(one.name.id, []).append(one.wanted)
    found = {id_: _pin(names[id_], candidate, wanted[id_], catalogue) for id_, candidate in chosen.items()}
    return Lock({id_: locked for id_, locked in found.items() if locked is not None})


def _pin(
    name: PackageName, candidate: Candidate, wanted: Sequence[Wanted], catalogue: WorkspaceCatalogue
) -> Locked | None:
    match candidate.origin:
        case FromRegistry(registry, sha256):
            index = catalogue.index(name)
            assert index is not None
            published = index[candidate.version]
            return Locked(name, published.version, FromRegistry(registry, sha256), published.tree, published.requires)
        case FromGit():
            files = catalogue.files(candidate)
            manifest = catalogue.manifest(candidate)
            requires = tuple((one.name, one.wanted) for one in manifest.requires)
            if any(isinstance(w, Versions) and not satisfies(manifest.version, w.text) for w in wanted):
                message = f"the tag {candidate.version} of {name} holds version {manifest.version}"
                raise problem(WRONG_CONTENT, message, "require the tag or the commit by its name")
            refs = tuple(
                sorted(
                    {w for w in wanted if not (isinstance(w, Ref) and w.kind is RefKind.COMMIT)}, key=lambda w: str(w)
                )
            )
            locked = Locked(name, manifest.version, candidate.origin, tree_digest(files), requires, refs)
            store(locked, files, catalogue.sources.home)
            return locked
        case FromHttps():
            return Locked(name, "", candidate.origin, "")
        case _:
            return None  # a member, or a Spirit that ships with the tool


@dataclass(frozen=True, slots=True)
class Change:
    """A difference of two locks, as a line to show."""

    sign: str
    text: str


def changes(before: Lock, after: Lock) -> list[Change]:
    """What is new, gone and other in a lock, by name."""
    found: list[Change] = []
    for id_ in sorted({*before.packages, *after.packages}):
        old, new = before.packages.get(id_), after.packages.get(id_)
        if old is None and new is not None:
            found.append(Change("+", f"{new.name} {version_text(new)}".rstrip()))
        elif new is None and old is not None:
            found.append(Change("-", f"{old.name} {version_text(old)}".rstrip()))
        elif old is not None and new is not None and old != new:
            was, is_ = version_text(old), version_text(new)
            found.append(Change("~", f"{new.name} {was} -> {is_}" if was != is_ else f"{new.name} {is_}"))
    return found


def version_text(locked: Locked) -> str:
    """The version of a locked package as people know it."""
    match locked.origin:
        case FromGit(commit=commit):
            return f"{locked.version} ({commit[:10]})"
        case FromHttps(sha256=sha256):
            return f"sha256:{sha256[:10]}"
        case _:
            return locked.version
