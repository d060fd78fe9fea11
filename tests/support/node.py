"""Programs in Node, through the same reading of values as in wasmtime."""

import json
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from dolbuild.runtime.instance import INITIALISE, NATIVE, Trapped
from dolbuild.runtime.values import lift, read_text

SCRIPT = Path(__file__).with_name("node_host.js")


class Node:
    """A process of Node that runs one module after the other."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", "--stack-size=900", str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.file = tempfile.NamedTemporaryFile(suffix=".wasm")  # noqa: SIM115

    def ask(self, command: str, **more: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"command": command, **more}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer["value"]

    def load(self, wasm: bytes) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.file.write(wasm)
        self.file.flush()
        self.ask("load", path=self.file.name)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.file.close()


class NodeError(Exception):
    """What went wrong in Node."""


class NodeInstance:
    """An instance of the module that was loaded last."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.exports = frozenset(node.ask("start"))
        if INITIALISE in self.exports:
            self.raw(INITIALISE)

    def stress(self) -> None:
        if "dol.memory.STRESS" in self.exports:
            self.node.ask("set", name="dol.memory.STRESS", value=1)

    def read(self, address: int, size: int) -> bytes:
        return bytes.fromhex(self.node.ask("read", address=address, size=size))

    def raw(self, name: str) -> list[int | float]:
        try:
            return [_slot(value) for value in self.node.ask("call", name=name, arguments=[])]
        except NodeError as error:
            raise Trapped(self.message() or _native(str(error)), ()) from None

    def message(self) -> str | None:
        if "dol.traps.MESSAGE" not in self.exports:
            return None
        address = self.node.ask("get", name="dol.traps.MESSAGE")
        return read_text(self, address) if address else None  # type: ignore[arg-type]

    def call(self, export: dict[str, Any], arguments: list[Any]) -> Any:
        assert not arguments
        return lift(self, export["result"], self.raw(export["name"]))  # type: ignore[arg-type]


def _slot(value: Any) -> int | float:
    if isinstance(value, str):
        return int(value)
    number: float = struct.unpack("<d", struct.pack("<Q", int(value["bits"])))[0]
    return number


def _native(error: str) -> str:
    known = {"Maximum call stack": "call stack exhausted", "divide by zero": "integer divide by zero"}
    for text, name in known.items():
        if text in error:
            return NATIVE[name]
    return error
