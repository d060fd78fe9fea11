"""The tool as an input: another compiler means other keys."""

from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import dolbuild

_SUFFIXES = (".py", ".lark", ".dol")


@lru_cache(maxsize=1)
def tool_digest() -> str:
    """The digest of the sources of this tool and of the version of its parser generator.

    Only what can change an artifact is in it: not the commands, not the rules' own scheduling.
    """
    base = Path(dolbuild.__file__).resolve().parent
    hasher = sha256(f"lark {version('lark')}\n".encode())
    folders = ("syntax", "analysis", "codegen", "packages")
    files = [base / "compiler.py", base / "source.py", base / "diagnostics.py"]
    for folder in folders:
        files += sorted(path for path in (base / folder).rglob("*") if path.suffix in _SUFFIXES)
    for path in files:
        name = path.relative_to(base).as_posix()
        data = path.read_bytes()
        hasher.update(f"{name}\0{len(data)}\0".encode())
        hasher.update(data)
    return hasher.hexdigest()


@lru_cache(maxsize=1)
def engine_version() -> str:
    """The WebAssembly engine that runs tests."""
    return f"wasmtime {version('wasmtime')}"
