"""Which files of a workspace differ from a revision of the git repository that it is in, and what they were."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dolbuild.diagnostics import Diagnostic, DiagnosticError


def changed_since(root: Path, revision: str) -> dict[str, Callable[[], bytes | None]]:
    """The paths in the workspace, and a way to get what was there: of committed, staged and other changes since the last commit that the
    revision and ``HEAD`` have in common. Files that git ignores are none. Raises DiagnosticError."""
    base = _base(root, revision)
    found: dict[str, Callable[[], bytes | None]] = {}
    listed = _git(
        root,
        "diff",
        "--name-only",
        "--no-renames",
        "--no-ext-diff",
        "--ignore-submodules",
        "--relative",
        "-z",
        base,
        "--",
        ".",
    )
    listed += _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
    for name in listed.split(b"\0"):
        if name:
            path = os.fsdecode(name)
            found[path] = partial(_before, root, base, path)
    return found


def _base(root: Path, revision: str) -> str:
    """The commit to compare with."""
    if revision.startswith("-") or not revision.isprintable() or not revision or ":" in revision:
        raise DiagnosticError(Diagnostic("E0707", f'"{revision}" is no revision'))
    status, out, err = _try(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if status != 0:
        if b"not a git repository" in err:
            raise DiagnosticError(Diagnostic("E0707", "this workspace is in no git repository"))
        hint = "in CI, fetch enough of the history (fetch-depth: 0)"
        raise DiagnosticError(Diagnostic("E0707", f'there is no revision "{revision}" here', hint=hint))
    commit = out.decode("ascii", "replace").split()[-1]
    status, out, _ = _try(root, "merge-base", commit, "HEAD")
    return out.decode("ascii", "replace").split()[0] if status == 0 and out.strip() else commit


def _before(root: Path, base: str, path: str) -> bytes | None:
    """A file as it was; None where it was not there."""
    status, out, _ = _try(root, "cat-file", "blob", f"{base}:./{path}")
    return out if status == 0 else None


def _git(root: Path, *arguments: str) -> bytes:
    status, out, err = _try(root, *arguments)
    if status != 0:
        lines = err.decode("utf-8", "replace").strip().splitlines()
        raise DiagnosticError(Diagnostic("E0707", f"git says: {lines[-1] if lines else status}"))
    return out


def _try(root: Path, *arguments: str) -> tuple[int, bytes, bytes]:
    """Status, output and messages of git."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from git.cmd import Git
    from git.exc import GitCommandNotFound

    try:
        status, out, err = Git(str(root)).execute(
            ["git", "-c", "core.quotePath=false", "-c", "core.fsmonitor=false", *arguments],
            env={"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            with_extended_output=True,
            with_exceptions=False,
            stdout_as_string=False,
            strip_newline_in_stdout=False,
        )
    except GitCommandNotFound:
        raise DiagnosticError(Diagnostic("E0707", "git is not installed")) from None
    return int(status or 0), _bytes(out), _bytes(err)


def _bytes(text: object) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogateescape")
