"""What a program may reach outside of itself: nothing but its own streams and clocks, unless it was granted."""

import os
from dataclasses import dataclass
from pathlib import Path


class Denied(Exception):
    """A program asked for what it was not granted; the message says how to grant it."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """*read* and *write*: folders (or files) that may be read or changed; *net*: sockets; *env*: the names of variables of
    the environment, or None for all."""

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    net: bool = False
    env: tuple[str, ...] | None = ()

    def readable(self, path: str) -> Path:
        """A path that may be read, without symbolic links. Raises `Denied`."""
        return _within(path, (*self.read, *self.write), "--allow-read")

    def writable(self, path: str) -> Path:
        """A path that may be changed, without symbolic links. Raises `Denied`."""
        return _within(path, self.write, "--allow-write")

    def network(self) -> None:
        """Raises `Denied` where sockets are not granted."""
        if not self.net:
            raise Denied("the network is not allowed here (--allow-net allows it)")

    def variable(self, name: str) -> str | None:
        """A variable of the environment; None where it is not set, or not granted."""
        if self.env is not None and name not in self.env:
            return None
        return os.environ.get(name)


def _within(path: str, folders: tuple[Path, ...], option: str) -> Path:
    resolved = Path(path).resolve()
    if any(resolved == folder or folder in resolved.parents for folder in folders):
        return resolved
    raise Denied(f"{path} is not allowed here ({option}={path} allows it)")
