"""What commands that run a System have in common: its state from the command line, opening it, showing what was refused."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dolbuild.diagnostics import Diagnostic, DiagnosticError, render
from dolbuild.rules.node import Node
from dolbuild.rules.system import MODULE
from dolbuild.runtime.host import Host
from dolbuild.runtime.instance import Program
from dolbuild.systems import refusals
from dolbuild.systems.durable import Damaged, InUse
from dolbuild.systems.keeping import Opened, StateIsThere, open_kept
from dolbuild.systems.running import Broken, GaveError, Refused, Running, Stopped
from dolbuild.systems.serving import read_json
from dolbuild.systems.table import NoSystem
from dolbuild.systems.takeover import DoesNotFit
from dolbuild.terminal import wants_color

KEPT = "state"
"""The folder of a workspace in which the states of Systems are kept, each in a folder of its name."""

SHOWN_MISFITS = 20


class WrongJson(Exception):
    """Text on the command line, or in a file that it names, that is no JSON of an object."""


def built_module(root: Path, node: Node) -> bytes:
    """The WebAssembly module of a System that was built."""
    path = next(path for path, artifact in node.targets.items() if artifact == MODULE)
    return (root / path).read_bytes()


def read_state(text: str | None) -> dict[str, Any] | None:
    """The fields of a first state: JSON, or ``@FILE`` of it. Raises WrongJson."""
    if text is None:
        return None
    try:
        data = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        value = read_json(data)
    except OSError as error:
        raise WrongJson(f"--state: {text[1:]}: {error.strerror or error}") from None
    except ValueError as error:
        raise WrongJson(f"--state: this is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise WrongJson("--state: the state is an object of fields by name")
    return value


def open_system(
    wasm: bytes,
    host: Host,
    state: dict[str, Any] | None,
    folder: Path | None,
    *,
    accept_loss: bool = False,
    synced: bool = True,
    serving: bool = False,
) -> tuple[Running, Opened | None]:
    """A running System, kept in *folder* or nowhere. Raises DiagnosticError."""
    try:
        program = Program(wasm, interruptible=serving)
        if folder is None:
            running = Running(program, host, watched=serving)
            running.start(state or {})
            return running, None
        opened = open_kept(program, host, folder, state, accept_loss=accept_loss, synced=synced)
    except Refused as refused:
        raise DiagnosticError(replace(diagnostic(refused), hint="the System does not start")) from None
    except NoSystem as error:
        raise DiagnosticError(Diagnostic("E0816", str(error))) from None
    except InUse:
        message = f"the state in {shown_folder(folder)} is open in another process"
        raise DiagnosticError(Diagnostic("E0818", message, hint="ask that process over HTTP, or stop it")) from None
    except Damaged as error:
        hint = f"put {shown_folder(folder)} back from a copy, or move it away to begin anew"
        raise DiagnosticError(
            Diagnostic("E0816", f"the state in {shown_folder(folder)} is damaged: {error}", hint=hint)
        ) from None
    except StateIsThere:
        hint = "leave out --state, or move that folder away to begin anew"
        raise DiagnosticError(
            Diagnostic("E0816", f"a state is kept in {shown_folder(folder)} already", hint=hint)
        ) from None
    except OSError as error:
        message = f"the state cannot be kept in {shown_folder(folder)}: {error.strerror or error}"
        raise DiagnosticError(Diagnostic("E0814", message)) from None
    except DoesNotFit as error:
        raise DiagnosticError(_misfit(error)) from None
    return opened.running, opened


def shown_folder(folder: Path | None) -> str:
    """A folder as people see it from where they are."""
    assert folder is not None
    here = Path.cwd()
    return folder.relative_to(here).as_posix() if folder.is_relative_to(here) else str(folder)


def _misfit(error: DoesNotFit) -> Diagnostic:
    wrong, lost = error.misfits.wrong, error.misfits.lost
    notes = [*wrong[:SHOWN_MISFITS]]
    if len(wrong) > SHOWN_MISFITS:
        notes.append(f"and {len(wrong) - SHOWN_MISFITS} more")
    notes += [f"would be lost: {what}" for what in lost[:SHOWN_MISFITS]]
    hint = "give new fields defaults, or build the version that fits"
    if not wrong:
        hint = "--accept-loss takes over the rest"
    return Diagnostic("E0817", "the state of another build does not fit this one", hint=hint, notes=tuple(notes))


def diagnostic(refused: Refused) -> Diagnostic:
    """A refused call as a diagnostic."""
    code = str(refusals.describe(refused)[1]["code"])
    if isinstance(refused, Stopped):
        notes = tuple(f"in {frame.function}, {frame.file}:{frame.line}" for frame in refused.frames[:20])
        return Diagnostic(code, refused.message, notes=notes)
    if isinstance(refused, Broken):
        constraint = refused.constraint
        notes = (f"{constraint.file}:{constraint.line}", *refused.values)
        return Diagnostic(code, str(refused), hint="nothing has changed: the call is undone", notes=notes)
    if isinstance(refused, GaveError):
        return Diagnostic(code, str(refused), hint="nothing has changed: the call is undone")
    return Diagnostic(code, str(refused))


def call(running: Running, name: str, arguments: Sequence[str]) -> Any:
    """Call a function with one JSON text for each argument, in order. Raises DiagnosticError."""
    values: list[Any] = []
    for number, text in enumerate(arguments, 1):
        try:
            values.append(read_json(text.encode()))
        except ValueError as error:
            hint = "a text is written with its quotes: '\"web\"'"
            raise DiagnosticError(Diagnostic("E0811", f"argument {number} is no JSON: {error}", hint=hint)) from None
    try:
        return running.call(name, values)
    except Refused as refused:
        raise DiagnosticError(diagnostic(refused)) from None


def show(error: DiagnosticError) -> None:
    """Diagnostics on the error stream."""
    for one in error.diagnostics:
        sys.stderr.write(render(one, color=wants_color(sys.stderr)))


def as_text(value: Any) -> str:
    """A result as it is printed."""
    return json.dumps(value, ensure_ascii=False) + "\n"


def functions(running: Running) -> str:
    """What can be called, a line each."""
    types = running.table.types
    lines: list[str] = []
    for name in sorted(running.table.functions):
        function = running.table.functions[name]
        parameters = ", ".join(f"{p.name}: {types[p.type].shown}" for p in function.parameters)
        lines.append(f"  {name}({parameters}) -> {types[function.result].shown}\n")
    return "".join(lines)
