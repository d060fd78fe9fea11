"""Whether patterns take every value, and if not, one that they leave out.

The algorithm is that of L. Maranget, "Warnings for pattern matching" (Journal of Functional Programming 17,
2007), section 3: a matrix of patterns is specialised by one constructor after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.declarations import Declarations
from dolbuild.analysis.unify import resolve
from dolbuild.analysis.world import substitute

Row = tuple[v.Pattern, ...]


@dataclass(frozen=True, slots=True)
class _Constructor:
    """One way to make a value of a type, and the types of its parts."""

    name: str
    types: tuple[ty.Type, ...]
    fields: tuple[str, ...] = ()
    interval: tuple[int, int] | None = None
    """The numbers that it stands for, first and last: those between which no pattern makes a difference."""

    def show(self, parts: Sequence[str]) -> str:
        if self.name == "[..]":
            return f"[{', '.join(parts[:-1])}, ..]" if len(parts) > 1 else "[..]"
        if self.name == "[]":
            return f"[{', '.join(parts)}]"
        if not self.types:
            return self.name
        if self.fields:
            inner = [f"{field}: {part}" for field, part in zip(self.fields, parts, strict=True) if part != "_"]
            return f"{self.name} {{ {', '.join(inner) or '..'} }}"
        return f"{self.name}({', '.join(parts)})"


def missing_case(declarations: Declarations, type_: ty.Type, patterns: list[v.Pattern]) -> str | None:
    """A value that none of the patterns takes, as DOL writes it; None where they take all."""
    rows = [row for pattern in patterns for row in _expand((pattern,))]
    case = _missing(declarations, rows, (type_,))
    return None if case is None else case[0]


def _expand(row: Row) -> list[Row]:
    """Rows without alternatives in their first place."""
    if row and isinstance(row[0], v.AlternativePattern):
        return [inner for pattern in row[0].patterns for inner in _expand((pattern, *row[1:]))]
    return [row]


def _missing(declarations: Declarations, rows: list[Row], types: tuple[ty.Type, ...]) -> list[str] | None:
    if not types:
        return None if rows else []
    constructors = _lengths(types[0], rows) or _intervals(types[0], rows) or _constructors(declarations, types[0])
    used = {_name(row[0]) for row in rows} - {None}
    if constructors is None or not used:
        default = [inner for row in rows if _takes_all(row[0]) for inner in _expand(row[1:])]
        rest = _missing(declarations, default, types[1:])
        if rest is None:
            return None
        first = constructors[0].show(["_"] * len(constructors[0].types)) if constructors and rows else "_"
        return [first if constructors and len(constructors) > 1 and rows else "_", *rest]
    for constructor in constructors:
        specialised = [inner for row in rows for special in _specialise(row, constructor) for inner in _expand(special)]
        case = _missing(declarations, specialised, (*constructor.types, *types[1:]))
        if case is not None:
            count = len(constructor.types)
            return [constructor.show(case[:count]), *case[count:]]
    return None


def _lengths(type_: ty.Type, rows: list[Row]) -> list[_Constructor] | None:
    """The constructors of a list: each length that a pattern asks for, and one for all longer lists."""
    item = ty.argument_of(resolve(type_), "List")
    patterns = [row[0] for row in rows if isinstance(row[0], v.ListPattern)]
    if item is None or not patterns:
        return None
    longest = max(len(pattern.items) for pattern in patterns)
    return [_Constructor("[]" if n <= longest else "[..]", (item,) * n) for n in range(longest + 2)]


def _intervals(type_: ty.Type, rows: list[Row]) -> list[_Constructor] | None:
    """The constructors of an integer or Char: the intervals into which the patterns cut all of them."""
    type_ = resolve(type_)
    asked = [interval for row in rows if (interval := _interval_of(row[0])) is not None]
    if not asked or (type_ not in ty.INTEGERS and type_ != ty.CHAR):
        return None
    kind = ty.INTEGERS.get(type_)
    domain = [(kind.low, kind.high)] if kind is not None else [(0, 0xD7FF), (0xE000, 0x10FFFF)]
    cuts = {cut for low, high in asked for cut in (low, high + 1)}
    found: list[_Constructor] = []
    for first, last in domain:
        starts = [first, *sorted(cut for cut in cuts if first < cut <= last)]
        for start, following in zip(starts, [*starts[1:], last + 1], strict=True):
            found.append(_Constructor(_show_interval(type_, start, following - 1), (), (), (start, following - 1)))
    return found


def _interval_of(pattern: v.Pattern) -> tuple[int, int] | None:
    """The numbers that a literal or a range takes."""
    match pattern:
        case v.LiteralPattern(value=v.Literal(value=int() as value)) if not isinstance(value, bool):
            return value, value
        case v.RangePattern(
            low=v.Literal(value=int() as low), high=v.Literal(value=int() as high), inclusive=inclusive
        ):
            return low, high if inclusive else high - 1
        case _:
            return None


def _show_interval(type_: ty.Type, low: int, high: int) -> str:
    """A number of an interval, as a pattern would name it; of one without bound just ``_``."""
    kind = ty.INTEGERS.get(type_)
    if low == high:
        return f"'{chr(low)}'" if kind is None and chr(low).isprintable() else str(low)
    if kind is None or low == kind.low or high == kind.high:
        return "_"
    return f"{low}..={high}"


def _constructors(declarations: Declarations, type_: ty.Type) -> list[_Constructor] | None:
    """All constructors of a type, or None where there are too many to count."""
    type_ = resolve(type_)
    if type_ == ty.BOOL:
        return [_Constructor("true", ()), _Constructor("false", ())]
    if isinstance(type_, ty.TupleOf):
        return [_Constructor("", type_.items)]
    gene = declarations.gene(type_) if isinstance(type_, ty.Named) else None
    if gene is None or not isinstance(type_, ty.Named):
        return None
    by_name = gene.by_name(type_)
    if gene.variants is not None:
        return [
            _Constructor(variant.name, tuple(substitute(kind, by_name) for _, kind in variant.payload))
            for variant in gene.variants.values()
        ]
    if gene.fields:
        types = tuple(substitute(kind, by_name) for kind, _ in gene.fields.values())
        return [_Constructor(gene.name, types, tuple(gene.fields))]
    return None


def _takes_all(pattern: v.Pattern) -> bool:
    return isinstance(pattern, v.AnyPattern | v.BindPattern)


def _name(pattern: v.Pattern) -> str | None:
    """The constructor that a pattern asks for."""
    match pattern:
        case v.VariantPattern(variant=variant):
            return variant
        case v.LiteralPattern(value=v.Literal(value=bool() as value)):
            return "true" if value else "false"
        case v.TuplePattern():
            return ""
        case v.FieldsPattern():
            return "{}"
        case v.ListPattern():
            return "[]"
        case _ if _interval_of(pattern) is not None:
            return "#"
        case _:
            return None


def _specialise(row: Row, constructor: _Constructor) -> list[Row]:
    """The row for values of one constructor: its parts in the place of the whole."""
    pattern, rest = row[0], row[1:]
    anything = tuple(v.AnyPattern(type_, pattern.start) for type_ in constructor.types)
    match pattern:
        case v.AnyPattern() | v.BindPattern():
            return [(*anything, *rest)]
        case v.VariantPattern(variant=variant, payload=payload):
            return [(*payload, *rest)] if variant == constructor.name else []
        case v.TuplePattern(items=items):
            return [(*items, *rest)]
        case v.FieldsPattern(fields=fields):
            parts = [fields.get(name, default) for name, default in zip(constructor.fields, anything, strict=True)]
            return [(*parts, *rest)]
        case v.ListPattern(items=items, rest=at):
            count = len(constructor.types)
            if at < 0:
                return [(*items, *rest)] if constructor.name == "[]" and count == len(items) else []
            if count < len(items):
                return []
            between = anything[len(items) :]
            return [(*items[:at], *between, *items[at:], *rest)]
        case v.LiteralPattern() | v.RangePattern() if constructor.interval is not None:
            taken = _interval_of(pattern)
            low, high = constructor.interval
            return [rest] if taken is not None and taken[0] <= low and high <= taken[1] else []
        case v.LiteralPattern():
            return [rest] if _name(pattern) == constructor.name else []
        case _:
            return []
