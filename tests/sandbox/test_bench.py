"""The bench of checks: what is seen of it from outside."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support import as_user, make_root, need

from bwbuild.checks.bench import Bench, Room
from bwbuild.host.facts import read_host
from bwbuild.root.bounds import NO_BOUNDS
from bwbuild.root.ground import Base
from bwbuild.root.suite import Suite
from bwbuild.sandbox.identity import choose
from bwbuild.sandbox.permits import Permits

pytestmark = as_user

VALUE = "it's s3cr3t\n and $(false) has two lines "


def shown(secret: str) -> list[str]:
    """What the command lines of all processes have of it; and the files of the cache that others can read."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if secret in place.read_text(errors="replace"):
                found.append(str(place))
    return found


@pytest.mark.parametrize("as_root", [True, False])
def test_a_variable_that_may_be_secret(as_root: bool, tmp_path: Path) -> None:
    need("bwrap", "newuidmap")
    host = read_host()
    make_root(tmp_path / "base" / "root", *("sh", "cat", "chown", "cp", "env", "mkdir", "setpriv", "sleep"))
    base = Base(tmp_path / "base", Suite("none", host.architecture), choose(host, None), "none", time.time())
    seen: list[str] = []

    def look(_: bytes) -> None:
        seen.extend(shown("s3cr3t"))
        for file in (tmp_path / "cache").rglob("*"):
            with suppress(OSError):
                mode = file.lstat().st_mode
                if file.is_file() and mode & 0o044 and b"s3cr3t" in file.read_bytes():
                    seen.append(os.fspath(file))

    cache = tmp_path / "cache"
    bench = Bench(base, cache, lambda _: None, look, bounds=NO_BOUNDS, installing=NO_BOUNDS)
    permits = Permits(environment={"TOKEN": VALUE}, secret=frozenset({"TOKEN"}))
    room = Room((), {}, as_root=as_root, permits=permits)
    ended = bench.run(("sh", "-c", 'echo "<$TOKEN>"; sleep 0.2; echo "$HOME"'), room)
    assert ended.text == f"<{VALUE}>\n/home/check\n"
    assert seen == []
