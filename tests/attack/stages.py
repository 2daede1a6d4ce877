"""What is around the tree when an attack begins, and how the host is looked at when it has ended."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from field import SHELTER, Field, Scene, Stage, same_user_files

Judge = Callable[[Field], bool]


def reads(place: str) -> Stage:
    """A secret lies at ``place``; it must not be in what the program writes."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        path = where.at(place)
        path.write_text(f"secret {where.names['KEY']}\n")
        path.chmod(0o600)
        yield Scene(lambda written: where.names["KEY"] in written)

    return stage


def changes(place: str, text: str = "as it was\n") -> Stage:
    """A file lies at ``place``; it must not change."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        path = where.at(place)
        path.write_text(text)
        yield Scene(lambda _: not path.is_file() or path.read_text() != text)

    return stage


def plants(*places: str) -> Stage:
    """Nothing is at ``places`` and nothing must be."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        paths = [where.at(place) for place in places]
        yield Scene(lambda _: any(os.path.lexists(path) for path in paths))

    return stage


def listens(place: str) -> Stage:
    """A program of the host listens on a socket at ``place``; nobody must come."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        path = where.at(place)
        path.parent.chmod(0o700)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(path))
            listener.listen()
            listener.setblocking(False)
            yield Scene(lambda _: came(listener))

    return stage


def came(listener: socket.socket) -> bool:
    """Whether somebody has connected."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def fifo(place: str) -> Stage:
    """A program of the host reads a FIFO at ``place``; nothing must come."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        path = where.at(place)
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        # An end of its own keeps what was written when the writer has gone.
        writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.set_blocking(reader, False)

        def arrived(_: str) -> bool:
            try:
                return os.read(reader, 100) != b""
            except BlockingIOError:
                return False

        try:
            yield Scene(arrived)
        finally:
            os.close(reader)
            os.close(writer)

    return stage


def environment(**variables: str) -> Stage:
    """The caller has variables; @KEY@ in one of them must not be written."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        filled = {name: where.fill(value) for name, value in variables.items()}
        yield Scene(lambda written: where.names["KEY"] in written, environment=filled)

    return stage


def runs_later(command: str, first: str = "", *, sources: dict[str, str] | None = None) -> Stage:
    """What the developer does next in the tree must not run anything of the build's: @TOP@/marker.

    ``first`` is a shell script run in the tree before; ``sources`` are files to be there.
    """

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        for place, text in (sources or {}).items():
            where.at(place).write_text(text)
        _developer(where, first)

        def marked(_: str) -> bool:
            _developer(where, command)
            return (where.top / "marker").exists()

        yield Scene(marked)

    return stage


def _developer(where: Field, script: str) -> None:
    names = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Dev Example")
    mails = dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "dev@example.org")
    subprocess.run(
        ["sh", "-c", where.fill(script)],
        cwd=where.tree,
        env=where.environment | names | mails | {"GIT_CONFIG_NOSYSTEM": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )


def leaves(found: Callable[[Path], bool]) -> Stage:
    """No file for which ``found`` is true must be anywhere below the field when the program has ended."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        yield Scene(lambda _: any(found(path) for path in same_user_files(where.top)))

    return stage


def judged(judge: Judge) -> Stage:
    """Nothing is set up; ``judge`` looks at the field afterwards."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        yield Scene(lambda _: judge(where))

    return stage


def writes(text: str) -> Stage:
    """``text`` in what was written says that it worked."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        yield Scene(lambda written: where.fill(text) in written)

    return stage


def is_setuid(path: Path) -> bool:
    """A program that anybody may start as its owner."""
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) and bool(mode & stat.S_ISUID)


def both(*stages: Stage) -> Stage:
    """Several stages; the last one decides."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        with ExitStack() as stack:
            scenes = [stack.enter_context(one(where)) for one in stages]
            yield scenes[-1]

    return stage


@contextmanager
def alone() -> Iterator[None]:
    """Let no other process of the tests take meanwhile what all of the machine share."""
    path = SHELTER / f"bwbuild-attack.{os.getuid()}"
    turn = _turn(path)
    try:
        yield
    finally:
        # Who waits for this file finds that it has lost its name, and takes the next one.
        path.unlink()
        os.close(turn)


def _turn(path: Path) -> int:
    """A descriptor of the locked file that has the name ``path``."""
    while True:
        turn = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(turn, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(turn), path.stat()):
                return turn
        os.close(turn)
