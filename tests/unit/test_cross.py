"""Cross builds on a base: what is set, and what the caller may say instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_bases import IDENTITY, SUITE
from made_plans import ACCOUNTS, inputs

from bwbuild.build import cross
from bwbuild.build.plan import Plan, make_plan
from bwbuild.root.ground import Base, Ground, Layer

GROUND = Ground(
    base=Base(Path("/cache/bases/id"), SUITE, IDENTITY, "id", 0.0),
    layer=Layer(Path("/cache/layers/key"), {}),
    passwd=ACCOUNTS,
    group="root:x:0:\n",
    root_names={"bin": "usr/bin", "etc": "", "usr": ""},
)


def planned(*options: str, **environment: str) -> Plan:
    found = inputs(*options, caller_environment=environment, ground=GROUND)
    return make_plan(cross.prepared(found))


def test_as_sbuild_does() -> None:
    plan = planned("-b", "--host", "arm64")
    assert plan.sandbox.command[-3:] == ("-b", "-aarm64", "-Pcross,nocheck")
    environment = plan.sandbox.environment
    assert environment["CONFIG_SITE"] == "/etc/dpkg-cross/cross-config.arm64"
    assert environment["DEB_BUILD_OPTIONS"] == "nocheck"
    assert plan.changes == "tiny_1.0-1_arm64.changes"


@pytest.mark.parametrize("option", ["-a", "--host=", "--host-arch="])
def test_spellings(option: str) -> None:
    assert planned(f"{option}arm64").options.profiles == ("cross", "nocheck")


@pytest.mark.parametrize(
    ("options", "environment", "passed", "build_options"),
    [
        (("-Pnodoc",), {}, ("-Pnodoc",), "nocheck"),
        (("--profiles", ""), {}, ("-P",), "nocheck"),
        ((), {"DEB_BUILD_PROFILES": "nodoc"}, (), "nocheck"),
        ((), {"DEB_BUILD_PROFILES": ""}, ("-Pcross,nocheck",), "nocheck"),
        ((), {"DEB_BUILD_OPTIONS": "parallel=2"}, ("-Pcross,nocheck",), "parallel=2"),
        ((), {"DEB_BUILD_OPTIONS": ""}, ("-Pcross,nocheck",), ""),
    ],
)
def test_the_caller_decides(
    options: tuple[str, ...], environment: dict[str, str], passed: tuple[str, ...], build_options: str
) -> None:
    plan = planned("-aarm64", *options, **environment)
    assert plan.options.passed == ("-aarm64", *passed)
    assert plan.sandbox.environment["DEB_BUILD_OPTIONS"] == build_options


@pytest.mark.parametrize("options", [(), ("-aamd64",)])
def test_other_builds_are_left_alone(options: tuple[str, ...]) -> None:
    found = inputs(*options, ground=GROUND)
    assert cross.prepared(found) == found
    assert "CONFIG_SITE" not in planned(*options, CONFIG_SITE="/x").sandbox.environment


def test_on_this_machine_dpkg_decides() -> None:
    plan = make_plan(inputs("-aarm64"))
    assert plan.options.passed == ("-aarm64",)
    assert "CONFIG_SITE" not in plan.sandbox.environment


def test_log_says_what_was_added() -> None:
    words = ("--extra-package=/x/a.deb", "--extra-repository=deb https://joe:secret@deb.example.org ./")
    texts = [notice.text for notice in planned(*words).notes]
    assert "extra package: /x/a.deb" in texts
    assert "extra repository: deb https://deb.example.org ./" in texts
