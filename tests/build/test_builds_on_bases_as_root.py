"""Bases where root is the caller, and on disks that only root can set up: small ones and strange ones.

Run it as root: ``sudo python3 -m pytest tests/build/test_builds_on_bases_as_root.py``.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_suites import LONG, OWN, Bases, made_bases
from support import ROOT, Desk, Done, as_root

pytestmark = as_root

SMALL = 'mount -t tmpfs -o size=$SIZE,mode=755 tmpfs "$1"; shift; exec "$@"'
OVERLAY = (
    'mount -t tmpfs tmpfs "$1"; mkdir "$1/l" "$1/u" "$1/w";'
    ' mount -t overlay overlay -o "lowerdir=$1/l,upperdir=$1/u,workdir=$1/w" "$1"; shift; exec "$@"'
)


@pytest.fixture(scope="module")
def top() -> Iterator[Path]:
    """A directory that ids of nobody can reach, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="bwbuild-test-"))
    path.chmod(0o755)
    program = path / "program"
    shutil.copytree(ROOT / "bwbuild", program / "bwbuild", ignore=shutil.ignore_patterns("__pycache__"))
    yield path
    subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


@pytest.fixture(scope="module")
def bases(top: Path) -> Iterator[Bases]:
    with made_bases(top / "suites") as made:
        yield made


@pytest.fixture
def place(top: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=top))
    path.chmod(0o755)
    yield path
    subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


def desk_for(bases: Bases, place: Path, depends: str) -> Desk:
    return replace(bases.desk(place, depends=depends), program=bases.top.parent / "program")


def run_on(script: str, desk: Desk, place: Path, *words: str, bases: bool = True) -> Done:
    """Run the command where the cache is on what the script mounts; ``bases``: with those of all tests."""
    odd = place / "odd"
    odd.mkdir()
    links = f'ln -s "{place}/cache/bases" "{place}/cache/archives" "{odd}";' if bases else ""
    full = script.replace('exec "$@"', f'{links} exec "$@"')
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", full, "sh", odd, *desk.argv(*words)],
        env=desk.environment | {"BWBUILD_CACHE": str(odd)},
        cwd=desk.tree,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_build_of_root(bases: Bases, place: Path) -> None:
    desk = desk_for(bases, place, "bwt-owner")
    desk.ok("-d", OWN, "-b", "--no-sign")
    for name in ("tiny_1_all.deb", "tiny_1_amd64.changes"):
        status = (desk.parent / name).stat()
        assert (status.st_uid, status.st_gid) == (0, 0)
    (root,) = (bases.cache / "bases").glob(f"{OWN}-*/root")
    first = (root / "etc" / "passwd").stat().st_uid
    assert first >= 100000, "root of a base is not root of this machine"
    assert {path.lstat().st_uid for path in (root / "usr" / "bin").iterdir()} == {first}
    (layer,) = (place / "cache" / "layers").glob("*/upper")
    owned = (layer / "usr" / "share" / "bwt-owner").stat()
    assert (owned.st_uid, owned.st_gid) == (first + 5, first + 8)


def test_root_inside_is_not_root_outside(bases: Bases, place: Path) -> None:
    desk = desk_for(bases, place, "bwt-good")
    map_of = desk.ok("root", "shell", OWN, "--", "cat", "/proc/self/uid_map").out.split()
    assert int(map_of[0]) == 0
    assert int(map_of[1]) >= 100000
    script = "echo 60 > /proc/sys/vm/swappiness"
    assert desk.run("root", "shell", OWN, "--", "sh", "-c", script).status != 0
    probe = desk.top / "of-root"
    probe.write_text("x")
    probe.chmod(0o600)
    assert str(probe) not in desk.inside("cat /proc/self/mountinfo", "-d", OWN)


def test_no_room_for_a_base(bases: Bases, place: Path) -> None:
    desk = desk_for(bases, place, "")
    done = run_on(SMALL.replace("$SIZE", "60m"), desk, place, "root", "create", OWN, bases=False)
    assert done.status == 14, done.both
    assert "No space left on device" in done.err
    assert "hint: free some space" in done.err


@pytest.mark.parametrize("size", ["16k", "400k", "20m"])
def test_no_room_for_a_layer(bases: Bases, place: Path, size: str) -> None:
    desk = desk_for(bases, place, "python3")
    # Without a reserve: whether dpkg or the watchdog is first to see a disk that is nearly full is chance.
    done = run_on(SMALL.replace("$SIZE", size), desk, place, "-d", OWN, "-b", "--limit-disk-reserve", "never")
    assert done.status == 14, done.both
    assert "No space left on device" in done.err
    assert "hint: free some space" in done.err
    assert "Traceback" not in done.err
    assert desk.published() == []


def test_layer_that_leaves_less_than_the_reserve(bases: Bases, place: Path) -> None:
    desk = desk_for(bases, place, "python3, bwt-slow")
    done = run_on(SMALL.replace("$SIZE", "60m"), desk, place, "-d", OWN, "-b", "--limit-disk-reserve", "50M")
    assert done.status == 11, done.both
    assert "the installation: killed: " in done.err
    assert "50 MiB have to be" in done.err
    assert "hint: free some space" in done.err
    assert desk.published() == []
    assert list((place / "odd" / "layers").glob("*")) == [], "half a layer stays"


def test_cache_that_carries_no_layers(bases: Bases, place: Path) -> None:
    desk = desk_for(bases, place, "bwt-good")
    done = run_on(OVERLAY, desk, place, "-d", OWN, "-b")
    assert done.status == 4, done.both
    assert "(overlay) that can't carry the layers of a base" in done.err
    assert "--cache DIR" in done.err
