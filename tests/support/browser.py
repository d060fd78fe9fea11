"""Chromium, as it is installed on the machine, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright

AXE = Path(__file__).resolve().parents[2] / "page" / "node_modules" / "axe-core" / "axe.min.js"
"""Rules of accessibility, from npm."""

SOFTWARE = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
"""WebGL without a graphics card."""


@contextmanager
def chromium(playwright: Playwright, *options: str) -> Iterator[Browser]:
    """A browser. Without Chromium the test is skipped, but not in CI."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    browser = playwright.chromium.launch(executable_path=program, args=[*(options or SOFTWARE)])
    try:
        yield browser
    finally:
        browser.close()


def violations(page: Page) -> list[str]:
    """What axe finds against WCAG 2.1 AA."""
    if not AXE.is_file():
        if os.environ.get("CI"):
            pytest.fail("axe-core is not installed: npm ci in the folder `page`")
        pytest.skip("axe-core is not installed: npm ci in the folder `page`")
    page.add_script_tag(content=AXE.read_text())
    found = page.evaluate("() => axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
