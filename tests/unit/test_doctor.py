"""What the doctor makes of the words of many systems."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bwbuild.cli import doctor as command
from bwbuild.errors import ExitStatus
from bwbuild.host import probes
from bwbuild.host.causes import Answer, Cause, Conditions, cause_of
from bwbuild.host.doctor import Finding, Status, advice
from bwbuild.host.facts import Caller, Host
from bwbuild.host.memory import Memory

PLAIN = Conditions(user="dev", limits={"user": "96365", "net": "96365"}, free_ids=165536)
UBUNTU = Conditions(user="dev", apparmor="1")
OLD_DEBIAN = Conditions(user="dev", clone="0")
DOCKER = Conditions(user="dev", container="docker", filtered=True)
PODMAN = Conditions(root=True, container="podman", nested=True)
BWRAP = Conditions(user="dev", nested=True, no_new_privs=True)
GPU = Conditions(user="dev", below_usr=("/usr/bin/nvidia-smi", "/usr/lib/libcuda.so"))
#: What mount makes of the kernel's EINVAL.
EINVAL = "wrong fs type, bad option, bad superblock on bwbuild, missing codepage or helper program."

CASES = (
    ("unshare: write failed /proc/self/uid_map: Operation not permitted", UBUNTU, "AppArmor", "userns=0"),
    ("bwrap: setting up uid map: Permission denied", UBUNTU, "AppArmor", "sudo tee /etc/sysctl.d"),
    ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", UBUNTU, "AppArmor", "userns=0"),
    ("unshare: cannot change root filesystem propagation: Permission denied", UBUNTU, "AppArmor", "userns=0"),
    ("setpriv: setresuid failed: Operation not permitted", UBUNTU, "AppArmor", "userns=0"),
    ("unshare: unshare failed: Operation not permitted", OLD_DEBIAN, "unprivileged_userns_clone", "clone=1"),
    (
        "bwrap: No permissions to create new namespace, likely because the kernel does not allow "
        "non-privileged user namespaces.",
        OLD_DEBIAN,
        "unprivileged_userns_clone",
        "clone=1",
    ),
    (
        "unshare: unshare failed: Operation not permitted",
        DOCKER,
        "docker",
        "--security-opt seccomp=unconfined",
    ),
    ("newuidmap: write to uid_map failed: Operation not permitted", DOCKER, "container", "docker run"),
    (
        "newuidmap: write to uid_map failed: Operation not permitted",
        BWRAP,
        "no_new_privs",
        "--identity single",
    ),
    (
        "newuidmap: write to uid_map failed: Operation not permitted",
        PLAIN,
        "setuid bit",
        "--reinstall uidmap",
    ),
    ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", PODMAN, "/proc", "unmask=ALL"),
    ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", DOCKER, "/proc", "systempaths"),
    ("bwrap: Can't mount proc on /proc: Operation not permitted", PLAIN, "/proc", "findmnt"),
    (
        'unshare: no line matching user "dev" in /etc/subuid: Success',
        PLAIN,
        "no subordinate ids",
        "dev:165536:65536",
    ),
    (
        "newuidmap: uid range [0-1) -> [1000-1001) not allowed",
        PLAIN,
        "/etc/subuid",
        "/etc/subuid /etc/subgid",
    ),
    ("newgidmap: gid range [0-1) -> [100000-100001) not allowed", PLAIN, "/etc/subgid", "sudo tee -a"),
    ("unshare: failed to execute newuidmap: No such file or directory", PLAIN, "newuidmap", "install uidmap"),
    ("unshare: unrecognized option '--map-auto'", PLAIN, "--map-auto", "--identity single"),
    ("unshare: unshare failed: Invalid argument", PLAIN, "CONFIG_USER_NS", "linux-image"),
    ("namespace: 32: exec: bwrap: not found", PLAIN, "bwrap is not installed", "sudo apt install bubblewrap"),
    (
        "env: \u2018bwrap\u2019: No such file or directory",
        PLAIN,
        "bwrap is not installed",
        "sudo apt install bubblewrap",
    ),
    ("the program bwrap is not installed", PLAIN, "bwrap is not installed", "sudo apt install bubblewrap"),
    ("mount: ns/etc: unknown filesystem type 'overlay'.", PLAIN, "overlay", "modprobe overlay"),
    (
        "unshare: unshare failed: No space left on device",
        PLAIN,
        "(96365) is reached",
        "user.max_user_namespaces=30000",
    ),
    (f"mount: /var/tmp/x/ns/usr: {EINVAL}", PLAIN, "no layer of an overlay", "--view host"),
    (f"mount: /var/tmp/x/ns/usr: {EINVAL}", GPU, "(/usr/bin/nvidia-smi and 1 more)", "--view host"),
    ("mount: /x/ns/usr: fsconfig() failed: overlay: no.", GPU, "mounted below /usr", "--view host"),
    ("mount: /x/ns/usr: unknown filesystem type 'overlay'.", GPU, "no overlay file", "modprobe overlay"),
    (f"mount: /var/tmp/x/ns/tree: {EINVAL}", GPU, "does not know", "dmesg"),
    ("it burns", PLAIN, "does not know", "dmesg"),
)


@pytest.mark.parametrize(("text", "conditions", "cause", "remedy"), CASES)
def test_cause(text: str, conditions: Conditions, cause: str, remedy: str) -> None:
    found = cause_of(Answer(1, text), conditions)
    assert cause in found.cause
    assert remedy in found.remedy


@pytest.mark.parametrize(
    "text",
    [
        "unshare: unshare failed: No space left on device",
        "bwrap: Creating new namespace failed: nesting depth or "
        "/proc/sys/user/max_*_namespaces exceeded (ENOSPC)",
    ],
)
def test_a_limit_of_zero_names_its_switch(text: str) -> None:
    here = cause_of(Answer(1, text), Conditions(limits={"user": "5", "net": "0"}))
    assert "user.max_net_namespaces is 0" in here.cause
    assert "user.max_net_namespaces=30000" in here.remedy
    nested = cause_of(Answer(1, text), Conditions(limits={"user": "0"}, nested=True))
    assert "around this process" in nested.cause
    assert "sysctl" not in nested.remedy


def test_one_mount_below_usr_can_be_taken_away() -> None:
    answer = Answer(32, f"mount: /x/ns/usr: {EINVAL}")
    one = Conditions(below_usr=("/usr/local",))
    assert cause_of(answer, one).remedy.endswith("sudo umount /usr/local")
    assert "umount" not in cause_of(answer, GPU).remedy


def test_view() -> None:
    answer = Answer(32, f"mount: /x/ns/usr: {EINVAL}")
    assert probes.view(Answer(0), PLAIN, needed=True).status is Status.OK
    refused = probes.view(answer, GPU, needed=True)
    assert refused.status is Status.FAILED
    assert "below /usr" in refused.cause
    unneeded = probes.view(answer, GPU, needed=False)
    assert (unneeded.status, unneeded.remedy) == (Status.INFO, "")
    assert "--view host" in unneeded.cause


def test_a_full_disk_is_no_limit_of_namespaces() -> None:
    text = "mkdir: cannot create directory 'ns/lower': No space left on device"
    assert "namespaces" not in cause_of(Answer(1, text), PLAIN).cause


def test_switches_do_not_explain_what_root_is_refused() -> None:
    root = Conditions(root=True, apparmor="1", clone="0")
    assert (
        "sysctl" not in cause_of(Answer(1, "unshare: unshare failed: Operation not permitted"), root).remedy
    )


def test_hidepid_is_blamed_where_newuidmap_sees_nothing() -> None:
    text = "newuidmap: Could not open proc directory for target 17"
    found = cause_of(Answer(1, text), Conditions(hidepid="invisible"))
    assert found == Cause("/proc is mounted with hidepid=invisible", "sudo mount -o remount,hidepid=0 /proc")


def test_only_a_refused_namespace_is_due_to_a_chroot() -> None:
    chroot = Conditions(chroot=True)
    assert "chroot" in cause_of(Answer(1, "unshare: unshare failed: Operation not permitted"), chroot).cause
    assert "chroot" not in cause_of(Answer(1, "rm: x: Operation not permitted"), chroot).cause


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("0.4.1", Status.FAILED),
        ("0.8.0", Status.INFO),
        ("0.11.1", Status.INFO),
        ("0.12.0", Status.OK),
        ("1.0", Status.OK),
    ],
)
def test_bubblewrap(version: str, status: Status) -> None:
    found = probes.bubblewrap(Answer(0, f"bubblewrap {version}\n"))
    assert (found.status, found.what) == (status, version)
    assert ("GHSA-pxhw-h44j-8pfx" in found.cause) == (status is Status.INFO)


def test_no_bubblewrap() -> None:
    found = probes.bubblewrap(probes.attempt(["bwrap", "--version"], env={"PATH": "/nonexistent"}))
    assert found.status is Status.FAILED
    assert found.remedy == "sudo apt install bubblewrap"


def test_hidepid_of_the_visible_mount() -> None:
    line = "{} 104 0:21 / /proc rw,relatime - proc proc rw{}\n"
    assert probes.parse_hidepid(line.format(1, "")) == ""
    assert probes.parse_hidepid(line.format(1, ",hidepid=2")) == "2"
    assert probes.parse_hidepid(line.format(1, "") + line.format(2, ",hidepid=invisible")) == "invisible"
    assert probes.parse_hidepid(line.format(1, ",hidepid=2") + line.format(2, "")) == ""
    assert probes.parse_hidepid(line.format(1, ",hidepid=off")) == ""


def test_free_ids_overlap_nobody() -> None:
    assert probes.free_ids([]) == 100000
    assert probes.free_ids([range(100000, 165536)]) == 165536
    assert probes.free_ids([range(165535, 165536), range(200000, 200001)]) == 231072


def host(uids: tuple[range, ...], gids: tuple[range, ...]) -> Host:
    caller = Caller(1000, 1000, "dev", uids, gids)
    return Host(
        caller, "amd64", (6, 1), {}, False, frozenset(), "", "", (range(4294967295),), (), Memory(0, 0)
    )


def test_subordinate_ids() -> None:
    enough, few = (range(100000, 165536),), (range(100000, 100010),)
    assert probes.subordinate_ids(host(enough, enough), PLAIN).status is Status.OK
    none = probes.subordinate_ids(host((), ()), PLAIN)
    assert none.status is Status.WARNING
    assert none.remedy == "echo dev:165536:65536 | sudo tee -a /etc/subuid /etc/subgid"
    half = probes.subordinate_ids(host(enough, ()), PLAIN)
    assert half.remedy == "echo dev:165536:65536 | sudo tee -a /etc/subgid"
    assert "nobody" in probes.subordinate_ids(host(few, enough), PLAIN).cause


def test_packages() -> None:
    found = probes.packages("dpkg-dev installed 1.21.22\nbuild-essential config-files 12.9\n")
    assert [finding.status for finding in found] == [Status.OK, Status.FAILED]
    assert found[1].remedy == "sudo apt install build-essential"


def test_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SCARCE", 1)
    monkeypatch.setattr(probes, "FULL", 0)
    assert probes.space("scratch", tmp_path / "not" / "there", "mend").status is Status.OK
    monkeypatch.setattr(probes, "SCARCE", 1 << 80)
    assert probes.space("scratch", tmp_path, "mend").status is Status.WARNING
    monkeypatch.setattr(probes, "FULL", 1 << 80)
    assert probes.space("scratch", tmp_path, "mend").status is Status.FAILED
    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.F_OK)  # root may write everywhere
    assert "can't be written" in probes.space("scratch", tmp_path, "mend").cause


def test_kernel() -> None:
    assert probes.kernel(Conditions(release="5.10.0-28-amd64")).status is Status.FAILED
    assert probes.kernel(Conditions(release="6.1.0-18-amd64")).status is Status.OK


def test_system_calls() -> None:
    found = probes.system_calls("kill_process kill_thread trap errno trace log allow\n", 700)
    assert (found.status, found.what) == (Status.OK, "can be filtered, by a program of 700 instructions")
    without = probes.system_calls("", 700)
    assert without.status is Status.FAILED
    assert "CONFIG_SECCOMP_FILTER" in without.cause
    assert "--no-seccomp" in without.remedy


@pytest.mark.parametrize(
    ("text", "cause", "remedy"),
    [
        ("bwrap: prctl(PR_SET_SECCOMP): Invalid argument", "no filter of system calls", "--no-seccomp"),
        (
            "namespace: 44: cannot create /proc/sys/user/max_user_namespaces: Read-only file system",
            "/proc/sys can't be written",
            "--allow userns",
        ),
        ("bwbuild: no session keyring of its own: Disk quota exceeded", "quota of keys", "maxkeys"),
    ],
)
def test_causes_of_missing_restraints(text: str, cause: str, remedy: str) -> None:
    found = cause_of(Answer(1, text), PLAIN)
    assert cause in found.cause
    assert remedy in found.remedy


FIRST = Finding("identity", Status.FAILED, "unshare: no", "the cause", "sudo mend it")
SECOND = Finding("/proc", Status.FAILED, "bwrap: no", "another cause", "sudo mend that")


def test_the_error_of_a_build_carries_the_findings() -> None:
    error = advice((FIRST, SECOND), ("unshare: no",))
    assert error.status is ExitStatus.HOST
    assert error.hint == "the cause: sudo mend it"
    assert error.details == ("unshare: no", "also: /proc: another cause; sudo mend that")


def test_the_error_of_a_build_without_findings() -> None:
    error = advice((), ("it was killed from outside",))
    assert "bwbuild doctor" in error.hint
    assert error.details == ("it was killed from outside",)


def test_table_and_json() -> None:
    fine = Finding("kernel", Status.OK, "6.1")
    lines = [line.text for line in command._lines((fine, FIRST))]
    assert lines[0] == "ok       kernel    6.1"
    assert lines[1] == "failed   identity  unshare: no"
    assert [line.strip() for line in lines[2:4]] == ["cause: the cause", "mend:  sudo mend it"]
    assert lines[-1] == "1 of 2 failed: a build can't start here"
    assert [line.text for line in command._lines((fine,))][-1] == "a build can start here"
    row = json.loads(command._json((FIRST,)))[0]
    assert (row["status"], row["remedy"]) == ("failed", "sudo mend it")
