"""What was learned of a program, kept beside its home; and what of this machine it looked for in vain."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from bwbuild.errors import ConfigurationError, UsageError
from bwbuild.permissions.words import Permission, meant, parse
from bwbuild.sandbox.program import HOME
from bwbuild.tryout.grants import Granted
from bwbuild.tryout.homes import Home
from bwbuild.tryout.learned import Learned

_VERSION = 1
#: Places that a root has itself, whatever this machine has there.
_OF_ROOTS = (
    "usr",
    "etc",
    "bin",
    "sbin",
    "lib",
    "var",
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "boot",
    "root",
    "opt",
)
#: Paths that are looked for on this machine.
_MOST = 20_000


def write(home: Home, found: Learned) -> None:
    """Keep it for the next run."""
    record = {
        "version": _VERSION,
        "permissions": [str(permission) for permission in found.permissions],
        "opened": list(found.opened),
        "contacted": list(found.contacted),
        "asked": list(found.asked),
    }
    new = home.learned.with_suffix(".new")
    new.write_text(json.dumps(record, indent=1), encoding="utf-8")
    new.replace(home.learned)


def only(learned: Path, granted: Granted) -> Granted:
    """What was learned and is not denied, and nothing else.

    :param learned: the record of an earlier run.
    :raises UsageError: nothing was learned, or more is granted.
    :raises ConfigurationError: the record can't be read.
    """
    try:
        record = json.loads(learned.read_text(encoding="utf-8"))
        permissions = tuple(parse(word) for word in record["permissions"])
    except FileNotFoundError:
        raise UsageError(
            "nothing was learned of this program", hint="run it with --learn and what it needs first"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{learned} can't be read: {error}", hint="--learn writes it anew") from None
    meanings = granted.places
    known = [meant(item, meanings) for item in permissions]
    beyond = [item for item in granted.permissions if not _covered(meant(item, meanings), known)]
    if beyond:
        raise UsageError(
            f"{beyond[0]} is more than what was learned", hint="leave it out, or leave out --only-learned"
        )
    return granted.with_only(permissions)


def _covered(item: Permission, permissions: Iterable[Permission]) -> bool:
    return any(other.covers(item) for other in permissions)


def hidden(paths: Iterable[str]) -> dict[str, str]:
    """Paths that a program looked for in vain and that this machine has -> how a permission names them."""
    home = os.path.realpath(os.environ.get("HOME", "/"))
    found = {}
    below = f"{home.rstrip('/')}/"
    for path in islice(paths, _MOST):
        if path.startswith(f"{HOME}/"):
            # Settings of its own are its home's; what else it looks for there may be the caller's.
            name = os.path.normpath(path.removeprefix(f"{HOME}/"))
            if not name.startswith(".") and os.path.lexists(below + name):
                found[path] = f"~/{name}"
            continue
        top, clean = path.split("/")[1], os.path.normpath(path)
        is_own = top in _OF_ROOTS or top.startswith("lib")
        if (is_own and not clean.startswith(below)) or ".." in path.split("/"):
            continue
        if os.path.lexists(path):
            found[path] = f"~/{clean.removeprefix(below)}" if clean.startswith(below) else clean
    return found
