"""What the code of one function is built on: its locals, its literals, calls of the runtime."""

import hashlib
import struct
from dataclasses import dataclass

from dolbuild.codegen.ir import I32, NOP, REF, Code, Unit

RUNTIME = "@dol/runtime"
"""The package whose functions generated code may call (``dolbuild/std/runtime``)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What changes the code that is generated. *checked*: integer overflow traps."""

    checked: bool = True


def string_data(text: str) -> bytes:
    """A String object: header, length in bytes, length in characters (u32 each), UTF-8."""
    data = text.encode()
    return struct.pack("<III", 0, len(data), len(text)) + data


class Frame:
    """The locals of one function, and the data that its module has so far."""

    def __init__(self, unit: Unit, options: Options) -> None:
        self.unit = unit
        self.checked = options.checked
        self.locals: list[str] = []
        self.labels = 0

    def temporary(self, types: tuple[str, ...]) -> tuple[int, ...]:
        """Fresh WebAssembly locals."""
        start = len(self.locals)
        self.locals += types
        return tuple(range(start, len(self.locals)))

    def get(self, indices: tuple[int, ...]) -> Code:
        """The values of locals, side by side."""
        parts = tuple(Code("local.get", imm=index, results=(self.locals[index],)) for index in indices)
        return parts[0] if len(parts) == 1 else multi(parts)

    def keep(self, code: Code) -> tuple[Code, tuple[int, ...]]:
        """Code that stores the results of *code* in fresh locals, and those locals."""
        indices = self.temporary(code.results)
        return Code("local.set", (code,), indices), indices

    def label(self) -> int:
        self.labels += 1
        return self.labels

    def string(self, text: str) -> Code:
        """The address of a string literal; equal literals share their data."""
        data = string_data(text)
        symbol = "string:" + hashlib.sha256(data).hexdigest()[:24]
        self.unit.data[symbol] = data
        return Code("data", imm=symbol, results=(REF,))

    def runtime(self, name: str, arguments: tuple[Code, ...], results: tuple[str, ...], start: int) -> Code:
        """A call of a function of the runtime: ``module.function``."""
        return Code("call", arguments, f"{RUNTIME}/{name}", results, start)


def multi(parts: tuple[Code, ...]) -> Code:
    """Values side by side."""
    return Code("multi", parts, results=tuple(result for part in parts for result in part.results))


def sequence(parts: tuple[Code, ...]) -> Code:
    """Code one after the other; the results are those of the last part."""
    kept = tuple(part for part in parts if part.op != "nop")
    if not kept:
        return NOP
    return kept[0] if len(kept) == 1 else Code("seq", kept, results=kept[-1].results)


def negate(condition: Code) -> Code:
    return Code("i32.eqz", (condition,), results=(I32,))
