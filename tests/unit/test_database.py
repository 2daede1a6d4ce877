"""dpkg's status file: what is read from it, and which packages satisfy which relation."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from bwbuild.deb.database import Database, Side, installed, is_at_work, parse_status, read_database
from bwbuild.deb.relations import parse
from bwbuild.errors import HostError

STATUS = """\
Package: mawk
Essential: yes
Status: install ok installed
Priority: required
Section: utils
Architecture: amd64
Multi-Arch: foreign
Source: mawk-src (1.3-1)
Version: 1.3-1
Provides: awk
Pre-Depends: libc6 (>= 2.34), libm | libm2
Conffiles:
 /etc/mawk 0123456789abcdef
 /etc/gone 0123456789abcdef obsolete
Description: an awk
 Depends: this is no field
 .
 Version: nor is this

Package: libfoo1
Status: hold ok installed
Priority: optional
Architecture: amd64
Multi-Arch: same
Version: 2.0
Depends: libc6

Package: libfoo1
Status: install ok half-configured
Architecture: i386
Multi-Arch: same
Version: 2.0

Package: gone
Status: deinstall ok config-files
Priority: extra
Architecture: all
Version: 1
Provides: awk
Conffiles:
 /etc/gone 0123456789abcdef

Package: thought-of
Status: install ok not-installed
"""

NATIVE = Side("amd64", "amd64")
CROSS = Side("armhf", "amd64")


def stanza(name: str, text: str = "") -> str:
    """One stanza; text has further fields, separated by semicolons, over the usual ones."""
    fields = {"Package": name, "Status": "install ok installed", "Architecture": "amd64", "Version": "1.0"}
    fields |= dict(part.strip().split(": ", 1) for part in text.split(";") if part.strip())
    return "".join(f"{field}: {value}\n" for field, value in fields.items())


def database(*stanzas: tuple[str, str]) -> Database:
    return parse_status("\n".join(stanza(*entry) for entry in stanzas))


def satisfying(known: Database, relation: str, side: Side = NATIVE) -> list[str]:
    ((parsed,),) = parse("Depends", relation)
    return [package.id for package in known.satisfying(parsed, side)]


def why_not(known: Database, relation: str, side: Side = NATIVE) -> str:
    ((parsed,),) = parse("Depends", relation)
    assert not known.satisfying(parsed, side)
    return known.why_not(parsed, side)


def test_fields() -> None:
    known = parse_status(STATUS)
    mawk = known.packages["mawk:amd64"]
    assert (mawk.name, mawk.architecture, mawk.version, mawk.status) == (
        "mawk",
        "amd64",
        "1.3-1",
        "installed",
    )
    assert (mawk.multi_arch, mawk.essential, mawk.priority, mawk.source) == (
        "foreign",
        True,
        "required",
        "mawk-src",
    )
    assert (mawk.depends, mawk.pre_depends, mawk.provides) == ("", "libc6 (>= 2.34), libm | libm2", "awk")
    assert mawk.field("Conffiles").split() == [
        "/etc/mawk",
        "0123456789abcdef",
        "/etc/gone",
        "0123456789abcdef",
        "obsolete",
    ]
    assert mawk.field("Conflicts") == ""
    libfoo = known.packages["libfoo1:amd64"]
    assert (libfoo.essential, libfoo.source, libfoo.depends) == (False, "libfoo1", "libc6")


def test_paragraphs_are_kept_as_they_are() -> None:
    known = parse_status(STATUS)
    assert "\n\n".join(package.paragraph for package in known.packages.values()) + "\n" == STATUS


def test_names_of_files() -> None:
    known = parse_status(STATUS)
    assert {key: package.file_stem for key, package in known.packages.items()} == {
        "mawk:amd64": "mawk",
        "libfoo1:amd64": "libfoo1:amd64",
        "libfoo1:i386": "libfoo1:i386",
        "gone:all": "gone",
        "thought-of:": "thought-of",
    }


@pytest.mark.parametrize(
    ("status", "usable", "state"),
    [
        ("install ok installed", True, "installed"),
        ("hold ok installed", True, "installed"),
        ("install reinstreq installed", False, "installed, reinstreq"),
        ("install ok triggers-pending", False, "triggers-pending"),
        ("install ok triggers-awaited", False, "triggers-awaited"),
        ("install ok unpacked", False, "unpacked"),
        ("install reinstreq half-installed", False, "half-installed, reinstreq"),
        ("deinstall ok config-files", False, "config-files"),
    ],
)
def test_state(status: str, usable: bool, state: str) -> None:
    package = database(("foo", f"Status: {status}")).packages["foo:amd64"]
    assert (package.is_usable, package.state) == (usable, state)


def test_only_what_is_there_provides() -> None:
    known = parse_status(STATUS)
    assert [provider.package.name for provider in known.providers["awk"]] == ["mawk"]


def test_provides_with_versions_and_architectures() -> None:
    known = database(("foo", "Provides: aa, bb (= 1:2-3), cc:any (= 4), dd (>= 5), ee"))
    found = {name: [(p.version, p.architecture) for p in got] for name, got in known.providers.items()}
    assert found == {
        "aa": [(None, "amd64")],
        "bb": [("1:2-3", "amd64")],
        "cc": [("4", "any")],
        "ee": [(None, "amd64")],
    }


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        ("foo", True),
        ("foo (= 1:2.0-1)", True),
        ("foo (= 2.0-1)", False),
        ("foo (>= 1:2.0-1)", True),
        ("foo (>= 1:2.0~rc1)", True),
        ("foo (>= 1:2.0-1+b1)", False),
        ("foo (>= 3)", True),
        ("foo (>> 1:2.0-1)", False),
        ("foo (>> 1:2.0)", True),
        ("foo (<< 1:2.0-1)", False),
        ("foo (<< 1:2.0-1.1)", True),
        ("foo (<= 1:2.0-1)", True),
        ("foo (<= 1:2.0)", False),
        ("foo (<= 1:10)", True),
        # Equal as versions, not as text.
        ("foo (= 1:2.00-1)", True),
        ("foo (>= 1:2.00-1)", True),
        ("foo (<= 1:2.00-1)", True),
        ("foo (>> 1:2.00-1)", False),
        ("foo (<< 1:2.00-1)", False),
    ],
)
def test_versions(relation: str, expected: bool) -> None:
    known = database(("foo", "Version: 1:2.0-1"))
    assert satisfying(known, relation) == ["foo:amd64"] * expected


@pytest.mark.parametrize(
    ("package", "relation", "side", "expected"),
    [
        ("Architecture: armhf", "foo", NATIVE, False),
        ("Architecture: armhf", "foo", CROSS, True),
        ("Architecture: amd64", "foo", CROSS, False),
        ("Architecture: all", "foo", NATIVE, True),
        ("Architecture: all", "foo", CROSS, False),
        ("Architecture: all; Multi-Arch: foreign", "foo", CROSS, True),
        ("Architecture: amd64; Multi-Arch: foreign", "foo", CROSS, True),
        ("Architecture: amd64; Multi-Arch: same", "foo", CROSS, False),
        ("Architecture: amd64; Multi-Arch: allowed", "foo", CROSS, False),
        ("Architecture: amd64; Multi-Arch: allowed", "foo:any", CROSS, True),
        ("Architecture: amd64", "foo:any", NATIVE, False),
        ("Architecture: amd64; Multi-Arch: foreign", "foo:any", NATIVE, False),
        ("Architecture: amd64", "foo:native", CROSS, True),
        ("Architecture: all", "foo:native", CROSS, True),
        ("Architecture: armhf", "foo:native", CROSS, False),
        ("Architecture: amd64; Multi-Arch: foreign", "foo:native", CROSS, False),
        ("Architecture: armhf", "foo:armhf", NATIVE, True),
        ("Architecture: amd64; Multi-Arch: foreign", "foo:armhf", NATIVE, False),
        ("Architecture: all", "foo:amd64", NATIVE, True),
        ("Architecture: all", "foo:amd64", Side("amd64", "amd64", from_source=True), False),
    ],
)
def test_architectures(package: str, relation: str, side: Side, expected: bool) -> None:
    assert bool(satisfying(database(("foo", package)), relation, side)) is expected


def test_what_is_installed_is_what_the_parser_says() -> None:
    text = "".join(
        f"Package: {name}\nStatus: {status}\nArchitecture: {architecture}\nVersion: {version}\n\n"
        for name, status, architecture, version in (
            ("foo", "install ok installed", "amd64", "1:2-3"),
            ("foo", "hold ok installed", "i386", "1:2-3"),
            ("gone", "deinstall ok config-files", "amd64", "1"),
            ("half", "install reinstreq half-installed", "all", "1"),
        )
    )
    assert installed(text) == {"foo:amd64": "1:2-3", "foo:i386": "1:2-3"}
    parsed = parse_status(text).packages.values()
    assert installed(text) == {package.id: package.version for package in parsed if package.is_usable}


@pytest.mark.parametrize(
    ("package", "relation", "side", "expected"),
    [
        ("Provides: virt", "virt", NATIVE, True),
        ("Provides: virt", "virt (>= 1)", NATIVE, False),
        ("Provides: virt (= 2)", "virt", NATIVE, True),
        ("Provides: virt (= 2)", "virt (>= 1)", NATIVE, True),
        ("Provides: virt (= 2)", "virt (>= 3)", NATIVE, False),
        ("Provides: virt (>= 2)", "virt", NATIVE, False),
        ("Provides: virt", "virt", CROSS, False),
        ("Provides: virt; Multi-Arch: foreign", "virt", CROSS, True),
        ("Provides: virt; Architecture: armhf", "virt", CROSS, True),
        ("Provides: virt:armhf", "virt", CROSS, True),
        ("Provides: virt:any", "virt:any", CROSS, True),
        ("Provides: virt", "virt:any", NATIVE, False),
        ("Provides: virt; Multi-Arch: allowed", "virt:any", NATIVE, True),
        ("Provides: virt; Multi-Arch: foreign", "virt:native", NATIVE, True),
        ("Provides: virt; Status: install ok unpacked", "virt", NATIVE, False),
    ],
)
def test_virtual_packages(package: str, relation: str, side: Side, expected: bool) -> None:
    assert bool(satisfying(database(("foo", package)), relation, side)) is expected


def test_order_among_those_that_satisfy() -> None:
    known = database(
        ("aaa", "Priority: extra; Provides: virt"),
        ("zzz", "Priority: required; Provides: virt"),
        ("nnn", "Provides: virt"),
        ("mmm", "Priority: optional; Provides: virt, virt"),
        ("lll", "Priority: optional; Provides: virt"),
        ("virt", "Priority: extra"),
    )
    assert [package.split(":")[0] for package in satisfying(known, "virt")] == [
        "virt",
        "zzz",
        "lll",
        "mmm",
        "aaa",
        "nnn",
    ]


def test_the_asked_architecture_goes_before_others() -> None:
    known = database(
        ("foo", "Architecture: amd64; Multi-Arch: allowed"),
        ("foo", "Architecture: armhf; Multi-Arch: allowed"),
    )
    assert satisfying(known, "foo:any", NATIVE) == ["foo:amd64", "foo:armhf"]
    assert satisfying(known, "foo:any", CROSS) == ["foo:armhf", "foo:amd64"]


@pytest.mark.parametrize(
    ("package", "relation", "side", "expected"),
    [
        ("", "bar", NATIVE, "not installed"),
        ("Status: deinstall ok config-files", "foo", NATIVE, "not installed"),
        ("Version: 1.2-1", "foo (>= 2.0)", NATIVE, "1.2-1 is installed, but >= 2.0 is declared"),
        ("Status: install ok half-installed", "foo", NATIVE, "half-installed"),
        ("Status: install ok triggers-awaited", "foo", NATIVE, "triggers-awaited"),
        ("Architecture: i386", "foo", NATIVE, "only installed for i386"),
        ("Provides: bar", "bar (>= 2)", NATIVE, "only provided without a version"),
        ("Provides: bar (= 1)", "bar (>= 2)", NATIVE, "1 is provided by foo, but >= 2 is declared"),
        ("Provides: bar; Architecture: i386", "bar", NATIVE, "only provided for i386"),
        (
            "Provides: bar; Status: install ok unpacked",
            "bar",
            NATIVE,
            "provided by foo, which is unpacked",
        ),
        ("", "foo:any", NATIVE, "installed, but not Multi-Arch: allowed"),
        ("Provides: bar", "bar:any", NATIVE, "provided, but not Multi-Arch: allowed"),
        (
            "Multi-Arch: foreign",
            "foo:native",
            CROSS,
            "installed, but Multi-Arch: foreign, for which there is no :native",
        ),
    ],
)
def test_why_not(package: str, relation: str, side: Side, expected: str) -> None:
    assert why_not(database(("foo", package)), relation, side) == expected


def test_a_version_that_is_none() -> None:
    with pytest.raises(HostError, match="1_0"):
        satisfying(database(("foo", "Version: 1_0")), "foo (>= 1)")


@pytest.mark.parametrize(
    "text",
    [
        "Package: foo\nVersion: 1\n",
        "Package: foo\nStatus: installed\n",
        "Status: install ok installed\n",
        "Name: foo\nStatus: install ok installed\n",
        "Package: \nStatus: install ok installed\n",
        "\x00\x00\x00\n",
    ],
)
def test_what_does_not_parse(text: str, tmp_path: Path) -> None:
    (tmp_path / "status").write_text(stanza("good") + "\n" + text)
    with pytest.raises(HostError, match="stanza without a package or its state") as caught:
        read_database(tmp_path)
    assert "dpkg --audit" in caught.value.hint


def test_read(tmp_path: Path) -> None:
    (tmp_path / "status").write_bytes(STATUS.encode().replace(b"an awk", b"an \xe5wk"))
    (tmp_path / "updates").mkdir()
    (tmp_path / "updates" / "tmp.i").touch()
    package = read_database(tmp_path).packages["mawk:amd64"]
    assert b"an \xe5wk" in package.paragraph.encode(errors="surrogateescape")


@pytest.mark.parametrize("kind", ["missing", "directory"])
def test_what_cannot_be_read(kind: str, tmp_path: Path) -> None:
    if kind == "directory":
        (tmp_path / "status").mkdir()
    with pytest.raises(HostError, match="can't be read") as caught:
        read_database(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("lock", ["lock", "lock-frontend"])
def test_who_is_at_work_has_a_lock_and_has_begun(lock: str, tmp_path: Path) -> None:
    assert not is_at_work(tmp_path)
    for name in ("lock", "lock-frontend"):
        (tmp_path / name).touch()
    status, begun = tmp_path / "status", tmp_path / "updates" / "0003"
    status.write_text("Package: a\nStatus: install ok installed\n")
    begun.parent.mkdir()
    with (tmp_path / lock).open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        assert not is_at_work(tmp_path), "apt waits for an answer"
        begun.touch()
        assert is_at_work(tmp_path)
        begun.unlink()
        status.write_text("Package: a\nStatus: install ok triggers-pending\n")
        assert is_at_work(tmp_path), "apt calls dpkg again"
    assert not is_at_work(tmp_path), "it was interrupted"


def test_dpkg_at_work(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "updates").mkdir()
    (tmp_path / "updates" / "0003").touch()
    with pytest.raises(HostError, match="dpkg is at work or was interrupted") as caught:
        read_database(tmp_path)
    assert caught.value.hint == "sudo dpkg --configure -a"
