"""Publishing to a file system that is really full or read-only: a tmpfs in a namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CHILD = """
import hashlib, os, subprocess, sys
from pathlib import Path
from bwbuild.errors import OutputError
from bwbuild.handover.publish import publish
from bwbuild.handover.verify import Artifact, Verified

source, output, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", output], check=True)
names = ("foo_1_a.deb", "foo_1_b.deb", "foo_1_a.changes")
for name in names:
    (output / name).write_bytes(b"old")
if how == "read-only":
    subprocess.run(["mount", "-o", "remount,bind,ro", output], check=True)
made = []
for name in names:
    data = b"x" * 600_000
    (source / name).write_bytes(data)
    made.append(Artifact(name, len(data), hashlib.sha256(data).hexdigest(), source / name))
try:
    publish(Verified(source, made[-1], tuple(made)), output)
except OutputError as error:
    print(error.message, "|", error.hint)
assert sorted(os.listdir(output)) == sorted(names), os.listdir(output)
assert {(output / name).read_bytes() for name in names} == {b"old"}
"""


@pytest.mark.parametrize(
    ("how", "words"), [("full", "No space left"), ("read-only", "Read-only file system")]
)
def test_nothing_is_published_by_halves(tmp_path: Path, how: str, words: str) -> None:
    output, source = tmp_path / "output", tmp_path / "source"
    output.mkdir()
    source.mkdir()
    done = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            sys.executable,
            "-c",
            _CHILD,
            source,
            output,
            how,
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "unshare" in done.stderr and not os.environ.get("CI"):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    assert " | " in done.stdout
