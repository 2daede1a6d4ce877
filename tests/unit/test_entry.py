"""Where the commands begin, with streams that the caller has closed."""

from __future__ import annotations

import subprocess

import pytest
from support import COMMAND, ROOT


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}
    words = ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, "config"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in closed)
