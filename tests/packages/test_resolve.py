"""The search: against a solver that tries everything, and how long it takes."""

import itertools
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolbuild.diagnostics import render
from dolbuild.packages.conflict import explain
from dolbuild.packages.resolve import Conflict, resolve
from dolbuild.packages.version import satisfies
from tests.support.indexes import DataCatalogue, asked

CASES = sorted((Path(__file__).parent / "resolver").glob("*.json"))


@pytest.mark.parametrize("case", CASES, ids=[path.stem for path in CASES])
def test_case(case: Path) -> None:
    """An index, what is asked of it, and the answer, or parts of the explanation why there is none."""
    data = json.loads(case.read_text())
    catalogue = DataCatalogue(data["index"])
    wanted = [asked(text) for text in data["asked"]]
    try:
        found = {id_: candidate.version for id_, candidate in resolve(wanted, catalogue).items()}
    except Conflict as conflict:
        text = render(explain(conflict, wanted, catalogue))
        assert [part for part in data["conflict"] if part not in text] == [], text
    else:
        assert found == data["answer"]


NAMES = ["@t/a", "@t/b", "@t/c", "@t/d", "@t/e"]
VERSIONS = ["1.0.0", "1.1.0", "2.0.0", "3.0.0"]
RANGES = ["^1.0", "=1.0.0", ">=1.1", "^2.0", "<2", ">=2, <4", ">=0"]

requirements = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(RANGES), max_size=3)
indexes = st.fixed_dictionaries(
    {name: st.dictionaries(st.sampled_from(VERSIONS), requirements, min_size=1, max_size=4) for name in NAMES}
)


def brute_force(index: dict[str, dict[str, dict[str, str]]], roots: dict[str, str]) -> list[dict[str, str]]:
    """Every choice of at most one version of each package that meets all it asks for and holds nothing else."""
    found = []
    for choice in itertools.product(*([None, *versions] for versions in index.values())):
        picked = {name: version for name, version in zip(index, choice, strict=True) if version is not None}
        needs = [roots, *(index[name][version] for name, version in picked.items())]
        if all(n in picked and satisfies(picked[n], w) for need in needs for n, w in need.items()):
            found.append(picked)
    return found


@settings(max_examples=400, deadline=None)
@given(indexes, requirements)
def test_an_answer_is_found_where_there_is_one(
    index: dict[str, dict[str, dict[str, str]]], roots: dict[str, str]
) -> None:
    catalogue = DataCatalogue(index)
    wanted = [asked(f"{name} {range_}") for name, range_ in roots.items()]
    answers = brute_force(index, roots)
    try:
        found = {id_: candidate.version for id_, candidate in resolve(wanted, catalogue).items()}
    except Conflict as conflict:
        assert answers == []
        assert explain(conflict, wanted, catalogue).notes
        return
    assert found in answers
    # nothing is taken that no one asks for
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += index[name][found[name]]
    assert set(found) == reached


def test_a_thousand_packages_with_deep_diamonds() -> None:
    index: dict[str, dict[str, dict[str, str]]] = {}
    layers, width = 100, 10
    for layer in range(layers):
        for place in range(width):
            needs = (
                {f"@t/p{layer + 1}-{(place + step) % width}": "^1.0" for step in range(3)} if layer + 1 < layers else {}
            )
            newest = dict.fromkeys(needs, "^2.0")  # the newest of each layer asks for what its neighbours refuse
            index[f"@t/p{layer}-{place}"] = {"1.0.0": needs, "1.1.0": needs, "1.2.0": needs, "2.0.0": newest}
    started = time.perf_counter()
    found = resolve([asked(f"@t/p0-{place} ^1.0") for place in range(width)], DataCatalogue(index))
    seconds = time.perf_counter() - started
    assert len(found) == layers * width
    assert {candidate.version for candidate in found.values()} == {"1.2.0"}
    assert seconds < 60, "a test against an explosion, not a measurement"
    print(f"{seconds:.2f}")
