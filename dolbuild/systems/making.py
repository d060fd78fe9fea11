"""JSON as values of a System: objects are made in its memory, and a gene's constraints have to hold.

Every object that was made is held on the shadow stack until the call that is being prepared has ended (`Instance.held`).
"""

import difflib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dolbuild.runtime.instance import Instance, Trapped
from dolbuild.systems.reading import DEEPEST, FORMATS, INTEGERS, Slots, TooDeep, is_text_key
from dolbuild.systems.table import Cells, Part, Type

NEW_STRING = "dol.new_string"
_FLOAT_NAMES = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class WrongValue(Exception):
    """JSON that is no value of the type that is wanted: where (``task.config.memory_limit_mb``), and why."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


def zeros(type_: Type) -> Slots:
    """A value whose slots are all 0."""
    return [0.0 if slot in ("f32", "f64") else 0 for slot in type_.slots]


def signed(value: int, bits: int) -> int:
    """A number as the signed one of so many bits that WebAssembly takes."""
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def write_cells(instance: Instance, address: int, cells: Cells, slots: Slots) -> None:
    """A value into the cells of an object."""
    for (kind, offset), value in zip(cells, slots, strict=True):
        if kind in ("f32", "f64"):
            data = struct.pack(FORMATS[kind], value)
        else:
            size = struct.calcsize(FORMATS[kind])
            data = (int(value) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        instance.write(address + offset, data)


class Maker:
    """Makes values of *types* in an instance."""

    def __init__(self, types: Mapping[str, Type], instance: Instance) -> None:
        self.types = types
        self.instance = instance
        self.depth = 0

    def call(self, export: str, *arguments: Any) -> Slots:
        """Call an export; gives the slots of its result."""
        result = self.instance.raw(export, *arguments)
        return result if isinstance(result, list) else [] if result is None else [result]

    def object(self, export: str, *arguments: Any) -> int:
        """A fresh object, held."""
        address = int(self.call(export, *arguments)[0]) & 0xFFFFFFFF
        self.instance.hold(address)
        return address

    def value(self, text: str, value: Any, path: str) -> Slots:
        """The slots of a value. Raises WrongValue, TooDeep."""
        type_ = self.types[text]
        kind = type_.kind
        if kind in INTEGERS:
            return [self.integer(kind, value, path)]
        maker = _MAKERS.get(kind)
        if maker is None:
            raise WrongValue(path, f"a {type_.shown} cannot be given from outside")
        self.depth += 1
        try:
            if self.depth > 2 * DEEPEST:
                raise TooDeep
            return maker(self, type_, value, path)
        finally:
            self.depth -= 1

    # -- what has no parts ------------------------------------------------------------------------

    def integer(self, kind: str, value: Any, path: str) -> int:
        bits, has_sign = INTEGERS[kind]
        if not isinstance(value, int) or isinstance(value, bool):
            raise expected(kind, value, path)
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if has_sign else (0, (1 << bits) - 1)
        if not low <= value <= high:
            raise WrongValue(path, f"{_cut(str(value))} is no {kind}, which goes from {low} to {high}")
        return signed(value, 64 if bits == 64 else 32) if bits >= 32 else value

    def of_float(self, type_: Type, value: Any, path: str) -> Slots:
        if isinstance(value, str) and value in _FLOAT_NAMES:
            return [_FLOAT_NAMES[value]]
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise expected(type_.kind, value, path)
        try:
            number = float(value)
            struct.pack("<f" if type_.kind == "Float32" else "<d", number)
        except OverflowError:
            raise WrongValue(path, f"{_cut(str(value))} is too large for a {type_.kind}") from None
        return [number]

    def of_bool(self, type_: Type, value: Any, path: str) -> Slots:
        if not isinstance(value, bool):
            raise expected("Bool", value, path)
        return [int(value)]

    def of_char(self, type_: Type, value: Any, path: str) -> Slots:
        if not isinstance(value, str) or len(value) != 1 or 0xD800 <= ord(value) < 0xE000:
            raise expected("Char (a string of one character)", value, path)
        return [ord(value)]

    def of_string(self, type_: Type, value: Any, path: str) -> Slots:
        if not isinstance(value, str):
            raise expected("String", value, path)
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise WrongValue(path, "this string holds half of a surrogate pair, so it is no text") from None
        address = self.object(NEW_STRING, len(data), len(value))
        self.instance.write(address + 12, data)
        return [signed(address, 32)]

    def of_void(self, type_: Type, value: Any, path: str) -> Slots:
        if value is not None:
            raise expected("null", value, path)
        return []

    # -- what lies side by side -------------------------------------------------------------------

    def of_option(self, type_: Type, value: Any, path: str) -> Slots:
        inner = type_.arguments[0]
        if value is None:
            return zeros(type_)
        if self.types[inner].kind in ("option", "Void"):
            if not isinstance(value, dict) or list(value) != ["Some"]:
                raise expected('{"Some": …} or null', value, path)
            value = value["Some"]
        slots = self.value(inner, value, path)
        return slots if type_.plain else [1, *slots]

    def of_result(self, type_: Type, value: Any, path: str) -> Slots:
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in ("Ok", "Err"):
            raise expected('{"Ok": …} or {"Err": …}', value, path)
        name, inner = next(iter(value.items()))
        good = name == "Ok"
        slots = self.value(type_.arguments[0 if good else 1], inner, _below(path, name))
        other = zeros(self.types[type_.arguments[1 if good else 0]])
        both = [*slots, *other] if good else [*other, *slots]
        return both if type_.plain else [int(not good), *both]

    def of_tuple(self, type_: Type, value: Any, path: str) -> Slots:
        if not isinstance(value, list) or len(value) != len(type_.arguments):
            raise expected(f"{type_.shown} (an array of {len(type_.arguments)})", value, path)
        parts = zip(type_.arguments, value, strict=True)
        return [slot for i, (text, part) in enumerate(parts) for slot in self.value(text, part, f"{path}[{i}]")]

    def of_record(self, type_: Type, value: Any, path: str) -> Slots:
        self.check_names(type_, value, type_.names, path)
        slots: Slots = []
        for name, text in zip(type_.names, type_.arguments, strict=True):
            if name not in value:
                raise WrongValue(path, f"`{name}` is missing")
            slots += self.value(text, value[name], _below(path, name))
        return slots

    # -- objects ----------------------------------------------------------------------------------

    def of_list(self, type_: Type, value: Any, path: str) -> Slots:
        if not isinstance(value, list):
            raise expected(f"{type_.shown} (an array)", value, path)
        address = self.object(type_.new)
        for index, item in enumerate(value):
            with self.instance.held():
                slots = self.value(type_.arguments[0], item, f"{path}[{index}]")
                self.call(type_.add, signed(address, 32), *slots)
        return [signed(address, 32)]

    def of_set(self, type_: Type, value: Any, path: str) -> Slots:
        return self.of_list(type_, value, path)

    def of_map(self, type_: Type, value: Any, path: str) -> Slots:
        key_type, value_type = type_.arguments
        as_object = is_text_key(self.types, key_type)
        if not isinstance(value, dict if as_object else list):
            raise expected(f"{type_.shown} ({'an object' if as_object else 'an array of pairs'})", value, path)
        address = self.object(type_.new)
        pairs: list[Any] = [*value.items()] if isinstance(value, dict) else value
        for index, pair in enumerate(pairs):
            if not as_object and (not isinstance(pair, list) or len(pair) != 2):
                raise expected("pair [key, value]", pair, f"{path}[{index}]")
            key, item = pair
            where = _below(path, key) if as_object else f"{path}[{index}]"
            with self.instance.held():
                keys = self.value(key_type, self.key(key_type, key, where) if as_object else key, where)
                self.call(type_.add, signed(address, 32), *keys, *self.value(value_type, item, where))
        return [signed(address, 32)]

    def key(self, text: str, key: str, path: str) -> Any:
        """The key of a JSON object as JSON of its type."""
        kind = self.types[text].kind
        if kind == "Bool" and key in ("true", "false"):
            return key == "true"
        if kind in INTEGERS:
            try:
                number = int(key)
            except ValueError:
                raise WrongValue(path, f"the key {_shown(key)} is no {kind}") from None
            if str(number) != key:
                raise WrongValue(path, f"the key {_shown(key)} is written {number}")
            return number
        return key

    def of_gene(self, type_: Type, value: Any, path: str) -> Slots:
        self.check_names(type_, value, [str(part.name) for part in type_.fields], path)
        with self.instance.held():
            fields = [self.field(part, value, path) for part in type_.fields]
            address = self.filled(type_.new, type_.fields, fields)
            self.holds(type_, address, path)
        self.instance.hold(address)
        return [signed(address, 32)]

    def filled(self, blank: str, parts: tuple[Part, ...], values: list[Slots]) -> int:
        """A fresh object with these parts, which are held."""
        address = int(self.call(blank)[0]) & 0xFFFFFFFF
        for part, slots in zip(parts, values, strict=True):
            write_cells(self.instance, address, part.cells, slots)
        self.instance.hold(address)
        return address

    def holds(self, type_: Type, address: int, path: str) -> None:
        """Look at a gene's constraints. Raises WrongValue."""
        for _, export in type_.constraints:
            try:
                self.call(export, signed(address, 32))
            except Trapped as trapped:
                raise WrongValue(path, _cut(trapped.message, 500)) from None

    def field(self, part: Part, value: Mapping[str, Any], path: str) -> Slots:
        name = str(part.name)
        if name in value:
            return self.value(part.type, value[name], _below(path, name))
        slots = self.default(part.type, part.default)
        if slots is None:
            raise WrongValue(path, f"`{name}: {self.types[part.type].shown}` is missing, and has no default")
        return slots

    def default(self, text: str, export: str | None) -> Slots | None:
        """The value of what is left out: its default, or empty; None where there is none."""
        type_ = self.types[text]
        if export is not None:
            slots = self.call(export)
            for slot, kind in zip(slots, type_.slots, strict=True):
                if kind == "ref" and slot:
                    self.instance.hold(int(slot) & 0xFFFFFFFF)
            return slots
        if type_.kind in ("list", "map", "set"):
            return [signed(self.object(type_.new), 32)]
        return zeros(type_) if type_.kind == "option" else None

    def of_enum(self, type_: Type, value: Any, path: str) -> Slots:
        if isinstance(value, str):
            name, payload = value, None
        elif isinstance(value, dict) and len(value) == 1:
            name, payload = next(iter(value.items()))
        else:
            raise expected(f"{type_.shown} (a variant's name, or an object of it and its payload)", value, path)
        variant = next((one for one in type_.variants if one.name == name), None)
        if variant is None:
            names = [one.name for one in type_.variants]
            raise WrongValue(path, f"{type_.shown} has no variant {_shown(name)}; it has {', '.join(names)}")
        where = _below(path, name)
        if isinstance(value, str) and variant.payload:
            raise WrongValue(path, f"`{name}` has a payload: write {{{_shown(name)}: …}}")
        with self.instance.held():
            values = self.payload(variant.payload, payload, where) if not isinstance(value, str) else []
            if not variant.payload:
                if payload not in (None, [], {}):
                    raise WrongValue(where, f"`{name}` has no payload")
                return self.call(variant.blank)
            address = self.filled(variant.blank, variant.payload, values)
        self.instance.hold(address)
        return [signed(address, 32)]

    def payload(self, parts: tuple[Part, ...], payload: Any, path: str) -> list[Slots]:
        if not parts:
            return []
        if parts[0].name is None:
            given = [payload] if len(parts) == 1 else payload
            if not isinstance(given, list) or len(given) != len(parts):
                raise expected(f"array of {len(parts)}", payload, path)
            return [self.value(p.type, one, path) for p, one in zip(parts, given, strict=True)]
        names = [str(part.name) for part in parts]
        check_names(payload, names, path)
        for name in names:
            if name not in payload:
                raise WrongValue(path, f"`{name}` is missing")
        return [self.value(p.type, payload[p.name], _below(path, str(p.name))) for p in parts]

    def check_names(self, type_: Type, value: Any, names: Sequence[str], path: str) -> None:
        if not isinstance(value, dict):
            raise expected(f"{type_.shown} (an object)", value, path)
        check_names(value, names, path)


def check_names(value: Any, names: Sequence[str], path: str) -> None:
    """Raises WrongValue where this is no object, or has a name that is not among *names*."""
    if not isinstance(value, dict):
        raise expected("an object", value, path)
    for name in value:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean `{close[0]}`?" if close else f"; there are {', '.join(names) or 'none'}"
            raise WrongValue(path, f"there is no {_shown(name)}{hint}")


def expected(what: str, value: Any, path: str) -> WrongValue:
    """What is wrong with a value of another kind."""
    article = "" if what[0] in "{n" or what.startswith("an ") else "an " if what[0] in "aeiouAEIO" else "a "
    return WrongValue(path, f"expected {article}{what}, found {_shown(value)}")


def _below(path: str, name: str) -> str:
    return f"{path}.{_cut(name)}" if path else _cut(name)


def _shown(value: Any) -> str:
    try:
        return _cut(json.dumps(value))
    except (ValueError, RecursionError):
        return "something large"


def _cut(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[:length] + "…"


_MAKERS: dict[str, Callable[[Maker, Type, Any, str], Slots]] = {
    "Float32": Maker.of_float, "Float64": Maker.of_float, "Bool": Maker.of_bool, "Char": Maker.of_char, "String": Maker.of_string,
    "Void": Maker.of_void, "option": Maker.of_option, "result": Maker.of_result, "tuple": Maker.of_tuple, "record": Maker.of_record,
    "list": Maker.of_list, "set": Maker.of_set, "map": Maker.of_map, "gene": Maker.of_gene, "enum": Maker.of_enum,
}  # fmt: skip
