from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from made_plans import HOST

from bwbuild.host.facts import parse_id_map, parse_kernel, parse_subordinate, read_caller, read_host


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("joe:100000:65536\n", (range(100000, 165536),)),
        ("1500:100000:10\n", (range(100000, 100010),)),
        ("joe:1:2\nann:3:4\njoe:5:6\n", (range(1, 3), range(5, 11))),
        ("", ()),
        ("ann:1:2\n", ()),
        ("joel:1:2\n", ()),
        ("# joe:1:2\n", ()),
        ("joe:1\njoe:x:2\njoe:1:x\njoe::\njoe\njoe:-1:5\n", ()),
        ("joe:1:0\n", ()),
        (":1:2\n", ()),
        ("joe:1:2:3\n", ()),
    ],
)
def test_subordinate_ids(text: str, found: tuple[range, ...]) -> None:
    assert parse_subordinate(text, "joe", 1500) == found


def test_a_nameless_user_has_no_lines_without_owner() -> None:
    assert parse_subordinate(":1:2\n\n", "", 1500) == ()
    assert parse_subordinate("1500:1:2\n", "", 1500) == (range(1, 3),)


@pytest.mark.parametrize(
    ("release", "found"),
    [
        ("6.1.0-18-amd64", (6, 1)),
        ("6.18.44-x", (6, 18)),
        ("5.11", (5, 11)),
        ("6.6-rc1", (6, 6)),
        ("6.12+bpo", (0, 0)),
        ("", (0, 0)),
        ("x.y", (0, 0)),
        ("6", (0, 0)),
    ],
)
def test_kernel(release: str, found: tuple[int, int]) -> None:
    assert parse_kernel(release) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("         0          0 4294967295\n", (range(4294967295),)),
        ("0 1000 1\n1 100000 65536\n", (range(1), range(1, 65537))),
        ("", ()),
        ("0 0\n", ()),
    ],
)
def test_id_map(text: str, found: tuple[range, ...]) -> None:
    assert parse_id_map(text) == found


def test_this_machine() -> None:
    host = read_host()
    assert host.caller == read_caller()
    assert (host.caller.uid, host.caller.gid) == (os.getuid(), os.getgid())
    assert host.caller.is_root == (os.getuid() == 0)
    assert host.kernel >= (5, 11)
    assert host.architecture.isalnum() or "-" in host.architecture
    assert "/" in host.mount_points
    assert any(os.getuid() in ids for ids in host.mapped_ids)
    assert any(0 in ids for ids in host.taken_ids)
    for name, target in host.root_names.items():
        assert Path("/", name).resolve() == Path("/", target or name).resolve()
    again = read_host()
    # Free memory is of a moment, all else stays.
    assert replace(again, memory=host.memory) == host


@pytest.mark.parametrize(
    ("path", "found"),
    [("/a", True), ("/a/b", False), ("/a/b/c", False), ("/", True), ("/ab", False), ("/x", False)],
)
def test_mounts_below(path: str, found: bool) -> None:
    host = replace(HOST, mount_points=frozenset({"/a/b", "/a/bc/d"}))
    assert host.has_mounts_below(Path(path)) is found
