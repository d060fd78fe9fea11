"""Versions, the evaluation of manifests, circles of packages."""

import pytest

from dolbuild.packages.manifest import read_manifest
from dolbuild.packages.package import find_circle
from dolbuild.packages.version import is_requirement, is_version, satisfies
from dolbuild.source import SourceFile
from dolbuild.syntax.parser import parse

YES = {
    "^1.0": ["1.0.0", "1.9.9"], "^1.2.3": ["1.2.3", "1.3.0"], "^0.2": ["0.2.0", "0.2.9"], "^0.0.3": ["0.0.3"],
    "~1.2": ["1.2.0", "1.2.9"], "~1": ["1.9.0"], "=1.2.3": ["1.2.3"], "=1.2": ["1.2.7"], "1.1": ["1.4.0"],
    ">=1.0, <3": ["1.0.0", "2.9.9"], ">1.0": ["1.0.1"], "<=2.0": ["2.0.0"], "^1.0.0-rc.1": ["1.0.0-rc.2", "1.0.0"],
    "^0": ["0.9.0"],
}  # fmt: skip
NO = {
    "^1.0": ["0.9.9", "2.0.0", "1.1.0-rc.1"], "^1.2.3": ["1.2.2"], "^0.2": ["0.3.0"], "^0.0.3": ["0.0.4"],
    "~1.2": ["1.3.0"], "=1.2.3": ["1.2.4", "1.2.3-rc.1"], ">=1.0, <3": ["3.0.0"], "^0": ["1.0.0"],
}  # fmt: skip


@pytest.mark.parametrize("requirement", YES)
def test_versions_that_satisfy(requirement: str) -> None:
    assert [v for v in YES[requirement] if not satisfies(v, requirement)] == []


@pytest.mark.parametrize("requirement", NO)
def test_versions_that_do_not(requirement: str) -> None:
    assert [v for v in NO[requirement] if satisfies(v, requirement)] == []


def test_what_is_a_requirement() -> None:
    for text in ("", "newest", "^", "1.x", "^1.0 || ^2.0", "=1.2.3.4"):
        assert not is_requirement(text)
    assert is_version("1.0.0-rc.1+build.5")
    assert not is_version("1.0")


def read(body: str) -> tuple[object, list[str]]:
    result = read_manifest(parse(SourceFile("Spirit.dol", "spirit X {\n" + body + "\n}\n")))
    return result.manifest, [d.code for d in result.diagnostics]


NAMED = 'has name: "x"\nhas version: "1.0.0"\n'


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ("has port: 80\nconstraint c { this.port > 0 && this.port < 65536 }", []),
        ("has port: 0\nconstraint c { this.port > 0 }", ["E0501"]),
        ("has port: 0\nconstraint c { this.prot > 0 }", ["E0502"]),
        ('constraint c { this.name.len > 0 && this.version.starts_with("1.") }', []),
        ("has ports: [80, 443]\nconstraint c { forall p in this.ports { p > 0 } }", []),
        ("has ports: [80, 0]\nconstraint c { forall p in this.ports { p > 0 } }", ["E0501"]),
        ("has ports: [80, 0]\nconstraint c { exists p in this.ports { p == 0 } }", []),
        ("has a: 1\nconstraint c { this.a / 0 == 1 }", ["E0502"]),
        ("has a: 1\nconstraint c { this.a }", ["E0502"]),
        ("has a: f(1)", ["E0502"]),
        ("has a: 1 + 2 * 3\nconstraint c { this.a == 7 && -7 / 2 == -3 && -7 % 2 == -1 }", []),
        ("constraint c {\n// only a comment\n}", []),
        ("has nmae: 5", ["W0601"]),
        ('has name: "y"', ["E0603"]),
        ('requires @a/b: "^1"\nrequires @a/b: "^2"', ["E0603"]),
    ],
)
def test_values_and_constraints(body: str, codes: list[str]) -> None:
    assert read(NAMED + body)[1] == codes


def test_a_manifest_keeps_what_it_says() -> None:
    manifest, codes = read(NAMED + 'has authors: ["A <a@b.c>"]\nhas lib: "src/lib.dol"\nhas bin: "src/main.dol"\n'
                           'has bins: [{ name: "two", path: "src/two.dol" }]\nrequires @a/b: "^1"\nexegesis { Hello. }')  # fmt: skip
    assert codes == []
    assert manifest.lib == "src/lib.dol"  # type: ignore[attr-defined]
    assert manifest.bins == (("main", "src/main.dol"), ("two", "src/two.dol"))  # type: ignore[attr-defined]
    assert manifest.to_json()["requires"] == {"@a/b": "^1"}  # type: ignore[attr-defined]
    assert manifest.exegesis == "Hello."  # type: ignore[attr-defined]


def test_circles() -> None:
    assert find_circle({"a": {"b": "b"}, "b": {"c": "c"}, "c": {}}) is None
    assert find_circle({"a": {"b": "b"}, "b": {"c": "c"}, "c": {"b": "b"}}) == ["b", "c", "b"]
    assert find_circle({"a": {"a": "a"}}) == ["a", "a"]
    deep = {str(n): {str(n + 1): str(n + 1)} for n in range(5000)} | {"5000": {}}
    assert find_circle(deep) is None
