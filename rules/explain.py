"""Why an action has another key than another one: the difference of their records. Nothing but records is needed for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dolbuild.cache.action import Record, canonical
from dolbuild.cache.digest import is_digest

SHORT = 12
"""Digits of a digest that are shown to people."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which two records differ; None where it is in one only."""

    name: str
    old: str | None
    new: str | None

    def to_json(self) -> dict[str, Any]:
        return {"input": self.name, "old": self.old, "new": self.new}

    def text(self) -> str:
        """A line for people."""
        if self.old is None:
            return f"{self.name} is new: {short(self.new)}"
        if self.new is None:
            return f"{self.name} is gone; it was {short(self.old)}"
        return f"{self.name} changed: {short(self.old)} -> {short(self.new)}"


def short(value: str | None) -> str:
    """A value for people: a digest by its first digits, a long text cut."""
    text = value or ""
    if is_digest(text):
        return text[:SHORT]
    return text if len(text) <= 60 else f"{text[:57]}..."


def compare(old: Record, new: Record) -> list[Difference]:
    """In what two records differ, by name."""
    before, after = dict(_parts(old)), dict(_parts(new))
    return [
        Difference(name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _parts(record: Record) -> Iterator[tuple[str, str]]:
    yield "rule", f"{record.rule} {record.version}"
    yield "tool", record.tool
    yield from _options("option", record.options)
    for name, digest in record.inputs.items():
        yield f"input {name}", str(digest)


def _options(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _options(f"{name} {key}" if name == "option" else f"{name}.{key}", inner)
    else:
        yield name, value if isinstance(value, str) else canonical(value).decode()
