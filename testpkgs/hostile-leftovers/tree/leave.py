"""Leaves what a naive removal stumbles over."""

import os
import sys

top = os.path.join("left", sys.argv[1])
os.makedirs(os.path.join(top, "closed/inner"))
os.chmod(os.path.join(top, "closed/inner"), 0)
os.chmod(os.path.join(top, "closed"), 0)
for name in (b"new\nline", b"\x1b[2Jescape", b"not UTF-8 \xff", b"-rf", b" "):
    with open(os.path.join(top.encode(), name), "w"):
        pass
os.utime(top, (2**31 + 10**9, 2**31 + 10**9))
with open(os.path.join(top, "setuid"), "w"):
    pass
os.chmod(os.path.join(top, "setuid"), 0o6755)
os.mkfifo(os.path.join(top, "fifo"))
os.symlink("/", os.path.join(top, "link"))
if sys.argv[1] == "binary":
    os.chmod("left", 0o700)
    os.chown("left", 12, 12)
