"""A POSIX ACL may name any user of the system, also in tests that run without root."""

import os
import pwd
import struct

USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32
NOBODY = 0xFFFFFFFF
ACL = "system.posix_acl_access"


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


for directory in (".", "/tmp"):
    path = os.path.join(directory, "acl-test")
    with open(path, "w"):
        pass
    value = acl(
        (USER_OBJ, 6, NOBODY),
        (USER, 6, pwd.getpwnam("bin").pw_uid),
        (GROUP_OBJ, 4, NOBODY),
        (GROUP, 4, 60),
        (MASK, 6, NOBODY),
        (OTHER, 4, NOBODY),
    )
    os.setxattr(path, ACL, value)
    assert os.getxattr(path, ACL) == value, os.getxattr(path, ACL)
    os.remove(path)

for name in ("root", "daemon", "games", "man", "mail", "nobody"):
    pwd.getpwnam(name)
assert pwd.getpwuid(os.getuid()).pw_uid == os.getuid(), "the build's own user has a name"
print("access control lists hold")
