"""What counts as a difference between what was packed and the tree."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bwbuild.build.inspect.packed import Difference, compare


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """A source with a file, a link and a directory, as it was packed and as it is in the tree."""
    for top in (tmp_path / "packed", tmp_path / "tree"):
        (top / "debian" / "source").mkdir(parents=True)
        (top / "debian" / "rules").write_text("rules\n")
        (top / "debian" / "source" / "format").write_text("3.0 (native)\n")
        (top / "link").symlink_to("debian/rules")
    return tmp_path / "packed", tmp_path / "tree"


def test_nothing(both: tuple[Path, Path]) -> None:
    assert list(compare(*both)) == []


def test_what_does_not_count(both: tuple[Path, Path]) -> None:
    packed, tree = both
    (tree / "debian" / "files").touch()
    (packed / "debian" / "source" / "format").unlink()
    (packed / "debian" / "rules").chmod(0o755)
    (packed / "debian" / "empty").mkdir()
    (packed / ".pc").mkdir()
    (packed / ".pc" / "version").touch()
    assert list(compare(packed, tree)) == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda top: (top / "debian/x.h").touch(), ("debian/x.h", "added")),
        (lambda top: (top / "debian/rules").write_text("rulez\n"), ("debian/rules", "changed")),
        (lambda top: (top / "debian/rules").write_text("rules\n\n"), ("debian/rules", "changed")),
        (lambda top: os.mkfifo(top / "pipe"), ("pipe", "added")),
        (lambda top: (top / "up").symlink_to("../.."), ("up", "added")),
        (
            lambda top: ((top / "link").unlink(), (top / "link").symlink_to("/etc/passwd")),
            ("link", "changed"),
        ),
        (lambda top: ((top / "link").unlink(), (top / "link").write_text("rules\n")), ("link", "changed")),
        (lambda top: ((top / "a/b").mkdir(parents=True), (top / "a/b/c").touch()), ("a/b/c", "added")),
        (lambda top: ((top / "link").unlink(), (top / "link").mkdir()), ("link", "changed")),
        (lambda top: (top / "a\nb\x1b[31m").touch(), ("a\nb\x1b[31m", "added")),
        (lambda top: (top / ".git").mkdir() or (top / ".git/config").touch(), (".git/config", "added")),
        (lambda top: (top / "debian/.pc").touch(), ("debian/.pc", "added")),
    ],
    ids=range(12),
)
def test_differences(
    both: tuple[Path, Path], change: Callable[[Path], object], difference: tuple[str, str]
) -> None:
    change(both[0])
    assert list(compare(*both)) == [Difference(*difference)]


def test_links_of_the_tree_are_not_followed(both: tuple[Path, Path], tmp_path: Path) -> None:
    """A file behind a link in the tree's place of a directory is not in the tree."""
    packed, tree = both
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (tree / "sub").symlink_to(tmp_path / "elsewhere")
    (packed / "sub").mkdir()
    (packed / "sub" / "file").touch()
    assert list(compare(packed, tree)) == [Difference("sub", "changed")]


def test_names_are_shown_without_controls() -> None:
    assert Difference("a\nb\x1b[31m", "added").text.isprintable()
