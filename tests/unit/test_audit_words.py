"""Command lines of bwrap, read and judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from bwbuild.audit.assessments import ASSESSMENTS
from bwbuild.audit.facts import (
    WORST,
    Access,
    Descriptors,
    End,
    Environment,
    Exit,
    Facts,
    Streams,
    System,
    Users,
)
from bwbuild.audit.of_line import Around, facts_of_line
from bwbuild.audit.score import Score, score
from bwbuild.audit.words import Line, mounts, read, visible, with_sources

HOME = PurePosixPath("/home/joe")
AROUND = Around(HOME, HOME / "deb" / "tiny-1", open_files=False)
#: The usual few lines of shell around bwrap, as a user in /home/joe/deb/tiny-1 has it.
CLASSIC = (
    "--ro-bind /var/lib/dpkg /var/lib/dpkg --ro-bind /etc /etc --ro-bind /usr /usr"
    " --symlink usr/bin /bin --symlink usr/lib /lib --proc /proc --dev /dev --bind /tmp /tmp"
    " --bind /home/joe/deb /home/joe/deb --unshare-user --uid 0 --gid 0 --unshare-net --unshare-pid"
    " --unshare-ipc --new-session --die-with-parent dpkg-buildpackage -us -uc"
)
#: Nothing of the machine but programs, and nothing that can be written.
TIGHT = (
    "--unshare-all --unshare-user --disable-userns --die-with-parent --new-session --clearenv"
    " --ro-bind /usr /usr --symlink usr/bin /bin --proc /proc --dev /dev --tmpfs /tmp --cap-drop ALL -- true"
)


def facts(words: str, around: Around = AROUND) -> Facts:
    return facts_of_line(read(words.split()), around)


def judged(words: str, around: Around = AROUND) -> Score:
    return score(facts(words, around), ASSESSMENTS)


def bad(found: Score) -> set[str]:
    return {finding.assessment.name for finding in found.findings if finding.badness}


def test_options_and_command() -> None:
    line = read(["--setenv", "A", "--bind", "--bind", "/a", "/b", "make", "--proc", "x"])
    assert [(option.name, option.values) for option in line.options] == [
        ("--setenv", ("A", "--bind")),
        ("--bind", ("/a", "/b")),
    ]
    assert line.command == ("make", "--proc", "x")
    assert read(["--proc", "/proc", "--", "--odd"]).command == ("--odd",)
    assert read(["--proc", "/proc", "$@"]).command == ("$@",)


@pytest.mark.parametrize(
    "words",
    [
        "--new-option x",
        "--args 3",
        "--userns 4",
        "--bind-fd 3 /x",
        "--ro-bind /usr",
        "-x",
        "--bind=/a /a",
    ],
)
def test_an_unknown_argument_is_the_worst_case(words: str) -> None:
    found = facts(f"{TIGHT.removesuffix(' -- true')} {words}")
    unknown = words.split(maxsplit=1)[0]
    assert found == facts_of_line(Line((), (unknown,)), AROUND)
    assert found.unknown == (unknown,)
    result = score(found, ASSESSMENTS)
    assert (result.exposure, result.label) == (10.0, "DANGEROUS")
    assert all(finding.badness == finding.assessment.range for finding in result.findings)


def test_a_target_that_links_may_lead_elsewhere_is_the_worst_case() -> None:
    assert facts("--ro-bind / / --tmpfs /a/../home") == replace(WORST, unknown=("--tmpfs /a/../home",))


def test_classic() -> None:
    found = judged(CLASSIC)
    assert (found.exposure, found.label) == (9.0, "UNSAFE")
    assert {finding.assessment.name for finding in found.fatal} == {"sockets"}
    assert {"/tmp", "parent directory", "source tree", "environment", "results", "home"} <= bad(found)
    assert not {"net namespace", "pid namespace", "/proc", "devices", "capabilities", "keys"} & bad(found)
    assert facts(CLASSIC).users is Users.ALONE
    assert facts(CLASSIC).home is Access.PART


def test_classic_beside_the_home_directory() -> None:
    around = replace(AROUND, home=PurePosixPath("/home/joe/deb"))
    assert {"home", "keys"} <= bad(judged(CLASSIC, around))
    assert facts(CLASSIC, around).home is Access.WRITE


def test_tight() -> None:
    found = judged(TIGHT)
    assert found.exposure < judged(CLASSIC).exposure
    for name in ("home", "/tmp", "sockets", "results", "signing", "environment", "nested namespaces", "/sys"):
        assert name not in bad(found)
    assert facts(TIGHT).system is System.ALL
    assert facts(TIGHT).etc is System.NONE


RELAXED = [
    ("--unshare-all", "--unshare-all --share-net", "net namespace"),
    ("--unshare-all", "--unshare-user --unshare-net --unshare-ipc --unshare-uts", "pid namespace"),
    ("--unshare-all", "--unshare-user --unshare-net --unshare-pid --unshare-uts", "ipc namespace"),
    ("--disable-userns", "", "nested namespaces"),
    ("--die-with-parent", "", "end"),
    ("--new-session", "", "typing on the terminal"),
    ("--clearenv", "", "environment"),
    ("--clearenv", "--unsetenv TOKEN", "environment"),
    ("--tmpfs /tmp", "--bind /tmp /tmp", "/tmp"),
    ("--tmpfs /tmp", "--ro-bind /run /run", "sockets"),
    ("--tmpfs /tmp", "--ro-bind /run/user/1000/bus /run/user/1000/bus", "sockets"),
    ("--tmpfs /tmp", "--ro-bind /home /home", "home"),
    ("--tmpfs /tmp", "--ro-bind /home/joe/.gnupg /keys", "keys"),
    ("--tmpfs /tmp", "--bind /home/joe/deb /build", "parent directory"),
    ("--tmpfs /tmp", "--bind /home/joe/deb/tiny-1 /build", "source tree"),
    ("--tmpfs /tmp", "--overlay-src /home/joe --tmp-overlay /home/joe", "home"),
    ("--tmpfs /tmp", "--overlay /home/joe/deb /work /deb", "parent directory"),
    ("--tmpfs /tmp", "--ro-bind /etc /etc", "/etc"),
    ("--tmpfs /tmp", "--ro-bind /sys /sys", "/sys"),
    ("--tmpfs /tmp", "--bind /srv/x /x --tmpfs /x/y", "mount points"),
    ("--ro-bind /usr /usr", "--bind /usr /usr", "writable system"),
    ("--dev /dev", "--dev-bind /dev /dev", "devices"),
    ("--dev /dev", "--dev-bind /dev/kvm /dev/kvm", "devices"),
    ("--proc /proc", "--ro-bind /proc /proc", "/proc"),
    ("--cap-drop ALL", "--cap-add CAP_SYS_ADMIN", "capabilities"),
    ("--cap-drop ALL", "--uid 0", "users"),
]


@pytest.mark.parametrize(("tight", "loose", "name"), RELAXED)
def test_each_relaxation_is_found(tight: str, loose: str, name: str) -> None:
    assert tight in TIGHT
    before, after = judged(TIGHT), judged(TIGHT.replace(tight, loose))
    pairs = zip(before.findings, after.findings, strict=True)
    weights = {one.assessment.name: (one.badness or 0, other.badness or 0) for one, other in pairs}
    assert weights[name][1] > weights[name][0]
    assert after.tenths >= before.tenths


def test_open_files_of_the_caller_get_in() -> None:
    around = replace(AROUND, open_files=True)
    assert facts(TIGHT).descriptors is Descriptors.WOULD
    assert facts(TIGHT, around).descriptors is Descriptors.DO
    assert judged(TIGHT, around).label == "UNSAFE"


def test_root_keeps_all_capabilities_unless_they_are_dropped() -> None:
    root = replace(AROUND, root=True)
    assert "capabilities" not in bad(judged(TIGHT, root))
    assert "capabilities" in bad(judged(TIGHT.replace("--cap-drop ALL", ""), root))
    assert "capabilities" in bad(judged(TIGHT.replace("ALL", "CAP_NET_ADMIN"), root))
    assert facts(TIGHT, root).users is Users.MACHINE


VISIBLE = [
    ("--ro-bind / /", Access.READ),
    ("--bind / /", Access.WRITE),
    ("--bind / / --remount-ro /", Access.READ),
    ("--bind / / --ro-bind /home /home", Access.READ),
    ("--bind / / --tmpfs /home", Access.NONE),
    ("--tmpfs /home --bind /home/joe /joe", Access.WRITE),
    ("--bind /home/joe/deb /deb", Access.PART),
    ("--bind /home/joe/deb /deb --tmpfs /deb", Access.NONE),
    ("--ro-bind / /old --tmpfs /home", Access.READ),
    ("--bind /home/joey /home/joe", Access.NONE),
    ("--bind /home/joe /x --bind /srv /x", Access.NONE),
    ("--overlay-src /home/joe --overlay-src /a --ro-overlay /x", Access.READ),
    ("--overlay-src /home --ro-overlay /x --tmpfs /x/joe", Access.NONE),
    ("--ro-bind-try /home/joe /x", Access.READ),
    ("--bind / / --tmpfs //home/", Access.NONE),
    ("--bind / / --tmpfs home", Access.NONE),
    ("--bind / // --remount-ro /.", Access.READ),
    ("--overlay-src /home/joe --ro-overlay //x --tmpfs /x", Access.NONE),
]


@pytest.mark.parametrize(("words", "access"), VISIBLE)
def test_visible(words: str, access: Access) -> None:
    assert visible(mounts(read(words.split())), HOME) is access


def test_sources_are_what_they_lead_to() -> None:
    words = (
        "--bind lnk /h --ro-bind-try .. /src --overlay-src lnk --overlay lnk lnk lnk"
        " --symlink lnk /x --tmpfs lnk --setenv A lnk -- lnk"
    )
    line = read(words.split())
    names = {"lnk": "/home/joe", "..": "/home"}
    found = with_sources(line, lambda name: names.get(name, name))
    assert [option.values for option in found.options] == [
        ("/home/joe", "/h"),
        ("/home", "/src"),
        ("/home/joe",),
        ("/home/joe", "/home/joe", "lnk"),
        ("lnk", "/x"),
        ("lnk",),
        ("A", "lnk"),
    ]
    assert found.command == ("lnk",)
    assert visible(mounts(found), HOME) is Access.WRITE


def test_keys_that_a_link_in_the_home_leads_to() -> None:
    around = replace(AROUND, keys=(PurePosixPath("/srv/keys"), HOME / ".gnupg"))
    assert facts("--ro-bind /srv /srv", around).keys is Access.READ
    assert facts("--ro-bind /home/joe/.gnupg /x", around).keys is Access.READ
    assert facts("--ro-bind /srv /srv").keys is Access.NONE


def test_a_link_to_a_covered_directory_shows_no_sockets() -> None:
    words = "--ro-bind / / --tmpfs /run --tmpfs /tmp"
    assert facts(words).sockets == ("/var/run",)
    assert facts(words, replace(AROUND, run=(PurePosixPath("/run"),))).sockets == ()


SIZED = [
    ("--size 9 --tmpfs /tmp", {"/tmp"}),
    ("--size 9 --perms 1777 --tmpfs /tmp --dev /dev --size 9 --tmpfs /dev/shm", {"/tmp", "/dev/shm"}),
    ("--size 9 --tmpfs /tmp --tmpfs /tmp", set()),
    ("--size 9 --tmpfs /x --tmpfs /tmp", set()),
    ("--size 9 --tmpfs /dev/shm --dev /dev", set()),
    ("--size 9 --tmpfs /tmp --bind /tmp /tmp", set()),
    ("--size 9 --tmpfs /", {"/tmp", "/dev/shm"}),
]


@pytest.mark.parametrize(("words", "limited"), SIZED)
def test_sizes_of_what_lies_in_memory(words: str, limited: set[str]) -> None:
    assert facts(words).unlimited == WORST.unlimited - limited


def test_streams_are_those_of_whoever_starts_it() -> None:
    assert "streams" in bad(judged(TIGHT))
    assert "streams" not in bad(judged(TIGHT, replace(AROUND, streams=Streams.PIPES)))


def test_other_facts() -> None:
    found = facts("--ro-bind /usr /usr --unshare-pid --proc /proc")
    assert found.environment is Environment.ALL
    assert found.end is End.NEVER
    assert found.exit is Exit.COPIED
    assert not found.gaining
    assert found.unfiltered == WORST.unfiltered
