"""share=network: denied in one line, granted through pasta, and nothing but that leads out."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_suites import MIRROR, OWN
from support import Desk, Rules, as_user, discard, make_desk, need
from world import (
    ABSTRACT_FETCH,
    FETCH,
    LOOPBACK_PORT,
    NEAR,
    PORT,
    ROOT_OF_ALL,
    SERVER,
    SERVER_NAME,
    make_world,
)

pytestmark = as_user

ASKS = """\
[[request]]
permission = "share=network"
reason = "it fetches from a server"
for = "{purpose}"
"""
#: Fetches by name, and then tries what must not be reached.
TRIES = f"""\
fetch() {{ {FETCH}; }}
fetch {SERVER_NAME} {PORT} > fetched || exit 3
for place in '127.0.0.1 {LOOPBACK_PORT}' '{NEAR} {LOOPBACK_PORT}' '{SERVER} {LOOPBACK_PORT}'; do
  if fetch $place; then exit 4; fi
done
if {ABSTRACT_FETCH}; then exit 5; fi
cat fetched
"""


def asking(desk: Desk, purpose: str = "build") -> None:
    (desk.tree / "debian" / "bwbuild.toml").write_text(ASKS.format(purpose=purpose), encoding="utf-8")
    (desk.tree / "tries").write_text(TRIES, encoding="utf-8")


def test_a_build_that_fetches(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world")
    desk = make_desk(tmp_path / "desk", Rules(during="(cd /tmp && sh $OLDPWD/tries)"))
    asking(desk)
    options = ("-b", "--no-sign", "--keep", "never", "--identity", "single", "--report", desk.top / "report")
    denied = world.run(desk, *options)
    assert denied.status == 10, denied.both
    (line,) = (line for line in denied.err.splitlines() if "warning: denied" in line)
    assert "share=network (it fetches from a server); bwbuild grant tiny share=network grants it" in line
    assert desk.report(desk.top / "report")["network"] is None
    granted = world.run(desk, *options, "--allow", "share=network")
    assert granted.status == 0, granted.both
    assert "\nfrom the server\n" in desk.log()
    report = desk.report(desk.top / "report")
    assert SERVER_NAME in report["network"]["names"]
    reached = {(item["address"], item["port"]): item for item in report["network"]["addresses"]}
    assert reached[SERVER, PORT]["name"] == SERVER_NAME
    assert reached[SERVER, PORT]["answered"]
    assert (report["permissions"][0]["used"], report["permissions"][0]["asked"]) == ("yes", True)
    assert f"sent to {SERVER}:{PORT}/tcp ({SERVER_NAME})" in desk.log()


def test_a_network_that_nobody_used(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world")
    desk = make_desk(tmp_path / "desk")
    report = desk.top / "report"
    options = (
        "-b",
        "--no-sign",
        "--keep",
        "never",
        "--identity",
        "single",
        "--report",
        report,
        "--allow",
        "share=network",
    )
    done = world.run(desk, *options)
    assert done.status == 0, done.both
    (use,) = desk.report(report)["permissions"]
    assert (use["used"], use["asked"], use["granted"]) == ("no", False, True)
    assert "nobody was contacted" in desk.log()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other ids come through, as those of the world's root have to."""
    made = Path(tempfile.mkdtemp(prefix="bwbuild-network-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    subprocess.run([*ROOT_OF_ALL, "rm", "-rf", made], check=True)


@pytest.mark.long
def test_tests_that_fetch(place: Path) -> None:
    world = make_world(place / "world")
    desk = make_desk(place / "desk")
    desk = Desk(desk.top, more={"BWBUILD_CACHE": str(place / "cache"), "BWBUILD_BASE_MIRROR": MIRROR})
    asking(desk, "tests")
    tests = desk.tree / "debian" / "tests"
    tests.mkdir()
    # With no dependency: apt would want ids that this namespace of a namespace lacks.
    text = "Tests: downloader\nDepends:\nRestrictions: needs-internet, allow-stderr\n"
    (tests / "control").write_text(text)
    (tests / "downloader").write_text(f'#!/bin/sh\ncd "$AUTOPKGTEST_TMP"\n{TRIES}')
    words = ("-d", OWN, "-b", "--no-sign", "--autopkgtest", "--report", str(desk.top / "report"))
    # Bases and layers are made with the machine's own network, by the root that the world has.
    first = subprocess.run(
        [*ROOT_OF_ALL, *desk.argv(*words, "--allow", "share=network")],
        cwd=desk.tree,
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert first.returncode == 0, first.stdout + first.stderr
    denied = world.run(desk, *words, "--no-fetch")
    assert denied.status == 0, denied.both
    assert "denied: the network, which downloader of the tests would need; bwbuild grant" in denied.err
    (check,) = desk.report(desk.top / "report")["checks"]
    assert check["verdict"] == "skip"
    granted = world.run(desk, *words, "--no-fetch", "--allow", "share=network")
    report = desk.report(desk.top / "report")
    assert report["checks"][0]["verdict"] == "pass", granted.both + desk.log()
    assert SERVER_NAME in report["network_of_tests"]["names"]
    assert report["network"] is None, "the build itself has no network"
    assert [(use["purpose"], use["used"]) for use in report["permissions"]] == [("tests", "yes")]


#: Starts a command, ends it at some moment, and tells which of its descendants are there afterwards: all of
#: them come to this process when their parents are gone.
ENDED = """\
import ctypes, os, signal, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
number, delay, *words = sys.argv[1:]
streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
child = subprocess.Popen(words, **streams)
time.sleep(float(delay))
child.send_signal(int(number))
child.wait()
# What is left of one that was killed may take a moment to be gone; one that could clean up leaves nothing.
end = time.monotonic() + (30 if int(number) == signal.SIGKILL else 0)
while True:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        sys.exit(0)
    if time.monotonic() >= end:
        sys.exit("a process is left")
    time.sleep(0.01)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda n: n.name)
def test_no_helper_outlives_a_build(number: signal.Signals, tmp_path: Path) -> None:
    make_world(tmp_path / "world")
    desk = make_desk(tmp_path / "desk")
    moments = random.Random(int(os.environ.get("BWBUILD_SOAK_SEED", "1")) + number)  # noqa: S311 - no secret
    for _ in range(4):
        delay = f"{moments.uniform(0.3, 2.0):.2f}"
        words = desk.argv("run", "--allow", "share=network", "--", "sleep", "60")
        done = subprocess.run(
            [sys.executable, "-c", ENDED, str(int(number)), delay, *words],
            cwd=desk.tree,
            env=desk.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (delay, done.stderr)
    discard(desk.scratch)  # who is killed cleans up nothing


def test_neither_helper_is_there(tmp_path: Path) -> None:
    need("pasta", "slirp4netns")
    desk = make_desk(tmp_path / "desk")
    hide = "for name in pasta slirp4netns; do mount --bind /dev/null /usr/bin/$name; done"
    words = desk.argv("run", "--identity", "single", "--allow", "share=network", "--", "true")
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{hide}; exec "$@"', "sh", *words],
        cwd=desk.tree,
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "neither pasta nor slirp4netns is installed" in done.stderr
    assert "hint: sudo apt install passt" in done.stderr


def test_slirp4netns(tmp_path: Path) -> None:
    """Where it is the only one: no record of what went over the interface, which is said."""
    world = make_world(tmp_path / "world")
    need("slirp4netns")
    desk = make_desk(tmp_path / "desk", Rules(during="(cd /tmp && sh $OLDPWD/tries)"))
    asking(desk)
    options = ("-b", "--no-sign", "--keep", "never", "--identity", "single", "--report", desk.top / "report")
    done = world.run(desk, *options, "--allow", "share=network", "--view", "host", without="pasta")
    assert done.status == 0, done.both
    report = desk.report(desk.top / "report")
    assert report["network"] is None
    assert report["permissions"][0]["used"] == "unknown"
