"""Symbols that no object has: generic functions for some types, and what is derived for each type.

They are made when a link reaches them, from the templates, shapes and implementations that objects carry. What was made is
kept as long as everything it was made from stays the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from dolbuild.analysis import types as ty
from dolbuild.analysis.resolution import RUNTIME
from dolbuild.analysis.surface import surface
from dolbuild.analysis.unify import known
from dolbuild.analysis.world import substitute
from dolbuild.codegen import derive, template
from dolbuild.codegen import object as objects
from dolbuild.codegen.encode import encode_function
from dolbuild.codegen.frame import Environment, Options
from dolbuild.codegen.ir import I32, REF, Code, Function, Unit, slots
from dolbuild.codegen.lower import lower_function
from dolbuild.codegen.making import FIRST_FUNCTION, THUNK
from dolbuild.codegen.names import DERIVED, instance_name, parse_type, split_instance
from dolbuild.codegen.object import Symbol
from dolbuild.codegen.roots import insert_roots
from dolbuild.codegen.shapes import Shape, from_json, vtable_functions
from dolbuild.deep import deeply

SHAPE = "#shape"
IMPLEMENTATIONS = "#implementations"
"""Behind the symbol of a gene or trait: how it lies in memory; what implements it, or what it implements."""

Find = Callable[[str], Symbol | None]

LONGEST_NAME = 4000
"""Characters of the longest symbol that is made; only types that grow without end make longer ones."""

SHOWN_FILE = "derived"
"""The file of what no source stands behind."""


def may_collect(name: str) -> bool:
    """Whether a call of a function of another module may collect: all but those of the runtime that surely do not."""
    return not name.startswith(_QUIET)


_QUIET = tuple(
    f"{RUNTIME}/{name}"
    for name in (
        "strings.equal", "strings.compare", "strings.length", "strings.len", "strings.is_empty", "strings.decode",
        "strings.width_at", "strings.char_of", "hashes.narrow", "hashes.wide", "hashes.float", "hashes.combine",
        "hashes.text", "integers.", "maps.seek", "maps.key_at", "maps.value_at", "traps.", "lists.out_of_range", "lists.pop<",
    )
)  # fmt: skip
"""Functions of the runtime that never allocate, or never come back; a test holds them to it."""


@dataclass(slots=True)
class _Made:
    """What was made, and the digests of the symbols that were asked for on the way."""

    symbols: dict[str, Symbol]
    asked: dict[str, str | None] = field(default_factory=dict)


_CACHE: dict[tuple[str, Options], _Made] = {}


class Instances:
    """A symbol table that makes what is missing in another one."""

    def __init__(self, find: Find, options: Options) -> None:
        self.find_plain = find
        self.options = options
        self.made: dict[str, Symbol] = {}
        self.shapes: dict[str, Shape | None] = {}
        self.asked: dict[str, str | None] = {}

    # -- finding ----------------------------------------------------------------------------------

    def find(self, name: str) -> Symbol | None:
        """A symbol by name, made if need be, or None."""
        found = self.made.get(name)
        if found is not None:
            return found
        found = self.find_plain(name)
        if found is not None and found.kind != "template":
            return found
        key = (name, self.options)
        made = _CACHE.get(key)
        if made is None or not self.is_valid(made):
            made = deeply(lambda: self.make(name, found))
            if made is None:
                return None
            _CACHE[key] = made
        self.made.update(made.symbols)
        return self.made.get(name)

    def is_valid(self, made: _Made) -> bool:
        return all(self.digest(name) == digest for name, digest in made.asked.items())

    def digest(self, name: str) -> str | None:
        found = self.find_plain(name)
        return None if found is None else found.digest

    def ask(self, name: str) -> Symbol | None:
        """A symbol that something is made from."""
        found = self.find_plain(name)
        self.asked[name] = None if found is None else found.digest
        return found

    def shape(self, symbol: str) -> Shape | None:
        """The shape behind the symbol of a type."""
        if symbol in _BUILT_IN:
            return None
        if symbol == str(ty.ERROR):
            return error_shape()
        found = self.ask(symbol + SHAPE)
        if found is None:
            return None
        if symbol not in self.shapes:
            self.shapes[symbol] = from_json(found.value)
        return self.shapes[symbol]

    def constant(self, symbol: str) -> tuple[ty.Type, Any] | None:
        """The value of a constant that is no text."""
        found = self.ask(symbol)
        if found is None or found.kind != "global" or found.mutable or found.type == REF:
            return None
        kind = {"i32": ty.INT32, "i64": ty.INT64, "f32": ty.FLOAT32, "f64": ty.FLOAT64}[found.type]
        return kind, found.value

    # -- making -----------------------------------------------------------------------------------

    def make(self, name: str, found: Symbol | None) -> _Made | None:
        before, self.asked = self.asked, {}
        try:
            unit, file = self.unit(name, found)
            if unit is None:
                return None
            symbols = self.symbols(unit, file)
            if self.options.whole:
                digest = objects.combined_digest(name, self.asked)
                symbols = {n: replace(s, digest=digest) if s.code is not None else s for n, s in symbols.items()}
            return _Made(symbols, dict(self.asked))
        finally:
            self.asked = before

    def unit(self, name: str, found: Symbol | None) -> tuple[Unit | None, str]:
        """What a symbol is made of, with its file."""
        unit = Unit()
        if name.endswith(THUNK):
            return (unit, SHOWN_FILE) if self.thunk(unit, name) else (None, "")
        base, types = split_instance(name)
        if len(name) > LONGEST_NAME * (2 if base.startswith("@dol/") else 1):
            what = f"`{base.rpartition('.')[2]}` is needed for ever larger types, so it cannot be compiled"
            source = found if found is not None else self.ask(base)
            line = source.value[0][3] if source is not None and source.kind == "template" else 0
            unit.unsupported[name] = (line, what)
            return unit, source.file if source is not None else SHOWN_FILE
        if base.startswith(DERIVED + "/"):
            kind = base[len(DERIVED) + 1 :]
            environment = self.environment(checked=False)
            if kind in derive.DERIVED_KINDS:
                derive.derive(unit, environment, kind, types)
            elif kind == "table":
                trait = types[0]
                assert isinstance(trait, ty.Named)
                unit.data[name] = derive.trait_table(environment, trait, types[1])
            elif kind.partition(":")[0] == "blank":
                derive.blank(unit, environment, kind, types[0])
            elif kind.startswith("unboxed"):
                derive.unboxed(unit, environment, kind, types)
            elif kind.startswith("call:"):
                self.call(unit, name, kind[5:], types)
            return unit, SHOWN_FILE
        source = found if found is not None else self.ask(base)
        if source is None or source.kind != "template":
            return None, ""
        self.asked[source.name] = source.digest
        if len(template.generics_of(source.value)) != len(types):
            return None, ""
        function = template.load(source.value, types, substitute)
        function.symbol = name
        lower_function(unit, self.environment(not base.startswith(RUNTIME + "/")), function)
        return unit, source.file

    def environment(self, checked: bool) -> Environment:
        return Environment(self.shape, self.constant, self.options.checked and checked, self.options.checked)

    def symbols(self, unit: Unit, file: str) -> dict[str, Symbol]:
        made: dict[str, Symbol] = {}
        for function in unit.functions:
            made[function.symbol] = compiled(function, file, self.options, may_collect, lambda line: line)
        for name, data in unit.data.items():
            made[name] = objects.data_symbol(name, data)
        for name, (line, what) in unit.unsupported.items():
            made[name] = objects.unsupported_symbol(name, file, line, what)
        return made

    def thunk(self, unit: Unit, name: str) -> bool:
        """The function behind a function value: it drops its first argument, the value itself."""
        target = name.removesuffix(THUNK)
        found = self.find(target)
        if found is None:
            return False
        self.asked[target] = self.digest(target)
        base, types = split_instance(target)
        if types:
            self.asked[base] = self.digest(base)
        parameters, results = found.signature
        arguments = tuple(Code("local.get", imm=i + 1, results=(kind,)) for i, kind in enumerate(parameters))
        body = Code("call", arguments, target, results)
        unit.functions.append(Function(name, (REF, *parameters), results, [REF, *parameters], body, -1))
        return True

    # -- traits -----------------------------------------------------------------------------------

    def call(self, unit: Unit, name: str, function: str, types: tuple[ty.Type, ...]) -> None:
        """A trait's function for a type: a call of the implementation, of the trait's default, or through a table."""
        trait, receiver, *own = types
        assert isinstance(trait, ty.Named)
        shape = self.shape(receiver.symbol) if isinstance(receiver, ty.Named) else None
        if shape is not None and shape.functions is not None:
            self.call_table(unit, name, function, receiver, shape)
            return
        target = self.implementation(trait, receiver, function, tuple(own))
        found = self.find(target) if target is not None else None
        if target is None or found is None:
            unit.unsupported[name] = (0, f"`{function}` of `{trait}` for `{receiver}`, which nothing implements,")
            return
        self.asked[split_instance(target)[0]] = self.digest(split_instance(target)[0])
        parameters, results = found.signature
        arguments = tuple(Code("local.get", imm=i, results=(kind,)) for i, kind in enumerate(parameters))
        body = Code("call", arguments, target, results)
        unit.functions.append(Function(name, parameters, results, list(parameters), body, -1))

    def call_table(self, unit: Unit, name: str, function: str, receiver: ty.Type, shape: Shape) -> None:
        functions = vtable_functions(shape, self.shape, receiver)
        index = next(i for i, (_, one) in enumerate(functions) if one.name == function)
        described = functions[index][1]
        own = {"Self": receiver}
        parameters = (REF, *(s for kind in described.parameters for s in slots(substitute(kind, own))))
        results = slots(substitute(described.result, own))
        arguments = tuple(Code("local.get", imm=i, results=(kind,)) for i, kind in enumerate(parameters))
        table = Code("i32.load", (arguments[0],), 4, (I32,))
        place = Code("i32.load", (table,), 4 * (FIRST_FUNCTION + index), (I32,))
        body = Code("call_indirect", (*arguments, place), (parameters, results), results)
        unit.functions.append(Function(name, parameters, results, list(parameters), body, -1))

    def implementation(self, trait: ty.Named, receiver: ty.Type, function: str, own: tuple[ty.Type, ...]) -> str | None:
        """The symbol of a trait's function for a type: that of its implementation, or the trait's default for it."""
        homes = [receiver.symbol] if isinstance(receiver, ty.Named) else []
        for home in (*homes, trait.symbol):
            found = self.ask(home + IMPLEMENTATIONS)
            for described in found.value if found is not None else ():
                bound: dict[str, ty.Type] = {}
                given = parse_type(described["trait"])
                if not isinstance(given, ty.Named):
                    continue
                if not _matches(parse_type(described["target"]), receiver, bound):
                    continue
                if given.symbol == trait.symbol and _matches(given, trait, bound):
                    if function in described["functions"]:
                        types = tuple(bound.get(name, ty.VOID) for name in described["generics"])
                        return instance_name(f"{described['prefix']}.{function}", (*types, *own))
                    return instance_name(f"{trait.symbol}.{function}", (*trait.arguments, receiver, *own))
        return self.inherited(trait, receiver, function, own)

    def inherited(self, trait: ty.Named, receiver: ty.Type, function: str, own: tuple[ty.Type, ...]) -> str | None:
        """A function that the trait has from one that it extends."""
        shape = self.shape(trait.symbol)
        if shape is None:
            return None
        by_name = dict(zip(shape.generics, trait.arguments, strict=True))
        for above in shape.supers:
            upper = known(substitute(above, by_name))
            if isinstance(upper, ty.Named):
                found = self.implementation(upper, receiver, function, own)
                if found is not None:
                    return found
        return None


def _matches(pattern: ty.Type, type_: ty.Type, bound: dict[str, ty.Type]) -> bool:
    """Whether a type is an instance of a pattern; what the pattern's type parameters stand for is noted."""
    match pattern, type_:
        case ty.GenericOf(name), _:
            return bound.setdefault(name, type_) == type_
        case ty.Named(a, first), ty.Named(b, second):
            return (
                a == b
                and len(first) == len(second)
                and all(_matches(x, y, bound) for x, y in zip(first, second, strict=True))
            )
        case ty.TupleOf(first), ty.TupleOf(second):
            return len(first) == len(second) and all(_matches(x, y, bound) for x, y in zip(first, second, strict=True))
        case _:
            return pattern == type_


_BUILT_IN = frozenset((*ty.ARITY, ty.ARRAY, ty.RANGE)) - {str(ty.ERROR)}


def error_shape() -> Shape:
    """The built-in ``Error``."""
    fields = surface()["items"]["Error"]["fields"]
    assert [name for name, _, _ in fields] == ["message"]
    return Shape("Error", (), (("message", ty.STRING),))


def compiled(
    function: Function,
    file: str,
    options: Options,
    collects: Callable[[str], bool],
    line_of: Callable[[int], int],
) -> Symbol:
    """A function as a symbol: encoded, or as it is where the whole program is still to be optimised."""
    if options.whole:
        return objects.code_symbol(function, file, "")
    return objects.function_symbol(encode_function(insert_roots(function, collects), line_of), file)
