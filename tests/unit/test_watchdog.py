"""What a watchdog takes for the sandbox's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bwbuild.build.watch.limits import Limits
from bwbuild.build.watch.watchdog import Watchdog, Watched
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
    root = os.statvfs("/")
    used = (root.f_blocks - root.f_bfree) * root.f_frsize
    if used < 1 << 30:
        pytest.skip("there is next to nothing on the root's file system, as in the sandbox of a build")
    assert usage.memory < used
