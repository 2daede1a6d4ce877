"""Alternatives: the links that update-alternatives would have made of the visible choices alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from bwbuild.errors import HostError

#: Where the groups' files lie, and the links that the public ones point at.
ADMINISTRATION = "/var/lib/dpkg/alternatives"
LINKS = "/etc/alternatives"


@dataclass(frozen=True, slots=True)
class Link:
    """A public link: its name below /etc/alternatives and its absolute path, such as awk and /usr/bin/awk."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One alternative.

    :ivar path: what the master link leads to.
    :ivar slaves: what each slave of the group leads to, in the group's order; empty where it has none.
    """

    path: str
    priority: int
    slaves: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A link group: one file of dpkg's directory of alternatives, without its mode."""

    master: Link
    slaves: tuple[Link, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The links of all groups.

    :ivar links: path -> text of every symlink that exists: /etc/alternatives holds no others.
    :ivar absent: public links of the groups that must not exist.
    :ivar files: name -> content of dpkg's file for each group that still has a choice.
    """

    links: Mapping[str, str]
    absent: frozenset[str]
    files: Mapping[str, str]


def parse(name: str, text: str) -> Group:
    """Read one file of /var/lib/dpkg/alternatives, whose name is the group's.

    :raises HostError: names the file that does not parse.
    """
    lines = _Lines(name, iter(text.splitlines()))
    if lines.take("auto or manual") not in ("auto", "manual"):
        lines.refuse("begins with neither auto nor manual")
    master = Link(name, lines.path("the path of the link"))
    slaves = []
    while slave := lines.take("a slave or an empty line"):
        slaves.append(Link(slave, lines.path("the path of a slave's link")))
    choices = []
    while path := lines.take("a choice or an empty line"):
        priority = lines.number("a priority")
        choices.append(Choice(path, priority, tuple(lines.take("a slave's file") for _ in slaves)))
    return Group(master, tuple(slaves), tuple(choices))


def choose(
    groups: Iterable[Group], exists: Callable[[str], bool], normalise: Callable[[str], str] = str
) -> Chosen:
    """Choose in every group among the visible choices, automatically as in a fresh chroot.

    :param exists: whether a normalised path is visible.
    :param normalise: turns the path of a choice or link into its real one, such as /bin/ed into /usr/bin/ed.
    """
    links: dict[str, str] = {}
    public: set[str] = set()
    files: dict[str, str] = {}
    for group in groups:
        visible = _visible(group, lambda path: exists(normalise(path)))
        public.update(normalise(link.path) for link in (group.master, *group.slaves))
        if not visible.choices:
            continue
        files[group.master.name] = text(visible)
        for link, target in _wanted(visible):
            if exists(normalise(target)):
                links[f"{LINKS}/{link.name}"] = target
                links[normalise(link.path)] = f"{LINKS}/{link.name}"
    return Chosen(links, frozenset(public - links.keys()), files)


def public_links(groups: Iterable[Group], normalise: Callable[[str], str] = str) -> dict[str, str]:
    """Public link, normalised -> what it leads to where every choice is visible."""
    return {
        normalise(link.path): target for group in groups if group.choices for link, target in _wanted(group)
    }


def best(group: Group) -> Choice:
    """The choice of the highest priority, the first one in the file's order where several have it."""
    return max(group.choices, key=lambda choice: choice.priority)


def text(group: Group) -> str:
    """The group's file in automatic mode, as update-alternatives writes it: sorted, without unused slaves."""
    used = [
        (slave, number)
        for number, slave in enumerate(group.slaves)
        if any(choice.slaves[number] for choice in group.choices)
    ]
    used.sort(key=lambda item: item[0].name)
    lines = ["auto", group.master.path]
    for slave, _ in used:
        lines += [slave.name, slave.path]
    lines.append("")
    for choice in sorted(group.choices, key=lambda choice: choice.path):
        lines += [choice.path, str(choice.priority), *(choice.slaves[number] for _, number in used)]
    return "\n".join((*lines, "", ""))


def _visible(group: Group, exists: Callable[[str], bool]) -> Group:
    choices = tuple(choice for choice in group.choices if exists(choice.path))
    return Group(group.master, group.slaves, choices)


def _wanted(group: Group) -> Iterator[tuple[Link, str]]:
    """The links of the best choice and what they lead to, the master first."""
    choice = best(group)
    yield group.master, choice.path
    yield from ((link, target) for link, target in zip(group.slaves, choice.slaves, strict=True) if target)


@dataclass(frozen=True, slots=True)
class _Lines:
    """What is left of one group's file."""

    name: str
    rest: Iterator[str]

    def take(self, wanted: str) -> str:
        line = next(self.rest, None)
        if line is None:
            self.refuse(f"ends where it needs {wanted}")
        return line

    def path(self, wanted: str) -> str:
        line = self.take(wanted)
        if not line.startswith("/"):
            self.refuse(f"has {line!r} where it needs {wanted}")
        return line

    def number(self, wanted: str) -> int:
        line = self.take(wanted)
        try:
            return int(line)
        except ValueError:
            self.refuse(f"has {line!r} where it needs {wanted}")

    def refuse(self, reason: str) -> NoReturn:
        raise HostError(
            f"{ADMINISTRATION}/{self.name} {reason}",
            hint=f"look at it, then run: update-alternatives --query {self.name}",
        )
