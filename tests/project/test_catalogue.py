"""Every example of the error catalogue shows exactly what the page says."""

from pathlib import Path

import pytest

from tests.project.catalogue import PAGE, Section, run, sections

SECTIONS = list(sections(PAGE.read_text("utf-8")))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.code)
def test_example(section: Section, tmp_path: Path) -> None:
    assert f"[{section.code}]" in section.shown
    assert run(section, tmp_path) == section.shown
