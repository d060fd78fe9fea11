"""What a built module carries beside its code: custom sections, and the line table."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass


def read_uleb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and the offset after it. Raises ValueError where it is cut off."""
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
    raise ValueError("a number is cut off")


def read_sleb(data: bytes, at: int) -> tuple[int, int]:
    """A signed LEB128 number and the offset after it. Raises ValueError where it is cut off."""
    start = at
    value, at = read_uleb(data, at)
    bits = 7 * (at - start)
    return (value - (1 << bits) if value >> (bits - 1) & 1 else value), at


def read_text(data: bytes, at: int) -> tuple[str, int]:
    length, at = read_uleb(data, at)
    if at + length > len(data):
        raise ValueError("a text is cut off")
    return data[at : at + length].decode("utf-8"), at + length


def sections(wasm: bytes) -> Iterator[tuple[int, int, int]]:
    """Number, first offset and end of each section. Raises ValueError for what is no module."""
    if wasm[:8] != b"\0asm\x01\0\0\0":
        raise ValueError("this is no WebAssembly module")
    at = 8
    while at < len(wasm):
        number = wasm[at]
        size, at = read_uleb(wasm, at + 1)
        if at + size > len(wasm):
            raise ValueError("a section is cut off")
        yield number, at, at + size
        at += size


def custom_sections(wasm: bytes) -> dict[str, bytes]:
    """Custom sections by name. Raises ValueError for what is no module."""
    found: dict[str, bytes] = {}
    for number, start, end in sections(wasm):
        if number == 0:
            name, at = read_text(wasm, start)
            found[name] = wasm[at:end]
    return found


@dataclass(frozen=True, slots=True)
class LineTable:
    """Places by module offset; made by `dolbuild.codegen.link`, described in ``docs/wasm.md``."""

    offsets: list[int]
    places: list[tuple[str, int] | None]

    @staticmethod
    def read(data: bytes) -> "LineTable":
        """Raises ValueError where the section is damaged."""
        count, at = read_uleb(data, 0)
        files: list[str] = []
        for _ in range(count):
            file, at = read_text(data, at)
            files.append(file)
        functions, at = read_uleb(data, at)
        offsets: list[int] = []
        places: list[tuple[str, int] | None] = []
        start = 0
        for _ in range(functions):
            step, at = read_uleb(data, at)
            file_number, at = read_uleb(data, at)
            marks, at = read_uleb(data, at)
            start += step
            offset, line = start, 0
            if marks == 0:  # a function that no source stands behind
                offsets.append(start)
                places.append(None)
            for _ in range(marks):
                step, at = read_uleb(data, at)
                change, at = read_sleb(data, at)
                offset += step
                line += change
                offsets.append(offset)
                places.append((files[file_number], line))
        return LineTable(offsets, places)

    def find(self, offset: int) -> tuple[str, int] | None:
        """File and line of the instruction at a module offset."""
        index = bisect_right(self.offsets, offset) - 1
        return self.places[index] if index >= 0 else None
