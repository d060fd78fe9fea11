"""Meaning to WebAssembly: low-level code, encoding, objects, linking."""
