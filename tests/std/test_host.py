"""What programs reach outside of themselves through `@univrs/std`: streams, files, the environment."""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dolbuild import compiler
from dolbuild.packages.package import RUNTIME
from dolbuild.runtime.capabilities import Capabilities
from dolbuild.runtime.host import Host
from dolbuild.runtime.instance import Program
from tests.std.test_spirits import sources
from tests.support.programs import compile_packages

SOURCE = """
use @univrs/std.env
use @univrs/std.fs
use @univrs/std.io

fun shown<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(value) => "ok " + value.to_string()
        Err(error) => "error " + error.message
    }
}

pub sex fun read(path: String) -> String { return shown(fs.read(path)) }
pub sex fun read_bytes(path: String) -> String { return shown(fs.read_bytes(path)) }
pub sex fun write(path: String, text: String) -> String { return shown(fs.write(path, text)) }
pub sex fun append(path: String, text: String) -> String { return shown(fs.append(path, text)) }
pub sex fun list(path: String) -> String { return shown(fs.list(path)) }
pub sex fun make_folder(path: String) -> String { return shown(fs.make_folder(path)) }
pub sex fun remove(path: String) -> String { return shown(fs.remove(path)) }
pub sex fun is_file(path: String) -> Bool { return fs.is_file(path) }
pub sex fun is_folder(path: String) -> Bool { return fs.is_folder(path) }
pub sex fun variable(name: String) -> Option<String> { return env.get(name) }
pub sex fun number_lines() -> UInt64 {
    input = io.stdin()
    count: UInt64 = 0
    loop {
        match input.next_line() {
            None { return count }
            Some(line) {
                count += 1
                io.println("" + count + " " + line)
            }
        }
    }
}
pub sex fun first_and_rest() -> String {
    input = io.stdin()
    first = input.read_line()
    return first + "|" + input.read_all() + "|" + input.read_line()
}
pub sex fun say() {
    io.print("a")
    io.stdout().write("b")
    io.stdout().write_line("\\u{E4}")
    io.eprintln("wrong")
    io.stderr().write("still")
}
"""

Call = Callable[..., Any]


@cache
def program() -> Program:
    packages = {
        RUNTIME: sources("runtime"),
        "@univrs/std": sources("std"),
        "@test/case": {"lib": ("src/lib.dol", SOURCE.encode())},
    }
    built = compile_packages(
        packages, {"@univrs/std": {RUNTIME: RUNTIME}, "@test/case": {"@univrs/std": "@univrs/std"}}
    )
    assert not [d for d in built.diagnostics if d.code.startswith("E")], built.diagnostics
    face = built.objects["@test/case/lib"]
    linkable = compiler.prepare_spirit(face, built.symbols.get, "test", {}, compiler.Options())
    return Program(compiler.finish(linkable))


def calls(capabilities: Capabilities, sent: bytes = b"") -> tuple[Call, io.BytesIO, io.BytesIO]:
    """A caller, standard output and standard error."""
    out, err = io.BytesIO(), io.BytesIO()
    instance = program().instantiate(Host(capabilities, (io.BytesIO(sent), out, err)))
    exports = {export["name"]: export for export in program().exports}
    return lambda name, *arguments: instance.call(exports[name], list(arguments)), out, err


def test_files(tmp_path: Path) -> None:
    call, _, _ = calls(Capabilities(write=(tmp_path,)))
    path = str(tmp_path / "a.txt")
    assert call("read", path) == f"error {path}: No such file or directory"
    assert call("write", path, "ä\n") == "ok ()"
    assert call("append", path, "b" * 100_000) == "ok ()"
    assert call("read", path) == "ok ä\n" + "b" * 100_000
    assert call("write", path, "\0") == "ok ()"
    assert (tmp_path / "a.txt").read_bytes() == b"\0"
    assert call("read_bytes", path) == "ok [0]"
    assert (call("is_file", path), call("is_folder", path)) == (True, False)
    assert call("remove", path) == "ok ()"
    assert call("remove", path).startswith("error")
    assert call("is_file", path) is False


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\x00")
    call, _, _ = calls(Capabilities(read=(tmp_path,)))
    path = str(tmp_path / "bytes")
    assert call("read", path) == f"error {path} is no UTF-8"
    assert call("read_bytes", path) == "ok [255, 0]"


def test_folders(tmp_path: Path) -> None:
    call, _, _ = calls(Capabilities(write=(tmp_path,)))
    assert call("list", str(tmp_path)) == "ok []"
    assert call("make_folder", str(tmp_path / "b/c")) == "ok ()"
    assert call("make_folder", str(tmp_path / "b")) == "ok ()"
    names = [f"file {n:04}" for n in range(300)]
    for name in names:
        (tmp_path / "b" / name).touch()
    assert call("list", str(tmp_path / "b")) == "ok [" + ", ".join(f'"{name}"' for name in ["c", *names]) + "]"
    assert call("is_folder", str(tmp_path / "b")) is True
    assert call("remove", str(tmp_path / "b")).startswith("error")
    assert call("remove", str(tmp_path / "b/c")) == "ok ()"


def test_what_may_be_read_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_text("a")
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "in/link").symlink_to(tmp_path / "outside")
    call, _, _ = calls(Capabilities(read=(tmp_path / "in",)))
    assert call("read", str(tmp_path / "in/a")) == "ok a"
    for path in (tmp_path / "outside", tmp_path / "in/../outside", tmp_path / "in/link", tmp_path):
        assert "is not allowed here" in call("read", str(path))
    for name, *more in (("write", "x"), ("append", "x"), ("remove",), ("make_folder",)):
        assert "--allow-write" in call(name, str(tmp_path / "in/a"), *more)
    assert (tmp_path / "in/a").read_text() == "a"


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOL_TEST", "ä" * 3000)
    monkeypatch.setenv("DOL_OTHER", "")
    monkeypatch.delenv("DOL_NONE", raising=False)
    for granted, seen in ((("DOL_TEST",), ("ä" * 3000,)), (None, ("ä" * 3000,)), ((), None)):
        call, _, _ = calls(Capabilities(env=granted))
        assert call("variable", "DOL_TEST") == seen
        assert call("variable", "DOL_OTHER") == (("",) if granted is None else None)
        assert call("variable", "DOL_NONE") is None


@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"one\ntwo\r\n\nfour", [b"one", b"two", b"", b"four"]),
        (b"x" * 10_000 + b"\nend\n", [b"x" * 10_000, b"end"]),
        ("ä\n".encode() * 3000, ["ä".encode()] * 3000),
        (b"\xff\n", ["\ufffd".encode()]),
    ],
    ids=["nothing", "empty line", "kinds of ends", "long line", "many lines", "no UTF-8"],
)
def test_lines_of_standard_input(sent: bytes, lines: list[bytes]) -> None:
    call, out, _ = calls(Capabilities(), sent)
    assert call("number_lines") == len(lines)
    assert out.getvalue() == b"".join(b"%d %s\n" % (n + 1, line) for n, line in enumerate(lines))


def test_rest_of_standard_input() -> None:
    call, _, _ = calls(Capabilities(), b"one\ntwo\nthree")
    assert call("first_and_rest") == "one|two\nthree|"


def test_standard_output() -> None:
    call, out, err = calls(Capabilities())
    assert call("say") == ()
    assert out.getvalue() == "abä\n".encode()
    assert err.getvalue() == b"wrong\nstill"
