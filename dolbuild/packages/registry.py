"""Registries: plain files behind any HTTP server, or in a folder (``docs/registry.md``).

::

    <registry>/index/<organisation>/<name>.jsonl
    <registry>/packages/<organisation>/<name>/<version>.tar.gz

Each organisation has one registry and is asked for nowhere else: a package of a private name cannot be taken from a
public registry because the private one does not know it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from dolbuild.files import write_atomic
from dolbuild.packages import index
from dolbuild.packages.archive import MAX_ARCHIVE
from dolbuild.packages.credentials import authorization, token_variable
from dolbuild.packages.download import Downloader, shown
from dolbuild.packages.index import Published, WrongIndex
from dolbuild.packages.name import PackageName
from dolbuild.packages.problem import NOT_FOUND, OFFLINE_HINT, UNREACHABLE, WRONG_CONTENT, WRONG_INDEX, problem

MAX_INDEX = 8 << 20
MAX_CACHED = 64 << 20
"""Bytes of all indexes that are kept; those that were not used for longest go first."""


def index_path(name: PackageName) -> str:
    """Where a package's index is, below its registry."""
    organisation, package = name.parts
    return f"index/{organisation}/{package}.jsonl"


def archive_path(name: PackageName, version: str) -> str:
    """Where the archive of a version is, below its registry."""
    organisation, package = name.parts
    return f"packages/{organisation}/{package}/{version}.tar.gz"


class Files(Protocol):
    """Where a registry's files are."""

    def read_index(self, name: PackageName) -> str | None:
        """The text of a package's index, or None where the registry does not know the package. Raises DiagnosticError."""

    def read_archive(self, name: PackageName, version: str) -> bytes:
        """The archive of a version. Raises DiagnosticError."""


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry by its address."""

    url: str
    files: Files

    def versions(self, name: PackageName) -> dict[str, Published] | None:
        """What is published of a package, the oldest first, or None. Raises DiagnosticError."""
        text = self.files.read_index(name)
        if text is None:
            return None
        try:
            return index.decode(text, name.text)
        except WrongIndex as error:
            message = f"the index of {name} at {shown(self.url)} cannot be used: {error}"
            raise problem(WRONG_INDEX, message) from None

    def archive(self, name: PackageName, version: str, sha256: str) -> bytes:
        """The archive of a version, which has the digest that it should have. Raises DiagnosticError."""
        data = self.files.read_archive(name, version)
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            message = f"the archive of {name} {version} at {shown(self.url)} is not the one that was published"
            raise problem(WRONG_CONTENT, message, "", f"its SHA-256 is {found}", f"it should be {sha256}")
        return data


class FileRegistry:
    """A registry in a folder. *created*: it may come into being by what is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.created = False

    def read_index(self, name: PackageName) -> str | None:
        if not self.folder.is_dir():
            if self.created:
                return None
            raise problem(UNREACHABLE, f"the registry {self.folder} is no folder")
        try:
            data = _bounded(self.folder / index_path(name), MAX_INDEX)
            return None if data is None else data.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise problem(WRONG_INDEX, f"the index of {name} cannot be read: {error}") from None

    def read_archive(self, name: PackageName, version: str) -> bytes:
        try:
            data = _bounded(self.folder / archive_path(name, version), MAX_ARCHIVE)
        except OSError as error:
            raise problem(NOT_FOUND, f"the archive of {name} {version} cannot be read: {error.strerror}") from None
        if data is None and not self.folder.is_dir():
            raise problem(UNREACHABLE, f"the registry {self.folder} is no folder")
        if data is None:
            raise problem(NOT_FOUND, f"the registry has no archive of {name} {version}")
        return data


def _bounded(path: Path, limit: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        return None
    if len(data) > limit:
        raise OSError(27, f"it is larger than {limit >> 20} MiB")
    return data


class HttpRegistry:
    """A registry behind an HTTP server. Indexes are kept with what the server needs to say that they are still good."""

    def __init__(self, url: str, downloader: Downloader, cache: Path, environment: Mapping[str, str]) -> None:
        self.url = url.rstrip("/")
        self.downloader = downloader
        self.headers = authorization(url, environment)
        self.cache = cache / hashlib.sha256(self.url.encode()).hexdigest()[:16]

    def address(self, path: str) -> str:
        """The URL of a file of the registry."""
        return f"{self.url}/{quote(path, safe='/')}"

    def read_index(self, name: PackageName) -> str | None:
        kept = self.cache / index_path(name)
        known = _read_kept(kept)
        if self.downloader.offline:
            if known is None:
                raise problem(UNREACHABLE, f"the index of {name} is not known here", OFFLINE_HINT)
            return known["body"]
        conditions: dict[str, str] = {}
        if known is not None:
            conditions = {k: known[k] for k in ("if-none-match", "if-modified-since") if known.get(k)}
        answer = self.downloader.get(self.address(index_path(name)), MAX_INDEX, self.headers | conditions)
        if answer.status == 304 and known is not None:
            _touch(kept)
            return known["body"]
        if answer.status in (404, 410):
            return None
        self._check(answer.status, f"the index of {name}")
        try:
            body = answer.body.decode()
        except UnicodeDecodeError:
            raise problem(WRONG_INDEX, f"the index of {name} at {shown(self.url)} is no text") from None
        keep = {"body": body}
        for header, condition in (("etag", "if-none-match"), ("last-modified", "if-modified-since")):
            if answer.headers.get(header, "\xff").isascii():
                keep[condition] = answer.headers[header]
        try:
            write_atomic(kept, json.dumps(keep).encode())
        except OSError:
            pass  # it is asked for again
        return body

    def read_archive(self, name: PackageName, version: str) -> bytes:
        answer = self.downloader.get(self.address(archive_path(name, version)), MAX_ARCHIVE, self.headers)
        if answer.status in (404, 410):
            raise problem(NOT_FOUND, f"{shown(self.url)} has no archive of {name} {version}")
        self._check(answer.status, f"the archive of {name} {version}")
        return answer.body

    def _check(self, status: int, what: str) -> None:
        if status in (401, 403):
            hint = credentials_hint(self.url)
            raise problem(UNREACHABLE, f"{shown(self.url)} does not give {what}: it answers {status}", hint)
        if status != 200:
            raise problem(UNREACHABLE, f"{shown(self.url)} does not give {what}: it answers {status}")


def credentials_hint(url: str) -> str:
    """How to say who one is to a registry."""
    return f"give a token in {token_variable(urlsplit(url).hostname or '')}, or a user and password in ~/.netrc"


def _read_kept(path: Path) -> dict[str, str] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    whole = isinstance(value, dict) and all(isinstance(v, str) for v in value.values()) and "body" in value
    return value if whole else None


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:
        pass  # it goes a little earlier than it should


def trim(cache: Path, limit: int = MAX_CACHED) -> None:
    """Remove the indexes that were not used for longest, until what is kept is within its bound."""
    found: list[tuple[float, int, Path]] = []
    try:
        for path in cache.rglob("*.jsonl"):
            stat = path.stat()
            found.append((stat.st_mtime, stat.st_size, path))
        size = sum(one[1] for one in found)
        for _, bytes_, path in sorted(found):
            if size <= limit:
                return
            path.unlink(missing_ok=True)
            size -= bytes_
    except OSError:
        pass  # another process does the same, or nobody may: it is only a cache


class Registries:
    """The registries of a workspace, by organisation. *own* is that of the workspace: what is no member is asked for only where a
    registry is named for it, never in the default one."""

    def __init__(
        self,
        settings: Mapping[str, str],
        own: str,
        root: Path,
        cache: Path,
        downloader: Downloader,
        environment: Mapping[str, str],
    ) -> None:
        self.settings = settings
        self.own = own
        self.root = root
        self.cache = cache / "index"
        self.downloader = downloader
        self.environment = environment
        self._opened: dict[str, Registry] = {}

    def url(self, name: PackageName) -> str | None:
        """The address of the registry that a package comes from, or None where none is configured."""
        organisation = name.parts[0]
        return self.settings.get(organisation, None if organisation == self.own else self.settings.get("default"))

    def of(self, name: PackageName) -> Registry | None:
        """The registry that a package comes from."""
        organisation = name.parts[0] if name.parts[0] in self.settings else ""
        url = self.url(name)
        if url is None:
            return None
        if organisation not in self._opened:
            self._opened[organisation] = Registry(url, self._files(url))
        return self._opened[organisation]

    def _files(self, url: str) -> Files:
        if url.startswith(("https://", "http://")):
            return HttpRegistry(url, self.downloader, self.cache, self.environment)
        return FileRegistry(folder_of(url, self.root))


def folder_of(url: str, root: Path) -> Path:
    """The folder of a ``file://`` address, or of a path relative to the workspace."""
    return Path(unquote(urlsplit(url).path)) if url.startswith("file://") else root / url
