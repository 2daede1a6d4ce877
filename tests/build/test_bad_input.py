"""What is wrong in command lines, trees and files: one sentence, the right status, never a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import CHANGELOG, Desk, make_tree, snapshot


def check(desk: Desk, words: tuple[str, ...], status: int, *texts: str, cwd: Path | None = None) -> None:
    before = snapshot(desk.parent)
    done = desk.run(*words, cwd=cwd)
    assert done.status == status, done.both
    assert "Traceback" not in done.both
    assert done.err.startswith("bwbuild: error: ")
    for text in texts:
        assert text in done.err
    assert snapshot(desk.parent) == before
    assert desk.left() == []


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("--outptu x", ("unknown option --outptu", "did you mean --output?")),
        ("--in-plcae", ("did you mean --in-place?",)),
        ("-x", ("unknown option -x",)),
        ("--output", ("--output needs a value",)),
        ("-T", ("-T needs a value",)),
        ("-S -b", ("two build types",)),
        ("--build=some", ("unknown type 'some'", "full")),
        ("-us", ("-us -uc",)),
        ("--identity double", ("--identity is 'double'", "one of auto, range, single")),
        ("--keep maybe", ("never, failure, always",)),
        ("--timeout soon", ("--timeout is 'soon'", "30m")),
        ("--timeout 0", ("above 0",)),
        ("--timeout=-5", ("length of time",)),
        ("--output=", ("not empty",)),
        ("--sign-keyfile=x", ("-kKEY",)),
        ("--sign-backend=sop", ("leave the option out",)),
        ("--changes-file=/etc/passwd", ("--changes-file=../NAME",)),
        ("one two", ("two",)),
        ("run", ("COMMAND",)),
        ("shell", ("needs a terminal", "bwbuild run")),
        ("clean --older-than x", ("x",)),
        ("config --jsno", ("--json",)),
        ("run --sign -- true", ("--sign",)),
    ],
)
def test_command_lines(desk: Desk, line: str, texts: tuple[str, ...]) -> None:
    check(desk, tuple(line.split()), 2, *texts)


@pytest.mark.parametrize("option", ["--output", "--log", "--report", "--scratch", "--timeout", "--config"])
def test_a_null_byte_can_not_even_be_typed(desk: Desk, option: str) -> None:
    with pytest.raises(ValueError, match="null byte"):
        desk.run(option, "a\0b")


def test_no_tree(desk: Desk) -> None:
    check(desk, (), 5, "has debian/changelog", "bwbuild TREE", cwd=desk.home)


@pytest.mark.parametrize("name", ["missing", "tiny-1/input", "tiny-1/debian/changelog"])
def test_tree_that_is_no_directory(desk: Desk, name: str) -> None:
    check(desk, (str(desk.parent / name),), 5, "is not a directory")


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("debian/changelog", b"", "debian/changelog"),
        ("debian/changelog", b"nonsense\n", "debian/changelog"),
        ("debian/changelog", b"\xff\xfe", "debian/changelog"),
        ("debian/changelog", CHANGELOG.format(name="../x", version="1").encode(), "debian/changelog"),
        ("debian/changelog", CHANGELOG.format(name="tiny", version="../../1").encode(), "debian/changelog"),
        ("debian/changelog", CHANGELOG.format(name="tiny", version="1:").encode(), "debian/changelog"),
        ("debian/changelog", CHANGELOG.format(name="other", version="1").encode(), "says Source: tiny"),
        ("debian/changelog", None, "debian/changelog"),
        ("debian/control", b"", "no Source stanza"),
        ("debian/control", None, "there is no"),
        ("debian/control", b"Source: tiny\nbroken line\n", "debian/control:2"),
        ("debian/control", b"\xff", "debian/control"),
        ("debian/source/format", b"\xff", "debian/source/format"),
    ],
)
def test_broken_sources(desk: Desk, file: str, content: bytes | None, text: str) -> None:
    path = desk.tree / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    check(desk, ("-b",), 5, text)


@pytest.mark.parametrize("file", ["debian/changelog", "debian/control"])
def test_fifo_in_place_of_a_file(desk: Desk, file: str) -> None:
    """Nobody ever writes to it: waiting for that would be for ever."""
    (desk.tree / file).unlink()
    os.mkfifo(desk.tree / file)
    check(desk, ("-b",), 5, file)


@pytest.mark.parametrize("file", ["debian/changelog", "debian/control"])
def test_endless_device_in_place_of_a_file(desk: Desk, file: str) -> None:
    (desk.tree / file).unlink()
    (desk.tree / file).symlink_to("/dev/zero")
    check(desk, ("-b",), 5, file)


def test_rules_that_are_missing(desk: Desk) -> None:
    (desk.tree / "debian/rules").unlink()
    done = desk.run("-b", "--keep", "never")
    assert done.status in (5, 10), done.both
    assert "debian/rules" in done.err
    assert "Traceback" not in done.both


def test_link_that_leads_out_of_the_tree(desk: Desk) -> None:
    (desk.home / "secret").write_text("secret\n")
    (desk.tree / "link").symlink_to(desk.home / "secret")
    assert desk.inside("cat link 2>/dev/null || echo refused") == "refused\n"


def test_tree_whose_debian_is_a_link(desk: Desk) -> None:
    shutil.move(desk.tree / "debian", desk.tree / "packaging")
    (desk.tree / "debian").symlink_to("packaging")
    desk.ok("-b")


def test_tree_is_the_root_directory_or_has_no_parent(desk: Desk) -> None:
    check(desk, ("/",), 5, "debian/changelog")


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("identiti = 'range'", ("unknown key 'identiti'", "did you mean identity?")),
        ("identity = 7", ("identity is 7", "expected")),
        ("[sign]\nmode = true", ("sign.mode is True", "expected")),
        ("not toml at all", ("is not valid TOML",)),
        ("sign.key = ''", ("sign.key is ''",)),
    ],
)
def test_configuration_files(desk: Desk, text: str, texts: tuple[str, ...]) -> None:
    file = desk.home / ".config" / "bwbuild" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    check(desk, ("-b",), 3, str(file), *texts)


def test_settings_in_the_tree_are_not_read(desk: Desk) -> None:
    """A package decides nothing about its own sandbox."""
    text = "workspace = 'in-place'\nidentity = 'single'\n"
    for name in ("bwbuild.toml", ".bwbuild.toml", "config.toml"):
        (desk.tree / name).write_text(text)
    assert desk.ok("--dry-run").out.count("--map-root-user") == desk.ok("--dry-run", cwd=desk.tree).out.count(
        "--map-root-user"
    )
    done = desk.ok("config", "--json")
    assert "in-place" not in done.out
    # It may ask for permissions there, and say nothing else.
    (desk.tree / "debian" / "bwbuild.toml").write_text(text)
    refused = desk.run("--dry-run")
    assert (refused.status, refused.out) == (5, "")
    assert "debian/bwbuild.toml: unknown key 'identity'" in refused.err


def test_a_directory_called_like_a_command(desk: Desk) -> None:
    make_tree(desk.parent / "clean")
    desk.ok("--dry-run", "./clean", cwd=desk.parent)
    assert "nothing is left" in desk.ok("clean", cwd=desk.parent).out


@pytest.mark.parametrize("cwd", ["gone", "closed"])
def test_current_directory_that_is_odd(desk: Desk, cwd: str) -> None:
    place = desk.top / cwd
    place.mkdir()
    script = 'rmdir "$PWD"; exec "$@"' if cwd == "gone" else 'chmod 0 "$PWD"; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *desk.argv("-b")],
        cwd=place,
        env=desk.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if place.exists():
        place.chmod(0o700)
    assert done.returncode not in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
