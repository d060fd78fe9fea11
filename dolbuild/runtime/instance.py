"""An instance of a built module in wasmtime: calls with DOL values, traps with places."""

import atexit
import ctypes
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import wasmtime
import wasmtime._bindings as bindings

from dolbuild.deep import deeply
from dolbuild.runtime.capabilities import Capabilities
from dolbuild.runtime.host import Host
from dolbuild.runtime.sections import LineTable, custom_sections
from dolbuild.runtime.values import lift, lower, read_text

STACK, STRESS = "dol.memory.STACK", "dol.memory.STRESS"
"""Exported variables of the runtime: the shadow stack, and whether to collect at every allocation."""

VARIABLE = "dol.variable "
"""Before the symbol of each variable that a System exports."""

PAGE = 65536

MOST_MEMORY = 1 << 30
"""Bytes that a program which is kept running may have: more is a trap, and the call is undone."""

FOREVER = 1 << 60
"""Ticks of the engine that never come."""

SMALL_WASM_STACK = 2 * 1024 * 1024 - 65536
WASM_STACK = 64 * 1024 * 1024
"""Bytes of stack for WebAssembly; calls run in a thread that has more (`dolbuild.deep`)."""

INITIALISE = "_initialize"
"""The export that gives variables their first values."""

RUNTIME_PREFIX = "@dol/"

NATIVE = {
    "unreachable": "reached code that cannot be reached",
    "call stack exhausted": "the call stack is exhausted: a recursion has no end, or is too deep",
    "interrupt": "it took longer than it may",
    "integer divide by zero": "division by zero",
    "integer overflow": "integer overflow in a division",
    "memory fault": "the recursion is too deep: the stack of references is exhausted",
    "out of bounds memory access": "the recursion is too deep: the stack of references is exhausted",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """A function on the stack of a trap: where it stood, innermost first."""

    function: str
    file: str
    line: int


class Trapped(Exception):
    """A program that could not go on; carries its message and the frames of its own functions."""

    def __init__(self, message: str, frames: tuple[Frame, ...]) -> None:
        super().__init__(message)
        self.message = message
        self.frames = frames


@lru_cache(maxsize=2)
def _engine(interruptible: bool) -> wasmtime.Engine:
    config = wasmtime.Config()
    config.epoch_interruption = interruptible
    config.wasm_multi_memory = True
    # Wasmtime wants its stack for asynchronous calls, which are not used here, to be as large; only its C API can say so.
    enlarge = getattr(bindings, "wasmtime_config_async_stack_size_set", None)
    if enlarge is not None:
        enlarge(config.ptr(), WASM_STACK)
    config.max_wasm_stack = WASM_STACK if enlarge is not None else SMALL_WASM_STACK
    return wasmtime.Engine(config)


atexit.register(_engine.cache_clear)  # wasmtime cannot be taken down while Python itself is


class Program:
    """A compiled module; instances of it are cheap."""

    def __init__(self, wasm: bytes, interruptible: bool = False) -> None:
        """*interruptible*: its calls can be given a limit of time (`Instance.limited`)."""
        self.wasm = wasm
        self.interruptible = interruptible
        self.engine = _engine(interruptible)
        self.module = wasmtime.Module(self.engine, wasm)
        self.sections = custom_sections(wasm)

    @property
    def exports(self) -> list[dict[str, Any]]:
        """The exported functions with their types."""
        found: list[dict[str, Any]] = json.loads(self.sections.get("dol.exports", b"[]"))
        return found

    @property
    def tests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.sections.get("dol.tests", b"[]"))
        return found

    def instantiate(self, host: Host | None = None) -> "Instance":
        """An instance with its own memory; *host* is its outside (one that grants nothing, where none is given). Raises
        `Trapped` where the module wants what no host gives, or a variable's first value cannot be computed."""
        return Instance(self, host or Host(Capabilities()))


def _boxed(function: Callable[..., int], type_: wasmtime.FuncType) -> Callable[..., Any]:
    """A host's function whose result says of which type it is; wasmtime takes twice as long to find that out."""
    results = type_.results
    if not results:
        return function
    box = wasmtime.Val.i64 if results[0] == wasmtime.ValType.i64() else wasmtime.Val.i32
    return lambda *arguments: box(function(*arguments))


class Instance:
    """One instance with its memory."""

    def __init__(self, program: Program, host: Host) -> None:
        self.program = program
        self.host = host
        host.instance = self
        self._base = self._length = 0
        self.store = wasmtime.Store(program.engine)
        if program.interruptible:
            self.store.set_epoch_deadline(FOREVER)
            self.store.set_limits(memory_size=MOST_MEMORY)
        given = host.functions()
        imports: list[Any] = []
        self.imports = imports
        for wanted in program.module.imports:
            name = f"{wanted.module}/{wanted.name}"
            type_ = wanted.type
            if name not in given or not isinstance(type_, wasmtime.FuncType):
                raise Trapped(f"the host has no function {name}", ())
            imports.append(wasmtime.Func(self.store, type_, _boxed(host.guarded(given[name]), type_)))
        self.exports = wasmtime.Instance(self.store, program.module, imports).exports(self.store)
        if INITIALISE in self.exports:
            self.raw(INITIALISE)

    # -- memory -----------------------------------------------------------------------------------

    @cached_property
    def _memory(self) -> wasmtime.Memory:
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        return memory

    def _place(self, address: int, size: int) -> int:
        """Where some bytes of the memory are, until it grows. (`wasmtime.Memory.read` and `write` make a type for each
        size.)"""
        length = self._memory.data_len(self.store)
        if length != self._length:
            self._length = length
            self._base = ctypes.addressof(self._memory.data_ptr(self.store).contents)
        if address < 0 or size < 0 or address + size > length:
            raise IndexError("outside of the memory")
        return self._base + address

    def read(self, address: int, size: int) -> bytes:
        return ctypes.string_at(self._place(address, size), size)

    def write(self, address: int, data: bytes) -> None:
        ctypes.memmove(self._place(address, len(data)), data, len(data))

    def size(self) -> int:
        """Bytes of the memory."""
        return self._memory.data_len(self.store)

    def base(self) -> int:
        """Where the memory is, until it grows."""
        return self._place(0, 0)

    def view(self) -> memoryview:
        """The memory, until it grows."""
        length = self.size()
        base = self.base()
        return memoryview((ctypes.c_ubyte * length).from_address(base)).cast("B")

    def grow(self, size: int) -> None:
        """Make the memory as large as *size* bytes. Raises `Trapped` where the machine has not as much."""
        missing = -(-(size - self.size()) // PAGE)
        if missing > 0:
            try:
                self._memory.grow(self.store, missing)
            except wasmtime.WasmtimeError as error:
                raise Trapped(str(error).split("\n", 1)[0], ()) from None

    # -- variables --------------------------------------------------------------------------------

    @cached_property
    def _variables(self) -> dict[str, wasmtime.Global]:
        found: dict[str, wasmtime.Global] = {}
        for one in self.program.module.exports:
            if one.name.startswith(VARIABLE):
                variable = self.exports[one.name]
                assert isinstance(variable, wasmtime.Global)
                found[one.name.removeprefix(VARIABLE)] = variable
        return found

    def variables(self) -> dict[str, int | float]:
        """The program's variables by symbol, where it exports them (Systems do)."""
        return {name: variable.value(self.store) for name, variable in self._variables.items()}

    def set_variables(self, values: Mapping[str, int | float]) -> None:
        for name, value in values.items():
            self._variables[name].set_value(self.store, value)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is held meanwhile is let go at the end."""
        stack = self._global(STACK)
        before = stack.value(self.store) if stack is not None else 0
        try:
            yield
        finally:
            if stack is not None:
                stack.set_value(self.store, before)

    def hold(self, address: int) -> None:
        """Keep an object from being collected until the call that is being prepared has ended: note it on the shadow
        stack, if there is a collector."""
        stack = self._global(STACK)
        if stack is not None:
            top = (stack.value(self.store) & 0xFFFFFFFF) - 4
            self.write(top, address.to_bytes(4, "little"))
            stack.set_value(self.store, top)

    def _global(self, name: str) -> wasmtime.Global | None:
        if name not in self.exports:
            return None
        found = self.exports[name]
        assert isinstance(found, wasmtime.Global)
        return found

    def stress(self) -> None:
        """Collect at every allocation from now on, to find references that the collector is not told of."""
        flag = self._global(STRESS)
        if flag is not None:
            flag.set_value(self.store, 1)

    # -- calls ------------------------------------------------------------------------------------

    @contextmanager
    def limited(self, ticks: int | None) -> Iterator[None]:
        """What runs meanwhile traps after so many ticks of the engine (of an interruptible program)."""
        if not self.program.interruptible:
            yield
            return
        self.store.set_epoch_deadline(ticks if ticks is not None else FOREVER)
        try:
            yield
        finally:
            self.store.set_epoch_deadline(FOREVER)

    def raw(self, name: str, *arguments: int | float) -> Any:
        """Call an export with WebAssembly values. Raises `Trapped`."""
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        try:
            return deeply(lambda: function(self.store, *arguments))
        except wasmtime.Trap as trap:
            raise self._trapped(trap) from None
        except wasmtime.WasmtimeError as error:
            raise Trapped(str(error).split("\n", 1)[0], ()) from None

    def call(self, export: dict[str, Any], arguments: list[Any]) -> Any:
        """Call an exported function with Python values of its types. Raises `Trapped`."""
        with self.held():
            flat: list[int | float] = []
            for (_, kind), value in zip(export["parameters"], arguments, strict=True):
                flat += lower(self, kind, value)
            result = self.raw(export["name"], *flat)
            slots = result if isinstance(result, list) else ([] if result is None else [result])
            return lift(self, export["result"], list(slots))

    def _trapped(self, trap: wasmtime.Trap) -> Trapped:
        message = self._message()
        if message is None:
            text = trap.message
            message = next((shown for known, shown in NATIVE.items() if known in text), text.split("\n")[-1])
        lines = self.program.sections.get("dol.lines")
        table = LineTable.read(lines) if lines is not None else None
        frames: list[Frame] = []
        for frame in trap.frames:
            name = frame.func_name or ""
            place = table.find(frame.module_offset) if table is not None else None
            if place is not None and not name.startswith(RUNTIME_PREFIX):
                shown = name.rpartition("/")[2]
                if "test#" in shown:
                    shown = "test"
                frames.append(Frame(shown, place[0], place[1]))
        return Trapped(message, tuple(frames))

    def _message(self) -> str | None:
        """What the runtime left to say before it stopped."""
        if "dol.traps.MESSAGE" not in self.exports:
            return None
        variable = self.exports["dol.traps.MESSAGE"]
        assert isinstance(variable, wasmtime.Global)
        address = variable.value(self.store) & 0xFFFFFFFF
        return read_text(self, address) if address else None
