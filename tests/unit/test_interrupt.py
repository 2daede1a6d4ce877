"""Signals that end a build, and clean-ups that they do not disturb."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

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
