"""The build has no power over root's side of the sandbox, and that side none over the sandbox."""

import ctypes
import os
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)
SYS_ADMIN, NET_ADMIN, SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_BOOT = 21, 12, 16, 17, 19, 22
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096


def fields(pid):
    with open(f"/proc/{pid}/status") as status:
        return dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)


def refused(what, action, *arguments):
    try:
        action(*arguments)
    except OSError:
        return
    sys.exit(f"{what} was not refused")


def mount(source, target, kind, flags):
    if libc.mount(source, target, kind, flags, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")


own = fields("self")
assert own["NoNewPrivs"] == "1", own["NoNewPrivs"]
assert set(os.getgroups()) <= {os.getgid()}, os.getgroups()
if sys.argv[1] == "build":
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(own[name], 16) == 0, (name, own[name])
    others = [pid for pid in os.listdir("/proc") if pid.isdigit() and fields(pid)["Uid"].split()[0] == "0"]
    assert others, "root's side is not there"
    for pid in others:
        refused(f"a signal to {pid}", os.kill, int(pid), signal.SIGURG)
        refused(f"the environment of {pid}", open, f"/proc/{pid}/environ", "rb")
        refused(f"the root directory of {pid}", os.listdir, f"/proc/{pid}/root")
        refused(f"the files of {pid}", os.listdir, f"/proc/{pid}/fd")
else:
    assert os.getuid() == 0
    for number in (SYS_ADMIN, NET_ADMIN, SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_BOOT):
        assert not int(own["CapEff"], 16) >> number & 1, (number, own["CapEff"])

refused("a mount", mount, b"none", b"/mnt", b"tmpfs", 0)
refused("a writable /usr", mount, None, b"/usr", None, MS_REMOUNT | MS_BIND)
refused("a writable root", mount, None, b"/", None, MS_REMOUNT | MS_BIND)
refused("chroot", os.chroot, "/tmp")
refused(
    "a new host name",
    lambda: os.stat("/proc/sys/kernel") and open("/proc/sys/kernel/hostname", "w").write("x"),
)
for path in ("/usr/bin/testpkg", "/etc/testpkg", "/testpkg", "/var/lib/dpkg/testpkg"):
    refused(path, open, path, "w")
print("nothing gained in", sys.argv[1])
