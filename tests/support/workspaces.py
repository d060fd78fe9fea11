"""Workspaces in temporary folders, and the command line run on them as a user would."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "workspace"


@dataclass
class Ran:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def statuses(self) -> dict[str, str]:
        """Outcome by node, for a run with ``--json``."""
        return {str(e["node"]): str(e["status"]) for e in self.events if e["event"] == "node"}

    @property
    def counts(self) -> Counter[str]:
        summary = next(e for e in self.events if e["event"] == "summary")
        return Counter({k: v for k, v in summary.items() if isinstance(v, int) and not isinstance(v, bool)})

    @property
    def codes(self) -> list[str]:
        return [str(e["code"]) for e in self.events if e["event"] == "diagnostic"]

    def ran(self) -> set[str]:
        """Nodes that were really done, for a run with ``--json``."""
        return {node for node, status in self.statuses.items() if status == "ran"}


CLEARED = ("DOL_HOME", "GITHUB_ACTIONS", "NO_COLOR", "PYTHONHASHSEED")
"""Variables of the machine that would change what is tested."""

UNMEASURED = {"COVERAGE_PROCESS_CONFIG": ""}
"""Variables for a process without coverage: with it, a build takes three times as long."""

MEASURED = "DOLBUILD_MEASURED"
"""The variable of the tests' own process that says that the processes which it starts are measured."""


class Workspace:
    """A folder with files, and an own ``DOL_HOME``."""

    def __init__(self, root: Path, home: Path, variables: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.home = home
        self.variables = dict(variables or {})

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k not in (*CLEARED, MEASURED)}
        measured = {} if MEASURED in os.environ else UNMEASURED
        return (
            kept | measured | {"DOL_HOME": str(self.home), "PYTHONWARNINGS": "error::ResourceWarning"} | self.variables
        )

    def command(self, *arguments: str, program: str = "dolbuild", cwd: str = "") -> Ran:
        """Run ``dolbuild`` (or ``doit``) in this workspace, in a process of its own."""
        module = {"dolbuild": "dolbuild.commands.main", "doit": "doit"}[program]
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.root / cwd,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def build(self, *arguments: str) -> Ran:
        """``dolbuild build --json``."""
        return self.command("build", "--json", *arguments)


SPIRIT = """spirit {title} {{
    has name: "{name}"
    has version: "{version}"
    has lib: "src/lib.dol"
{more}}}
"""


def spirit(name: str, *requires: str, version: str = "1.0.0", more: str = "") -> str:
    """A manifest. *requires* are names in the organisation ``acme``."""
    lines = "".join(f'    requires @acme/{required}: "^1.0"\n' for required in requires)
    title = name.title().replace("-", "")
    return SPIRIT.format(title=title, name=name, version=version, more=lines + more)


SETTINGS = 'organisation = "acme"\nmembers = ["*"]\n'
