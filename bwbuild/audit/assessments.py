"""What is judged, with which weight: data.

Weights are in the proportions of ``systemd-analyze security``: the network 2500, most things 1000, details
100 to 500.
"""

from __future__ import annotations

from bwbuild.audit.reach import FILES, OUT
from bwbuild.audit.rights import PROCESSES
from bwbuild.audit.score import Assessment
from bwbuild.sandbox.syscalls import Group

_SECCOMP = "leave out --no-seccomp (seccomp = true)"
_FILTER = "--add-seccomp-fd FD, with a filter for it"


def _calls(name: str, group: Group, weight: int, why: str, change: str = _SECCOMP) -> Assessment:
    return Assessment(
        name,
        weight,
        {0: "held back", 1: "not held back"},
        why,
        lambda facts: int(group in facts.unfiltered),
        frozenset({f"calls: {group.value}"}),
        change=change,
        words=_FILTER,
    )


def _limit(
    name: str, weight: int, why: str, change: str, words: str = "watch it, and end bwrap"
) -> Assessment:
    return Assessment(
        f"limit of {name}",
        weight,
        {0: "there is one", 1: "there is none"},
        why,
        lambda facts: int(name in facts.unlimited),
        frozenset({"unlimited"}),
        change=change,
        words=words,
    )


_ARGUMENTS = Assessment(
    "arguments",
    500,
    {0: "all known", 1: "some are not known, so everything counts as the worst"},
    "what an argument does that is not known can't be judged",
    lambda facts: int(bool(facts.unknown)),
    frozenset({"unknown"}),
    words="only options that bubblewrap documents, and none that reads others from a descriptor",
    floor=100,
)

_ABI = Assessment(
    "other ABIs",
    1000,
    {0: "don't run", 10: "run"},
    "the kernel's second set of system calls is attacked more than used, and hides sockets from filters",
    lambda facts: 10 if facts.foreign else 0,
    frozenset({"foreign"}),
    change="leave out --foreign-abi and --no-seccomp",
    words=_FILTER,
)

_FILTERS = (
    _calls(
        "families of sockets",
        Group.SOCKETS,
        1250,
        "a network namespace does not cover VSOCK, and rare families are holes time and again",
    ),
    _calls(
        "calls to mount",
        Group.MOUNTS,
        1000,
        "with a namespace of its own, the build could mount",
        "leave out --no-seccomp and --allow userns",
    ),
    _calls(
        "calls for namespaces",
        Group.NAMESPACES,
        500,
        "a second lock beside the kernel's limit",
        "leave out --no-seccomp and --allow userns",
    ),
    _calls("calls for keyrings", Group.KEYRING, 500, "keys of the caller can be found by their numbers"),
    _calls("attacked calls", Group.SURFACE, 1000, "bpf, io_uring, perf, userfaultfd have a history of holes"),
    _calls("calls for the machine", Group.HOST, 250, "modules, clock, swap and the kernel's log"),
    _calls("personality", Group.PERSONALITY, 250, "it undoes protections of memory"),
    _ABI,
)

_MEMORY = Assessment(
    "limit of memory",
    500,
    {0: "a control group keeps it", 4: "it is looked at now and then", 10: "there is none"},
    "the machine swaps, or kills other programs",
    lambda facts: 10 if "memory" in facts.unlimited else 4 if facts.sampled else 0,
    frozenset({"unlimited", "sampled"}),
    change="--limit-memory SIZE, and systemd of your session (--limit-scope)",
    words="systemd-run --user --scope -p MemoryMax=BYTES bwrap …",
)

_LIMITS = (
    _limit(
        "time", 500, "a build that never ends holds the machine", "--timeout TIME", "timeout TIME bwrap …"
    ),
    _limit("silence", 100, "a build that hangs holds the machine for long", "--limit-silence TIME"),
    _MEMORY,
    _limit(
        "processes",
        500,
        "a fork bomb leaves no process for others",
        "--limit-processes NUMBER",
        "prlimit --nproc=NUMBER inside",
    ),
    _limit(
        "open files",
        100,
        "the kernel's memory for open files is everybody's",
        "--limit-files NUMBER",
        "prlimit --nofile=NUMBER bwrap …",
    ),
    _limit("disk", 400, "a full disk stops other programs", "--limit-disk SIZE, without --in-place"),
    _limit("free disk", 100, "a disk that is nearly full gets full", "--limit-disk-reserve SIZE"),
    _limit("/tmp", 100, "what lies there is in memory", "--limit-tmp SIZE", "--size BYTES --tmpfs /tmp"),
    _limit(
        "/dev/shm", 100, "what lies there is in memory", "--limit-shm SIZE", "--size BYTES --tmpfs /dev/shm"
    ),
    _limit("log", 200, "a build that chatters fills the disk", "--limit-log SIZE", "bwrap … | head -c BYTES"),
)

ASSESSMENTS: tuple[Assessment, ...] = (_ARGUMENTS, *FILES, *PROCESSES, *_FILTERS, *OUT, *_LIMITS)
