"""Kinds of values that say how much or how many: a number, or a word in place of one."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from bwbuild.config.kinds import Kind

#: The largest number that the kernel takes, and characters that none needs.
_LARGEST, _LONGEST = (1 << 63) - 1, 40

#: The largest numbers of processes and of a process's files that a kernel can be set to.
MOST_PROCESSES, MOST_FILES = 1 << 22, 1 << 30


@dataclass(frozen=True)
class Amount(Kind):
    """So many of something; ``auto``, where there is such a thing, is None, ``never`` is 0."""

    #: bwbuild finds out itself what is right
    auto: bool = True
    #: with less or more nothing would start
    least: int = 1
    most: int = _LARGEST
    #: there may be none
    endless: bool = True

    @property
    @abstractmethod
    def example(self) -> str:
        """What a number may look like."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """Stands for the number in ``--help``."""

    @abstractmethod
    def number(self, text: str) -> int:
        """The number that ``text`` means; 0 if it means none."""

    @property
    def words(self) -> Mapping[str, int | None]:
        """What is written in place of a number, and the value that it means."""
        return {**({"auto": None} if self.auto else {}), **({"never": 0} if self.endless else {})}

    @property
    def expected(self) -> str:
        """The forms."""
        return f"{', '.join(self.words)}, or {self.example}" if self.words else self.example

    @property
    def metavar(self) -> str:
        """The words, or such as SIZE."""
        return "|".join((*self.words, self.unit))

    def from_text(self, text: str) -> int | None:
        """The number."""
        if text in self.words:
            return self.words[text]
        number = self.number(text.strip()) if len(text) < _LONGEST else 0
        if not self.least <= number <= self.most:
            raise ValueError(self.expected)
        return number

    def from_toml(self, value: object) -> int | None:
        """A number, or text."""
        if isinstance(value, int) and not isinstance(value, bool):
            return self.from_text(str(value))
        if isinstance(value, str):
            return self.from_text(value)
        raise ValueError(self.expected)


@dataclass(frozen=True)
class Size(Amount):
    """A number of bytes, written as a number or as ``512M``, with binary prefixes."""

    @property
    def example(self) -> str:
        """Two sizes."""
        least = f", {self.shown(self.least)} at least" if self.least > 1 else ""
        return f"a size such as 512M or 4G{least}"

    @property
    def unit(self) -> str:
        """SIZE."""
        return "SIZE"

    def number(self, text: str) -> int:
        """Bytes."""
        match = re.fullmatch(r"(\d+)([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
        return int(match[1]) << 10 * " KMGT".index(match[2].upper() or " ") if match else 0

    def shown(self, value: object) -> str:
        """A word, or bytes with the largest prefix that loses nothing."""
        if not isinstance(value, int):
            return "auto"
        power = next((power for power in (4, 3, 2, 1) if value and value % (1 << 10 * power) == 0), 0)
        return f"{value >> 10 * power}{' KMGT'[power].strip()}" if value else "never"


@dataclass(frozen=True)
class Count(Amount):
    """A number of things."""

    @property
    def example(self) -> str:
        """The form."""
        if self.most < _LARGEST:
            return f"a number from {self.least} to {self.most}"
        return f"a number above {self.least - 1}"

    @property
    def unit(self) -> str:
        """NUMBER."""
        return "NUMBER"

    def number(self, text: str) -> int:
        """The number itself."""
        return int(text) if text.isascii() and text.isdigit() else 0

    def shown(self, value: object) -> str:
        """A word, or the number."""
        return "auto" if not isinstance(value, int) else str(value) if value else "never"
