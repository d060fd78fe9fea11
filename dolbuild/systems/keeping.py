"""A System whose state is kept on disk: opened where its last committed call has left it, by the same build or by a new one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dolbuild.runtime.host import Host
from dolbuild.runtime.instance import Program
from dolbuild.systems.durable import Durable, Kept
from dolbuild.systems.image import Changes
from dolbuild.systems.running import Running
from dolbuild.systems.table import read_table
from dolbuild.systems.takeover import Old, take_over


class StateIsThere(Exception):
    """A state is given, but one is kept already."""


@dataclass(slots=True)
class Opened:
    """A running System with its files, into which it writes its calls. *said* is what has to be told about how it was opened."""

    running: Running
    durable: Durable
    said: tuple[str, ...]

    def append(self, function: str, changes: Changes) -> None:
        """Write a call down. Raises OSError."""
        self.durable.append(function, changes)

    def committed(self) -> None:
        """After a call was committed. A checkpoint that cannot be written is tried again after the next call."""
        if self.durable.is_due:
            try:
                self.checkpoint()
            except OSError:
                pass  # the journal has everything

    def checkpoint(self) -> None:
        """Write the whole state. Raises OSError."""
        running, image = self.running, self.running.image
        self.durable.checkpoint(running.program.wasm, image.start, image.memory, image.variables, running.address)

    def close(self) -> None:
        """End; what is committed stays."""
        self.running.host.close()
        self.durable.close()


def open_kept(
    program: Program,
    host: Host,
    folder: Path,
    given: Mapping[str, Any] | None = None,
    *,
    accept_loss: bool = False,
    synced: bool = True,
) -> Opened:
    """Open what is kept in *folder*, or begin with the fields that are *given*.

    Raises InUse, Damaged, StateIsThere, DoesNotFit, NoSystem, Refused, OSError; then what is kept is as it was.
    """
    durable = Durable(folder, synced)
    try:
        kept = durable.load()
        if kept is not None and given is not None:
            raise StateIsThere(str(folder))
        running = Running(program, host)
        said: list[str] = []
        if kept is None:
            running.start(given or {})
            said.append("started with a new state")
        else:
            if kept.cut:
                said.append(
                    f"the end of the journal is torn or damaged: {kept.cut} bytes are cut off, at most one call"
                )
            if kept.wasm == program.wasm:
                running.resume(kept.memory, kept.variables, kept.address)
                said.append(f"resumed after call {kept.sequence}")
            else:
                lost = upgrade(running, kept, accept_loss)
                said.append(f"this build has taken over the state of another one after call {kept.sequence}")
                said += [f"lost: {what}" for what in lost]
        opened = Opened(running, durable, tuple(said))
        if kept is None or kept.wasm != program.wasm:
            opened.checkpoint()
        running.keeper = opened
        return opened
    except BaseException:
        durable.close()
        raise


def upgrade(running: Running, kept: Kept, accept_loss: bool) -> list[str]:
    """Another build takes over; gives what is lost. Raises DoesNotFit, Refused, NoSystem."""
    old = Old(read_table(kept.wasm), kept.memory, kept.variables, kept.address)
    address, lost = take_over(old, running.table, running.instance, accept_loss)
    running.adopt(address)
    return lost
