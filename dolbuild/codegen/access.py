"""Reaching into values: fields, items, and the instructions of the runtime."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known
from dolbuild.codegen import making, operations
from dolbuild.codegen.counted import is_counter
from dolbuild.codegen.frame import Frame, constant, multi, sequence
from dolbuild.codegen.ir import I32, I64, NOP, REF, Code, Data, slots
from dolbuild.codegen.names import instance_name
from dolbuild.codegen.shapes import fields_layout
from dolbuild.codegen.storage import CLASS_COUNT, CLASSES, ITEMS, Cell, item_layout, kinds, load, object_layout
from dolbuild.codegen.tables import powers_of_ten

if TYPE_CHECKING:
    from dolbuild.codegen.lower import Lowering


# -- fields ----------------------------------------------------------------------------------------


def get_field(f: "Lowering", value: v.GetField) -> Code:
    """A field of a gene is loaded; a part of a tuple or record is among its slots."""
    type_ = known(value.value.type)
    parts = side_by_side(type_)
    if parts is not None:
        found = places(f, value)
        if found is not None:
            return f.get(found)
        if isinstance(value.value, v.Instruction) and value.value.name == "array_get":
            return _part_of_item(f, value.value, parts, value.name)
        keep, at = f.keep(f.value_as(value.value, type_))
        start, end = part_range(parts, value.name)
        return sequence((keep, f.get(at[start:end])))
    shape = f.shape(type_)
    assert shape is not None
    cells = fields_layout(shape, type_)[1][value.name]
    if len(cells) == 1:
        return load(cells[0], f.value_as(value.value, type_))
    keep, (held,) = f.keep(f.value_as(value.value, type_))
    return sequence((keep, f.load_cells(held, cells)))


def side_by_side(type_: ty.Type) -> list[tuple[str, ty.Type]] | None:
    """The parts of a tuple or record, or None where it is something else."""
    if isinstance(type_, ty.TupleOf):
        return [(str(index), item) for index, item in enumerate(type_.items)]
    return list(type_.fields) if isinstance(type_, ty.RecordOf) else None


def _part_of_item(f: "Lowering", item: v.Instruction, parts: list[tuple[str, ty.Type]], name: str) -> Code:
    """A part of an item of an array: nothing else of the item is loaded."""
    array, index = item.operands
    start, end = part_range(parts, name)
    cells = item_cells(_item(array))[start:end]
    keep, (at,) = f.keep(item_address(f, _item(array), f.value(array), f.value(index)))
    return sequence((keep, f.load_cells(at, cells)))


def part_range(parts: list[tuple[str, ty.Type]], name: str) -> tuple[int, int]:
    """Which slots of a tuple or record belong to a part: first and behind the last."""
    start = 0
    for part, type_ in parts:
        count = len(slots(type_))
        if part == name:
            return start, start + count
        start += count
    raise AssertionError(name)


def places(f: "Lowering", value: v.Value) -> tuple[int, ...] | None:
    """The locals in which a variable, or a part of one, lies already; None where it has to be computed."""
    if isinstance(value, v.GetLocal) and id(value.local) not in f.captures.boxed:
        return f.place(value.local)
    if isinstance(value, v.GetField):
        parts = side_by_side(known(value.value.type))
        outer = places(f, value.value) if parts is not None else None
        if parts is not None and outer is not None:
            start, end = part_range(parts, value.name)
            return outer[start:end]
    return None


def set_field(f: "Lowering", value: v.SetField) -> Code:
    """A new value for a field of a gene, and then the constraints that read it: where the gene's own function assigns
    to its own instance, only when it returns."""
    type_ = known(value.target.type)
    shape = f.shape(type_)
    assert shape is not None
    cells = fields_layout(shape, type_)[1][value.name]
    field = dict(shape.field_types(type_))[value.name]
    keep, at = f.keep_value(value.target, type_)
    keep_value, indices = f.keep(f.value_as(value.value, field))
    parts = [keep, keep_value, f.store_cells(at[0], cells, indices)]
    if not f.is_itself(value.target):
        names = shape.constraint_symbols(type_, value.name)
        parts += [Code("call", (f.get(at),), name, (), value.start) for name in names]
    return sequence(tuple(parts))


# -- items -----------------------------------------------------------------------------------------

_LIST_CELLS = object_layout((I32, REF)).cells
LENGTH, ARRAY = _LIST_CELLS[0].offset, _LIST_CELLS[1].offset
"""Where a list keeps its length and its array; ``lists.dol`` has the same fields in the same order."""


def list_length(f: Frame, at: int) -> Code:
    return Code("i32.load", (f.get((at,)),), LENGTH, (I32,))


def item_address(f: Frame, item: ty.Type, array: Code, index: Code) -> Code:
    """The address of an item less `ITEMS`."""
    size = item_layout(kinds(item)).size
    if size == 0:
        return array
    if size & (size - 1) == 0:
        shift = size.bit_length() - 1
        offset = index if shift == 0 else Code("i32.shl", (index, constant(shift)), results=(I32,))
    else:
        offset = Code("i32.mul", (index, constant(size)), results=(I32,))
    return Code("i32.add", (array, offset), results=(I32,))


def item_cells(item: ty.Type) -> tuple[Cell, ...]:
    """The cells of an item, from what `item_address` gives."""
    return tuple(Cell(cell.kind, ITEMS + cell.offset) for cell in item_layout(kinds(item)).cells)


def load_item(f: Frame, item: ty.Type, array: Code, index: Code) -> Code:
    cells = item_cells(item)
    address = item_address(f, item, array, index)
    if len(cells) == 1:
        return load(cells[0], address)
    if not cells:
        return NOP
    keep, (at,) = f.keep(address)
    return sequence((keep, f.load_cells(at, cells)))


def store_item(f: Frame, item: ty.Type, array: Code, index: Code, indices: tuple[int, ...]) -> Code:
    cells = item_cells(item)
    if not cells:
        return NOP
    keep, (at,) = f.keep(item_address(f, item, array, index))
    return sequence((keep, f.store_cells(at, cells, indices)))


def is_in_range(f: "Lowering", items: v.Value, index: v.Value) -> bool:
    """Whether a loop around says that an index is within a list."""
    return isinstance(items, v.GetLocal) and any(
        items.local is known_list and is_counter(index, counter) for known_list, counter in f.in_range
    )


def _index(f: "Lowering", items: v.Value, value: v.Value, at: int, start: int) -> tuple[Code, Code]:
    """What has to be looked at before an item is loaded, and its index as an i32."""
    if is_in_range(f, items, value):
        return NOP, Code("i32.wrap_i64", (f.value_as(value, ty.INT64),), results=(I32,))
    return _checked_index(f, value, at, start)


def _checked_index(f: "Lowering", value: v.Value, at: int, start: int) -> tuple[Code, Code]:
    """Code that traps where an index is out of a list's range, and the index as an i32."""
    inner = value.value if isinstance(value, v.Convert) and known(value.value.type) in _NARROW else None
    if inner is not None:
        keep, (index,) = f.keep(f.value_as(inner, inner.type))
        narrow = f.get((index,))
        wide = operations.widen(narrow, known(inner.type))
        bad = Code("i32.ge_u", (narrow, list_length(f, at)), results=(I32,))
    else:
        keep, (index,) = f.keep(f.value_as(value, ty.INT64))
        wide = f.get((index,))
        narrow = Code("i32.wrap_i64", (wide,), results=(I32,))
        length = Code("i64.extend_i32_u", (list_length(f, at),), results=(I64,))
        bad = Code("i64.ge_u", (wide, length), results=(I32,))
    trap = f.runtime("lists.out_of_range", (wide, list_length(f, at)), (), start)
    return sequence((keep, Code("if", (bad, sequence((trap, Code("unreachable"))))))), narrow


_NARROW = frozenset((ty.INT32, ty.UINT32, ty.INT16, ty.UINT16, ty.INT8, ty.UINT8))


def get_index(f: "Lowering", value: v.GetIndex) -> Code:
    type_ = known(value.value.type)
    if type_ == ty.STRING:
        operands = (f.value(value.value), f.value(value.index))
        return f.runtime("strings.char_of", operands, (I32,), value.start)
    assert isinstance(type_, ty.Named)
    if type_.symbol == "Map":
        operands = (f.value(value.value), f.value_as(value.index, type_.arguments[0]))
        return f.runtime(instance_name("maps.value_of", type_.arguments), operands, slots(value.type), value.start)
    keep, at = f.keep_value(value.value, type_)
    check, index = _index(f, value.value, value.index, at[0], value.start)
    array = Code("i32.load", (f.get(at),), ARRAY, (REF,))
    return sequence((keep, check, load_item(f, type_.arguments[0], array, index)))


def set_index(f: "Lowering", value: v.SetIndex) -> Code:
    type_ = known(value.target.type)
    assert isinstance(type_, ty.Named)
    if type_.symbol == "Map":
        key, item = type_.arguments
        operands = (f.value(value.target), f.value_as(value.index, key), f.value_as(value.value, item))
        return f.runtime(instance_name("maps.insert", type_.arguments), operands, (), value.start)
    item = type_.arguments[0]
    keep, at = f.keep_value(value.target, type_)
    keep_index, (place,) = f.keep(f.value_as(value.index, ty.INT64))
    keep_value, indices = f.keep(f.value_as(value.value, item))
    wide = f.get((place,))
    array = Code("i32.load", (f.get(at),), ARRAY, (REF,))
    index = Code("i32.wrap_i64", (wide,), results=(I32,))
    stored = store_item(f, item, array, index, indices)
    if is_in_range(f, value.target, value.index):
        return sequence((keep, keep_index, keep_value, stored))
    length = Code("i64.extend_i32_u", (list_length(f, at[0]),), results=(I64,))
    bad = Code("i64.ge_u", (wide, length), results=(I32,))
    trap = f.runtime("lists.out_of_range", (wide, list_length(f, at[0])), (), value.start)
    check = Code("if", (bad, sequence((trap, Code("unreachable")))))
    return sequence((keep, keep_index, keep_value, check, stored))


# -- instructions ----------------------------------------------------------------------------------


def instruction(f: "Lowering", value: v.Instruction) -> Code:
    """``wasm.name(...)``."""
    special = _SPECIAL.get(value.name)
    if special is not None:
        return special(f, value)
    operands = tuple(f.value(operand) for operand in value.operands)
    name = value.name.replace("_", ".", 1)
    return Code(name, operands, 0, slots(value.type), value.start)


def _same_bits(f: "Lowering", value: v.Instruction) -> Code:
    code = f.value(value.operands[0])
    return Code("seq", (code,), results=slots(value.type))


def _place(f: "Lowering", value: v.Instruction) -> Code:
    return Code("place", imm=value.name, results=(I32,))


def _powers(f: "Lowering", value: v.Instruction) -> Code:
    symbol, data = powers_of_ten()
    return f.data(symbol, Data(data), I32)


def _classes(f: "Lowering", value: v.Instruction) -> Code:
    return f.data(CLASSES, Data(bytes(8 * CLASS_COUNT)), I32)


def _item(value: v.Value) -> ty.Type:
    item = ty.argument_of(known(value.type), ty.ARRAY)
    assert item is not None
    return item


def _array_new(f: "Lowering", value: v.Instruction) -> Code:
    return making.new_array(f, _item(value), f.value(value.operands[0]), value.start)


def _array_length(f: "Lowering", value: v.Instruction) -> Code:
    return Code("i32.load", (f.value(value.operands[0]),), 4, (I32,))


def _array_get(f: "Lowering", value: v.Instruction) -> Code:
    array, index = value.operands
    return load_item(f, _item(array), f.value(array), f.value(index))


def _array_set(f: "Lowering", value: v.Instruction) -> Code:
    array, index, item = value.operands
    keep_array, at = f.keep_value(array)
    keep_index, place = f.keep_value(index)
    keep, indices = f.keep(f.value_as(item, _item(array)))
    stored = store_item(f, _item(array), f.get(at), f.get(place), indices)
    return sequence((keep_array, keep_index, keep, stored))


def _array_copy(f: "Lowering", value: v.Instruction) -> Code:
    target, to, source, start, count = value.operands
    item = _item(target)
    size = item_layout(kinds(item)).size

    def address(array: v.Value, index: v.Value) -> Code:
        at = item_address(f, item, f.value(array), f.value(index))
        return Code("i32.add", (at, constant(ITEMS)), results=(I32,))

    bytes_ = Code("i32.mul", (f.value(count), constant(size)), results=(I32,))
    return Code("memory.copy", (address(target, to), address(source, start), bytes_), 0)


def _array_clear(f: "Lowering", value: v.Instruction) -> Code:
    array, start, count = value.operands
    item = _item(array)
    at = Code("i32.add", (item_address(f, item, f.value(array), f.value(start)), constant(ITEMS)), results=(I32,))
    size = constant(item_layout(kinds(item)).size)
    return Code("memory.fill", (at, constant(0), Code("i32.mul", (f.value(count), size), results=(I32,))), 0)


def _derived(f: "Lowering", value: v.Instruction) -> Code:
    type_ = known(value.operands[0].type)
    codes = [f.value_as(operand, type_) for operand in value.operands]
    match value.name:
        case "same":
            return operations.equality(f, "eq", type_, codes[0], codes[1], value.start)
        case "less":
            return operations.order(f, "lt", type_, codes[0], codes[1], value.start)
        case "hash":
            return operations.hashed(f, type_, codes[0])
        case "text" | "quoted":
            return operations.to_string(f, type_, codes[0], value.start, quoted=value.name == "quoted")
        case _:
            return operations.add_items(f, type_, codes, value.start)


def _json(f: "Lowering", value: v.Instruction) -> Code:
    (operand,) = value.operands
    pair = ty.TupleOf((known(value.type), known(operand.type)))
    return f.derived("json", pair, (f.value_as(operand, operand.type),), (REF,))


def _zero(f: "Lowering", value: v.Instruction) -> Code:
    zeros = f.zeros(known(value.type))
    return zeros[0] if len(zeros) == 1 else multi(zeros)


_SPECIAL: dict[str, Callable[["Lowering", v.Instruction], Code]] = {
    "address_of": _same_bits, "at": _same_bits, "view": _same_bits, "heap_base": _place, "stack_top": _place,
    "roots_start": _place, "roots_end": _place, "powers_of_ten": _powers, "class_table": _classes,
    "array_new": _array_new, "array_length": _array_length, "array_get": _array_get, "array_set": _array_set,
    "array_copy": _array_copy, "array_clear": _array_clear, "same": _derived, "less": _derived, "hash": _derived,
    "text": _derived, "quoted": _derived, "add": _derived, "json": _json, "zero": _zero,
}  # fmt: skip
