"""Names of packages, by where they come from (specification, "Import Sources").

======================================  ==========================================================
``@org/name``                           a registry: two words
``@git:host[:port]/org/repo[/folder]``  a git repository; a part that ends in ``.git`` ends its path
``@https://host/path/file.dol``         one file
======================================  ==========================================================

What a name is made of becomes parts of paths and arguments of programs, so nothing else gets through here.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlsplit

_REGISTRY = re.compile(r"@(?P<organisation>[a-z][a-z0-9]*(?:-[a-z0-9]+)*)/(?P<name>[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*)")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_GIT_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MAX_LENGTH = 512
_MAX_PART = 64


class Kind(StrEnum):
    """Where a package comes from."""

    REGISTRY = "registry"
    GIT = "git"
    HTTPS = "https"


class WrongName(ValueError):
    """This is no name of a package; the message says why."""


@dataclass(frozen=True, slots=True)
class PackageName:
    """A name that was looked at. *text* is as it was written, *id* is what it is in a build: two spellings of one
    package have one id, and an id has no character that means something in the name of a symbol."""

    kind: Kind
    text: str
    id: str
    parts: tuple[str, ...]
    """Registry: (organisation, name). Git: (host, path of the repository, folder in it or ``""``). Https: (URL,)."""

    def __str__(self) -> str:
        return self.text


def parse_name(text: str) -> PackageName:
    """A package's name. Raises WrongName."""
    if len(text) > _MAX_LENGTH:
        raise WrongName("this name is too long")
    if text.startswith("@git:"):
        return _git(text)
    if text.startswith("@https://"):
        return _https(text)
    found = _REGISTRY.fullmatch(text)
    if found is None or max(map(len, found.groups())) > _MAX_PART:
        raise WrongName("a package is named @organisation/name, in lower-case letters, digits and hyphens")
    return PackageName(Kind.REGISTRY, text, text, found.group("organisation", "name"))


def _git(text: str) -> PackageName:
    host, *parts = text.removeprefix("@git:").split("/")
    if _HOST.fullmatch(host) is None or ".." in host:
        raise WrongName("a git package names a host: @git:host/organisation/repository")
    if not all(_GIT_PART.fullmatch(part) for part in parts):
        raise WrongName("the path of a repository has letters, digits, `_`, `-` and `.`")
    marked = [i for i, part in enumerate(parts) if part.endswith(".git")]
    end = marked[0] + 1 if marked else 2
    if len(parts) < min(end, 2):
        raise WrongName("a git package names a repository: @git:host/organisation/repository")
    path = "/".join(parts[:end]).removesuffix(".git")
    folder = "/".join(parts[end:])
    if path.endswith("/") or not path:
        raise WrongName("this names no repository")
    nested = marked and end != 2
    id_ = f"@git:{host.lower()}/{path}{'.git' if nested else ''}{'/' + folder if folder else ''}"
    return PackageName(Kind.GIT, text, id_, (host.lower(), path, folder))


def _https(text: str) -> PackageName:
    url = text.removeprefix("@")
    try:
        split = urlsplit(url)
    except ValueError:
        raise WrongName("this is no https address") from None
    if split.username is not None or split.password is not None:
        raise WrongName("an address carries no user and no password; give them by netrc")
    if _HOST.fullmatch(split.netloc) is None or not url.isascii() or not url.isprintable():
        raise WrongName("this is no https address")
    if not split.path.endswith(".dol") or split.fragment:
        raise WrongName("an https package is one file: @https://host/path/file.dol")
    id_ = "@https://" + split.netloc.lower() + quote(url[len("https://") + len(split.netloc) :], safe="/%._~-@+")
    return PackageName(Kind.HTTPS, text, id_, (url,))
