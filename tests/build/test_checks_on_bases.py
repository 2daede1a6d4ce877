"""lintian, autopkgtest and piuparts after a build, as the suite has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_suites import OWN, Bases, command
from support import Desk, as_user

pytestmark = as_user

COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2024 The bwbuild developers
License: GPL-3+
 See /usr/share/common-licenses/GPL-3.
"""
TESTS = """\
Tests: user
Depends: @

Tests: root
Depends: @, bwt-good
Restrictions: needs-root

Tests: machine
Depends: nosuch-package
Restrictions: isolation-machine
"""


def checked(desk: Desk, *words: str | Path, status: int = 0) -> dict[str, Any]:
    """Build and check; the report's one check."""
    done = command(desk, "-d", OWN, "--no-sign", "--report", str(desk.top / "report"), *words)
    assert done.status == status, done.both
    report = desk.report(desk.top / "report")
    assert report["exit_status"] == status
    assert "tiny_1_all.deb" in desk.published(), "results are published whatever a check says"
    (found,) = report["checks"]
    assert isinstance(found, dict)
    return found


def add_rule(desk: Desk, line: str) -> None:
    """Let the package have more, before it is packed; the line is make's."""
    rules = desk.tree / "debian" / "rules"
    text = rules.read_text()
    rules.write_text(text.replace("\tdpkg-gencontrol", f"\t{line}\n\tdpkg-gencontrol"))


def add_script(desk: Desk, name: str, text: str) -> None:
    """Let the package have a maintainer script."""
    (desk.tree / "debian" / name).write_text(f"#!/bin/sh\nset -e\n{text}\n")
    add_rule(desk, f"install -m 755 debian/{name} debian/tmp/DEBIAN/")


@pytest.mark.long
def test_lintian(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    found = checked(desk, "--lintian")
    assert (found["check"], found["verdict"]) == ("lintian", "error")
    assert "no-copyright-file" in {tag["tag"] for tag in found["tags"] if tag["severity"] == "error"}
    log = desk.log()
    assert log.count("| Post Build ") == 1
    assert "\nE: tiny: no-copyright-file\n" in log
    assert "\nLintian: error\n" in log
    found = checked(desk, "--lintian", "--fail-on", "lintian=error", status=15)
    assert "\nFail-Stage: post-build\n" in desk.log()
    option = "--lintian-opt=--suppress-tags=" + ",".join({tag["tag"] for tag in found["tags"]})
    found = checked(desk, "--lintian", option, "--fail-on=lintian=info", "-b")
    assert (found["verdict"], found["tags"]) == ("pass", [])
    (desk.tree / "debian" / "copyright").write_text(COPYRIGHT)
    add_rule(desk, "install -D -m 644 debian/copyright debian/tmp/usr/share/doc/tiny/copyright")
    found = checked(desk, "--lintian", "-b")
    assert "no-copyright-file" not in {tag["tag"] for tag in found["tags"]}
    assert list((top / "cache" / "work").iterdir()) == []


@pytest.mark.long
def test_lintian_that_cannot_be_run(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    found = checked(desk, "--lintian", "--lintian-opt=--nosuch-option")
    assert found["verdict"] == "broken"
    checked(desk, "--lintian", "--lintian-opt=--nosuch-option", "--fail-on=lintian=error", status=15)


@pytest.mark.long
def test_tests_of_the_source(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    tests = desk.tree / "debian" / "tests"
    tests.mkdir()
    (tests / "control").write_text(TESTS)
    programs = {
        "user": 'grep hello /usr/share/tiny/out && [ "$(id -u)" != 0 ] && touch ~/x /dev/shm/x /var/lock/x',
        "root": "id -u | grep -qx 0 && dpkg-query -W bwt-good && ! getent hosts mirror.example.org && exit 3",
        "machine": "false",
    }
    for name, line in programs.items():
        (tests / name).write_text(f'#!/bin/sh\n[ "$TOKEN" = s3cr3t ] || exit 9\n{line}\n')
    desk = Desk(desk.top, more={**desk.more, "TOKEN": "s3cr3t"})
    words = ("--autopkgtest", "--allow", "env=TOKEN")
    found = checked(desk, *words)
    assert "s3cr3t" not in desk.log()
    outcomes = {test["name"]: (test["outcome"], test["reason"]) for test in found["tests"]}
    assert outcomes["user"] == ("pass", "")
    assert outcomes["root"] == ("fail", "non-zero exit status 3")
    assert outcomes["machine"][0] == "skip"
    assert "isolation-machine" in outcomes["machine"][1]
    assert found["verdict"] == "fail"
    (tests / "root").write_text("#!/bin/sh\ntrue\n")
    # Without a source package, from the tree.
    assert checked(desk, *words, "-b", "--fail-on=autopkgtest=fail")["verdict"] == "skip"
    checked(desk, *words, "-b", "--fail-on=autopkgtest=skip", status=15)


#: What a test does, and the option by which it is too much: by the limit's name.
GREEDY = {
    "time": ("sleep 90", "--timeout=30"),
    "silence": ("sleep 90", "--limit-silence=20"),
    "memory": ("perl -e 'my $n = 900 << 20; my $x = \"x\" x $n; sleep 90'", "--limit-memory=400M"),
    "disk": ("head -c 500M /dev/zero > $HOME/x; sleep 90", "--limit-disk=200M"),
}


@pytest.mark.long
def test_limits_of_a_build_hold_in_its_checks(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    tests = desk.tree / "debian" / "tests"
    tests.mkdir()
    (tests / "control").write_text("Tests: greedy\n")
    for name, (line, option) in GREEDY.items():
        (tests / "greedy").write_text(f"#!/bin/sh\n{line}\n")
        found = checked(desk, "--autopkgtest", "-b", option)
        assert (found["verdict"], found["limit"]) == ("broken", name), found
        assert "killed" in found["reason"]


@pytest.mark.long
def test_source_without_tests(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    found = checked(desk, "--autopkgtest", "-b", "--fail-on=autopkgtest=skip")
    assert (found["verdict"], found["reason"]) == ("none", "the source has no tests")
    assert "\nAutopkgtest: no tests\n" in desk.log()


@pytest.mark.long
def test_piuparts(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    file = desk.tree / "debian" / "control"
    file.write_text(file.read_text().replace("Architecture: all\n", "Architecture: all\nDepends: bwt-good\n"))
    add_script(desk, "postinst", "dpkg-query -W bwt-good")
    assert checked(desk, "--piuparts", "-b", "--fail-on=piuparts=fail")["verdict"] == "pass"
    add_script(desk, "postrm", '[ "$1" != purge ] || exit 3')
    found = checked(desk, "--piuparts", "-b")
    assert (found["verdict"], "dpkg --purge tiny" in found["reason"]) == ("fail", True)
    checked(desk, "--piuparts", "-b", "--fail-on=piuparts=fail", status=15)


@pytest.mark.long
def test_what_cannot_be_installed(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    file = desk.tree / "debian" / "control"
    file.write_text(file.read_text().replace("Architecture: all\n", "Architecture: all\nDepends: nosuch\n"))
    found = checked(desk, "--piuparts", "-b")
    assert (found["verdict"], "nosuch" in found["reason"]) == ("fail", True)


@pytest.mark.long
def test_checks_after_a_build_on_this_machine(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    done = command(desk, "-b", "--no-sign", "--lintian")
    assert done.status == 0, done.both
    assert "on a base of this machine's release" in done.err
    assert "\nLintian: error\n" in desk.log()
