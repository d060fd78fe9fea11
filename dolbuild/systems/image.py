"""The image of a running program: its memory and variables as they were after the last call that was committed.

What a call has changed is found by comparing the memory with the image, piece by piece, which costs about a tenth of a millisecond for
each megabyte; so code needs no barriers, and whatever it did can be undone. Below the layout's start lies the shadow stack, which belongs to no
state.
"""

import ctypes
import re
from dataclasses import dataclass, field

from dolbuild.runtime.instance import Instance

PIECE = 32768
"""Bytes that are compared at once."""

LINE = 1024
"""Bytes in which the places of changes are looked for."""

WORD = 8
_CHANGED = re.compile(rb"[^\0]+(?:\0{1,32}[^\0]+)*")
"""Bytes that differ; those between that do not are cheaper to note than another range."""

_compare = ctypes.CDLL(None).memcmp
_compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)

Number = int | float


@dataclass(frozen=True, slots=True)
class Changes:
    """What a call has changed: ranges of memory with what is there now, and variables. *size* is the memory's."""

    size: int
    ranges: list[tuple[int, bytes]] = field(default_factory=list)
    variables: dict[str, Number] = field(default_factory=dict)


class Image:
    """A copy of an instance's state. *start* is the first byte that belongs to it."""

    def __init__(self, instance: Instance, start: int) -> None:
        self.instance = instance
        self.start = start
        self.memory = bytearray(instance.size())
        self.variables: dict[str, Number] = {}

    # -- taking -----------------------------------------------------------------------------------

    def changes(self) -> Changes:
        """What is otherwise than in the image."""
        size = self.instance.size()
        if size > len(self.memory):
            self.memory.extend(bytes(size - len(self.memory)))
        ranges = self._ranges(size)
        now = self.instance.variables()
        return Changes(size, ranges, {n: v for n, v in now.items() if self.variables.get(n) != v})

    def _ranges(self, size: int) -> list[tuple[int, bytes]]:
        base = self.instance.base()
        own = (ctypes.c_char * len(self.memory)).from_buffer(self.memory)
        copy = ctypes.addressof(own)
        found: list[tuple[int, bytes]] = []
        for at in range(self.start, size, PIECE):
            length = min(PIECE, size - at)
            if _compare(base + at, copy + at, length):
                self._lines(base, at, length, found)
        del own
        return found

    def _lines(self, base: int, at: int, length: int, found: list[tuple[int, bytes]]) -> None:
        """The ranges within a piece, whole words of it."""
        now = ctypes.string_at(base + at, length)
        before = self.memory[at : at + length]
        for line in range(0, length, LINE):
            new, old = now[line : line + LINE], before[line : line + LINE]
            if new == old:
                continue
            differing = int.from_bytes(new, "little") ^ int.from_bytes(old, "little")
            for match in _CHANGED.finditer(differing.to_bytes(len(new), "little")):
                first = line + match.start() // WORD * WORD
                last = min(length, line + -(-match.end() // WORD) * WORD)
                found.append((at + first, now[first:last]))

    # -- applying ---------------------------------------------------------------------------------

    def before(self, changes: Changes) -> Changes:
        """What the image holds where something has changed."""
        ranges = [(at, bytes(self.memory[at : at + len(data)])) for at, data in changes.ranges]
        return Changes(changes.size, ranges, {name: self.variables[name] for name in changes.variables})

    def commit(self, changes: Changes) -> None:
        """The image becomes what the instance is."""
        for at, data in changes.ranges:
            self.memory[at : at + len(data)] = data
        self.variables.update(changes.variables)

    def undo(self, changes: Changes) -> None:
        """The instance becomes what the image is, where these are all the differences."""
        for at, data in changes.ranges:
            self.instance.write(at, bytes(self.memory[at : at + len(data)]))
        self.instance.set_variables({name: self.variables[name] for name in changes.variables})

    def restore(self) -> None:
        """A fresh instance becomes what the image is."""
        self.instance.grow(len(self.memory))
        self.instance.write(self.start, bytes(self.memory[self.start :]))
        self.instance.set_variables(self.variables)
