"""Versions and requirements (specification, "Version Specifiers")."""

import re
from functools import lru_cache

import semver

_PART = re.compile(r"(\^|~|=|>=|<=|>|<)?\s*(\d+)(?:\.(\d+))?(?:\.(\d+)([-+][0-9A-Za-z.+-]+)?)?")
_MAX_LENGTH = 128


@lru_cache(maxsize=65536)
def parse_version(text: str) -> semver.Version:
    """A semantic version. Raises ValueError."""
    if len(text) > _MAX_LENGTH or not text.isascii():
        raise ValueError(f"{text[:40]!r} is no version")
    return semver.Version.parse(text)


def is_version(text: str) -> bool:
    """Whether *text* is a semantic version, as ``1.2.3`` or ``1.0.0-rc.1``."""
    try:
        parse_version(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=65536)
def version_key(text: str) -> tuple[semver.Version, str]:
    """What versions are ordered by: precedence, then the build metadata, which semver leaves open."""
    version = parse_version(text)
    return version, version.build or ""


def is_requirement(text: str) -> bool:
    """Whether *text* is a requirement on versions: ``^1.0``, ``~1.2``, ``=1.2.3``, ``>=1.0, <3``."""
    if len(text) > _MAX_LENGTH or not text.isascii():
        return False
    parts = [part.strip() for part in text.split(",")]
    if not all(_PART.fullmatch(part) is not None for part in parts):
        return False
    try:
        satisfies("0.0.0", text)
    except ValueError:
        return False  # a pre-release that is none, as in "1.0.0-01"
    return True


@lru_cache(maxsize=65536)
def satisfies(version: str, requirement: str) -> bool:
    """Whether a version meets a requirement. A pre-release does only where a part of the requirement names one of the same
    numbers. Raises ValueError where the requirement is none."""
    parsed = parse_version(version)
    parts = [_read(part.strip()) for part in requirement.split(",")]
    if parsed.prerelease and not any(
        low.prerelease and low.finalize_version() == parsed.finalize_version() for _, low, _ in parts
    ):
        return False
    return all(_meets(parsed, *part) for part in parts)


def _read(part: str) -> tuple[str, semver.Version, list[int]]:
    """Operator, the version that stands there, and the numbers that were written."""
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError(f"{part!r} is no requirement")
    numbers = [int(number) for number in found.group(2, 3, 4) if number is not None]
    low = parse_version(".".join(map(str, [*numbers, 0, 0][:3])) + (found[5] or ""))
    return found[1] or "^", low, numbers


def _meets(version: semver.Version, operator: str, low: semver.Version, numbers: list[int]) -> bool:
    match operator:
        case "=":
            if low.build is not None and low.build != version.build:
                return False
            return _below(version, numbers) and (len(numbers) < 3 or version.prerelease == low.prerelease)
        case ">=":
            return version >= low
        case ">":
            return version > low
        case "<=":
            return version <= low
        case "<":
            return version < low
        case "~":
            return low <= version and _below(version, numbers[:2] if len(numbers) > 1 else numbers[:1])
        case _:
            # "^": what keeps the first number that is not zero
            significant = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
            return low <= version and _below(version, numbers[: significant + 1])


def _below(version: semver.Version, prefix: list[int]) -> bool:
    """Whether the version starts with the same numbers."""
    return (version.major, version.minor, version.patch)[: len(prefix)] == tuple(prefix)


def compatible_with(version: str) -> str:
    """The requirement that ``dolbuild add`` writes for a version: what keeps its first number that is not zero."""
    parsed = parse_version(version)
    return f"^{parsed}" if parsed.prerelease else f"^{parsed.major}.{parsed.minor}.{parsed.patch}"
