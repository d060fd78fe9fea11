"""The lock: its text, what it refuses, and whether it fits."""

import random
from pathlib import Path

import pytest

from dolbuild.packages.candidate import FromGit, FromHttps, FromRegistry
from dolbuild.packages.lockfile import Lock, Locked, WrongLock, decode, encode
from dolbuild.packages.name import parse_name
from dolbuild.packages.wanted import Ref, RefKind, Versions
from tests.support.servers import git

A, B = "a" * 64, "b" * 64


def registry(name: str, version: str = "1.0.0", *requires: str) -> Locked:
    needs = tuple((parse_name(one), Versions("^1.0")) for one in requires)
    return Locked(parse_name(name), version, FromRegistry("https://r.example.org", A), B, needs)


LOCK = Lock(
    {
        locked.id: locked
        for locked in (
            registry("@acme/base"), registry("@acme/left", "1.2.3-rc.1+x", "@acme/base", "@git:host/o/r"),
            Locked(parse_name("@git:host/o/r"), "0.1.0", FromGit("host", "o/r", "", "c" * 40), B,
                   (), (Versions("^1.0"), Ref("main"), Ref("v1", RefKind.TAG))),
            Locked(parse_name("@https://host:8443/a/f.dol"), "", FromHttps("https://host:8443/a/f.dol", A), ""),
        )
    }
)  # fmt: skip
LOCK = Lock({**LOCK.packages, "@acme/left": registry("@acme/left", "1.2.3-rc.1+x", "@acme/base")})


def test_round_trip() -> None:
    text = encode(LOCK)
    assert decode(text) == LOCK
    shuffled = list(LOCK.packages.items())
    random.Random(1).shuffle(shuffled)
    assert encode(Lock(dict(shuffled))) == text
    assert len([line for line in text.splitlines() if line.startswith('"@')]) == len(LOCK.packages), "one line each"


def test_branches_that_add_different_packages_merge(tmp_path: Path) -> None:
    """Lines that are not neighbours merge by themselves; git needs a line that both have between them."""
    names = [f"@acme/p{n:02}" for n in range(10)]
    start = {name: registry(name) for name in names}

    def write(lock: dict[str, Locked]) -> None:
        (tmp_path / "dol.lock").write_text(encode(Lock(lock)))

    def commit(message: str) -> None:
        git("add", "-A", cwd=tmp_path)
        git("commit", "-q", "-m", message, cwd=tmp_path)

    git("init", "-q", "-b", "main", cwd=tmp_path)
    write(start)
    commit("start")
    git("checkout", "-q", "-b", "one", cwd=tmp_path)
    write({**start, "@acme/p01a": registry("@acme/p01a"), "@acme/p05": registry("@acme/p05", "1.1.0")})
    commit("one")
    git("checkout", "-q", "main", cwd=tmp_path)
    write({**start, "@acme/p07a": registry("@acme/p07a")})
    commit("two")
    git("merge", "-q", "--no-edit", "one", cwd=tmp_path)
    merged = decode((tmp_path / "dol.lock").read_text())
    assert len(merged.packages) == 12
    assert encode(merged) == (tmp_path / "dol.lock").read_text()


@pytest.mark.parametrize(
    ("text", "told", "line"),
    [
        ("version = 2\n", "its version is 2", 1),
        ("", "its version is None", 1),
        ("version = 1\npackages = 3\n", "is a table", 1),
        ("version = 1\n[packages\n", "it is no TOML", 2),
        ("version = 1\n[packages]\n<<<<<<< HEAD\n", "marks of a merge conflict", 1),
        ('version = 1\n[packages]\n"../x" = { }\n', "@organisation/name", 3),
        ('version = 1\n[packages]\n"@acme/base" = { version = "1.0.0" }\n', "`requires` is missing", 3),
        ('version = 1\n[packages]\n"@acme/base" = 3\n', "it is a table", 3),
        ('version = 1\n[packages]\n"@https://h/f.dol" = { sha256 = "../../etc" }\n', "is no digest", 3),
        ('version = 1\n[packages]\n"@git:h/o/r" = { version = "1.0.0", requires = [], tree = "%s", commit = "-x" }\n'.replace("%s", A), "is no digest", 3),
    ],
)  # fmt: skip
def test_what_is_no_lock(text: str, told: str, line: int) -> None:
    with pytest.raises(WrongLock) as raised:
        decode(text)
    assert told in str(raised.value)
    assert raised.value.line == line
