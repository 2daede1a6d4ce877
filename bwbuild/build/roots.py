"""What ``bwbuild root`` does: bases by hand."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bwbuild.build import ground, places
from bwbuild.build.plan import choose_identity
from bwbuild.build.watch.bounds import of_installing
from bwbuild.config.settings import Settings
from bwbuild.errors import OutputError, UsageError
from bwbuild.events import Level, Notice, Tell, notices
from bwbuild.host.facts import read_host
from bwbuild.root import bases, bootstrap, layers
from bwbuild.root.chamber import Chamber
from bwbuild.root.ground import Base
from bwbuild.root.suite import parse_name
from bwbuild.root.workplace import workplace

#: An interactive shell.
SHELL = ("/bin/bash",)


@dataclass(frozen=True, slots=True)
class Session:
    """A command in a throw-away root: what it writes is gone with it.

    :ivar terminal: it has a terminal of its own. ``environment``: variables that it sees besides.
    """

    command: Sequence[str]
    network: bool
    terminal: bool
    environment: Mapping[str, str]


def wish(settings: Settings, suite: str, architecture: str | None, tell: Tell) -> bases.Wish:
    """The base of a suite that builds would take; ``architecture`` None: this machine's.

    :raises ConfigurationError: it is no name of a suite.
    :raises HostError: no base can be had here.
    """
    host = read_host()
    identity = choose_identity(host, settings)
    wanted = architecture or host.architecture
    bootstrap.check_architecture(wanted, host.architecture)
    return ground.wish(settings, parse_name(suite), wanted, identity, notices(tell))


def create(wanted: bases.Wish) -> None:
    """Make a base unless there is one, however old.

    :raises HostError: it can't be made.
    """
    have = _of(wanted)
    if have is not None:
        suite = wanted.suite.name
        text = f"there is a base of {suite} already, {have.id}; bwbuild root update {suite} makes a fresh one"
        wanted.tell(Notice(Level.INFO, text))
        return
    with bases.opened(wanted):
        pass


def update(wanted: bases.Wish) -> None:
    """Make a fresh base, and remove the layers over the old one, which can never be used again.

    :raises HostError: it can't be made.
    """
    bases.update(wanted)
    layers.prune(wanted.cache.parent, {base.id for base in bases.complete(wanted.cache)})


def run(settings: Settings, wanted: bases.Wish, session: Session) -> int:
    """Run a command as root in the newest base; its exit status.

    :raises HostError: it can't be entered.
    """
    host = read_host()
    with bases.opened(wanted) as base, workplace(places.cache(settings), "shell") as place:
        foreign = base.suite.architecture != host.architecture
        chamber = Chamber(
            identity=base.identity,
            place=place,
            root=base.root,
            # Nobody watches it: who sits before it has no limit of time.
            bounds=of_installing(settings, host, base.identity, foreign=foreign),
            network=session.network,
            environment=session.environment,
        )
        return chamber.attend(session.command, terminal=session.terminal)


def remove(settings: Settings, word: str) -> list[Path]:
    """Remove the base with the id ``word``, or all of the suite of that name, with the layers over them.

    :raises UsageError: there is none.
    :raises OutputError: one is in use; the others are gone.
    """
    place = places.cache(settings) / "bases"
    found = [base for base in bases.complete(place) if word in (base.id, base.suite.name)]
    if not found:
        raise UsageError(f"there is no base {word}", hint="bwbuild root list")
    gone: list[Path] = []
    busy: list[Path] = []
    for base in found:
        (gone if bases.remove(base.path) else busy).append(base.path)
    layers.prune(place.parent, {base.id for base in bases.complete(place)})
    if busy:
        raise OutputError(
            f"{', '.join(path.name for path in busy)} is in use", hint="wait until the builds on it are done"
        )
    return gone


def environment() -> dict[str, str]:
    """What an interactive root has of the caller's environment."""
    return {"HOME": "/root"} | ({"TERM": os.environ["TERM"]} if "TERM" in os.environ else {})


def _of(wanted: bases.Wish) -> Base | None:
    kind = (wanted.suite, wanted.identity)
    return next((b for b in bases.complete(wanted.cache) if (b.suite, b.identity) == kind), None)
