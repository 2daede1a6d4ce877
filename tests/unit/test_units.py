from __future__ import annotations

import pytest

from bwbuild.units import human_duration, human_size, long_stopwatch, stopwatch

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1500, "1.5 KiB"),
        (10 * 1024, "10 KiB"),
        (MIB - 1, "1.0 MiB"),
        (212 * MIB, "212 MiB"),
        (5 * 1024**6, "5.0 EiB"),
        (5000 * 1024**6, "5000 EiB"),
    ],
)
def test_size(size: int, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3 * 3600 + 7 * 60 + 59, "3 h 07 min"),
        (49 * 3600, "2 d 01 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_stopwatches() -> None:
    assert [stopwatch(seconds) for seconds in (7.9, 725, 3753, -1)] == ["0:07", "12:05", "1:02:33", "0:00"]
    assert [long_stopwatch(seconds) for seconds in (7.9, 3753, 360000)] == [
        "00:00:07",
        "01:02:33",
        "100:00:00",
    ]
