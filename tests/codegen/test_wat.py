"""The binary encoder, the printer and an independent assembler agree; engines accept and run the result."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import wasmtime

from dolbuild.codegen.encode import OPCODES, padded, sleb, uleb
from dolbuild.codegen.wat import print_module
from dolbuild.runtime.sections import custom_sections
from tests.support.programs import compile_case, link_face
from tests.support.workspaces import Workspace

PROGRAMS = sorted((Path(__file__).parents[1] / "language").rglob("*.dol"))
SOURCE = """
pub fun add(a: Int64, b: Int64) -> Int64 { return a + b }
pub fun narrow(a: Int8) -> Int8 { return a * 2 }
pub fun both(n: Int64) -> Option<Int64> { if n > 0 { Some(n) } else { None } }
pub fun text(n: Float64) -> String { return "n = " + n + "\\u{1F600}" }
pub fun nan() -> Float32 { zero: Float32 = 0.0 return_value(zero) }
fun return_value(zero: Float32) -> Float32 { return zero / zero }
""".replace("0.0 return_value", "0.0\n return_value")


def without_names(text: str) -> list[str]:
    return [line.split("  ;;")[0] for line in text.split("\n")]


def assemble(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def agree(wasm: bytes) -> None:
    """Print, assemble with another tool, print again: the same text, in which nothing was lost."""
    wasmtime.Module.validate(wasmtime.Engine(), wasm)
    text = print_module(wasm)
    again = assemble(text)
    assert without_names(print_module(again)) == without_names(text)


def test_a_library(examples: Workspace) -> None:
    assert examples.build().status == 0
    modules = sorted((examples.root / "target/spirits").glob("*.wasm"))
    assert len(modules) == 3
    for path in modules:
        agree(path.read_bytes())
        assert examples.command("wat", str(path)).out == print_module(path.read_bytes())


def test_a_program_of_all_kinds() -> None:
    agree(link_face(compile_case({"lib": SOURCE})))


def test_every_instruction_we_know_is_what_the_assembler_calls_by_that_name() -> None:
    """One function for each plain instruction, operands taken from nowhere: after ``unreachable`` the
    validator accepts any. The other assembler's opcode must be ours."""
    for name, opcode in OPCODES.items():
        if name in ("select", "drop"):
            continue  # their operands' types would have to be known
        text = f"(module (memory 1) (func unreachable {name} unreachable))"
        wasm = assemble(text)
        assert b"\x00" + opcode + b"\x00\x0b" in wasm, name


def test_the_printed_module_is_readable() -> None:
    text = print_module(link_face(compile_case({"lib": "pub fun one() -> Int64 { return 1 }\n"})))
    assert re.sub(r"  +", " ", text) == (
        '(module\n (type (func (result i64)))\n (memory 1)\n (export "one" (func 0))\n (export "memory" (memory 0))\n'
        " (func (type 0) (result i64) ;; @test/case/lib.one\n i64.const 1\n )\n)\n"
    )


@pytest.mark.parametrize("value", [0, 1, 63, 64, 127, 128, 16383, 16384, 2**31 - 1, 2**32 - 1])
def test_leb128(value: int) -> None:
    assert int.from_bytes(bytes(b & 0x7F for b in uleb(value)[:1]), "little") == value & 0x7F
    text = assemble(f"(module (func (result i64) i64.const {value}))")
    assert b"\x42" + sleb(value) + b"\x0b" in text
    short, long = uleb(value), padded(value)
    assert len(long) == 5
    decoded = sum((byte & 0x7F) << 7 * index for index, byte in enumerate(long))
    assert decoded == sum((byte & 0x7F) << 7 * index for index, byte in enumerate(short)) == value


@pytest.mark.skipif(shutil.which("node") is None and "CI" not in os.environ, reason="Node is not installed")
def test_node_runs_the_same_module(examples: Workspace) -> None:
    assert examples.build().status == 0
    script = """
        const fs = require("fs");
        const load = name => new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync(name))).exports;
        const math = load("target/spirits/math-lib.wasm"), geometry = load("target/spirits/geometry.wasm");
        let trap = "";
        try { math.add(9223372036854775807n, 1n) } catch (error) { trap = error.constructor.name }
        const at = math["dol.traps.MESSAGE"].value, memory = new DataView(math.memory.buffer);
        const message = new TextDecoder().decode(
            new Uint8Array(math.memory.buffer, at + 12, memory.getUint32(at + 4, true)));
        console.log(JSON.stringify([
            String(math.add(2n, 3n)), math.divide(7n, 2n).map(String), math.divide(7n, 0n).map(String),
            math.sin(1), geometry.area(6, 1), trap, message]));
    """
    done = subprocess.run(
        ["node", "-e", script], cwd=examples.root, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values[:3] == ["5", ["1", "3"], ["0", "0"]]
    assert values[3:5] == [0.8414709848078965, 2.5980762113533165]
    assert values[5:] == ["RuntimeError", "integer overflow: 9223372036854775807 + 1 does not fit in Int64"]


def test_what_is_no_module_is_refused() -> None:
    wasm = link_face(compile_case({"lib": SOURCE}))
    for data in (b"", b"garbage", wasm[:4], wasm[: len(wasm) // 2], wasm[:20]):
        with pytest.raises(ValueError):
            print_module(data)


def test_what_a_library_carries(examples: Workspace) -> None:
    assert examples.build().status == 0
    sections = custom_sections((examples.root / "target/spirits/math-lib.wasm").read_bytes())
    interface = json.loads(sections["dol.interface"])
    assert set(interface) == {"lib", "arithmetic", "trig"}
    assert "add" in interface["arithmetic"]["items"]
    assert json.loads(sections["dol.manifest"])["values"]["name"] == "math-lib"
    provenance = json.loads(sections["dol.provenance"])
    assert provenance["tool"].startswith("dolbuild ") and len(provenance["symbols"]) == 64
    assert str(examples.root) not in repr(sections)
