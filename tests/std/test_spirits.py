"""The tests of the standard Spirits, which are written in DOL: `dolbuild/std/*/tests/*.dol`."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dolbuild import compiler
from dolbuild.packages.package import RUNTIME, STANDARD_FOLDER, STANDARD_SPIRITS, modules_of, standard_manifest
from dolbuild.runtime.instance import Program, Trapped
from tests.support.programs import Built, compile_packages

PROFILES = {"dev": compiler.Options(), "release": compiler.Options(False, True)}
FILES = [
    f"{name}/{path.stem}"
    for name in STANDARD_SPIRITS
    for path in sorted((STANDARD_FOLDER / name / "tests").glob("*.dol"))
]


@cache
def standard_spirits(profile: str) -> Built:
    """The runtime and the standard Spirits with their tests, compiled once."""
    packages, requires = {RUNTIME: sources("runtime")}, {}
    for name in STANDARD_SPIRITS:
        packages[f"@univrs/{name}"] = sources(name)
        required = [requirement.package for requirement in standard_manifest(name).requires]
        requires[f"@univrs/{name}"] = {package: package for package in (RUNTIME, *required)}
    built = compile_packages(packages, requires, PROFILES[profile])
    assert not built.diagnostics, [(d.place, d.message) for d in built.diagnostics]
    return built


def sources(name: str) -> dict[str, tuple[str, bytes]]:
    folder = STANDARD_FOLDER / name
    tests = {f"tests:{path.stem}": f"tests/{path.name}" for path in sorted((folder / "tests").glob("*.dol"))}
    return {module: (file, (folder / file).read_bytes()) for module, file in (modules_of(folder) | tests).items()}


@cache
def linked(profile: str, file: str) -> Program:
    built = standard_spirits(profile)
    name, _, stem = file.partition("/")
    object_ = built.objects[f"@univrs/{name}/tests:{stem}"]
    return Program(compiler.finish(compiler.prepare_tests(object_, built.symbols.get, "test", PROFILES[profile])))


def failures(profile: str, file: str, *, stress: bool) -> Iterator[str]:
    """What the tests of a file that do not pass say."""
    program = linked(profile, file)
    assert program.tests
    for index, test in enumerate(program.tests):
        instance = program.instantiate()
        if stress:
            instance.stress()
        try:
            instance.raw(f"test {index}")
        except Trapped as trapped:
            yield f"{test['name']}, line {[frame.line for frame in trapped.frames]}: {trapped.message}"


@pytest.mark.parametrize("stress", [False, True], ids=["plain", "stress"])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("file", FILES)
def test_spirit(file: str, profile: str, stress: bool) -> None:
    assert not list(failures(profile, file, stress=stress))


def test_all_spirits_have_tests() -> None:
    assert {Path(file).parent.name for file in FILES} == set(STANDARD_SPIRITS)
