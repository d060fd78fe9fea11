"""The diagnostics that no example of the catalogue can show, brought about by force, and as they are shown."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dolbuild import compiler
from dolbuild.cache.digest import Digest, digest_of
from dolbuild.cache.store import Store
from dolbuild.cache.tiered import Cache
from dolbuild.codegen.link import Root
from dolbuild.diagnostics import DiagnosticError, render
from dolbuild.rules.build import open_session
from dolbuild.rules.jobs import ExtractInterface, Linking
from dolbuild.rules.journal import Journal
from dolbuild.rules.linking import Link
from dolbuild.rules.pool import Pool
from dolbuild.rules.session import Session
from dolbuild.workspace import load
from tests.support.workspaces import SETTINGS, Workspace, spirit


def test_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "MAX_SOURCE", 1 << 20)
    (problem,) = compiler.parse_bytes("src/lib.dol", b" " * ((1 << 20) + 1)).diagnostics
    assert render(problem) == "error[E0115]: this file is larger than 1 MiB\n --> src/lib.dol\n"


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dolbuild.toml").write_text(SETTINGS)
    (tmp_path / "a" / "src").mkdir(parents=True)
    (tmp_path / "a" / "Spirit.dol").write_text(spirit("a"))
    real = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("src"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("dolbuild.workspace.os.scandir", refuse)
    (problem,) = load(tmp_path).diagnostics
    assert render(problem) == "error[E0703]: this folder cannot be read: Permission denied\n --> a/src\n"


def test_a_function_that_engines_refuse(tmp_path: Path) -> None:
    parameters = ", ".join(f"p{index}: Int64" for index in range(1001))
    place = Workspace(tmp_path, tmp_path / "home")
    source = f"pub fun many({parameters}) -> Int64 {{ return p0 }}\n"
    place.write({"dolbuild.toml": SETTINGS, "a/Spirit.dol": spirit("a"), "a/src/lib.dol": source})
    output = place.command("build").err
    message = "error[E0901]: a function of 1001 parameters and variables cannot be compiled: engines refuse it"
    assert message in output and "--> a/src/lib.dol:1:1" in output


class Forgetful(Store):
    """A store that keeps nothing."""

    def write(self, data: bytes) -> Digest:
        return digest_of(data)


def session(root: Path) -> Session:
    (root / "dolbuild.toml").write_text(SETTINGS)
    (root / "a" / "src").mkdir(parents=True)
    (root / "a" / "Spirit.dol").write_text(spirit("a"))
    (root / "a" / "src" / "lib.dol").write_text("pub fun one() -> Int64 { return 1 }\n")
    made = open_session(root, home=root / "home").plan
    return Session(made, root, Journal(root / ".dolbuild/journal"), Cache(Forgetful(root / "store")))


def test_a_store_that_loses_blobs(tmp_path: Path) -> None:
    one = session(tmp_path)
    node = one.plan.nodes["interface:a/lib"]
    one.execute(node)
    with pytest.raises(DiagnosticError) as raised:
        one.blob(one.ref("interface:a/lib", "doli"))
    assert render(raised.value.diagnostics[0]) == (
        "error[E0801]: the store does not keep what `interface:a/lib` makes\n"
    )


def test_a_symbol_that_no_object_has(tmp_path: Path) -> None:
    class Broken(Linking):
        def linkable(self, inputs: Any) -> Any:
            raise compiler.MissingSymbol("@acme/a/lib.gone", Root("x", "@acme/a/lib.one").symbol)

    linking = Broken(("@acme/a", "lib"), {}, {}, {}, compiler.Options(True, False))
    with pytest.raises(DiagnosticError) as raised:
        Link(session(tmp_path), {}, linking, "spirit:a lib.wasm").wasm()
    assert render(raised.value.diagnostics[0]) == (
        "error[E0802]: the symbol `@acme/a/lib.gone` is in no object; `@acme/a/lib.one` refers to it\n"
    )


def test_a_function_that_calls_itself_with_ever_larger_types(tmp_path: Path) -> None:
    place = Workspace(tmp_path, tmp_path / "home")
    source = (
        "fun grow<T>(n: Int64, x: T) -> Int64 {\n    if n == 0 { return 0 }\n    return grow(n - 1, [x])\n}\n"
        "pub fun start() -> Int64 { return grow(3, 1) }\n"
    )
    place.write({"dolbuild.toml": SETTINGS, "a/Spirit.dol": spirit("a"), "a/src/lib.dol": source})
    ran = place.command("build")
    assert ran.status == 1
    assert "error[E0901]: `grow` is needed for ever larger types, so it cannot be compiled" in ran.err
    assert "--> a/src/lib.dol:1:1" in ran.err


def test_a_process_that_ends_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dolbuild.rules.pool.sys.executable", shutil.which("false"))
    pool = Pool(tmp_path, 1)
    try:
        with pytest.raises(DiagnosticError) as raised:
            pool.run(ExtractInterface("src/lib.dol", "lib", b""), "")
    finally:
        pool.close()
    assert render(raised.value.diagnostics[0]).startswith("error[E0807]: the process that did this twice has ended: ")
