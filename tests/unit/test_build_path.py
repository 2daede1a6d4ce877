"""--build-path: which places inside can be had, and what the sandbox makes of them."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from made_plans import plan

from bwbuild.config.kinds import InsidePath
from bwbuild.config.settings import Workspace
from bwbuild.errors import ConfigurationError
from bwbuild.sandbox.spec import Bind, Directory, Guest, ReadOnly, Scratch


@pytest.mark.parametrize("text", ["/build", "/build/", "/build/a b", "/srv/x", "/home/joe/y", "/", "/ä"])
def test_paths(text: str) -> None:
    assert InsidePath().from_text(text) == PurePosixPath(text)


@pytest.mark.parametrize(
    "text",
    ["", "build", "./x", "/a/../b", "/a/./b", "/a//b", "//a", "/a//", "/a\nb", "/a\x1b", "/\udc80", "/.."],
)
def test_no_paths(text: str) -> None:
    with pytest.raises(ValueError, match="an absolute path"):
        InsidePath().from_text(text)


@pytest.mark.parametrize(
    "path", ["/build", "/build/x/y", "/srv/x", "/home/joe", "/opt/x", "/mnt", "/usrlocal"]
)
def test_free_places(path: str) -> None:
    made = plan(build_path=PurePosixPath(path))
    inside = Guest(path) / "tiny-1.0"
    assert made.sandbox.workspace.inside == inside
    mounts = list(made.sandbox.mounts)
    parent = mounts.index(Bind(Scratch("ns/parent"), Guest(path), writable=True))
    assert mounts[parent + 1 :] == [Bind(Scratch("ns/tree"), inside, writable=True), ReadOnly(Guest("/"))]
    above = [Directory(above) for above in reversed(Guest(path).parents) if above != Guest("/")]
    assert mounts[parent - len(above) : parent] == above, "each with a mode that lets the build user through"
    assert "--buildinfo-option=--always-include-path" in made.sandbox.command


TAKEN = [
    *(
        "/",
        "/usr",
        "/usr/src/x",
        "/etc/x",
        "/proc/x",
        "/dev/shm/x",
        "/tmp/x",
        "/var/tmp/x",
        "/run/x",
        "/root/x",
    ),
    *("/bin/x", "/lib/x", "/lib64/x", "/libx32", "/sbin", "/sys/x", "/boot/x"),
]


@pytest.mark.parametrize("path", TAKEN)
def test_places_of_the_sandbox(path: str) -> None:
    with pytest.raises(ConfigurationError, match=f"in {path}: the sandbox has") as caught:
        plan(build_path=PurePosixPath(path))
    assert "/build/NAME" in caught.value.hint


def test_in_place_is_where_it_is() -> None:
    with pytest.raises(ConfigurationError, match="--build-path elsewhere"):
        plan(workspace=Workspace.IN_PLACE, build_path=PurePosixPath("/build/x"))


def test_without_the_option_dpkg_records_what_it_likes() -> None:
    assert not [word for word in plan().sandbox.command if "include-path" in word]
