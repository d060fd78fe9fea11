"""Running the tests of a built module."""

import io
from typing import Any

from dolbuild.runtime.capabilities import Capabilities
from dolbuild.runtime.host import Host
from dolbuild.runtime.instance import Program, Trapped


def run_tests(wasm: bytes) -> list[dict[str, Any]]:
    """Run every test in an instance of its own; gives name, success, message and frames of each."""
    program = Program(wasm)
    return [run_test(program, index) for index in range(len(program.tests))]


def run_test(program: Program, index: int) -> dict[str, Any]:
    """Run one test in an instance of its own, with nothing granted; what it writes is kept."""
    test = program.tests[index]
    result: dict[str, Any] = {"name": test["name"], "line": test["line"], "ok": True, "output": ""}
    written = io.BytesIO()
    host = Host(Capabilities(), (io.BytesIO(), written, written))
    try:
        program.instantiate(host).raw(f"test {index}")
    except Trapped as trapped:
        result |= {
            "ok": False,
            "message": trapped.message,
            "frames": [{"function": f.function, "file": f.file, "line": f.line} for f in trapped.frames],
        }
    finally:
        host.close()
    result["output"] = written.getvalue().decode("utf-8", "replace")
    return result
