"""Tracing a sandbox: the words that start strace around bwrap, so that nothing of it is seen inside.

strace comes from this machine, whatever the sandbox shows, and follows all processes into the sandbox: the
build's and those of root beside it. Nothing is visible inside but that somebody traces; what traces itself,
a debugger above all, can't do so meanwhile, since a process has one tracer only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bwbuild.errors import HostError

#: The FIFO in the scratch directory to which strace writes; run by hand, the launcher makes a file of that
#: name.
PLACE = "trace"

# A call that an architecture lacks is passed over.
_CALLS = (
    *("?open", "openat", "?openat2", "?access", "faccessat", "?faccessat2", "execve", "execveat"),
    *("connect", "sendto", "sendmsg", "?sendmmsg"),
    *("?mkdir", "mkdirat", "?unlink", "unlinkat", "?rename", "?renameat", "renameat2"),
    *("?symlink", "symlinkat", "?link", "linkat", "?creat", "truncate", "?mknod", "mknodat"),
    # What only root may do; nothing but a refusal says anything.
    *("?chown", "?lchown", "fchown", "fchownat"),
)

#: The first call of a process or thread that the C library makes, which says nothing. strace stops a new one
#: at every call until the first that is traced.
_FIRST = ("set_robust_list",)

#: Whether a file is there and what it is. As many calls again as all others, so only who needs it asks.
_LOOKS = ("?stat", "?lstat", "?newfstatat", "?statx", "?readlink", "readlinkat")
#: What else shows that a path is used or has to be writable: changes that open nothing, and who goes there.
_TOUCHES = (
    *("?chmod", "fchmod", "fchmodat", "?fchmodat2", "?utime", "?utimes", "?futimesat", "utimensat"),
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
    *("chdir", "fchdir"),
)
#: What a user namespace is made and entered with.
_NAMESPACES = ("unshare", "setns", "clone", "?clone3")
_SYNCS = ("fsync", "fdatasync", "sync", "syncfs", "msync", "?sync_file_range")
#: Where no other call shows that a process runs in another mode, its end does.
_ENDS = ("?exit", "exit_group")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is traced beyond the usual: looks at files, user namespaces, fsync, modes of the processor.

    :ivar touches: changes of modes, times and attributes, and of the current directory.
    """

    looks: bool = False
    namespaces: bool = False
    syncs: bool = False
    modes: bool = False
    touches: bool = False


def words(wanted: Wanted) -> tuple[str, ...]:
    """The words that start strace.

    With --seccomp-bpf only the named calls stop a process. A filtered status makes strace write whole lines
    only, where otherwise the end of a call may stand apart; -y names the directory of a relative path and the
    file behind all links, -Y the process.
    """
    more = (
        (wanted.looks, _LOOKS),
        (wanted.namespaces, _NAMESPACES),
        (wanted.syncs, _SYNCS),
        (wanted.modes, _ENDS),
        (wanted.touches, _TOUCHES),
    )
    calls = [*_CALLS, *_FIRST, *(call for is_wanted, found in more if is_wanted for call in found)]
    quiet = "attach,exit,path-resolution,thread-execve" if wanted.modes else "all"
    return (
        *("strace", "--follow-forks", "--seccomp-bpf", f"--quiet={quiet}", "--signal=none"),
        *("--string-limit=128", "--decode-fds=path", "--decode-pids=comm", "--status=!detached"),
        f"--trace={','.join(calls)}",
    )


WORDS = words(Wanted())


def refused(returncode: int, said: str, scope: str) -> HostError:
    """Why strace can't trace here.

    :param said: what it wrote to standard error when it was tried.
    :param scope: /proc/sys/kernel/yama/ptrace_scope; empty where there is none.
    """
    details = [line for line in said.splitlines() if line][-5:] or [f"exit status {returncode}"]
    if re.search(r"ptrace|PTRACE|Operation not permitted", said):
        hint = "a container may refuse it: give it CAP_SYS_PTRACE, or a seccomp profile that allows ptrace"
        if scope.strip() == "3":
            hint = "kernel.yama.ptrace_scope is 3, which holds until the machine starts anew: set it to 1"
        return HostError("processes can't be traced here", hint=hint, details=details)
    return HostError("strace does not work here", hint="strace 5.16 or newer is needed", details=details)
