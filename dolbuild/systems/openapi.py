"""The HTTP interface of a System as an OpenAPI 3.1 description, its types as JSON Schema (`reading.py` says how values are written)."""

from collections.abc import Mapping
from typing import Any

from dolbuild import __version__
from dolbuild.systems.reading import FLOATS, INTEGERS, is_text_key
from dolbuild.systems.table import Part, Table, Type

Json = dict[str, Any]


def describe(table: Table, secured: bool) -> Json:
    """The description. *secured*: requests need a token."""
    schemas = Schemas(table.types)
    paths: Json = {}
    for function in table.functions.values():
        properties = {p.name: schemas.of(p.type) for p in function.parameters}
        required = [p.name for p in function.parameters if p.default is None]
        type_ = table.types[function.result]
        answers: Json = {
            "200": _answer("what it gives", _object({"result": schemas.of(_success(type_))}, ["result"])),
            "400": _error("an argument is no value of its type"),
            "409": _error("a constraint does not hold afterwards"),
            "500": _error("it trapped, or took too long"),
        }
        if type_.kind == "result":
            answers["422"] = _error("it gave an error", schemas.of(type_.arguments[1]))
        operation: Json = {
            "operationId": function.name,
            "summary": function.doc.split("\n", 1)[0] or f"Call `{function.name}`",
            "requestBody": {
                "required": bool(required),
                "content": {"application/json": {"schema": _object(properties, required)}},
            },
            "responses": answers,
        }
        paths[f"/functions/{function.name}"] = {"post": operation}
    state = {str(part.name): schemas.of(part.type) for part in table.state.fields}
    paths["/state"] = {"get": _get("state", "The whole state", _object(state, list(state)))}
    for name, schema in state.items():
        paths[f"/state/{name}"] = {"get": _get(f"state_{name}", f"The field `{name}` of the state", schema)}
    paths["/functions"] = {"get": _get("functions", "The functions, with their types", {"type": "array"})}
    paths["/constraints"] = {"get": _get("constraints", "The constraints, with their texts", {"type": "array"})}
    paths["/health"] = {"get": _get("health", "Whether it answers", {"type": "object"})}
    described: Json = {
        "openapi": "3.1.0",
        "info": {"title": table.name, "version": __version__, "description": table.doc},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(schemas.named.items()))},
    }
    if secured:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _success(type_: Type) -> str:
    return type_.arguments[0] if type_.kind == "result" else type_.text


def _get(name: str, summary: str, schema: Json) -> Json:
    return {"operationId": name, "summary": summary, "responses": {"200": _answer(summary, schema)}}


def _answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _error(description: str, value: Json | None = None) -> Json:
    properties: Json = {"code": {"type": "string"}, "message": {"type": "string"}}
    if value is not None:
        properties["value"] = value
    return _answer(description, _object({"error": {"type": "object", "properties": properties}}, ["error"]))


def _object(properties: Json, required: list[str]) -> Json:
    described: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    return described | ({"required": required} if required else {})


class Schemas:
    """JSON Schemas of types; genes and enums are components."""

    def __init__(self, types: Mapping[str, Type]) -> None:
        self.types = types
        self.named: Json = {}
        self.names: dict[str, str] = {}

    def of(self, text: str) -> Json:
        """The schema of a type, or a reference to it."""
        type_ = self.types[text]
        if type_.kind in ("gene", "enum"):
            return {"$ref": f"#/components/schemas/{self.component(type_)}"}
        maker = getattr(self, f"of_{type_.kind.lower()}", None)
        if type_.kind in INTEGERS:
            bits, has_sign = INTEGERS[type_.kind]
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if has_sign else (0, (1 << bits) - 1)
            return {"type": "integer", "minimum": low, "maximum": high}
        if type_.kind in FLOATS:
            return {"oneOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
        return maker(type_) if maker is not None else {"type": "string"}

    def component(self, type_: Type) -> str:
        """The name of a gene's component; what has the name of another one is numbered."""
        known = self.names.get(type_.text)
        if known is not None:
            return known
        base = "".join(c if c.isalnum() else "_" for c in type_.shown).strip("_")
        name, number = base, 1
        while name in self.named:
            number += 1
            name = f"{base}_{number}"
        self.names[type_.text] = name
        self.named[name] = {}
        self.named[name] = self.gene(type_) if type_.kind == "gene" else self.enum(type_)
        return name

    def gene(self, type_: Type) -> Json:
        properties = {str(part.name): self.of(part.type) for part in type_.fields}
        return _object(properties, [str(part.name) for part in type_.fields if not self.may_be_left_out(part)])

    def may_be_left_out(self, part: Part) -> bool:
        return part.default is not None or self.types[part.type].kind in ("list", "map", "set", "option")

    def enum(self, type_: Type) -> Json:
        plain = [variant.name for variant in type_.variants if not variant.payload]
        ways: list[Json] = [{"enum": plain}] if plain else []
        for variant in type_.variants:
            if variant.payload:
                ways.append(_object({variant.name: self.payload(variant.payload)}, [variant.name]))
        return ways[0] if len(ways) == 1 else {"oneOf": ways}

    def payload(self, parts: tuple[Part, ...]) -> Json:
        if parts[0].name is not None:
            properties = {str(part.name): self.of(part.type) for part in parts}
            return _object(properties, list(properties))
        if len(parts) == 1:
            return self.of(parts[0].type)
        return self.fixed([part.type for part in parts])

    def fixed(self, texts: list[str]) -> Json:
        return {
            "type": "array",
            "prefixItems": [self.of(text) for text in texts],
            "minItems": len(texts),
            "maxItems": len(texts),
        }

    def of_bool(self, type_: Type) -> Json:
        return {"type": "boolean"}

    def of_char(self, type_: Type) -> Json:
        return {"type": "string", "minLength": 1, "maxLength": 1}

    def of_void(self, type_: Type) -> Json:
        return {"type": "null"}

    def of_option(self, type_: Type) -> Json:
        inner = self.of(type_.arguments[0])
        if self.types[type_.arguments[0]].kind in ("option", "Void"):
            inner = _object({"Some": inner}, ["Some"])
        return {"oneOf": [inner, {"type": "null"}]}

    def of_result(self, type_: Type) -> Json:
        ways = [_object({n: self.of(t)}, [n]) for n, t in zip(("Ok", "Err"), type_.arguments, strict=True)]
        return {"oneOf": ways}

    def of_tuple(self, type_: Type) -> Json:
        return self.fixed(list(type_.arguments))

    def of_record(self, type_: Type) -> Json:
        return _object(dict(zip(type_.names, map(self.of, type_.arguments), strict=True)), list(type_.names))

    def of_list(self, type_: Type) -> Json:
        return {"type": "array", "items": self.of(type_.arguments[0])}

    def of_set(self, type_: Type) -> Json:
        return self.of_list(type_) | {"uniqueItems": True}

    def of_map(self, type_: Type) -> Json:
        key, value = type_.arguments
        if is_text_key(self.types, key):
            return {"type": "object", "additionalProperties": self.of(value)}
        return {"type": "array", "items": self.fixed([key, value])}
