"""What others may know of a module, taken from its own text alone.

`extract` gives four values, all JSON:

``doli``
    The interface: signatures, types, exports. Its bytes change only when something changes that another
    module can see. Types in it are names as they are written; `dolbuild.analysis.world` gives them meaning.
``uses``
    Every path that the module imports or names with ``@``, with the names that it takes from there (null:
    any): what it must be compiled with.
``docs``
    What is written about public items and their members, with the text of constraints and laws, and lines.
``private``
    Names of private items. Nobody is compiled against them; an error message says that they exist.

The encoding is described in ``docs/interface.md``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from dolbuild.source import SourceFile
from dolbuild.syntax import tree as t
from dolbuild.syntax.parser import Parsed
from dolbuild.syntax.tokens import scan

FORMAT = 3
"""Version of the encoding; raise it with any change of the values below."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Extracted:
    doli: Json
    uses: list[list[Any]]
    docs: Json
    private: list[str]


def extract(parsed: Parsed, effect_boundary: bool = False) -> Extracted:
    """The interface of one file. *effect_boundary*: it stands below ``src/sex/``."""
    items = parsed.file.items
    doli = _module(items, effect_boundary)
    doli = {"format": FORMAT, "broken": parsed.broken, **doli}
    taken: dict[str, set[str] | None] = {}
    for use in _all_uses(items):
        path = use.path.text
        names = None if use.names is None else {name for name, _, _ in use.names}
        before = taken.get(path, set())
        taken[path] = None if names is None or before is None else before | names
    for path in _at_paths(parsed):
        taken.setdefault(path, None)
    for implied in implied_uses(items):
        taken[implied["path"]] = None
    uses = [[path, None if names is None else sorted(names)] for path, names in sorted(taken.items())]
    return Extracted(doli, uses, _docs(parsed, effect_boundary), sorted(_private(items, "")))


def whole(parsed: Parsed, effect_boundary: bool = False) -> Json:
    """The interface of a file as its own module sees it, with every private item and import."""
    return {"format": FORMAT, "broken": parsed.broken, **_module(parsed.file.items, effect_boundary, True)}


def _module(items: list[t.Item], effect_boundary: bool, everything: bool = False) -> Json:
    described: Json = {}
    modules: Json = {}
    implementations: list[Json] = []
    for item in items:
        if isinstance(item, t.Impl):
            implementations.append(_implementation(item))
            continue
        visibility = _at_boundary(item.visibility) if effect_boundary else item.visibility
        if isinstance(item, t.Module):
            inner = _module(item.items, effect_boundary, everything)
            modules.setdefault(item.name, {"vis": str(visibility), **inner})
        elif (value := _item(item)) is not None:
            described.setdefault(_item_name(item), {"vis": str(visibility), **value})
    kept = described if everything else _visible_and_mentioned(described)
    named = {name for value in kept.values() for name in mentioned(value)}
    uses = [
        describe_use(use)
        for use in items
        if isinstance(use, t.Use)
        and (everything or use.visibility is not t.Visibility.PRIVATE or use.everything or _binds(use) & named)
    ]
    uses += implied_uses(items)
    uses.sort(key=lambda use: (use["path"], str(use["names"]), str(use["alias"])))
    implementations.sort(key=str)
    return {
        "items": dict(sorted(kept.items())),
        "modules": dict(sorted(modules.items())),
        "uses": uses,
        "impls": implementations,
    }


def _at_boundary(visibility: t.Visibility) -> t.Visibility:
    """What is declared below ``src/sex/`` is for the whole Spirit, and for no other."""
    open_ = visibility in (t.Visibility.PRIVATE, t.Visibility.PUBLIC)
    return t.Visibility.SPIRIT if open_ else visibility


def _item_name(item: t.Item) -> str:
    return str(getattr(item, "name", ""))


def _item(item: t.Item) -> Json | None:
    """A declaration's signature, or None for what no one else can see (tests, imports, documentation)."""
    match item:
        case t.Function():
            return describe_function(item)
        case t.Const() | t.Variable():
            kind = "const" if isinstance(item, t.Const) else "variable"
            type_ = type_json(item.type) if item.type else literal_type(item.value)
            value = literal_value(item.value) if kind == "const" else None
            return {"kind": kind, "type": type_, **({"value": value} if value else {})}
        case t.Alias():
            return {"kind": "alias", "generics": _generics(item.generics), "type": type_json(item.type)}
        case t.Gene():
            return {"kind": "gene", "generics": _generics(item.generics), **_members(item.members)}
        case t.System():
            return {"kind": "system", "generics": [], **_members(item.members, system=True)}
        case t.Trait():
            return {
                "kind": "trait",
                "generics": _generics(item.generics),
                "supers": [type_json(bound) for bound in item.supers],
                **_members(item.members, trait=True),
            }
        case _:
            return None


def _implementation(item: t.Impl) -> Json:
    return {
        "generics": _generics(item.generics),
        "trait": item.trait and type_json(item.trait),
        "for": type_json(item.target),
        "functions": _members(item.members, trait=item.trait is not None)["functions"],
    }


def _members(members: list[t.Item], *, trait: bool = False, system: bool = False) -> Json:
    """Fields, variants and functions of a gene, a System or a trait."""
    fields: list[list[Any]] = []
    variants: list[list[Any]] | None = None
    functions: Json = {}
    constraints: list[list[Any]] = []
    for member in members:
        match member:
            case t.HasField():
                fields.append([member.name, type_json(member.type), member.default is not None])
            case t.Enum():
                variants = [
                    [variant.name, [[name, type_json(type_)] for name, type_ in variant.payload]]
                    for variant in member.variants
                ]
            case t.Function():
                functions.setdefault(member.name, describe_member(member, trait=trait, system=system))
            case t.Constraint():
                constraints.append([member.name, reads(member.body)])
    value: Json = {"fields": fields, "functions": dict(sorted(functions.items())), "constraints": constraints}
    if variants is not None:
        value["variants"] = variants
    return value


def describe_member(member: t.Function, *, trait: bool = False, system: bool = False) -> Json:
    """A function of a gene, System or trait. *self* says that it belongs to an instance."""
    described = describe_function(member)
    described.pop("host", None)
    visibility = member.visibility
    if trait or (system and visibility is not t.Visibility.PRIVATE):
        visibility = t.Visibility.PUBLIC
    static = bool(member.parameters) and member.parameters[0].name != "self"
    instance = is_instance(member) or (trait and member.body is None and not static)
    return {**described, "vis": str(visibility), "self": instance, "body": member.body is not None}


def reads(body: t.Block) -> list[str] | None:
    """The fields that a constraint reads of its gene; None where it may read any (it hands the gene on)."""
    found: set[str] = set()
    receivers: set[int] = set()
    for node in t.walk(body):
        if isinstance(node, t.Member) and isinstance(node.value, t.Name) and node.value.name in ("this", "self"):
            found.add(node.name)
            receivers.add(id(node.value))
    for node in t.walk(body):
        if isinstance(node, t.Name) and node.name in ("this", "self") and id(node) not in receivers:
            return None
        if isinstance(node, t.Call) and isinstance(node.callee, t.Member) and id(node.callee.value) in receivers:
            return None
    return sorted(found)


def is_instance(function: t.Function) -> bool:
    """Whether a function of a gene belongs to its instances: it declares ``self`` or mentions ``this``."""
    if function.parameters and function.parameters[0].name == "self":
        return True
    return function.body is not None and _mentions_this(function.body)


def _mentions_this(node: t.Node) -> bool:
    return any(isinstance(part, t.Name) and part.name == "this" for part in t.walk(node))


def describe_function(item: t.Function) -> Json:
    parameters = item.parameters
    if parameters and parameters[0].name == "self" and parameters[0].type is None:
        parameters = parameters[1:]
    value: Json = {
        "kind": "function",
        "sex": item.effectful,
        "params": [[p.name, type_json(p.type) if p.type else None, p.default is not None] for p in parameters],
        "result": type_json(item.result) if item.result else ["void"],
    }
    if item.generics:
        value["generics"] = _generics(item.generics)
    if item.body is None:
        value["host"] = True
    return value


def implied_uses(items: list[t.Item]) -> list[Json]:
    """What a System's ``uses`` bring into scope: everything that those Spirits expose."""
    return [
        {"path": member.package, "names": None, "alias": None, "all": True, "vis": str(t.Visibility.PRIVATE)}
        for item in items
        if isinstance(item, t.System)
        for member in item.members
        if isinstance(member, t.Requires)
    ]


def describe_use(use: t.Use) -> Json:
    return {
        "path": use.path.text,
        "names": None if use.names is None else [[name, alias] for name, alias, _ in use.names],
        "alias": use.alias,
        "all": use.everything,
        "vis": str(use.visibility),
    }


def _generics(generics: list[t.GenericParameter]) -> list[Any]:
    return [[g.name, [type_json(b) for b in g.bounds], g.default and type_json(g.default)] for g in generics]


def type_json(type_: t.TypeNode) -> list[Any]:
    """A written type as JSON: ``["name", path, arguments]``, ``["tuple", items]``, ``["void"]``,
    ``["function", parameters, result]`` or ``["record", [[name, type]]]``."""
    match type_:
        case t.NamedType():
            return ["name", type_.path.text, [type_json(a) for a in type_.arguments]]
        case t.TupleType():
            return ["tuple", [type_json(item) for item in type_.items]] if type_.items else ["void"]
        case t.FunctionType():
            return ["function", [type_json(p) for p in type_.parameters], type_json(type_.result)]
        case t.RecordType():
            return ["record", [[name, type_json(field)] for name, field in type_.fields]]
        case _:
            raise AssertionError(type_)


def literal_type(value: t.Expression) -> list[Any] | None:
    """The type of a constant that is written without one, where its text alone tells it."""
    match value:
        case t.Unary(operator="-", operand=operand):
            return literal_type(operand)
        case t.Integer():
            return ["name", "Int64", []]
        case t.Float():
            return ["name", "Float64", []]
        case t.String():
            return ["name", "String", []]
        case t.Char():
            return ["name", "Char", []]
        case t.Boolean():
            return ["name", "Bool", []]
        case _:
            return None


def literal_value(value: t.Expression) -> list[Any] | None:
    """A constant that is written as a literal: ``[kind, value]``, floats as they are written."""
    match value:
        case t.Unary(operator="-", operand=t.Integer(value=number)):
            return ["integer", -number]
        case t.Unary(operator="-", operand=t.Float(text=text)):
            return ["float", f"-{text}"]
        case t.Integer(value=number):
            return ["integer", number]
        case t.Float(text=text):
            return ["float", text]
        case t.String(value=text):
            return ["string", text]
        case t.Boolean(value=truth):
            return ["bool", truth]
        case t.Char(value=scalar):
            return ["char", scalar]
        case _:
            return None


def _visible_and_mentioned(items: Json) -> Json:
    """The items that others may name, and the types that those mention."""
    kept: Json = {}
    waiting = [n for n, value in items.items() if value["vis"] != t.Visibility.PRIVATE or value["kind"] == "system"]
    while waiting:
        name = waiting.pop()
        if name in kept:
            continue
        kept[name] = items[name]
        waiting += [
            other
            for other in mentioned(items[name])
            if other in items and items[other]["kind"] in ("gene", "alias", "trait", "system")
        ]
    return kept


def mentioned(value: Any) -> Iterator[str]:
    """First parts of the type names in a description."""
    if isinstance(value, dict):
        for part in value.values():
            yield from mentioned(part)
    elif isinstance(value, list):
        if len(value) == 3 and value[0] == "name" and isinstance(value[1], str):
            yield value[1] if value[1].startswith("@") else value[1].split(".", 1)[0]
        for part in value:
            yield from mentioned(part)


def _binds(use: t.Use) -> set[str]:
    """The names that an import brings into scope."""
    if use.names is not None:
        return {alias or name for name, alias, _ in use.names}
    return {use.alias or use.path.text.rsplit(".", 1)[-1]}


def _all_uses(items: list[t.Item]) -> Iterator[t.Use]:
    for item in items:
        if isinstance(item, t.Use):
            yield item
        elif isinstance(item, t.Module):
            yield from _all_uses(item.items)


def _at_paths(parsed: Parsed) -> set[str]:
    if "@" not in parsed.source.text:
        return set()
    return {token.value for token in scan(parsed.source).tokens if token.type == "ATPATH"}


def _private(items: list[t.Item], prefix: str) -> Iterator[str]:
    for item in items:
        name = _item_name(item)
        if isinstance(item, t.Module):
            yield from _private(item.items, f"{prefix}{name}.")
        if name and item.visibility is t.Visibility.PRIVATE and not isinstance(item, t.Test):
            yield prefix + name


def _docs(parsed: Parsed, effect_boundary: bool) -> Json:
    """``texts`` by name (the module's own under the empty one, members as ``Gene.member``), ``rules`` (constraints and laws: name, text) by the
    item that has them, ``lines`` by name."""
    docs: Json = {"texts": {}, "rules": {}, "lines": {}}
    _describe_items(parsed.file.items, "", parsed.source, effect_boundary, docs)
    return {name: dict(sorted(found.items())) for name, found in docs.items()}


def _describe_items(items: list[t.Item], prefix: str, source: SourceFile, effect_boundary: bool, docs: Json) -> None:
    heading = [item.text for item in items if isinstance(item, t.Exegesis)]
    if heading:
        docs["texts"][prefix.removesuffix(".")] = "\n\n".join(heading)
    for item in items:
        visibility = _at_boundary(item.visibility) if effect_boundary else item.visibility
        name = f"{prefix}{_item_name(item)}"
        is_type = isinstance(item, t.Gene | t.Trait | t.Alias | t.System)  # a signature may mention a private one
        is_hidden = visibility is t.Visibility.PRIVATE and not is_type
        if name == prefix or is_hidden or isinstance(item, t.Test):
            continue
        members = getattr(item, "members", ())
        parts = [item.doc, *(member.text for member in members if isinstance(member, t.Exegesis))]
        if text := "\n\n".join(part for part in parts if part):
            docs["texts"][name] = text
        docs["lines"][name] = source.place(item.span).line
        rules = [
            [member.name, _inside(source.text[member.body.span.start : member.body.span.end])]
            for member in members
            if isinstance(member, t.Constraint | t.Law)
        ]
        if rules:
            docs["rules"][name] = rules
        for member in members:
            if member.doc and _item_name(member):
                docs["texts"][f"{name}.{_item_name(member)}"] = member.doc
        if isinstance(item, t.Module):
            _describe_items(item.items, f"{name}.", source, effect_boundary, docs)


def _inside(block: str) -> str:
    """What stands between the braces of a block, its indentation taken off."""
    return dedent(block.strip().removeprefix("{").removesuffix("}").strip("\n")).strip()
