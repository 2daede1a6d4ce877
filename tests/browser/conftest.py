"""Fixtures for looking at reports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Browser, browser


@pytest.fixture(scope="session")
def shared_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One window for all tests of a process."""
    with browser(tmp_path_factory.mktemp("browser")) as window:
        yield window


@pytest.fixture
def window(shared_browser: Browser) -> Iterator[Browser]:
    """A window as it is at first; whatever the browser complained of fails the test."""
    shared_browser.size(1280, 900)
    shared_browser.scheme("light")
    shared_browser.messages()
    yield shared_browser
    assert shared_browser.messages() == []
