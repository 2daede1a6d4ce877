"""What only root can set up: callers without ids, odd file systems, and root as the caller himself.

Run it as root: ``sudo python3 -m pytest tests/build/test_as_root.py``.
"""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import (
    COMMAND,
    PATIENCE,
    ROOT,
    Desk,
    Done,
    Rules,
    as_root,
    discard,
    make_desk,
    make_tree,
    need,
    processes,
    snapshot,
    subordinate_options,
    wait_for,
)

pytestmark = as_root

NAME = "bwbtest"
CHECK = Rules(binary="chown games:games out; stat -c 'OWNER %U:%G' out", gain_root="binary-targets")


@pytest.fixture(autouse=True)
def _one_at_a_time() -> Iterator[None]:
    """The tests make and remove accounts, which changes /etc/subuid for all."""
    with Path("/var/tmp/bwbuild-test.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def open_desk() -> Iterator[Desk]:
    """A desk that other users can reach, which tmp_path of root is not."""
    need("bwrap", "unshare", "newuidmap")
    top = Path(tempfile.mkdtemp(prefix="bwbuild-test-"))
    top.chmod(0o755)
    # The checkout may lie in a home that nobody else may enter.
    program = top / "program"
    shutil.copytree(ROOT / "bwbuild", program / "bwbuild", ignore=shutil.ignore_patterns("__pycache__"))
    yield make_desk(top, program=program)
    subprocess.run(["rm", "-rf", top], check=True)


@pytest.fixture
def stranger() -> Iterator[pwd.struct_passwd]:
    """A user without subordinate ids, for one test."""
    subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", NAME], check=True)
    text = Path("/etc/subuid").read_text(encoding="utf-8")
    assert f"{NAME}:" not in text
    yield pwd.getpwnam(NAME)
    subprocess.run(["userdel", NAME], check=True)


@pytest.fixture
def user() -> Iterator[pwd.struct_passwd]:
    """A user with subordinate ids, for one test; those that an ordinary one gets may be in use as root's."""
    subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", NAME], check=True)
    subprocess.run(["usermod", *subordinate_options(), NAME], check=True)
    yield pwd.getpwnam(NAME)
    subprocess.run(["userdel", NAME], check=True)


def own(desk: Desk, uid: int, gid: int) -> None:
    subprocess.run(["chown", "-R", f"{uid}:{gid}", desk.top], check=True)


def run_as(who: pwd.struct_passwd, desk: Desk, *words: str | Path, before: tuple[str, ...] = ()) -> Done:
    """Run the command as another user, ``before`` it another command."""
    setpriv = ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]
    done = subprocess.run(
        [*before, *setpriv, *COMMAND, *map(str, words)],
        cwd=desk.tree,
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


# A user without subordinate ids


def test_without_ids_there_is_one_with_a_warning(open_desk: Desk, stranger: pwd.struct_passwd) -> None:
    own(open_desk, stranger.pw_uid, stranger.pw_gid)
    done = run_as(stranger, open_desk, "-b", "--report", open_desk.top / "report")
    assert done.status == 0, done.both
    warning = f"identity single ({NAME} has no subordinate ids"
    assert warning in done.both
    assert warning in open_desk.log()
    report = open_desk.report(open_desk.top / "report")
    assert report["identity"] == "single"
    assert warning in report["weakenings"][0]


def test_range_without_ids_is_an_error_with_the_remedy(open_desk: Desk, stranger: pwd.struct_passwd) -> None:
    own(open_desk, stranger.pw_uid, stranger.pw_gid)
    done = run_as(stranger, open_desk, "-b", "--identity", "range")
    assert done.status == 4
    assert f"{NAME} has no subordinate ids" in done.err
    assert re.search(rf"^hint: .*\b{NAME}:\d+:65536 \| sudo tee -a /etc/subuid /etc/subgid$", done.err, re.M)
    assert open_desk.published() == []


def test_in_place_with_a_setgid_parent(open_desk: Desk, user: pwd.struct_passwd) -> None:
    made = "mkdir made; touch made/f; chown -R games:games made; chmod 2755 made"
    rules = Rules(binary=made, gain_root="binary-targets")
    shutil.rmtree(open_desk.tree)
    make_tree(open_desk.tree, rules)
    own(open_desk, user.pw_uid, user.pw_gid)
    open_desk.parent.chmod(0o2755)
    open_desk.tree.chmod(0o2755)
    done = run_as(user, open_desk, "-b", "--in-place")
    assert done.status == 0, done.both
    wrong = [p for p in (open_desk.parent, *open_desk.parent.rglob("*")) if p.lstat().st_uid != user.pw_uid]
    assert wrong == []


def test_a_foreign_file_makes_it_a_copy(open_desk: Desk, user: pwd.struct_passwd) -> None:
    own(open_desk, user.pw_uid, user.pw_gid)
    foreign = open_desk.tree / "theirs"
    foreign.write_text("x\n")
    os.chown(foreign, 12345, 12345)
    before = snapshot(open_desk.tree)
    done = run_as(user, open_desk, "-b")
    assert done.status == 0, done.both
    assert f"since {foreign} belongs to somebody else" in open_desk.log()
    assert snapshot(open_desk.tree) == before


# Root as the caller


def test_root_of_the_sandbox_is_not_root(open_desk: Desk) -> None:
    outer = open_desk.inside("cat /proc/self/uid_map /proc/self/gid_map").split()
    assert all(int(first) > 0 for first in outer[1::3])
    script = "/run/bwbuild/as-root sh -c 'id -u; echo 60 > /proc/sys/vm/swappiness'"
    done = open_desk.run("run", "--", "sh", "-c", script)
    assert "0" in done.out.split()
    assert done.status != 0, "root inside may not write the kernel's settings"


def test_results_belong_to_root(open_desk: Desk) -> None:
    shutil.rmtree(open_desk.tree)
    make_tree(open_desk.tree, CHECK)
    before = snapshot(open_desk.tree)
    open_desk.ok("-b")
    assert "OWNER games:games" in open_desk.log()
    for name in open_desk.published():
        status = (open_desk.parent / name).lstat()
        assert (status.st_uid, status.st_gid) == (0, 0), name
        assert f"{status.st_mode & 0o7777:o}" == "644"
    assert snapshot(open_desk.tree) == before
    assert open_desk.left() == []


def test_single_as_root_warns(open_desk: Desk) -> None:
    done = open_desk.ok("-b", "--identity", "single")
    assert "warning: identity single: root inside is root of this machine" in done.both
    assert "identity single: root inside is root of this machine" in open_desk.log()


def test_in_place_as_root_is_refused(open_desk: Desk) -> None:
    before = snapshot(open_desk.tree)
    done = open_desk.run("-b", "--in-place")
    assert (done.status, "--in-place as root" in done.err) == (4, True)
    assert snapshot(open_desk.tree) == before


def test_kept_copy_goes_on(open_desk: Desk) -> None:
    open_desk.ok("-b", "--keep", "always")
    open_desk.ok("-nc")
    assert "MADE out" not in open_desk.log()
    (open_desk.tree / "input").write_text("edited\n")
    open_desk.ok("-nc", "--keep", "always")
    assert "MADE out" in open_desk.log()
    open_desk.ok("run", "-nc", "--", "grep", "-qx", "edited", "out")


def test_kept_copy_loses_what_the_tree_lost(open_desk: Desk) -> None:
    (open_desk.tree / "more").write_text("x")
    open_desk.ok("-b", "--keep", "always")
    (open_desk.tree / "more").unlink()
    os.utime(open_desk.tree, (0, 0))
    open_desk.ok("run", "-nc", "--", "test", "!", "-e", "more")


def test_names_as_root(open_desk: Desk) -> None:
    tree = open_desk.top / "quote's $(touch pwned)" / "new\nline"
    shutil.copytree(open_desk.tree, tree)
    open_desk.ok("-b", cwd=tree)
    assert (tree.parent / "tiny_1_all.deb").is_file()
    assert not list(open_desk.top.rglob("pwned"))


def test_signals_as_root(open_desk: Desk) -> None:
    running = open_desk.start("run", "--", "sh", "-c", "echo ready; setsid sleep 60 & sleep 60")
    assert running.stdout
    wait_for(lambda: b"ready" in running.stdout.readline())  # type: ignore[union-attr]
    running.kill()
    running.communicate(timeout=30)
    wait_for(lambda: not processes(str(open_desk.scratch)), 10)
    open_desk.ok("run", "--", "true")
    assert open_desk.left() == []


# Scratch on file systems of all kinds: mounted in a namespace of the test, where the command then runs


OVERLAY = (
    'mkdir "$1/l" "$1/u" "$1/w"; mount -t tmpfs tmpfs "$1/u"; mkdir "$1/u/u" "$1/u/w" "$2";'
    ' mount -t overlay overlay -o "lowerdir=$1/l,upperdir=$1/u/u,workdir=$1/u/w" "$2"; chmod 777 "$2";'
    ' shift 2; exec "$@"'
)
SMALL = 'mkdir "$2"; mount -t tmpfs -o size=$SIZE,mode=1777 tmpfs "$2"; shift 2; exec "$@"'


def in_namespace(script: str, desk: Desk) -> tuple[str, ...]:
    """The words before a command that runs where ``desk.top/odd`` is mounted as the script says."""
    where = desk.top / "mounts"
    where.mkdir()
    unshare = ("unshare", "--mount", "--propagation", "private")
    return (*unshare, "sh", "-euc", script, "sh", str(where), str(desk.top / "odd"))


def test_scratch_on_an_overlay(open_desk: Desk, user: pwd.struct_passwd) -> None:
    """As in most containers: the layer is in memory, and kept for -nc all the same."""
    own(open_desk, user.pw_uid, user.pw_gid)
    before = snapshot(open_desk.tree)
    odd = open_desk.top / "odd"
    # Both builds in one namespace: the scratch directory is gone with it.
    command = " ".join((*COMMAND, "--scratch", str(odd), "-b", "--keep", "always"))
    again = " ".join((*COMMAND, "--scratch", str(odd), "-nc"))
    who = f"setpriv --reuid={user.pw_uid} --regid={user.pw_gid} --clear-groups"
    script = f"cd {open_desk.tree}; {command}; sed -n '/MADE/p' ../tiny_1_amd64.build; sleep 1; {again}"
    words = (*in_namespace(OVERLAY, open_desk), *who.split(), "sh", "-euc", script)
    done = subprocess.run(
        words, env=open_desk.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("MADE out") == 1
    assert "(overlay) can't carry an overlay's upper layer" in done.stderr
    assert "MADE out" not in open_desk.log()
    layering = re.search(r"^Workspace: private \((\w+)\)$", open_desk.log(), re.M)
    assert layering
    assert layering[1] in ("memory", "copy")
    assert snapshot(open_desk.tree) == before


@pytest.mark.parametrize("size", ["16k", "64k", "300k"])
def test_scratch_that_is_full(open_desk: Desk, user: pwd.struct_passwd, size: str) -> None:
    shutil.rmtree(open_desk.tree)
    make_tree(open_desk.tree, Rules(during="head -c 400000 /dev/zero > big"))
    own(open_desk, user.pw_uid, user.pw_gid)
    before = snapshot(open_desk.tree)
    script = SMALL.replace("$SIZE", size)
    before_it = in_namespace(script, open_desk)
    done = run_as(user, open_desk, "--scratch", open_desk.top / "odd", "-b", before=before_it)
    assert done.status in (4, 10, 14), done.both
    assert "Traceback" not in done.both
    assert "No space left" in done.both
    assert open_desk.published() == []
    assert snapshot(open_desk.tree) == before


def test_output_that_is_full(open_desk: Desk, user: pwd.struct_passwd) -> None:
    shutil.rmtree(open_desk.tree)
    make_tree(open_desk.tree, Rules(during="head -c 400000 /dev/urandom > out"))
    own(open_desk, user.pw_uid, user.pw_gid)
    script = SMALL.replace("$SIZE", "128k")
    words = ("--output", open_desk.top / "odd", "--log", open_desk.top / "log", "-b")
    listing = 'odd=$2; shift 2; "$@" || status=$?; ls -A "$odd"; exit $status'
    script = script.replace('shift 2; exec "$@"', listing)
    done = run_as(user, open_desk, *words, before=in_namespace(script, open_desk))
    assert done.status == 14, done.both
    assert done.out == "", "nothing is published by halves"
    assert "Traceback" not in done.both
    assert "No space left" in done.both


def test_a_mount_below_the_tree(open_desk: Desk, user: pwd.struct_passwd) -> None:
    (open_desk.tree / "sub").mkdir()
    own(open_desk, user.pw_uid, user.pw_gid)
    sub = open_desk.tree / "sub"
    script = f'mount -t tmpfs tmpfs {sub}; echo x > {sub}/file; shift 2; exec "$@"'
    done = run_as(user, open_desk, "run", "--", "cat", "sub/file", before=in_namespace(script, open_desk))
    assert (done.status, done.out) == (0, "x\n"), done.both


def test_groups_of_the_caller_still_open_the_way(open_desk: Desk, user: pwd.struct_passwd) -> None:
    """A tree below a directory that only a supplementary group may enter."""
    games = grp.getgrnam("games").gr_gid
    own(open_desk, user.pw_uid, user.pw_gid)
    closed = open_desk.top / "closed"
    closed.mkdir(mode=0o750)
    os.chown(closed, 0, games)
    closed.chmod(0o750)
    shutil.move(open_desk.parent, closed / "parent")
    tree = closed / "parent" / "tiny-1"
    done = subprocess.run(
        [
            *("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", f"--groups={games}"),
            *(*COMMAND, "run", "--tree", str(tree), "--", "sh", "-c", "cat input; id -G"),
        ],
        env=open_desk.environment,
        capture_output=True,
        text=True,
        cwd="/",
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["hello", str(user.pw_gid)]), done.stderr


def test_a_dsc(open_desk: Desk) -> None:
    """It is unpacked below a directory of scratch directories that is not there yet."""
    argv = ("dpkg-source", "--build", open_desk.tree.name)
    subprocess.run(argv, cwd=open_desk.parent, check=True, capture_output=True)
    here = open_desk.top / "here"
    here.mkdir()
    done = open_desk.ok("-b", open_desk.parent / "tiny_1.dsc", cwd=here)
    assert (here / "tiny_1_all.deb").stat().st_uid == 0, done.both
    assert open_desk.left() == []


def test_desk_is_removed(open_desk: Desk) -> None:
    discard(open_desk.scratch)
    assert open_desk.left() == []
