"""Looks around in the sandbox and prints what it found as JSON; the tests run it there."""

# It is about system calls, not about paths.
# ruff: noqa: PTH109, PTH110, PTH114, PTH115, PTH116, PTH118, PTH123, PTH207, PTH208, SIM115

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import grp
import json
import os
import pwd
import socket
import stat
import sys
import tempfile
import termios
import time

NAMESPACES = ("user", "pid", "ipc", "uts", "cgroup", "net", "mnt")
#: Each is tried with a new name inside, and with an existing file of it where there is one.
READ_ONLY = (
    "/",
    "/usr",
    "/usr/bin",
    "/usr/local",
    "/etc",
    "/sys",
    "/var",
    "/var/lib/dpkg",
    "/build",
    "/root",
)
READ_ONLY_FILES = ("/etc/passwd", "/etc/hosts", "/var/lib/dpkg/status", "/usr/bin/env", "/run/bwbuild/init")
FRESH = ("/tmp", "/var/tmp", "/run", "/dev/shm", "/run/lock")
MS_REMOUNT, MS_BIND = 32, 4096


def outcome(action, *arguments):
    """ "" for success, else the name of the error."""
    try:
        result = action(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    except OverflowError:
        return "overflow"
    if isinstance(result, int) and result > 2:
        os.close(result)
    return ""


def call(name, *arguments):
    """A function of libc by its name."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def touch(directory):
    os.open(os.path.join(directory, ".probe"), os.O_CREAT | os.O_WRONLY)


def connect(address, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.settimeout(20)
        made.connect(address)


def loopback(family, address):
    with socket.socket(family) as server:
        server.bind((address, 0))
        server.listen()
        connect(server.getsockname()[:2], family)


def status():
    with open("/proc/self/status") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)


def descriptors():
    """Number -> kind of all descriptors but that of the look itself."""
    found = {}
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}").partition(":")[0]
        except OSError:
            continue
    return found


def readable():
    """Names below /etc whose content this process can read, out of those with secrets."""
    names = glob.glob("/etc/*shadow*") + glob.glob("/etc/sudoers*") + glob.glob("/etc/ssh/ssh_host_*_key")
    return [name for name in names if outcome(os.open, name, os.O_RDONLY) == ""]


def sockets():
    """All sockets and FIFOs that can be found, but in /proc."""
    found = []
    for top in sorted(os.listdir("/")):
        if top in ("proc", "sys"):
            continue
        for directory, _, names in os.walk("/" + top):
            for name in names:
                path = os.path.join(directory, name)
                mode = os.lstat(path).st_mode
                if stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode):
                    found.append(path)
    return found


def owner_after(uid, gid):
    """Owner of a file after chown, or the error."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "file")
        open(path, "w").close()
        error = outcome(os.chown, path, uid, gid)
        found = os.stat(path)
        return error or [found.st_uid, found.st_gid]


def mount_of(flags, target, kind=None):
    call("mount", b"none", target.encode(), kind, flags, None)


def main():
    facts = {"descriptors": descriptors()}
    facts["umask"] = os.umask(0o022)
    facts["ids"] = [os.getuid(), os.getgid(), os.getgroups()]
    facts["name"] = pwd.getpwuid(os.getuid()).pw_name
    facts["group"] = grp.getgrgid(os.getgid()).gr_name
    facts["status"] = status()
    facts["namespaces"] = {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES}
    facts["session"] = os.getsid(0)
    facts["interfaces"] = [name for _, name in socket.if_nameindex()]
    with open("/proc/net/route") as lines:
        facts["routes"] = lines.read().splitlines()[1:]
    facts["loopback"] = {
        "v4": outcome(loopback, socket.AF_INET, "127.0.0.1"),
        "v6": outcome(loopback, socket.AF_INET6, "::1"),
    }
    facts["outside"] = outcome(connect, ("192.0.2.1", 80))
    facts["metadata"] = outcome(connect, ("169.254.169.254", 80))
    facts["hostname"] = socket.gethostname()
    facts["localhost"] = sorted({item[4][0] for item in socket.getaddrinfo("localhost", 1)})
    facts["own name"] = socket.gethostbyname(socket.gethostname())
    facts["root"] = {
        name: os.readlink("/" + name) if os.path.islink("/" + name) else "" for name in os.listdir("/")
    }
    facts["links"] = {name: os.readlink(name) for name in ("/run/shm", "/var/run", "/var/lock")}
    facts["write"] = {name: outcome(touch, name) for name in READ_ONLY}
    facts["append"] = {name: outcome(os.open, name, os.O_WRONLY | os.O_APPEND) for name in READ_ONLY_FILES}
    facts["empty"] = {name: os.listdir(name) for name in FRESH}
    facts["fresh"] = {name: outcome(touch, name) for name in FRESH}
    facts["modes"] = {name: stat.S_IMODE(os.stat(name).st_mode) for name in (*FRESH, "/root", "/")}
    facts["mount"] = {
        "tmpfs": outcome(mount_of, 0, "/tmp", b"tmpfs"),
        "remount /": outcome(mount_of, MS_REMOUNT | MS_BIND, "/"),
        "remount /usr": outcome(mount_of, MS_REMOUNT | MS_BIND, "/usr"),
        "remount /etc": outcome(mount_of, MS_REMOUNT | MS_BIND, "/etc"),
        "umount /usr": outcome(call, "umount2", b"/usr", 0),
        "umount /etc": outcome(call, "umount2", b"/etc", 2),
        "mknod": outcome(os.mknod, "/tmp/device", stat.S_IFBLK | 0o600, os.makedev(254, 0)),
        "sethostname": outcome(socket.sethostname, "other"),
        "chroot": outcome(os.chroot, "/tmp"),
    }
    facts["absent"] = {
        name: os.listdir(name) if os.access(name, os.R_OK) else ""
        for name in (
            "/home",
            "/opt",
            "/srv",
            "/mnt",
            "/media",
            "/boot",
            "/usr/local",
            "/var/log",
            "/var/mail",
        )
        if os.path.lexists(name)
    }
    facts["root home"] = outcome(os.listdir, "/root")
    facts["environment"] = dict(os.environ)
    facts["secrets"] = readable()
    facts["sockets"] = sockets()
    facts["machine-id"] = [open(name).read() for name in ("/etc/machine-id",) if os.path.exists(name)]
    facts["zone"] = [time.tzname, os.path.lexists("/etc/localtime"), os.path.lexists("/etc/timezone")]
    facts["passwd"] = open("/etc/passwd").read()
    facts["hosts"] = open("/etc/hosts").read()
    facts["processes"] = sum(name.isdigit() for name in os.listdir("/proc"))
    facts["tty"] = {
        "open": outcome(os.open, "/dev/tty", os.O_RDWR),
        "stdin": outcome(fcntl.ioctl, 0, termios.TIOCGWINSZ, bytes(8)),
        "stdout": outcome(fcntl.ioctl, 1, termios.TIOCGWINSZ, bytes(8)),
    }
    facts["chown"] = {
        "games": owner_after(5, 60),
        "man": owner_after(6, 12),
        "nobody": owner_after(65534, 65534),
    }
    facts["cwd"] = os.getcwd()
    facts["beside"] = sorted(os.listdir(".."))
    facts["tree"] = sorted(os.listdir("."))
    json.dump(facts, sys.stdout)


main()
