"""What differs between the packages of two builds, and between two states of a tree: pure."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace

from bwbuild.conduct.values import Change, Contents, Difference, Entry, Listing, Member

#: Bits of a file's mode in a tree that tools keep and people notice: who may run it.
_RUNS = 0o100


def differences(one: Contents, other: Contents) -> tuple[Difference, ...]:
    """How ``other`` differs from ``one``, by package and path.

    How packages are compressed is not looked at: dpkg-deb decides that, by the number of processors too.
    """
    found: list[Difference] = []
    for package, path in sorted(one.keys() | other.keys()):
        was, now = one.get((package, path)), other.get((package, path))
        if was is None or now is None:
            found.append(Difference(package, path, "added" if was is None else "missing"))
        else:
            found += (Difference(package, path, aspect, detail) for aspect, detail in _aspects(was, now))
    return tuple(found)


def as_roots(contents: Contents, builder: int) -> Contents:
    """``contents`` with what is the build user's as root's.

    Where a target really runs as root, what an earlier one made stays its maker's; fakeroot would show both
    as root's.
    """
    return {
        key: replace(
            member,
            owner=0 if member.owner == builder else member.owner,
            group=0 if member.group == builder else member.group,
        )
        for key, member in contents.items()
    }


def changes(before: Listing, after: Listing) -> tuple[Change, ...]:
    """What is not as it was in a tree, by path; of a new directory only itself, and of an empty one nothing.

    Neither git nor dpkg-source can tell that an empty directory is there.
    """
    return tuple(_changes(before, after))


def _changes(before: Listing, after: Listing) -> Iterator[Change]:
    new: set[str] = set()
    filled = _filled(after)
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path), after.get(path)
        if now is None:
            if path.rpartition("/")[0] in after or "/" not in path:
                yield Change(path, "removed")
        elif was is None:
            new.add(path)
            if path.rpartition("/")[0] not in new and (not stat.S_ISDIR(now.mode) or path in filled):
                yield Change(path, "left")
        elif (how := _changed(was, now)) is not None:
            yield Change(path, how)


def _filled(listing: Listing) -> frozenset[str]:
    """The directories with a file in them or below."""
    found: set[str] = set()
    for path, entry in listing.items():
        above = "" if stat.S_ISDIR(entry.mode) else path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return frozenset(found)


def _changed(was: Entry, now: Entry) -> str | None:
    if stat.S_IFMT(was.mode) != stat.S_IFMT(now.mode) or was.content != now.content:
        return "changed"
    if stat.S_ISREG(was.mode) and (was.mode ^ now.mode) & _RUNS:
        return "mode"
    return None


def _aspects(was: Member, now: Member) -> Iterator[tuple[str, str]]:
    if stat.S_IFMT(was.mode) != stat.S_IFMT(now.mode):
        yield "type", ""
        return
    if was.mode != now.mode:
        yield "mode", f"{stat.S_IMODE(was.mode):04o}, now {stat.S_IMODE(now.mode):04o}"
    if (was.owner, was.group) != (now.owner, now.group):
        yield "owner", f"{was.owner}:{was.group}, now {now.owner}:{now.group}"
    if was.content != now.content:
        yield "content", ""
    if was.time != now.time:
        yield "time", ""
