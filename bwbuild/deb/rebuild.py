"""Builds under another version than the source's: what is asked for, and the changelog entry for it.

Such a build makes binary packages of a source that stays as it is. The entry that names their version goes
before the source's own in debian/changelog and says ``binary-only=yes``: then dpkg takes the version of the
source from the next one. The options are sbuild's, and the entry is what sbuild writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bwbuild.deb import names
from bwbuild.errors import SourceError, UsageError
from bwbuild.units import mail_date

if TYPE_CHECKING:
    from bwbuild.deb.source import Source

_PERSON = re.compile(r"[^<>]*[^<>\s] <[^<>@\s]+@[^<>\s]+>")
_DATE = re.compile(r"[A-Z][a-z]{2}, [ 0-3]?\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}")
_SECONDS = re.compile(r"\+?[1-9]\d*")
_HEADING = re.compile(r"(\S+) \(([^()\s]+)\)((?: [A-Za-z0-9.+-]+)+); *(.+)")
_TRAILER = re.compile(rf" -- ({_PERSON.pattern})  ({_DATE.pattern})")
_BINNMU = re.compile(r"\+b\d+")


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What is asked for; the fields are values of options, which :data:`OPTIONS` names."""

    #: goes behind the version
    suffix: str = ""
    #: of the binNMU: +bN goes behind that; None: not typed
    number: int | None = None
    #: why there is a binNMU
    text: str = ""
    #: of the entry: seconds since the epoch, or as ``date -R`` writes it; empty: the time of the build
    timestamp: str = ""
    #: the whole entry in place of one that is made
    whole: str = ""

    @property
    def wanted(self) -> bool:
        """Whether there is to be an entry."""
        return bool(self.suffix or self.text or self.whole)

    @property
    def ending(self) -> str:
        """What goes behind the source's version."""
        number = self.number if self.number is not None else int(bool(self.text))
        return f"{self.suffix}+b{number}" if number else self.suffix

    def with_value(self, name: str, value: str) -> Rebuild:
        """What is asked for once the option ``name``, without its hyphens, has ``value``.

        :raises UsageError: it can't have that.
        """
        return OPTIONS[name](self, value)

    def check(self) -> None:
        """Refuse options that contradict each other, or that say nothing.

        :raises UsageError: says which.
        """
        if self.whole and self != Rebuild(whole=self.whole):
            raise UsageError(
                "--binNMU-changelog has the whole entry, and other options say what stands in it",
                hint="leave out --append-to-version, --binNMU, --make-binNMU and --binNMU-timestamp, or it",
            )
        if not self.wanted and self != Rebuild():
            raise UsageError(
                "--binNMU and --binNMU-timestamp alone change nothing",
                hint="say why the source is built again: --make-binNMU=TEXT; or --append-to-version=SUFFIX",
            )
        if self.text and not self.ending:
            raise UsageError(
                "--make-binNMU with --binNMU=0 leaves the version as it is",
                hint="leave out --binNMU=0, or give --append-to-version=SUFFIX",
            )


@dataclass(frozen=True, slots=True)
class Occasion:
    """What an entry says besides: who makes it, or "", when in seconds since the epoch, and for what."""

    maintainer: str
    now: int
    architecture: str
    #: empty: the source's own
    distribution: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A changelog entry; ``text`` are its lines and the empty one after it."""

    version: str
    distribution: str
    changed_by: str
    text: str


def make_entry(rebuild: Rebuild, source: Source, occasion: Occasion) -> Entry:
    """The entry that goes before the changelog of ``source``.

    :raises UsageError: an option's value is impossible for this source, or nobody is named.
    :raises SourceError: the source is one that was built so already.
    """
    if source.binary_only or (_BINNMU.search(rebuild.ending) and re.search(r"\+b\d+\Z", source.version)):
        raise SourceError(
            f"{source.version} is the version of a binNMU already",
            hint="build the source it was made of: remove the first entry of debian/changelog",
        )
    if rebuild.whole:
        return _given(rebuild.whole, source)
    version = source.version + rebuild.ending
    if names.VERSION.fullmatch(version) is None:
        raise UsageError(
            f"--append-to-version={rebuild.suffix}: {names.printable(version)} is no version",
            hint="letters, digits and . + - ~ may stand in it",
        )
    if _PERSON.fullmatch(occasion.maintainer) is None or not occasion.maintainer.isprintable():
        found = f", not {names.printable(occasion.maintainer)}" if occasion.maintainer else ""
        raise UsageError(
            f"the changelog entry for {version} needs the name and address of who makes it{found}",
            hint="give -m'NAME <MAIL>', or set DEBFULLNAME and DEBEMAIL",
        )
    distribution = occasion.distribution or source.distribution
    lines = [
        f"{source.name} ({version}) {distribution}; urgency=low, binary-only=yes",
        "",
        *_items(rebuild, occasion.architecture),
        "",
        f" -- {occasion.maintainer}  {_date(rebuild.timestamp, occasion.now)}",
        "",
    ]
    return Entry(version, distribution, occasion.maintainer, "\n".join(lines) + "\n")


def author(typed: str | None, environment: Mapping[str, str]) -> str:
    """``NAME <MAIL>`` of who makes an entry: as typed, else of the variables that dch knows; may be empty."""
    mail = environment.get("DEBEMAIL", "")
    name = environment.get("DEBFULLNAME") or environment.get("NAME", "")
    if typed or "<" in mail:
        return typed or mail
    return f"{name} <{mail}>" if name and mail else ""


def _items(rebuild: Rebuild, architecture: str) -> list[str]:
    items = []
    if rebuild.suffix:
        items.append(f"  * Append {rebuild.suffix} to version number; no source changes")
    if rebuild.text:
        first, *more = rebuild.text.split("\n")
        items.append(f"  * Binary-only non-maintainer upload for {architecture}; no source changes.")
        items += [f"  * {first}", *(f"    {line}" for line in more)]
    return items


def _date(timestamp: str, now: int) -> str:
    if timestamp and _SECONDS.fullmatch(timestamp) is None:
        return timestamp
    return mail_date(datetime.fromtimestamp(int(timestamp or now), UTC))


def _given(text: str, source: Source) -> Entry:
    """The entry that was given whole."""
    first, *rest = text.split("\n")
    body, last = rest[:-1], "".join(rest[-1:])
    heading, trailer = _HEADING.fullmatch(first), _TRAILER.fullmatch(last)
    if heading is None or trailer is None or not all(not line or line.startswith("  ") for line in body):
        raise UsageError(
            "--binNMU-changelog has no changelog entry",
            hint="it begins with NAME (VERSION) SUITE; urgency=low, binary-only=yes and ends with"
            " -- NAME <MAIL>  DATE, each on a line of its own; between them lines begin with two blanks",
        )
    name, version, distributions, pairs = heading.groups()
    if name != source.name:
        raise UsageError(
            f"--binNMU-changelog is about {name}, but the source is {source.name}",
            hint=f"its first line must begin with {source.name} (VERSION)",
        )
    if names.VERSION.fullmatch(version) is None or version == source.version:
        raise UsageError(
            f"--binNMU-changelog: {names.printable(version)} is no version for a rebuild of {source.version}",
            hint=f"such as {source.version}+b1",
        )
    if "binary-only=yes" not in re.split(r", *", pairs.lower()):
        raise UsageError(
            "--binNMU-changelog: the entry would make another source",
            hint="its first line must end in: urgency=low, binary-only=yes",
        )
    return Entry(version, distributions.split()[0], trailer[1], f"{text}\n\n")


def _suffix(rebuild: Rebuild, value: str) -> Rebuild:
    return replace(rebuild, suffix=value)


def _number(rebuild: Rebuild, value: str) -> Rebuild:
    if re.fullmatch(r"[0-9]{0,9}", value) is None:
        raise UsageError(f"--binNMU={value}: not a number", hint="--binNMU=1 makes +b1; 0 leaves it out")
    return replace(rebuild, number=int(value or 0))


def _text(rebuild: Rebuild, value: str) -> Rebuild:
    lines = [line.rstrip() for line in value.split("\n") if line.strip()]
    _check_lines("--make-binNMU", lines)
    return replace(rebuild, text="\n".join(lines))


def _timestamp(rebuild: Rebuild, value: str) -> Rebuild:
    try:
        if _SECONDS.fullmatch(value):
            datetime.fromtimestamp(int(value), UTC)
        elif _DATE.fullmatch(value):
            from email.utils import parsedate_to_datetime  # noqa: PLC0415 - 12 ms

            parsedate_to_datetime(value)
        else:
            raise ValueError
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--binNMU-timestamp={value} is no time",
            hint="give seconds since 1970, or what date -R writes: Thu, 01 Jan 2026 12:00:00 +0000",
        ) from None
    return replace(rebuild, timestamp=value)


def _whole(rebuild: Rebuild, value: str) -> Rebuild:
    text = value.strip()
    lines = text.split("\n")
    _check_lines("--binNMU-changelog", lines)
    return replace(rebuild, whole="\n".join(line.rstrip() for line in lines))


def _check_lines(option: str, lines: list[str]) -> None:
    if not any(lines):
        raise UsageError(f"{option} has no text", hint="say in it why the source is built again")
    if not all(line.isprintable() for line in lines):
        raise UsageError(f"{option} has control characters, or is not UTF-8", hint="give plain text")


#: Each option, without its hyphens, and what its value does.
OPTIONS: Mapping[str, Callable[[Rebuild, str], Rebuild]] = {
    "append-to-version": _suffix,
    "binNMU": _number,
    "make-binNMU": _text,
    "binNMU-timestamp": _timestamp,
    "binNMU-changelog": _whole,
}
