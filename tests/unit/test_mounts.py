from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.host.mounts import mounted, parse_type, type_of

TABLE = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:5 / /proc rw - proc proc rw
24 22 0:6 / /home rw master:3 - nfs4 server:/home rw
25 24 0:7 / /home/joe rw - tmpfs tmpfs rw
26 24 0:8 / /home/with\\040space rw - btrfs /dev/x rw
27 24 0:9 / /home/tab\\011nl\\012bs\\134 rw - xfs /dev/y rw
28 22 0:10 / /twice rw - ext4 /dev/z rw
29 28 0:11 / /twice rw - overlay overlay rw
broken line
30 22
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/etc", "ext4"),
        ("/home", "nfs4"),
        ("/home/ann", "nfs4"),
        ("/home/joe", "tmpfs"),
        ("/home/joe/x/y", "tmpfs"),
        ("/home/joel", "nfs4"),
        ("/homes", "ext4"),
        ("/home/with space/x", "btrfs"),
        ("/home/tab\tnl\nbs\\/x", "xfs"),
        ("/twice/x", "overlay"),
        ("/proc/1", "proc"),
    ],
)
def test_type(path: str, kind: str) -> None:
    assert parse_type(TABLE, path) == kind


def test_an_empty_table() -> None:
    assert parse_type("", "/x") == ""


def test_this_machine(tmp_path: Path) -> None:
    assert type_of(Path("/proc/self")) == "proc"
    assert type_of(Path("/dev/shm")) == "tmpfs"
    assert type_of(tmp_path / "not" / "there" / "yet") == type_of(tmp_path) != ""
    assert {"/", "/proc"} <= {mount.point for mount in mounted()}


def test_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    assert type_of(tmp_path / "link") == "proc"
