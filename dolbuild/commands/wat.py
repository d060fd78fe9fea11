"""``dolbuild wat``: show a WebAssembly module as text."""

import sys
from pathlib import Path

from dolbuild.codegen.wat import print_module

USAGE = 2


def run(arguments: list[str]) -> int:
    """Print the module in a file; gives the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("error: dolbuild wat FILE.wasm\n")
        return USAGE
    path = Path(arguments[0])
    try:
        sys.stdout.write(print_module(path.read_bytes()))
    except OSError as error:
        sys.stderr.write(f"error: {path} cannot be read: {error.strerror}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"error: {path}: {error}\n")
        return 1
    return 0
