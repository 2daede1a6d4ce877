"""One try from its beginning to its end: root, home, what is granted, the program, and what is told of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bwbuild.build import places
from bwbuild.build import scratch as scratches
from bwbuild.build.scratch import Scratch
from bwbuild.config.settings import Settings
from bwbuild.errors import UsageError
from bwbuild.events import Level, Notice, Tell, notices
from bwbuild.host import available
from bwbuild.host.facts import Host, read_host
from bwbuild.interrupt import interruptions
from bwbuild.permissions.words import Permission
from bwbuild.sandbox import program, tracing
from bwbuild.sandbox.spec import Identity, Layering
from bwbuild.tryout import (
    desktop,
    difference,
    explaining,
    grants,
    homes,
    installing,
    learned,
    programs,
    record,
    root,
    running,
    subject,
    telling,
    written,
)
from bwbuild.tryout.desktop import Desktop
from bwbuild.tryout.grants import Granted
from bwbuild.tryout.helpers import Station
from bwbuild.tryout.homes import Home
from bwbuild.tryout.root import Package, Root, Wanted
from bwbuild.tryout.running import Streams
from bwbuild.tryout.trial import Trial
from bwbuild.tryout.values import Account, Asked

__all__ = ["Streams", "Teller", "run"]

_X11 = Permission("socket", "x11")


@dataclass(frozen=True, slots=True)
class Teller:
    """Who hears of it: of what matters in any case, and of progress while somebody waits."""

    notice: Tell
    progress: Tell


def run(asked: Asked, settings: Settings, streams: Streams, tell: Teller) -> Account:
    """Install what is tried and run its program; what came of it.

    :raises BwbuildError: something can't be had.
    """
    meanings = available.places(os.environ)
    granted = grants.read(asked.allowed, asked.denied, asked.finish_args, meanings)
    if asked.explain:
        return _answer(explaining.lines(granted, meanings))
    granted = desktop.as_here(granted, settings)
    for argument, why in granted.without:
        tell.notice(Notice(Level.WARNING, f"{argument} has no counterpart: {why}"))
    # Before what may take minutes.
    if asked.learn:
        tracing.check()
    if asked.screenshot is not None:
        running.check_place(asked.screenshot)
    if not asked.diff and not asked.only_learned:
        desktop.check(asked, granted, settings)

    def check(tried: Sequence[Package], suite: str) -> None:
        """Look for what was learned, too, as soon as it is known of whom."""
        if asked.only_learned:
            own = record.only(homes.learned(_name(asked, tried, suite)), granted)
            desktop.check(asked, own, settings)

    host = read_host()
    with interruptions(), _installed(asked, settings, host, streams, tell, known=check) as there:
        if asked.diff:
            return _answer(difference.lines(installing.seen(there)))
        with _ready(asked, settings, host, granted, there, tell) as (trial, scratch, served):
            interactive = streams.terminal and asked.screenshot is None
            return _run(replace(trial, interactive=interactive), scratch, served, streams)


@contextmanager
def _ready(  # noqa: PLR0917 - all that a trial is made of
    asked: Asked, settings: Settings, host: Host, granted: Granted, there: Root, tell: Teller
) -> Iterator[tuple[Trial, Scratch, Desktop]]:
    """A program that can start, where it works, and what serves it."""
    command = _chosen(asked, there)
    name, identity = _name(asked, there.tried, there.base.suite.name), there.base.identity
    with (
        homes.opened(name, identity, fresh=asked.fresh) as home,
        _scratch(settings, home, name, identity, tell.notice) as scratch,
    ):
        if asked.only_learned:
            granted = record.only(home.learned, granted)
        station = Station(host, settings, scratch.path / "desktop")
        with desktop.opened(asked, granted, station, name) as served:
            paths = {_from_home(permission.value): path for permission, path in served.paths.items()}
            with homes.linked(home, paths) as failed:
                for value in failed:
                    text = f"filesystem={value} is at {paths[value]} alone: its place in the home is taken"
                    tell.notice(Notice(Level.INFO, text))
                trial = Trial(
                    *(asked, settings, host, there, home, command),
                    granted=granted.permissions,
                    permits=served.permits,
                    handed=served.handed,
                    links={
                        str(program.HOME.joinpath(*names)): path
                        for value, path in paths.items()
                        if value not in failed and (names := homes.in_home(value))
                    },
                )
                yield trial, scratch, served


def _from_home(value: str) -> str:
    """A path of a permission as seen from the caller's home: bash itself replaces ~ in it."""
    home = os.path.realpath(os.environ.get("HOME", "/")).rstrip("/")
    return f"~{value.removeprefix(home)}" if home and value.startswith(f"{home}/") else value


def _answer(lines: Iterator[str]) -> Account:
    return Account(status=0, answer=tuple(lines), ran=False)


@contextmanager
def _installed(
    asked: Asked,
    settings: Settings,
    host: Host,
    streams: Streams,
    tell: Teller,
    *,
    known: Callable[[Sequence[Package], str], None],
) -> Iterator[Root]:
    """The root with what is tried; ``known`` gets that, and the suite, before anything is installed."""
    found = subject.Subject() if asked.none else subject.find(asked.words, Path(), settings.output)
    for name in asked.besides:
        subject.check_name(name, "--with ")
    if asked.home:
        subject.check_name(asked.home, "--home ")
    if asked.shell_on_failure and not streams.terminal:
        raise UsageError("--shell-on-failure needs a terminal")
    heard = notices(tell.notice if asked.shell_on_failure else tell.progress)
    with root.opened(
        Wanted(found, settings, host, heard, asked.besides, shell=asked.shell_on_failure, known=known)
    ) as there:
        yield there


def _name(asked: Asked, tried: Sequence[Package], suite: str) -> str:
    """What the home is called."""
    if asked.home:
        return asked.home
    return tried[0].name if tried else f"root-{suite}"


def _chosen(asked: Asked, there: Root) -> tuple[str, ...]:
    """The command that is run.

    :raises UsageError: there is no such one, or too many.
    """
    if asked.command:
        programs.check(asked.command[0], _commands(there))
        return asked.command
    if not there.tried:
        return ("/bin/bash",)
    files = there.files()
    entries = {path: programs.of_entry(there.text(path) or "") for path in programs.entries_of_lists(files)}
    command = programs.default(programs.of_lists(files), entries, root.described(there.tried))
    programs.check(command[0], _commands(there))
    return command


def _commands(there: Root) -> set[str]:
    """The names of all programs of the root."""
    return set[str]().union(*(there.names(place) for place in (*programs.PLACES, *programs.OF_ROOT)))


@contextmanager
def _scratch(settings: Settings, home: Home, name: str, identity: Identity, tell: Tell) -> Iterator[Scratch]:
    """A scratch directory for the launcher and for what serves the program."""
    place = places.scratch(settings)
    scratches.sweep(place, tell)
    own = scratches.new_record(home.path, (name, "try"), Layering.NONE, identity)
    with scratches.fresh(place, own) as scratch:
        runtime = scratch.path / program.RUNTIME
        runtime.mkdir(mode=0o700)
        (scratch.path / "desktop").mkdir()
        if identity.outer_first is not None:
            os.chown(runtime, identity.outer_first + identity.uid, identity.outer_first + identity.gid)
        yield scratch


def _run(trial: Trial, scratch: Scratch, served: Desktop, streams: Streams) -> Account:
    before = written.look(trial.home.path)
    ended = running.run(trial, scratch, served, streams)
    homes.unlock(trial.home)
    after = written.look(trial.home.path)
    calls = served.calls()
    account = Account(
        status=ended.status,
        ended=ended.why,
        written=written.compare(before, after),
        left=ended.left,
        windows=tuple((window.title, window.width, window.height) for window in ended.windows),
        notes=ended.notes,
        error=ended.error,
    )
    if ended.seen is None:
        return replace(account, refused=(*ended.refused, *telling.refused_by_bus(calls)), blind=telling.BLIND)
    hidden = record.hidden(learned.looked_for(ended.seen))
    granted = trial.granted
    if served.display is not None and _X11 not in granted:
        granted = (*granted, _X11)  # the display of a picture
    found = learned.learn(ended.seen, calls, granted, served.paths, hidden)
    record.write(trial.home, found)
    return replace(
        account,
        refused=(*ended.refused, *telling.refused(found)),
        blind=telling.BLIND_AT_CALLS,
        notes=(*account.notes, *telling.proposal(found)),
    )
