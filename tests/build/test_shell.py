"""``bwbuild shell`` on a real terminal: a pty whose other end is this test."""

from __future__ import annotations

import os
import pty
import re
import select
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import PATIENCE, PYTHON, Desk, Rules, make_desk, processes, wait_for

PROMPT = b"READY> "


@dataclass
class Session:
    """A child on a pty."""

    pid: int
    terminal: int
    seen: bytes = b""

    def read(self, until: bytes, seconds: float = PATIENCE) -> bytes:
        """What it writes, up to and with a pattern; the rest stays for the next call."""
        end = time.monotonic() + seconds
        while not (match := re.search(until, self.seen)):
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            assert ready, (until, self.seen)
            self.seen += self._data()
        found, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return found

    def pending(self, seconds: float = 1) -> bytes:
        """What it wrote up to now and within some seconds; it stays for the next call."""
        while select.select([self.terminal], [], [], seconds)[0]:
            self.seen += self._data()
        return self.seen

    def _data(self) -> bytes:
        try:
            return os.read(self.terminal, 65536)
        except OSError as error:  # how a pty says that its other end is closed
            raise AssertionError(f"it ended: {self.seen!r}") from error

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def command(self, text: str) -> str:
        """Run a command of the shell; what it wrote."""
        self.type(text + "\n")
        self.read(rb"\r\n")  # the echo
        return self.read(PROMPT).removesuffix(PROMPT).decode().replace("\r\n", "\n")

    def end(self) -> int:
        """Wait for the child; its exit status."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            # Looked at before the terminal is read, so that all it wrote is read after its end.
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            while select.select([self.terminal], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.terminal, 65536)
                except OSError:
                    break
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"it does not end: {self.seen!r}")


def in_front(session: Session, name: str) -> bool:
    """Whether a process of that name in the session's sandbox is the one that a key would interrupt."""
    parents, found = {}, []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            before, _, after = path.read_text().rpartition(")")
            _, parent, group, _, _, foreground = after.split()[:6]
            parents[path.parent.name] = parent
            if before.endswith(f"({name}") and group == foreground:
                found.append(path.parent.name)
    ancestors = set(found)
    for _ in range(30):
        ancestors |= {parents[pid] for pid in ancestors if pid in parents}
    return str(session.pid) in ancestors


def start(desk: Desk, *words: str) -> Session:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(desk.tree)
        os.execve(PYTHON, desk.argv(*words), desk.environment | {"TERM": "xterm"})  # noqa: S606
    return Session(pid, terminal)


@pytest.fixture
def session(desk: Desk) -> Iterator[Session]:
    made = start(desk, "shell")
    made.read(rb"[$#] ")
    made.type("PS1='READY''> '; bind 'set enable-bracketed-paste off'; stty -echoctl\n")
    made.read(PROMPT)
    yield made
    if made.pid:
        os.kill(made.pid, 9)
        os.waitpid(made.pid, 0)
    os.close(made.terminal)


def test_sandbox_of_the_shell(session: Session) -> None:
    assert session.command("pwd") == "/build/reproducible-path/tiny-1\n"
    assert session.command("ls /home /root 2>&1 | grep -c .") != "0\n"
    assert session.command("echo $HOME $TERM") == "/nonexistent xterm\n"
    assert session.command("grep -c : /proc/net/dev") == "1\n"
    assert session.command("touch /usr/x") == "touch: cannot touch '/usr/x': Read-only file system\n"


def test_job_control(session: Session) -> None:
    assert re.match(r"\[1\] \d+\n", session.command("sleep 100 &"))
    assert re.match(r"\[1\]\+  Running +sleep 100 &\n", session.command("jobs"))
    session.type("fg\n")
    session.read(rb"sleep 100\r\n")
    wait_for(lambda: in_front(session, "sleep"))
    session.type("\x1a")
    assert b"Stopped" in session.read(PROMPT)
    assert "Stopped" in session.command("jobs")
    session.type("fg\n")
    session.read(rb"sleep 100\r\n")
    wait_for(lambda: in_front(session, "sleep"))
    session.type("\x03")
    session.read(PROMPT)
    assert session.command("echo $?; jobs") == "130\n"
    assert session.command("tty -s && echo terminal") == "terminal\n"


@pytest.mark.parametrize("status", [0, 3, 130])
def test_status_is_that_of_the_shell(session: Session, desk: Desk, status: int) -> None:
    session.type(f"exit {status}\n")
    assert session.end() == status
    assert desk.left() == []
    assert not processes(str(desk.scratch))


def test_terminal_is_as_before(session: Session) -> None:
    """What the shell and its programs did to the terminal's settings is undone by bash at its end."""
    before = termios.tcgetattr(session.terminal)[:4]
    session.command("true")
    session.type("exit\n")
    session.end()
    after = termios.tcgetattr(session.terminal)[:4]
    assert after[3] & termios.ECHO
    assert after[3] & termios.ICANON
    assert after[2] == before[2]


def test_interrupt_at_the_prompt_ends_a_line_not_the_shell(session: Session) -> None:
    session.type("echo unfinished")
    session.type("\x03")
    # The kernel may drop a prompt while it flushes the terminal, and bash what is typed then.
    for _ in range(10):
        time.sleep(0.5)
        session.type("echo ali''ve\n")
        if b"\nalive\r\n" in session.pending():
            break
    else:
        pytest.fail(f"the shell is gone: {session.seen!r}")


def test_hang_up(session: Session, desk: Desk) -> None:
    """The window is closed: nothing runs on."""
    session.command("setsid sleep 100 &")
    os.kill(session.pid, 1)
    session.end()
    wait_for(lambda: not processes(str(desk.scratch)), 10)
    assert desk.left() == []


def test_terminal_is_not_the_callers(session: Session) -> None:
    """What the sandbox pushes into the input of its own terminal stays there."""
    inside = session.command("stat -L -c 'device %t:%T' /proc/self/fd/0")
    number = Path(f"/proc/{session.pid}/fd/0").stat().st_rdev
    assert "device " in inside
    assert f"device {os.major(number):x}:{os.minor(number):x}" not in inside


def test_shell_of_a_kept_workspace(tmp_path) -> None:  # type: ignore[no-untyped-def]
    desk = make_desk(tmp_path, Rules(during="echo x > trace; false"))
    assert desk.run("-b").status == 10
    session = start(desk, "shell", "-nc")
    session.read(rb"[$#] ")
    session.type("cat trace; exit 5\n")
    assert session.end() == 5
    assert re.search(rb"[\n\r]x\r", session.seen)
    os.close(session.terminal)
    assert len(desk.left()) == 1


def test_shell_on_failure(tmp_path) -> None:  # type: ignore[no-untyped-def]
    desk = make_desk(tmp_path, Rules(during="echo x > trace; false"))
    session = start(desk, "-b", "--shell-on-failure", "--keep", "never")
    session.read(rb"[$#] $", 40)
    session.type("cat trace; exit\n")
    assert session.end() == 10
    assert re.search(rb"[\n\r]x\r", session.seen)
    os.close(session.terminal)
    assert desk.left() == []
