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
    for number, line in enumerate(text.splitlines(), 1):
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


def encode(package: str, published: Published) -> str:
    """One line, with its newline."""
    requires = {name.text: wanted_json(wanted) for name, wanted in published.requires}
    value = {
        "format": FORMAT, "name": package, "version": published.version, "requires": requires, "sha256": published.sha256,
        "tree": published.tree, "yanked": published.yanked,
    }  # fmt: skip
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")) + "\n"
