"""Attacks through the terminal, open files and what is written."""

from __future__ import annotations

import os
import pty
import select
import socket
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from field import Attack, Field, Scene, Stage

TYPED = b"typed ahead\n"


def on_terminal(judge: Callable[[int, bytes], bool], typed: bytes = b"") -> Stage:
    """The command has a terminal; ``judge`` gets the terminal's own side and what it was sent."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        ours, theirs = pty.openpty()
        # What is typed must not come back as if the program had written it.
        mode = termios.tcgetattr(theirs)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, mode)
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
        if typed:
            os.write(ours, typed)
        options = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        done = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            # Nobody could write much to a terminal that shows nothing.
            reading = pool.submit(_received, ours, done)

            def shown() -> str:
                done.set()
                return reading.result().decode("utf-8", "surrogateescape")

            def decide(_: str) -> bool:
                done.set()
                return judge(theirs, reading.result())

            try:
                yield Scene(decide, options=_session(options), wrote=lambda _: shown())
            finally:
                done.set()
        os.close(ours)
        os.close(theirs)

    return stage


def _session(options: dict[str, Any]) -> dict[str, Any]:
    """The terminal becomes that of a session of its own, as in a terminal's window."""
    terminal = options["stdin"]
    return {**options, "start_new_session": True, "preexec_fn": lambda: ioctl(terminal, termios.TIOCSCTTY, 0)}


def _received(ours: int, done: threading.Event) -> bytes:
    """What was written to the terminal until all is done and nothing more comes."""
    data = b""
    while True:
        ended = done.is_set()
        if select.select([ours], [], [], 0.1)[0]:
            data += os.read(ours, 65536)
        elif ended:
            return data


def mode_changed(terminal: int, _: bytes) -> bool:
    """Signs of a terminal on which nobody can work any more."""
    return not termios.tcgetattr(terminal)[3] & termios.ICANON


def size_changed(terminal: int, _: bytes) -> bool:
    """The size is not that of the window."""
    return ioctl(terminal, termios.TIOCGWINSZ, bytes(8)) != struct.pack("4H", 40, 120, 0, 0)


def typed_is_gone(terminal: int, _: bytes) -> bool:
    """What the developer typed for the next program was read by another."""
    return not select.select([terminal], [], [], 0)[0]


def typed_something(terminal: int, _: bytes) -> bool:
    """Something waits to be read that nobody typed."""
    return bool(select.select([terminal], [], [], 0)[0])


@contextmanager
def injection(where: Field) -> Iterator[Scene]:
    """A terminal of a machine that lets programs type on it."""
    switch = Path("/proc/sys/dev/tty/legacy_tiocsti")
    if switch.exists() and switch.read_text().strip() == "0":
        pytest.skip("the kernel lets nobody type on terminals (dev.tty.legacy_tiocsti)")
    with on_terminal(typed_something)(where) as scene:
        yield scene


@contextmanager
def readable_input(where: Field) -> Iterator[Scene]:
    """The command's input is a file that it was given for reading."""
    path = where.at("@TOP@/input")
    path.write_text("as it was\n")
    with path.open("rb") as stream:
        yield Scene(lambda _: path.read_text() != "as it was\n", options={"stdin": stream})


@contextmanager
def appended_log(where: Field) -> Iterator[Scene]:
    """The command's output is added to a log that has something already."""
    path = where.at("@TOP@/all.log")
    path.write_text("earlier line\n")
    with path.open("ab") as stream:
        options = {"stdout": stream, "stderr": stream}
        yield Scene(
            lambda _: "earlier line" not in path.read_text(),
            options=options,
            wrote=lambda _: path.read_text("utf-8", "surrogateescape"),
        )


@contextmanager
def open_directory(where: Field) -> Iterator[Scene]:
    """The caller has a descriptor of its home directory."""
    secret = where.at("@HOME@/.ssh/id_ed25519")
    secret.write_text(where.names["KEY"])
    descriptor = os.open(where.home, os.O_RDONLY | os.O_DIRECTORY)
    where.names["FD"] = str(descriptor)
    try:
        yield Scene(lambda written: where.names["KEY"] in written, options={"pass_fds": (descriptor,)})
    finally:
        os.close(descriptor)


@contextmanager
def open_socket(where: Field) -> Iterator[Scene]:
    """The caller has a connection to a program that trusts it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        where.names["FD"] = str(theirs.fileno())
        ours.setblocking(False)

        def arrived(_: str) -> bool:
            with suppress(BlockingIOError):
                return bool(ours.recv(100))
            return False

        yield Scene(arrived, options={"pass_fds": (theirs.fileno(),)})


TERMINAL = [
    Attack(
        "typed text",
        "reads what the developer types meanwhile, such as a password",
        on_terminal(typed_is_gone, TYPED),
        script="for tty in /dev/stdin /dev/tty /dev/console; do timeout --foreground 9 head -n1 < $tty; done",
        telling=True,
    ),
    Attack(
        "terminal mode",
        "leaves the terminal without echo and signals",
        on_terminal(mode_changed),
        script="stty -icanon -isig -echo; stty -icanon -isig -echo < /dev/tty",
    ),
    Attack(
        "terminal size",
        "tells the terminal another size",
        on_terminal(size_changed),
        script="stty rows 3 cols 7; stty rows 3 cols 7 < /dev/tty",
    ),
    Attack(
        "typing",
        "types on the terminal, for the shell to run it afterwards",
        injection,
        python="""
import fcntl, os, termios
for name in ("/dev/stdin", "/dev/stdout", "/dev/tty"):
    for request in (termios.TIOCSTI, termios.TIOCSTI | 1 << 32):
        try:
            for letter in b"inert\\n":
                fcntl.ioctl(os.open(name, os.O_RDWR), request & 0xFFFFFFFF, bytes([letter]))
        except OSError:
            pass
""",
        why_not="--new-session takes the terminal away",
    ),
    Attack(
        "escape sequence",
        "sends sequences that set the terminal's clipboard and title",
        on_terminal(lambda _, seen: b"\033]52;c;aW5lcnQ=" in seen or b"\033[21t" in seen),
        script="printf '\\033]52;c;aW5lcnQ=\\007\\033[21t'; sleep 0.3",
        target="during",
        telling=True,
    ),
    Attack(
        "words of the builder",
        "writes what the builder writes after a signature",
        on_terminal(lambda _, seen: b"\nbwbuild: signed with" in seen),
        script="printf '\\nbwbuild: signed with 0123456789ABCDEF\\n\\rbwbuild: signed with ABCDEF\\n'",
        target="during",
    ),
]

DESCRIPTORS = [
    Attack(
        "input",
        "opens its input once more, for writing",
        readable_input,
        script="echo changed > /proc/self/fd/0",
        telling=True,
    ),
    Attack(
        "log",
        "removes from the log what was written before",
        appended_log,
        script=": > /proc/$$/fd/1; echo all is well",
        telling=True,
    ),
    Attack(
        "log of a build",
        "the same from a build's debian/rules",
        appended_log,
        script=": > /proc/$$/fd/1; echo all is well",
        target="during",
    ),
    Attack(
        "open directory",
        "reads a key through a descriptor of the home directory that the caller left open",
        open_directory,
        script="cat /proc/self/fd/@FD@/.ssh/id_ed25519",
        telling=True,
    ),
    Attack(
        "open socket",
        "writes to a connection that the caller left open",
        open_socket,
        python="import os; os.write(@FD@, b'inert')",
    ),
]
