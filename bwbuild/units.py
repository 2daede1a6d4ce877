"""Sizes, durations, times and texts as people read them."""

from __future__ import annotations

import re
from datetime import datetime

_BINARY_PREFIXES = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")


def human_size(size: int) -> str:
    """``size`` bytes with a binary prefix and at most four digits: ``312 B``, ``1.4 MiB``, ``1023 KiB``."""
    if abs(size) < 1024:
        return f"{size} B"
    value, power = size / 1024, 0
    # 1023.5 KiB would be printed as 1024 KiB.
    while abs(value) >= 1023.5 and power < len(_BINARY_PREFIXES) - 1:
        value, power = value / 1024, power + 1
    unit = _BINARY_PREFIXES[power]
    return f"{value:.1f} {unit}" if abs(value) < 9.95 else f"{value:.0f} {unit}"


def human_duration(seconds: float) -> str:
    """A duration in its two largest units: ``0.4 s``, ``17 s``, ``2 min 05 s``, ``3 h 07 min``, ``2 d 01 h``.

    A negative duration, which a clock that was set back can give, reads as ``0.0 s``.
    """
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours == 0:
        return f"{minutes} min {rest:02} s"
    days, hours = divmod(hours, 24)
    return f"{hours} h {minutes:02} min" if days == 0 else f"{days} d {hours:02} h"


def stopwatch(seconds: float) -> str:
    """``seconds``, cut to whole ones, as a stopwatch shows them: ``0:07``, ``12:05``, ``1:02:33``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def long_stopwatch(seconds: float) -> str:
    """``seconds``, cut to whole ones, as ``HH:MM:SS``, the form in Debian's build logs."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


def mail_date(when: datetime) -> str:
    """``when``, with its time zone, as mails and changelogs have it: ``Thu, 01 Jan 2026 12:00:00 +0000``."""
    # strftime's names follow the locale, and email.utils costs 12 ms to import.
    return f"{_DAYS[when.weekday()]}, {when:%d} {_MONTHS[when.month - 1]} {when:%Y %H:%M:%S %z}"


def without_passwords(text: str) -> str:
    """``text`` with the addresses in it as others may see them: without user and password."""
    return _SECRET.sub("", text)
