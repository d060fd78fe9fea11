"""Publishing: writing an archive and a line of the index, to a folder or to a WebDAV server.

The archive comes first and the line that names it last, so that nobody is told of what is not there yet. Two who publish
at the same time are kept apart: by a lock on the folder, or on a server by a collection that only one can create
(``MKCOL`` of ``index/<organisation>/<name>.lock``).
"""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from dolbuild.diagnostics import DiagnosticError
from dolbuild.files import write_atomic
from dolbuild.packages import index
from dolbuild.packages.download import Response, shown
from dolbuild.packages.index import Published, Row
from dolbuild.packages.name import PackageName
from dolbuild.packages.problem import UNREACHABLE, WRONG_INDEX, problem
from dolbuild.packages.registry import MAX_INDEX, FileRegistry, HttpRegistry, archive_path, credentials_hint, index_path

REFUSED = "E1008"
"""What may not be published."""

Edit = Callable[[list[Row]], None]


class Target(Protocol):
    """A registry that can be written to."""

    def edit(self, name: PackageName, change: Edit, archive: tuple[str, bytes] | None) -> None:
        """Change the index of a package while no one else does, after writing the *archive* of a version. Raises
        DiagnosticError."""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that is about to be published."""

    name: PackageName
    published: Published
    archive: bytes


def already(name: PackageName, version: str) -> DiagnosticError:
    """The error for a version that is there."""
    message = f"{name} {version} was published already"
    return problem(REFUSED, message, "a version never changes; raise it in the Spirit.dol")


def publish(new: NewVersion, target: Target) -> None:
    """Publish a version that the registry does not have. Raises DiagnosticError."""
    version = new.published.version

    def add(rows: list[Row]) -> None:
        if any(row.get("version") == version for row in rows):
            raise already(new.name, version)
        rows.append(index.to_row(new.name.text, new.published))

    target.edit(new.name, add, (version, new.archive))


def yank(name: PackageName, version: str, target: Target, *, undo: bool = False) -> None:
    """Mark a version as one that nobody should choose any more. Who has locked it still gets it. Raises DiagnosticError."""

    def mark(rows: list[Row]) -> None:
        found = [row for row in rows if row.get("version") == version]
        if not found:
            raise problem(REFUSED, f"{name} {version} was never published")
        for row in found:
            row["yanked"] = not undo

    target.edit(name, mark, None)


def _changed(name: PackageName, text: str, where: str, change: Edit) -> bytes:
    """The text of an index after a change. What is in it and nobody here knows stays. Raises DiagnosticError."""
    try:
        index.decode(text, name.text)
        rows = index.rows(text)
    except index.WrongIndex as error:
        raise problem(WRONG_INDEX, f"the index of {name} at {where} cannot be used: {error}") from None
    change(rows)
    return index.text_of(rows).encode()


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
                data = _changed(name, text or "", str(folder), change)
                if archive is not None:
                    write_atomic(folder / archive_path(name, archive[0]), archive[1])
                write_atomic(folder / index_path(name), data)
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
            self._edit(name, path, change, archive)
        except BaseException:
            self._unlock(lock)
            raise
        if not self._unlock(lock):
            sys.stderr.write(
                f"warning: {lock} is left on {shown(self.registry.url)}; remove it before the next version\n"
            )

    def _edit(self, name: PackageName, path: str, change: Edit, archive: tuple[str, bytes] | None) -> None:
        current = self._send("GET", path)
        if current.status not in (200, 404, 410):
            self._check(current, "give the index")
        text = current.body.decode("utf-8", "replace") if current.status == 200 else ""
        data = _changed(name, text, shown(self.registry.url), change)
        if archive is not None:
            where = archive_path(name, archive[0])
            self._collections(where)
            self._check(self._send("PUT", where, archive[1]), "take the archive")
        etag = current.headers.get("etag", "W/")
        condition = {"if-match": etag} if etag.isascii() and not etag.startswith("W/") else {}
        self._check(self._send("PUT", path, data, condition), "take the index")

    def _unlock(self, lock: str) -> bool:
        try:
            return 200 <= self._send("DELETE", lock).status < 300
        except DiagnosticError:
            return False

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
        message = f"{shown(self.registry.url)} does not {what}: it answers {answer.status}"
        hint = credentials_hint(self.registry.url) if answer.status in (401, 403) else ""
        raise problem(UNREACHABLE, message, hint)
