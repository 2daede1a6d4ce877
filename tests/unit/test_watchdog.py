"""What a watchdog takes for the sandbox's own."""

from __future__ import annotations

import os
from pathlib import Path

from bwbuild.build.limits import Limits
from bwbuild.build.watchdog import Watchdog, Watched
from bwbuild.events import Event, Usage
from bwbuild.sandbox.runner import Running
from bwbuild.sandbox.spec import Guest


def test_a_first_process_that_still_has_the_machines_root(tmp_path: Path) -> None:
    """Its directories are on disks, and what lies there is no memory of the build."""
    told: list[Event] = []
    watched = Watched(Limits(memory=1 << 50), tmp_path, None, (Guest("/"), Guest("/usr")))
    own = os.getpid()
    assert not Watchdog(watched, told.append).tick(Running(own, own))
    (usage,) = (event for event in told if isinstance(event, Usage))
    root = os.statvfs("/usr")  # in the sandbox of a build / is an empty tmpfs
    assert usage.memory < (root.f_blocks - root.f_bfree) * root.f_frsize
