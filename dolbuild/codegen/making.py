"""Making values: genes, variants, tuples, lists, closures, and values seen as their trait."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known
from dolbuild.analysis.world import substitute
from dolbuild.codegen import optional
from dolbuild.codegen.frame import Frame, constant, multi, sequence
from dolbuild.codegen.ir import I32, REF, Code, Data, slots
from dolbuild.codegen.names import derived, instance_name
from dolbuild.codegen.shapes import fields_layout, variant_layout, vtable_functions
from dolbuild.codegen.storage import (
    ITEMS,
    LEAF,
    Cell,
    Layout,
    array_header,
    item_layout,
    kinds,
    object_layout,
    store,
)

if TYPE_CHECKING:
    from dolbuild.codegen.lower import Lowering

THUNK = "#thunk"
"""Behind a function's symbol: the function that is called through a function value, and drops its first argument."""


# -- genes -----------------------------------------------------------------------------------------


def gene(f: "Lowering", value: v.MakeGene) -> Code:
    """A new instance: its fields in the order in which they are given, then the object, then its constraints."""
    type_ = known(value.type)
    shape = f.shape(type_)
    assert shape is not None and isinstance(type_, ty.Named)
    types = dict(shape.field_types(type_))
    fields: dict[str, Code] = {}
    for name, part in value.fields.items():
        fields[name] = f.value_as(part, types[name]) if part is not None else default(f, type_, name, types[name])
    code = object_of_fields(f, type_, fields)
    symbols = shape.constraint_symbols(type_)
    if not symbols:
        return code
    keep, at = f.keep(code)
    return sequence((keep, *(Code("call", (f.get(at),), name, (), value.start) for name in symbols), f.get(at)))


def default(f: "Lowering", owner: ty.Named, field: str, type_: ty.Type) -> Code:
    """The value of a field that is left out."""
    shape = f.shape(owner)
    assert shape is not None
    if field in shape.defaults:
        return Code("call", (), instance_name(shape.default_symbol(field), owner.arguments), slots(type_))
    return empty(f, type_)


def empty(f: Frame, type_: ty.Type) -> Code:
    """An empty collection, ``None``, or what the type's own ``default`` gives."""
    assert isinstance(type_, ty.Named)
    if type_.symbol == "Option":
        return optional.make(f, type_, "None", None)
    module = {"List": "lists", "Map": "maps", "Set": "sets"}.get(type_.symbol)
    if module is not None:
        return f.runtime(instance_name(f"{module}.new", type_.arguments), (), (REF,), -1)
    return Code("call", (), instance_name(f"{type_.symbol}.default", type_.arguments), slots(type_))


def object_of_fields(f: Frame, type_: ty.Type, fields: dict[str, Code]) -> Code:
    """An object of the given fields, which are computed in this order."""
    shape = f.shape(type_)
    assert shape is not None
    layout, cells = fields_layout(shape, type_)
    return _filled(f, layout, [(cells[name], code) for name, code in fields.items()])


def _filled(f: Frame, layout: Layout, parts: list[tuple[tuple[Cell, ...], Code]]) -> Code:
    """A new object with values in its cells."""
    front: list[Code] = []
    stores: list[Callable[[int], Code]] = []
    for cells, code in parts:
        if code.op in _CONSTANT:
            stores.append(lambda at, cell=cells[0], code=code: store(cell, f.get((at,)), code))  # type: ignore[misc]
        else:
            keep, indices = f.keep(code)
            front.append(keep)
            stores.append(lambda at, cells=cells, indices=indices: f.store_cells(at, cells, indices))  # type: ignore[misc]
    made, at = f.allocate(layout)
    return sequence((*front, made, *(write(at) for write in stores), f.get((at,))))


_CONSTANT = frozenset(("i32.const", "i64.const", "f32.const", "f64.const", "data"))


# -- variants --------------------------------------------------------------------------------------


def variant(f: "Lowering", value: v.MakeVariant) -> Code:
    type_ = known(value.type)
    types = payload_types(f, type_, value.variant)
    payload = [f.value_as(part, kind) for part, kind in zip(value.payload, types, strict=True)]
    return variant_of(f, type_, value.variant, payload)


def payload_types(f: Frame, type_: ty.Type, name: str) -> list[ty.Type]:
    """The types of a variant's payload."""
    assert isinstance(type_, ty.Named)
    if optional.is_option(type_):
        return [type_.arguments[0]] if name == "Some" else []
    if optional.is_result(type_):
        return [type_.arguments[0 if name == "Ok" else 1]]
    shape = f.shape(type_)
    assert shape is not None
    return [kind for _, kind in shape.payload_types(type_, name)]


def variant_of(f: Frame, type_: ty.Type, name: str, payload: list[Code]) -> Code:
    """A variant with its payload. One without any is an object in the data, the same wherever it is made."""
    if optional.is_option(type_) or optional.is_result(type_):
        return optional.make(f, type_, name, payload[0] if payload else None)
    shape = f.shape(type_)
    assert shape is not None
    tag = shape.tag(name)
    if not payload:
        return f.data(f"variant:{tag}", Data(LEAF.to_bytes(4, "little") + tag.to_bytes(4, "little")))
    layout, cells = variant_layout(shape, type_, name)
    tag_cell = (layout.cells[0],)
    return _filled(f, layout, [*zip(cells, payload, strict=True), (tag_cell, constant(tag))])


# -- values side by side ---------------------------------------------------------------------------


def tuple_(f: "Lowering", value: v.MakeTuple) -> Code:
    types = known(value.type)
    assert isinstance(types, ty.TupleOf)
    parts = tuple(f.value_as(part, kind) for part, kind in zip(value.items, types.items, strict=True))
    return parts[0] if len(parts) == 1 else multi(parts)


def record(f: "Lowering", value: v.MakeRecord) -> Code:
    type_ = known(value.type)
    assert isinstance(type_, ty.RecordOf)
    types = dict(type_.fields)
    parts = tuple(f.value_as(part, types[name]) for name, part in value.fields.items())
    return parts[0] if len(parts) == 1 else multi(parts)


def range_(f: "Lowering", value: v.MakeRange) -> Code:
    return multi((f.value(value.low), f.value(value.high), constant(int(value.inclusive))))


# -- lists -----------------------------------------------------------------------------------------


def list_(f: "Lowering", value: v.MakeList) -> Code:
    """A list of some items: its array is made last, so that the items need not be looked for in it."""
    item = ty.argument_of(known(value.type), "List")
    assert item is not None
    parts = [f.keep(f.value_as(part, item)) for part in value.items]
    if not parts:
        return f.runtime(instance_name("lists.new", (item,)), (), (REF,), value.start)
    layout = item_layout(kinds(item))
    array, (at,) = f.keep(new_array(f, item, constant(len(parts)), value.start))
    stores = [
        f.store_cells(at, tuple(Cell(c.kind, ITEMS + index * layout.size + c.offset) for c in layout.cells), indices)
        for index, (_, indices) in enumerate(parts)
    ]
    count = constant(len(parts))
    made = f.runtime(instance_name("lists.of_array", (item,)), (f.get((at,)), count), (REF,), value.start)
    return sequence((*(keep for keep, _ in parts), array, *stores, made))


def new_array(f: Frame, item: ty.Type, count: Code, start: int) -> Code:
    """An array of items that are all 0."""
    layout = item_layout(kinds(item))
    header = array_header(layout, f.unit)
    return f.runtime("memory.array", (count, constant(layout.size), header), (REF,), start)


# -- functions as values ---------------------------------------------------------------------------


def closure_layout(f: "Lowering", captured: list[v.Local]) -> tuple[Layout, list[tuple[Cell, ...]]]:
    """How a closure's object lies: the function's place in the table, then what it captures."""
    cells = ["i32"]
    ranges: list[tuple[int, int]] = []
    for local in captured:
        own: tuple[str, ...] = (REF,) if id(local) in f.captures.boxed else kinds(local.type)
        ranges.append((len(cells), len(cells) + len(own)))
        cells += own
    layout = object_layout(tuple(cells))
    return layout, [layout.cells[start:end] for start, end in ranges]


def unpack(f: "Lowering", captured: list[v.Local]) -> Code:
    """What a closure captured, from its object into locals."""
    _, cells = closure_layout(f, captured)
    parts = []
    for local, own in zip(captured, cells, strict=True):
        at = f.place(local)
        if at:
            parts.append(Code("local.set", (f.load_cells(0, own),), at))
    return sequence(tuple(parts))


def closure(f: "Lowering", value: v.Closure) -> Code:
    """A closure: its code is a function of its own, its object holds what it captures."""
    from dolbuild.codegen.lower import Lowering

    type_ = known(value.type)
    assert isinstance(type_, ty.FunctionOf)
    f.numbers[0] += 1
    root = f.typed.symbol.split("#closure")[0]
    symbol = f"{root}#closure{f.numbers[0]}"
    function = v.Function(symbol, value.parameters, type_.result, value.body, value.start)
    inner = Lowering(f.unit, f.environment, function, f.captures, value, f.numbers)
    f.unit.functions.append(inner.run(value.body))
    captured = f.captures.of[id(value)]
    place = Code("table", imm=symbol, results=(I32,))
    if not captured:
        return f.data(f"{symbol}#value", Data(bytes(8), ((4, "e", symbol),)))
    layout, cells = closure_layout(f, captured)
    parts = [(own, f.get(f.place(local))) for local, own in zip(captured, cells, strict=True)]
    return _filled(f, layout, [((layout.cells[0],), place), *parts])


def function_reference(f: "Lowering", value: v.FunctionReference) -> Code:
    """A function as a value: an object in the data."""
    name = instance_name(value.symbol, tuple(known(type_) for type_ in value.types))
    return f.data(f"{name}#value", Data(bytes(8), ((4, "e", name + THUNK),)))


def call_value(f: "Lowering", value: v.CallValue) -> Code:
    type_ = known(value.callee.type)
    assert isinstance(type_, ty.FunctionOf)
    keep, at = f.keep_value(value.callee)
    arguments = [f.value_as(part, kind) for part, kind in zip(value.arguments, type_.parameters, strict=True)]
    results = slots(type_.result)
    signature = ((REF, *(slot for kind in type_.parameters for slot in slots(kind))), results)
    place = Code("i32.load", (f.get(at),), 4, (I32,))
    call = Code("call_indirect", (f.get(at), *arguments, place), signature, results, value.start)
    return f.after(value, sequence((keep, call)))


# -- traits ----------------------------------------------------------------------------------------


def dynamic_layout(type_: ty.Type) -> tuple[Layout, tuple[Cell, ...]]:
    """How a value seen as its trait lies: the address of its table of functions, then the value."""
    layout = object_layout(("i32", *kinds(type_)))
    return layout, layout.cells[1:]


def dynamic(f: "Lowering", value: v.MakeDynamic) -> Code:
    """A value together with the table of its trait's functions."""
    inner = known(value.value.type)
    if inner == known(value.type):
        return f.value(value.value)
    table = Code("data", imm=derived("table", known(value.type), inner), results=(I32,))
    layout, cells = dynamic_layout(inner)
    return _filled(f, layout, [(cells, f.value_as(value.value, inner)), ((layout.cells[0],), table)])


FIRST_FUNCTION = 2
"""Places in a table of functions before those of the trait: ``to_string``, equality."""


def call_trait(f: "Lowering", value: v.CallTrait) -> Code:
    """A call of a trait's function: of the implementation where the type is known, else through the table."""
    receiver, trait = known(value.receiver.type), known(value.trait)
    shape = f.shape(trait)
    assert shape is not None
    if f.shape(receiver) is None or f.shape(receiver).functions is None:  # type: ignore[union-attr]
        name = derived(f"call:{value.name}", trait, receiver, *map(known, value.types))
        given = [f.value(value.receiver), *(f.value(argument) for argument in value.arguments if argument is not None)]
        return f.after(value, Code("call", tuple(given), name, slots(value.type), value.start))
    keep, at = f.keep_value(value.receiver)
    own = f.shape(receiver)
    assert own is not None
    functions = vtable_functions(own, f.environment.shapes, receiver)
    index = next(i for i, (_, function) in enumerate(functions) if function.name == value.name)
    arguments = [f.value(argument) for argument in value.arguments if argument is not None]
    table = Code("i32.load", (f.get(at),), 4, (I32,))
    place = Code("i32.load", (table,), 4 * (FIRST_FUNCTION + index), (I32,))
    parameters = tuple(slot for kind in functions[index][1].parameters for slot in slots(_own(kind, receiver)))
    signature = ((REF, *parameters), slots(value.type))
    call = Code("call_indirect", (f.get(at), *arguments, place), signature, slots(value.type), value.start)
    return f.after(value, sequence((keep, call)))


def _own(kind: ty.Type, receiver: ty.Type) -> ty.Type:
    return substitute(kind, {"Self": receiver})


def json(f: "Lowering", value: v.MakeJson) -> Code:
    """A literal as a Json: by its structure."""
    inner = known(value.value.type)
    return f.derived("json", ty.TupleOf((known(value.type), inner)), (f.value(value.value),), (REF,))
