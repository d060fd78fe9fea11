"""``wasm.name(...)``: the WebAssembly instructions that the runtime's own source may write."""

from dolbuild.analysis import types as ty

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
