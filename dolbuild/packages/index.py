"""The index of a package: a JSON line for each version that was published (``docs/registry.md``)."""

import json
import re
from dataclasses import dataclass
from typing import Any

from dolbuild.packages.name import Kind, PackageName, WrongName, parse_name
from dolbuild.packages.version import is_version, version_key
from dolbuild.packages.wanted import Wanted, WrongRequirement, parse_wanted, wanted_json

FORMAT = 1
MAX_VERSIONS = 20_000
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Published:
    """One version of a package. *sha256* is the archive's digest, *tree* that of the files in it."""

    version: str
    sha256: str
    tree: str
    requires: tuple[tuple[PackageName, Wanted], ...] = ()
    yanked: bool = False


class WrongIndex(ValueError):
    """The text is no index of this package; the message says where and why."""


def decode(text: str, package: str) -> dict[str, Published]:
    """All versions, the oldest first. Lines of a later format are left out. Raises WrongIndex."""
    found: dict[str, Published] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError("it is no object")
            if value.get("format", FORMAT) != FORMAT:
                continue
            published = _published(value, package)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
            raise WrongIndex(f"line {number}: {reason}") from None
        if published.version in found:
            raise WrongIndex(f"line {number}: version {published.version} is there twice")
        if len(found) >= MAX_VERSIONS:
            raise WrongIndex(f"it has more than {MAX_VERSIONS} versions")
        found[published.version] = published
    return {version: found[version] for version in sorted(found, key=version_key)}


def _published(value: dict[str, Any], package: str) -> Published:
    if value["name"] != package:
        raise ValueError(f"it is about {str(value['name'])[:80]!r}")
    version = value["version"]
    if not isinstance(version, str) or not is_version(version):
        raise ValueError(f"{str(version)[:80]!r} is no version")
    for field in ("sha256", "tree"):
        if not isinstance(value[field], str) or _DIGEST.fullmatch(value[field]) is None:
            raise ValueError(f"`{field}` of {version} is no digest")
    if not isinstance(value["requires"], dict) or not isinstance(value.get("yanked", False), bool):
        raise ValueError("`requires` is an object, and `yanked` is true or false")
    requires: list[tuple[PackageName, Wanted]] = []
    for text, wanted in value["requires"].items():
        try:
            required = parse_name(text)
            parsed = parse_wanted(required, wanted)
        except (WrongName, WrongRequirement) as error:
            raise ValueError(f"{version} requires {text[:80]!r}: {error}") from None
        if required.kind is Kind.GIT:
            raise ValueError(f"{version} requires {text[:80]!r}: a published package requires published ones")
        requires.append((required, parsed))
    return Published(version, value["sha256"], value["tree"], tuple(requires), value.get("yanked") is True)


Row = dict[str, Any]
"""A line of an index, with whatever it has."""


def rows(text: str) -> list[Row]:
    """The lines of an index that was decoded without an error, those of other formats too."""
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def to_row(package: str, published: Published) -> Row:
    """What is written of a version."""
    requires = {name.text: wanted_json(wanted) for name, wanted in published.requires}
    return {
        "format": FORMAT, "name": package, "version": published.version, "requires": requires, "sha256": published.sha256,
        "tree": published.tree, "yanked": published.yanked,
    }  # fmt: skip


def text_of(lines: list[Row]) -> str:
    """The text of an index, in the order of versions."""

    def order(row: Row) -> tuple[int, Any]:
        version = row.get("version")
        return (0, version_key(version)) if isinstance(version, str) and is_version(version) else (1, str(version))

    return "".join(
        json.dumps(row, sort_keys=True, ensure_ascii=True, separators=(",", ":")) + "\n"
        for row in sorted(lines, key=order)
    )
