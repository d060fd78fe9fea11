"""Running WebAssembly: instances, values, traps, tests."""
