"""Whether the kernel gives a sandbox a /sys of its own, and which directories name network cards."""

from __future__ import annotations

import subprocess

import pytest

from bwbuild.host.mounts import mounted, parse
from bwbuild.host.sysfs import Sysfs, is_whole, read_sysfs

DESKTOP = """\
22 1 254:0 / / rw - ext4 /dev/vda rw
23 22 0:22 / /sys rw - sysfs sysfs rw
24 23 0:23 / /sys/kernel/security rw - securityfs securityfs rw
25 23 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
26 23 0:25 / /sys/kernel/debug rw - debugfs debugfs rw
27 26 0:26 / /sys/kernel/debug/tracing rw - tracefs tracefs rw
"""
CONTAINER = """\
22 1 0:30 / / rw - overlay overlay rw
23 22 0:22 / /sys ro - sysfs sysfs rw
24 23 0:24 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw
25 23 0:31 / /sys/firmware ro - tmpfs tmpfs rw
"""
#: systemd-nspawn and others show some directories alone.
PARTS = """\
22 1 0:30 / / rw - overlay overlay rw
23 22 0:31 / /sys ro - tmpfs tmpfs rw
24 23 0:22 /class /sys/class ro - sysfs sysfs rw
"""


@pytest.mark.parametrize(
    ("table", "whole"),
    [
        (DESKTOP, True),
        (CONTAINER, False),
        (PARTS, False),
        ("", False),
        # Another mount of it will do as well, wherever it is.
        (CONTAINER + "30 22 0:22 / /mnt ro - sysfs sysfs rw\n", True),
    ],
    ids=["desktop", "container", "parts", "none", "twice"],
)
def test_whole(table: str, *, whole: bool) -> None:
    assert is_whole(list(parse(table))) is whole


def test_control_groups() -> None:
    assert read_sysfs(list(parse(DESKTOP))) == Sysfs(whole=True, groups=True)


def test_network_cards_of_this_machine() -> None:
    """Each card's own directory is named: a link in /sys/class is not the only way to it."""
    found = read_sysfs(list(parse(CONTAINER)))
    script = "find /sys/devices -path '*/net/*/address' -printf '%h\\n'"
    cards = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout.split()
    assert {card.rpartition("/")[0] for card in cards} <= set(found.networks)


def test_the_kernel_agrees() -> None:
    words = ["unshare", "--user", "--map-root-user", "--mount", "--net"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    mount = ("mount", "-t", "sysfs", "-o", "ro,nosuid,nodev,noexec", "none", "/mnt")
    done = subprocess.run([*words, *mount], capture_output=True, check=False)
    assert (done.returncode == 0) is is_whole(mounted())
