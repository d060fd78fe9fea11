"""What a requirement asks of a package, as a value: a range of versions, a reference of git, or a hash."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dolbuild.packages.evaluate import show
from dolbuild.packages.name import Kind, PackageName
from dolbuild.packages.version import is_requirement

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_REF = 200


class RefKind(StrEnum):
    """What a name in a repository may be. ANY: a commit in full, else a tag, else a branch."""

    ANY = "any"
    BRANCH = "branch"
    TAG = "tag"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class Versions:
    """A range of versions; of a git package, of its tags ``1.2.3`` and ``v1.2.3``."""

    text: str

    def __str__(self) -> str:
        return f'"{self.text}"'


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch, tag or commit."""

    name: str
    kind: RefKind = RefKind.ANY

    def __str__(self) -> str:
        return f'"{self.name}"' if self.kind is RefKind.ANY else f'{{ {self.kind}: "{self.name}" }}'


@dataclass(frozen=True, slots=True)
class Hash:
    """The SHA-256 of a file."""

    sha256: str

    def __str__(self) -> str:
        return f'{{ sha256: "{self.sha256}" }}'


Wanted = Versions | Ref | Hash


class WrongRequirement(ValueError):
    """A requirement that cannot be understood; *hint* says what can be written."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_wanted(name: PackageName, value: Any) -> Wanted:
    """The value of a ``requires`` entry. Raises WrongRequirement."""
    match name.kind:
        case Kind.REGISTRY:
            if isinstance(value, str) and is_requirement(value):
                return Versions(value)
            hint = 'write "^1.0", "~1.2", "=1.2.3" or ">=1.0, <3"'
            raise WrongRequirement(f"{show(value)} is no requirement on versions", hint)
        case Kind.GIT:
            return _git(value)
        case Kind.HTTPS:
            if isinstance(value, dict) and set(value) == {"sha256"} and isinstance(value["sha256"], str):
                if _DIGEST.fullmatch(value["sha256"].lower()):
                    return Hash(value["sha256"].lower())
            hint = 'write { sha256: "…" } with its 64 digits; `dolbuild add` finds them'
            raise WrongRequirement(f"{show(value)} does not pin the file", hint)


def _git(value: Any) -> Wanted:
    hint = 'write a branch, a tag, a whole commit, or { tag: "v1.0.0" }'
    if isinstance(value, str):
        if value[:1] in ("^", "~", "=", "<", ">") and is_requirement(value):
            return Versions(value)
        return _ref(value, RefKind.COMMIT if _COMMIT.fullmatch(value) else RefKind.ANY, hint)
    if isinstance(value, dict) and len(value) == 1:
        kind, name = next(iter(value.items()))
        if kind == "version" and isinstance(name, str) and is_requirement(name):
            return Versions(name)
        if kind in ("branch", "tag", "commit") and isinstance(name, str):
            return _ref(name, RefKind(kind), hint)
    raise WrongRequirement(f"{show(value)} names nothing in a repository", hint)


def _ref(name: str, kind: RefKind, hint: str) -> Ref:
    if kind is RefKind.COMMIT and _COMMIT.fullmatch(name) is None:
        raise WrongRequirement(
            f"{show(name)} is no commit", "write all of its 40 digits; a part of them may become another"
        )
    wrong = (
        len(name) > _MAX_REF
        or _REF.fullmatch(name) is None
        or ".." in name
        or "//" in name
        or name.endswith(("/", ".", ".lock"))
        or "/." in name
    )
    if wrong:
        raise WrongRequirement(f"{show(name)} is no name of a branch or a tag", hint)
    return Ref(name, kind)


def wanted_json(wanted: Wanted) -> Any:
    """As an index and a manifest write it: a text, or a record."""
    match wanted:
        case Versions(text):
            return text
        case Ref(name, kind):
            return name if kind is RefKind.ANY else {str(kind): name}
        case Hash(sha256):
            return {"sha256": sha256}
