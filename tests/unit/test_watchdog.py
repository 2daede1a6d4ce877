from __future__ import annotations

import os
from pathlib import Path

from bwbuild.build.watchdog import sandboxed
from bwbuild.sandbox.spec import Guest


def test_the_machines_own_files_are_not_the_sandboxs() -> None:
    """Before bwrap turns to the new root, /tmp below it is the machine's, with all that lies there."""
    assert sandboxed(Path("/proc/self/root"), Guest("/tmp")) is None


def test_another_file_system_is() -> None:
    found = sandboxed(Path("/proc/self/root/proc"), Guest("/self"))
    assert found is not None
    assert found.f_blocks == os.statvfs("/proc").f_blocks
