"""A program in a terminal of its own, and what its screen shows."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

COLUMNS, ROWS = 100, 40


class Terminal:
    """Runs a command; *written* is every byte that came, *screen* what they draw."""

    def __init__(self, command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.written = b""
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            command, cwd=cwd, env=dict(environment), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def until(self, shown: Callable[[list[str]], bool], seconds: float = 60.0) -> list[str]:
        """The first screen that is as wanted. Raises AssertionError where none comes."""
        end = time.monotonic() + seconds
        while not shown(self.lines):
            assert time.monotonic() < end and self._read(), "\n".join(self.lines)
        return self.lines

    def finish(self, seconds: float = 60.0) -> int:
        """Read on to the end; gives the exit status."""
        end = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < end, "\n".join(self.lines)
        return self.process.wait(10)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self._master)

    @property
    def lines(self) -> list[str]:
        """The screen without the blanks at its end."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    @property
    def is_colored(self) -> bool:
        """Whether a colour was ever chosen."""
        chosen = [part.split(b"m")[0] for part in self.written.split(b"\x1b[")[1:] if b"m" in part[:16]]
        return any(one[:1] in (b"3", b"9") or b";3" in one for one in chosen if one.replace(b";", b"").isdigit())

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 0.2)
        if not ready:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says so when the other side has closed
            return False
        self.written += data
        self._stream.feed(data)
        return bool(data)
