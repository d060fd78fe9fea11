"""Git repositories: which commit a name means, and the files of a package in a commit.

The user's own git does the work, with the user's own configuration and credentials, through GitPython. A bare repository
for each address is kept below ``~/.dol/git/repositories``; it has no hooks and no working tree, and files are read out of
its objects as they are stored: no filter, attribute or line ending of a checkout has a say in what is built.
"""

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dolbuild.packages.problem import NOT_FOUND, OFFLINE_HINT, UNREACHABLE, WRONG_CONTENT, problem
from dolbuild.packages.tree import WrongTree, check_path, check_size, is_file_of_package

TIMEOUT_VARIABLE = "DOL_GIT_TIMEOUT"
"""Seconds that one command of git may take."""

TIMEOUT = 300.0
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PLAIN_FILE = (b"100644", b"100755")

_OF_A_REPOSITORY = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX",
    "GIT_COMMON_DIR", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS",
    "GIT_INTERNAL_SUPER_PREFIX", "GIT_IMPLICIT_WORK_TREE", "GIT_CONFIG", "GIT_QUARANTINE_PATH",
)  # fmt: skip
"""What git sets for the programs that it runs (``git rev-parse --local-env-vars``)."""

_OPTIONS = (
    "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "fetch.fsckObjects=true",
    "-c", "protocol.ext.allow=never", "-c", "submodule.recurse=false", "-c", "advice.detachedHead=false",
    "-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60",
)  # fmt: skip


class Git:
    """Repositories below a folder. *environment* is the user's."""

    def __init__(self, folder: Path, *, offline: bool = False, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.offline = offline
        self.environment = dict(os.environ if environment is None else environment)
        self._refs: dict[tuple[str, str], dict[str, str]] = {}
        self.requests = 0

    def repository(self, host: str, path: str) -> Path:
        """The bare repository that is kept for an address."""
        return self.folder / host.replace(":", "_") / f"{path}.git"

    # -- what there is -----------------------------------------------------------------------------

    def refs(self, host: str, path: str) -> dict[str, str]:
        """The commits of ``refs/heads/…`` and ``refs/tags/…`` as the server has them now. Raises DiagnosticError."""
        known = self._refs.get((host, path))
        if known is None:
            self._need_network(host, path)
            listed = self._run(None, "ls-remote", "--heads", "--tags", "--", _url(host, path), shown=f"{host}/{path}")
            known = self._refs[host, path] = _read_refs(listed.decode("utf-8", "replace"))
        return known

    def _need_network(self, host: str, path: str) -> None:
        if self.offline:
            raise problem(UNREACHABLE, f"@git:{host}/{path} is not fetched: --offline was given", OFFLINE_HINT)
        self.requests += 1

    # -- commits and files -------------------------------------------------------------------------

    def fetch(self, host: str, path: str, commit: str) -> None:
        """Have a commit here. Raises DiagnosticError."""
        with self._locked(host, path) as repository:
            if self._has(repository, commit):
                return
            self._need_network(host, path)
            if not (repository / "HEAD").exists():
                self._run(
                    None, "init", "--quiet", "--bare", "--template=", "--", str(repository), shown=str(repository)
                )
            (repository / "shallow.lock").unlink(missing_ok=True)  # of a fetch that was killed; we hold the only lock
            fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--force")
            url, shown = _url(host, path), f"{host}/{path}"
            done = self._try(repository, *fetch, "--depth=1", "--", url, f"{commit}:refs/dol/{commit}")
            if done[0] == 0 and self._has(repository, commit):
                return
            # a server that gives no commit by its name: everything that has a name there
            everything = ("+refs/heads/*:refs/dol/heads/*", "+refs/tags/*:refs/dol/tags/*")
            deepen = ("--unshallow",) if (repository / "shallow").exists() else ()
            self._run(repository, *fetch, *deepen, "--", url, *everything, shown=shown)
            if not self._has(repository, commit):
                message = f"the repository {shown} has no commit {commit}"
                raise problem(
                    NOT_FOUND, message, "it may have been removed by a force-push; `dolbuild update` takes another"
                )

    def _has(self, repository: Path, commit: str) -> bool:
        if not (repository / "HEAD").exists():
            return False
        return self._try(repository, "cat-file", "-e", f"{commit}^{{tree}}")[0] == 0

    def files(self, host: str, path: str, commit: str, folder: str) -> dict[str, bytes]:
        """The files of the package in a folder of a commit that is here. Raises DiagnosticError."""
        repository = self.repository(host, path)
        where = f"{host}/{path} at {commit[:10]}"
        tree = f"{commit}:{folder}" if folder else f"{commit}^{{tree}}"
        status, listed, _ = self._try(repository, "ls-tree", "-r", "-z", "--full-tree", tree)
        if status != 0:
            raise problem(NOT_FOUND, f"the repository {where} has no folder {folder}")
        blobs: dict[str, str] = {}
        for line in listed.split(b"\0"):
            mode, _, rest = line.partition(b" ")
            object_, _, name = rest.partition(b"\t")
            file = name.decode("utf-8", "replace")
            if not is_file_of_package(file):
                continue
            if mode not in _PLAIN_FILE:
                raise problem(WRONG_CONTENT, f"{file} of {where} is no plain file")
            blobs[file] = object_.split(b" ")[1].decode("ascii")
        if "Spirit.dol" not in blobs:
            hint = "a folder in a repository is named after it: @git:host/organisation/repository/folder"
            raise problem(NOT_FOUND, f"the repository {where} has no {folder + '/' if folder else ''}Spirit.dol", hint)
        try:
            for file in blobs:
                check_path(file)
            check_size(len(blobs), 0)
            return self._blobs(repository, blobs)
        except WrongTree as error:
            raise problem(WRONG_CONTENT, f"the repository {where} is no package: {error}") from None

    def _blobs(self, repository: Path, blobs: Mapping[str, str]) -> dict[str, bytes]:
        """Contents by path. Raises WrongTree where they are too large."""
        request = "".join(f"{name}\n" for name in blobs.values()).encode()
        _, sizes, _ = self._try(repository, "cat-file", "--batch-check=%(objectsize)", standard_input=request)
        check_size(len(blobs), sum(int(line) for line in sizes.split() if line.isdigit()))
        _, answer, _ = self._try(repository, "cat-file", "--batch", standard_input=request)
        found: dict[str, bytes] = {}
        position = 0
        for file in blobs:
            head, _, _ = answer[position : position + 200].partition(b"\n")
            fields = head.split(b" ")
            if len(fields) != 3 or fields[1] != b"blob":
                raise WrongTree(f"{file} cannot be read")
            start = position + len(head) + 1
            found[file] = answer[start : start + int(fields[2])]
            position = start + int(fields[2]) + 1
        return found

    # -- running git -------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, host: str, path: str) -> Iterator[Path]:
        """The repository, with no other process of ours writing to it."""
        repository = self.repository(host, path)
        repository.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(f"{repository}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield repository
        finally:
            os.close(handle)

    def _run(self, repository: Path | None, *arguments: str, shown: str) -> bytes:
        status, out, err = self._try(repository, *arguments)
        if status != 0:
            reason = _reason(err.decode("utf-8", "replace"))
            hint = "git asks with your own credentials; try `git ls-remote` on the address"
            raise problem(UNREACHABLE, f"the repository {shown} cannot be read: {reason}", hint)
        return out

    def _try(self, repository: Path | None, *arguments: str, standard_input: bytes = b"") -> tuple[int, bytes, bytes]:
        """Status, output and messages of a command of git."""
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        for variable in _OF_A_REPOSITORY:
            os.environ.pop(variable, None)  # GitPython hands on our environment; we may run in a hook
        from git.cmd import Git as Command
        from git.exc import GitCommandNotFound

        where = () if repository is None else (f"--git-dir={repository}",)
        with tempfile.TemporaryFile() as given:
            given.write(standard_input)
            given.seek(0)
            try:
                status, out, err = Command(os.sep).execute(
                    ["git", *_OPTIONS, *where, *arguments],
                    istream=given,
                    env=self._environment(),
                    with_extended_output=True,
                    with_exceptions=False,
                    stdout_as_string=False,
                    strip_newline_in_stdout=False,
                    kill_after_timeout=self._timeout(),
                )
            except GitCommandNotFound:
                raise problem(UNREACHABLE, "git cannot be run", "install it, or put it on the PATH") from None
        return int(status), _as_bytes(out), _as_bytes(err)

    def _environment(self) -> dict[str, str]:
        """No question is asked on a terminal."""
        fixed = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
        if "GIT_SSH_COMMAND" not in self.environment and "GIT_SSH" not in self.environment:
            fixed["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes -o ConnectTimeout=15"
        kept = {k: v for k, v in self.environment.items() if k not in _OF_A_REPOSITORY}
        return {**kept, **fixed}

    def _timeout(self) -> float:
        try:
            return min(max(float(self.environment.get(TIMEOUT_VARIABLE) or TIMEOUT), 0.1), 7200.0)
        except ValueError:
            return TIMEOUT


def _url(host: str, path: str) -> str:
    """Where a repository is. ``git config url.<base>.insteadOf`` leads elsewhere, to ssh for instance."""
    return f"https://{host}/{path}"


def _read_refs(listed: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in listed.splitlines():
        commit, _, name = line.partition("\t")
        if _COMMIT.fullmatch(commit) and name.startswith(("refs/heads/", "refs/tags/")):
            found[name.removesuffix("^{}")] = commit  # the line of a tag object is followed by that of its commit
    return found


def _reason(messages: str) -> str:
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))] or lines
    text = told[-1] if told else "git was stopped"
    return re.sub(r"(?<=://)[^/@\s]*@", "", text.removeprefix("fatal: ").removeprefix("error: "))[:300]


def _as_bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogateescape")
