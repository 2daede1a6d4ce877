"""Files in a script: the shell and perl lay them down as they were."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from made_scripts import files

from bwbuild.process import run
from bwbuild.sandbox.parcel import File, parcel


def lay(directory: Path, *wanted: File) -> None:
    run(["sh", "-euc", "\n".join((*parcel(*wanted), "touch after"))], cwd=directory)
    assert (directory / "after").exists()


@pytest.mark.parametrize(
    ("content", "laid"),
    [
        (b"", b""),
        (b"\0\n\xff" * 99, b"\0\n\xff" * 99),
        ("", b""),
        ("\n", b"\n"),
        ("\n\nx", b"\n\nx\n"),
        ("one\ntwo\n", b"one\ntwo\n"),
        ("END_OF_FILES\nEND_OF_FILES_\n", b"END_OF_FILES\nEND_OF_FILES_\n"),
        ("=== 644 other: 1 lines\nx\n", b"=== 644 other: 1 lines\nx\n"),
        ("$HOME `id` \\ ' \"\n", b"$HOME `id` \\ ' \"\n"),
        ("a\rb\x0cc\x85d\u2028\n", "a\rb\x0cc\x85d\u2028\n".encode()),
    ],
    ids=ascii,
)
def test_content_is_laid_down_as_it_is(tmp_path: Path, content: str | bytes, laid: bytes) -> None:
    lay(tmp_path, File("first", content), File("second", "the end"))
    assert (tmp_path / "first").read_bytes() == laid
    assert (tmp_path / "second").read_bytes() == b"the end\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "first", "second"]


def test_modes_are_as_asked(tmp_path: Path) -> None:
    lay(tmp_path, File("program", "x", 0o755), File("text", "x"))
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("program", "text")]
    assert modes == [0o755, 0o644]


def test_links_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "text").symlink_to("precious")
    (tmp_path / "precious").write_text("precious")
    lay(tmp_path, File("text", "new"))
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "text").is_symlink()


def test_nothing_runs_after_files_that_are_cut_off(tmp_path: Path) -> None:
    text = "\n".join((*parcel(File("text", "one\ntwo\n")), "touch after")).replace("two\n", "")
    done = run(["sh", "-euc", text], cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert b"text is cut off" in done.stderr
    assert not (tmp_path / "after").exists()


def test_directory_that_is_missing(tmp_path: Path) -> None:
    done = run(["sh", "-euc", "\n".join(parcel(File("no/text", "x")))], cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert b"no/text: No such file or directory" in done.stderr


def test_helper_of_the_tests_reads_what_is_there() -> None:
    text = "\n".join(parcel(File("a", "=== 1\nx\n"), File("b", b"\x01"), File("c", "")))
    assert files(text) == {"a": "=== 1\nx\n", "b": "01\n", "c": ""}
