"""Whose files are whose, from lists in a directory like dpkg's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.errors import HostError
from bwbuild.root.ownership import Lists

MERGED = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin", "opt": ""}


def lists(tmp_path: Path, links: dict[str, str] | None = None, **texts: str) -> Lists:
    for name, text in texts.items():
        (tmp_path / f"{name}.list").write_text(text, encoding="utf-8", errors="surrogateescape")
    return Lists(tmp_path, MERGED if links is None else links)


def test_paths_are_where_they_are_on_this_system(tmp_path: Path) -> None:
    text = "/.\n/bin\n/bin/sh\n/lib\n/lib64\n/lib64/ld.so\n/lib/ld.so\n/usr/bin/x\n/opt/bin/x\n/library\n"
    assert lists(tmp_path, tool=text).paths("tool") == [
        "/.",
        "/usr/bin",
        "/usr/bin/sh",
        "/usr/lib",
        "/usr/lib64",
        "/usr/lib64/ld.so",
        "/usr/lib/ld.so",
        "/usr/bin/x",
        "/opt/bin/x",
        "/library",
    ]


def test_a_system_with_directories_of_its_own(tmp_path: Path) -> None:
    links = {"bin": "", "lib": ""}
    assert lists(tmp_path, links, tool="/bin/sh\n/lib\n").paths("tool") == ["/bin/sh", "/lib"]


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/bin/sh", "/usr/bin/sh"),
        ("/bin", "/usr/bin"),
        ("/binary", "/binary"),
        ("/usr/bin/sh", "/usr/bin/sh"),
        ("/lib64/ld.so", "/usr/lib64/ld.so"),
        ("/srv/bin/sh", "/srv/bin/sh"),
    ],
)
def test_normalised(tmp_path: Path, path: str, real: str) -> None:
    assert lists(tmp_path).normalised(path) == real


def test_names_that_are_odd(tmp_path: Path) -> None:
    odd = "/usr/share/ein\udcff name\n/usr/share/tab\there\n/usr/share/\u2028line\n"
    assert lists(tmp_path, odd=odd).paths("odd") == odd.split("\n")[:-1]


def test_an_empty_list_is_no_path(tmp_path: Path) -> None:
    assert lists(tmp_path, empty="").paths("empty") == []


def test_a_package_without_a_list(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="files of gone can't be read: No such file") as error:
        lists(tmp_path).paths("gone")
    assert error.value.hint == "sudo apt-get install --reinstall gone"


def test_stems(tmp_path: Path) -> None:
    (tmp_path / "tool.md5sums").touch()
    assert lists(tmp_path, **{"tool": "", "libz1:amd64": ""}).stems() == {"tool", "libz1:amd64"}


def test_owned(tmp_path: Path) -> None:
    found = lists(tmp_path, a="/.\n/bin/sh\n/usr/share/a\n", b="/usr/lib/b\n/lib/old\n", c="/usr/share/c\n")
    among = ["/usr/bin/sh", "/usr/lib/b", "/usr/lib/old", "/usr/share/c", "/usr/share/nobody"]
    assert found.owned(["a", "b", "gone"], among) == {"/usr/bin/sh", "/usr/lib/b", "/usr/lib/old"}
    assert found.owned([], among) == found.owned(["a"], []) == set()


def test_owned_finds_the_last_line_and_odd_names(tmp_path: Path) -> None:
    found = lists(tmp_path, odd="/usr/share/first\n/usr/share/ein\udcff\n")
    assert found.owned(["odd"], ["/usr/share/ein\udcff", "/usr/share/ein"]) == {"/usr/share/ein\udcff"}


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    found = lists(tmp_path, tool="/usr\n")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        found.paths("tool")
        found.owned(["tool"], ["/usr"])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
