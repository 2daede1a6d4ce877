"""How the launchers' scripts mount what its owner alone may enter: pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from bwbuild.sandbox.spec import Handed, Identity

# mount(8) does nothing for whom it takes for an ordinary user. 4096 is MS_BIND.
_BIND = """\
import ctypes, os, sys
source, target = map(os.fsencode, sys.argv[1:])
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(source, target, None, ctypes.c_ulong(4096), None):
    sys.exit(f"{sys.argv[1]} can't be mounted: {os.strerror(ctypes.get_errno())}")
"""


def lines(handed: Handed, identity: Identity) -> Iterator[str]:
    """The lines that mount it at its place, as who is the build user inside."""
    yield f"mkdir -p {handed.place.name}; chown {identity.uid}:{identity.gid} {handed.place.name}"
    user = f"--reuid={identity.uid} --regid={identity.gid} --clear-groups"
    capability = "--inh-caps=+sys_admin --ambient-caps=+sys_admin"
    words = shlex.join((str(handed.source), handed.place.name))
    yield f"setpriv {user} {capability} -- python3 -I -c {shlex.quote(_BIND)} {words}"
