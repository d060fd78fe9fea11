"""Examples in documentation: what stands between fences of ``dol`` in a ``///`` comment or an exegesis is a test.

Source for the fences: CommonMark 0.31, "Fenced code blocks".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MARK = re.compile(rb"^[ \t]*(?:///[ \t]*)?```+[ \t]*(?i:dol)\b(?![ \t]+ignore[ \t]*\r?$)", re.MULTILINE)
"""A line that may begin an example."""

_FENCE = re.compile(r"^(?P<before>[ \t]*(?:/// {0,4}(?! )|(?!///)))(?P<fence>`{3,})[ \t]*(?P<words>.*?)[ \t]*$")
_COMMENT = re.compile(r"^[ \t]*///[ \t]?")


@dataclass(frozen=True, slots=True)
class Example:
    """The lines of an example, from *first* (counted from 1), each with blanks in place of its comment's slashes."""

    first: int
    lines: tuple[str, ...]


def is_example(words: str) -> bool:
    """Whether what stands behind a fence makes a test of what follows: ``dol``, but not ``dol ignore``. A word that is not known does not turn a test
    off."""
    found = words.lower().split()
    return found[:1] == ["dol"] and found[1:] != ["ignore"]


def has_examples(source: bytes) -> bool:
    """Whether a source has examples."""
    return MARK.search(source) is not None


def examples(source: str) -> Iterator[Example]:
    """The examples of a source, in the order of the text. One whose fence is never closed ends with its comment or file."""
    waiting: list[str] = []
    first, fence, is_comment, is_test = 0, "", False, False
    for number, line in enumerate(source.split("\n"), 1):
        found = _FENCE.match(line.rstrip("\r"))
        if not fence:
            if found is not None:
                fence, is_test = found["fence"], is_example(found["words"])
                first, is_comment, waiting = number + 1, "///" in found["before"], []
            continue
        is_over = is_comment and _COMMENT.match(line) is None
        is_closed = found is not None and not found["words"] and len(found["fence"]) >= len(fence)
        if is_over or is_closed:
            if is_test:
                yield Example(first, tuple(waiting))
            fence = ""
        else:
            waiting.append(
                _COMMENT.sub(lambda slashes: " " * len(slashes[0]), line.rstrip("\r")) if is_comment else line
            )
    if fence and is_test:
        yield Example(first, tuple(waiting))


def as_tests(source: bytes) -> bytes:
    """A test file that has each example as a test, in the lines and columns that it stands in. Imports at the head of an example are made one line
    higher than they are written, each but once."""
    text = source.decode("utf-8", "replace")
    out = [""] * (text.count("\n") + 2)
    imported: set[str] = set()
    for example in examples(text):
        at = example.first - 1  # the fence, which is free
        body = list(example.lines)
        while body and (not body[0].strip() or body[0].lstrip().startswith("use ")):
            if body[0].strip() and body[0].strip() not in imported:
                imported.add(body[0].strip())
                out[at - 1] = body[0]
            body.pop(0)
            at += 1
        if not any(line.strip() for line in body):
            continue  # imports alone: they are compiled, and there is nothing to run
        out[at - 1] = f'test "the example in line {example.first}" {{'
        out[at : at + len(body)] = body
        end = at + len(body)
        out[end] = "}"
    return "\n".join(out).encode()
