"""What a traced build did, as sets: of all events that come in, what matters, never more than so much."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from bwbuild.build.learn.links import Links
from bwbuild.trace.parse import Event, Kind, Parser

Item = TypeVar("Item")

#: How many paths, programs, addresses and writes are kept; more are counted as lost.
MOST_PATHS, MOST_OTHERS = 100_000, 2_000
#: How many processes are named for one path.
MOST_PROCESSES = 4
#: What is the kernel's, or the build's own.
PASSING = ("/proc", "/dev", "/sys", "/tmp", "/var/tmp", "/run", "/var/run", "/var/lock")
#: Where a build may make links that lead to programs, besides its own directories.
TEMPORARY = ("/tmp", "/var/tmp")
#: Errors that say nothing of an attempt to write: what was to be made is there, what was to be removed is
#: not.
_HARMLESS = frozenset({"EEXIST", "ENOENT", "ENOTDIR", "EISDIR", "ENXIO", "ENOTEMPTY", "EINTR"})
#: Sockets of which the source knows nothing: the C library's before it reads /etc/passwd, and the sandbox's
#: own one, by which dpkg's gain-root command reaches the root side.
_UNASKED = ("/var/run/nscd/socket", "/run/nscd/socket", "/run/bwbuild.socket")


@dataclass(frozen=True, slots=True)
class Tried:
    """Something that a process tried: an address, a name of the DNS, or a path to write to.

    :ivar error: empty if it succeeded.
    """

    process: str
    what: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a build did.

    :ivar opened: path -> processes that opened it, both as it was asked for and behind all links; nothing of
        the tree, of temporary directories or the kernel's.
    :ivar started: program -> processes that started it; a relative path is the tree's own.
    :ivar ran: the same for all that was started in the build's own and in temporary directories, by its whole
        path: links may lead from there.
    :ivar links: symbolic links that were made there -> what they lead to; a relative path may be anywhere.
    :ivar scripts: files of the tree that a process of the same name has opened: scripts that read themselves.
    :ivar lost: how much was not kept.
    """

    opened: Mapping[str, tuple[str, ...]]
    started: Mapping[str, tuple[str, ...]]
    scripts: tuple[str, ...] = ()
    addresses: tuple[Tried, ...] = ()
    names: tuple[Tried, ...] = ()
    writes: tuple[Tried, ...] = ()
    lost: int = 0
    ran: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Collector:
    """Takes the bytes of a trace.

    :param own: directories of the build itself, as the tree's parent is.
    :param looks: what is only looked for counts as opened.
    :param witness: gets all events too.
    """

    def __init__(
        self,
        own: tuple[str, ...],
        *,
        looks: bool = False,
        witness: Callable[[Event], None] | None = None,
    ) -> None:
        self._own = own
        self._opening = (Kind.OPEN, Kind.LOOK, Kind.WRITE, *((Kind.STAT,) if looks else ()))
        self._witness = witness
        self._parser = Parser()
        self._opened: dict[str, tuple[str, ...]] = {}
        self._started: dict[str, tuple[str, ...]] = {}
        self._ran: dict[str, tuple[str, ...]] = {}
        #: pid -> what it was started as, from a directory that is not known yet
        self._unplaced: dict[int, Event] = {}
        self._links = Links()
        self._scripts: dict[str, None] = {}
        self._addresses: dict[Tried, None] = {}
        self._names: dict[Tried, None] = {}
        self._writes: dict[Tried, None] = {}
        self._lost = 0

    def take(self, data: bytes) -> None:
        """Take what came; after nothing another trace begins, of a build that had to begin again."""
        if not data:
            self._parser = Parser()
        for event in self._parser.feed(data):
            self._look_at(event)
            if self._witness is not None:
                self._witness(event)

    def seen(self) -> Seen:
        """All of it."""
        self._forget_places()
        return Seen(
            dict(self._opened),
            dict(self._started),
            tuple(self._scripts),
            tuple(self._addresses),
            tuple(self._names),
            tuple(self._writes),
            self._lost + self._links.lost,
            dict(self._ran),
            dict(self._links.texts),
        )

    def _look_at(self, event: Event) -> None:
        if event.kind in self._opening and not event.error:
            self._open(event)
        if event.kind in (Kind.WRITE, Kind.CHANGE):
            self._write(event)
            self._link(event)
        elif event.kind in (Kind.EXEC, Kind.PROGRAM) and not event.error:
            self._start(event)
        elif event.kind is Kind.CONNECT and event.subject not in _UNASKED:
            self._keep(self._addresses, Tried(event.process, event.subject, event.error))
        elif event.kind is Kind.ASK:
            self._keep(self._names, Tried(event.process, event.subject))

    def _start(self, event: Event) -> None:
        before = self._unplaced.pop(event.pid, None)
        if event.kind is Kind.EXEC:
            if before is not None:
                self._note_program(before)
            if not event.subject.startswith("/"):
                if len(self._unplaced) >= MOST_OTHERS:
                    self._forget_places()
                self._unplaced[event.pid] = event
                return
        self._note_program(event)

    def _forget_places(self) -> None:
        for event in self._unplaced.values():
            self._note_program(event)
        self._unplaced.clear()

    def _note_program(self, event: Event) -> None:
        path = event.subject
        self._note(self._started, self._program(path), event.process, MOST_OTHERS)
        if below(path, (*self._own, *TEMPORARY)):
            self._note(self._ran, path, event.process, MOST_OTHERS)

    def _link(self, event: Event) -> None:
        path = event.subject
        if event.error or not (event.leads or event.moved):
            return
        if not path.startswith("/") or below(path, (*self._own, *TEMPORARY)):
            if event.leads:
                self._links.made(path, event.leads)
            else:
                self._links.moved(path, event.moved)

    def _program(self, path: str) -> str:
        for top in self._own:
            if path.startswith(f"{top}/"):
                return f"./{os.path.basename(path)}"
        return path if path.startswith("/") else f"./{os.path.basename(path)}"

    def _open(self, event: Event) -> None:
        for path in {event.subject, event.real}:
            if not path.startswith("/"):
                continue
            if self._is_own(path):
                if os.path.basename(path)[:15] == event.process and path == event.real:
                    self._keep(self._scripts, path)
                continue
            if not below(path, PASSING):
                self._note(self._opened, path, event.process, MOST_PATHS)

    def _write(self, event: Event) -> None:
        path = os.path.normpath(event.real or event.subject)
        if not path.startswith("/") or self._is_own(path) or below(path, PASSING):
            return
        if event.error not in _HARMLESS:
            self._keep(self._writes, Tried(event.process, path, event.error))

    def _is_own(self, path: str) -> bool:
        return below(path, self._own)

    def _note(self, found: dict[str, tuple[str, ...]], path: str, process: str, most: int) -> None:
        before = found.get(path)
        if before is None:
            if len(found) >= most:
                self._lost += 1
                return
            found[path] = (process,)
        elif process not in before and len(before) < MOST_PROCESSES:
            found[path] = (*before, process)

    def _keep(self, found: dict[Item, None], item: Item) -> None:
        if item in found:
            return
        if len(found) >= MOST_OTHERS:
            self._lost += 1
        else:
            found[item] = None


def below(path: str, directories: tuple[str, ...]) -> bool:
    """Whether ``path`` is one of these directories or in one."""
    return any(path == top or path.startswith(f"{top}/") for top in directories)
