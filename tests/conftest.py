"""Fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Desk, make_desk, need


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A tiny source tree and the command, for one test."""
    need("bwrap", "dpkg-buildpackage")
    return make_desk(tmp_path)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A tiny source tree for all tests that only look at it."""
    need("bwrap", "dpkg-buildpackage")
    return make_desk(tmp_path_factory.mktemp("shared"))
