"""What bwbuild itself writes into the log around the build's output."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import made_plans

from bwbuild.build.inspect.inspection import Inspected
from bwbuild.build.record import sections
from bwbuild.build.record.log import LogFormat
from bwbuild.build.record.reading import Told
from bwbuild.events import Event
from bwbuild.root.ground import Base, Ground, Layer
from bwbuild.root.suite import Suite
from bwbuild.sandbox.spec import Identity, IdentityKind

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
IDENTITY = Identity(IdentityKind.RANGE, 1500, 1500)
BASE = Base(Path("/c/bases/id"), Suite("bookworm", "amd64"), IDENTITY, "id", 0.0)
GROUND = Ground(BASE, Layer(Path("/c/layers/x"), {}), made_plans.ACCOUNTS, "root:x:0:\n", {})
PACKAGES = {
    "binutils:amd64": "2.40-2",
    "binutils-common:amd64": "2.40-2",
    "dpkg-dev:all": "1.21.22",
    "g++-12:amd64": "12.2.0-14",
    "g++:amd64": "4:12.2.0-3",
    "gcc-12-base:amd64": "12.2.0-14",
    "gcc-12:amd64": "12.2.0-14",
    "libc6-dev:amd64": "2.36-9",
    "libstdc++6:amd64": "12.2.0-14",
    "linux-libc-dev:amd64": "6.1.1-1",
    "make:amd64": "4.3-4.1",
}


def lines(*events: Event) -> list[str]:
    form = LogFormat(lambda: NOON)
    return b"".join(map(form.render, events)).decode().splitlines()


def test_the_head_on_this_machine() -> None:
    assert lines(*sections.introduction(made_plans.plan("-b"))) == [
        "Package: tiny",
        "Version: 2:1.0-1",
        "Source Version: 2:1.0-1",
        "Distribution: unstable",
        "Machine Architecture: amd64",
        "Host Architecture: amd64",
        "Build Architecture: amd64",
        "Build Profiles: ",
        "Build Type: binary",
    ]


def test_the_distribution_is_the_suite_that_is_built_for() -> None:
    assert "Distribution: bookworm" in lines(*sections.introduction(made_plans.plan(ground=GROUND)))


def test_versions_of_packages_are_on_the_lines_that_readers_know() -> None:
    text = lines(*sections.environment(made_plans.plan(told=Told((), PACKAGES))))
    assert text[2].startswith("| Build environment ")
    assert (
        "Toolchain package versions: binutils_2.40-2 dpkg-dev_1.21.22 g++-12_12.2.0-14 gcc-12_12.2.0-14 "
        "libc6-dev_2.36-9 libstdc++6_12.2.0-14 linux-libc-dev_6.1.1-1"
    ) in text
    (all_of_them,) = (line for line in text if line.startswith("Package versions: "))
    assert len(all_of_them.split()) == 2 + len(PACKAGES)


def test_the_view_of_a_base_is_all_of_it() -> None:
    assert "View: declared" in lines(*sections.environment(made_plans.plan()))
    assert "View: all of the base and its layer" in lines(
        *sections.environment(made_plans.plan(ground=GROUND))
    )


def test_contents_of_packages() -> None:
    packages = (Inspected("a_1_all.deb", " info\n\n-rw ./a"), Inspected("b_1_all.deb", "b\x1b"))
    assert lines(*sections.packages(packages))[2:] == [
        "| Package contents                                                             |",
        "+------------------------------------------------------------------------------+",
        *("", "", "a_1_all.deb", "-----------", "", " info", "", "-rw ./a"),
        *("", "b_1_all.deb", "-----------", "", "b\\x1b"),
    ]


def test_post_build() -> None:
    text = lines(*sections.post_build())
    assert text[2].startswith("| Post Build ")
    assert text[-1] == "Nothing was asked for."
