"""The table of system calls that the sandbox holds back: data, with the reason beside each entry.

What is in no rule is allowed. Namespaces and lost capabilities stop most of this already; the table is there
for the kernel's mistakes. A call is refused with an error that programs know, never by a signal, so that test
suites skip what they can't test: ENOSYS where C libraries and programs fall back to something older,
EAFNOSUPPORT for families of sockets, else EPERM.

Deliberately absent: ptrace, process_vm_readv, kcmp and personality's ADDR_NO_RANDOMIZE (debuggers,
sanitizers), seccomp and landlock (programs that confine themselves), memfd_create, mlock, mbind, chmod with
setuid bits (packages ship such files), TIOCSCTTY (every pseudo-terminal).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Group(Enum):
    """What a rule is about; a sandbox names the groups that it holds back."""

    NAMESPACES = "namespaces"
    MOUNTS = "mounts"
    CHROOT = "chroot"
    KEYRING = "keyring"
    SURFACE = "surface"
    HOST = "host"
    TERMINAL = "terminal"
    SOCKETS = "sockets"
    PERSONALITY = "personality"
    SYNC = "sync"


#: What a build has no business with.
HELD_BACK = tuple(group for group in Group if group is not Group.SYNC)
#: What makers of sandboxes do and test. Of the terminal's calls they test that nobody but their own filter
#: holds them back; a build has no terminal, and a shell one of its own.
NESTING = (Group.NAMESPACES, Group.MOUNTS, Group.CHROOT, Group.TERMINAL)

#: All bits of an ``int``: what is in the upper half of its register is garbage, and ignored by the kernel.
INT = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Masked:
    """The argument of that number, counted from 0, has ``value`` in the bits of ``mask``."""

    argument: int
    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class Flags:
    """The argument has at least one of these bits."""

    argument: int
    bits: tuple[int, ...]

    def cases(self) -> Iterator[Masked]:
        """Comparisons of which one holds exactly then."""
        yield from (Masked(self.argument, bit, bit) for bit in self.bits)


@dataclass(frozen=True, slots=True)
class OneOf:
    """The argument is an ``int`` and one of these; ``mask`` are the bits that count."""

    argument: int
    values: tuple[int, ...]
    mask: int = INT

    def cases(self) -> Iterator[Masked]:
        """Comparisons of which one holds exactly then."""
        yield from (Masked(self.argument, self.mask, value) for value in self.values)


@dataclass(frozen=True, slots=True)
class NoneOf:
    """The argument is an ``int`` and none of these."""

    argument: int
    values: tuple[int, ...]

    def cases(self) -> Iterator[Masked]:
        """Comparisons of which one holds exactly then: libseccomp can't negate one of an ``int``."""
        yield from self._besides(self.values, 31, 0, 0)

    def _besides(self, values: tuple[int, ...], bit: int, mask: int, value: int) -> Iterator[Masked]:
        """The numbers with ``value`` in ``mask``, all bits above ``bit``, that are not among ``values``."""
        if not values:
            yield Masked(self.argument, mask, value)
        elif bit >= 0:
            for half in (0, 1 << bit):
                inside = tuple(number for number in values if number & (1 << bit) == half)
                yield from self._besides(inside, bit - 1, mask | 1 << bit, value | half)


Condition = Flags | OneOf | NoneOf


@dataclass(frozen=True, slots=True)
class Rule:
    """These calls, where all of ``when`` hold, are answered with ``errno``; 0 is success."""

    group: Group
    calls: tuple[str, ...]
    errno: int
    why: str
    when: tuple[Condition, ...] = ()


#: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET; unshare has NEWTIME too, where clone has its
#: signal.
_NEW = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_NEWTIME = 0x80
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_UNSPEC, _UNIX, _INET, _INET6, _NETLINK = 0, 1, 2, 10, 16
_ROUTE, _KOBJECT_UEVENT, _GENERIC = 0, 15, 16
#: PER_LINUX32, UNAME26 and ADDR_NO_RANDOMIZE in all combinations, and the number that only asks.
_PERSONAS = (*(a | b | c for a in (0, 8) for b in (0, 0x20000) for c in (0, 0x40000)), INT)
#: A descriptor below 64. Test suites try -1 and 99 to see EBADF, so the kernel has to answer for these.
_USUAL_DESCRIPTOR = OneOf(0, (0,), mask=INT & ~63)
_MS_SYNC = 4

TABLE: tuple[Rule, ...] = (
    Rule(
        Group.NAMESPACES,
        ("clone",),
        errno.EPERM,
        "root of a new user namespace reaches kernel code that was written for root alone",
        when=(Flags(0, _NEW),),
    ),
    Rule(
        Group.NAMESPACES,
        ("unshare",),
        errno.EPERM,
        "as clone; without these bits it only unshares what a thread has, which libraries do",
        when=(Flags(0, (*_NEW, _NEWTIME)),),
    ),
    Rule(Group.NAMESPACES, ("setns",), errno.EPERM, "nothing inside has another namespace to enter"),
    Rule(
        Group.NAMESPACES,
        ("clone3",),
        errno.ENOSYS,
        "its flags are behind a pointer, which no filter can follow; C libraries fall back to clone",
    ),
    Rule(
        Group.NAMESPACES,
        ("sethostname", "setdomainname"),
        errno.EPERM,
        "only root of a namespace of its own may, and the names are not the build's",
    ),
    Rule(
        Group.MOUNTS,
        ("mount", "umount", "umount2", "pivot_root"),
        errno.EPERM,
        "what is mounted is decided before the build starts",
    ),
    Rule(Group.CHROOT, ("chroot",), errno.EPERM, "a build without capabilities can't anyway"),
    Rule(
        Group.MOUNTS,
        (
            "open_tree",
            "open_tree_attr",
            "move_mount",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "mount_setattr",
        ),
        errno.ENOSYS,
        "the same by another interface, for which programs fall back to mount",
    ),
    Rule(
        Group.KEYRING,
        ("add_key", "request_key", "keyctl"),
        errno.ENOSYS,
        "no namespace covers all of the kernel's keyrings: keys of the caller can be found by their numbers",
    ),
    Rule(
        Group.SURFACE,
        ("bpf", "userfaultfd"),
        errno.ENOSYS,
        "used in many exploits of the kernel; programs that use them live without",
    ),
    Rule(
        Group.SURFACE,
        ("io_uring_setup", "io_uring_enter", "io_uring_register"),
        errno.ENOSYS,
        "it runs operations past this table, and has a long history of holes; libraries fall back",
    ),
    Rule(
        Group.SURFACE,
        ("perf_event_open",),
        errno.EPERM,
        "its holes were many, and Debian's kernel refuses it to users by default",
    ),
    Rule(
        Group.SURFACE,
        ("fanotify_init",),
        errno.EPERM,
        "it watches whole file systems; inotify is there",
    ),
    Rule(
        Group.SURFACE,
        ("open_by_handle_at",),
        errno.EPERM,
        "it opens files by number, past every mount and directory",
    ),
    Rule(
        Group.SURFACE,
        ("pidfd_getfd",),
        errno.EPERM,
        "it takes open files from other processes; debuggers use ptrace",
    ),
    Rule(
        Group.SURFACE,
        ("process_madvise", "migrate_pages", "move_pages"),
        errno.EPERM,
        "they act on the memory of other processes",
    ),
    Rule(
        Group.SURFACE,
        ("modify_ldt", "vm86", "vm86old"),
        errno.ENOSYS,
        "segments of 16-bit programs, in code that hardly anybody looks at",
    ),
    Rule(
        Group.SURFACE,
        ("uselib", "ustat", "sysfs", "nfsservctl", "lookup_dcookie"),
        errno.ENOSYS,
        "left from old kernels; newer ones are built without",
    ),
    Rule(Group.SURFACE, ("quotactl", "quotactl_fd"), errno.EPERM, "quotas of the machine's file systems"),
    Rule(Group.HOST, ("acct",), errno.EPERM, "accounting of the machine's processes"),
    Rule(Group.HOST, ("syslog",), errno.EPERM, "the kernel's log has addresses and names of the machine"),
    Rule(
        Group.HOST,
        ("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
        errno.EPERM,
        "the machine's kernel",
    ),
    Rule(Group.HOST, ("swapon", "swapoff"), errno.EPERM, "the machine's memory"),
    Rule(
        Group.HOST,
        ("settimeofday", "clock_settime", "clock_settime64", "stime"),
        errno.EPERM,
        "the machine's clock; reading it and adjtimex's query are not held back",
    ),
    Rule(Group.HOST, ("vhangup",), errno.EPERM, "it hangs up a terminal"),
    Rule(Group.HOST, ("iopl", "ioperm"), errno.EPERM, "ports of the hardware"),
    Rule(
        Group.TERMINAL,
        ("ioctl",),
        errno.EPERM,
        "TIOCSTI types on a terminal, TIOCLINUX pastes on the console, where a shell outside reads it",
        when=(OneOf(1, (_TIOCSTI, _TIOCLINUX)),),
    ),
    Rule(
        Group.SOCKETS,
        ("socket", "socketpair"),
        errno.EAFNOSUPPORT,
        "a network namespace does not cover VSOCK, and ALG, CAN, TIPC and others are holes time and again",
        when=(NoneOf(0, (_UNSPEC, _UNIX, _INET, _INET6, _NETLINK)),),
    ),
    Rule(
        Group.SOCKETS,
        ("socket", "socketpair"),
        errno.EAFNOSUPPORT,
        "of netlink only what lists interfaces and devices, not netfilter, crypto, audit and the like",
        when=(OneOf(0, (_NETLINK,)), NoneOf(2, (_ROUTE, _KOBJECT_UEVENT, _GENERIC))),
    ),
    Rule(
        Group.PERSONALITY,
        ("personality",),
        errno.EPERM,
        "READ_IMPLIES_EXEC and MMAP_PAGE_ZERO undo protections; gdb and setarch use what is left",
        when=(NoneOf(0, _PERSONAS),),
    ),
    Rule(Group.SYNC, ("sync",), 0, "what a build writes is thrown away or copied, and the copies are synced"),
    Rule(
        Group.SYNC,
        ("fsync", "fdatasync", "syncfs", "sync_file_range", "sync_file_range2"),
        0,
        "as sync; a closed descriptor below 64 is not noticed",
        when=(_USUAL_DESCRIPTOR,),
    ),
    Rule(
        Group.SYNC,
        ("msync",),
        0,
        "as sync; without MS_SYNC it writes nothing, and libraries ask with it whether memory is there",
        when=(Flags(2, (_MS_SYNC,)),),
    ),
)

#: The number of keyctl by Debian's names of architectures.
KEYCTL = {
    "amd64": 250,
    "arm64": 219,
    "armel": 311,
    "armhf": 311,
    "i386": 288,
    "loong64": 219,
    "mips64el": 5241,
    "ppc64el": 271,
    "riscv64": 219,
    "s390x": 280,
}
#: Numbers of calls that are younger than Debian 12's libseccomp; they are the same on all architectures of
#: Debian's but MIPS, which adds ``MIPS64``.
YOUNG = {"open_tree_attr": 467}
MIPS64 = 5000
#: Where the first two arguments of clone have changed places.
CLONE_SWAPPED = ("s390", "s390x")
#: Architectures, by libseccomp's names, whose C library makes sockets by socketcall: its arguments are behind
#: a pointer, so there it is all families or none.
SOCKETCALL = ("x86", "s390", "s390x")
#: The other ABIs that programs of an architecture may use.
FOREIGN = {
    "x86_64": ("x86", "x32"),
    "aarch64": ("arm",),
    "mips64": ("mips", "mips64n32"),
    "mipsel64": ("mipsel", "mipsel64n32"),
    "ppc64": ("ppc",),
    "s390x": ("s390",),
}
