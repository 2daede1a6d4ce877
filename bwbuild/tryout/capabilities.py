"""The capabilities of a file in words: pure."""

from __future__ import annotations

import struct

#: In the order of their numbers, linux/capability.h.
_NAMES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
    *(
        "linux_immutable",
        "net_bind_service",
        "net_broadcast",
        "net_admin",
        "net_raw",
        "ipc_lock",
        "ipc_owner",
    ),
    *(
        "sys_module",
        "sys_rawio",
        "sys_chroot",
        "sys_ptrace",
        "sys_pacct",
        "sys_admin",
        "sys_boot",
        "sys_nice",
    ),
    *(
        "sys_resource",
        "sys_time",
        "sys_tty_config",
        "mknod",
        "lease",
        "audit_write",
        "audit_control",
        "setfcap",
    ),
    *("mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf"),
    *("checkpoint_restore",),
)
_EFFECTIVE = 1


def words(attribute: str) -> str:
    """The value of security.capability, hexadecimal digits of a struct vfs_cap_data, as getcap writes it.

    >>> words("0100000200200000000000000000000000000000")
    'cap_net_raw=ep'
    """
    data = bytes.fromhex(attribute).ljust(20, b"\0")
    magic, permitted, inheritable, permitted_high, inheritable_high = struct.unpack_from("<5I", data)
    permitted |= permitted_high << 32
    inheritable |= inheritable_high << 32
    sets = (("e", permitted if magic & _EFFECTIVE else 0), ("i", inheritable), ("p", permitted))
    by_flags: dict[str, list[str]] = {}
    for bit in range(64):
        flags = "".join(flag for flag, numbers in sets if numbers >> bit & 1)
        if flags:
            by_flags.setdefault(flags, []).append(f"cap_{_NAMES[bit]}" if bit < len(_NAMES) else str(bit))
    return " ".join(f"{','.join(names)}={flags}" for flags, names in by_flags.items())
