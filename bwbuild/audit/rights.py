"""Assessments of what processes inside may do: users, namespaces and what they inherit."""

from __future__ import annotations

from bwbuild.audit.facts import Facts
from bwbuild.audit.score import Assessment
from bwbuild.sandbox.syscalls import Group

#: What pretends to be root of the files, and no more: all that fakeroot does.
_FAKEROOT = frozenset(
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETFCAP", "SETPCAP"),
    )
)


def _namespace(name: str, weight: int, why: str, floor: int = 0) -> Assessment:
    return Assessment(
        f"{name} namespace",
        weight,
        {0: "of its own", 1: "the machine's"},
        why,
        lambda facts: int(name in facts.shared),
        frozenset({"shared"}),
        words=f"--unshare-{name}",
        floor=floor,
    )


def _capabilities(facts: Facts) -> int:
    if facts.capabilities - _FAKEROOT or facts.root_side - _FAKEROOT:
        return 10
    if facts.capabilities:
        return 3
    return 1 if facts.root_side else 0


def _terminal(facts: Facts) -> int:
    return int(facts.same_session and Group.TERMINAL in facts.unfiltered)


PROCESSES = (
    Assessment(
        "users",
        2000,
        {
            0: "the caller and ids that are nobody's",
            3: "root alone, who is the caller outside",
            10: "root inside is root of the machine",
        },
        "root of the machine owns what namespaces do not cover",
        lambda facts: (0, 3, 10)[facts.users],
        frozenset({"users"}),
        change="leave out --identity single, and have subordinate ids (bwbuild doctor)",
        words="--unshare-user, started by an ordinary user",
        floor=75,
    ),
    Assessment(
        "capabilities",
        1500,
        {
            0: "none",
            1: "none for the build; the root that works for it has what fakeroot pretends",
            3: "the build has what fakeroot pretends",
            10: "capabilities to mount, trace and the like",
        },
        "with capabilities, more of the kernel can be reached",
        _capabilities,
        frozenset({"capabilities"}),
        change="leave out --build-as root, where it is said",
        words="--cap-drop ALL",
        floor=75,
    ),
    Assessment(
        "setuid programs",
        1000,
        {0: "gain nothing", 1: "gain their owner's rights"},
        "no_new_privs is what keeps sudo and su harmless",
        lambda facts: int(facts.gaining),
        frozenset({"gaining"}),
        words="bwrap itself, not a setuid program around it",
        floor=90,
    ),
    Assessment(
        "nested namespaces",
        1500,
        {0: "can't be made", 1: "can be made"},
        "root of a new user namespace reaches kernel code that was written for root alone",
        lambda facts: int(facts.nesting),
        frozenset({"nesting"}),
        change="leave out --allow userns",
        words="--unshare-user --disable-userns",
    ),
    _namespace("net", 2500, "servers, other machines and the services of this one", floor=70),
    Assessment(
        "network",
        1500,
        {0: "no other machine can be reached", 1: "other machines can be reached"},
        "what is seen inside can be sent away, and the machines of your own network can be attacked",
        lambda facts: int(facts.network),
        frozenset({"network"}),
        change="leave out --allow share=network, or: bwbuild revoke SOURCE share=network",
        words="--unshare-net, and no pasta or slirp4netns for it",
        floor=30,
    ),
    _namespace("pid", 1500, "processes outside can be seen, killed and traced", floor=90),
    _namespace("ipc", 500, "shared memory and message queues of other programs"),
    _namespace("cgroup", 200, "names of the machine's services"),
    _namespace("uts", 100, "the machine's name"),
    Assessment(
        "session keyring",
        1000,
        {0: "of its own", 1: "the caller's"},
        "keys of the session, such as those of Kerberos, can be read, changed and planted",
        lambda facts: int(facts.keyring),
        frozenset({"keyring"}),
        words="keyctl session - bwrap …",
        floor=75,
    ),
    Assessment(
        "descriptors",
        1500,
        {
            0: "the three streams alone",
            3: "what the caller has open gets in, which is nothing now",
            10: "open files of the caller get in",
        },
        "an open directory or socket leads out of every sandbox",
        lambda facts: (0, 3, 10)[facts.descriptors],
        frozenset({"descriptors"}),
        words="close all others before bwrap starts",
        floor=90,
    ),
    Assessment(
        "environment",
        1500,
        {0: "chosen variables", 5: "all but some", 10: "the caller's"},
        "tokens, addresses of agents, and variables that change what programs do",
        lambda facts: (0, 5, 10)[facts.environment],
        frozenset({"environment"}),
        words="--clearenv --setenv NAME VALUE",
        floor=75,
    ),
    Assessment(
        "streams",
        1000,
        {0: "no terminal of the caller's", 2: "a terminal of its own", 10: "the caller's"},
        "what is typed on the caller's terminal can be read, and its settings changed",
        lambda facts: (0, 2, 10)[facts.streams],
        frozenset({"streams"}),
        words="bwrap … < /dev/null 2>&1 | cat",
    ),
    Assessment(
        "typing on the terminal",
        500,
        {0: "can't be done", 1: "TIOCSTI reaches the caller's terminal"},
        "what is typed there is run by the shell that started the sandbox",
        _terminal,
        frozenset({"same_session", "unfiltered"}),
        words="--new-session",
        floor=90,
    ),
    Assessment(
        "end",
        500,
        {0: "awaited", 3: "with its starter, but not awaited", 10: "processes live on"},
        "what still runs can change results after they were looked at",
        lambda facts: (0, 3, 10)[facts.end],
        frozenset({"end"}),
        words="--die-with-parent, and wait for the pid namespace",
    ),
)
