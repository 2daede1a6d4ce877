"""Bases of suites, for all tests of builds on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import made_suites as suites
import pytest
from made_suites import Bases
from support import discard


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bases]:
    """The base of this machine's own release, for all test processes."""
    top = tmp_path_factory.getbasetemp()
    top = top.parent if "PYTEST_XDIST_WORKER" in os.environ else top
    with suites.made_bases(top / "suites") as made:
        yield made


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """Where desks and a cache are; layers have files of other ids."""
    yield tmp_path
    discard(tmp_path / "cache")
    for desk in tmp_path.glob("desk*"):
        discard(desk / "scratch")
