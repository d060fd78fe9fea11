"""A running System: calls that happen whole or not at all.

A call is prepared (its arguments are made), made, and judged: what it has changed is found, the constraints that read any of it are evaluated, and
then the changes become the state, or are undone. A trap, an ``Err`` that escapes, a broken constraint and an argument that is no value undo
everything, the program's variables included.
"""

import ctypes
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import wasmtime

from dolbuild.deep import deeply
from dolbuild.runtime.host import Host
from dolbuild.runtime.instance import VARIABLE, Frame, Instance, Program, Trapped
from dolbuild.systems.image import Changes, Image, Number
from dolbuild.systems.making import Maker, WrongValue, check_names, signed
from dolbuild.systems.reading import Reader, Slots, TooDeep, outcome
from dolbuild.systems.table import Constraint, Function, Table, read_table
from dolbuild.systems.watching import NOTES, READ, VARIABLES, WORD_BITS, Watched, exported_globals, watch

STACK = "@dol/runtime/memory.STACK"
RUNTIME_PREFIX = "@dol/runtime/"
LONGEST_VALUE = 240
"""Characters of a value that are shown where it breaks a constraint."""


class Refused(Exception):
    """A call that did not happen; the state is as it was."""


class UnknownFunction(Refused):
    """There is no such function; carries the names of those that there are."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"there is no function `{name}`; there are: {', '.join(known) or 'none'}")


class WrongArguments(Refused):
    """What was given is no value of a parameter."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class Stopped(Refused):
    """The function trapped, or took too long."""

    def __init__(self, message: str, frames: tuple[Frame, ...]) -> None:
        super().__init__(message)
        self.message = message
        self.frames = frames


class GaveError(Refused):
    """The function gave an ``Err``; carries its value as JSON."""

    def __init__(self, value: Any) -> None:
        super().__init__(f"the function gave an error: {json.dumps(value, ensure_ascii=False)}")
        self.value = value


class Broken(Refused):
    """A constraint does not hold after the call; *values* are those that break it."""

    def __init__(self, constraint: Constraint, values: tuple[str, ...]) -> None:
        super().__init__(f"the constraint `{constraint.name}` does not hold: {constraint.text}")
        self.constraint = constraint
        self.values = values


class CannotKeep(Refused):
    """The call was made, but could not be written down, so it was undone."""


@dataclass(slots=True)
class Counts:
    """What was done since the System started, for people and tests. *evaluated* counts by constraint."""

    calls: int = 0
    committed: int = 0
    evaluated: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Footprint:
    """What a constraint read when it was last evaluated and held: a byte for each word of the state's memory, and variables."""

    words: bytes
    variables: frozenset[str]


class Keeper(Protocol):
    """Writes calls down."""

    def append(self, function: str, changes: Changes) -> None:
        """Write a call down, by the function's name and its changes. Raises OSError; then the call is undone."""

    def committed(self) -> None:
        """A call that was written down has become the state."""


class Running:
    """One instance of a System."""

    def __init__(self, program: Program, host: Host, watched: bool = True) -> None:
        """*watched*: remember what constraints read, so that they are evaluated only when it changes. Raises NoSystem, and
        `Stopped` where the first value of a variable cannot be computed."""
        self.program = program
        self.table: Table = read_table(program.wasm)
        self.host = host
        with _refusing():
            self.instance = Instance(program, host)
        self.reader = Reader(self.table.types, self.instance.view)
        self.maker = Maker(self.table.types, self.instance)
        self.image = Image(self.instance, self.table.layout.start)
        self.address = 0
        self.keeper: Keeper | None = None
        self.counts = Counts(evaluated={one.name: 0 for one in self.table.constraints})
        self.watcher = _Watcher(self) if watched and self.table.constraints else None
        self.footprints: dict[str, _Footprint] = {}

    # -- starting ---------------------------------------------------------------------------------

    def start(self, given: Mapping[str, Any]) -> None:
        """Make the state: the fields that are given (as JSON), the others by their defaults. Raises Refused."""
        deeply(lambda: self._start(given))

    def _start(self, given: Mapping[str, Any]) -> None:
        with _refusing(), self.instance.held():
            check_names(given, [str(part.name) for part in self.table.state.fields], "")
            slots = [self.maker.field(part, given, "") for part in self.table.state.fields]
            address = self.maker.filled(self.table.state.new, self.table.state.fields, slots)
        self.adopt(address)

    def pin(self, address: int) -> None:
        """Hold the System itself for good."""
        self.address = address
        self.instance.hold(address)

    def adopt(self, address: int) -> None:
        """Take what lies in the instance for the state. Raises Broken, Stopped where the constraints do not hold."""
        self.pin(address)
        self.image.variables = self.instance.variables()
        self.image.commit(self.image.changes())
        self.footprints = deeply(lambda: self.judge(self.table.constraints))

    def resume(self, memory: bytearray, variables: Mapping[str, Number], address: int) -> None:
        """Become what another instance of the same module was."""
        self.image.memory = memory
        self.image.variables = dict(variables)

        def restore() -> None:
            self.image.restore()
            stack = self.image.variables.get(STACK)
            self.address = address
            if stack is not None:
                self.instance.write(int(stack) & 0xFFFFFFFF, address.to_bytes(4, "little"))

        deeply(restore)

    # -- looking ----------------------------------------------------------------------------------

    def state(self, name: str | None = None) -> Any:
        """The state as JSON, or one field of it. Raises KeyError, and Stopped where it nests too deeply."""
        fields = {str(part.name): part for part in self.table.state.fields}

        def read() -> Any:
            if name is not None:
                return self.reader.part(fields[name], self.address)
            return {field: self.reader.part(part, self.address) for field, part in fields.items()}

        with _refusing():
            return deeply(read)

    # -- calling ----------------------------------------------------------------------------------

    def call(self, name: str, arguments: Mapping[str, Any] | list[Any]) -> Any:
        """Call a function with JSON arguments, by name or in order; gives its result as JSON. Raises Refused."""
        function = self.table.functions.get(name)
        if function is None:
            raise UnknownFunction(name, sorted(self.table.functions))
        given = by_name(function, arguments)
        self.counts.calls += 1
        return deeply(lambda: self._call(function, given))

    def _call(self, function: Function, given: Mapping[str, Any]) -> Any:
        try:
            with _refusing(), self.instance.held():
                result = self._result(function, given)
            changes = self.image.changes()
            due = [one for one in self.table.constraints if self.is_due(one, changes)]
            before = self.image.before(changes)
            self.image.commit(changes)
            try:
                footprints = self.judge(due)
                self.append(function.name, changes)
            except BaseException:
                self.image.commit(before)
                raise
        except BaseException:
            self.image.undo(self.image.changes())
            raise
        self.footprints |= footprints  # not before: those of a state that was undone say nothing
        self.counts.committed += 1
        if self.keeper is not None:
            self.keeper.committed()
        return result

    def append(self, function: str, changes: Changes) -> None:
        """Write a call down, where calls are kept. Raises CannotKeep."""
        if self.keeper is None:
            return
        try:
            self.keeper.append(function, changes)
        except OSError as error:
            raise CannotKeep(f"the call cannot be written down: {error.strerror or error}") from None

    def _result(self, function: Function, given: Mapping[str, Any]) -> Any:
        slots: Slots = [signed(self.address, 32)] if function.instance else []
        for parameter in function.parameters:
            if parameter.name in given:
                slots += self.maker.value(parameter.type, given[parameter.name], parameter.name)
                continue
            default = self.maker.default(parameter.type, parameter.default) if parameter.default else None
            if default is None:
                shown = self.table.types[parameter.type].shown
                raise WrongArguments(parameter.name, f"`{parameter.name}: {shown}` is missing")
            slots += default
        result = self.maker.call(function.export, *slots)
        type_ = self.table.types[function.result]
        if type_.kind != "result":
            return self.reader.value(function.result, result)
        good, payload = outcome(type_, self.table.types, result)
        value = self.reader.value(type_.arguments[0 if good else 1], payload)
        if not good:
            raise GaveError(value)
        return value

    # -- constraints ------------------------------------------------------------------------------

    def is_due(self, constraint: Constraint, changes: Changes) -> bool:
        """Whether a constraint read something that is about to change."""
        before = self.footprints.get(constraint.name)
        return before is None or self.touches(changes, before)

    def judge(self, constraints: Iterable[Constraint]) -> dict[str, _Footprint]:
        """Evaluate constraints on the state that the image holds; gives what each has read. Whatever they do themselves leaves no
        trace. Raises Broken, Stopped."""
        read: dict[str, _Footprint] = {}
        evaluated = False
        for constraint in constraints:
            evaluated = True
            self.counts.evaluated[constraint.name] += 1
            footprint = self.watcher.holds(constraint) if self.watcher is not None else None
            if footprint is None:
                self.evaluate(constraint)
            else:
                read[constraint.name] = footprint
        if evaluated:
            self.image.undo(self.image.changes())
        return read

    def touches(self, changes: Changes, footprint: _Footprint) -> bool:
        """Whether something that was read has changed."""
        if not footprint.variables.isdisjoint(changes.variables):
            return True
        words = footprint.words
        start = self.table.layout.start
        for at, data in changes.ranges:
            first = (at - start) >> WORD_BITS
            last = (at - start + len(data) + 7) >> WORD_BITS
            found = words.find(READ, first, last)
            while found >= 0:
                place = (found << WORD_BITS) - (at - start)
                if data[place : place + 8] != self.image.memory[at + place : at + place + 8]:
                    return True
                found = words.find(READ, found + 1, last)
        return False

    def evaluate(self, constraint: Constraint) -> None:
        """Evaluate a constraint as it is. Raises Broken, Stopped."""
        this = signed(self.address, 32)
        try:
            if self.maker.call(constraint.holds, this)[0]:
                return
            values: list[str] = []
            if constraint.explain is not None:
                address = int(self.maker.call(constraint.explain, this)[0]) & 0xFFFFFFFF
                count, array = self.reader.word(address + 4), self.reader.word(address + 8)
                for index in range(count):
                    shown = self.reader.text(self.reader.word(array + 8 + 4 * index))
                    short = shown if len(shown) <= LONGEST_VALUE else shown[:LONGEST_VALUE] + "…"
                    if short not in values:
                        values.append(short)
        except Trapped as trapped:
            message = f"the constraint `{constraint.name}` cannot be evaluated: {trapped.message}"
            raise Stopped(message, trapped.frames) from None
        raise Broken(constraint, tuple(values))


class _Watcher:
    """The watched copy of a running System."""

    def __init__(self, running: Running) -> None:
        self.running = running
        instance = running.instance
        copy, module = _copy(instance.program, frozenset(one.holds for one in running.table.constraints))
        numbered = exported_globals(instance.program.wasm)
        imports: list[Any] = list(instance.imports)
        imports.append(instance.exports["memory"])
        imports += [instance.exports[numbered[number]] for number in copy.variables]
        self.exports = wasmtime.Instance(instance.store, module, imports).exports(instance.store)
        notes = self.exports[NOTES]
        assert isinstance(notes, wasmtime.Memory)
        self.base = ctypes.addressof(notes.data_ptr(instance.store).contents)
        names = {number: name.removeprefix(VARIABLE) for number, name in numbered.items()}
        self.variables = {n: name for n, name in names.items() if not name.startswith(RUNTIME_PREFIX)}
        self.count = max(self.variables, default=-1) + 1

    def holds(self, constraint: Constraint) -> _Footprint | None:
        """What a constraint that holds has read. None where it does not hold, or traps: then its own code has to say why."""
        running = self.running
        store = running.instance.store
        function = self.exports[constraint.holds]
        assert isinstance(function, wasmtime.Func)
        try:
            with running.instance.held():
                held = function(store, signed(running.address, 32))
        except (wasmtime.Trap, wasmtime.WasmtimeError):
            held = 0
        start = running.table.layout.start
        size = (running.instance.size() - start) >> WORD_BITS
        notes = self.base + (start >> WORD_BITS)  # what lies below is the shadow stack's
        words = ctypes.string_at(notes, size) if held else b""
        ctypes.memset(notes, 0, size)
        place = self.base + (VARIABLES >> WORD_BITS)
        read = ctypes.string_at(place, self.count)
        ctypes.memset(place, 0, self.count)
        if not held:
            return None
        own = running.table.layout.bookkeeping
        if own is not None:
            first, last = own[0] - start >> WORD_BITS, own[1] - start + 7 >> WORD_BITS
            words = words[:first] + bytes(last - first) + words[last:]
        return _Footprint(words, frozenset(name for n, name in self.variables.items() if read[n]))


_copies: "WeakKeyDictionary[Program, tuple[Watched, wasmtime.Module]]" = WeakKeyDictionary()


def _copy(program: Program, exports: frozenset[str]) -> tuple[Watched, wasmtime.Module]:
    """The watched copy of a program, made once."""
    known = _copies.get(program)
    if known is None:
        copy = watch(program.wasm, exports)
        known = _copies[program] = copy, wasmtime.Module(program.engine, copy.wasm)
    return known


@contextmanager
def _refusing() -> Iterator[None]:
    """What keeps a call from being made, as Refused."""
    try:
        yield
    except WrongValue as wrong:
        raise WrongArguments(wrong.path, wrong.message) from None
    except Trapped as trapped:
        raise Stopped(trapped.message, trapped.frames) from None
    except TooDeep as error:
        raise Stopped(str(error), ()) from None


def by_name(function: Function, arguments: Mapping[str, Any] | list[Any]) -> Mapping[str, Any]:
    """Arguments by the names of their parameters. Raises WrongArguments."""
    names = [parameter.name for parameter in function.parameters]
    if isinstance(arguments, list):
        if len(arguments) > len(names):
            raise WrongArguments("", f"`{function.name}` takes {len(names)} arguments, found {len(arguments)}")
        return dict(zip(names, arguments, strict=False))
    with _refusing():
        check_names(arguments, names, "")
    return arguments


__all__ = [
    "Broken",
    "CannotKeep",
    "GaveError",
    "Refused",
    "Running",
    "Stopped",
    "UnknownFunction",
    "WrongArguments",
]
