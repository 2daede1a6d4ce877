"""Root of the binary target may give files away to anyone, and back."""

import os

with open("debian/given", "w"):
    pass
for number in (1, 2, 12, 33, 60, 100, 998, 1000, 20000, 65534, 0):
    os.chown("debian/given", number, number)
    found = os.stat("debian/given")
    assert (found.st_uid, found.st_gid) == (number, number), (number, found)
os.remove("debian/given")
print("files can be given away")
