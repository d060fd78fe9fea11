"""Functions that are made for each type when a program is linked: equality, order, hash, text, Json, and the tables of
traits. Their symbols are ``@dol/derived/same<T>`` and so on."""

from collections.abc import Callable

from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known
from dolbuild.analysis.world import substitute
from dolbuild.codegen import access, making, operations, optional
from dolbuild.codegen.frame import Environment, Frame, constant, negate, sequence, zero
from dolbuild.codegen.ir import I32, NOP, REF, UNREACHABLE, Code, Data, Function, Unit, slots
from dolbuild.codegen.names import derived, instance_name
from dolbuild.codegen.shapes import Shape, fields_layout, variant_layout, vtable_functions
from dolbuild.codegen.storage import store

Parts = list[tuple[str, ty.Type, tuple[int, ...]]]
"""Names, types and locals of the parts of a value."""


def derive(unit: Unit, environment: Environment, kind: str, types: tuple[ty.Type, ...]) -> None:
    """Add the function *kind* for a type to *unit*."""
    type_ = types[0]
    name = derived(kind, *types)
    count = 2 if kind in ("same", "less") else 1
    if kind == "json":
        assert isinstance(type_, ty.TupleOf)
        parameters = slots(type_.items[1])
    else:
        parameters = slots(type_) * count
    maker = _Maker(unit, environment)
    maker.temporary(parameters)
    half = len(parameters) // count
    first, second = tuple(range(half)), tuple(range(half, len(parameters)))
    body = _KINDS[kind](maker, type_, first, second)
    results = (REF,) if kind in ("text", "shown", "json") else (I32,)
    unit.functions.append(Function(name, parameters, results, maker.locals, body, -1))


class _Maker(Frame):
    """The frame of a derived function."""

    def leave_if(self, condition: Code, result: Code) -> Code:
        return Code("if", (condition, Code("return", (result,))))

    def concat(self, *parts: Code) -> Code:
        code = parts[0]
        for part in parts[1:]:
            code = self.runtime("strings.concat", (code, part), (REF,), -1)
        return code

    def shape_of(self, type_: ty.Type) -> Shape:
        shape = self.shape(type_)
        assert shape is not None, type_
        return shape

    def fields(self, type_: ty.Type, at: int) -> tuple[Code, Parts]:
        """The fields of a gene, loaded into locals."""
        shape = self.shape_of(type_)
        cells = fields_layout(shape, type_)[1]
        loads: list[Code] = []
        parts: Parts = []
        for name, kind in shape.field_types(type_):
            keep, indices = self.keep(self.load_cells(at, cells[name]))
            loads.append(keep)
            parts.append((name, kind, indices))
        return sequence(tuple(loads)), parts

    def payload(self, type_: ty.Type, variant: str, at: int) -> tuple[Code, Parts]:
        shape = self.shape_of(type_)
        loads: list[Code] = []
        parts: Parts = []
        cells = variant_layout(shape, type_, variant)[1]
        for (name, kind), own in zip(shape.payload_types(type_, variant), cells, strict=True):
            keep, indices = self.keep(self.load_cells(at, own))
            loads.append(keep)
            parts.append((name or "", kind, indices))
        return sequence(tuple(loads)), parts

    def items(self, type_: ty.Type, first: tuple[int, ...]) -> Parts:
        """The parts of a tuple or record."""
        parts = access.side_by_side(type_)
        assert parts is not None
        found: Parts = []
        start = 0
        for name, kind in parts:
            count = len(slots(kind))
            found.append((name, kind, first[start : start + count]))
            start += count
        return found


# -- equality --------------------------------------------------------------------------------------


def _same(f: _Maker, type_: ty.Type, first: tuple[int, ...], second: tuple[int, ...]) -> Code:
    if access.side_by_side(type_) is not None:
        pairs = zip(f.items(type_, first), f.items(type_, second), strict=True)
        return sequence((*(_differs(f, kind, a, b) for (_, kind, a), (_, _, b) in pairs), constant(1)))
    if optional.is_option(type_) or optional.is_result(type_):
        return _same_optional(f, type_, first, second)
    if isinstance(type_, ty.FunctionOf):
        return Code("i32.eq", (f.get(first), f.get(second)), results=(I32,))
    assert isinstance(type_, ty.Named)
    if type_.symbol == ty.RANGE:
        test = ty.TupleOf((*type_.arguments, *type_.arguments, ty.BOOL))
        return f.derived("same", test, (f.get(first), f.get(second)), (I32,))
    identical = f.leave_if(Code("i32.eq", (f.get(first), f.get(second)), results=(I32,)), constant(1))
    if type_.symbol in _COLLECTIONS:
        return sequence((identical, _call_collection(f, type_, "equal", first, second)))
    shape = f.shape_of(type_)
    if shape.functions is not None:
        return sequence((identical, _same_dynamic(f, first[0], second[0])))
    if shape.variants is None:
        loads, parts = f.fields(type_, first[0])
        more, others = f.fields(type_, second[0])
        tests = (_differs(f, kind, a, b) for (_, kind, a), (_, _, b) in zip(parts, others, strict=True))
        return sequence((identical, loads, more, *tests, constant(1)))
    tags = [Code("i32.load", (f.get(at),), 4, (I32,)) for at in (first, second)]
    code: list[Code] = [identical, f.leave_if(Code("i32.ne", (tags[0], tags[1]), results=(I32,)), constant(0))]
    for variant, payload in shape.variants:
        if payload:
            loads, parts = f.payload(type_, variant, first[0])
            more, others = f.payload(type_, variant, second[0])
            tests = (_differs(f, kind, a, b) for (_, kind, a), (_, _, b) in zip(parts, others, strict=True))
            here = Code("i32.eq", (tags[0], constant(shape.tag(variant))), results=(I32,))
            code.append(Code("if", (here, sequence((loads, more, *tests)))))
    return sequence((*code, constant(1)))


def _differs(f: _Maker, kind: ty.Type, a: tuple[int, ...], b: tuple[int, ...]) -> Code:
    """Leave with 0 where two parts are not equal."""
    if not a:
        return NOP
    return f.leave_if(operations.equality(f, "ne", kind, f.get(a), f.get(b), -1), constant(0))


def _same_optional(f: _Maker, type_: ty.Type, first: tuple[int, ...], second: tuple[int, ...]) -> Code:
    assert isinstance(type_, ty.Named)
    good, other = optional.is_good(f, type_, first), optional.is_good(f, type_, second)
    code = [f.leave_if(Code("i32.ne", (good, other), results=(I32,)), constant(0))]
    item = known(type_.arguments[0])
    a, b = optional.payload_at(type_, first), optional.payload_at(type_, second)
    code.append(Code("if", (good, _differs(f, item, a, b))))
    if optional.is_result(type_):
        error = known(type_.arguments[1])
        a, b = optional.error_at(type_, first), optional.error_at(type_, second)
        code.append(Code("if", (negate(good), _differs(f, error, a, b))))
    return sequence((*code, constant(1)))


def _same_dynamic(f: _Maker, a: int, b: int) -> Code:
    """Two values seen as a trait are equal where they are of one type, and equal."""
    tables = [Code("i32.load", (f.get((at,)),), 4, (I32,)) for at in (a, b)]
    other = f.leave_if(Code("i32.ne", (tables[0], tables[1]), results=(I32,)), constant(0))
    place = Code("i32.load", (tables[0],), 4, (I32,))
    call = Code("call_indirect", (f.get((a,)), f.get((b,)), place), ((REF, REF), (I32,)), (I32,))
    return sequence((other, call))


_COLLECTIONS = {"List": "lists", "Map": "maps", "Set": "sets", ty.ARRAY: "lists"}


def _call_collection(f: Frame, type_: ty.Named, name: str, *at: tuple[int, ...], result: str = I32) -> Code:
    """A function of the runtime for a list, map or set."""
    symbol = instance_name(f"{_COLLECTIONS[type_.symbol]}.{name}", type_.arguments)
    return f.runtime(symbol, tuple(f.get(one) for one in at), (result,), -1)


# -- order -----------------------------------------------------------------------------------------


def _less(f: _Maker, type_: ty.Type, first: tuple[int, ...], second: tuple[int, ...]) -> Code:
    """Tuples are compared part by part, lists by the runtime."""
    if isinstance(type_, ty.Named) and type_.symbol == "List":
        return _call_collection(f, type_, "less", first, second)
    code: list[Code] = []
    for (_, kind, a), (_, _, b) in zip(f.items(type_, first), f.items(type_, second), strict=True):
        code.append(f.leave_if(operations.order(f, "lt", kind, f.get(a), f.get(b), -1), constant(1)))
        code.append(f.leave_if(operations.order(f, "lt", kind, f.get(b), f.get(a), -1), constant(0)))
    return sequence((*code, constant(0)))


# -- hashes ----------------------------------------------------------------------------------------


def _hash(f: _Maker, type_: ty.Type, first: tuple[int, ...], second: tuple[int, ...]) -> Code:
    if access.side_by_side(type_) is not None:
        return _combined(f, NOP, f.items(type_, first), constant(17))
    assert isinstance(type_, ty.Named), type_
    if optional.is_option(type_) or optional.is_result(type_):
        good = optional.is_good(f, type_, first)
        inside = [("", known(type_.arguments[0]), optional.payload_at(type_, first))]
        otherwise: Code = constant(2)
        if optional.is_result(type_):
            error = [("", known(type_.arguments[1]), optional.error_at(type_, first))]
            otherwise = _combined(f, NOP, error, constant(3))
        return Code("if", (good, _combined(f, NOP, inside, constant(1)), otherwise), results=(I32,))
    if type_.symbol in _COLLECTIONS:
        return _call_collection(f, type_, "hash", first)
    if type_.symbol == ty.RANGE:
        return f.derived("hash", ty.TupleOf((*type_.arguments, *type_.arguments, ty.BOOL)), (f.get(first),), (I32,))
    shape = f.shape_of(type_)
    if shape.functions is not None:
        return constant(7)  # all values seen as a trait fall together; equality tells them apart
    if shape.variants is None:
        loads, parts = f.fields(type_, first[0])
        return _combined(f, loads, parts, constant(23))
    tag = Code("i32.load", (f.get(first),), 4, (I32,))
    code: list[Code] = []
    for variant, payload in shape.variants:
        if payload:
            loads, parts = f.payload(type_, variant, first[0])
            here = Code("i32.eq", (tag, constant(shape.tag(variant))), results=(I32,))
            code.append(f.leave_if(here, _combined(f, loads, parts, tag)))
    return sequence((*code, f.runtime("hashes.narrow", (tag,), (I32,), -1)))


def _combined(f: _Maker, loads: Code, parts: Parts, seed: Code) -> Code:
    (total,) = f.temporary((I32,))
    code = [loads, Code("local.set", (seed,), (total,))]
    for _, kind, at in parts:
        own = operations.hashed(f, kind, f.get(at))
        both = f.runtime("hashes.combine", (f.get((total,)), own), (I32,), -1)
        code.append(Code("local.set", (both,), (total,)))
    return sequence((*code, f.get((total,))))


# -- text ------------------------------------------------------------------------------------------


def _text(f: _Maker, type_: ty.Type, first: tuple[int, ...], second: tuple[int, ...]) -> Code:
    """``to_string``: the type's own, or by structure."""
    shape = f.shape(type_)
    if shape is not None and shape.text and isinstance(type_, ty.Named):
        return Code("call", (f.get(first),), instance_name(shape.text, type_.arguments), (REF,))
    return _shown(f, type_, first, second)


def _shown(f: _Maker, type_: ty.Type, first: tuple[int, ...], second: tuple[int, ...]) -> Code:
    if isinstance(type_, ty.TupleOf):
        return f.concat(f.string("("), *_listed(f, f.items(type_, first), False), f.string(")"))
    if isinstance(type_, ty.RecordOf):
        return f.concat(f.string("{ "), *_listed(f, f.items(type_, first), True), f.string(" }"))
    if isinstance(type_, ty.FunctionOf):
        return f.string("<function>")
    assert isinstance(type_, ty.Named)
    if optional.is_option(type_) or optional.is_result(type_):
        return _shown_optional(f, type_, first)
    if type_.symbol == ty.RANGE:
        low, high, inclusive = first
        item = known(type_.arguments[0])
        dots = Code("select", (f.string("..="), f.string(".."), f.get((inclusive,))), results=(REF,))
        ends = [operations.to_string(f, item, f.get((at,)), -1) for at in (low, high)]
        return f.concat(ends[0], dots, ends[1])
    if type_.symbol in _COLLECTIONS:
        return _call_collection(f, type_, "show", first, result=REF)
    shape = f.shape_of(type_)
    if shape.functions is not None:
        table = Code("i32.load", (f.get(first),), 4, (I32,))
        place = Code("i32.load", (table,), 0, (I32,))
        return Code("call_indirect", (f.get(first), place), ((REF,), (REF,)), (REF,))
    name = str(ty.Named(type_.symbol))
    if shape.variants is None:
        loads, parts = f.fields(type_, first[0])
        if not parts:
            return f.string(f"{name} {{ }}")
        return sequence((loads, f.concat(f.string(f"{name} {{ "), *_listed(f, parts, True), f.string(" }"))))
    tag = Code("i32.load", (f.get(first),), 4, (I32,))
    code: list[Code] = []
    for variant, payload in shape.variants:
        shown = f.string(variant)
        if payload:
            loads, parts = f.payload(type_, variant, first[0])
            named = payload[0][0] is not None
            shown = sequence((loads, f.concat(f.string(f"{variant}("), *_listed(f, parts, named), f.string(")"))))
        here = Code("i32.eq", (tag, constant(shape.tag(variant))), results=(I32,))
        code.append(f.leave_if(here, shown))
    return sequence((*code, UNREACHABLE))


def _listed(f: _Maker, parts: Parts, named: bool) -> list[Code]:
    """The texts of some parts with commas between them, and their names before them."""
    found: list[Code] = []
    for index, (name, kind, at) in enumerate(parts):
        before = (", " if index else "") + (f"{name}: " if named else "")
        if before:
            found.append(f.string(before))
        found.append(operations.to_string(f, kind, f.get(at) if at else NOP, -1, quoted=True))
    return found


def _shown_optional(f: _Maker, type_: ty.Named, first: tuple[int, ...]) -> Code:
    def inside(word: str, kind: ty.Type, at: tuple[int, ...]) -> Code:
        shown = operations.to_string(f, known(kind), f.get(at) if at else NOP, -1, quoted=True)
        return f.concat(f.string(f"{word}("), shown, f.string(")"))

    good = optional.is_good(f, type_, first)
    payload = optional.payload_at(type_, first)
    if optional.is_option(type_):
        return Code("if", (good, inside("Some", type_.arguments[0], payload), f.string("None")), results=(REF,))
    error = inside("Err", type_.arguments[1], optional.error_at(type_, first))
    return Code("if", (good, inside("Ok", type_.arguments[0], payload), error), results=(REF,))


# -- Json ------------------------------------------------------------------------------------------


def _json(f: _Maker, pair: ty.Type, first: tuple[int, ...], second: tuple[int, ...]) -> Code:
    """A value as a Json (of ``@univrs/json``), by its structure."""
    assert isinstance(pair, ty.TupleOf)
    json, type_ = pair.items
    assert isinstance(json, ty.Named)

    def variant(name: str, *payload: Code) -> Code:
        return making.variant_of(f, json, name, list(payload))

    def inner(kind: ty.Type, at: tuple[int, ...]) -> Code:
        if kind == json:
            return f.get(at)
        return f.derived("json", ty.TupleOf((json, kind)), (f.get(at) if at else NOP,), (REF,))

    value = f.get(first) if first else NOP
    if type_ == json:
        return value
    if type_ in ty.INTEGERS:
        return _json_integer(f, type_, value, variant)
    if type_ in ty.FLOATS:
        return variant("Float", operations.convert(f, value, type_, ty.FLOAT64, -1) if type_ != ty.FLOAT64 else value)
    if type_ == ty.BOOL:
        return variant("Bool", value)
    if type_ in (ty.STRING, ty.CHAR):
        return variant("Text", operations.to_string(f, type_, value, -1))
    if not first and not isinstance(type_, ty.RecordOf | ty.TupleOf):
        return sequence((value, variant("Null")))
    if isinstance(type_, ty.TupleOf):
        return _json_list(f, json, [inner(kind, at) for _, kind, at in f.items(type_, first)], variant)
    if isinstance(type_, ty.RecordOf):
        return _json_object(f, json, NOP, [(n, inner(kind, at)) for n, kind, at in f.items(type_, first)], variant)
    if isinstance(type_, ty.FunctionOf):
        return variant("Text", f.string("<function>"))
    assert isinstance(type_, ty.Named)
    if optional.is_option(type_):
        some = inner(known(type_.arguments[0]), optional.payload_at(type_, first))
        return Code("if", (optional.is_good(f, type_, first), some, variant("Null")), results=(REF,))
    if optional.is_result(type_):
        good = inner(known(type_.arguments[0]), optional.payload_at(type_, first))
        bad = inner(known(type_.arguments[1]), optional.error_at(type_, first))
        parts = [_json_object(f, json, NOP, [(name, part)], variant) for name, part in (("Ok", good), ("Err", bad))]
        return Code("if", (optional.is_good(f, type_, first), parts[0], parts[1]), results=(REF,))
    module = json.symbol.rpartition(".")[0]
    if type_.symbol in ("List", "Set"):
        name = instance_name(f"{module}.of_{type_.symbol.lower()}", type_.arguments)
        return Code("call", (value,), name, (REF,))
    if type_.symbol == "Map":
        return Code("call", (value,), instance_name(f"{module}.of_map", type_.arguments), (REF,))
    shape = f.shape_of(type_)
    if shape.functions is not None or type_.symbol == ty.RANGE:
        return variant("Text", f.derived("text", type_, (value,), (REF,)))
    if shape.variants is None:
        loads, fields = f.fields(type_, first[0])
        return _json_object(f, json, loads, [(n, inner(kind, at)) for n, kind, at in fields], variant)
    tag = Code("i32.load", (f.get(first),), 4, (I32,))
    code: list[Code] = []
    for name, payload in shape.variants:
        shown = variant("Text", f.string(name))
        if payload:
            loads, own = f.payload(type_, name, first[0])
            if payload[0][0] is not None:
                held = _json_object(f, json, NOP, [(n, inner(kind, at)) for n, kind, at in own], variant)
            elif len(payload) == 1:
                held = inner(own[0][1], own[0][2])
            else:
                held = _json_list(f, json, [inner(kind, at) for _, kind, at in own], variant)
            shown = sequence((loads, _json_object(f, json, NOP, [(name, held)], variant)))
        here = Code("i32.eq", (tag, constant(shape.tag(name))), results=(I32,))
        code.append(f.leave_if(here, shown))
    return sequence((*code, UNREACHABLE))


def _json_integer(f: _Maker, type_: ty.Type, value: Code, variant: Callable[..., Code]) -> Code:
    """Integers beyond Int64 become Float, as other readers of JSON have them."""
    wide = operations.widen(value, type_)
    if type_ != ty.UINT64:
        return variant("Int", wide)
    keep, at = f.keep(wide)
    large = Code("i64.lt_s", (f.get(at), Code("i64.const", imm=0, results=("i64",))), results=(I32,))
    as_float = operations.convert(f, f.get(at), ty.UINT64, ty.FLOAT64, -1)
    return sequence((keep, Code("if", (large, variant("Float", as_float), variant("Int", f.get(at))), results=(REF,))))


def _json_list(f: _Maker, json: ty.Named, items: list[Code], variant: Callable[..., Code]) -> Code:
    keep, at = f.keep(f.runtime(instance_name("lists.new", (json,)), (), (REF,), -1))
    pushes = [f.runtime(instance_name("lists.push", (json,)), (f.get(at), item), (), -1) for item in items]
    return sequence((keep, *pushes, variant("List", f.get(at))))


def _json_object(
    f: _Maker, json: ty.Named, loads: Code, fields: list[tuple[str, Code]], variant: Callable[..., Code]
) -> Code:
    types = (ty.STRING, json)
    keep, at = f.keep(f.runtime(instance_name("maps.new", types), (), (REF,), -1))
    inserts = [
        f.runtime(instance_name("maps.insert", types), (f.get(at), f.string(name), item), (), -1)
        for name, item in fields
    ]
    return sequence((loads, keep, *inserts, variant("Object", f.get(at))))


_KINDS: dict[str, Callable[[_Maker, ty.Type, tuple[int, ...], tuple[int, ...]], Code]] = {
    "same": _same, "less": _less, "hash": _hash, "text": _text, "shown": _shown, "json": _json,
}  # fmt: skip
DERIVED_KINDS = frozenset(_KINDS)


# -- blank objects ---------------------------------------------------------------------------------


def blank(unit: Unit, environment: Environment, kind: str, type_: ty.Type) -> None:
    """``blank<T>`` and ``blank:Variant<T>``: a new object whose cells are all 0, which a host fills before anything else runs."""
    maker = _Maker(unit, environment)
    shape = maker.shape_of(type_)
    variant = kind.partition(":")[2]
    if not variant:
        layout = fields_layout(shape, type_)[0]
        values = [(cell, zero(cell.slot)) for cell in layout.cells]
    elif not shape.payload_types(type_, variant):
        body = making.variant_of(maker, type_, variant, [])
        unit.functions.append(Function(derived(kind, type_), (), (REF,), maker.locals, body, -1))
        return
    else:
        layout = variant_layout(shape, type_, variant)[0]
        values = [(layout.cells[0], constant(shape.tag(variant)))]
        values += [(cell, zero(cell.slot)) for cell in layout.cells[1:]]
    made, at = maker.allocate(layout)
    stores = [store(cell, maker.get((at,)), value) for cell, value in values]
    body = sequence((made, *stores, maker.get((at,))))
    unit.functions.append(Function(derived(kind, type_), (), (REF,), maker.locals, body, -1))


# -- traits ----------------------------------------------------------------------------------------


def trait_table(environment: Environment, trait: ty.Named, type_: ty.Type) -> Data:
    """The table of functions through which a value of *type_* is called where only the trait is known."""
    shape = environment.shapes(trait.symbol)
    assert shape is not None
    names = [derived("unboxed_text", type_), derived("unboxed_same", type_)]
    for own, function in vtable_functions(shape, environment.shapes, trait):
        # A function with type parameters of its own cannot stand in a table.
        names.append("" if function.generics else derived(f"unboxed:{function.name}", own, type_))
    places = tuple((4 * index, "e", name) for index, name in enumerate(names) if name)
    return Data(bytes(4 * len(names)), places)


def unboxed(unit: Unit, environment: Environment, kind: str, types: tuple[ty.Type, ...]) -> None:
    """The function in a trait's table: it takes the value out of its box and hands it on."""
    type_ = types[-1]
    maker = _Maker(unit, environment)
    _, cells = making.dynamic_layout(type_)
    maker.temporary((REF,))
    if kind == "unboxed_text":
        body = operations.to_string(maker, type_, maker.load_cells(0, cells), -1)
        made = Function(derived(kind, type_), (REF,), (REF,), maker.locals, body, -1)
    elif kind == "unboxed_same":
        maker.temporary((REF,))
        both = (maker.load_cells(0, cells), maker.load_cells(1, cells))
        body = operations.equality(maker, "eq", type_, both[0], both[1], -1)
        made = Function(derived(kind, type_), (REF, REF), (I32,), maker.locals, body, -1)
    else:
        trait = types[0]
        assert isinstance(trait, ty.Named)
        name = kind.partition(":")[2]
        shape = environment.shapes(trait.symbol)
        assert shape is not None and shape.functions is not None
        function = next(f for f in shape.functions if f.name == name)
        by_name: dict[str, ty.Type] = {**dict(zip(shape.generics, trait.arguments, strict=True)), "Self": type_}
        parameters = tuple(s for kind_ in function.parameters for s in slots(substitute(kind_, by_name)))
        results = slots(substitute(function.result, by_name))
        rest = maker.temporary(parameters)
        arguments = tuple(maker.get((index,)) for index in rest)
        symbol = derived(f"call:{name}", trait, type_)
        body = Code("call", (maker.load_cells(0, cells), *arguments), symbol, results)
        made = Function(derived(kind, *types), (REF, *parameters), results, maker.locals, body, -1)
    unit.functions.append(made)
