"""What there is of each package, for the search: members, standard Spirits, registries, git and single files."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dolbuild.packages.candidate import Asked, Candidate, FromGit, FromHttps, FromRegistry, Member, Standard
from dolbuild.packages.fetch import Sources, manifest_of
from dolbuild.packages.index import Published
from dolbuild.packages.lockfile import Lock, Locked
from dolbuild.packages.manifest import Manifest
from dolbuild.packages.name import Kind, PackageName
from dolbuild.packages.package import is_standard, standard_manifest
from dolbuild.packages.problem import NOT_FOUND, WRONG_INDEX, problem
from dolbuild.packages.version import is_version, satisfies, version_key
from dolbuild.packages.wanted import Hash, Ref, RefKind, Versions, Wanted

MAX_LISTED = 12
"""Versions that a message names."""

_WORKERS = 8

if TYPE_CHECKING:
    from concurrent.futures import Future


class WorkspaceCatalogue:
    """The catalogue of a workspace. *members* are manifests and their files by id; what *preferred* has is taken before
    anything newer."""

    def __init__(self, members: Mapping[str, tuple[Manifest, str]], sources: Sources, preferred: Lock) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.members = members
        self.sources = sources
        self.preferred = preferred
        self._indexes: dict[str, Future[dict[str, Published] | None]] = {}
        self._candidates: dict[str, list[Candidate]] = {}
        self._pool = ThreadPoolExecutor(_WORKERS)
        self._manifests: dict[Candidate, Manifest] = {}

    def close(self) -> None:
        """Stop loading what no one waits for."""
        self._pool.shutdown(cancel_futures=True)

    # -- what there is -----------------------------------------------------------------------------

    def candidates(self, name: PackageName, wanted: Sequence[Wanted]) -> Sequence[Candidate]:
        if name.kind is Kind.GIT:
            return self._of_git(name, wanted)
        if name.kind is Kind.HTTPS:
            return [Candidate(name.id, "", FromHttps(name.parts[0], w.sha256)) for w in wanted if isinstance(w, Hash)]
        found = self._candidates.get(name.id)
        if found is None:
            found = self._candidates[name.id] = self._of_registry(name)
        return found

    def _of_registry(self, name: PackageName) -> list[Candidate]:
        member = self.members.get(name.id)
        if member is not None:
            return [Candidate(name.id, member[0].version, Member(member[1]))]
        if is_standard(name):
            return [Candidate(name.id, standard_manifest(name.parts[1]).version, Standard())]
        index = self.index(name)
        if index is None:
            return []
        locked = self.preferred.packages.get(name.id)
        url = self.sources.registries.url(name) or ""
        preferred = locked.version if locked is not None and _is_same(locked, url) else None
        if preferred is not None and preferred in index:
            assert locked is not None and isinstance(locked.origin, FromRegistry)
            if index[preferred].sha256 != locked.origin.sha256:
                message = f"{name} {preferred} was published once more with other contents"
                hint = "ask whoever keeps the registry; a version that was published never changes"
                notes = (f"dol.lock has {locked.origin.sha256}", f"the index has {index[preferred].sha256}")
                raise problem(WRONG_INDEX, message, hint, *notes)
        ordered = sorted(index, key=version_key, reverse=True)
        kept = [version for version in ordered if not index[version].yanked or version == preferred]
        kept.sort(key=lambda version: version != preferred)
        return [
            Candidate(name.id, version, FromRegistry(url, index[version].sha256, index[version].yanked))
            for version in kept
        ]

    def index(self, name: PackageName) -> dict[str, Published] | None:
        """What its registry has of a package. Raises DiagnosticError."""
        registry = self.sources.registries.of(name)
        if registry is None:
            return None
        return self._load(name).result()

    def _load(self, name: PackageName) -> "Future[dict[str, Published] | None]":
        loading = self._indexes.get(name.id)
        if loading is None:
            registry = self.sources.registries.of(name)
            assert registry is not None
            loading = self._indexes[name.id] = self._pool.submit(registry.versions, name)
        return loading

    def prefetch(self, names: Iterable[PackageName]) -> None:
        """Begin to load indexes that will be needed."""
        for name in names:
            outside = name.kind is Kind.REGISTRY and name.id not in self.members and not is_standard(name)
            if outside and self.sources.registries.of(name) is not None:
                self._load(name)

    # -- git ---------------------------------------------------------------------------------------

    def _of_git(self, name: PackageName, wanted: Sequence[Wanted]) -> list[Candidate]:
        found: dict[Candidate, None] = {}
        for one in wanted:
            if isinstance(one, Versions):
                for candidate in self._tagged(name):
                    found.setdefault(candidate)
            elif isinstance(one, Ref):
                found.setdefault(self._candidate(name, self._commit(name, one)))
        return list(found)

    def _candidate(self, name: PackageName, commit: str, version: str = "") -> Candidate:
        host, path, folder = name.parts
        return Candidate(name.id, version, FromGit(host, path, folder, commit))

    def _tags(self, name: PackageName) -> dict[str, str]:
        """Versions that tags name, with their commits; the newest first."""
        host, path, _ = name.parts
        found: dict[str, str] = {}
        for ref, commit in self.sources.git.refs(host, path).items():
            text = ref.removeprefix("refs/tags/")
            if text != ref:
                for version in (text, text.removeprefix("v")):
                    if is_version(version):
                        found.setdefault(version, commit)
        return {version: found[version] for version in sorted(found, key=version_key, reverse=True)}

    def _tagged(self, name: PackageName) -> list[Candidate]:
        locked = self.preferred.packages.get(name.id)
        if self.sources.git.offline and locked is not None and isinstance(locked.origin, FromGit):
            return [self._candidate(name, locked.origin.commit, locked.version)]
        found = [self._candidate(name, commit, version) for version, commit in self._tags(name).items()]
        if locked is not None and isinstance(locked.origin, FromGit):
            commit = locked.origin.commit
            found.sort(key=lambda one: not (isinstance(one.origin, FromGit) and one.origin.commit == commit))
        return found

    def _commit(self, name: PackageName, ref: Ref) -> str:
        """The commit that a reference means: the locked one, where it was locked for this reference. Raises
        DiagnosticError."""
        if ref.kind is RefKind.COMMIT:
            return ref.name
        locked = self.preferred.packages.get(name.id)
        if locked is not None and ref in locked.wanted and isinstance(locked.origin, FromGit):
            return locked.origin.commit
        host, path, _ = name.parts
        refs = self.sources.git.refs(host, path)
        for kind, prefix in ((RefKind.TAG, "refs/tags/"), (RefKind.BRANCH, "refs/heads/")):
            if ref.kind in (kind, RefKind.ANY) and prefix + ref.name in refs:
                return refs[prefix + ref.name]
        what = "branch or tag" if ref.kind is RefKind.ANY else str(ref.kind)
        raise problem(NOT_FOUND, f"the repository {host}/{path} has no {what} `{ref.name}`", _similar(ref.name, refs))

    # -- questions of the search -------------------------------------------------------------------

    def meets(self, wanted: Wanted, candidate: Candidate) -> bool:
        match wanted, candidate.origin:
            case Hash(sha256), FromHttps() as origin:
                return origin.sha256 == sha256
            case Ref(), FromGit() as origin:
                return self._commit(self._name(candidate), wanted) == origin.commit
            case Versions(text), FromGit() as origin:
                locked = self.preferred.packages.get(candidate.id)
                if locked is not None and locked.origin == origin and wanted in locked.wanted:
                    return True
                if candidate.version:
                    return satisfies(candidate.version, text)
                tags = self._tags(self._name(candidate))
                return any(commit == origin.commit and satisfies(version, text) for version, commit in tags.items())
            case Versions(text), (FromRegistry() | Member() | Standard()):
                return satisfies(candidate.version, text)
            case _:
                return False

    def _name(self, candidate: Candidate) -> PackageName:
        assert isinstance(candidate.origin, FromGit)
        origin = candidate.origin
        return PackageName(Kind.GIT, candidate.id, candidate.id, (origin.host, origin.path, origin.folder))

    def requirements(self, candidate: Candidate) -> Sequence[Asked]:
        by = str(candidate)
        match candidate.origin:
            case FromRegistry():
                index = self._indexes.get(candidate.id)
                published = index.result() if index is not None else None
                assert published is not None
                found = [Asked(name, wanted, by) for name, wanted in published[candidate.version].requires]
            case FromGit():
                found = [Asked(one.name, one.wanted, by) for one in self.manifest(candidate).requires]
            case _:
                return []  # a member asks for itself, a standard Spirit for others of them
        self.prefetch(one.name for one in found)
        return found

    def manifest(self, candidate: Candidate) -> Manifest:
        """The manifest of a commit. Raises DiagnosticError."""
        found = self._manifests.get(candidate)
        if found is None:
            found = self._manifests[candidate] = manifest_of(self.files(candidate), candidate.id)
        return found

    def files(self, candidate: Candidate) -> dict[str, bytes]:
        """The files of a commit. Raises DiagnosticError."""
        assert isinstance(candidate.origin, FromGit)
        origin = candidate.origin
        self.sources.git.fetch(origin.host, origin.path, origin.commit)
        return self.sources.git.files(origin.host, origin.path, origin.commit, origin.folder)

    def inventory(self, name: PackageName) -> str:
        member = self.members.get(name.id)
        if member is not None:
            return f"{name} is a Spirit of this workspace: {member[0].version} in {member[1]}"
        if is_standard(name):
            return f"{name} ships with dolbuild: {standard_manifest(name.parts[1]).version}"
        if name.kind is Kind.HTTPS:
            return f"{name} is one file, which has one hash"
        if name.kind is Kind.GIT:
            tags = list(self._tags(name))
            return (
                f"{name} has the tagged versions {_listed(reversed(tags))}" if tags else f"{name} has no tagged version"
            )
        if self.sources.registries.of(name) is None:
            return f"no registry is configured for the organisation @{name.parts[0]}"
        index = self.index(name)
        if not index:
            return f"there is no package {name} at {self.sources.registries.url(name)}"
        return f"{name} has {_listed(v + (' (yanked)' if p.yanked else '') for v, p in index.items())}"


def _is_same(locked: Locked, url: str) -> bool:
    return isinstance(locked.origin, FromRegistry) and locked.origin.registry == url


def _listed(versions: Iterable[str]) -> str:
    all_ = list(versions)
    shown = all_[-MAX_LISTED:]
    return ("…, " if len(all_) > len(shown) else "") + ", ".join(shown)


def _similar(name: str, refs: Mapping[str, str]) -> str:
    from difflib import get_close_matches

    names = sorted({ref.removeprefix("refs/heads/").removeprefix("refs/tags/") for ref in refs})
    close = get_close_matches(name, names, 3)
    return f"there is {', '.join(f'`{one}`' for one in close)}" if close else ""
