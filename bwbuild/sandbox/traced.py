"""Tracing a sandbox: the words that start strace around bwrap, so that nothing of it is seen inside.

strace comes from this machine, whatever the sandbox shows, and follows all processes into the sandbox: the
build's and those of root beside it. Nothing is visible inside but that somebody traces; what traces itself,
a debugger above all, can't do so meanwhile, since a process has one tracer only.
"""

from __future__ import annotations

import re

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

#: Whether a file is there and what it is. As many calls again as all others, so only who needs it asks.
_LOOKS = ("?stat", "?lstat", "?newfstatat", "?statx", "?readlink", "readlinkat")

#: With --seccomp-bpf only these calls stop a process. A filtered status makes strace write whole lines only,
#: where otherwise the end of a call may stand apart; -y names the directory of a relative path and the file
#: behind all links, -Y the process.
WORDS = (
    *("strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--signal=none"),
    *("--string-limit=128", "--decode-fds=path", "--decode-pids=comm", "--status=!detached"),
    f"--trace={','.join(_CALLS)}",
)
#: The same, and each look at a file.
WORDS_WITH_LOOKS = (*WORDS[:-1], f"--trace={','.join((*_CALLS, *_LOOKS))}")


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
