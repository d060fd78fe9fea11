"""``dol.lock``: which versions of which packages a workspace is built from.

TOML with one line for each package, sorted by name, so that two branches that add different packages merge by lines::

    version = 1

    [packages]
    "@acme/base" = { version = "1.2.0", registry = "https://…", sha256 = "…", tree = "…", requires = ["@acme/core ^1.0"] }
    "@git:host/o/r" = { version = "0.3.0", commit = "…", wanted = ["main"], tree = "…", requires = [] }
    "@https://host/u.dol" = { sha256 = "…" }

*sha256* is the digest of what is downloaded, *tree* that of the files in it (`dolbuild.packages.tree`), *commit* that of
git. *requires* is what the package asks for, so that it can be told without the package whether the lock still fits.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dolbuild.packages.candidate import FromGit, FromHttps, FromRegistry
from dolbuild.packages.name import Kind, PackageName, WrongName, parse_name
from dolbuild.packages.version import is_version
from dolbuild.packages.wanted import Wanted, WrongRequirement, parse_wanted, wanted_json

LOCK_FILE = "dol.lock"
FORMAT = 1
_HEAD = """# Written by `dolbuild lock`; keep it under version control. `dolbuild update` looks for newer versions.
"""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class WrongLock(Exception):
    """This is no lock that can be used; the message says why, *line* where."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock. *tree* is the digest of its files; *wanted* are the references of git that meant this commit
    when it was chosen."""

    name: PackageName
    version: str
    origin: FromRegistry | FromGit | FromHttps
    tree: str
    requires: tuple[tuple[PackageName, Wanted], ...] = ()
    wanted: tuple[Wanted, ...] = ()

    @property
    def id(self) -> str:
        return self.name.id


@dataclass(frozen=True, slots=True)
class Lock:
    """All packages by id."""

    packages: Mapping[str, Locked] = field(default_factory=dict)


def encode(lock: Lock) -> str:
    """The text of a lock: the same for the same packages."""
    lines = [_HEAD, f"version = {FORMAT}\n", "\n", "[packages]\n"]
    for id_ in sorted(lock.packages):
        locked = lock.packages[id_]
        fields = ", ".join(f"{key} = {_toml(value)}" for key, value in _fields(locked).items())
        lines.append(f"{_toml(locked.name.text)} = {{ {fields} }}\n")
    return "".join(lines)


def _fields(locked: Locked) -> dict[str, Any]:
    requires = sorted(_requirement_text(name, wanted) for name, wanted in locked.requires)
    match locked.origin:
        case FromRegistry(registry, sha256):
            return {
                "version": locked.version, "registry": registry, "sha256": sha256, "tree": locked.tree,
                "requires": requires,
            }  # fmt: skip
        case FromGit(commit=commit):
            wanted = sorted(json.dumps(wanted_json(one), ensure_ascii=False) for one in locked.wanted)
            return {
                "version": locked.version, "commit": commit, "wanted": wanted, "tree": locked.tree,
                "requires": requires,
            }  # fmt: skip
        case FromHttps(_, sha256):
            return {"sha256": sha256}


def _requirement_text(name: PackageName, wanted: Wanted) -> str:
    return f"{name.text} {json.dumps(wanted_json(wanted), ensure_ascii=False)}"


def _toml(value: Any) -> str:
    """A text or a list of texts; what JSON writes of those is TOML."""
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=True)


def decode(text: str) -> Lock:
    """The inverse of `encode`. Raises WrongLock."""
    if re.search(r"^(<{7}|={7}|>{7})", text, re.MULTILINE):
        raise WrongLock("it holds the marks of a merge conflict")
    try:
        value = tomllib.loads(text)
    except RecursionError:
        raise WrongLock("it is no TOML: it nests too deep") from None
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        raise WrongLock(f"it is no TOML: {error}", int(found[1]) if found else 1) from None
    if value.get("version") != FORMAT:
        raise WrongLock(f"its version is {value.get('version')!r}, this dolbuild reads {FORMAT}")
    packages = value.get("packages", {})
    if not isinstance(packages, dict):
        raise WrongLock("`packages` is a table")
    found_packages: dict[str, Locked] = {}
    for name, entry in packages.items():
        try:
            locked = _locked(name, entry)
        except (WrongName, WrongRequirement, KeyError, TypeError, ValueError, RecursionError) as error:
            line = next((i for i, one in enumerate(text.split("\n"), 1) if one.startswith(_toml(name))), 1)
            reason = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
            raise WrongLock(f"its entry {name} cannot be used: {reason}", line) from None
        found_packages[locked.id] = locked
    return Lock(found_packages)


def _locked(text: str, entry: dict[str, Any]) -> Locked:
    name = parse_name(text)
    if not isinstance(entry, dict):
        raise ValueError("it is a table")
    if name.kind is Kind.HTTPS:
        sha256 = _matching(_DIGEST, entry["sha256"])
        return Locked(name, "", FromHttps(name.parts[0], sha256), "")
    version = entry["version"]
    if not isinstance(version, str) or not is_version(version):
        raise ValueError(f"{version!r} is no version")
    requires = tuple(_requirement(one) for one in entry["requires"])
    tree = _matching(_DIGEST, entry["tree"])
    if name.kind is Kind.GIT:
        host, path, folder = name.parts
        commit = _matching(_COMMIT, entry["commit"])
        wanted = tuple(parse_wanted(name, json.loads(one)) for one in entry["wanted"])
        return Locked(name, version, FromGit(host, path, folder, commit), tree, requires, wanted)
    registry = entry["registry"]
    if not isinstance(registry, str):
        raise ValueError("`registry` is a text")
    origin = FromRegistry(registry, _matching(_DIGEST, entry["sha256"]))
    return Locked(name, version, origin, tree, requires)


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no digest")
    return value


def _requirement(text: Any) -> tuple[PackageName, Wanted]:
    if not isinstance(text, str):
        raise ValueError("`requires` is a list of texts")
    name, _, value = text.partition(" ")
    parsed = parse_name(name)
    return parsed, parse_wanted(parsed, json.loads(value))
