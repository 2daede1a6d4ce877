"""The one gate for other programs: no other module imports ``subprocess``."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bwbuild import orphans, tether
from bwbuild.errors import BwbuildError, HostError
from bwbuild.interrupt import undisturbed

Argv = Sequence[str | os.PathLike[str]]
#: Seconds that what was killed may take to be gone, and to save a layer before.
GRACE = 60.0


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended: its exit status (negative: the signal) and what it wrote, stderr apart."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output, decoded and without the trailing newline."""
        return self.stdout.decode("utf-8", "replace").rstrip("\n")


def pasteable(argv: Argv) -> str:
    """``argv`` as one line for a shell."""
    return shlex.join([os.fspath(word) for word in argv])


def missing_program(name: str) -> HostError:
    """The error for a program that is not installed, with the package that has it."""
    package = PACKAGE_OF.get(Path(name).name)
    hint = f"sudo apt install {package}" if package else "install it, or put it on PATH"
    return HostError(f"the program {Path(name).name} is not installed", hint=hint)


#: Which Debian package brings a program that is not Essential.
PACKAGE_OF = {
    "bwrap": "bubblewrap",
    "newuidmap": "uidmap",
    "pasta": "passt",
    "newgidmap": "uidmap",
    "debsign": "devscripts",
    "dpkg-buildpackage": "dpkg-dev",
    "dpkg-deb": "dpkg",
    "fakeroot": "fakeroot",
    "gpg": "gpg",
    "gpgv": "gpgv",
    "mmdebstrap": "mmdebstrap",
    "script": "bsdutils",
    "strace": "strace",
    "unshare": "util-linux",
    "xdg-dbus-proxy": "xdg-dbus-proxy",
    "xpra": "xpra",
    "Xephyr": "xserver-xephyr",
    "Xvfb": "xvfb",
}


def run(
    argv: Argv,
    *,
    check: bool = True,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    inherit_terminal: bool = False,
    timeout: float | None = None,
    pass_fds: Sequence[int] = (),
    tie: bool = False,
) -> Completed:
    """Run a program of the host to its end and return what it wrote.

    Standard input is empty unless ``stdin`` holds bytes; with ``inherit_terminal`` the program has the
    caller's three streams instead (for a pinentry). ``timeout`` is in seconds. ``pass_fds`` are descriptors
    that it inherits under their numbers. ``tie`` is for what starts a sandbox, see :func:`tied`.

    :raises HostError: the program is not installed.
    :raises BwbuildError: it exited with another status than 0 (unless ``check`` is false) or took too long.
    """
    words = tuple(os.fspath(word) for word in argv)
    stream = None if inherit_terminal else subprocess.PIPE
    try:
        with (
            _tied(env, tie=tie) as (inherited, environment),
            _running(
                words,
                cwd,
                # A terminal's Ctrl-C is for bwbuild alone: what it started to clean up has to end.
                group=not inherit_terminal,
                env=environment,
                stdin=stream,
                stdout=stream,
                stderr=stream,
                pass_fds=(*pass_fds, *inherited),
            ) as child,
        ):
            output, error = child.communicate(None if inherit_terminal else (stdin or b""), timeout)
    except subprocess.TimeoutExpired as late:
        raise HostError(f"{words[0]} did not end within {timeout} s", details=[pasteable(words)]) from late
    completed = Completed(words, child.returncode, output or b"", error or b"")
    if check and child.returncode != 0:
        raise failure(completed)
    return completed


def follow(
    argv: Argv,
    line: Callable[[str], None],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    tie: bool = False,
) -> Completed:
    """Run a program to its end, whatever its exit status, and hand on each line that it writes as it comes.

    Its input is empty; ``stdout`` of the result has both streams; ``tie`` is as with :func:`run`.

    :raises HostError: the program is not installed.
    """
    words = tuple(os.fspath(word) for word in argv)
    written = []
    with (
        _tied(env, tie=tie) as (inherited, environment),
        _running(
            words,
            cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=inherited,
        ) as child,
    ):
        assert child.stdout is not None  # noqa: S101 - for the type checker
        for data in child.stdout:
            written.append(data)
            line(data.decode("utf-8", "replace").rstrip())
    return Completed(words, child.returncode, b"".join(written), b"")


@contextmanager
def _running(
    words: tuple[str, ...], cwd: Path | None, *, group: bool = True, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A program until the end of the context, with a ``group`` of its own or not; ``options`` are Popen's.

    A signal that comes while it starts would leave a process that nobody knows, so it has to wait.

    :raises HostError: the program can't be started.
    """
    with ExitStack() as stack:
        with undisturbed(), _starting(words[0], cwd):
            child = subprocess.Popen(words, cwd=cwd, process_group=0 if group else None, **options)
            stack.enter_context(_ended(child, group=group))
        yield child


@contextmanager
def _ended(child: subprocess.Popen[bytes], *, group: bool = True) -> Iterator[None]:
    """Wait for ``child``; whatever ends the context early, such as a signal, kills it and its ``group``.

    The helper that unshare starts for --map-auto would wait for ever for one that is killed alone.
    """
    with child:
        try:
            yield
        except BaseException:
            if group:
                orphans.adopt()  # to wait for those whose parents are killed before them
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
            child.kill()
            child.wait()
            if group:
                orphans.await_group(child.pid, GRACE)
            raise


def failure(completed: Completed) -> BwbuildError:
    """The error for a program that failed, with its command line to paste and the end of what it wrote."""
    lines = (completed.stderr or completed.stdout).decode("utf-8", "replace").splitlines()[-20:]
    how = (
        f"exit status {completed.returncode}"
        if completed.returncode >= 0
        else f"signal {-completed.returncode}"
    )
    return BwbuildError(
        f"{Path(completed.argv[0]).name} failed ({how})",
        details=[*lines, "command: " + pasteable(completed.argv)],
    )


#: A program that runs beside this process, and what its ``wait`` raises when it takes too long.
Process = subprocess.Popen
TimeoutExpired = subprocess.TimeoutExpired


def start(
    argv: Argv,
    *,
    env: Mapping[str, str],
    output: tuple[int, int],
    pass_fds: Sequence[int] = (),
    interactive: bool = False,
    cwd: Path | None = None,
    stdin: int | None = None,
) -> Process[bytes]:
    """Start a program that the caller supervises.

    Its output streams go to the two descriptors ``output``, its input comes from the descriptor ``stdin`` or
    is empty, and it has a process group of its own, so that a terminal's Ctrl-C reaches only bwbuild, which
    then ends it in order. An ``interactive`` one has the caller's streams and process group instead. It must
    be started from a thread that outlives it: the kernel's signal for a dead parent follows the thread.

    :raises HostError: the program is not installed.
    """
    words = [os.fspath(word) for word in argv]
    with _starting(words[0], cwd):
        return subprocess.Popen(
            words,
            cwd=cwd,
            env=env,
            stdin=None if interactive else subprocess.DEVNULL if stdin is None else stdin,
            stdout=None if interactive else output[0],
            stderr=None if interactive else output[1],
            pass_fds=tuple(pass_fds),
            process_group=None if interactive else 0,
        )


@contextmanager
def tied() -> Iterator[int]:
    """A descriptor, of 20 or above: what inherits it is killed when this process is, in whatever moment.

    A launcher finds it by ``tether.VARIABLE``.
    """
    told, tell = os.pipe()
    end, other_end = os.pipe()
    # The launchers' shells have uses of their own for low numbers.
    rope = fcntl.fcntl(other_end, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(other_end)
    with ExitStack() as stack:
        with undisturbed(), ExitStack() as opened, _starting("sh"):
            for descriptor in (told, end):
                opened.callback(os.close, descriptor)
            waiting = subprocess.Popen(
                ["sh", "-c", tether.SCRIPT],
                cwd="/",
                env={"PATH": "/usr/bin:/bin"},
                stdin=told,
                stdout=end,
                stderr=subprocess.DEVNULL,
                # Not for it is what a terminal sends to all that it has.
                start_new_session=True,
            )
            stack.push(partial(_untied, waiting, tell, rope))
        yield rope


def _untied(
    waiting: subprocess.Popen[bytes],
    tell: int,
    rope: int,
    kind: type[BaseException] | None,
    *_error: object,
) -> None:
    if kind is None:
        with suppress(BrokenPipeError):  # somebody has killed it
            os.write(tell, b"\n")
    # Told nothing, it kills what still has the tie, this process too, and ends when nothing does.
    os.close(rope)
    os.close(tell)
    waiting.wait()


@contextmanager
def _tied(
    env: Mapping[str, str] | None, *, tie: bool
) -> Iterator[tuple[tuple[int, ...], Mapping[str, str] | None]]:
    """What a program inherits that starts a sandbox, and its environment."""
    if not tie:
        yield (), env
        return
    with tied() as rope:
        yield (rope,), {**(os.environ if env is None else env), tether.VARIABLE: str(rope)}


@contextmanager
def _starting(name: str, directory: Path | None = None) -> Iterator[None]:
    """Name what the program ``name`` lacks, which is started in ``directory`` (None: in the caller's)."""
    try:
        yield
    except FileNotFoundError as error:
        if directory is not None and not directory.is_dir():
            raise HostError(f"the directory {directory} does not exist") from error
        raise missing_program(name) from error
    except PermissionError as error:
        raise HostError(f"{name} can't be run: {error.strerror}") from error
