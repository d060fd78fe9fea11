"""A new build of a System takes over the state of the old one: values are carried over by their types, and by the names of fields and variants.

What is shared stays shared, circles stay circles. A new field takes its default; a number may get another type that holds it; ``T`` becomes
``Some`` of an ``Option<T>``. Everything else does not fit, and is said with its place; then nothing is taken over. What the new build has no
place for would be lost, which has to be allowed.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dolbuild.deep import deeply
from dolbuild.runtime.instance import Instance, Trapped
from dolbuild.systems.making import Maker, WrongValue, signed, write_cells, zeros
from dolbuild.systems.reading import FLOATS, INTEGERS, Reader, Slots, outcome, some, split
from dolbuild.systems.table import Part, Table, Type, Variable, Variant

BUDGET = "@dol/runtime/memory.BUDGET"
"""The variable that says how much may be allocated before a collection: none comes while values are carried over."""

UNLIMITED = 1 << 60
MOST = 50
"""Misfits after which no more are looked for."""


@dataclass(slots=True)
class Misfits:
    """What does not fit, and what would be lost, each with its place."""

    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


class DoesNotFit(Exception):
    """The state cannot be taken over; carries why."""

    def __init__(self, misfits: Misfits) -> None:
        super().__init__("the state does not fit the new build")
        self.misfits = misfits


class _Enough(Exception):
    """So much does not fit that the rest need not be named."""


@dataclass(frozen=True, slots=True)
class Old:
    """The state of the old build."""

    table: Table
    memory: bytearray
    variables: Mapping[str, Any]
    address: int


def take_over(old: Old, table: Table, instance: Instance, accept_loss: bool = False) -> tuple[int, list[str]]:
    """Carry a state into a fresh instance; gives the System's address in it, and what is lost. Raises DoesNotFit."""
    transfer = _Transfer(old, table, instance)
    return deeply(lambda: transfer.run(accept_loss)), transfer.misfits.lost


class _Transfer:
    def __init__(self, old: Old, table: Table, instance: Instance) -> None:
        self.old = old
        self.table = table
        self.instance = instance
        self.maker = Maker(table.types, instance)
        self.reader = Reader(old.table.types, lambda: old.memory)
        self.made: dict[tuple[int, str], int] = {}
        self.genes: list[tuple[Type, int, str]] = []
        self.misfits = Misfits()
        self.lost: set[str] = set()
        self.waiting: deque[Callable[[], None]] = deque()
        """Objects that were made and are still to be filled; so a state may nest as deeply as it likes."""

    def run(self, accept_loss: bool) -> int:
        has_budget = BUDGET in self.instance.variables()
        if has_budget:
            self.instance.set_variables({BUDGET: UNLIMITED})
        address = 0
        try:
            address = self.object(self.old.table.state, self.table.state, self.old.address, "")
            self.variables()
            while self.waiting:
                self.waiting.popleft()()
            for type_, gene, path in self.genes:
                try:
                    self.maker.holds(type_, gene, path)
                except WrongValue as wrong:
                    self.wrong(path, wrong.message)
        except _Enough:
            pass
        except Trapped as trapped:
            self.misfits.wrong.append(trapped.message)
        if self.misfits.wrong or (self.misfits.lost and not accept_loss):
            raise DoesNotFit(self.misfits)
        if has_budget:
            self.instance.set_variables({BUDGET: 0})  # the first allocation collects what the carrying has left
        return address

    def wrong(self, path: str, message: str) -> None:
        self.misfits.wrong.append(f"{path or self.table.name}: {message}")
        if len(self.misfits.wrong) >= MOST:
            raise _Enough

    def lose(self, path: str, what: str) -> None:
        """Something has no place any more; said once for each field of each gene."""
        if what not in self.lost:
            self.lost.add(what)
            self.misfits.lost.append(f"{path}: {what}")

    # -- variables --------------------------------------------------------------------------------

    def variables(self) -> None:
        known = {variable.name: variable for variable in self.table.variables}
        for variable in self.old.table.variables:
            shown = variable.name.rpartition("/")[2]
            new = known.get(variable.name)
            if new is None:
                self.lose(shown, f"the variable `{shown}` is no longer there")
                continue
            self.store(new, self.value(variable.type, new.type, self.slots(variable), shown))

    def slots(self, variable: Variable) -> Slots:
        roots = self.old.table.layout.roots
        return [
            self.reader.word(roots[slot]) if slot in roots else self.old.variables.get(slot, 0)
            for slot in variable.slots
        ]

    def store(self, variable: Variable, slots: Slots) -> None:
        roots = self.table.layout.roots
        for name, value in zip(variable.slots, slots, strict=True):
            if name in roots:
                self.instance.write(roots[name], (int(value) & 0xFFFFFFFF).to_bytes(4, "little"))
            else:
                self.instance.set_variables({name: value})

    # -- values -----------------------------------------------------------------------------------

    def value(self, old_text: str, new_text: str, slots: Slots, path: str) -> Slots:
        """The slots of a value in the new build; zeros where it does not fit."""
        old, new = self.old.table.types[old_text], self.table.types[new_text]
        if new.kind == "option" and old.kind != "option":
            inner = self.value(old_text, new.arguments[0], slots, path)
            return inner if new.plain else [1, *inner]
        if old.kind == "option" and new.kind != "option":
            found = some(old, slots)
            if found is None:
                self.wrong(path, f"it is None, and {new.shown} is wanted now")
                return zeros(new)
            return self.value(old.arguments[0], new_text, found, path)
        if old.kind in INTEGERS or old.kind in FLOATS:
            return self.number(old, new, slots, path)
        if old.kind != new.kind or old.kind == "inside":
            self.mismatch(old, new, path)
            return zeros(new)
        if not new.slots or old.kind in ("Bool", "Char"):
            return slots
        if old.kind in ("option", "result", "tuple", "record"):
            return self.side_by_side(old, new, slots, path)
        return [signed(self.object(old, new, int(slots[0]) & 0xFFFFFFFF, path), 32)]

    def mismatch(self, old: Type, new: Type, path: str) -> None:
        if old.kind == "inside" or new.kind == "inside":
            self.wrong(path, f"{(old if old.kind == 'inside' else new).shown} cannot be carried over")
        else:
            self.wrong(path, f"it was {old.shown}, and is {new.shown} now")

    def number(self, old: Type, new: Type, slots: Slots, path: str) -> Slots:
        value: int | float = slots[0]
        if old.kind in INTEGERS:
            bits, has_sign = INTEGERS[old.kind]
            value = int(value) if has_sign else int(value) & ((1 << bits) - 1)
        try:
            if new.kind in INTEGERS and old.kind in INTEGERS:
                return self.maker.value(new.text, value, path)
            if new.kind in FLOATS:
                if old.kind == new.kind:
                    return slots
                converted = self.maker.value(new.text, value, path)
                if converted[0] == value and (
                    new.kind != "Float32" or old.kind in ("Int8", "Int16", "UInt8", "UInt16")
                ):
                    return converted
                if new.kind == "Float64" and old.kind == "Float32":
                    return slots
        except WrongValue as wrong:
            self.wrong(path, wrong.message)
            return zeros(new)
        self.mismatch(old, new, path)
        return zeros(new)

    def side_by_side(self, old: Type, new: Type, slots: Slots, path: str) -> Slots:
        if old.kind == "option":
            found = some(old, slots)
            if found is None:
                return zeros(new)
            inner = self.value(old.arguments[0], new.arguments[0], found, path)
            return inner if new.plain else [1, *inner]
        if old.kind == "result":
            good, payload = outcome(old, self.old.table.types, slots)
            which = 0 if good else 1
            own = self.value(old.arguments[which], new.arguments[which], payload, path)
            other = zeros(self.table.types[new.arguments[1 - which]])
            both = [*own, *other] if good else [*other, *own]
            return both if new.plain else [int(not good), *both]
        parts = split(self.old.table.types, old.arguments, slots)
        if old.kind == "tuple":
            if len(old.arguments) != len(new.arguments):
                self.mismatch(old, new, path)
                return zeros(new)
            triples = zip(old.arguments, new.arguments, parts, strict=True)
            return [slot for i, (a, b, part) in enumerate(triples) for slot in self.value(a, b, part, f"{path}[{i}]")]
        if set(old.names) != set(new.names):
            self.mismatch(old, new, path)
            return zeros(new)
        by_name = {name: (text, part) for name, text, part in zip(old.names, old.arguments, parts, strict=True)}
        named = zip(new.names, new.arguments, strict=True)
        return [slot for n, text in named for slot in self.value(by_name[n][0], text, by_name[n][1], f"{path}.{n}")]

    # -- objects ----------------------------------------------------------------------------------

    def new(self, export: str) -> int:
        return int(self.maker.call(export)[0]) & 0xFFFFFFFF

    def object(self, old: Type, new: Type, address: int, path: str) -> int:
        """The address of an object in the new build. Each object is made once, before its parts are."""
        key = (address, new.text)
        known = self.made.get(key)
        if known is not None:
            return known
        if old.kind == "String":
            made = self.made[key] = self.string(address)
            return made
        if old.kind == "gene":
            made = self.made[key] = self.new(new.new)
            self.genes.append((new, made, path))
            self.waiting.append(partial(self.fields, old, new, address, made, path))
            return made
        if old.kind == "enum":
            return self.variant(old, new, address, path)
        made = self.made[key] = self.new(new.new)
        self.waiting.append(partial(self.items, old, new, address, made, path))
        return made

    def settle(self, count: int) -> None:
        """Fill what waits beyond *count*: a key has to be whole before it is looked for."""
        while len(self.waiting) > count:
            self.waiting.pop()()

    def items(self, old: Type, new: Type, address: int, made: int, path: str) -> None:
        """Fill a list, a set or a map."""
        this = signed(made, 32)
        entries = self.reader.items(old, address) if old.kind == "list" else self.reader.entries(old, address)
        size = len(self.old.table.types[old.arguments[0]].slots)
        for index, entry in enumerate(entries):
            where = _short(path) + f"[{index}]"
            before = len(self.waiting)
            slots = self.value(old.arguments[0], new.arguments[0], entry[:size], where)
            if old.kind != "list":
                self.settle(before)
            if old.kind == "map":
                slots = [*slots, *self.value(old.arguments[1], new.arguments[1], entry[size:], where)]
            self.maker.call(new.add, this, *slots)

    def string(self, address: int) -> int:
        text = self.reader.text(address)
        data = text.encode()
        made = int(self.maker.call("dol.new_string", len(data), len(text))[0]) & 0xFFFFFFFF
        self.instance.write(made + 12, data)
        return made

    def fields(self, old: Type, new: Type, address: int, made: int, path: str) -> None:
        before = {part.name: part for part in old.fields}
        for part in new.fields:
            where = _below(path, str(part.name))
            known = before.pop(part.name, None)
            if known is not None:
                slots = self.value(known.type, part.type, self.reader.cells(address, known.cells), where)
            else:
                with self.instance.held():  # nothing is collected, so nothing has to stay held
                    default = self.maker.default(part.type, part.default)
                if default is None:
                    self.wrong(where, f"`{part.name}: {self.table.types[part.type].shown}` is new, and has no default")
                slots = default if default is not None else zeros(self.table.types[part.type])
            write_cells(self.instance, made, part.cells, slots)
        for name in before:
            where = _below(path, str(name))
            self.lose(where, f"the field `{name}` of `{old.shown}` is no longer there")

    def variant(self, old: Type, new: Type, address: int, path: str) -> int:
        before: Variant = old.variants[self.reader.variant(old, address)]
        after = next((one for one in new.variants if one.name == before.name), None)
        if after is None:
            self.wrong(path, f"it is `{before.name}`, which `{new.shown}` no longer has")
            return 0
        made = self.made[address, new.text] = self.new(after.blank)
        self.waiting.append(partial(self.payload, before, after, address, made, path))
        return made

    def payload(self, before: Variant, after: Variant, address: int, made: int, path: str) -> None:
        """Fill a variant."""
        given = {part.name if part.name is not None else index: part for index, part in enumerate(before.payload)}
        for index, part in enumerate(after.payload):
            key = part.name if part.name is not None else index
            where = _below(_below(path, before.name), str(key))
            known: Part | None = given.pop(key, None)
            if known is None:
                self.wrong(where, f"this part of `{before.name}` is new, and its value is not known")
                continue
            slots = self.value(known.type, part.type, self.reader.cells(address, known.cells), where)
            write_cells(self.instance, made, part.cells, slots)
        for key in given:
            self.lose(
                f"{path}.{before.name}.{key}", f"the part `{key}` of the variant `{before.name}` is no longer there"
            )


LONGEST_PATH = 200
"""Characters of the path to a place; of a longer one, the middle is left out."""


def _short(path: str) -> str:
    return path if len(path) <= LONGEST_PATH else f"{path[:100]}…{path[-80:]}"


def _below(path: str, name: str) -> str:
    return f"{_short(path)}.{name}" if path else name
