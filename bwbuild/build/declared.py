"""The declared view of one source: from the cache, or made of what dpkg says is installed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from bwbuild.build import places
from bwbuild.build.plan import Inputs
from bwbuild.build.study import dependencies
from bwbuild.deb.closure import Closure, Wanted
from bwbuild.deb.database import Database, Package, is_at_work
from bwbuild.errors import BwbuildError, HostError
from bwbuild.events import Level, Notice, Tell
from bwbuild.host.doctor import Finding, advice
from bwbuild.host.facts import Host
from bwbuild.interrupt import interruptions
from bwbuild.root import views
from bwbuild.root.contents import Contents
from bwbuild.root.views import Made, View

_MAKING = Notice(Level.INFO, "making the view of the declared packages")
_WAITING = Notice(Level.INFO, "another bwbuild makes the same view; waiting for it")
_AT_WORK = Notice(Level.WARNING, "dpkg changes what is installed; waiting for its end")
#: Seconds after which it is not waited any longer, and between two looks.
_PATIENCE, _PAUSE = 600.0, 0.2


@contextmanager
def opened(inputs: Inputs, tell: Tell) -> Iterator[View]:
    """The view of what the source declares; it stays as it is until the end of the context.

    :raises DependencyError: it declares what the host does not have, unless dependencies are not checked.
    :raises HostError: dpkg's database does not fit together, or is being changed.
    :raises OutputError: the cache can't be written.
    """
    asked = wanted(inputs)

    def make(place: Path) -> Made:
        _await_dpkg(tell)
        tell(_MAKING)
        database, closure = resolve(asked)
        lines = dependencies.complaints(closure)
        if lines and not inputs.options.unchecked:
            raise dependencies.refuse(inputs.source, inputs.options, lines)
        chosen = [database.packages[package] for package in closure.packages]
        # As dpkg sorts its database, which others list as they find it.
        packages = sorted(chosen, key=lambda package: (package.name, package.architecture))
        contents = _laid_out(place, packages, inputs)
        return Made({package.id: package.version for package in packages}, lines, contents)

    _await_dpkg(tell)
    key = views.key_of(
        {**asdict(asked), "profiles": sorted(asked.profiles), "links": dict(inputs.host.root_names)}
    )
    with ExitStack() as stack:
        with interruptions():  # what is being made is removed, whatever the signal
            view = stack.enter_context(
                views.opened(places.cache(inputs.settings) / "views", key, make, lambda: tell(_WAITING))
            )
        if view.missing and not inputs.options.unchecked:
            raise dependencies.refuse(inputs.source, inputs.options, view.missing)
        yield view


def _await_dpkg(tell: Tell) -> None:
    """Wait while dpkg is at work, which a run of hours may meet: it would be an error a moment later."""
    end = time.monotonic() + _PATIENCE
    if is_at_work():
        tell(_AT_WORK)
    while is_at_work() and time.monotonic() < end:
        time.sleep(_PAUSE)


def _laid_out(place: Path, packages: Sequence[Package], inputs: Inputs) -> Contents:
    from bwbuild.root import declared, remaking  # noqa: PLC0415 - a view from the cache needs none of it

    try:
        return declared.make(place, packages, inputs.host.root_names)
    except remaking.NoViewError as error:
        raise _explained(error, inputs.host) from error


def _explained(error: BwbuildError, host: Host) -> HostError:
    from bwbuild.host import causes, probes  # noqa: PLC0415 - only a refusal needs them

    answer = causes.Answer(1, "\n".join(error.details))
    why = causes.cause_of(answer, probes.read_conditions(host))
    return advice((Finding.because("view", answer.line, why),), error.details)


def wanted(inputs: Inputs) -> Wanted:
    """What the build asks of this machine."""
    return dependencies.wanted(
        inputs.source, inputs.options, inputs.host.architecture, inputs.caller_environment
    )


def resolve(asked: Wanted) -> tuple[Database, Closure]:
    """What dpkg has installed, and the closure of what is asked for in it."""
    from bwbuild.deb.closure import close  # noqa: PLC0415 - a view from the cache needs neither
    from bwbuild.deb.database import read_database  # noqa: PLC0415

    database = read_database()
    return database, close(database, asked)
