"""A checked module to its object: code where it can be made by itself, typed functions where it has to wait for the link,
and what a link has to know of the module's genes and traits."""

from typing import Any

from dolbuild.analysis import check as checking
from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.declarations import Declarations
from dolbuild.codegen import object as objects
from dolbuild.codegen import template
from dolbuild.codegen.frame import Environment, Options, string_data
from dolbuild.codegen.inline import calls
from dolbuild.codegen.instances import IMPLEMENTATIONS, SHAPE, compiled, error_shape, may_collect
from dolbuild.codegen.ir import Data, Unit, slots
from dolbuild.codegen.lower import global_names, lower_function
from dolbuild.codegen.names import type_text
from dolbuild.codegen.object import Object, Symbol
from dolbuild.codegen.optimise import COLLECTORS, collecting
from dolbuild.codegen.shapes import Shape, TraitFunction, to_json
from dolbuild.source import SourceFile

VARIABLE = "#variable"
"""Behind the symbol of a module's ``var``: its type, and the symbols of its slots."""


def generate(source: SourceFile, checked: checking.Checked, options: Options, shown: str, trusted: bool) -> Object:
    """The object of a checked module, without what it exports to the host. *trusted*: it is the runtime, whose arithmetic
    wraps."""
    module, declarations = checked.module, checked.declarations
    object_ = Object()
    symbols = object_.symbols

    def line_of(offset: int) -> int:
        return source.line_column(max(offset, 0))[0]

    def shape(symbol: str) -> Shape | None:
        if symbol == str(ty.ERROR):
            return error_shape()
        return describe_shape(declarations, symbol)

    constants = {c.symbol: (c.type, c.value) for c in module.constants if not c.mutable}
    environment = Environment(shape, constants.get, options.checked and not trusted, options.checked)
    unit = Unit()
    for function in module.functions:
        if function.body is None:
            parameters = tuple(slot for local in function.parameters for slot in slots(local.type))
            symbols[function.symbol] = objects.import_symbol(function.symbol, (parameters, slots(function.result)))
        elif function.generics or options.whole:
            dumped = template.dump(function, line_of)
            symbols[function.symbol] = objects.value_symbol(function.symbol, "template", dumped, shown)
        else:
            lower_function(unit, environment, function)
    own = {function.symbol for function in unit.functions}
    quiet = _quiet(unit, own)
    for made in unit.functions:
        symbols[made.symbol] = compiled(
            made, shown, options, lambda name: name not in quiet if name in own else may_collect(name), line_of
        )
    for name, (start, what) in unit.unsupported.items():
        symbols[name] = objects.unsupported_symbol(name, shown, line_of(start), what)
    for constant in module.constants:
        made_of = _global(constant, unit.data)
        symbols.update(made_of)
        if constant.mutable and made_of:
            described: Any = {"type": type_text(constant.type), "slots": list(made_of)}
            name = constant.symbol + VARIABLE
            symbols[name] = objects.value_symbol(name, "variable", described)
    for name, data in unit.data.items():
        symbols[name] = objects.data_symbol(name, data)
    for gene in module.genes:
        found = shape(gene)
        if found is not None:
            symbols[gene + SHAPE] = objects.value_symbol(gene + SHAPE, "shape", to_json(found))
    symbols.update(_implementations(module))
    object_.tests = [
        {"name": test.name, "symbol": test.symbol, "line": source.line_column(test.start)[0]} for test in module.tests
    ]
    return object_


def _quiet(unit: Unit, own: set[str]) -> frozenset[str]:
    """The functions of a module that surely do not collect."""
    bodies = {function.symbol: function.body for function in unit.functions}
    loud = own & set(COLLECTORS)
    for name, body in bodies.items():
        if any(called not in own and may_collect(called) for called in calls(body)):
            loud.add(name)
    return frozenset(own - collecting(bodies, loud))


def describe_shape(declarations: Declarations, symbol: str) -> Shape | None:
    """What code generation knows of a gene, System or trait."""
    type_ = ty.Named(symbol)
    trait = declarations.trait(type_)
    if trait is not None:
        functions = tuple(
            TraitFunction(f.name, tuple(p.type for p in f.parameters), f.result, len(f.generics), f.has_body)
            for f in trait.functions.values()
        )
        return Shape(symbol, tuple(g.name for g in trait.generics), functions=functions, supers=trait.supers)
    gene = declarations.gene(type_)
    if gene is None or symbol in ty.ARITY:
        return None
    variants = None
    if gene.variants is not None:
        variants = tuple((variant.name, variant.payload) for variant in gene.variants.values())
    text = gene.functions.get("to_string")
    return Shape(
        symbol,
        tuple(generic.name for generic in gene.generics),
        tuple((name, kind) for name, (kind, _) in gene.fields.items()),
        variants,
        tuple(name for name, (_, has_default) in gene.fields.items() if has_default),
        text.symbol if text is not None and text.takes_self and not text.parameters else "",
        () if gene.kind == "system" else gene.constraints,  # a host looks at those of a System
    )


def _implementations(module: v.Module) -> dict[str, Symbol]:
    """What the module implements, under the symbols of the genes and traits of its own that take part."""
    found: dict[str, list[Any]] = {}
    for one in module.implementations:
        described = {
            "generics": list(one.generics),
            "trait": type_text(one.trait),
            "target": type_text(one.target),
            "prefix": one.prefix,
            "functions": list(one.functions),
        }
        heads = [head.symbol for head in (one.target, one.trait) if isinstance(head, ty.Named)]
        home = next((head for head in heads if head in module.genes), heads[-1])
        found.setdefault(home + IMPLEMENTATIONS, []).append(described)
    return {name: objects.value_symbol(name, "implementations", value) for name, value in found.items()}


def _global(constant: v.Constant, data: dict[str, Data]) -> dict[str, Symbol]:
    """The symbols of a constant or variable, one for each slot."""
    wanted = slots(constant.type)
    names = global_names(constant.symbol, wanted)
    if constant.value is checking.INITIALISED:
        init = constant.symbol + checking.INITIALISER
        return {
            name: objects.global_symbol(name, kind, 0.0 if kind in ("f32", "f64") else 0, True, init=init)
            for name, kind in zip(names, wanted, strict=True)
        }
    if len(wanted) != 1:
        return {}
    if constant.type == ty.STRING:
        name = f"{constant.symbol}#data"
        data[name] = Data(string_data(str(constant.value)))
        return {constant.symbol: objects.global_symbol(constant.symbol, wanted[0], None, constant.mutable, name)}
    value = float(constant.value) if wanted[0] in ("f32", "f64") else int(constant.value)
    return {constant.symbol: objects.global_symbol(constant.symbol, wanted[0], value, constant.mutable)}
