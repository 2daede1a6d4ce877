"""Attacks on the kernel's objects: keys, namespaces, processes, locks, and what watches files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import seccomp
from field import Attack, Field, Scene, Stage
from stages import alone, writes
from support import PATIENCE, PYTHON, processes, wait_for

NO_PROCESSES = "it has a pid namespace of its own"
#: A file of a package that every build sees, and that nothing else locks.
EVERYWHERE = "/usr/bin/env"
#: Beside the file that debconf itself locks, which would stop installations on this machine.
DEBCONF = "/var/cache/debconf/templates.dat-old"


def number(name: str) -> int:
    """The number of a system call here."""
    found: int = seccomp.resolve_syscall(seccomp.Arch(), name)
    return found


#: Makes a session keyring with a key, runs a command, and says what became of the key.
KEYRING = f"""
import ctypes, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall({number("keyctl")}, 1, None) < 0:
    sys.exit("no keyrings here")
key = libc.syscall({number("add_key")}, b"user", b"bwbuild:ticket", b"ticket", 6, -3)
subprocess.run(sys.argv[1:])
text = ctypes.create_string_buffer(100)
size = libc.syscall({number("keyctl")}, 11, key, text, 100)
planted = libc.syscall({number("keyctl")}, 10, -3, b"user", b"bwbuild:planted", 0)
print("HARM" if text.raw[:size] != b"ticket" or planted >= 0 else "as it was")
"""


@contextmanager
def keyring(where: Field) -> Iterator[Scene]:
    """The caller's session has a key, such as a Kerberos ticket."""

    def harmed(written: str) -> bool:
        if "no keyrings here" in written:
            pytest.skip("this kernel has no keyrings")
        return "HARM" in written

    yield Scene(harmed, prefix=(sys.executable, "-c", KEYRING))


@contextmanager
def process(where: Field) -> Iterator[Scene]:
    """A program of the developer runs beside the build."""
    # Longer than any way takes: one that ends by itself was not killed.
    victim_words = ["sleep", str(PATIENCE * 10)]
    with subprocess.Popen(victim_words, env={"TOKEN": where.names["KEY"]}) as victim:
        where.names["PID"] = str(victim.pid)
        niceness = os.getpriority(os.PRIO_PROCESS, victim.pid)

        def harmed(written: str) -> bool:
            state = Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[0]
            slower = os.getpriority(os.PRIO_PROCESS, victim.pid) != niceness
            return where.names["KEY"] in written or state in "TZ" or slower

        def harmed_soon(written: str) -> bool:
            # A signal may take a moment.
            with suppress(AssertionError):
                wait_for(lambda: harmed(written), 0.5)
            return harmed(written)

        try:
            yield Scene(harmed_soon)
        finally:
            victim.kill()


@contextmanager
def daemon(where: Field) -> Iterator[Scene]:
    """Nothing that the build starts may run on."""
    mark = f"DAEMON={where.names['KEY']}"

    def running(_: str) -> bool:
        # Those of the build end a moment after it.
        with suppress(AssertionError):
            wait_for(lambda: not processes(mark), 10)
        found = processes(mark)
        for pid, _words in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(found)

    yield Scene(running)


def watched(program: str, answer: str, *words: str) -> Stage:
    """A Python program of the host looks around as long as the attack is running: until its input ends."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        argv = [sys.executable, "-c", program, *words]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with alone(), subprocess.Popen(argv, text=True, **pipes) as watcher:
            try:
                assert watcher.stdout is not None
                assert watcher.stdout.readline() == "looking\n"
                yield Scene(lambda _: watcher.communicate(timeout=60)[0].strip() == answer)
            finally:
                watcher.kill()

    return stage


#: Tries to take a lock.
WATCH_LOCK = """
import fcntl, select, sys
stream = open(sys.argv[1], "rb")
print("looking", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(stream, fcntl.LOCK_UN)
    except BlockingIOError:
        print("locked")
        break
"""


#: Asks the kernel for what watches files, of which each user may have 128.
WATCH_INOTIFY = """
import ctypes, os, select, sys
libc = ctypes.CDLL(None, use_errno=True)
print("looking", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    made = libc.inotify_init1(0)
    if made < 0:
        print("none left")
        break
    os.close(made)
"""


@contextmanager
def busy_host(where: Field) -> Iterator[Scene]:
    """A program of the host starts the same few programs all the time, which builds must not learn."""
    command = "while :; do /usr/bin/env true; sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", command], start_new_session=True) as host:
        try:
            yield Scene(lambda written: "SEEN env" in written)
        finally:
            os.killpg(host.pid, signal.SIGKILL)


#: Reads inotify's events of /usr/bin until it has seen enough, or for four seconds.
WATCH = """
import ctypes, os, select, time
libc = ctypes.CDLL(None, use_errno=True)
watch = libc.inotify_init1(os.O_NONBLOCK)
libc.inotify_add_watch(watch, b"/usr/bin", 0x20)
end = time.monotonic() + 4
seen = b""
while b"env\\0" not in seen and (left := end - time.monotonic()) > 0:
    if select.select([watch], [], [], left)[0]:
        seen += os.read(watch, 65536)
print("SEEN env" if b"env\\0" in seen else "nothing")
"""


def possible(program: str, text: str) -> Stage:
    """``program`` writes ``text`` where the kernel lets it, which not every machine's does."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        done = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=False)
        if text not in done.stdout:
            pytest.skip("the kernel refuses it here without any sandbox")
        yield Scene(lambda written: text in written)

    return stage


SYSCALL = "import ctypes; libc = ctypes.CDLL(None, use_errno=True); print('RESULT', libc.syscall({}) >= 0)"
IO_URING = SYSCALL.format(f"{number('io_uring_setup')}, 1, ctypes.create_string_buffer(256)")
USERFAULTFD = SYSCALL.format(f"{number('userfaultfd')}, 1")
# The text must not stand in the program, which tracebacks show.
VSOCK = "import socket; socket.socket(40, socket.SOCK_STREAM); print('RESULT', 'made')"

LOCK = """
import fcntl, time
stream = open("{}", "rb")
fcntl.flock(stream, fcntl.LOCK_EX)
time.sleep(1)
"""


@contextmanager
def hardware_addresses(where: Field) -> Iterator[Scene]:
    """Those of the cards that are here."""
    texts = {path.read_text().strip() for path in Path("/sys/class/net").glob("*/address")}
    addresses = texts - {"", "00:00:00:00:00:00"}
    if not addresses:
        pytest.skip("this machine has no network card")
    yield Scene(lambda written: any(address in written for address in addresses))


@contextmanager
def boot(where: Field) -> Iterator[Scene]:
    """It tells this machine from others until it is started anew."""
    number = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    yield Scene(lambda written: number in written)


KERNEL = [
    Attack(
        "session keyring",
        "changes a key in the kernel's session keyring, such as a Kerberos ticket, and plants another",
        keyring,
        python=f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
key = libc.syscall({number("keyctl")}, 10, -3, b"user", b"bwbuild:ticket", 0)
libc.syscall({number("keyctl")}, 2, key, b"CHANGED", 7)
libc.syscall({number("add_key")}, b"user", b"bwbuild:planted", b"inert", 5, -3)
""",
        telling=True,
    ),
    Attack(
        "user namespace",
        "makes a user namespace, in which it is root and reaches much more of the kernel",
        writes("RESULT 0"),
        python="import ctypes; print('RESULT', ctypes.CDLL(None).unshare(0x10000000))",
        telling=True,
    ),
    Attack(
        "mount",
        "mounts in a user namespace of its own",
        writes("RESULT True"),
        python="""
import ctypes
libc = ctypes.CDLL(None)
print("RESULT", libc.unshare(0x10020000) == 0 and libc.mount(b"x", b"/tmp", b"tmpfs", 0, None) == 0)
""",
    ),
    Attack(
        "io_uring",
        "reaches io_uring, which has had many holes",
        possible(IO_URING, "RESULT True"),
        python=IO_URING,
    ),
    Attack(
        "userfaultfd",
        "stops the kernel in the middle of a copy, which makes races easy to win",
        possible(USERFAULTFD, "RESULT True"),
        python=USERFAULTFD,
    ),
    Attack(
        "hypervisor",
        "makes a socket to the hypervisor, which network namespaces do not hold back",
        possible(VSOCK, "RESULT made"),
        python=VSOCK,
    ),
    Attack(
        "process environment",
        "reads the environment of a program of the developer",
        process,
        script="tr '\\0' '\\n' < /proc/@PID@/environ; cat /proc/*/environ",
        why_not=NO_PROCESSES,
    ),
    Attack("kill", "kills a program of the developer", process, script="kill -9 @PID@", why_not=NO_PROCESSES),
    Attack(
        "stop", "stops a program of the developer", process, script="kill -STOP @PID@", why_not=NO_PROCESSES
    ),
    Attack(
        "priority",
        "makes all programs of the developer slow",
        process,
        python="import os; os.setpriority(os.PRIO_PROCESS, @PID@, 19)",
        why_not=NO_PROCESSES,
    ),
    Attack(
        "daemon",
        "leaves a program that runs on",
        daemon,
        script="DAEMON=@KEY@ setsid sleep 77 > /dev/null 2>&1 & sleep 0.2",
        why_not="--die-with-parent ends all with the first process",
    ),
    Attack(
        "lock",
        "locks a file of the system, for which programs of the host then wait",
        watched(WATCH_LOCK, "locked", EVERYWHERE),
        python=LOCK.format(EVERYWHERE),
    ),
    Attack(
        "lock of debconf",
        "locks what debconf has of the machine, so that nothing can be installed meanwhile",
        watched(WATCH_LOCK, "locked", DEBCONF),
        python=LOCK.format(DEBCONF),
        why_not="it does not show /var/cache",
    ),
    Attack(
        "inotify",
        "takes all that the developer's programs have to watch files with",
        watched(WATCH_INOTIFY, "none left"),
        python="""
import ctypes, time
for _ in range(200):
    ctypes.CDLL(None).inotify_init1(0)
time.sleep(0.7)
""",
    ),
    Attack(
        "hardware address",
        "learns the addresses of the network cards, which no other machine has",
        hardware_addresses,
        script="cat /sys/class/net/*/address /sys/devices/*/net/*/address",
        why_not="it shows no /sys",
    ),
    Attack(
        "number of the boot",
        "learns the number that the kernel has drawn at its start",
        boot,
        script="cat /proc/sys/kernel/random/boot_id",
    ),
    Attack(
        "watch",
        "watches which programs the developer starts",
        busy_host,
        python=WATCH,
        telling=True,
    ),
]
