"""What the tests of publishing look at: an output directory before and after."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_changes import ORIG

from bwbuild.errors import OutputError
from bwbuild.handover.publish import publish
from bwbuild.handover.verify import Verified


def contents(directory: Path) -> dict[str, bytes]:
    """Everything in ``directory``, hidden names too; a directory is empty bytes."""
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in directory.iterdir()}


def old_files(output: Path, verified: Verified) -> dict[str, bytes]:
    for artifact in verified.artifacts:
        if artifact.name != ORIG:
            (output / artifact.name).write_bytes(b"old " + artifact.name.encode())
    return contents(output)


def new_files(verified: Verified) -> dict[str, bytes]:
    return {artifact.name: artifact.path.read_bytes() for artifact in verified.artifacts}


def refused(verified: Verified, output: Path) -> OutputError:
    """The error, which must leave ``output`` and the quarantine as they were, and nothing opened."""
    before, kept = contents(output), contents(verified.directory)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OutputError) as caught:
        publish(verified, output)
    assert contents(output) == before
    assert contents(verified.directory) == kept
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
    assert caught.value.hint
    return caught.value
