"""Which restraints a build gets by its settings, and what is said of weaker ones."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from made_plans import HOST, plan
from made_scripts import files

from bwbuild.build.restraints import for_unpacking, restraints, weakenings
from bwbuild.config.settings import Settings, Workspace
from bwbuild.errors import ConfigurationError
from bwbuild.events import Level
from bwbuild.host.sockets import CLOSED
from bwbuild.permissions.words import USERNS
from bwbuild.process import run
from bwbuild.sandbox import guard, seccomp, unpack
from bwbuild.sandbox.spec import Ceilings, Filter, Restraints
from bwbuild.sandbox.syscalls import HELD_BACK, Group

POLICY = Filter("policy", HELD_BACK)
SYNC = Filter("sync", (Group.SYNC,))
NESTING = (USERNS,)
LIMIT = "echo 0 > /proc/sys/user/max_user_namespaces\n"


def test_default() -> None:
    assert restraints(Settings(), "amd64") == Restraints((POLICY, SYNC), nesting=False, keyctl=250)
    assert list(weakenings(Settings(), "amd64")) == []


def test_user_namespaces() -> None:
    found = restraints(Settings(allow=NESTING), "amd64")
    assert found.nesting
    lifted = set(HELD_BACK) - set(found.filters[0].groups)
    assert lifted == {Group.NAMESPACES, Group.MOUNTS, Group.CHROOT, Group.TERMINAL}


def test_without_a_filter_the_rest_stays() -> None:
    assert restraints(Settings(seccomp=False), "arm64") == Restraints((), nesting=False, keyctl=219)


@pytest.mark.parametrize("settings", [Settings(suppress_sync=False), Settings(workspace=Workspace.IN_PLACE)])
def test_syncs_that_count(settings: Settings) -> None:
    assert restraints(settings, "amd64").filters == (POLICY,)
    assert list(weakenings(settings, "amd64")) == []


def test_other_abis() -> None:
    assert all(wanted.foreign for wanted in restraints(Settings(foreign_abi=True), "amd64").filters)
    assert not any(wanted.foreign for wanted in restraints(Settings(), "amd64").filters)


@pytest.mark.parametrize("architecture", ["i386", "s390x"])
def test_machines_that_hide_families(architecture: str) -> None:
    assert Group.SOCKETS not in restraints(Settings(), architecture).filters[0].groups
    (notice,) = weakenings(Settings(), architecture)
    assert architecture in notice.text


def test_a_machine_without_a_known_keyctl() -> None:
    assert restraints(Settings(), "m68k").keyctl is None
    (notice,) = weakenings(Settings(), "m68k")
    assert "keyring" in notice.text


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (Settings(seccomp=False), "--no-seccomp"),
        (Settings(allow=NESTING), "--allow userns"),
        (Settings(foreign_abi=True), "--foreign-abi"),
    ],
)
def test_weakenings(settings: Settings, word: str) -> None:
    (notice,) = weakenings(settings, "amd64")
    assert notice.level is Level.WARNING
    assert word in notice.text


def test_dpkg_source_may_nothing() -> None:
    usual = Restraints((POLICY,), nesting=False, keyctl=250)
    assert for_unpacking(Settings(), "amd64") == usual
    assert for_unpacking(Settings(foreign_abi=True, suppress_sync=False), "amd64") == usual
    assert for_unpacking(Settings(allow=NESTING), "amd64").filters == usual.filters
    assert for_unpacking(Settings(seccomp=False), "amd64").filters == ()
    assert Group.SOCKETS not in for_unpacking(Settings(), "i386").filters[0].groups


def test_sandbox_tells_of_its_restraints() -> None:
    assert plan().sandbox.restraints == restraints(Settings(), "amd64")
    assert "not filtered" in plan(seccomp=False).notes[0].text


# The script


def test_script_has_the_programs_and_opens_them() -> None:
    text = plan().script
    for number, wanted in ((4, POLICY), (5, SYNC)):
        assert bytes.fromhex(files(text)[f"filter.{wanted.name}"]) == seccomp.program(wanted)
        assert f"--add-seccomp-fd {number} " in text.replace("\\\n", "")
        assert f" {number}< filter.{wanted.name}" in text
    assert text == plan().script


def test_script_without_a_filter() -> None:
    text = plan(seccomp=False).script
    assert "seccomp" not in text
    assert "filter." not in text
    assert LIMIT in text


def test_limit_is_set_before_anything_of_the_package_runs() -> None:
    text = plan().script
    assert text.count(LIMIT) == 1
    assert text.index(LIMIT) < text.index('bwrap "$@"')
    assert LIMIT not in plan(allow=NESTING).script


def test_keyring_is_joined_right_before_bwrap() -> None:
    words = shlex.split(guard.start(Restraints(keyctl=250)))
    assert words[:3] == ["env", "-i", "PATH=$PATH"]
    assert words[3:5] == ["perl", "-e"]
    assert "syscall(250, 1, 0)" in words[5]
    assert words[6:] == ["bwrap"]
    run(["perl", "-wc", "-e", words[5]])
    assert guard.start(Restraints()) == 'env -i PATH="$PATH" bwrap'


def unpacking(settings: Settings) -> str:
    command = unpack.source("x.dsc", "x-1")
    return unpack.launcher(HOST, for_unpacking(settings, "amd64"), Ceilings(processes=77, tmp=99), command)


def test_unpacking_is_limited() -> None:
    text = unpacking(Settings())
    # In the namespace that bwrap makes: outside, all processes of the caller would count.
    assert " -- prlimit --core=0 --nproc=77 -- dpkg-source " in text
    assert "--size 99 --tmpfs /tmp" in text


def test_unpacking_is_restrained() -> None:
    text = unpacking(Settings())
    assert "--add-seccomp-fd 4 " in text
    assert "4< filter.policy" in text
    assert "--disable-userns" in text
    assert "syscall(250, 1, 0)" in text
    text = unpacking(Settings(allow=NESTING))
    assert "--disable-userns" not in text


def test_opening_in_the_parent_is_refused() -> None:
    opening = (Path("/home/joe/work/other/agent"), "a socket")
    with pytest.raises(ConfigurationError) as caught:
        plan(workspace=Workspace.IN_PLACE, opening=opening)
    assert "/home/joe/work/other/agent, a socket" in caught.value.message


def test_a_closed_directory_in_the_parent_is_refused() -> None:
    opening = (Path("/home/joe/work/other/closed"), CLOSED)
    with pytest.raises(ConfigurationError) as caught:
        plan(workspace=Workspace.IN_PLACE, opening=opening)
    assert "/home/joe/work/other/closed, a directory that can't be looked through" in caught.value.message
    assert "chmod" in caught.value.hint
