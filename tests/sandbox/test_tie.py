"""Whoever kills bwbuild with -9 while bubblewrap starts leaves nothing behind.

bubblewrap asks to die with its parent only after it has made its second process, which sleeps until the first
one lets it go. So it is held right there, by the means of a debugger.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
from support import Desk, Rules, discard, give_up, make_desk, make_root, need

T = TypeVar("T")

CONT, DETACH, SET_OPTIONS, EVENT_MESSAGE, SEIZE, INTERRUPT = 7, 17, 0x4200, 0x4201, 0x4206, 0x4207
#: What a tracee stops at: it becomes another program, or makes a process.
EXEC, FORK = 1 << 4, 1 << 1 | 1 << 2 | 1 << 3
EXEC_EVENT, FORK_EVENTS = 4, (1, 2, 3)
WALL = 0x40000000

#: A chamber's own way: what bwbuild itself does with apt and dpkg.
CHAMBER = """\
import sys
from pathlib import Path
from bwbuild.host.facts import read_host
from bwbuild.root.bounds import NO_BOUNDS
from bwbuild.root.chamber import Chamber
from bwbuild.sandbox.identity import choose
place = Path(sys.argv[1])
(place / "work").mkdir(parents=True)
Chamber(choose(read_host(), None), place / "work", place / "root", NO_BOUNDS).run(["sleep", "60"])
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    need("bwrap", "newuidmap", "dpkg-source")
    made = make_desk(tmp_path, Rules(during="sleep 60"))
    yield made
    discard(made.scratch)


def ptrace(request: int, pid: int, data: object = 0) -> None:
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    if call(request, pid, None, data) == -1:
        raise OSError(ctypes.get_errno(), f"ptrace({request:#x}, {pid})")


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def alive(pid: int) -> bool:
    """Whether it runs or sleeps; one that has ended may wait for somebody who asks how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def wait_for(what: Callable[[], T | None], seconds: float = 60) -> T:
    """The first answer of ``what`` that is true; it is asked more often than whole builds are."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.001)
    return found


def wait(pid: int) -> tuple[int, int]:
    """The next stop or end of ``pid``, or of any traced process."""

    def ended() -> tuple[int, int] | None:
        found = os.waitpid(pid, WALL | os.WNOHANG)
        return found if found[0] else None

    return wait_for(ended)


def hold(pid: int, word: str) -> tuple[int, int]:
    """Let ``pid`` go on until the bwrap of the shell with ``word`` has made its second process; both."""
    try:
        ptrace(SEIZE, pid, EXEC | FORK)
    except PermissionError:
        give_up("processes can't be traced here")
    launcher = 0
    while True:
        stopped, status = wait(-1)
        if not os.WIFSTOPPED(status):
            assert stopped not in (pid, launcher), "it ended by itself"
            continue
        event, number = status >> 16, os.WSTOPSIG(status)
        if event == EXEC_EVENT and stopped != launcher and stopped in children(pid):
            if launcher or not (command_of(stopped).startswith("sh\0") and word in command_of(stopped)):
                ptrace(DETACH, stopped)
                continue
            launcher = stopped
            # What it starts now may need rights that a traced process has not.
            ptrace(SET_OPTIONS, launcher, EXEC)
        elif event == EXEC_EVENT and name_of(stopped) == "setpriv":
            ptrace(SET_OPTIONS, stopped, EXEC | FORK)
        elif event in FORK_EVENTS and name_of(stopped) == "bwrap":
            return stopped, second_process(stopped)
        passed_on = 0 if event or number in (signal.SIGSTOP, signal.SIGTRAP) else number
        ptrace(CONT, stopped, passed_on)


def second_process(first: int) -> int:
    """The process that ``first`` has just made, which may go on."""
    message = ctypes.create_string_buffer(8)
    ptrace(EVENT_MESSAGE, first, ctypes.addressof(message))
    second: int = struct.unpack("L", message.raw)[0]
    ptrace(INTERRUPT, second)  # its own first stop may have been seen before
    wait(second)
    ptrace(DETACH, second)
    return second


def kill_at_start(argv: list[str], word: str, desk: Desk) -> None:
    """Kill what ``argv`` starts when its bwrap has just begun; nothing of it may stay."""
    said = desk.top / "said"
    with said.open("wb") as file:
        running = subprocess.Popen(argv, cwd=desk.tree, env=desk.environment, stdout=file, stderr=file)
    found: list[int] = []
    try:
        first, second = hold(running.pid, word)
        found = [*children(running.pid), first, second]
        running.kill()
        running.wait()
        with suppress(ProcessLookupError):
            ptrace(DETACH, first)
        wait_for(lambda: not any(map(alive, found)))
    finally:
        running.kill()
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("identity", ["range", "single"])
def test_command(desk: Desk, identity: str) -> None:
    argv = desk.argv("run", "--view", "host", "--identity", identity, "--", "sleep", "60")
    kill_at_start(argv, str(desk.scratch), desk)


@pytest.mark.parametrize("memory", ["never", "auto"])
def test_build(desk: Desk, memory: str) -> None:
    """With a workspace in memory bwrap is the child of a shell, which sees to what is kept."""
    kill_at_start(desk.argv("-b", "--view", "host", "--workspace-memory", memory), str(desk.scratch), desk)


def test_unpacking(desk: Desk) -> None:
    subprocess.run(["dpkg-source", "--build", desk.tree.name], cwd=desk.parent, check=True)
    kill_at_start(desk.argv("-b", "--view", "host", desk.parent / "tiny_1.dsc"), "/unpack", desk)


def test_chamber(desk: Desk) -> None:
    make_root(desk.top / "chamber" / "root", "sleep")
    kill_at_start([sys.executable, "-c", CHAMBER, str(desk.top / "chamber")], "unshare", desk)
