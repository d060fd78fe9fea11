"""Actions as values: what one was made from (`Record`), its key, and what it gave (`Result`).

A result is encoded as the ``ActionResult`` of the Remote Execution API v2, in the local store as in remote ones: artifacts are
``output_files``, notes are JSON in ``stdout_raw``, a signature is in ``stderr_raw``, and the time that it took is the
``virtual_execution_duration`` of ``execution_metadata``.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from dolbuild.cache.digest import Digest, digest, is_digest
from dolbuild.cache.wire import Message, encode, message, repeated

FORMAT = 2
"""Version of the encodings below; it is part of every key."""

MAX_NAME = 255
MAX_SECONDS = 30 * 24 * 3600
"""What a remote may say that an action took."""

MAX_DEPTH = 200
"""How deep the notes of a result may nest: a remote must not be able to exhaust our stack."""


def encode_digest(found: Digest) -> bytes:
    """A ``Digest``."""
    return message((1, found.hash), (2, found.size))


_NOTHING = encode_digest(Digest(digest(b""), 0))


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
        """The record as an ``Action`` of the Remote Execution API: canonical JSON as its salt, an empty command and input root."""
        said = canonical(
            {
                "format": FORMAT,
                "rule": self.rule,
                "version": self.version,
                "tool": self.tool,
                "options": self.options,
                "inputs": dict(self.inputs),
            }
        )
        return message((1, _NOTHING), (2, _NOTHING), (9, said))

    @cached_property
    def key(self) -> str:
        """The action key: the digest of the record. So the record is kept as a blob, and the key is its name."""
        return digest(self.encoded)

    @property
    def digest(self) -> Digest:
        """The key with the size of the record, as the Remote Execution API names an action."""
        return Digest(self.key, len(self.encoded))

    @staticmethod
    def decode(data: bytes) -> "Record":
        """The inverse of `encoded`. Raises ValueError for anything else."""
        value = json.loads(Message(data).data(9))
        try:
            record = Record(value["rule"], value["version"], value["tool"], value["options"], value["inputs"])
        except (KeyError, TypeError):
            raise ValueError("no record of an action") from None
        if not isinstance(record.inputs, dict) or value.get("format") != FORMAT:
            raise ValueError("no record of this version")
        return record


@dataclass(frozen=True, slots=True)
class Result:
    """What an action gave: *outputs* maps artifact names to digests; *notes* is a JSON value that is shown
    again when the result comes out of a cache (warnings). *contents* are artifacts that were sent along; *seconds* is what the action took where
    it ran, to the millisecond, and takes no part in what a result is."""

    outputs: Mapping[str, Digest] = field(default_factory=dict)
    notes: Any = None
    signature: str = ""
    contents: Mapping[str, bytes] = field(default_factory=dict, compare=False)
    seconds: float = field(default=0.0, compare=False)

    def encode(self) -> bytes:
        """The bytes of an ``ActionResult``; equal results that took the same time give equal bytes."""
        files = [
            message(
                (1, name),
                (2, encode_digest(found)),
                (5, self.contents.get(name, b"")),
            )
            for name, found in sorted(self.outputs.items())
        ]
        notes = b"" if self.notes is None else canonical(self.notes)
        return encode([*repeated(2, files), (5, notes), (7, self.signature), (9, _encode_seconds(self.seconds))])

    @staticmethod
    def decode(data: bytes) -> "Result":
        """The inverse of `encode`. Raises ValueError for anything else."""
        found = Message(data)
        if found.number(4) != 0:
            raise ValueError("the result of an action that failed")
        outputs: dict[str, Digest] = {}
        contents: dict[str, bytes] = {}
        for file in found.messages(2):
            name = file.text(1)
            if not is_artifact(name):
                raise ValueError("this is no name of an artifact")
            outputs[name] = decode_digest(file.message(2))
            if inlined := file.data(5):
                contents[name] = inlined
        notes = found.data(5)
        if _depth(notes) > MAX_DEPTH:
            raise ValueError("these notes nest too deeply")
        seconds = _decode_seconds(found.message(9))
        return Result(outputs, json.loads(notes) if notes else None, found.text(7), contents, seconds)

    def with_contents(self, contents: Mapping[str, bytes]) -> "Result":
        """The same with some artifacts sent along."""
        return replace(self, contents=contents)

    def has_outputs(self, names: Collection[str]) -> bool:
        """Whether the artifacts are those that the action makes."""
        return self.outputs.keys() == set(names)


def _encode_seconds(seconds: float) -> bytes:
    """An ``ExecutedActionMetadata`` that says just this; empty where it is less than half a millisecond."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    if not whole and not milliseconds:
        return b""
    return message((12, message((1, whole), (2, milliseconds * 1_000_000))))


def _decode_seconds(metadata: Message) -> float:
    duration = metadata.message(12)
    return max(0.0, min(MAX_SECONDS, duration.number(1) + round(duration.number(2) / 1e6) / 1000))


def _depth(notes: bytes) -> int:
    """How deep JSON may nest; brackets in texts count as well, where there are many of any."""
    if notes.count(b"[") + notes.count(b"{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", notes):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def is_artifact(name: str) -> bool:
    """Whether a text can name an artifact. Such a name is never used as a path, and cannot be mistaken for one."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and not name.startswith(".") and not set(name) & set("/\\")


def decode_digest(found: Message) -> Digest:
    """The inverse of `encode_digest`. Raises ValueError."""
    made = Digest(found.text(1), found.number(2))
    if not is_digest(made.hash) or made.size < 0:
        raise ValueError("this is no digest")
    return made
