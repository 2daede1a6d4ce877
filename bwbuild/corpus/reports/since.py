"""What a report says of an earlier run: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from bwbuild.corpus.reports.text import harmless, one_line

#: Sources that the page names in one class, and what it says of each.
_MOST, _MOST_DETAILS = 500, 20


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one source.

    :ivar subject: the key of its first build.
    :ivar kind: a word for it, such as ``newly-failing``.
    :ivar details: a line each; may be empty.
    """

    subject: str
    kind: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Since:
    """How a run differs from an earlier one.

    :ivar against: what the earlier one is called.
    :ivar changes: the kinds that matter most first.
    """

    against: str
    changes: tuple[Change, ...]

    def of(self, key: str) -> list[str]:
        """What became of one source, in lines."""
        return [
            one_line(f"{change.kind}: {detail}" if detail else change.kind, 500)
            for change in self.changes
            if change.subject == key
            for detail in change.details[:_MOST_DETAILS] or ("",)
        ]


@dataclass(frozen=True, slots=True)
class Named:
    """A source in the page's list: ``link`` is its place in the page, empty if it has none."""

    name: str
    link: str
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """All sources of which the same is said; ``more``: how many are left out."""

    kind: str
    number: int
    named: tuple[Named, ...]
    more: int


def groups(since: Since, keys: Mapping[str, object]) -> Iterator[Group]:
    """The changes by their kinds; ``keys`` has those of the sources in the page."""
    for kind in dict.fromkeys(change.kind for change in since.changes):
        found = [change for change in since.changes if change.kind == kind]
        named = tuple(_named(change, keys) for change in found[:_MOST])
        yield Group(one_line(kind, 40), len(found), named, len(found) - len(named))


def _named(change: Change, keys: Mapping[str, object]) -> Named:
    name = harmless(change.subject)
    link = f"#{quote(name, safe='')}" if change.subject in keys else ""
    return Named(name, link, tuple(one_line(line, 300) for line in change.details[:_MOST_DETAILS]))
