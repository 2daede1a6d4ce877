"""Workspaces: what a build may change outside, what stays of it, and which trees it takes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from support import Desk, Rules, as_user, make_desk, make_tree, snapshot

HARM = Rules(
    during="echo x >> input; echo x > new; rm -f gone; mkdir -p .git/hooks; echo x > .git/hooks/post-commit;"
    " echo x > ../sibling/file; echo x > ../.envrc; echo x > ../Makefile; git init .. 2>/dev/null; true"
)


@pytest.fixture
def again(desk: Desk) -> Desk:
    """A desk whose first build was kept."""
    desk.ok("-b", "--keep", "always")
    assert "MADE out" in desk.log()
    return desk


def contents(desk: Desk) -> str:
    """What the published package holds as ``out``."""
    made = desk.parent / "tiny_1_all.deb"
    unpacked = desk.top / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-x", made, unpacked], check=True)
    return (unpacked / "usr/share/tiny/out").read_text()


# Private: nothing of the host changes


@pytest.mark.parametrize("options", [(), ("--identity", "single"), ("--build-as", "root")], ids=str)
def test_tree_and_siblings_are_untouched(tmp_path: Path, options: tuple[str, ...]) -> None:
    desk = make_desk(tmp_path, HARM)
    (desk.tree / "gone").write_text("to be removed by the build\n")
    (desk.tree / ".git").mkdir()
    (desk.parent / "sibling").mkdir()
    (desk.parent / "sibling" / "file").write_text("mine\n")
    before = snapshot(desk.parent)
    desk.run("-b", *options)
    after = snapshot(desk.parent)
    assert {name: after.get(name) for name in before} == before
    assert all(re.search(r"/tiny_1_[^/]*$", name) for name in after.keys() - before.keys())
    assert desk.left() == [] or "build-failed" in (desk.scratch / desk.left()[0] / "bwbuild.json").read_text()


def test_scratch_is_private_and_gone(desk: Desk) -> None:
    script = "sleep 60"
    with desk.start("run", "--", "sh", "-c", script) as running:
        while not desk.left():
            time.sleep(0.02)
        assert f"{(desk.scratch / desk.left()[0]).stat().st_mode & 0o777:o}" in ("700", "711")
        running.terminate()
        running.communicate()
    assert desk.left() == []


@pytest.mark.parametrize(
    "script",
    [
        "mkdir -p a/b; touch a/b/c; chmod 0 a/b a",
        "i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done",
        "touch \"$(printf 'a\\nb\\033c')\" -- -rf; mkdir -- -x; touch -d 2040-01-01 late",
        "/run/bwbuild/as-root sh -c 'mkdir r; chown games:games r; chmod 700 r; touch r/f'",
        "mkfifo fifo; ln -s / link; ln -s nowhere broken",
    ],
)
def test_messy_scratch_is_removed(desk: Desk, script: str) -> None:
    if "as-root" in script and os.getuid() == 0:
        pytest.skip("the same as root")
    before = snapshot(desk.parent)
    desk.inside(script)
    assert desk.left() == []
    assert snapshot(desk.parent) == before


# --keep and -nc


def test_keep_never(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="false"))
    assert desk.run("-b", "--keep", "never").status == 10
    assert desk.left() == []


def test_keep_failure_is_the_default(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="echo x > trace; false"))
    done = desk.run("-b")
    assert done.status == 10
    assert len(desk.left()) == 1
    assert "bwbuild shell -nc" in done.both
    assert desk.inside("cat trace", "-nc") == "x\n"
    assert desk.run("-b").status == 10
    assert len(desk.left()) == 1, "an older one of the same tree goes"


def test_keep_always(again: Desk) -> None:
    assert len(again.left()) == 1
    assert again.inside("cat out", "-nc") == "hello\n"


def test_no_clean_goes_on(again: Desk) -> None:
    again.ok("-nc")
    assert "MADE out" not in again.log()
    assert "going on in the kept workspace" in again.log()
    assert contents(again) == "hello\n"


def test_no_clean_sees_an_edit(again: Desk) -> None:
    (again.tree / "input").write_text("edited\n")
    again.ok("-nc")
    assert "MADE out" in again.log()
    assert contents(again) == "edited\n"
    again.ok("-nc")
    assert "MADE out" not in again.log()


def test_no_clean_prefers_the_edit_to_the_stale_copy(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="echo stale > input"))
    desk.ok("-b", "--keep", "always")
    (desk.tree / "input").write_text("edited\n")
    desk.ok("run", "-nc", "--", "grep", "-qx", "edited", "input")


def test_no_clean_prefers_an_older_file_that_was_moved_there(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="echo stale > input"))
    (desk.tree / "older").write_text("older\n")
    desk.ok("-b", "--keep", "always")
    (desk.tree / "older").rename(desk.tree / "input")
    desk.ok("run", "-nc", "--", "grep", "-qx", "older", "input")


def test_no_clean_sees_added_and_removed_files(again: Desk) -> None:
    (again.tree / "later").write_text("x\n")
    assert again.inside("ls", "-nc").split() == ["debian", "input", "later", "out"]
    (again.tree / "later").unlink()
    assert again.inside("ls", "-nc").split() == ["debian", "input", "out"]


def test_no_clean_without_a_kept_workspace_says_so(desk: Desk) -> None:
    assert "no earlier workspace is kept" in desk.ok("-nc").both


def test_no_clean_of_another_identity_starts_anew(again: Desk) -> None:
    assert "no earlier workspace is kept" in again.ok("-nc", "--identity", "single").both


# bwbuild clean


def test_clean_lists_and_removes(again: Desk) -> None:
    listed = again.ok("clean").out
    assert "tiny 1, kept as asked" in listed
    assert str(again.tree) in listed
    assert again.left()
    assert "nothing is left" in again.ok("clean", "--older-than", "1").out
    assert "removed" in again.ok("clean", "--remove").out
    assert again.left() == []
    assert "nothing is left" in again.ok("clean").out


def test_clean_leaves_what_is_in_use(again: Desk) -> None:
    with again.start("run", "-nc", "--", "sh", "-c", "echo ready; sleep 60") as running:
        assert running.stdout
        while b"ready" not in running.stdout.readline():
            pass
        assert "nothing is left" in again.ok("clean", "--remove").out
        assert len(again.left()) == 1
        done = again.run("-nc")
        assert (done.status, "another build uses the kept workspace" in done.err) == (14, True)
        running.terminate()
        running.communicate()
    assert "removed" in again.ok("clean", "--remove").out


def test_clean_is_not_led_astray(desk: Desk, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "bwbuild.json").write_text("{}")
    desk.scratch.mkdir()
    (desk.scratch / "link").symlink_to(victim)
    (desk.scratch / "file").write_text("x")
    (desk.scratch / "other").mkdir()
    desk.ok("clean", "--remove")
    assert victim.is_dir()
    assert desk.left() == ["file", "link", "other"]


# In place


@as_user
def test_in_place_writes_the_tree_with_a_warning(desk: Desk) -> None:
    done = desk.ok("-b", "--in-place")
    assert "warning: in-place" in done.both
    assert (desk.tree / "out").read_text() == "hello\n"
    assert (desk.parent / "tiny_1_all.deb").exists()
    assert desk.left() == []


@as_user
def test_in_place_gives_files_back(tmp_path: Path) -> None:
    rules = Rules(
        binary="touch ../beside; mkdir -p made/deep; touch made/deep/a; chown -R games:games made;"
        " chmod 2755 made; chmod 2755 made/deep/a; chmod 000 made/deep",
        gain_root="binary-targets",
    )
    desk = make_desk(tmp_path, rules)
    desk.ok("-b", "--in-place")
    foreign = [path for path in (desk.parent, *desk.parent.rglob("*")) if path.lstat().st_uid != os.getuid()]
    assert foreign == []
    (desk.tree / "made" / "deep").chmod(0o700)
    shutil.rmtree(desk.tree)


@as_user
def test_in_place_gives_files_back_after_a_failure(tmp_path: Path) -> None:
    desk = make_desk(
        tmp_path, Rules(binary="mkdir made; chown games made; false", gain_root="binary-targets")
    )
    assert desk.run("-b", "--in-place").status == 10
    assert (desk.tree / "made").stat().st_uid == os.getuid()


@as_user
def test_in_place_refuses_home(desk: Desk) -> None:
    tree = make_tree(desk.home / "tiny-1")
    before = snapshot(desk.home)
    done = desk.run("-b", "--in-place", cwd=tree)
    assert done.status == 3
    assert "--in-place would give the build all of" in done.err
    assert snapshot(desk.home) == before


@as_user
def test_in_place_refuses_home_behind_a_link(desk: Desk) -> None:
    make_tree(desk.home / "tiny-1")
    link = desk.top / "other"
    link.symlink_to(desk.home)
    assert desk.run("-b", "--in-place", link / "tiny-1").status == 3


# Trees with names and places of all kinds

NAMES = [
    "with space",
    "new\nline",
    "colon:name",
    "comma,name",
    "back\\slash",
    "-begins",
    "--end",
    "quote's",
    'double"quote',
    "$(touch pwned)",
    "`touch pwned`",
    "perc%sent",
    "upper=dir,lowerdir=x",
    "umlaut ä",
    os.fsdecode(b"not \xff utf-8"),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names(desk: Desk, name: str) -> None:
    tree = desk.top / "odd" / name / name
    shutil.copytree(desk.tree, tree)
    before = snapshot(tree.parent)
    assert desk.inside("cat input; echo x > input; touch new", cwd=tree) == "hello\n"
    assert snapshot(tree.parent) == before
    assert not list(desk.top.rglob("pwned"))


@pytest.mark.parametrize(
    "name", ["new\nline", "quote's $(touch pwned)", os.fsdecode(b"not \xff utf-8")], ids=ascii
)
@pytest.mark.parametrize("options", [(), ("--in-place",)], ids=str)
def test_build_of_an_odd_name(desk: Desk, name: str, options: tuple[str, ...]) -> None:
    if options and os.getuid() == 0:
        pytest.skip("root can't build in place")
    tree = desk.top / name / name
    shutil.copytree(desk.tree, tree)
    desk.ok("-b", *options, "--report", desk.top / "report", tree)
    assert (desk.top / name / "tiny_1_all.deb").is_file()
    assert not list(desk.top.rglob("pwned"))
    found = desk.report(desk.top / "report")
    assert found["job"] == os.fspath(tree)


@pytest.mark.parametrize("name", ["-begins", "with space", os.fsdecode(b"\xff")], ids=ascii)
def test_names_on_the_command_line(desk: Desk, name: str) -> None:
    shutil.copytree(desk.tree, desk.parent / name)
    desk.ok("--dry-run", "--", name, cwd=desk.parent)
    assert desk.inside("cat input", "--tree", f"./{name}", cwd=desk.parent) == "hello\n"


def test_relative_tree(desk: Desk) -> None:
    desk.ok("-b", "tiny-1", cwd=desk.parent)
    for word in ("../tiny-1", ".", "./"):
        assert desk.inside("cat input", "--tree", word) == "hello\n"
    assert (desk.parent / "tiny_1_all.deb").is_file()


def test_climbs_from_a_subdirectory(desk: Desk) -> None:
    deep = desk.tree / "a" / "b"
    deep.mkdir(parents=True)
    desk.ok("-b", cwd=deep)
    assert (desk.parent / "tiny_1_all.deb").is_file()


def test_linked_tree(desk: Desk) -> None:
    links = desk.top / "links"
    links.mkdir()
    (links / "tree").symlink_to(desk.tree)
    before = snapshot(desk.tree)
    desk.ok("-b", links / "tree")
    assert snapshot(desk.tree) == before
    assert (links / "tree").is_symlink()
    assert (links / "tiny_1_all.deb").is_file()


def test_linked_scratch_and_output(desk: Desk) -> None:
    for name in ("scratch", "output"):
        (desk.top / f"real-{name}").mkdir()
        (desk.top / f"link-{name}").symlink_to(f"real-{name}")
    desk.ok("-b", "--scratch", desk.top / "link-scratch", "--output", desk.top / "link-output")
    assert (desk.top / "real-output" / "tiny_1_all.deb").is_file()


def test_read_only_tree(desk: Desk) -> None:
    for path in (desk.tree, *desk.tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    done = desk.run("-b")
    for path in (desk.tree, *desk.tree.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    # As with dpkg-buildpackage: whoever may not write his tree can't build in it, whatever lies beneath.
    assert done.status in (0, 10)


@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_unreadable_directory_in_the_tree(desk: Desk, mode: int) -> None:
    secret = desk.tree / "closed"
    secret.mkdir()
    (secret / "x").write_text("x")
    secret.chmod(mode)
    try:
        desk.ok("-b")
    finally:
        secret.chmod(0o700)


# Output, log and scratch that can't be written


@as_user
def test_read_only_parent(desk: Desk) -> None:
    desk.parent.chmod(0o555)
    try:
        done = desk.run("-b")
        assert (done.status, "--output DIR" in done.err) == (14, True)
        output = desk.top / "output"
        output.mkdir()
        desk.ok("-b", "--output", output)
        assert (output / "tiny_1_all.deb").is_file()
    finally:
        desk.parent.chmod(0o755)
    assert desk.published() == []


def test_output_that_is_missing(desk: Desk) -> None:
    done = desk.run("-b", "--output", desk.top / "missing")
    assert done.status == 14
    assert f"mkdir -p {desk.top}/missing" in done.err
    assert desk.left() == []


def test_output_that_is_a_file(desk: Desk) -> None:
    (desk.top / "file").write_text("x")
    done = desk.run("-b", "--output", desk.top / "file")
    assert done.status == 14
    assert (desk.top / "file").read_text() == "x"


@pytest.mark.parametrize("option", ["--log", "--report"])
def test_log_and_report_that_can_not_be_written(desk: Desk, option: str) -> None:
    done = desk.run("-b", option, desk.top / "missing" / "file")
    assert done.status == 14, done.both
    assert "missing" in done.err
    assert "Traceback" not in done.both


def test_log_where_a_directory_is(desk: Desk) -> None:
    done = desk.run("-b", "--log", desk.top)
    assert "Traceback" not in done.both


@as_user
def test_scratch_that_can_not_be_made(desk: Desk) -> None:
    (desk.top / "closed").mkdir(mode=0o500)
    done = desk.run("-b", "--scratch", desk.top / "closed" / "scratch")
    assert (done.status, "--scratch DIR" in done.err) == (14, True)


@as_user
def test_workspace_in_memory(desk: Desk) -> None:
    before = snapshot(desk.tree)
    desk.ok("-b", "--workspace-memory", "64M", "--report", desk.top / "report.json")
    assert "workspace: in memory, at most 64 MiB" in desk.log()
    assert "MADE out" in desk.log()
    # What lay in memory is counted too.
    assert desk.report(desk.top / "report.json")["resources"]["disk"] > 16 << 10
    assert snapshot(desk.tree) == before
    assert desk.left() == []


def test_workspace_in_memory_stays_after_a_failure(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="ln -s a b; mkdir -m 700 d; echo made > d/f; rm input; exit 1"))
    (desk.tree / "input").write_text("old\n")
    assert desk.run("-b", "--workspace-memory", "64M").status == 10
    script = "readlink b; cat d/f; stat -c %a d; test ! -e input; touch more"
    assert desk.inside(script, "-nc").split() == ["a", "made", "700"]


def test_workspace_that_outgrows_memory_is_built_on_disk(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="head -c 48M /dev/zero > large && rm -f large"))
    done = desk.ok("-b", "--workspace-memory", "32M", "--report", desk.top / "report.json")
    assert "the workspace in memory was full; building once more, on disk" in done.both
    assert desk.report(desk.top / "report.json")["workspace"]["layering"] == "overlay"
    assert desk.left() == []


def test_failure_in_memory_that_is_no_want_of_space(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="echo wrong >&2; exit 1"))
    done = desk.run("-b", "--workspace-memory", "32M", "--keep", "never")
    assert done.status == 10
    assert "building once more" not in done.both + desk.log()


def test_scratch_on_a_full_disk(desk: Desk) -> None:
    small = desk.top / "small"
    small.mkdir()
    before = snapshot(desk.tree)
    # A file system of 64 KiB in a namespace of the test's own, as root of which the command runs.
    script = 'mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@"'
    done = _in_namespace(desk, script, small, "-b", "--identity", "single", "--scratch", small)
    assert done.returncode in (4, 10, 14), done.stdout
    assert b"--scratch DIR" in done.stdout
    assert b"Traceback" not in done.stdout
    assert snapshot(desk.tree) == before
    assert desk.published() == []


def _in_namespace(desk: Desk, script: str, place: Path, *words: str | Path):  # type: ignore[no-untyped-def]
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, place, *desk.argv(*words)],
        cwd=desk.tree,
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
