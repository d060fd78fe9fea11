"""Documents whose commands are run: blocks of ``console``, in which lines after ``$`` are commands and the others what they show."""

import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVERS = ("dolbuild up ", "dolbuild exec --release --allow-net ")
"""Commands that go on until the tour is over."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command and what the document says that it shows."""

    command: str
    shown: str


def steps(document: str) -> Iterator[Step]:
    """The steps of a document, in its order."""
    for block in _BLOCK.findall(document):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield Step(command, shown)


def is_shown(wanted: str, got: str) -> bool:
    """Whether a text is as the document says: ``…`` stands for anything, also for several lines, at the end of a line for its rest."""
    pattern = ".*?".join(re.escape(part) for part in wanted.strip().split("…"))
    return re.fullmatch(pattern, got.strip(), re.DOTALL) is not None


class Tour:
    """A shell that goes through the steps of a document."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.servers: list[subprocess.Popen[bytes]] = []

    def run(self, step: Step) -> str:
        """What a step shows."""
        if step.command.startswith(SERVERS):
            return self._serve(step)
        script = f'{step.command}\necho "$PWD" > {self.environment["TOUR_PLACE"]}'
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120,
        )  # fmt: skip
        self.folder = Path(Path(self.environment["TOUR_PLACE"]).read_text().strip())
        return done.stdout

    def _serve(self, step: Step) -> str:
        log = self.folder / f"server-{len(self.servers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {step.command}"], cwd=self.folder, env=self.environment, stdout=file, stderr=file
            )
        self.servers.append(process)
        end = time.monotonic() + 60
        while time.monotonic() < end and not is_shown(step.shown, log.read_text()):
            time.sleep(0.05)
        return log.read_text()

    def close(self) -> None:
        """End what still runs."""
        for process in self.servers:
            process.terminate()
            process.wait(20)
