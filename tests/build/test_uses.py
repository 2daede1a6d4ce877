"""Devices, and what is known of the use of permissions: exactly where a build is traced, else why not."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import Desk, Done, Rules, as_user, discard, make_desk, need

pytestmark = as_user

#: Makes a /dev of few devices, in namespaces of its own: $0 is a directory, the words of $1 are names that
#: are nodes. All are /dev/null in truth: who opens them finds no card and no processor behind them.
_DEV = """\
set -eu
top=$0 nodes=$1
shift
mkdir "$top/dev"
mount --rbind /dev "$top/dev"
mount -t tmpfs -o mode=755 dev /dev
mkdir /dev/pts /dev/shm
for name in null zero full random urandom tty; do
  : > "/dev/$name"
  mount --bind "$top/dev/$name" "/dev/$name"
done
mount --rbind "$top/dev/pts" /dev/pts
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd
for name in $nodes; do
  mkdir -p "$(dirname "/dev/$name")"
  : > "/dev/$name"
  mount --bind "$top/dev/null" "/dev/$name"
done
exec "$@"
"""
NODES = {"kvm": "kvm", "dri": "dri/card0 dri/renderD128", "fuse": "fuse"}
#: A program of 32 bits that does nothing but end.
_SMALL = """\
.globl _start
_start:
  movl $1, %eax
  xorl %ebx, %ebx
  int $0x80
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with those devices alone."""

    desk: Desk
    nodes: str = ""

    def run(self, *words: str | Path) -> Done:
        # A directory is mounted over, so it can't be the same twice.
        top = self.desk.top / f"machine{len(list(self.desk.top.glob('machine*')))}"
        top.mkdir()
        script = ("sh", "-c", _DEV, str(top), self.nodes, *self.desk.argv(*words))
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", *script],
            cwd=self.desk.tree,
            env=self.desk.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


SINGLE = ("--identity", "single")


@pytest.mark.parametrize("device", NODES)
def test_a_device_is_there_when_it_is_granted(device: str, desk: Desk) -> None:
    machine = Machine(desk, NODES[device])
    look = f"for node in {NODES[device]}; do [ -c /dev/$node ] && : < /dev/$node || exit 9; done; echo opened"
    done = machine.run("run", *SINGLE, "--allow", f"device={device}", "--", "sh", "-c", look)
    assert (done.status, done.out) == (0, "opened\n"), done.err
    others = [name for name in NODES if name != device]
    hidden = " && ".join(f"! [ -e /dev/{name} ]" for name in NODES)
    assert machine.run("run", *SINGLE, "--", "sh", "-c", hidden).status == 0
    alone = " && ".join(f"! [ -e /dev/{name} ]" for name in others)
    everything = Machine(desk, " ".join(NODES.values()))
    assert everything.run("run", *SINGLE, "--allow", f"device={device}", "--", "sh", "-c", alone).status == 0


@pytest.mark.parametrize(
    ("device", "remedy"),
    [
        ("kvm", "its processor or its kernel, or the virtual machine that it is, offers none"),
        ("dri", "it has no graphics card that its kernel knows"),
        ("fuse", "sudo modprobe fuse"),
    ],
)
def test_a_device_that_the_machine_lacks(device: str, remedy: str, desk: Desk) -> None:
    """The build ends before it starts, with the status for what a machine lacks."""
    request = f'[[request]]\npermission = "device={device}"\nreason = "it measures"\nrequired = true\n'
    (desk.tree / "debian/bwbuild.toml").write_text(request, encoding="utf-8")
    machine = Machine(desk)
    words = ("-b", "--no-sign", *SINGLE)
    denied = machine.run(*words)
    assert denied.status == 7, denied.both
    granted = machine.run(*words, "--allow", f"device={device}")
    assert granted.status == 4, granted.both
    assert f"device={device} is granted, but this machine has no /dev/{device}" in granted.err
    assert f"hint: {remedy}" in granted.err
    assert (desk.published(), desk.left()) == ([], [])


def test_a_device_that_the_user_may_not_use(desk: Desk) -> None:
    closed = next((name for name in NODES if _is_closed(Path("/dev", name))), None)
    if closed is None:
        pytest.skip("each device of this machine is open to this user, or not there")
    done = desk.run("-b", "--no-sign", "--allow", f"device={closed}")
    assert done.status == 4, done.both
    assert f"device={closed} is granted, but you may not use /dev/{closed} yourself" in done.err
    assert "hint: ls -l" in done.err
    assert (desk.published(), desk.left()) == ([], [])


def _is_closed(node: Path) -> bool:
    return node.is_char_device() and not os.access(node, os.R_OK | os.W_OK)


# What a build did with what it was granted

PERMISSIONS = ("device=kvm", "userns", "raw-sync", "persist=notes", "env=NOT_SET_HERE")
USE = "head -c 1 /dev/kvm; unshare --user true; sync input; cat $BWBUILD_PERSIST_NOTES/*; cat {data}/file"


def allowed(desk: Desk, *more: str) -> list[str]:
    data = desk.top / "data"
    data.mkdir(exist_ok=True)
    (data / "file").write_text("some data\n", encoding="utf-8")
    words = (*PERMISSIONS, f"filesystem={data}", *more)
    return [word for permission in words for word in ("--allow", permission)]


def used(permissions: list[dict[str, Any]]) -> dict[str, str]:
    """Key or word -> whether it was used, of those of the build."""
    names = (use["permission"].removeprefix("allow=").partition("=")[0] for use in permissions)
    return dict(zip(names, (use["used"] for use in permissions), strict=True))


@pytest.mark.parametrize("is_used", [True, False], ids=["used", "never"])
def test_a_traced_build_shows_it(is_used: bool, tmp_path: Path) -> None:
    need("strace", "as", "ld")
    foreign = platform.machine() == "x86_64"
    use = USE.format(data=tmp_path / "data") + ("; ./small" if foreign else "")
    desk = make_desk(tmp_path, Rules(during=use if is_used else "true"))
    if foreign:
        _small(desk.tree / "small")
    words = [*SINGLE, *allowed(desk, *(["foreign-abi"] if foreign else []))]
    kept = desk.top / "cache/persist/tiny/notes/data"
    kept.mkdir(parents=True)
    (kept / "note").write_text("a note\n", encoding="utf-8")
    machine = Machine(desk, "kvm")
    done = machine.run("learn", "-b", "--json", "--quiet", "--cache", desk.top / "cache", *words)
    assert done.status == 0, done.both
    answer = "yes" if is_used else "no"
    expected = dict.fromkeys(("device", "userns", "persist", "filesystem"), answer)
    # dpkg-deb wants what it made to be on disk, in every build.
    expected |= {"env": "no", "raw-sync": "yes", **({"foreign-abi": answer} if foreign else {})}
    document = json.loads(done.out)
    assert used(document["permissions"]) == expected
    word = "used" if is_used else "never used"
    assert f"allow=userns: not asked for, granted, by option, {word}\n" in desk.log()


def _small(program: Path) -> None:
    source = program.with_suffix(".s")
    source.write_text(_SMALL, encoding="ascii")
    made = program.with_suffix(".o")
    subprocess.run(["as", "--32", "-o", made, source], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-o", program, made], check=True)


def test_else_the_report_says_what_shows_it(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    words = [*SINGLE, *allowed(desk), "--report", desk.top / "report"]
    machine = Machine(desk, "kvm")
    done = machine.run("-b", "--no-sign", "--cache", desk.top / "cache", *words)
    assert done.status == 0, done.both
    report = desk.report(desk.top / "report")
    found = used(report["permissions"])
    assert found.pop("env") == "no", "there is no such variable"
    assert set(found.values()) == {"unknown"}
    why = {use["permission"]: use["unknown"] for use in report["permissions"] if use["used"] == "unknown"}
    assert all(text.endswith("; bwbuild learn shows it") for text in why.values()), why
    assert why["device=kvm"] == "who opens a device leaves no mark; bwbuild learn shows it"
    assert f"unknown whether used: {why['allow=userns']}\n" in desk.log()
    audit = machine.run("audit", "--no-probe", *SINGLE, "--cache", desk.top / "cache", *allowed(desk))
    assert f"no use was seen ({why['device=kvm']})" in audit.out, audit.both
    discard(desk.top / "cache")
