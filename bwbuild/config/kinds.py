"""Kinds of values that an option may have: how they are read from text and from TOML."""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

#: Seconds; what is longer was not meant, and far beyond it no clock counts.
_CENTURY = 36500 * 86400.0


class Kind(ABC):
    """One kind of value. Both readers raise ``ValueError`` with what was expected."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """Completes the sentence "expected ..."."""

    @property
    def metavar(self) -> str:
        """Stands for the value in ``--help``; empty for a switch."""
        return ""

    @abstractmethod
    def from_text(self, text: str) -> object:
        """The value that ``text`` of the command line or of a variable means."""

    def from_toml(self, value: object) -> object:
        """The value that a TOML value means; most kinds are written as strings there."""
        if not isinstance(value, str):
            raise ValueError(self.expected)
        return self.from_text(value)

    def shown(self, value: object) -> str:
        """The value as a user would write it."""
        return "" if value is None else str(value)


@dataclass(frozen=True)
class Switch(Kind):
    """True or false."""

    @property
    def expected(self) -> str:
        """The two words."""
        return "true or false"

    def from_text(self, text: str) -> bool:
        """Accept the usual words of environment variables."""
        words = {"1": True, "true": True, "yes": True, "on": True}
        words |= {"0": False, "false": False, "no": False, "off": False, "": False}
        try:
            return words[text.strip().lower()]
        except KeyError:
            raise ValueError(self.expected) from None

    def from_toml(self, value: object) -> bool:
        """Only TOML's own booleans."""
        if not isinstance(value, bool):
            raise ValueError(self.expected)
        return value

    def shown(self, value: object) -> str:
        """TOML's spelling."""
        return "true" if value else "false"


@dataclass(frozen=True)
class Choice(Kind):
    """One member of an enumeration, written as its value."""

    of: type[Enum]

    @property
    def expected(self) -> str:
        """The words that are allowed."""
        return "one of " + ", ".join(self.words)

    @property
    def metavar(self) -> str:
        """The words as ``--help`` shows them."""
        return "|".join(self.words)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that are allowed, in their order of declaration."""
        return tuple(str(member.value) for member in self.of)

    def from_text(self, text: str) -> Enum:
        """The member of that value."""
        try:
            return self.of(text)
        except ValueError:
            raise ValueError(self.expected) from None

    def shown(self, value: object) -> str:
        """The member's value."""
        return str(value.value) if isinstance(value, Enum) else ""


@dataclass(frozen=True)
class FilePath(Kind):
    """A path of the host; ``~`` is expanded, a relative one is taken from the current directory."""

    name: str = "FILE"

    @property
    def expected(self) -> str:
        """What TOML has to have."""
        return "a path, as a string"

    @property
    def metavar(self) -> str:
        """FILE or DIR."""
        return self.name

    def from_text(self, text: str) -> Path:
        """An absolute path, symbolic links left as they are."""
        if not text:
            raise ValueError("a path that is not empty")
        try:
            return Path.cwd() / Path(text).expanduser()
        except RuntimeError as error:
            raise ValueError(f"a path whose ~ can be expanded ({error})") from None


@dataclass(frozen=True)
class InsidePath(Kind):
    """An absolute path of the sandbox."""

    @property
    def expected(self) -> str:
        """What it must look like."""
        return "an absolute path without control characters and without empty parts, . and .."

    @property
    def metavar(self) -> str:
        """DIR."""
        return "DIR"

    def from_text(self, text: str) -> PurePosixPath:
        """The path; a slash at its end goes."""
        path = PurePosixPath(text)
        clean = text == str(path) or (text == f"{path}/" and path.name)
        if not (clean and text.isprintable() and path.root == "/") or ".." in path.parts:
            raise ValueError(self.expected)
        return path


@dataclass(frozen=True)
class Text(Kind):
    """Any text that is not empty."""

    name: str = "TEXT"

    @property
    def expected(self) -> str:
        """What TOML has to have."""
        return "a string that is not empty"

    @property
    def metavar(self) -> str:
        """Such as KEY."""
        return self.name

    def from_text(self, text: str) -> str:
        """The text itself."""
        if not text:
            raise ValueError(self.expected)
        return text


@dataclass(frozen=True)
class Duration(Kind):
    """A length of time in seconds, written as a number or as ``2h30m`` or ``7d``; ``never`` is None."""

    #: ``never`` is a length too
    endless: bool = False

    @property
    def expected(self) -> str:
        """The forms."""
        forms = "a length of time such as 90, 45s, 30m, 2h, 1h30m or 7d"
        return f"never, or {forms}" if self.endless else forms

    @property
    def metavar(self) -> str:
        """TIME."""
        return "never|TIME" if self.endless else "TIME"

    def from_text(self, text: str) -> float | None:
        """Seconds."""
        if self.endless and text == "never":
            return None
        match = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
        if match is None or not any(match.groups()):
            raise ValueError(self.expected)
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        total = days * 86400 + hours * 3600 + minutes * 60 + seconds
        if not 0 < total <= _CENTURY:
            raise ValueError("a length of time above 0, of 36500d at most")
        return total

    def from_toml(self, value: object) -> float | None:
        """A number of seconds, or text."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self.from_text(str(value))
        if isinstance(value, str):
            return self.from_text(value)
        raise ValueError(self.expected)

    def shown(self, value: object) -> str:
        """Seconds."""
        return f"{value:.15g}" if isinstance(value, int | float) else "never" if self.endless else ""


@dataclass(frozen=True)
class Several(Kind):
    """A tuple of values of one kind: an option that is given once for each, a list in TOML.

    In a variable they are words as a shell reads them.
    """

    of: Kind
    name: str = ""

    @property
    def expected(self) -> str:
        """What each has to be."""
        return f"a list, each of it {self.of.expected}"

    @property
    def metavar(self) -> str:
        """Stands for one of them."""
        return self.name or self.of.metavar

    def from_text(self, text: str) -> tuple[object, ...]:
        """One value for each word."""
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise ValueError(f"words as a shell reads them ({error})") from None
        return self.from_words(words)

    def from_words(self, words: Iterable[str]) -> tuple[object, ...]:
        """One value for each time that the option was given."""
        return tuple(map(self.of.from_text, words))

    def from_toml(self, value: object) -> tuple[object, ...]:
        """TOML's own lists only."""
        if not isinstance(value, list):
            raise ValueError(self.expected)
        return tuple(map(self.of.from_toml, value))

    def shown(self, value: object) -> str:
        """The words of a variable."""
        return shlex.join(map(self.of.shown, value)) if isinstance(value, tuple) else ""
