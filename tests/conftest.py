"""Fixtures that all tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Desk, discard, make_desk, need

#: What runs only if it is asked for, and why.
WISHED = {"long": "it takes minutes", "soak": "it takes minutes", "browser": "it needs chromium"}


def pytest_configure() -> None:
    """Tests send signals, which nothing may ignore, though nohup or a background job started all this."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes or much to install unless it is asked for."""
    asked = config.option.markexpr.split()
    for marker, reason in WISHED.items():
        for item in items:
            if marker not in asked and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"{reason}: pytest -m {marker}"))
    # Processes get large parts of what comes first and small ones at the end: so none has all the builds.
    items.sort(key=lambda item: "unit" not in item.path.parts)


@pytest.fixture(autouse=True)
def _tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Scratch directories hold files of other ids, which pytest's own clean-up could not remove."""
    path: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if path is not None:
        discard(path / "scratch")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A tiny source tree and the command, for one test."""
    need("bwrap", "dpkg-buildpackage")
    return make_desk(tmp_path)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A tiny source tree for all tests that only look at it."""
    need("bwrap", "dpkg-buildpackage")
    desk = make_desk(tmp_path_factory.mktemp("shared"))
    yield desk
    discard(desk.scratch)
