"""Publishing: writing an archive and a line of the index, to a folder or to a WebDAV server.

The archive comes first and the line that names it last, so that nobody is told of what is not there yet. Two who publish
at the same time are kept apart: by a lock on the folder, or on a server by a collection that only one can create
(``MKCOL`` of ``index/<organisation>/<name>.lock``).
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from dolbuild.files import write_atomic
from dolbuild.packages import index
from dolbuild.packages.download import Response, shown
from dolbuild.packages.index import Published
from dolbuild.packages.name import PackageName
from dolbuild.packages.problem import UNREACHABLE, WRONG_INDEX, problem
from dolbuild.packages.registry import MAX_INDEX, FileRegistry, HttpRegistry, archive_path, index_path
from dolbuild.packages.version import version_key

REFUSED = "E1008"
"""What may not be published."""

Edit = Callable[[dict[str, Published]], None]


class Target(Protocol):
    """A registry that can be written to."""

    def edit(self, name: PackageName, change: Edit, archive: tuple[str, bytes] | None) -> None:
        """Change the index of a package while no one else does, after writing the *archive* of a version. Raises
        DiagnosticError."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version that is about to be published."""

    name: PackageName
    published: Published
    archive: bytes


def publish(release: Release, target: Target) -> None:
    """Publish a version that the registry does not have. Raises DiagnosticError."""
    version = release.published.version

    def add(versions: dict[str, Published]) -> None:
        if version in versions:
            message = f"{release.name} {version} was published already"
            raise problem(REFUSED, message, "a version never changes; raise it in the Spirit.dol")
        versions[version] = release.published

    target.edit(release.name, add, (version, release.archive))


def yank(name: PackageName, version: str, target: Target, *, undo: bool = False) -> None:
    """Mark a version as one that nobody should choose any more. Who has locked it still gets it. Raises DiagnosticError."""

    def mark(versions: dict[str, Published]) -> None:
        if version not in versions:
            raise problem(REFUSED, f"{name} {version} was never published")
        versions[version] = replace(versions[version], yanked=not undo)

    target.edit(name, mark, None)


def _encode(name: PackageName, versions: Mapping[str, Published]) -> bytes:
    ordered = sorted(versions, key=version_key)
    return "".join(index.encode(name.text, versions[version]) for version in ordered).encode()


def _decode(name: PackageName, text: str, where: str) -> dict[str, Published]:
    try:
        return index.decode(text, name.text)
    except index.WrongIndex as error:
        raise problem(WRONG_INDEX, f"the index of {name} at {where} cannot be used: {error}") from None


class FolderTarget:
    """A registry in a folder."""

    def __init__(self, files: FileRegistry) -> None:
        self.files = files

    def edit(self, name: PackageName, change: Edit, archive: tuple[str, bytes] | None) -> None:
        folder = self.files.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                text = self.files.read_index(name)
                versions = _decode(name, text or "", str(folder))
                change(versions)
                if archive is not None:
                    write_atomic(folder / archive_path(name, archive[0]), archive[1])
                write_atomic(folder / index_path(name), _encode(name, versions))
        except OSError as error:
            raise problem(UNREACHABLE, f"the registry {folder} cannot be written: {error.strerror or error}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self.files.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


class ServerTarget:
    """A registry behind a WebDAV server."""

    def __init__(self, registry: HttpRegistry) -> None:
        self.registry = registry

    def edit(self, name: PackageName, change: Edit, archive: tuple[str, bytes] | None) -> None:
        path = index_path(name)
        lock = path.removesuffix(".jsonl") + ".lock/"
        self._collections(path)
        answer = self._send("MKCOL", lock)
        if answer.status == 405:
            hint = f"wait for whoever publishes now; if no one does, remove {lock} on the server"
            raise problem(UNREACHABLE, f"{name} at {shown(self.registry.url)} is being published by another", hint)
        self._check(answer, "lock the index")
        try:
            current = self._send("GET", path)
            if current.status not in (200, 404):
                self._check(current, "give the index")
            text = current.body.decode("utf-8", "replace") if current.status == 200 else ""
            versions = _decode(name, text, shown(self.registry.url))
            change(versions)
            if archive is not None:
                self._check(self._send("PUT", archive_path(name, archive[0]), archive[1]), "take the archive")
            etag = current.headers.get("etag")
            condition = {"if-match": etag} if etag and not etag.startswith("W/") else {}
            self._check(self._send("PUT", path, _encode(name, versions), condition), "take the index")
        finally:
            self._send("DELETE", lock)

    def _collections(self, path: str) -> None:
        """Create the folders above a file, as far as they are not there."""
        parts = path.split("/")[:-1]
        for length in range(len(parts) + 1):
            answer = self._send("MKCOL", "".join(f"{part}/" for part in parts[:length]))
            if answer.status != 405:  # it is there
                self._check(answer, "create a folder")

    def _send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Response:
        sent = {**self.registry.headers, **(headers or {})}
        if method == "GET":
            sent["cache-control"] = "no-cache"
        return self.registry.downloader.send(method, self.registry.address(path), MAX_INDEX, sent, body)

    def _check(self, answer: Response, what: str) -> None:
        if 200 <= answer.status < 300:
            return
        hint = "give a token in DOL_REGISTRY_TOKEN_<ORGANISATION>, or a user and password in ~/.netrc"
        message = f"{shown(self.registry.url)} does not {what}: it answers {answer.status}"
        raise problem(UNREACHABLE, message, hint if answer.status in (401, 403) else "")
