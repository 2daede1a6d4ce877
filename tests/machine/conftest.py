"""Tests beside a user's systemd run only when they are asked for: ``pytest -m machine``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import support

from bwbuild.host.manager import read_manager

_HERE = Path(__file__).parent
#: Seconds that a command may take in a machine without a processor of its own.
PATIENCE = 900


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs a machine of its own unless the marker was named."""
    if "machine" in config.option.markexpr.split():
        return
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs a user's systemd: tests/machine/run"))


@pytest.fixture(autouse=True)
def _manager(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_manager(os.getuid()) is not None, "no systemd of this user is running: tests/machine/run"
    monkeypatch.setattr(support, "PATIENCE", PATIENCE)
