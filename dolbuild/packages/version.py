"""Versions and requirements (specification, "Version Specifiers")."""

import re

import semver

_PART = re.compile(r"(\^|~|=|>=|<=|>|<)?\s*(\d+)(?:\.(\d+))?(?:\.(\d+)([-+][0-9A-Za-z.+-]+)?)?")


def is_version(text: str) -> bool:
    """Whether *text* is a semantic version, as ``1.2.3`` or ``1.0.0-rc.1``."""
    return semver.Version.is_valid(text)


def is_requirement(text: str) -> bool:
    """Whether *text* is a requirement on versions: ``^1.0``, ``~1.2``, ``=1.2.3``, ``>=1.0, <3``."""
    parts = [part.strip() for part in text.split(",")]
    return all(_PART.fullmatch(part) is not None for part in parts)


def satisfies(version: str, requirement: str) -> bool:
    """Whether a version meets a requirement. Raises ValueError where the requirement is none."""
    parsed = semver.Version.parse(version)
    return all(_meets(parsed, part.strip()) for part in requirement.split(","))


def _meets(version: semver.Version, part: str) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError(f"{part!r} is no requirement")
    operator = found[1] or "^"
    numbers = [int(number) for number in found.group(2, 3, 4) if number is not None]
    low = semver.Version.parse(".".join(map(str, [*numbers, 0, 0][:3])) + (found[5] or ""))
    if version.prerelease and (not low.prerelease or version.finalize_version() != low.finalize_version()):
        return False  # a pre-release is meant only where its very version is named
    match operator:
        case "=":
            given = (version.major, version.minor, version.patch)[: len(numbers)]
            return given == tuple(numbers) and (len(numbers) < 3 or version.prerelease == low.prerelease)
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
