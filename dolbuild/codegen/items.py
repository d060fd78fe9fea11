"""Going through values: ``for``, ``forall`` and ``exists`` over lists, maps, sets, ranges and texts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.unify import known
from dolbuild.codegen import access, operations
from dolbuild.codegen.frame import constant, multi, negate, sequence
from dolbuild.codegen.ir import I32, REF, Code, slots
from dolbuild.codegen.matching import bind_pattern
from dolbuild.codegen.names import instance_name

if TYPE_CHECKING:
    from dolbuild.codegen.lower import Lowering


@dataclass(frozen=True, slots=True)
class _Walk:
    """How something is gone through: what is done before, the condition under which there is another item, that
    item, and what leads to the next."""

    start: Code
    more: Code
    item: Code
    step: Code


def for_each(f: "Lowering", value: v.ForEach) -> Code:
    out, top, following = f.label(), f.label(), f.label()
    walk = _walk(f, value.iterable, value.start)
    keep, at = f.keep(walk.item)
    bound = bind_pattern(f, value.pattern, at)
    body = f.loop_body(value.body, out, following)
    parts = (
        Code("br_if", (negate(walk.more),), out),
        Code("block", (sequence((keep, bound, body)),), following),
        walk.step,
        Code("br", (), top),
    )
    return sequence((walk.start, Code("block", (Code("loop", parts, top),), out)))


def quantify(f: "Lowering", value: v.Quantify) -> Code:
    """``forall`` stops at the first item that does not hold, ``exists`` at the first that does."""
    out, top = f.label(), f.label()
    (result,) = f.temporary((I32,))
    walk = _walk(f, value.iterable, value.start)
    keep, at = f.keep(walk.item)
    bound = bind_pattern(f, value.pattern, at)
    condition = f.value_as(value.body, ty.BOOL)
    decided = negate(condition) if value.universal else condition
    found = sequence((Code("local.set", (constant(int(not value.universal)),), (result,)), Code("br", (), out)))
    parts = (
        Code("br_if", (negate(walk.more),), out),
        keep,
        bound,
        Code("if", (decided, found)),
        walk.step,
        Code("br", (), top),
    )
    first = Code("local.set", (constant(int(value.universal)),), (result,))
    return sequence((walk.start, first, Code("block", (Code("loop", parts, top),), out), f.get((result,))))


def _walk(f: "Lowering", iterable: v.Value, start: int) -> _Walk:
    type_ = known(iterable.type)
    keep, at = f.keep_value(iterable)
    if type_ == ty.STRING:
        return _characters(f, keep, at)
    assert isinstance(type_, ty.Named)
    return _WALKS[type_.symbol](f, type_, keep, at)


def _counter(f: "Lowering") -> tuple[int, Code, Code, Code]:
    """A fresh counter: its local, code that sets it to 0, its value, and code that adds 1."""
    (index,) = f.temporary((I32,))
    get = f.get((index,))
    first = Code("local.set", (constant(0),), (index,))
    step = Code("local.set", (Code("i32.add", (get, constant(1)), results=(I32,)),), (index,))
    return index, first, get, step


def _list(f: "Lowering", type_: ty.Named, keep: Code, at: tuple[int, ...]) -> _Walk:
    """The length is looked at each time, since the body may change the list."""
    _, first, get, step = _counter(f)
    more = Code("i32.lt_u", (get, access.list_length(f, at[0])), results=(I32,))
    array = Code("i32.load", (f.get(at),), access.ARRAY, (REF,))
    return _Walk(sequence((keep, first)), more, access.load_item(f, type_.arguments[0], array, get), step)


def _entries(f: "Lowering", type_: ty.Named, keep: Code, at: tuple[int, ...]) -> _Walk:
    """Entries of a map or set in the order in which they were inserted; removed ones are passed over."""
    index, _, get, step = _counter(f)
    types = type_.arguments if type_.symbol == "Map" else (type_.arguments[0], ty.VOID)
    seek = Code("local.set", (f.runtime(instance_name("maps.seek", types), (f.get(at), get), (I32,), -1),), (index,))
    first = sequence((keep, Code("local.set", (constant(0),), (index,)), seek))
    more = Code("i32.ne", (get, Code("i32.const", imm=-1, results=(I32,))), results=(I32,))
    key = f.runtime(instance_name("maps.key_at", types), (f.get(at), get), slots(types[0]), -1)
    item = key
    if type_.symbol == "Map":
        value = f.runtime(instance_name("maps.value_at", types), (f.get(at), get), slots(types[1]), -1)
        item = multi((key, value))
    return _Walk(first, more, item, sequence((step, seek)))


def _range(f: "Lowering", type_: ty.Named, keep: Code, at: tuple[int, ...]) -> _Walk:
    """A range as a value: its ends and whether the last one belongs to it. The end of an inclusive range is never
    stepped over, so that counting cannot overflow."""
    item = type_.arguments[0]
    low, high, inclusive = at
    (index, done) = f.temporary((*slots(item), I32))
    get = f.get((index,))
    below = operations.order(f, "lt", item, get, f.get((high,)), -1)
    last = Code(
        "i32.and", (operations.equality(f, "eq", item, get, f.get((high,)), -1), f.get((inclusive,))), results=(I32,)
    )
    more = Code(
        "i32.and",
        (Code("i32.or", (below, last), results=(I32,)), Code("i32.eqz", (f.get((done,)),), results=(I32,))),
        results=(I32,),
    )
    first = sequence((keep, Code("local.set", (f.get((low,)),), (index,)), Code("local.set", (constant(0),), (done,))))
    one = Code(f"{slots(item)[0]}.const", imm=1, results=slots(item))
    add = Code(f"{slots(item)[0]}.add", (get, one), results=slots(item))
    at_end = operations.equality(f, "eq", item, get, f.get((high,)), -1)
    step = Code("if", (at_end, Code("local.set", (constant(1),), (done,)), Code("local.set", (add,), (index,))))
    return _Walk(first, more, get, step)


def _characters(f: "Lowering", keep: Code, at: tuple[int, ...]) -> _Walk:
    """The characters of a text, by their offsets."""
    index, first, get, _ = _counter(f)
    size = Code("i32.load", (f.get(at),), 4, (I32,))
    more = Code("i32.lt_u", (get, size), results=(I32,))
    item = f.runtime("strings.decode", (f.get(at), get), (I32,), -1)
    width = f.runtime("strings.width_at", (f.get(at), get), (I32,), -1)
    step = Code("local.set", (Code("i32.add", (get, width), results=(I32,)),), (index,))
    return _Walk(sequence((keep, first)), more, item, step)


_WALKS: dict[str, Callable[["Lowering", ty.Named, Code, tuple[int, ...]], _Walk]] = {
    "List": _list,
    "Map": _entries,
    "Set": _entries,
    ty.RANGE: _range,
}
