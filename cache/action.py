"""Actions as values: what one was made from (`Record`), its key, and what it gave (`Result`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dolbuild.cache.digest import digest, is_digest

FORMAT = 1
"""Version of the encodings below; it is part of every key."""


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no blanks: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Record:
    """Everything that decides what an action gives.

    *rule* and *version* name what is done, *tool* is the digest of the program that does it, *options* is a
    JSON value, *inputs* maps logical names (never paths of a machine) to digests.
    """

    rule: str
    version: int
    tool: str
    options: Any
    inputs: Mapping[str, str]

    @cached_property
    def encoded(self) -> bytes:
        return canonical(
            {
                "format": FORMAT,
                "rule": self.rule,
                "version": self.version,
                "tool": self.tool,
                "options": self.options,
                "inputs": dict(self.inputs),
            }
        )

    @cached_property
    def key(self) -> str:
        """The action key: the digest of the record."""
        return digest(self.encoded)


@dataclass(frozen=True, slots=True)
class Result:
    """What an action gave: *outputs* maps artifact names to digests; *notes* is a JSON value that is shown
    again when the result comes out of a cache (warnings)."""

    outputs: Mapping[str, str] = field(default_factory=dict)
    notes: Any = None

    def encode(self) -> bytes:
        return canonical({"format": FORMAT, "outputs": dict(self.outputs), "notes": self.notes})

    @staticmethod
    def decode(data: bytes) -> "Result":
        """The inverse of `encode`. Raises ValueError for anything else."""
        value = json.loads(data)
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise ValueError("no result of this version")
        outputs = value.get("outputs")
        if not isinstance(outputs, dict) or not all(map(is_digest, outputs.values())):
            raise ValueError("a result's outputs are digests by name")
        return Result(outputs, value.get("notes"))
