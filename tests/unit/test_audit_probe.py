"""What a look around says, and what it changes."""

from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from bwbuild.audit import probe
from bwbuild.audit.facts import ALL_CAPABILITIES, WORST, Access, Descriptors, Environment, Facts
from bwbuild.audit.words import Mounted
from bwbuild.sandbox.syscalls import HELD_BACK, Group

INSIDE = """\
namespace\tnet\tnet:[2]
namespace\tuts\tuts:[1]
status\tCapPrm\t0000000000000000
status\tCapEff\t0000000000000000
status\tNoNewPrivs\t1
status\tSeccomp\t2
keyring\t7
place\t/home/joe\t1:2\t0
place\t/tmp\t9:9\t1
place\t/srv/a%20b%FF\t3:3\t1
variable\tPATH
variable\tSHLVL
call\tmount\t1
call\tsetns\t9
call\tsocket40\t97
call\tsocket38\t0
call\tkeyctl\t38
call\tunshare\t28
writable\t/\t5:5
socket\t/run/own
end\tinside
"""
OUTSIDE = """\
namespace\tnet\tnet:[1]
namespace\tuts\tuts:[1]
keyring\t8
place\t/home/joe\t1:2\t1
place\t/tmp\t1:9\t1
place\t/\t6:6\t1
end\toutside
"""
EXPECTED = probe.Expected("MARK", frozenset({"PATH"}), (Mounted(PurePosixPath("/run")),))
GOOD = Facts(
    unknown=(),
    shared=frozenset(),
    nesting=False,
    capabilities=frozenset(),
    gaining=False,
    unfiltered=frozenset(),
    keyring=False,
    descriptors=Descriptors.NONE,
    environment=Environment.CHOSEN,
    sockets=(),
    writable=(),
)


def sight(text: str, side: str = "inside") -> probe.Sight:
    found = probe.read(text, side)
    assert found is not None
    return found


def seen(text: str = INSIDE, expected: probe.Expected = EXPECTED) -> dict[str, object]:
    return probe.seen(sight(text), sight(OUTSIDE, "outside"), expected)


def test_a_look_that_did_not_end_is_none() -> None:
    assert probe.read(INSIDE.replace("end\tinside\n", ""), "inside") is None
    assert probe.read(INSIDE, "outside") is None
    assert probe.read("", "inside") is None


def test_names_that_are_no_plain_text() -> None:
    assert "/srv/a b\udcff" in sight(INSIDE).places


def test_what_is_good() -> None:
    assert seen() == {
        "descriptors": Descriptors.NONE,
        "environment": Environment.CHOSEN,
        "sockets": (),
        "writable": (),
        "shared": frozenset({"uts"}),
        "capabilities": frozenset(),
        "gaining": False,
        "nesting": False,
        "keyring": False,
    }


BAD = [
    ("end\tinside", "descriptor\t5\nend\tinside", "descriptors", Descriptors.DO),
    ("variable\tPATH", "variable\tTOKEN", "environment", Environment.MOST),
    ("variable\tPATH", "variable\tMARK", "environment", Environment.MOST),
    ("/run/own", "/srv/socket", "sockets", ()),
    ("writable\t/\t5:5", "writable\t/\t6:6", "writable", ("/",)),
    ("net:[2]", "net:[1]", "shared", frozenset({"uts", "net"})),
    ("CapEff\t0000000000000000", "CapEff\t0000000000200000", "capabilities", ALL_CAPABILITIES),
    ("NoNewPrivs\t1", "NoNewPrivs\t0", "gaining", True),
    ("unshare\t28", "unshare\t0", "nesting", True),
    ("keyring\t7", "keyring\t8", "keyring", True),
]


@pytest.mark.parametrize(("good", "bad", "field", "value"), BAD)
def test_what_is_bad(good: str, bad: str, field: str, value: object) -> None:
    assert seen(INSIDE.replace(good, bad))[field] == value


def test_sockets_below_a_directory_of_the_machine() -> None:
    shown = (Mounted(PurePosixPath("/run")), Mounted(PurePosixPath("/run/dbus"), PurePosixPath("/run/dbus")))
    text = INSIDE.replace("socket\t/run/own", "socket\t/run/own\nsocket\t/run/dbus/bus")
    assert seen(text, replace(EXPECTED, mounts=shown))["sockets"] == ("/run/dbus/bus",)


def test_an_unfinished_search_proves_nothing() -> None:
    assert "sockets" not in seen(INSIDE.replace("end\t", "unseen\t4\nend\t"))


def test_the_descriptor_of_the_look_itself() -> None:
    expected = replace(EXPECTED, extra=5)
    assert seen(INSIDE.replace("end\t", "descriptor\t5\nend\t"), expected)["descriptors"] is Descriptors.WOULD
    text = INSIDE.replace("end\t", "descriptor\t5\ndescriptor\t6\nend\t")
    assert seen(text, expected)["descriptors"] is Descriptors.DO


def test_places_are_the_machines_by_their_inodes() -> None:
    fields = {"home": ("/home/joe",), "tmp": ("/tmp",), "keys": ("/home/joe/.ssh",)}
    found = probe.accesses(sight(INSIDE), sight(OUTSIDE, "outside"), fields)
    assert found == {"home": Access.READ, "tmp": Access.NONE, "keys": Access.NONE}


ELSEWHERE = Mounted(PurePosixPath("/h"), PurePosixPath("/mnt/home"), writable=True)
FIELDS = {"home": ("/home/joe",), "tmp": ("/tmp",)}


@pytest.mark.parametrize("place", ["/h", "/h/joe", "/h/home/joe"])
def test_places_under_other_names(place: str) -> None:
    """Whatever the name of its source says, as that of a bind mount outside."""
    text = INSIDE.replace("place\t/home/joe\t1:2\t0", f"place\t{place}\t1:2\t1")
    assert place in probe.whereabouts("/home/joe", [ELSEWHERE])
    found = probe.accesses(sight(text), sight(OUTSIDE, "outside"), FIELDS, [ELSEWHERE])
    assert found == {"home": Access.WRITE, "tmp": Access.NONE}
    own = replace(ELSEWHERE, source=None)
    found = probe.accesses(sight(text), sight(OUTSIDE, "outside"), FIELDS, [own])
    assert found == {"home": Access.NONE, "tmp": Access.NONE}


def test_in_an_overlay_nothing_seen_says_nothing() -> None:
    layers = [replace(ELSEWHERE, layer=True)]
    found = probe.accesses(sight(INSIDE), sight(OUTSIDE, "outside"), FIELDS, layers)
    assert found == {"home": Access.READ}


def test_where_nothing_serves_every_socket_is_the_machines() -> None:
    assert seen(expected=replace(EXPECTED, serving=False))["sockets"] == ("/run/own",)


def test_calls_that_are_held_back() -> None:
    # Of the families one got through.
    assert probe.held_back(sight(INSIDE)) == {Group.MOUNTS, Group.KEYRING}


def test_what_was_seen_makes_facts_worse_only() -> None:
    found = probe.confirmed(GOOD, seen(), sight(INSIDE), filtered=False)
    assert found.unfiltered == {Group.NAMESPACES, Group.SOCKETS}
    assert found.shared == {"uts"}
    assert not found.nesting
    bad = probe.confirmed(WORST, seen(), sight(INSIDE), filtered=False)
    assert bad == WORST


def test_an_unknown_filter_is_known_by_what_it_does() -> None:
    before = replace(GOOD, unfiltered=frozenset(HELD_BACK))
    found = probe.confirmed(before, seen(), sight(INSIDE), filtered=True)
    assert found.unfiltered == set(HELD_BACK) - {Group.MOUNTS, Group.CHROOT, Group.KEYRING, Group.HOST}
    text = INSIDE.replace("Seccomp\t2", "Seccomp\t0")
    assert probe.confirmed(before, seen(text), sight(text), filtered=True).unfiltered == set(HELD_BACK)


def test_capabilities_are_known_by_name_where_they_are() -> None:
    text = INSIDE.replace("CapEff\t0000000000000000", "CapEff\t0000000000000001")
    before = replace(GOOD, capabilities=frozenset({"CAP_CHOWN"}))
    assert probe.confirmed(before, seen(text), sight(text), filtered=False).capabilities == {"CAP_CHOWN"}
    assert probe.confirmed(GOOD, seen(text), sight(text), filtered=False).capabilities == ALL_CAPABILITIES


def test_the_look_runs_outside(tmp_path: Path) -> None:
    """With the perl of this machine; ``-e`` and standard input are the same."""
    odd = tmp_path / "tab\t and %"
    odd.mkdir()
    words = probe.command("outside", "amd64" if sys.maxsize > 2**32 else "none", [odd, "/nonexistent"])
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found = probe.read(done.stdout, "outside")
    assert found is not None
    status = odd.stat()
    assert found.places == {str(odd): (f"{status.st_dev}:{status.st_ino}", True)}
    assert {"net", "pid", "user"} <= set(found.namespaces)
    words, text = probe.on_input(words)
    again = subprocess.run(words, input=text, capture_output=True, check=True)
    assert again.stdout.decode("ascii").splitlines()[-1] == "end\toutside"


def test_errors_of_calls_are_this_systems() -> None:
    assert (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT) == (1, 38, 97)
