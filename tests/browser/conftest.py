"""The built book and the browser, or one line that says what is missing.

Both can be named: MMLIB_BOOK is the folder of the built pages, MMLIB_CHROMIUM the browser.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from walk import page_names

BUILT = Path(os.environ.get("MMLIB_BOOK", Path(__file__).resolve().parents[2] / "_build" / "html"))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """The browser's path, if there is one."""
    return os.environ.get("MMLIB_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the built book."""
    if not (BUILT / "index.html").is_file():
        pytest.skip(f"no book in {BUILT}: run `make book`, or set MMLIB_BOOK")
    return BUILT


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium for the whole session."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: `apt install chromium`, or set MMLIB_CHROMIUM to a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `page_name` runs for every page; without a book once, to be skipped."""
    if "page_name" in metafunc.fixturenames:
        metafunc.parametrize("page_name", page_names(BUILT) or ["no book"])
