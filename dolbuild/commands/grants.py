"""The options by which a command line grants a program what it may reach."""

from dataclasses import dataclass, field
from pathlib import Path

from dolbuild.runtime.capabilities import Capabilities

USAGE = "[--allow-read=PATH] [--allow-write=PATH] [--allow-net] [--allow-env[=NAME]]"


@dataclass(slots=True)
class Grants:
    """What was granted so far."""

    read: list[Path] = field(default_factory=list)
    write: list[Path] = field(default_factory=list)
    net: bool = False
    env: list[str] | None = field(default_factory=list)

    def take(self, argument: str) -> bool:
        """Whether an argument grants something; then it is noted."""
        option, given, value = argument.partition("=")
        if option == "--allow-net" and not given:
            self.net = True
        elif option in ("--allow-read", "--allow-write") and value:
            (self.read if option == "--allow-read" else self.write).append(Path(value).resolve())
        elif option == "--allow-env":
            self.env = None if not given or self.env is None else [*self.env, value]
        else:
            return False
        return True

    @property
    def capabilities(self) -> Capabilities:
        names = None if self.env is None else tuple(self.env)
        return Capabilities(tuple(self.read), tuple(self.write), self.net, names)
