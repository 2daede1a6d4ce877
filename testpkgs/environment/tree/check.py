"""What a build can see, compared with what it should."""

import os
import re
import socket
import stat
import sys

problems = []


def expect(what, found, wanted=True):
    if found != wanted:
        problems.append(f"{what}: {found!r} instead of {wanted!r}")


# dpkg and make add variables of their own; every other name was let in by the builder.
ALLOWED = re.compile(
    "PATH|HOME|LC_ALL|LANG|SHELL|USER|LOGNAME|TERM|TMPDIR|PWD|OLDPWD|SHLVL|_|SOURCE_DATE_EPOCH"
    "|DEB_[A-Z0-9_]+|DPKG_[A-Z0-9_]+|MAKE[A-Z_]*|MFLAGS"
)
for name in os.environ:
    if not ALLOWED.fullmatch(name):
        problems.append(f"environment: {name} is set")
for name, value in os.environ.items():
    if "secret-value" in value:
        problems.append(f"environment: {name} holds a value from outside")
expect("HOME", os.environ.get("HOME"), "/nonexistent")
expect("HOME exists", os.path.exists("/nonexistent"), False)
expect("LC_ALL", os.environ.get("LC_ALL"), "C.UTF-8")
expect("PATH", set(os.environ["PATH"].split(":")) <= {"/usr/sbin", "/usr/bin", "/sbin", "/bin"})
expect("SOURCE_DATE_EPOCH", os.environ.get("SOURCE_DATE_EPOCH"), "1704067200")

mask = os.umask(0o022)
expect("umask", oct(mask), oct(0o022))
expect("standard input", os.read(0, 1), b"")
for number in range(3, 1024):
    path = f"/proc/self/fd/{number}"
    if os.path.lexists(path):
        problems.append(f"file descriptor {number}: {os.readlink(path)}")

with open("host-name") as file:
    host = file.read().strip()
if host not in ("localhost", "bwbuild"):
    expect("the host's name is hidden", socket.gethostname() != host)
    with open("/etc/hosts") as file:
        expect("the host's name in /etc/hosts", host in file.read().split(), False)

expect("build path", os.getcwd(), "/build/reproducible-path/environment-1")
others = [n for n in os.listdir("..") if n != "environment-1" and not n.startswith("environment_1")]
expect("beside the tree", others, [])
expect(".git", os.path.lexists(".git"), False)
expect("/build", os.listdir("/build"), ["reproducible-path"])

for directory in ("/home", "/opt", "/srv", "/mnt", "/media", "/root", "/usr/local"):
    files = [os.path.join(top, name) for top, _, names in os.walk(directory) for name in names]
    expect(f"files in {directory}", files[:5], [])

# A socket or FIFO is a way to whoever listens there; only the builder's own may exist.
for start in ("/tmp", "/var", "/run", "/etc", "/home", "/opt", "/srv", "/mnt", "/media", "/build"):
    for top, _, names in os.walk(start):
        for name in names:
            path = os.path.join(top, name)
            kind = os.lstat(path).st_mode
            if (stat.S_ISSOCK(kind) or stat.S_ISFIFO(kind)) and not path.startswith("/run/bwbuild"):
                problems.append(f"socket or FIFO: {path}")

processes = [pid for pid in os.listdir("/proc") if pid.isdigit()]
expect("no processes of the host", len(processes) < 40)
expect(
    "devices", [d for d in ("kmsg", "mem", "sda", "vda", "kvm", "fuse") if os.path.exists(f"/dev/{d}")], []
)
for path in ("/etc/shadow", "/etc/gshadow", "/etc/ssh/ssh_host_ed25519_key"):
    expect(f"{path} is unreadable", os.access(path, os.R_OK), False)

for problem in problems:
    print("PROBLEM", problem)
sys.exit(bool(problems))
