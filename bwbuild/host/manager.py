"""The systemd of the caller's session, which can hold a build in a control group of its own.

Without a privilege there is no other way to one, unless somebody has given the caller a group.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bwbuild.process import run

#: The controllers that a limit of a build needs.
NEEDED = frozenset({"memory", "pids"})
#: Variables by which systemd-run finds the manager.
ADDRESS = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


@dataclass(frozen=True, slots=True)
class Manager:
    """A running ``systemd --user`` that may give memory and process limits to what it starts.

    :ivar address: the variables that lead to it, as pairs.
    :ivar version: of systemd; 0 where it does not say.
    """

    address: tuple[tuple[str, str], ...]
    version: int = 0


def read_manager(
    uid: int, environment: Mapping[str, str] = os.environ, groups: Path = Path("/sys/fs/cgroup")
) -> Manager | None:
    """The manager of the user ``uid``; None where none runs, or where it was given too little.

    Nothing but two looks at file systems in memory is needed where there is none.
    """
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    if not runtime or not (Path(runtime) / "systemd" / "private").exists():
        return None
    own = PurePosixPath(f"user.slice/user-{uid}.slice/user@{uid}.service")
    try:
        given = (groups / own / "cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        return None  # no unified control groups, or another place for them
    if not set(given) >= NEEDED or shutil.which("systemd-run") is None:
        return None
    address = tuple((name, environment[name]) for name in ADDRESS if environment.get(name))
    return Manager(address, parse_version(run(["systemd-run", "--version"]).text))


def parse_version(text: str) -> int:
    """The number in the first line of what ``systemd-run --version`` writes."""
    match = re.match(r"systemd (\d+)", text)
    return int(match[1]) if match else 0
