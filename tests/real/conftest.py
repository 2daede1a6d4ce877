"""Real packages are built only when they are asked for: ``pytest -m real``."""

from __future__ import annotations

from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what takes minutes unless the marker was named."""
    if "real" in config.option.markexpr.split():
        return
    for item in items:
        if _HERE in item.path.parents and item.get_closest_marker("real"):
            item.add_marker(pytest.mark.skip(reason="builds real packages for minutes: pytest -m real"))
