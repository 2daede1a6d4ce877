"""What a trace shows of the use of permissions, and what is said where nobody traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_plans import plan

from bwbuild.build.granted.using import Using
from bwbuild.build.granted.witness import Witness, wanted
from bwbuild.build.record.uses import Seen, uses
from bwbuild.permissions.answers import Decision, Why
from bwbuild.permissions.asked import Purpose
from bwbuild.permissions.words import Permission, parse
from bwbuild.sandbox import traced
from bwbuild.trace.parse import events

TEXTS = ("device=kvm", "device=dri", "filesystem=~/data", "socket=wayland", "persist=notes")
TEXTS += ("userns", "raw-sync", "foreign-abi", "env=HOME", "share=network", "limit=memory:8G")
GRANTED = tuple(map(parse, TEXTS))
PATHS = {parse("filesystem=~/data"): Path("/home/jane/data")}
CASES = {
    b'7<x> openat(AT_FDCWD</>, "/dev/kvm", O_RDWR) = 3</dev/kvm<char 10:232>>': "device=kvm",
    b'7<x> openat(AT_FDCWD</dev>, "dri/card0", O_RDWR) = 3</dev/dri/card0>': "device=dri",
    b'7<x> newfstatat(AT_FDCWD</>, "/dev/dri", {st_mode=S_IFDIR|0755, ...}, 0) = 0': "device=dri",
    b'7<x> openat(AT_FDCWD</build>, "link", O_RDONLY) = 3</home/jane/data/x>': "filesystem=~/data:ro",
    b'7<x> execve("/home/jane/data/run", ["run"], 0x7 /* 3 vars */) = 0': "filesystem=~/data:ro",
    b'7<x> connect(3, {sa_family=AF_UNIX, sun_path="/run/bwbuild-permits/wayland"}, 9) = 0': "socket=wayland",
    b'7<x> access("/run/bwbuild-persist/notes/x", R_OK) = 0': "persist=notes",
    b"7<x> unshare(CLONE_NEWUSER) = 0": "allow=userns",
    b"7<x> clone(child_stack=NULL, flags=CLONE_NEWUSER|SIGCHLD) = 8<x>": "allow=userns",
    b"7<x> fdatasync(3</x>) = 0": "allow=raw-sync",
    b"7<x> [ Process PID=7 runs in 32 bit mode. ]": "allow=foreign-abi",
}
IDLE = (
    b'7<x> openat(AT_FDCWD</>, "/dev/kvm", O_RDWR) = -1 EACCES (Permission denied)',
    b'7<x> openat(AT_FDCWD</>, "/dev/kvmlike", O_RDWR) = 3</dev/kvmlike>',
    b'7<x> newfstatat(AT_FDCWD</>, "/home/jane", {st_mode=S_IFDIR|0755, ...}, 0) = 0',
    b"7<x> unshare(CLONE_NEWNS) = 0",
    b"7<x> unshare(CLONE_NEWUSER) = -1 ENOSPC (No space left on device)",
    b"7<x> clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 8<x>",
    b"7<x> [ Process PID=7 runs in 64 bit mode. ]",
)


def seen_in(*lines: bytes) -> dict[Permission, bool]:
    witness = Witness(GRANTED, PATHS)
    for event in events([b"".join(line + b"\n" for line in lines)], inside=True):
        witness.see(event)
    return witness.used()


@pytest.mark.parametrize("line", CASES)
def test_one_line_is_one_use(line: bytes) -> None:
    used = [str(permission) for permission, is_used in seen_in(*IDLE, line).items() if is_used]
    assert used == [CASES[line]]


def test_what_a_trace_does_not_show_is_left_to_others() -> None:
    known = seen_in(*IDLE)
    assert {str(permission) for permission in GRANTED if permission not in known} == {
        "env=HOME",
        "share=network",
        "limit=memory:8G",
    }
    assert not any(known.values())


def test_only_what_is_granted_makes_the_trace_longer() -> None:
    assert traced.words(wanted([parse("env=HOME"), parse("share=network")])) == traced.WORDS
    for text, call in {"userns": "unshare", "raw-sync": "fsync", "device=kvm": "?statx"}.items():
        (before, after) = (
            words[-1].split(",") for words in (traced.WORDS, traced.words(wanted([parse(text)])))
        )
        assert call not in before
        assert call in after
    assert "--quiet=all" not in traced.words(wanted([parse("foreign-abi")]))


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_not_known_has_a_reason_and_what_shows_it(text: str) -> None:
    permission = parse(text)
    decision = Decision(permission, Purpose.BUILD, granted=True, why=Why.OPTION)
    (use,) = uses([decision], Seen({}))
    assert use.used == "unknown"
    assert use.unknown
    assert str(use).endswith(f"unknown whether used: {use.unknown}")
    traceable = permission in Witness([permission], PATHS).used()
    assert ("bwbuild learn shows it" in use.unknown) is traceable
    for is_used, word in ((True, "yes"), (False, "no")):
        (use,) = uses([decision], Seen({}, shown={permission: is_used}))
        assert (use.used, use.unknown) == (word, "")


def test_tests_are_not_traced() -> None:
    decision = Decision(parse("device=kvm"), Purpose.TESTS, granted=True, why=Why.OPTION)
    (use,) = uses([decision], Seen({}))
    assert use.unknown.endswith("and tests are not traced")


def test_what_the_build_or_its_tests_wrote() -> None:
    notes = parse("persist=notes")
    both = [Decision(notes, purpose, granted=True, why=Why.OPTION) for purpose in Purpose]
    seen = Seen({}, written=(notes,))
    assert [use.used for use in uses(both, seen)] == ["unknown", "unknown"]
    assert {use.unknown for use in uses(both, seen)} == {
        "something was written there, by the build or by its tests"
    }
    # One of them alone has it, or came to run.
    assert [use.used for use in uses(both[1:], seen)] == ["yes"]
    assert [use.used for use in uses(both, Seen({}, (notes,), ran=(Purpose.BUILD,)))][:1] == ["yes"]
    refused = Decision(notes, Purpose.TESTS, granted=False, why=Why.OPTION)
    assert uses([both[0], refused], seen)[0].used == "yes"


def test_what_a_build_shows_is_about_the_build() -> None:
    permissions = (parse("limit=memory:8G"), parse("env=TOKEN"))
    tests = [Decision(item, Purpose.TESTS, granted=True, why=Why.OPTION) for item in permissions]
    shown = dict.fromkeys(permissions, True)
    assert [use.used for use in uses(tests, Seen({}, shown=shown))] == ["unknown", "unknown"]
    assert [use.used for use in uses(tests, Seen({}, lacking=permissions[1:]))] == ["unknown", "no"]


@pytest.mark.parametrize(
    ("text", "settings", "taken", "used"),
    [
        ("limit=time:3h", {"timeout": 60.0}, {"time": 61.0}, "yes"),
        ("limit=time:3h", {"timeout": 60.0}, {"time": 59.0}, "no"),
        ("limit=time:3h", {"timeout": None}, {"time": 61.0}, "no"),
        ("limit=log:1G", {"limit_log": 1000}, {"log": 1001}, "yes"),
        ("limit=log:1G", {"limit_log": 1000}, {"log": 1000}, "no"),
        ("limit=memory:8G", {"limit_memory": 1000}, {"memory": 1001, "log": 0}, "yes"),
        ("limit=memory:8G", {"limit_memory": 1000}, {"log": 0}, "unknown"),
        ("limit=files:9999", {"limit_files": 1000}, {"log": 1001}, "unknown"),
    ],
)
def test_limits_that_are_measured(
    text: str, settings: dict[str, Any], taken: dict[str, float], used: str
) -> None:
    decision = Decision(parse(text), Purpose.BUILD, granted=True, why=Why.OPTION)
    wanted = plan(allow=(parse(text),), decisions=(decision,), **settings)
    (use,) = Using(wanted).uses(taken, (Purpose.BUILD,))
    assert use.used == used
