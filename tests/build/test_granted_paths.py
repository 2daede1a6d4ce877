"""Granted paths that somebody replaces after they were looked at, with the real command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import Desk, Rules, as_user, make_desk, make_root, wait_for
from test_dry_run import by_hand

from bwbuild.errors import ConfigurationError
from bwbuild.host import available
from bwbuild.host.facts import read_host
from bwbuild.permissions.asked import FILE
from bwbuild.permissions.words import parse
from bwbuild.root.bounds import NO_BOUNDS
from bwbuild.root.chamber import Chamber
from bwbuild.sandbox.identity import choose
from bwbuild.sandbox.permits import Available, Permits, permits

pytestmark = as_user

ASKED = '[[request]]\npermission = "{}"\nreason = "it is needed"\nfor = "{}"\n'
HIDDEN = "HIDDEN"
READ = "cat $HOME_OF_USER/data/file || true"


def make(top: Path, during: str) -> Desk:
    """A desk whose user has a secret, data, and a directory that builds may write."""
    home = top / "home"
    desk = make_desk(top, Rules(during=during.replace("$HOME_OF_USER", str(home))))
    for name, text in {"data": "DATA", "secret": HIDDEN}.items():
        (home / name).mkdir()
        (home / name / "file").write_text(f"{text}\n", encoding="ascii")
    (home / "w" / "sub").mkdir(parents=True)
    return desk


def swap(home: Path) -> None:
    """What somebody does who can write there."""
    (home / "data").rename(home / "gone")
    (home / "data").symlink_to("secret")


def test_what_was_put_there_later_is_not_mounted(tmp_path: Path) -> None:
    desk = make(tmp_path / "desk", READ)
    script = desk.ok("--dry-run", "-b", "--allow", "filesystem=~/data").out
    done, _ = by_hand(script, desk)
    assert done.returncode == 0, done.stderr
    assert "DATA" in done.stdout
    swap(desk.home)
    done, _ = by_hand(script, desk)
    assert done.returncode == 1
    assert f"{desk.home}/data is not what was granted any more" in done.stderr
    assert HIDDEN not in done.stdout + done.stderr


def test_a_second_attempt_looks_again(tmp_path: Path) -> None:
    """What fills its workspace in memory is built once more, on disk."""
    place = "$HOME_OF_USER/w"
    wait = f"touch {place}/ready; while ! [ -e {place}/go ]; do sleep 0.1; done"
    desk = make(tmp_path / "desk", f"{wait}; {READ}; head -c 100M /dev/zero > fill")
    allowed = ("--allow", "filesystem=~/data", "--allow", "filesystem=~/w:rw")
    child = desk.start("-b", "--no-sign", "--workspace-memory", "32M", *allowed)
    wait_for((desk.home / "w/ready").exists)
    swap(desk.home)
    (desk.home / "w/go").touch()
    output, _ = child.communicate(timeout=60)
    assert (child.returncode, b"building once more" in output) == (3, True), output
    assert "DATA" in desk.log()
    assert HIDDEN not in desk.log()


def test_each_build_of_policy_looks_again(tmp_path: Path) -> None:
    place = "$HOME_OF_USER/w"
    wait = f"touch {place}/ready; while ! [ -e {place}/go ]; do sleep 0.1; done"
    desk = make(tmp_path / "desk", f"{wait}; {READ}")
    wanted = ("filesystem=~/data", "filesystem=~/w:rw")
    (desk.tree / FILE).write_text("".join(ASKED.format(item, "build") for item in wanted), encoding="utf-8")
    for permission in wanted:
        desk.ok("grant", ".", permission)
    child = desk.start("policy", "--only", "reproducible")
    wait_for((desk.home / "w/ready").exists)
    swap(desk.home)
    (desk.home / "w/go").touch()
    output, _ = child.communicate(timeout=60)
    assert (child.returncode, b"not what was granted any more" in output) == (3, True), output
    assert HIDDEN.encode() not in output


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("~/w:rw", "build"), ("~/w/sub", "build")),
        (("~/w:rw", "build"), ("~/w/sub", "tests")),
        (("~/w:rw", "tests"), ("~/w/sub/file:rw", "build")),
    ],
)
def test_nothing_below_what_is_written(one: tuple[str, str], other: tuple[str, str], tmp_path: Path) -> None:
    desk = make(tmp_path / "desk", "true")
    (desk.home / "w/sub/file").touch()
    both = [(f"filesystem={path}", purpose) for path, purpose in (one, other)]
    (desk.tree / FILE).write_text("".join(ASKED.format(*item) for item in both), encoding="utf-8")
    for permission, _ in both:
        desk.ok("grant", ".", permission)
    done = desk.run("-b", "--no-sign", "--autopkgtest")
    assert done.status == 3, done.both
    assert f"{desk.home}/w is granted with :rw as well" in done.err
    assert f"bwbuild revoke tiny '{parse(both[1][0])}'" in done.err
    assert desk.published() == []


def test_a_chamber_has_what_was_looked_at(tmp_path: Path) -> None:
    """Where the tests of a source run."""
    make_root(tmp_path / "root", "sh", "cat")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("DATA\n", encoding="ascii")
    around = available.Around(tmp_path, {})
    item = parse("filesystem=~/data")
    found = available.look([item], around)
    given = permits([item], Available(paths=found.paths, looked=found.looked))

    def seen(given: Permits, name: str) -> bytes:
        (tmp_path / name).mkdir()
        output = bytearray()
        chamber = Chamber(
            choose(read_host(), None), tmp_path / name, tmp_path / "root", NO_BOUNDS, permits=given
        )
        chamber.watch(["cat", f"{tmp_path}/data/file"], output.extend)
        return bytes(output)

    assert seen(given, "one") == b"DATA\n"
    subprocess.run(["mv", "data", "gone"], cwd=tmp_path, check=True)
    (tmp_path / "data").symlink_to("gone")
    with pytest.raises(ConfigurationError, match="not what was granted any more"):
        seen(given, "other")
