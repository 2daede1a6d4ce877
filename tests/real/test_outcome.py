"""The comparison of two builds sees what differs, and nothing of what the builder itself wrote."""

from __future__ import annotations

import debs
import outcome

BUILDINFO = """\
Format: 1.0
Installed-Build-Depends:
 gcc (= 4:12.2.0-3),
 libc6 (= 2.36-9+deb12u10),
 perl:i386 (= 5.36.0-7)
Environment:
 LANG="C.UTF-8"
"""


def deb(**sizes: int) -> debs.Deb:
    return debs.Deb(
        {name: debs.Member("-00644", "root/root 0/0", "", size, str(size)) for name, size in sizes.items()}
    )


def built(log: str = "", *, packages: dict[str, str] | None = None, **files: debs.Deb) -> outcome.Outcome:
    return outcome.Outcome(0, log, 1.0, dict(files), packages or {})


def test_the_packages_of_a_buildinfo() -> None:
    assert outcome.installed(BUILDINFO) == {
        "gcc": "4:12.2.0-3",
        "libc6": "2.36-9+deb12u10",
        "perl:i386": "5.36.0-7",
    }


def test_equal_builds_do_not_differ() -> None:
    one = built("ok 1\n", packages={"gcc": "1"}, a=deb(usr=1))
    assert outcome.differences(one, built("ok 2\n", packages={"gcc": "1"}, a=deb(usr=1))) == []


def test_packages_are_compared_by_name_and_version() -> None:
    chroot = built(packages={"gcc": "1", "mawk": "1"})
    assert outcome.differences(chroot, built(packages={"gcc": "2", "gawk": "1"})) == [
        "installed: + gawk 1",
        "installed: gcc 1 became 2",
        "installed: - mawk 1",
    ]


def test_results_are_compared_by_name_and_content() -> None:
    chroot = built(a=deb(usr=1, bin=1), b=deb())
    found = outcome.differences(chroot, built(a=deb(usr=2), c=deb()))
    assert found == ["- b", "+ c", "a: - bin", "a: usr: content differs, 1 became 2 bytes"]


def test_what_the_suites_say_is_compared() -> None:
    assert outcome.differences(built("ok 1\n"), built("ok 1 # skip\n")) != []


def test_only_the_package_s_own_output_counts() -> None:
    log = (
        "Setting up: skipped\n"
        "dpkg-buildpackage: info: source package a\n"
        "ok 1\n"
        " dpkg-genchanges --build=binary >../a.changes\n"
        "drwxr-xr-x ./usr/share/skip\n"
    )
    assert dict(built(log).results) == {"tap: ok": 1}
