"""What is said after a run: pure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator

from bwbuild.build.watch.limits import Limits, Seen
from bwbuild.permissions.words import Permission
from bwbuild.sandbox.spec import Guest
from bwbuild.tryout.bus import Calls
from bwbuild.tryout.learned import Learned, refused_methods
from bwbuild.tryout.values import Account, Refused
from bwbuild.units import human_size

#: Lines of one kind that are shown.
_SHOWN = 12
#: What nobody watches, without --learn and with it.
BLIND = ("which files, connections and system calls were refused; --learn records the first two",)
BLIND_AT_CALLS = ("which other system calls the filter refused",)
_SIGNS = {"+": "new", "~": "changed", "-": "removed"}


def lines(account: Account) -> Iterator[str]:
    """The sentences, one a line; names in them are what the program made of them."""
    if not account.ran:
        yield from account.notes
        return
    if account.ended:
        yield account.ended
    for title, width, height in account.windows:
        yield f"window {title!r}, {width}x{height}"
    if account.left:
        many = [f"{name} ({times})" if times > 1 else name for name, times in Counter(account.left).items()]
        yield (
            f"still running when the command had ended, and ended with the sandbox: {', '.join(many)};"
            " a program that goes into the background has an option to stay in front, mostly"
        )
    yield from _written(account)
    for refused in account.refused:
        yield f"refused: {refused.what}" + (f" ({refused.times} times)" if refused.times > 1 else "")
    if not account.refused:
        yield "nothing is known to have been refused"
    for what in account.blind:
        yield f"not known: {what}"
    yield from account.notes


def _written(account: Account) -> Iterator[str]:
    found = account.written
    if not found:
        yield "nothing was written in the home"
        return
    yield f"written in the home: {len(found)} files"
    for sign, path, size in found[:_SHOWN]:
        yield f"  {_SIGNS[sign]}: {path}" + (f" ({human_size(size)})" if sign != "-" else "")
    if len(found) > _SHOWN:
        yield f"  and {len(found) - _SHOWN} more"


def refused_by_limits(seen: Seen, limits: Limits) -> tuple[Refused, ...]:
    """What a program had to do without that was not ended for it, which is no matter of a trace."""
    found = []
    most = limits.processes
    if most is not None and (seen.refused or seen.tasks >= most):
        found.append(f"more than {most} processes; --limit-processes NUMBER allows it more")
    sizes = {"/tmp": ("tmp", limits.tmp), "/var/tmp": ("tmp", limits.tmp), "/dev/shm": ("shm", limits.shm)}
    for place, (name, size) in sizes.items():
        if Guest(place) in seen.full and size is not None:
            found.append(f"more than {human_size(size)} in {place}; --limit-{name} SIZE makes it larger")
    return tuple(Refused(what, 1) for what in found)


def refused_by_bus(calls: Calls | None) -> tuple[Refused, ...]:
    """What the proxy refused."""
    if calls is None:
        return ()
    names = (Refused(str(what), times) for what, times in calls.refused.items())
    return (*names, *(Refused(what, times) for what, times in refused_methods(calls).items()))


def refused(found: Learned) -> tuple[Refused, ...]:
    """What was refused in a run that was traced."""
    wanted = tuple(
        Refused(f"{permission}, which is not granted", times) for permission, times in found.wanted.items()
    )
    return wanted + tuple(Refused(what, times) for what, times in list(found.refused.items())[:_SHOWN])


def proposal(found: Learned) -> Iterator[str]:
    """What a traced run has shown, and which permissions it needs."""
    yield (
        f"opened {len(found.opened)} files, contacted {len(found.contacted)} addresses,"
        f" asked {len(found.asked)} names of the bus"
    )
    for permission in found.idle:
        yield f"not used: {permission}"
    words = _options(found.permissions)
    yield f"what it needs of what it had: {words or 'nothing'}; --only-learned holds the next run to that"
    more = _options(found.wanted)
    if more:
        yield f"what it looked for besides: {more}"


def _options(permissions: Iterable[Permission]) -> str:
    return " ".join(f"--allow {shlex.quote(str(permission))}" for permission in permissions)
