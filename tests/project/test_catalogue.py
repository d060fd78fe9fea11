"""Every example of the error catalogue shows exactly what the page says."""

from pathlib import Path

import pytest

from tests.project.catalogue import PAGE, Section, run, sections

SECTIONS = list(sections(PAGE.read_text("utf-8")))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.code)
def test_example(section: Section, tmp_path: Path, home: Path) -> None:
    assert f"[{section.code}]" in section.shown
    assert run(section, tmp_path, home) == section.shown
