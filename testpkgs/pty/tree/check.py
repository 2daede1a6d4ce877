"""Test suites of shells and editors make pseudo-terminals and become their sessions' leaders."""

import os
import pty
import re
import sys

for stream in (0, 1, 2):
    assert not os.isatty(stream), f"the build itself has a terminal on {stream}"
try:
    os.open("/dev/tty", os.O_RDWR)
except OSError:
    pass
else:
    sys.exit("the build itself has a controlling terminal")

child, master = pty.fork()
if child == 0:
    assert os.isatty(0)
    assert re.fullmatch("/dev/pts/[0-9]+", os.ttyname(0)), os.ttyname(0)
    assert os.tcgetpgrp(0) == os.getpgrp()
    assert os.stat(os.ttyname(0)).st_uid == os.getuid(), "the terminal belongs to its user"
    os.close(os.open("/dev/tty", os.O_RDWR))
    os.write(1, b"from the terminal\n")
    os._exit(0)
said = b""
while True:
    try:
        data = os.read(master, 1000)
    except OSError:
        break
    if not data:
        break
    said += data
_, status = os.waitpid(child, 0)
print(said.decode(), end="")
assert status == 0, status

pairs = [os.openpty() for _ in range(20)]
os.write(pairs[19][0], b"x\n")
assert os.read(pairs[19][1], 10) == b"x\n"
print("ok terminals")
