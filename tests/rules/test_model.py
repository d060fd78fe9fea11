"""After any sequence of edits an incremental build gives, byte for byte, what a clean build gives."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.caches import webdav
from tests.support.workspaces import SETTINGS, Ran, Workspace, spirit

SPIRITS = ("one", "two", "three")
STEPS = 14


def module(number: int, uses: str = "") -> str:
    lines = [f"use {uses}.{{ f{uses[1:]} }}"] if uses else []
    call = f" + f{uses[1:]}(x)" if uses else ""
    return "\n".join(
        [*lines, f"pub gene G{number} {{ has n: Int64 = {number} }}", f"pub fun f{number}(x: Int64) -> Int64 {{",
         f"    return helper{number}(x){call}", "}", f"fun helper{number}(x: Int64) -> Int64 {{", f"    return x * {number + 2}", "}"]
    ) + "\n"  # fmt: skip


def start(workspace: Workspace) -> None:
    files: dict[str, str | bytes] = {"dolbuild.toml": SETTINGS}
    for place, name in enumerate(SPIRITS):
        files[f"{name}/Spirit.dol"] = spirit(name, *SPIRITS[:place])
        for number in range(3):
            files[f"{name}/src/m{number}.dol"] = module(number, f"m{number - 1}" if number else "")
        other = f"use @acme/{SPIRITS[place - 1]}.{{ face as other }}\n" if place else ""
        call = " + other(x)" if place else ""
        files[f"{name}/src/lib.dol"] = (
            f"use m2.{{ f2 }}\n{other}pub fun face(x: Int64) -> Int64 {{ return f2(x){call} }}\n"
        )
    workspace.write(files)


class Editor:
    """Random changes of a workspace."""

    def __init__(self, workspace: Workspace, seed: int) -> None:
        self.root = workspace.root
        self.random = random.Random(seed)
        self.before: list[tuple[Path, bytes | None]] = []
        self.number = seed * 1000

    def source(self) -> Path:
        return self.random.choice(sorted(self.root.glob("*/src/*.dol")))

    def write(self, path: Path, text: str | None) -> None:
        self.before.append((path, path.read_bytes() if path.exists() else None))
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def step(self) -> str:
        changes: list[Callable[[], None]] = [
            self.body, self.body, self.signature, self.comment, self.add, self.remove, self.rename, self.version, self.require,
            self.touch, self.revert, self.break_target, self.syntax, self.settings, self.new_member, self.remove_member, self.move,
        ]  # fmt: skip
        change = self.random.choice(changes)
        self.number += 1
        change()
        return change.__name__

    def body(self) -> None:
        path = self.source()
        self.write(path, path.read_text().replace("return ", f"return {self.number} + ", 1))

    def signature(self) -> None:
        path = self.source()
        self.write(path, path.read_text() + f"pub fun new{self.number}() -> Int64 {{ return {self.number} }}\n")

    def comment(self) -> None:
        path = self.source()
        self.write(path, f"// {self.number}\n" + path.read_text())

    def add(self) -> None:
        folder = self.root / self.random.choice(SPIRITS) / "src"
        self.write(folder / f"added{self.number}.dol", module(self.number))

    def remove(self) -> None:
        self.write(self.source(), None)

    def rename(self) -> None:
        path = self.source()
        text = path.read_text()
        self.write(path, None)
        self.write(path.with_name(f"renamed{self.number}.dol"), text)

    def version(self) -> None:
        path = self.root / self.random.choice(SPIRITS) / "Spirit.dol"
        self.write(path, path.read_text().replace('version: "1.', f'version: "1.{self.number % 90}'))

    def require(self) -> None:
        path = self.root / self.random.choice(SPIRITS[1:]) / "Spirit.dol"
        self.write(path, path.read_text().replace('    requires @acme/one: "^1.0"\n', ""))

    def new_member(self) -> None:
        name = f"new{self.number}"
        self.write(self.root / name / "Spirit.dol", spirit(name, self.random.choice(SPIRITS)))
        self.write(self.root / name / "src" / "lib.dol", module(self.number))

    def remove_member(self) -> None:
        for path in sorted(self.root.glob("new*/Spirit.dol"))[:1]:
            self.write(path, None)

    def move(self) -> None:
        """A module goes to another Spirit."""
        path = self.source()
        other = self.root / self.random.choice(SPIRITS) / "src" / path.name
        if path.name != "lib.dol" and not other.exists():
            text = path.read_text()
            self.write(path, None)
            self.write(other, text)

    def touch(self) -> None:
        os.utime(self.source())

    def revert(self) -> None:
        if self.before:
            path, data = self.before.pop()
            if data is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(data)

    def break_target(self) -> None:
        for path in sorted(self.root.glob("target/spirits/*.wasm"))[:1]:
            if self.random.random() < 0.5:
                path.unlink()
            else:
                path.write_bytes(b"broken")

    def syntax(self) -> None:
        path = self.source()
        self.write(path, path.read_text() + "pub fun {\n")

    def settings(self) -> None:
        path = self.root / "dolbuild.toml"
        text = path.read_text()
        self.write(path, SETTINGS if "overflow" in text else text + '[profiles.dev]\noverflow = "wrap"\n')


def errors(ran: Ran) -> list[tuple[object, ...]]:
    found = [e for e in ran.events if e["event"] == "diagnostic" and str(e["code"]).startswith("E")]
    return sorted((str(e["code"]), str(e.get("file")), str(e.get("line")), str(e["message"])) for e in found)


def targets(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.glob("target/spirits/*.wasm"))}


@pytest.mark.parametrize("seed", range(int(os.environ.get("DOL_MODEL_SEEDS", "3"))))
def test_any_sequence_of_edits(tmp_path: Path, seed: int) -> None:
    work = Workspace(tmp_path / "work", tmp_path / "home")
    work.root.mkdir()
    start(work)
    assert work.build().status == 0
    editor = Editor(work, seed)
    history: list[str] = []
    for _ in range(STEPS):
        history.append(editor.step())
        profile = editor.random.choice(((), (), ("--release",)))
        history += profile
        incremental = work.build(*profile)
        clean = Workspace(tmp_path / "clean", tmp_path / "clean-home")
        shutil.copytree(work.root, clean.root, ignore=shutil.ignore_patterns("target", ".dolbuild"))
        expected = clean.build(*profile)
        assert incremental.status == expected.status, (history, incremental, expected)
        assert errors(incremental) == errors(expected), history
        if expected.status == 0:
            mine, theirs = targets(work.root), targets(clean.root)
            assert {name: mine[name] for name in theirs} == theirs, history
            again = work.build(*profile)
            assert again.counts["ran"] == again.counts["hit"] == 0, (history, again.statuses)
        shutil.rmtree(clean.root)


@pytest.mark.parametrize("seed", [100, 101])
def test_any_sequence_of_edits_through_a_remote(tmp_path: Path, seed: int) -> None:
    """Whoever has nothing but the remote gets what whoever edits has, and makes nothing itself."""
    (tmp_path / "server").mkdir()
    with webdav(tmp_path / "server") as cache:
        writing = {"DOL_REMOTE": cache.url, "DOL_REMOTE_UPLOAD": "true"}
        work = Workspace(tmp_path / "work", tmp_path / "home", writing)
        work.root.mkdir()
        start(work)
        assert work.build().status == 0
        editor = Editor(work, seed)
        history: list[str] = []
        for number in range(STEPS // 2):
            history.append(editor.step())
            incremental = work.build()
            reading = {"DOL_REMOTE": cache.url}
            reader = Workspace(tmp_path / "reader", tmp_path / f"reader-home-{number}", reading)
            shutil.copytree(work.root, reader.root, ignore=shutil.ignore_patterns("target", ".dolbuild"))
            read = reader.build()
            assert read.status == incremental.status, (history, incremental, read)
            assert read.counts["ran"] == 0, (history, read.ran())
            assert errors(read) == errors(incremental), history
            if read.status == 0:
                mine, theirs = targets(work.root), targets(reader.root)
                assert {name: mine[name] for name in theirs} == theirs, history
            shutil.rmtree(reader.root)
