"""``--dry-run``: the script does by hand what the command does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support import Desk, Rules, as_user, discard, make_desk, snapshot


def by_hand(script: str, desk: Desk) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run the script as a user would, and find its scratch directory."""
    own = desk.top / "scratch"
    own.mkdir(exist_ok=True)
    own.chmod(0o755)
    file = desk.top / "script"
    file.write_bytes(os.fsencode(script))
    done = subprocess.run(
        ["sh", file],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(own), "SECRET": "x"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("scratch directory: "))
    return done, Path(line.removeprefix("scratch directory: ").removesuffix(" (results in parent/)"))


OPTIONS = [(), ("--identity", "single"), ("--build-as", "root"), ("-S",), ("-b", "-j2", "-d")]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_two_runs_are_byte_identical(desk: Desk, options: tuple[str, ...]) -> None:
    first, second = desk.ok("--dry-run", *options), desk.ok("--dry-run", *options)
    assert first.out == second.out != ""
    assert first.err == ""


def test_nothing_is_done(desk: Desk) -> None:
    before = snapshot(desk.top)
    desk.ok("--dry-run", "--report", desk.top / "report")
    after = snapshot(desk.top)
    assert after == before


@pytest.mark.parametrize("options", [("-b",), ("-b", "--identity", "single")], ids=str)
def test_script_builds(desk: Desk, options: tuple[str, ...]) -> None:
    before = snapshot(desk.tree)
    script = desk.ok("--dry-run", *options).out
    done, scratch = by_hand(script, desk)
    try:
        assert done.returncode == 0, done.stderr
        assert "MADE out" in done.stdout
        found = sorted(path.name for path in (scratch / "parent").iterdir() if path.is_file())
        assert found == ["tiny_1_all.deb", "tiny_1_amd64.buildinfo", "tiny_1_amd64.changes"]
        assert snapshot(desk.tree) == before
        desk.ok(*options)
        ours = (desk.parent / "tiny_1_all.deb").read_bytes()
        assert (scratch / "parent" / "tiny_1_all.deb").read_bytes() == ours, "the same package comes out"
    finally:
        discard(desk.scratch)


def test_no_script_has_a_variable_that_may_be_secret(tmp_path: Path) -> None:
    """It is there to be kept, and takes the value of who runs it."""
    desk = make_desk(tmp_path / "desk", Rules(during='echo "<$SECRET>"'))
    script = desk.ok("--dry-run", "-b", "--allow", "env=SECRET", env={"SECRET": "s3cr3t"}).out
    assert "s3cr3t" not in script
    done, _ = by_hand(script, desk)
    discard(desk.scratch)
    assert "\n<x>\n" in done.stdout, done.stderr


def test_script_of_an_odd_tree(desk: Desk) -> None:
    odd = desk.top / "quote's $(touch pwned)" / os.fsdecode(b"new\n\xff")
    odd.parent.mkdir()
    desk.tree.rename(odd)
    script = desk.ok("--dry-run", "-b", cwd=odd).out
    done, scratch = by_hand(script, desk)
    try:
        assert done.returncode == 0, done.stderr
        assert (scratch / "parent" / "tiny_1_all.deb").is_file()
        assert not list(desk.top.rglob("pwned"))
    finally:
        discard(desk.scratch)


def test_script_has_the_status_of_the_build(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="false"))
    done, _ = by_hand(desk.ok("--dry-run", "-b").out, desk)
    assert done.returncode not in (0, 125)


@as_user
def test_script_in_place(desk: Desk) -> None:
    done, _ = by_hand(desk.ok("--dry-run", "-b", "--in-place").out, desk)
    assert done.returncode == 0, done.stderr
    assert (desk.tree / "out").is_file()
    assert (desk.parent / "tiny_1_all.deb").is_file()


def test_sandbox_of_the_script_is_the_same(tmp_path: Path) -> None:
    look = "id -un; env | sort; ls -A /tmp; grep -c : /proc/net/dev; readlink /proc/self/fd/0"
    desk = make_desk(tmp_path, Rules(during=f"echo BEGIN; ({look}); echo END"))
    done, _ = by_hand(desk.ok("--dry-run", "-b").out, desk)
    assert done.returncode == 0, done.stderr
    desk.ok("-b")
    seen = [text.split("BEGIN\n")[-1].split("END")[0] for text in (done.stdout, desk.log())]
    assert seen[0] == seen[1] != ""
    assert "SECRET" not in seen[0]
