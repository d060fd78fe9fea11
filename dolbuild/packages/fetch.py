"""From an entry of the lock to a tree on this machine, whose digest is the one that was locked.

::

    ~/.dol/cache/trees/<organisation>/<name>/<version>-<tree>     from a registry
    ~/.dol/git/trees/<host>/<repository>/<commit>-<tree>          from git
    ~/.dol/http/<sha256>                                          a single file

A tree has its digest in its name, so two workspaces with two registries never see each other's packages.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dolbuild.packages.archive import unpack
from dolbuild.packages.candidate import FromGit, FromHttps, FromRegistry
from dolbuild.packages.download import Downloader, shown
from dolbuild.packages.git import Git
from dolbuild.packages.lockfile import Locked
from dolbuild.packages.manifest import SPIRIT_FILE, Manifest, read_manifest
from dolbuild.packages.problem import NOT_FOUND, UNREACHABLE, WRONG_CONTENT, WRONG_INDEX, problem
from dolbuild.packages.registry import Registries
from dolbuild.packages.tree import WrongTree, install, is_intact, listing_digest, tree_digest
from dolbuild.source import SourceFile
from dolbuild.syntax.parser import parse

MAX_FILE = 16 << 20
"""Bytes of a single file that is fetched over https."""

FILE_MODULE = "src/lib.dol"
"""Where the file of an ``@https:`` package stands in its tree."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where packages are got from. *home* is ``~/.dol``; *vendor* the folder of vendored packages, which come before the
    network."""

    home: Path
    vendor: Path
    registries: Registries
    git: Git
    downloader: Downloader

    @property
    def requests(self) -> int:
        """How often the network was asked."""
        return self.downloader.requests + self.git.requests

    def close(self) -> None:
        self.downloader.close()


def digest_of(locked: Locked) -> str:
    """The digest of a package's tree."""
    if isinstance(locked.origin, FromHttps):
        return listing_digest({FILE_MODULE: locked.origin.sha256})
    return locked.tree


def place_of(locked: Locked, home: Path) -> Path:
    """Where the tree of a package is, or will be."""
    short = locked.tree[:16]
    match locked.origin:
        case FromRegistry():
            organisation, name = locked.name.parts
            return home / "cache" / "trees" / organisation / name / f"{locked.version}-{short}"
        case FromGit(host=host, path=path, commit=commit):
            return home / "git" / "trees" / host.replace(":", "_") / path / f"{commit}-{short}"
        case FromHttps(sha256=sha256):
            return home / "http" / sha256


def vendored_name(locked: Locked) -> str:
    """The folder of a vendored package, below the folder of all of them."""
    match locked.origin:
        case FromRegistry():
            return "/".join(locked.name.parts)
        case FromGit(commit=commit):
            return f"git/{locked.name.parts[1].rpartition('/')[2]}-{commit[:10]}-{locked.tree[:16]}"
        case FromHttps(sha256=sha256):
            return f"http/{sha256}"


def is_fetched(locked: Locked, home: Path) -> bool:
    """Whether the tree of a package is here and is what it should be."""
    return is_intact(place_of(locked, home), digest_of(locked))


def fetch(locked: Locked, sources: Sources) -> Path:
    """Have the tree of a package here. Raises DiagnosticError, and leaves nothing behind then."""
    folder = place_of(locked, sources.home)
    if is_fetched(locked, sources.home):
        return folder
    files = _vendored(locked, sources.vendor)
    if files is None:
        files = download(locked, sources)
    store(locked, files, sources.home)
    return folder


def store(locked: Locked, files: Mapping[str, bytes], home: Path) -> None:
    """Put the files of a package in their place. Raises DiagnosticError where they are not what was locked, or the disk takes
    no more."""
    found = tree_digest(files)
    if found != digest_of(locked):
        message = f"the files of {locked.name} are not those that were locked"
        hint = "if the change is meant, `dolbuild update` locks it anew"
        notes = (f"the digest of the files is {found}", f"dol.lock has {digest_of(locked)}")
        raise problem(WRONG_CONTENT, message, hint, *notes)
    try:
        install(place_of(locked, home), files, digest_of(locked))
    except OSError as error:
        raise problem(UNREACHABLE, f"{locked.name} cannot be stored in {home}: {error.strerror or error}") from None


def _vendored(locked: Locked, vendor: Path) -> dict[str, bytes] | None:
    folder = vendor / vendored_name(locked)
    if not folder.is_dir() or not is_intact_vendored(folder, digest_of(locked)):
        return None
    return _read_all(folder)


def is_intact_vendored(folder: Path, digest: str) -> bool:
    """Whether a vendored folder holds just the files of the digest."""
    try:
        return tree_digest(_read_all(folder)) == digest
    except OSError:
        return False


def _read_all(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def download(locked: Locked, sources: Sources) -> dict[str, bytes]:
    """The files of a package from where it comes from. Raises DiagnosticError."""
    match locked.origin:
        case FromRegistry(sha256=sha256):
            return _from_registry(locked, sha256, sources.registries)
        case FromGit(host=host, path=path, folder=folder, commit=commit):
            sources.git.fetch(host, path, commit)
            return sources.git.files(host, path, commit, folder)
        case FromHttps(url=url, sha256=sha256):
            return {FILE_MODULE: _from_https(url, sha256, sources.downloader)}


def _from_registry(locked: Locked, sha256: str, registries: Registries) -> dict[str, bytes]:
    registry = registries.of(locked.name)
    if registry is None:
        message = f"no registry is configured for {locked.name}"
        raise problem(NOT_FOUND, message, f'dolbuild.toml: [registries] {locked.name.parts[0]} = "https://…"')
    archive = registry.archive(locked.name, locked.version, sha256)
    try:
        files = unpack(archive)
    except WrongTree as error:
        message = f"the archive of {locked.name} {locked.version} is no package: {error}"
        raise problem(WRONG_CONTENT, message) from None
    check_published(locked, files)
    return files


def check_published(locked: Locked, files: Mapping[str, bytes]) -> None:
    """Compare what an index says of a version with what the package says itself. Raises DiagnosticError."""
    what = f"{locked.name} {locked.version}"
    manifest = manifest_of(files, what)
    if (manifest.name, manifest.version) != (locked.name.parts[1], locked.version):
        message = f"the archive of {what} holds `{manifest.name}` {manifest.version}"
        raise problem(WRONG_INDEX, message)
    said = {(name.id, str(wanted)) for name, wanted in locked.requires}
    meant = {(one.name.id, str(one.wanted)) for one in manifest.requires}
    if said != meant:
        differing = ", ".join(f"{id_} {wanted}" for id_, wanted in sorted(said ^ meant))
        raise problem(
            WRONG_INDEX, f"the index says of {what} that it requires something else", "", f"differing: {differing}"
        )


def manifest_of(files: Mapping[str, bytes], what: str) -> Manifest:
    """The manifest of a package by its files. Raises DiagnosticError where it cannot be used."""
    try:
        text = files[SPIRIT_FILE].decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        raise problem(WRONG_CONTENT, f"{what} has no {SPIRIT_FILE} that can be read") from None
    read = read_manifest(parse(SourceFile(f"{what}/{SPIRIT_FILE}", text)))
    if read.manifest is None:
        reason = next((d.message for d in read.diagnostics), "it declares nothing")
        raise problem(WRONG_CONTENT, f"the {SPIRIT_FILE} of {what} cannot be used: {reason}")
    return read.manifest


def _from_https(url: str, sha256: str, downloader: Downloader) -> bytes:
    answer = downloader.get(url, MAX_FILE)
    if answer.status != 200:
        raise problem(
            NOT_FOUND if answer.status in (404, 410) else UNREACHABLE, f"{shown(url)} answers {answer.status}"
        )
    found = hashlib.sha256(answer.body).hexdigest()
    if found != sha256:
        message = f"{shown(url)} is not the file that is required"
        hint = f'if the change is meant, require {{ sha256: "{found}" }}'
        raise problem(WRONG_CONTENT, message, hint, f"its SHA-256 is {found}", f"it should be {sha256}")
    return answer.body
