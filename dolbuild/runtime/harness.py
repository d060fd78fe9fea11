"""Running the tests of a built module."""

from typing import Any

from dolbuild.runtime.instance import Program, Trapped


def run_tests(wasm: bytes) -> list[dict[str, Any]]:
    """Run every test in an instance of its own; gives name, success, message and frames of each."""
    program = Program(wasm)
    results: list[dict[str, Any]] = []
    for index, test in enumerate(program.tests):
        result: dict[str, Any] = {"name": test["name"], "line": test["line"], "ok": True}
        try:
            program.instantiate().raw(f"test {index}")
        except Trapped as trapped:
            result |= {
                "ok": False,
                "message": trapped.message,
                "frames": [{"function": f.function, "file": f.file, "line": f.line} for f in trapped.frames],
            }
        results.append(result)
    return results
