"""What the installation of packages changes in a root: values and words, pure.

Files are told apart by whom they belong to: those of the packages themselves are what dpkg -c lists anyway,
the rest is what maintainer scripts and triggers made.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bwbuild.tryout import capabilities

#: Places that dpkg, apt and ldconfig write to for every package, and apt's questions before the installation.
_ALWAYS = (
    *("var/lib/dpkg", "var/cache/apt", "var/lib/apt", "etc/ld.so.cache", "var/cache/ldconfig"),
    *("var/log/dpkg.log", "var/log/alternatives.log", "var/log/apt", "var/cache/debconf/tmp.ci"),
)
#: What shadow's tools keep of the files about accounts, which have sections of their own.
_ACCOUNTS = frozenset(
    f"etc/{name}{old}"
    for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
    for old in ("", "-")
)
_ALTERNATIVES, _CHOICES = "var/lib/dpkg/alternatives/", "etc/alternatives/"
#: Kinds of services and the places where files make them.
_SERVICES: Mapping[str, re.Pattern[str]] = {
    "unit": re.compile(r"(?:usr/)?lib/systemd/(?:system|user)/[^/]+\.[a-z]+"),
    "enabled": re.compile(
        r"etc/systemd/(?:system|user)/.+|(?:usr/)?lib/systemd/(?:system|user)/[^/]+\.(?:wants|requires)/[^/]+"
    ),
    "addition to a unit": re.compile(r"(?:usr/)?lib/systemd/(?:system|user)/[^/]+\.d/[^/]+\.conf"),
    "preset": re.compile(r"(?:usr/)?lib/systemd/(?:system|user)-preset/[^/]+"),
    "init script": re.compile(r"etc/init\.d/[^/]+"),
    "started in runlevel": re.compile(r"etc/rc[0-6S]\.d/S[^/]+"),
    "cron job": re.compile(r"(?:etc/crontab|etc/cron\.[a-z]+/[^/]+|var/spool/cron/.+)"),
    "made at start (tmpfiles.d)": re.compile(r"(?:(?:usr/)?lib|etc)/tmpfiles\.d/[^/]+"),
    "made at start (sysusers.d)": re.compile(r"(?:(?:usr/)?lib|etc)/sysusers\.d/[^/]+"),
    "udev rule": re.compile(r"(?:(?:usr/)?lib|etc)/udev/rules\.d/[^/]+"),
    "started over the bus": re.compile(r"usr/share/dbus-1/(?:system-)?services/[^/]+"),
    "started at login": re.compile(r"etc/xdg/autostart/[^/]+"),
}
_SET_ID = 0o6000
_TRIGGER = re.compile(r"^Processing triggers for (\S+)", re.MULTILINE)
_SIGNS = {"+": "new", "~": "changed", "-": "gone"}


@dataclass(frozen=True, slots=True)
class Item:
    """A path that is new (``+``), changed (``~``) or gone (``-``).

    :ivar kind: as find has it: ``f``, ``d``, ``l`` and so on. ``mode``: permissions, set-id bits among them.
    :ivar link: where a symbolic link leads.
    :ivar changed: of what is changed: ``contents``, ``mode``, ``owner``, ``capabilities``.
    :ivar capabilities: the extended attribute security.capability, in hexadecimal digits.
    """

    sign: str
    kind: str
    mode: int
    uid: int
    gid: int
    path: str
    link: str = ""
    changed: tuple[str, ...] = ()
    capabilities: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of files about the system, before or after."""

    passwd: str = ""
    group: str = ""
    diversions: str = ""
    overrides: str = ""
    triggers: str = ""


@dataclass(frozen=True, slots=True)
class Installation:
    """What was seen of an installation.

    :ivar packages: in words, with their versions.
    :ivar owned: the paths in the packages' own lists, and in those of the versions that were there before.
    :ivar said: what dpkg wrote.
    """

    packages: tuple[str, ...]
    items: tuple[Item, ...]
    owned: Collection[str]
    before: Texts
    after: Texts
    said: str = ""


def parse(data: bytes) -> tuple[Item, ...]:
    """The items that the look at the layer has printed: two texts with a null byte behind each."""
    words = data.split(b"\0")
    items = []
    for head, link in zip(words[::2], words[1::2], strict=False):
        sign, kind, mode, uid, gid, changed, rights, path = head.split(b"\t", 7)
        numbers = (int(mode, 8), int(uid), int(gid))
        more = (tuple(changed.decode().split()), rights.decode())
        items.append(Item(sign.decode(), kind.decode(), *numbers, _text(path), _text(link), *more))
    return tuple(sorted(items, key=lambda item: item.path))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def lines(found: Installation) -> Iterator[str]:
    """The report: a heading for each kind of change, a line for each change, and kinds without any."""
    yield f"what the installation of {', '.join(found.packages)} changes"
    nothing = []
    for title, changes in _sections(found).items():
        if not changes:
            nothing.append(title)
            continue
        yield ""
        yield f"{title}:"
        yield from (f"  {change}" for change in changes)
    if nothing:
        yield ""
        yield f"no changes: {', '.join(nothing)}"


def _sections(found: Installation) -> dict[str, list[str]]:
    before, after = found.before, found.after
    return {
        "files of the packages": _own(found),
        "files of others, or of nobody": _others(found),
        "set-user-id and set-group-id": list(_set_id(found)),
        "capabilities of files": list(_capabilities(found)),
        "users": _accounts(before.passwd, after.passwd),
        "groups": _accounts(before.group, after.group),
        "alternatives": _alternatives(found.items),
        "services": _services(found.items),
        "diversions": _by_line(_in_threes(before.diversions), _in_threes(after.diversions)),
        "overridden modes": _by_line(before.overrides.splitlines(), after.overrides.splitlines()),
        "triggers": _triggers(found),
    }


def _set_id(found: Installation) -> Iterator[str]:
    for item in found.items:
        if item.kind == "f" and item.mode & _SET_ID and item.sign != "-":
            owner = f"{_name(item.uid, found.after.passwd)}:{_name(item.gid, found.after.group)}"
            yield f"/{item.path} (mode {item.mode:04o}, owner {owner})"


def _capabilities(found: Installation) -> Iterator[str]:
    for item in found.items:
        if item.capabilities and item.sign != "-":
            yield f"/{item.path} ({capabilities.words(item.capabilities)})"


def _own(found: Installation) -> list[str]:
    own = [item for item in found.items if item.path in found.owned and item.kind != "d"]
    new = sum(item.sign == "+" for item in own)
    told = [item for item in own if item.sign != "+" or _is_open(item)]
    return [f"{new} new ones", *(_line(item, found) for item in told)] if own else []


def _is_open(item: Item) -> bool:
    """Whether everybody may write there, without the bit that keeps others' files theirs."""
    return item.kind != "l" and item.mode & 0o1002 == 0o002


def _others(found: Installation) -> list[str]:
    told = [
        item
        for item in found.items
        if item.path not in found.owned
        and not any(item.path == place or item.path.startswith(f"{place}/") for place in _ALWAYS)
        and item.path not in _ACCOUNTS
    ]
    # Of a new directory with something in it the contents tell.
    return [
        _line(item, found) for item in told if item.kind != "d" or _is_open(item) or not _has_more(item, told)
    ]


def _has_more(directory: Item, items: Sequence[Item]) -> bool:
    return any(item.path.startswith(f"{directory.path}/") for item in items)


def _line(item: Item, found: Installation) -> str:
    link = f" -> {item.link}" if item.kind == "l" else ""
    return f"{_SIGNS[item.sign]}: /{item.path}{'/' if item.kind == 'd' else ''}{link}{_beside(item, found)}"


def _beside(item: Item, found: Installation) -> str:
    """What else is new of it than its contents."""
    words = []
    if "mode" in item.changed or (item.sign == "+" and _is_open(item)):
        words.append(f"mode {item.mode:04o}")
    if "owner" in item.changed:
        owner, group = _name(item.uid, found.after.passwd), _name(item.gid, found.after.group)
        words.append(f"owner {owner}:{group}")
    return f" ({', '.join(words)})" if words else ""


def _accounts(before: str, after: str) -> list[str]:
    """Lines of passwd or group: the name, and what of it is new."""
    old, new = (dict(_by_name(text)) for text in (before, after))
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            found.append(f"new: {name} ({':'.join(new[name][2:])})")
        elif name not in new:
            found.append(f"gone: {name}")
        elif old[name] != new[name]:
            found.append(f"changed: {name} ({':'.join(new[name][2:])})")
    return found


def _by_name(text: str) -> Iterator[tuple[str, list[str]]]:
    for line in text.splitlines():
        fields = line.split(":")
        yield fields[0], fields


def _name(number: int, text: str) -> str:
    return next(
        (name for name, fields in _by_name(text) if len(fields) > 2 and fields[2] == str(number)), str(number)
    )


def _alternatives(items: Sequence[Item]) -> list[str]:
    found = [
        f"{_SIGNS[item.sign]} group: {item.path.removeprefix(_ALTERNATIVES)}"
        for item in items
        if item.path.startswith(_ALTERNATIVES)
    ]
    links = [item for item in items if item.path.startswith(_CHOICES) and item.kind == "l"]
    return found + [f"{_SIGNS[item.sign]} choice: {_target(item)}" for item in links]


def _target(item: Item) -> str:
    return f"{item.path.removeprefix(_CHOICES)} -> {item.link}"


def _services(items: Sequence[Item]) -> list[str]:
    found = []
    for kind, pattern in _SERVICES.items():
        for item in items:
            if item.kind != "d" and pattern.fullmatch(item.path):
                found.append(f"{_SIGNS[item.sign]} {kind}: /{item.path}")
    return found


def _in_threes(text: str) -> list[str]:
    """Diversions: what is diverted, to what, by whom."""
    rows = text.splitlines()
    return [
        f"{what} to {where} by {'local' if who == ':' else who}"
        for what, where, who in zip(rows[::3], rows[1::3], rows[2::3], strict=False)
    ]


def _by_line(before: Sequence[str], after: Sequence[str]) -> list[str]:
    gone = [f"gone: {line}" for line in before if line not in after]
    return gone + [f"new: {line}" for line in after if line not in before]


def _triggers(found: Installation) -> list[str]:
    interests = _by_line(found.before.triggers.splitlines(), found.after.triggers.splitlines())
    ran = [f"ran: those of {name}" for name in dict.fromkeys(_TRIGGER.findall(found.said))]
    return interests + ran
