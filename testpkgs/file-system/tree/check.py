"""The system is read-only, and what may be written elsewhere is the build's own."""

import os
import sys
import tempfile

for directory in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock"):
    if os.listdir(directory):
        sys.exit(f"{directory} holds {os.listdir(directory)}")
    with open(os.path.join(directory, "bwbuild-testpkg-file-system"), "w") as file:
        file.write("from inside")
    with tempfile.NamedTemporaryFile(dir=directory):
        pass
    if os.stat(directory).st_mode & 0o7777 != 0o1777:
        sys.exit(f"{directory} has mode {os.stat(directory).st_mode:o}")

for directory in (
    "/",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/etc",
    "/etc/dpkg",
    "/var",
    "/var/lib/dpkg",
    "/opt",
    "/srv",
    "/home",
    "/root",
    "/usr/local",
    "/boot",
    "/sys",
    "/proc",
    "/build",
    "/run",
):
    try:
        with open(os.path.join(directory, "bwbuild-testpkg"), "w"):
            sys.exit(f"{directory} can be written")
    except OSError:
        pass
for path in ("/bin", "/lib", "/sbin"):
    try:
        os.rename(path, path + ".old")
        sys.exit(f"{path} can be renamed")
    except OSError:
        pass
for path in ("/etc/passwd", "/etc/hosts", "/var/lib/dpkg/status", "/usr/bin/env"):
    try:
        with open(path, "a"):
            sys.exit(f"{path} can be written")
    except OSError:
        pass

with open("/dev/null", "w") as null, open("/dev/full", "w"), open("/dev/urandom", "rb") as random:
    null.write("x")
    assert len(random.read(8)) == 8
for link in ("/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr"):
    os.readlink(link)
os.listdir("/sys/class")
for name in ("original", "hard-link"):
    if os.path.exists(name):
        os.remove(name)
with open("original", "w") as file:
    file.write("x")
os.link("original", "hard-link")
os.mkfifo("fifo")
os.setxattr("original", "user.test", b"value")
print("ok the file system")
