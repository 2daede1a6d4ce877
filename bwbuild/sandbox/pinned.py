"""How the launchers' scripts mount what somebody might replace after it was looked at: pure.

bwrap finds what it binds by name, and follows links. So such a path is mounted at a place of the namespace's
own first, compared there, where nobody changes it any more, with what was looked at, and bound from there. A
descriptor that was opened before would do no better: the kernel mounts none of another mount namespace.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from bwbuild.sandbox.spec import Bind, Mount

REPLACED = "is not what was granted any more: something else was put there"


def lines(mounts: Iterable[Mount]) -> Iterator[str]:
    """The lines that mount those of ``mounts`` at their places, or end the script."""
    for mount in mounts:
        if isinstance(mount, Bind) and mount.looked:
            path, place = shlex.quote(str(mount.source)), mount.held.name
            replaced = shlex.quote(f"{mount.source} {REPLACED}")
            yield f"if [ -d {path} ]; then mkdir {place}; else : > {place}; fi"
            yield f"mount --rbind -- {path} {place}"
            yield f'[ "$(stat -c %d:%i {place})" = {mount.looked} ] || {{ echo {replaced} >&2; exit 1; }}'
