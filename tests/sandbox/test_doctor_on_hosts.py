"""The doctor on this machine, and on ones that lack something: each is made of this one by a namespace."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Desk, Done, as_root, discard, make_desk, need

#: A command that a lacking namespace runs must end; a doctor that waits for ever is ill itself.
SECONDS = 60
WITHOUT_NAMESPACES = ("bwrap", "--dev-bind", "/", "/", "--unshare-user", "--disable-userns")


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A desk that other ids can reach too, which they can't below pytest's own directory."""
    need("bwrap", "dpkg-buildpackage")
    with tempfile.TemporaryDirectory(prefix="bwbuild-test.", dir="/var/tmp") as directory:
        top = Path(directory)
        top.chmod(0o755)
        made = make_desk(top / "desk")
        yield made
        discard(made.scratch)


def within(desk: Desk, before: tuple[str, ...], *words: str) -> Done:
    """Run the command behind the words of another one."""
    done = subprocess.run(
        [*before, *desk.argv(*words)],
        cwd=desk.tree,
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def mounted(commands: str) -> tuple[str, ...]:
    """The words for a mount namespace with further mounts."""
    return ("unshare", "--mount", "sh", "-euc", f'{commands}\nexec "$@"', "sh")


def rows(done: Done) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in json.loads(done.out)}


def test_this_machine_is_well(desk: Desk) -> None:
    done = desk.ok("doctor", "--json")
    found = rows(done)
    assert not [row for row in found.values() if row["status"] == "failed"]
    for name in ("user namespace", "identity", "overlay", "network namespace", "/proc", "sandbox", "output"):
        assert found[name]["status"] == "ok", found[name]
    assert desk.left() == []
    assert "a build can start here" in desk.ok("doctor").out


def test_no_namespace_can_be_made(desk: Desk) -> None:
    if os.getuid() == 0:
        pytest.skip("bwrap gives root one id only, with which dpkg does not run")
    done = within(desk, WITHOUT_NAMESPACES, "doctor", "--json")
    assert done.status == 4, done.both
    found = rows(done)
    assert "No space left on device" in found["user namespace"]["what"]
    assert found["user namespace"]["remedy"]
    build = within(desk, WITHOUT_NAMESPACES, "--no-sign")
    assert build.status == 4, build.both
    assert found["user namespace"]["cause"] in build.err
    assert found["user namespace"]["remedy"] in build.err
    assert desk.left() == []


@as_root
def test_root_is_refused_a_namespace(desk: Desk) -> None:
    """The one who would write root's id map must not wait for a process that never came to be."""
    pid = desk.top / "pid"
    lacking = (
        *("unshare", "--user", "--keep-caps", "sh", "-euc"),
        f"echo $$ > {pid}; until grep -q . /proc/self/uid_map; do sleep 0.02; done\n"
        'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"',
        "sh",
    )
    child = subprocess.Popen(
        [*lacking, *desk.argv("run", "--", "true")],
        cwd=desk.tree,
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    while not (pid.exists() and pid.read_text()):
        time.sleep(0.02)
    for name in ("gid_map", "uid_map"):
        Path("/proc", pid.read_text().strip(), name).write_text("0 0 4000000000\n")
    error = child.communicate(timeout=SECONDS)[1]
    assert child.returncode == 4
    assert "user.max_user_namespaces is 0" in error


@as_root
def test_bubblewrap_is_missing(desk: Desk) -> None:
    layers = desk.top / "layers"
    hidden = mounted(
        f"mkdir {layers}; mount -t tmpfs none {layers}; mkdir {layers}/upper {layers}/work\n"
        f"mknod {layers}/upper/bwrap c 0 0\n"
        f"mount -t overlay -o lowerdir=/usr/bin,upperdir={layers}/upper,workdir={layers}/work none /usr/bin"
    )
    done = within(desk, hidden, "doctor", "--json")
    assert done.status == 4, done.both
    assert rows(done)["bubblewrap"]["remedy"] == "sudo apt install bubblewrap"
    layers.rmdir()
    # The declared view can't be mounted over what is mounted below /usr here.
    build = within(desk, hidden, "--no-sign", "--view", "host")
    assert build.status == 4, build.both
    assert "sudo apt install bubblewrap" in build.err


@as_root
def test_covered_proc(desk: Desk) -> None:
    covered = mounted("mount --bind /dev/null /proc/kallsyms")
    done = within(desk, covered, "doctor", "--json")
    assert done.status == 4, done.both
    found = rows(done)
    assert "Can't mount proc" in found["/proc"]["what"]
    assert found["overlay"]["status"] == "ok"
    assert found["/proc"]["cause"] in within(desk, covered, "run", "--", "true").err


@as_root
def test_hidepid_does_not_matter(desk: Desk) -> None:
    done = within(desk, mounted("mount -t proc -o hidepid=invisible proc /proc"), "doctor", "--json")
    assert done.status == 0, done.both
    assert "hidepid=invisible" in rows(done)["/proc"]["what"]


@as_root
def test_full_scratch(desk: Desk) -> None:
    desk.scratch.mkdir()
    full = mounted(f"mount -t tmpfs -o size=1m none {desk.scratch}")
    done = within(desk, full, "doctor", "--json")
    assert done.status == 4, done.both
    assert "--scratch DIR" in rows(done)["scratch"]["remedy"]


@as_root
def test_scratch_on_an_overlay(desk: Desk) -> None:
    desk.scratch.mkdir()
    layers = desk.top / "layers"
    overlay = mounted(
        f"mkdir {layers}; mount -t tmpfs none {layers}; mkdir {layers}/upper {layers}/work {layers}/lower\n"
        f"cd {layers}; mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none {desk.scratch}\n"
        f"cd {desk.tree}"
    )
    done = within(desk, overlay, "doctor", "--json")
    assert done.status == 0, done.both
    assert rows(done)["overlay on disk"]["status"] == "info"
    assert rows(done)["sandbox"]["status"] == "ok"


@as_root
def test_scratch_that_other_ids_cannot_reach(desk: Desk) -> None:
    desk.home.chmod(0o700)
    done = desk.run("doctor", "--json", "--scratch", desk.home / "scratch")
    assert done.status == 4, done.both
    assert "may not pass all directories above" in rows(done)["sandbox"]["cause"]
