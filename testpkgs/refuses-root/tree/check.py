"""Tests of many packages refuse root, or rely on permissions that root does not feel."""

import os
import sys

if 0 in (os.getuid(), os.geteuid(), os.getgid()):
    sys.exit("these tests must not run as root")


def refused(action, *arguments):
    try:
        action(*arguments)
    except PermissionError:
        return
    sys.exit(f"{action.__name__}{arguments} should have been refused")


with open("secret", "w") as file:
    file.write("secret")
os.chmod("secret", 0)
refused(open, "secret")
os.mkdir("closed", 0o500)
refused(open, "closed/new", "w")
os.mkdir("hidden", 0)
refused(os.listdir, "hidden")
refused(os.listdir, "/root")
refused(os.chown, "check.py", 0, 0)
refused(os.setuid, 0)
refused(os.setgroups, [])
print("permissions hold")
