"""The closure of a source's build dependencies: which packages, why, what is missing and what conflicts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from support import need

from bwbuild.deb.closure import Closure, Conflict, Missing, Reason, Wanted, build_fields, chain, close
from bwbuild.deb.database import parse_status, read_database
from bwbuild.errors import HostError, SourceError
from bwbuild.process import run

Entries = Iterable[tuple[str, str]]


def status(entries: Entries) -> str:
    """A status file: each package's name, and fields separated by semicolons over the usual ones."""
    stanzas = []
    for name, text in [("build-essential", ""), *entries]:
        fields = {"Package": name, "Status": "install ok installed", "Architecture": "amd64", "Version": "1"}
        fields |= dict(part.strip().split(": ", 1) for part in text.split(";") if part.strip())
        stanzas.append("".join(f"{field}: {value}\n" for field, value in fields.items()))
    return "\n".join(stanzas)


def wanted(depends: str, conflicts: str = "", *, host: str = "amd64", profiles: str = "") -> Wanted:
    return Wanted(
        "amd64",
        host,
        frozenset(profiles.split()),
        {"Build-Depends": depends},
        {"Build-Conflicts": conflicts},
    )


def closed(entries: Entries, depends: str, conflicts: str = "", **options: str) -> Closure:
    return close(parse_status(status(entries)), wanted(depends, conflicts, **options))


def names(closure: Closure) -> list[str]:
    """The packages, without build-essential and the usual architecture."""
    return [
        package.removesuffix(":amd64") for package in closure.packages if package != "build-essential:amd64"
    ]


def test_three_steps_and_their_reasons() -> None:
    found = closed(
        [
            ("dash", "Essential: yes; Pre-Depends: libc6 (>= 0.5)"),
            ("base", "Essential: yes; Architecture: all"),
            ("libc6", ""),
            ("unused", "Recommends: foo"),
            ("foo", "Depends: bar | baz, libc6; Recommends: unused"),
            ("baz", ""),
        ],
        "foo",
    )
    assert list(found.packages.items()) == [
        ("base:all", Reason("", "Essential", "base")),
        ("dash:amd64", Reason("", "Essential", "dash")),
        ("libc6:amd64", Reason("dash:amd64", "Pre-Depends", "libc6 (>= 0.5)")),
        ("build-essential:amd64", Reason("", "Build-Essential", "build-essential:native")),
        ("foo:amd64", Reason("", "Build-Depends", "foo")),
        ("baz:amd64", Reason("foo:amd64", "Depends", "bar | baz")),
    ]
    assert (found.missing, found.conflicts) == ((), ())
    assert [package for package, _ in chain(found, "baz:amd64")] == ["foo:amd64", "baz:amd64"]
    assert chain(found, "libc6:amd64")[-1][1].field == "Pre-Depends"


def test_essential_of_another_architecture_is_not_what_the_build_has() -> None:
    found = closed([("tool", "Essential: yes; Architecture: i386")], "")
    assert names(found) == []


def test_every_field_counts() -> None:
    known = parse_status(status([("aa", ""), ("bb", ""), ("cc", "")]))
    fields = {"Build-Depends": "aa", "Build-Depends-Arch": "bb [i386], cc [linux-any]"}
    found = close(known, Wanted("amd64", "amd64", frozenset(), fields, {}))
    assert names(found) == ["aa", "cc"]
    assert found.packages["cc:amd64"].field == "Build-Depends-Arch"


@pytest.mark.parametrize(
    ("depends", "expected"),
    [
        ("aa | bb", ["aa"]),
        ("absent | bb", ["bb"]),
        ("aa (>= 2) | bb", ["bb"]),
        # sbuild looks at the first alternative only, even if another one is there.
        ("bb, aa | bb", ["bb", "aa"]),
        ("aa [i386] | bb", ["bb"]),
        ("aa <nocheck> | bb", ["bb"]),
    ],
)
def test_alternatives_of_the_source(depends: str, expected: list[str]) -> None:
    assert names(closed([("aa", ""), ("bb", "")], depends)) == expected


@pytest.mark.parametrize(
    ("depends", "expected"),
    [
        ("aa | bb", ["foo", "aa"]),
        ("absent | bb", ["foo", "bb"]),
        # In the order of the relations, with all that each brings, as apt goes.
        ("aa | bb, bb", ["foo", "aa", "bb"]),
        ("bb, aa | bb", ["foo", "bb"]),
        ("aa | bb | foo", ["foo"]),
        ("aa | bb, deep", ["foo", "aa", "deep", "bb"]),
        ("deep, aa | bb", ["foo", "deep", "bb"]),
    ],
)
def test_alternatives_of_packages(depends: str, expected: list[str]) -> None:
    known = [("foo", f"Depends: {depends}"), ("aa", ""), ("bb", ""), ("deep", "Depends: bb")]
    assert names(closed(known, "foo")) == expected


@pytest.mark.parametrize(
    ("depends", "expected"),
    [
        ("virt", "two"),
        ("one, virt", "one"),
        ("virt, one", "two one"),
        ("mine", "mine"),
        ("virt (>= 3)", "three"),
        ("foo", "foo two"),
        ("foo, one", "foo one two"),
        ("one, foo", "one foo"),
    ],
)
def test_providers(depends: str, expected: str) -> None:
    known = [
        ("one", "Provides: virt, mine; Priority: optional"),
        ("two", "Provides: virt; Priority: important"),
        ("three", "Provides: virt (= 3); Priority: extra"),
        ("mine", "Priority: extra"),
        ("foo", "Depends: virt"),
    ]
    assert names(closed(known, depends)) == expected.split()


def test_steps_settle_one_after_the_other() -> None:
    """The Essential packages choose without a look at what the source will ask for."""
    known = [
        ("base", "Essential: yes; Depends: awk"),
        ("mawk", "Provides: awk; Priority: required"),
        ("gawk", "Provides: awk; Priority: optional"),
    ]
    assert names(closed(known, "gawk")) == ["base", "mawk", "gawk"]


def test_the_source_and_a_package_read_the_same_alternatives_differently() -> None:
    known = [("base", "Essential: yes; Depends: bb, aa | bb"), ("aa", ""), ("bb", "")]
    assert names(closed(known, "")) == ["base", "bb"]
    assert names(closed(known, "aa | bb")) == ["base", "bb", "aa"]


def test_circles_end() -> None:
    found = closed([("aa", "Depends: bb"), ("bb", "Depends: cc | aa"), ("cc", "Depends: aa")], "aa")
    assert names(found) == ["aa", "bb"]


def test_dependencies_stay_in_the_architecture_of_the_package() -> None:
    known = [
        ("tool", "Architecture: i386; Multi-Arch: foreign; Depends: lib, data"),
        ("lib", "Architecture: amd64; Multi-Arch: same"),
        ("lib", "Architecture: i386; Multi-Arch: same"),
        ("data", "Architecture: all; Multi-Arch: foreign; Depends: lib"),
    ]
    assert names(closed(known, "tool")) == ["tool:i386", "lib:i386", "data:all", "lib"]


CROSS = [
    ("crossbuild-essential-armhf", "Architecture: all; Depends: gcc-arm"),
    ("gcc-arm", ""),
    ("libc6-dev", "Architecture: armhf; Multi-Arch: same; Provides: libc-dev"),
    ("libstdc++-12-dev", "Architecture: armhf; Multi-Arch: same; Provides: libstdc++-dev"),
]


def test_a_cross_build_has_the_cross_compiler_and_libraries() -> None:
    found = closed([*CROSS, ("foo", "Architecture: armhf"), ("foo", "")], "foo", host="armhf")
    assert found.missing == ()
    assert names(found) == [
        "crossbuild-essential-armhf:all",
        "libc6-dev:armhf",
        "libstdc++-12-dev:armhf",
        "gcc-arm",
        "foo:armhf",
    ]
    without = closed([], "", host="armhf")
    assert [missing.relation for missing in without.missing] == [
        "crossbuild-essential-armhf:native",
        "libc-dev:armhf",
        "libstdc++-dev:armhf",
    ]


def test_missing_names_every_alternative() -> None:
    found = closed([("aa", "Version: 1.2-1"), ("bb", "Architecture: i386")], "aa (>= 2.0) | bb | cc")
    assert found.missing == (
        Missing(
            "",
            "Build-Depends",
            "aa (>= 2.0) | bb | cc",
            ("1.2-1 is installed, but >= 2.0 is declared", "only installed for i386", "not installed"),
        ),
    )
    assert names(found) == []


def test_missing_further_down() -> None:
    known = [("foo", "Depends: bar"), ("bar", "Depends: baz"), ("baz", "Status: install ok half-configured")]
    found = closed(known, "foo")
    assert found.missing == (Missing("bar:amd64", "Depends", "baz", ("half-configured",)),)
    assert [package for package, _ in chain(found, found.missing[0].parent)] == ["foo:amd64", "bar:amd64"]


def test_missing_essential() -> None:
    known = [
        ("aa", "Essential: yes; Status: install ok unpacked"),
        ("bb", "Essential: yes; Status: deinstall ok config-files"),
    ]
    assert closed(known, "").missing == (Missing("", "Essential", "aa", ("unpacked",)),)


def test_missing_build_essential() -> None:
    found = close(parse_status(""), wanted(""))
    assert found.missing == (Missing("", "Build-Essential", "build-essential:native", ("not installed",)),)


@pytest.mark.parametrize(
    ("conflicts", "expected"),
    [
        ("foo", [("foo", "foo:amd64")]),
        ("foo (<< 2)", [("foo (<< 2)", "foo:amd64")]),
        ("foo (>= 2)", []),
        ("merely-installed", []),
        ("foo [i386], foo <nocheck>", []),
        ("virt", [("virt", "foo:amd64")]),
        ("absent, foo, virt", [("foo", "foo:amd64"), ("virt", "foo:amd64")]),
    ],
)
def test_conflicts(conflicts: str, expected: list[tuple[str, str]]) -> None:
    found = closed([("foo", "Provides: virt"), ("merely-installed", "Provides: virt")], "foo", conflicts)
    assert found.conflicts == tuple(Conflict("Build-Conflicts", *entry) for entry in expected)


def test_same_input_same_order() -> None:
    entries = [("aa", "Depends: virt"), ("bb", "Depends: cc | dd"), ("cc", ""), ("dd", ""), ("ee", "")]
    entries += [("one", "Provides: virt"), ("two", "Provides: virt"), ("zz", "Essential: yes; Depends: ee")]
    forwards, backwards = closed(entries, "aa, bb"), closed(entries[::-1], "aa, bb")
    assert list(forwards.packages.items()) == list(backwards.packages.items())


def test_fields_that_do_not_parse() -> None:
    with pytest.raises(SourceError, match="Build-Depends"):
        closed([], "foo (1)")
    with pytest.raises(SourceError, match="Build-Conflicts"):
        closed([], "", "foo (1)")
    with pytest.raises(HostError, match="foo:amd64 has a Depends") as caught:
        closed([("foo", "Depends: bar (1)")], "foo")
    assert "reinstall foo" in caught.value.hint


@pytest.mark.parametrize(
    ("has_arch", "has_indep", "parts"),
    [
        (True, True, ["", "-Arch", "-Indep"]),
        (True, False, ["", "-Arch"]),
        (False, True, ["", "-Indep"]),
        (False, False, [""]),
    ],
)
def test_fields_of_builds(has_arch: bool, has_indep: bool, parts: list[str]) -> None:
    fields = [f"Build-{kind}{part}" for kind in ("Depends", "Conflicts") for part in parts]
    assert list(build_fields(has_arch, has_indep)) == fields


HOST = (
    ("foo", "Version: 1:2.0-1; Provides: virt, versioned (= 3), other:any (= 1)"),
    ("old", "Version: 1.0~rc1-1"),
    ("data", "Architecture: all"),
    ("tool", "Multi-Arch: foreign"),
    ("python", "Multi-Arch: allowed; Version: 3.11"),
    ("lib", "Multi-Arch: same"),
    ("lib", "Multi-Arch: same; Architecture: armhf"),
    ("only-arm", "Architecture: armhf"),
    ("foreign-data", "Architecture: all; Multi-Arch: foreign"),
    ("half", "Status: install ok half-installed; Provides: half-virt"),
    ("pending", "Status: install ok triggers-pending"),
    ("awaited", "Status: install ok triggers-awaited"),
    ("reinst", "Status: install reinstreq installed"),
    ("removed", "Status: deinstall ok config-files; Provides: removed-virt"),
    ("held", "Status: hold ok installed"),
    ("arm-provider", "Architecture: armhf; Provides: arm-virt"),
    ("real", "Provides: real (= 5)"),
    *CROSS,
)

#: Build-Depends, host architecture, profiles, whether HOST satisfies it.
VERDICTS = [
    ("", "", "", True),
    ("foo", "", "", True),
    ("absent", "", "", False),
    ("foo, absent", "", "", False),
    ("absent | foo", "", "", True),
    ("foo (>= 1:2.0)", "", "", True),
    ("foo (>= 2.0)", "", "", True),
    ("foo (<< 2.0)", "", "", False),
    ("foo (= 1:2.0-1)", "", "", True),
    ("foo (= 2.0-1)", "", "", False),
    ("foo (>> 1:2.0-1)", "", "", False),
    ("old (>= 1.0)", "", "", False),
    ("old (>= 1.0~)", "", "", True),
    ("old (<< 1.0)", "", "", True),
    ("foo (> 1:2.0-1)", "", "", True),
    ("foo (< 1:2.0-1)", "", "", True),
    ("foo (>> 3) | old (<= 1.0)", "", "", True),
    ("absent [i386]", "", "", True),
    ("absent [linux-any]", "", "", False),
    ("absent [!amd64]", "", "", True),
    ("absent [!linux-any], foo [any-amd64]", "", "", True),
    ("absent [hurd-any !kfreebsd-any]", "", "", False),
    ("absent <!nocheck>", "", "", False),
    ("absent <!nocheck>", "", "nocheck", True),
    ("absent <!nocheck> <!cross>", "", "nocheck", False),
    ("absent <!nocheck !cross>", "", "nocheck", True),
    ("absent <stage1> | foo", "", "", True),
    ("absent <stage1>", "", "stage1 nodoc", False),
    ("virt", "", "", True),
    ("virt (>= 1)", "", "", False),
    ("versioned (>= 2)", "", "", True),
    ("versioned (>= 4)", "", "", False),
    ("versioned", "", "", True),
    ("other:any", "", "", True),
    ("real (>= 4)", "", "", True),
    ("half", "", "", False),
    ("half-virt", "", "", False),
    ("half | foo", "", "", True),
    ("pending", "", "", False),
    ("awaited", "", "", False),
    ("reinst", "", "", False),
    ("removed", "", "", False),
    ("removed-virt", "", "", False),
    ("held", "", "", True),
    ("foo:any", "", "", False),
    ("python:any (>= 3)", "", "", True),
    ("foo:native", "", "", True),
    ("tool:native", "", "", False),
    ("data:native", "", "", True),
    ("lib:armhf", "", "", True),
    ("foo:armhf", "", "", False),
    ("only-arm", "", "", False),
    ("data", "", "", True),
    ("data:amd64", "", "", False),
    ("lib", "armhf", "", True),
    ("foo", "armhf", "", False),
    ("foo:native", "armhf", "", True),
    ("only-arm", "armhf", "", True),
    ("only-arm:native", "armhf", "", False),
    ("tool", "armhf", "", True),
    ("foreign-data", "armhf", "", True),
    ("python:any", "armhf", "", True),
    ("python", "armhf", "", False),
    ("python:native", "armhf", "", True),
    ("arm-virt", "armhf", "", True),
    ("absent [amd64]", "armhf", "", True),
    ("absent [any-arm]", "armhf", "", False),
    ("absent |\n# a comment\n foo", "", "", True),
]


def checkbuilddeps(
    directory: Path, depends: str, *options: str, conflicts: str = "absent", host: str = ""
) -> bool:
    """Whether dpkg-checkbuilddeps is content with HOST."""
    need("dpkg-checkbuilddeps")
    (directory / "status").write_text(status(HOST))
    control = directory / "control"
    depends = f"Build-Depends: {depends}\n" if depends else ""
    control.write_text(
        f"Source: tiny\n{depends}Build-Conflicts: {conflicts}\n"
        "\nPackage: tiny\nArchitecture: any\nDescription: tiny\n"
    )
    architecture = ["-a", host] if host else []
    done = run(
        ["dpkg-checkbuilddeps", f"--admindir={directory}", *architecture, *options, str(control)], check=False
    )
    # It has other errors too, such as for a control file that it can't parse.
    verdict = b"nmet build dependencies" in done.stderr or b"uild conflicts" in done.stderr
    assert verdict is (done.returncode != 0), done.stderr
    return not verdict


@pytest.mark.parametrize(("depends", "host", "profiles", "satisfied"), VERDICTS)
def test_missing_agrees_with_dpkg(
    depends: str, host: str, profiles: str, satisfied: bool, tmp_path: Path
) -> None:
    options = ["-P", profiles.replace(" ", ",")] if profiles else []
    assert checkbuilddeps(tmp_path, depends, *options, host=host) is satisfied
    found = close(read_database(tmp_path), wanted(depends, host=host or "amd64", profiles=profiles))
    assert (not found.missing) is satisfied, found.missing


@pytest.mark.parametrize(
    ("depends", "host"),
    [
        # Packages of architecture all are the build's, unless they say Multi-Arch: foreign.
        ("data", "armhf"),
        # A virtual package has an architecture as well: that of its provider.
        ("virt", "armhf"),
        ("arm-virt", ""),
        ("virt:any", ""),
    ],
)
def test_where_apt_asks_for_more_than_dpkg(depends: str, host: str, tmp_path: Path) -> None:
    """dpkg-checkbuilddeps takes what no resolver would install, so that it builds nowhere else."""
    assert checkbuilddeps(tmp_path, depends, host=host)
    found = close(read_database(tmp_path), wanted(depends, host=host or "amd64"))
    assert [missing.relation for missing in found.missing] == [depends]


def test_a_cross_compiler_is_asked_for_by_sbuild_not_by_dpkg(tmp_path: Path) -> None:
    assert checkbuilddeps(tmp_path, "tool", host="riscv64")
    found = close(read_database(tmp_path), wanted("tool", host="riscv64"))
    assert "crossbuild-essential-riscv64:native" in {missing.relation for missing in found.missing}


@pytest.mark.parametrize(
    ("conflicts", "host", "met"),
    [
        ("absent", "", False),
        ("foo", "", True),
        ("foo (>> 1:2.0-1)", "", False),
        ("foo (<= 1:2.0-1)", "", True),
        ("foo [i386]", "", False),
        ("foo <nocheck>", "", False),
        ("virt", "", True),
        ("virt (= 1)", "", False),
        ("versioned (= 3)", "", True),
        ("half", "", False),
        ("tool:native", "", False),
        ("data", "armhf", True),
        ("foo", "armhf", False),
        ("foo:native", "armhf", True),
        ("lib", "armhf", True),
    ],
)
def test_conflicts_agree_with_dpkg(conflicts: str, host: str, met: bool, tmp_path: Path) -> None:
    """All that may be in the way is in the closure here."""
    everything = "foo:native, tool, data:native, lib"
    known = checkbuilddeps(tmp_path, "", conflicts=conflicts, host=host)
    found = close(read_database(tmp_path), wanted(everything, conflicts, host=host or "amd64"))
    assert (known, bool(found.conflicts)) == (not met, met)
