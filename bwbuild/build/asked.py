"""Which checks are to follow a build, and what is to be said of them before it: pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bwbuild.config.settings import Settings
from bwbuild.errors import HostError
from bwbuild.events import Level, Notice
from bwbuild.sandbox.spec import Identity, IdentityKind

if TYPE_CHECKING:
    from bwbuild.build.plan import Inputs


def checks(settings: Settings) -> tuple[str, ...]:
    """The names of the checks, in their order: the cheapest first."""
    wanted = {
        "lintian": settings.lintian,
        "autopkgtest": settings.autopkgtest,
        "piuparts": settings.piuparts,
    }
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)


def limits(settings: Settings) -> tuple[str, ...]:
    """What counts as a failure, each ``CHECK=LEVEL``."""
    return tuple(limit.value for limit in settings.fail_on)


def notes(inputs: Inputs, identity: Identity) -> tuple[Notice, ...]:
    """What to say before the build.

    :raises HostError: there can be no base, which all checks need.
    """
    wanted = checks(inputs.settings)
    if inputs.command:
        return ()
    if wanted and not inputs.options.makes_changes:
        text = f"{' and '.join(wanted)}: without a .changes there is nothing to check"
        return (Notice(Level.WARNING, text),)
    return tuple(_notes(inputs.settings, identity, on_base=inputs.ground is not None))


def _notes(settings: Settings, identity: Identity, *, on_base: bool) -> Iterator[Notice]:
    wanted = checks(settings)
    if wanted and identity.kind is IdentityKind.SINGLE:
        raise HostError(
            f"--{wanted[0]} needs a base of a suite, and that needs subordinate ids",
            hint=f"bwbuild doctor says how to get some; or --no-{wanted[0]}",
        )
    if wanted and not on_base:
        text = f"{' and '.join(wanted)}: on a base of this machine's release, since the build is on none"
        yield Notice(Level.INFO, text)
    for limit in limits(settings):
        name = limit.partition("=")[0]
        if name not in wanted:
            yield Notice(Level.WARNING, f"--fail-on {limit} decides nothing without --{name}")
