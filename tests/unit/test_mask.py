"""Masks: whiteouts, copies and links in real directories."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bwbuild.root.mask import Mask, takes_whiteouts


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A directory like /usr, with modes that are worth keeping."""
    made = tmp_path / "host"
    for name in ("bin/a", "bin/b", "share/man/man1/a.1", "share/man/man1/b.1", "share/private/x"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(f"{name}\n")
    (made / "share" / "private").chmod(0o2750)
    made.chmod(0o751)
    return made


@pytest.fixture
def mask(tmp_path: Path, top: Path) -> Mask:
    if not takes_whiteouts(tmp_path):
        pytest.skip("no whiteouts can be made here")
    return Mask(tmp_path / "usr", str(top), whiteouts=True)


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def everything(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*")}


def test_nothing_is_hidden_at_first(tmp_path: Path, top: Path, mask: Mask) -> None:
    mask.hide(str(top / "bin"), [])
    assert mask.is_empty
    assert everything(tmp_path / "usr") == set()
    assert mode(tmp_path / "usr") == 0o751


def test_hiding(tmp_path: Path, top: Path, mask: Mask) -> None:
    mask.hide(str(top / "bin"), ["b"])
    mask.hide(str(top), ["lib"])
    mask.hide(str(top / "share" / "private"), ["x"])
    place = tmp_path / "usr"
    assert not mask.is_empty
    hidden = {"bin/b", "lib", "share/private/x"}
    assert everything(place) == {"bin", "share", "share/private"} | hidden
    assert all(is_whiteout(place / name) for name in hidden)
    assert mode(place / "share/private") == 0o2750
    # One inode for all, and one name more for the next.
    assert {(place / name).lstat().st_ino for name in hidden} == {(place / "lib").lstat().st_ino}


def test_an_inode_that_has_all_its_names_is_followed_by_another(
    tmp_path: Path, top: Path, mask: Mask, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, most = os.link, 3

    def link(source: str, target: str) -> None:
        if Path(source).exists() and os.lstat(source).st_nlink >= most:
            raise OSError(31, "Too many links")
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    names = [f"name{number}" for number in range(10)]
    mask.hide(str(top / "bin"), names)
    made = [tmp_path / "usr" / "bin" / name for name in names]
    assert all(map(is_whiteout, made))
    assert max(path.lstat().st_nlink for path in made) == most


def test_a_disk_that_is_full_is_no_refusal(
    tmp_path: Path, top: Path, mask: Mask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "mknod", full)
    with pytest.raises(OSError, match="No space"):
        takes_whiteouts(tmp_path)
    with pytest.raises(OSError, match="No space"):
        mask.hide(str(top), ["bin"])


@pytest.mark.parametrize("number", [1, 13, 22, 38, 95])
def test_file_systems_without_whiteouts(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "mknod", refuse)
    assert not takes_whiteouts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_trial_leaves_nothing(tmp_path: Path) -> None:
    takes_whiteouts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_whiteouts_there_is_a_list(tmp_path: Path, top: Path) -> None:
    mask = Mask(tmp_path / "usr", str(top), whiteouts=False)
    mask.write_list()
    assert mask.is_empty
    mask.hide(str(top / "bin"), ["a", "odd\udcff\nname"])
    mask.hide(str(top), ["lib"])
    mask.write_list()
    assert not mask.is_empty
    assert (tmp_path / "usr.hidden").read_bytes() == b"bin/a\0bin/odd\xff\nname\0lib\0"
    assert everything(tmp_path / "usr") == set()


def test_links_and_copies_need_no_whiteouts(tmp_path: Path, top: Path) -> None:
    mask = Mask(tmp_path / "usr", str(top), whiteouts=False)
    mask.link(f"{top}/bin/editor", "/etc/alternatives/editor")
    mask.copy(f"{top}/share/private/y", f"{top}/bin/a")
    mask.copy(f"{top}/share/private/y", f"{top}/bin/b")
    place = tmp_path / "usr"
    assert os.readlink(place / "bin" / "editor") == "/etc/alternatives/editor"  # noqa: PTH115
    assert (place / "share/private/y").read_text() == "bin/b\n"
    assert mode(place / "share/private") == 0o2750
    assert not mask.is_empty


def test_a_copy_takes_the_place_of_a_whiteout(tmp_path: Path, top: Path, mask: Mask) -> None:
    mask.hide(str(top / "bin"), ["a", "b"])
    mask.copy(f"{top}/bin/a", f"{top}/bin/b")
    assert (tmp_path / "usr/bin/a").read_text() == "bin/b\n"
    assert is_whiteout(tmp_path / "usr/bin/b")


def test_replacing_a_directory(tmp_path: Path, top: Path, mask: Mask) -> None:
    mask.replace(str(top / "share/man/man1"), ["a.1"])
    place = tmp_path / "usr/share/man/man1"
    assert os.getxattr(place, "user.overlay.opaque") == b"y"
    assert {path.name for path in place.iterdir()} == {"a.1"}
    assert (place / "a.1").read_text() == "share/man/man1/a.1\n"
    assert (place / "a.1").stat().st_mtime_ns == (top / "share/man/man1/a.1").stat().st_mtime_ns


@pytest.mark.skipif(os.getuid() == 0, reason="root can read everything")
def test_what_can_not_be_read_is_not_replaced(tmp_path: Path, top: Path, mask: Mask) -> None:
    (top / "bin" / "a").chmod(0)
    mask.replace(str(top / "bin"), ["a", "b"])
    assert {path.name for path in (tmp_path / "usr/bin").iterdir()} == {"b"}


@pytest.mark.parametrize(
    ("residents", "hidden", "worth"),
    [
        (["a.1"], 48, True),
        (["a.1"], 47, False),
        (["a.1", "b.1"], 48, True),
        ([], 48, True),
        (["a.1"] * 13, 51, False),
        (["a.1"] * 13, 52, True),
    ],
)
def test_when_copies_are_less_work(
    top: Path, mask: Mask, residents: list[str], hidden: int, *, worth: bool
) -> None:
    assert mask.worth_replacing(str(top / "share/man/man1"), residents, hidden) is worth


def test_large_files_are_not_copied(top: Path, mask: Mask) -> None:
    with (top / "bin" / "a").open("wb") as stream:
        stream.truncate(5 << 20)
    assert not mask.worth_replacing(str(top / "bin"), ["a"], 1000)
    assert mask.worth_replacing(str(top / "bin"), ["b"], 1000)


def test_without_whiteouts_nothing_is_replaced(tmp_path: Path, top: Path) -> None:
    """An opaque directory needs the attribute, which such a file system may not have."""
    mask = Mask(tmp_path / "usr", str(top), whiteouts=False)
    assert not mask.worth_replacing(str(top / "bin"), ["a"], 1000)
