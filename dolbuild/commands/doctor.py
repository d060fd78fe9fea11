"""``dolbuild doctor``: whether everything that a build needs is there, and what to do where it is not."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dolbuild import __version__
from dolbuild.cache.remote.backend import RemoteError
from dolbuild.commands.opening import WrongUsage, flags, guarded
from dolbuild.diagnostics import DiagnosticError, Severity
from dolbuild.rules.build import dol_home
from dolbuild.rules.caching import Unusable, effective, local_store, open_backend, size_text
from dolbuild.rules.external import lock_for_build, open_sources
from dolbuild.rules.reading import read_workspace
from dolbuild.settings import CacheSettings
from dolbuild.workspace import find_root, load

USAGE = "dolbuild doctor [--json]"
GOOD, NOTE, BAD = "good", "note", "bad"
NEEDED = ("doit", "lark", "semver", "httpx", "wasmtime", "xxhash", "GitPython")
EXTRAS = {"grpcio": "remote caches over gRPC: pip install 'dolbuild[grpc]'"}
LITTLE, TOO_LITTLE = 2 << 30, 200 << 20
"""Bytes of free disk below which a build may soon, or will, fail."""

SKEW = 5.0
"""Seconds by which clocks may differ."""


@dataclass(frozen=True, slots=True)
class Finding:
    """*what* was looked at, how it is, and what would mend it."""

    what: str
    state: str
    text: str
    hint: str = ""


def run(arguments: list[str]) -> int:
    """Run the command; gives 1 where something is bad."""

    def command() -> int:
        options, rest = flags(arguments, ("--json",), USAGE)
        if rest:
            raise WrongUsage(USAGE)
        found: list[Finding] = []
        for look in (tool, engine, git, home, workspace, remote):
            for finding in look():
                found.append(finding)
                if "--json" not in options:
                    sys.stdout.write(_line(finding))
                    sys.stdout.flush()
        bad = sum(finding.state == BAD for finding in found)
        if "--json" in options:
            described = [{"what": f.what, "state": f.state, "text": f.text, "hint": f.hint} for f in found]
            sys.stdout.write(json.dumps(described, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write("everything is there\n" if not bad else f"{bad} to mend\n")
        return 1 if bad else 0

    return guarded(command)


def _line(finding: Finding) -> str:
    hint = f"\n{'':17}= hint: {finding.hint}" if finding.hint else ""
    return f"{finding.state:<5} {finding.what:<10} {finding.text}{hint}\n"


# -- what is looked at -----------------------------------------------------------------------------


def tool() -> Iterator[Finding]:
    """The tool and what it is made of."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("dolbuild", GOOD, f"{__version__}, Python {platform.python_version()}, {cores} cores")
    found: list[str] = []
    for name in NEEDED:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding(
                "packages", BAD, f"{name} is not installed", "install dolbuild again, into an environment of its own"
            )
    yield Finding("packages", GOOD, ", ".join(found))
    for name, what in EXTRAS.items():
        try:
            yield Finding("extra", GOOD, f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding("extra", NOTE, f"{name} is not installed; it is for {what}")


def engine() -> Iterator[Finding]:
    """Whether WebAssembly runs here."""
    from dolbuild.runtime.instance import Program, Trapped

    try:
        Program(b"\0asm\x01\0\0\0").instantiate()
        yield Finding("engine", GOOD, "WebAssembly runs")
    except (Trapped, OSError, RuntimeError) as error:
        yield Finding("engine", BAD, f"WebAssembly does not run: {error}", "tests and `exec` need it; builds do not")


def git() -> Iterator[Finding]:
    """git, which packages from git and `affected` need."""
    program = shutil.which("git")
    if program is None:
        yield Finding("git", NOTE, "git is not installed", "packages from git, and `affected`, need it")
        return
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
    yield Finding("git", GOOD, done.stdout.strip().removeprefix("git version "))


def home() -> Iterator[Finding]:
    """Where packages and results are kept, and whether there is room."""
    folder = dol_home(os.environ)
    found = list(_writable("home", folder))
    yield from found
    if any(finding.state == BAD for finding in found):
        return
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    state = BAD if free < TOO_LITTLE else NOTE if free < LITTLE else GOOD
    hint = "`dolbuild cache gc --size=SIZE` makes room" if state != GOOD else ""
    yield Finding("disk", state, f"{size_text(free)} free in {nearest}", hint)


def _writable(what: str, folder: Path) -> Iterator[Finding]:
    """Whether a folder can be written, and whether its clock is ours."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".tmp-") as file:
            file.write(b"x")
            file.flush()
            skew = os.stat(file.name).st_mtime - time.time()
    except OSError as error:
        hint = "DOL_HOME names another folder" if what == "home" else "a build writes there"
        yield Finding(what, BAD, f"{folder} cannot be written: {error.strerror or error}", hint)
        return
    yield Finding(what, GOOD, str(folder))
    if abs(skew) > SKEW:
        text = f"files in {folder} get times that are {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
        yield Finding("clock", NOTE, text, "builds are right all the same, and look at more than they need")


def workspace() -> Iterator[Finding]:
    """The workspace around the current folder, its settings, members and lock."""
    root = find_root(Path.cwd())
    if root is None:
        yield Finding("workspace", NOTE, "there is none here", "`dolbuild new workspace NAME` makes one")
        return
    try:
        found = load(root)
        reading = read_workspace(found)
    except DiagnosticError as error:
        yield Finding("workspace", BAD, error.diagnostics[0].message, error.diagnostics[0].hint)
        return
    kinds = [member.kind for member in found.members]
    yield Finding("workspace", GOOD, f"{root}: {_counted(kinds, 'spirit')}, {_counted(kinds, 'system')}")
    told = (*found.diagnostics, *reading.diagnostics, *reading.problems())
    problems = [d for d in dict.fromkeys(told) if d.severity is Severity.ERROR]
    for problem in problems:
        yield Finding("workspace", BAD, f"{problem.code}: {problem.message}", problem.hint)
    yield from _writable("output", root / found.settings.output)
    sources = open_sources(found, dol_home(os.environ), os.environ, offline=True)
    try:
        lock = lock_for_build(reading, sources, locked=True, tell=lambda _: None)
        yield Finding("lock", GOOD, f"{len(lock.packages)} packages from elsewhere")
    except DiagnosticError as error:
        yield Finding("lock", BAD, error.diagnostics[0].message, error.diagnostics[0].hint)
    finally:
        sources.close()


def remote() -> Iterator[Finding]:
    """The remote cache: whether it answers, how fast, and whether its clock is ours."""
    root = find_root(Path.cwd())
    try:
        settings = CacheSettings() if root is None else load(root).settings.cache
        now = effective(settings, os.environ)
        yield Finding("store", GOOD, str(local_store(root or Path.cwd(), settings, dol_home(os.environ)).folder))
        if not now.remote:
            yield Finding("remote", NOTE, "no remote cache is set; docs/caching.md says how")
            return
        backend = open_backend(now.remote, os.environ)
    except (Unusable, DiagnosticError) as error:
        yield Finding("remote", BAD, str(error))
        return
    began = time.perf_counter()
    try:
        said = backend.check()
        took = (time.perf_counter() - began) * 1000
        how = "results are uploaded" if now.upload else "nothing is uploaded"
        yield Finding("remote", GOOD, f"{now.remote} answers in {took:.0f} ms ({said}); {how}")
    except RemoteError as error:
        yield Finding(
            "remote", BAD, f"{now.remote}: {error}", "a build goes on without it; `--no-remote` does not ask it"
        )
        return
    finally:
        backend.close()
    yield from _remote_clock(now.remote)


def _remote_clock(url: str) -> Iterator[Finding]:
    if not url.startswith("http"):
        return
    import httpx

    try:
        given = httpx.head(url, timeout=5).headers.get("date", "")
        skew = parsedate_to_datetime(given).timestamp() - time.time() if given else 0.0
    except (httpx.HTTPError, ValueError):
        return
    if abs(skew) > 60:
        text = f"the clock of the remote is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
        yield Finding("clock", NOTE, text, "certificates and logs go by it; keys and results do not")


def _counted(kinds: list[str], kind: str) -> str:
    count = kinds.count(kind)
    return f"{count} {kind.capitalize()}{'' if count == 1 else 's'}"
