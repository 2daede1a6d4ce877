"""Signals that end a build, and clean-ups that they do not disturb."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ROOT

from bwbuild.errors import InterruptedBuild
from bwbuild.interrupt import interruptions, undisturbed


def interrupted(work: Callable[[], None], name: str) -> None:
    """``work`` is ended by the signal called ``name``."""

    def build() -> None:
        with interruptions():
            work()

    with pytest.raises(InterruptedBuild, match=name):
        build()


def test_first_signal_is_raised_and_later_ones_are_dropped() -> None:
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(signal.SIGINT)

    interrupted(work, "SIGHUP")


def test_clean_up_comes_to_its_end_first() -> None:
    done = []

    def work() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGTERM)
            done.append("cleaned")
        done.append("not reached")

    interrupted(work, "SIGTERM")
    assert done == ["cleaned"]


def test_second_signal_ends_a_clean_up() -> None:
    done = []

    def work() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGTERM)
            done.append("cleaning")
            signal.raise_signal(signal.SIGINT)
            done.append("not reached")

    interrupted(work, "SIGINT")
    assert done == ["cleaning"]


def test_clean_up_of_an_interrupted_build_is_not_interrupted_again() -> None:
    done = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            with undisturbed():
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
                done.append("cleaned")

    interrupted(work, "SIGHUP")
    assert done == ["cleaned"]


def test_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with undisturbed():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


#: Text that is executed is interrupted, as when a dataclass is made.
PROGRAM = """
import signal, sys
from bwbuild.interrupt import Ending
Ending().take()
try:
    exec("signal.raise_signal(signal.SIGHUP)")
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_what_was_interrupted_has_the_exit_status_that_it_chose(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    path = {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    words = [sys.executable, "-m", "program"]
    ended = subprocess.run(words, env=os.environ | path, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, b"")
