"""The built-in surface: what can be called on a value of a built-in type without an import.

`method` gives the signature of one; `dolbuild.codegen.operations` holds the code.
"""

from dataclasses import dataclass

from dolbuild.analysis import types as ty


@dataclass(frozen=True, slots=True)
class Method:
    """*operation* is applied to the receiver and the arguments."""

    operation: str
    parameters: tuple[ty.Type, ...]
    result: ty.Type


_FLOAT = {
    "floor": "floor", "ceil": "ceil", "round": "nearest", "trunc": "trunc", "sqrt": "sqrt", "abs": "abs"
}  # fmt: skip


def method(receiver: ty.Type, name: str) -> Method | None:
    """The built-in method *name* of a type, or None."""
    if name == "to_string":
        return Method("to_string", (), ty.STRING)
    if receiver in ty.INTEGERS:
        if name == "abs":
            return Method("abs", (), receiver)
        if name in ("min", "max"):
            return Method(name, (receiver,), receiver)
        if name == "pow":
            return Method("pow", (ty.UINT32,), receiver)
    elif receiver in ty.FLOATS:
        if name in _FLOAT:
            return Method("float." + _FLOAT[name], (), receiver)
        if name in ("min", "max"):
            return Method("float." + name, (receiver,), receiver)
        if name == "is_nan":
            return Method("float.is_nan", (), ty.BOOL)
    elif receiver == ty.STRING:
        if name in ("len", "length"):
            return Method("string.len", (), ty.UINT64)
        if name == "is_empty":
            return Method("string.is_empty", (), ty.BOOL)
    elif (item := ty.argument_of(receiver, "Option")) is not None:
        if name in ("is_some", "is_none"):
            return Method("option." + name, (), ty.BOOL)
        if name == "unwrap":
            return Method("option.unwrap", (), item)
        if name == "unwrap_or":
            return Method("option.unwrap_or", (item,), item)
    elif ty.argument_of(receiver, "List") is not None:
        if name in ("len", "length"):
            return Method("list.len", (), ty.UINT64)
        if name == "is_empty":
            return Method("list.is_empty", (), ty.BOOL)
    return None


NAMES = [
    "abs",
    "ceil",
    "floor",
    "is_empty",
    "is_nan",
    "is_none",
    "is_some",
    "len",
    "max",
    "min",
    "pow",
    "round",
    "sqrt",
    "to_string",
    "trunc",
    "unwrap",
    "unwrap_or",
]
"""All names above, for suggestions."""

INSTRUCTIONS: dict[str, tuple[tuple[ty.Type, ...], ty.Type]] = {
    "memory_size": ((), ty.UINT32),
    "memory_grow": ((ty.UINT32,), ty.UINT32),
    "memory_copy": ((ty.UINT32, ty.UINT32, ty.UINT32), ty.VOID),
    "memory_fill": ((ty.UINT32, ty.UINT32, ty.UINT32), ty.VOID),
    "i32_load": ((ty.UINT32,), ty.UINT32),
    "i32_load8_u": ((ty.UINT32,), ty.UINT32),
    "i32_store": ((ty.UINT32, ty.UINT32), ty.VOID),
    "i32_store8": ((ty.UINT32, ty.UINT32), ty.VOID),
    "i64_load": ((ty.UINT32,), ty.UINT64),
    "i64_store": ((ty.UINT32, ty.UINT64), ty.VOID),
    "i64_clz": ((ty.UINT64,), ty.UINT64),
    "i64_ctz": ((ty.UINT64,), ty.UINT64),
    "i64_reinterpret_f64": ((ty.FLOAT64,), ty.UINT64),
    "i32_reinterpret_f32": ((ty.FLOAT32,), ty.UINT32),
    "unreachable": ((), ty.NEVER),
    "heap_base": ((), ty.UINT32),
    "powers_of_ten": ((), ty.UINT32),
    "address_of": ((ty.STRING,), ty.UINT32),
    "string_at": ((ty.UINT32,), ty.STRING),
    "list_address": ((ty.list_of(ty.STRING),), ty.UINT32),
    "list_at": ((ty.UINT32,), ty.list_of(ty.STRING)),
}
"""``wasm.name(...)``, which only the runtime's own source may write: parameters and result."""
