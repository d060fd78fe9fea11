"""``wasm.name(...)``: the instructions that the runtime's own source may write."""

from dolbuild.analysis import types as ty

_A, _B = ty.GenericOf("A"), ty.GenericOf("B")
_ARRAY = ty.Named(ty.ARRAY, (_A,))

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
    "i32_rem_u": ((ty.UINT32, ty.UINT32), ty.UINT32),
    "i32_clz": ((ty.UINT32,), ty.UINT32),
    "i32_ctz": ((ty.UINT32,), ty.UINT32),
    "i32_rotl": ((ty.UINT32, ty.UINT32), ty.UINT32),
    "i64_clz": ((ty.UINT64,), ty.UINT64),
    "i64_ctz": ((ty.UINT64,), ty.UINT64),
    "i64_rotl": ((ty.UINT64, ty.UINT64), ty.UINT64),
    "i64_reinterpret_f64": ((ty.FLOAT64,), ty.UINT64),
    "f64_reinterpret_i64": ((ty.UINT64,), ty.FLOAT64),
    "i32_reinterpret_f32": ((ty.FLOAT32,), ty.UINT32),
    "unreachable": ((), ty.NEVER),
    # Places that the linker knows.
    "heap_base": ((), ty.UINT32),
    "stack_top": ((), ty.UINT32),
    "roots_start": ((), ty.UINT32),
    "roots_end": ((), ty.UINT32),
    "powers_of_ten": ((), ty.UINT32),
    "class_table": ((), ty.UINT32),
    # References as addresses and back, and one type of reference as another.
    "address_of": ((_A,), ty.UINT32),
    "at": ((ty.UINT32,), _A),
    "view": ((_A,), _B),
    # Arrays: items side by side, their number, nothing checked.
    "array_new": ((ty.UINT32,), _ARRAY),
    "array_length": ((_ARRAY,), ty.UINT32),
    "array_get": ((_ARRAY, ty.UINT32), _A),
    "array_set": ((_ARRAY, ty.UINT32, _A), ty.VOID),
    "array_copy": ((_ARRAY, ty.UINT32, _ARRAY, ty.UINT32, ty.UINT32), ty.VOID),
    "array_clear": ((_ARRAY, ty.UINT32, ty.UINT32), ty.VOID),
    # What is derived for each type.
    "same": ((_A, _A), ty.BOOL),
    "less": ((_A, _A), ty.BOOL),
    "hash": ((_A,), ty.UINT32),
    "text": ((_A,), ty.STRING),
    "quoted": ((_A,), ty.STRING),
    "json": ((_A,), _B),
    "zero": ((), _A),
    "add": ((_A, _A), _A),
}
"""By name: parameters and result; ``A`` and ``B`` stand for any type."""
