from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from support import wait_for

from bwbuild.errors import BwbuildError, HostError, InterruptedBuild
from bwbuild.interrupt import interruptions
from bwbuild.process import PACKAGE_OF, follow, missing_program, pasteable, run, start, tied


def test_output_apart() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2"])
    assert (done.returncode, done.stdout, done.stderr, done.text) == (0, b"out\n", b"err\n", "out")


def test_input_is_empty_or_as_given() -> None:
    assert run(["cat"]).stdout == b""
    assert run(["cat"], stdin=b"a\0b").stdout == b"a\0b"


def test_no_shell_reads_the_words() -> None:
    words = ["$(id)", "a b", "*", "'", "\n"]
    assert run(["printf", "%s|", *words]).text == "$(id)|a b|*|'|\n|"


def test_failure_has_the_end_of_the_output_and_the_command() -> None:
    with pytest.raises(BwbuildError, match=r"sh failed \(exit status 3\)") as caught:
        run(["sh", "-c", "seq 100 >&2; exit 3"])
    assert caught.value.details[0] == "81"
    assert caught.value.details[-1] == "command: sh -c 'seq 100 >&2; exit 3'"


def test_failure_by_signal() -> None:
    with pytest.raises(BwbuildError, match=r"\(signal 9\)"):
        run(["sh", "-c", "kill -9 $$"])


def test_failure_that_is_no_error() -> None:
    assert run(["false"], check=False).returncode == 1


@pytest.mark.parametrize("name", ["bwrap-that-is-not-there", "/nowhere/bwrap"])
def test_program_that_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(HostError, match="is not installed"):
        run([name])
    with pytest.raises(HostError, match="is not installed"):
        start([name], env={}, output=(1, 2))


def test_hint_names_the_package() -> None:
    assert missing_program("/usr/bin/newuidmap").hint == "sudo apt install uidmap"
    assert "PATH" in missing_program("frobnicate").hint
    assert PACKAGE_OF["bwrap"] == "bubblewrap"


def test_directory_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"the directory .* does not exist"):
        run(["true"], cwd=tmp_path / "missing")


def test_timeout() -> None:
    with pytest.raises(HostError, match=r"sleep did not end within 0.1 s"):
        run(["sleep", "60"], timeout=0.1)


def test_environment_is_as_given() -> None:
    assert run(["/usr/bin/env"], env={"A": "1"}).stdout == b"A=1\n"


def test_pasteable() -> None:
    assert pasteable(["a b", Path("/x'y")]) == "'a b' '/x'\"'\"'y'"


def test_started_program_has_a_group_and_only_the_named_descriptors(tmp_path: Path) -> None:
    extra, more = os.open(tmp_path, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    for number in (extra, more):
        os.set_inheritable(number, True)
    read, write = os.pipe()
    script = "ps -o pgid= -p $$; echo $$; ls /proc/self/fd; readlink /proc/self/fd/0"
    child = start(["sh", "-c", script], env=dict(os.environ), output=(write, write), pass_fds=[more])
    os.close(write)
    with os.fdopen(read) as stream:
        words = stream.read().split()
    assert child.wait() == 0
    os.close(extra)
    os.close(more)
    assert words[0] == words[1] == str(child.pid)
    # the last is that of the directory which ls reads
    assert len(words[2:-1]) == 5
    assert str(more) in words
    assert str(extra) not in words[2:-1] or extra == 3
    assert words[-1] == "/dev/null"


def test_ignored_signals_are_restored() -> None:
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    label, mask = run(["sh", "-c", "grep SigIgn /proc/self/status"]).text.split()
    assert label == "SigIgn:"
    # What the caller ignores, as under nohup or make, stays so; what Python does is no matter of programs.
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(label))
    pythons = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    assert int(mask, 16) == int(own.split()[1], 16) & ~pythons


# Line by line


def test_lines_come_as_they_are_written(tmp_path: Path) -> None:
    """The program goes on only when its first line was seen."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    seen = []

    def line(text: str) -> None:
        seen.append(text)
        if text == "first":
            fifo.write_text("go on\n")

    done = follow(
        ["sh", "-c", "echo first; read -r word < fifo; echo second $word >&2; exit 3"], line, cwd=tmp_path
    )
    assert seen == ["first", "second go on"]
    assert (done.returncode, done.stdout, done.stderr) == (3, b"first\nsecond go on\n", b"")


def test_input_of_a_followed_program_is_empty() -> None:
    assert follow(["cat"], lambda _: None, env={"PATH": os.environ["PATH"]}).text == ""


def test_followed_program_dies_with_who_listens(tmp_path: Path) -> None:
    def line(text: str) -> None:
        raise KeyboardInterrupt(text)

    with pytest.raises(KeyboardInterrupt) as caught:
        follow(["sh", "-c", "echo $$; exec sleep 60"], line)
    with pytest.raises(ProcessLookupError):
        os.kill(int(str(caught.value)), 0)


def test_followed_program_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(HostError, match="no-such-program is not installed"):
        follow(["no-such-program"], lambda _: None)


def test_what_takes_too_long_is_ended_with_all_that_it_started() -> None:
    """The helper of unshare would wait for ever for one that is killed alone."""
    with pytest.raises(HostError, match="did not end within"):
        run(["sh", "-c", "sleep 77.125 & wait"], timeout=0.5)
    # Of what is killed nobody waits for all here.
    wait_for(lambda: run(["pgrep", "-f", "sleep 77.12[5]"], check=False).text == "")


@pytest.fixture
def _adopting() -> Iterator[None]:
    """Whoever waits for orphans adopts them; other tests are not to have them."""
    yield
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)


@pytest.mark.usefixtures("_adopting")
def test_signal_leaves_nothing_of_the_group(tmp_path: Path) -> None:
    """Those are waited for too that outlive their parents."""
    file = tmp_path / "pid"
    fork = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpgid(0))); os.fork(); os.fork()"

    def build() -> None:
        with interruptions():
            follow(["/usr/bin/python3", "-c", f"{fork}; print('ready', flush=True); time.sleep(60)"], end)

    def end(_line: str) -> None:
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedBuild):
        build()
    with pytest.raises(ProcessLookupError):
        os.killpg(int(file.read_text()), 0)


@pytest.mark.usefixtures("_adopting")
@pytest.mark.parametrize(
    "begin",
    [lambda: run(["sleep", "60"]), lambda: follow(["sleep", "60"], print), lambda: tied().__enter__()],
    ids=["run", "follow", "tied"],
)
def test_signal_while_a_program_starts_leaves_none(begin: Callable[[], object]) -> None:
    """The moment is that when the program is there and nobody has been told its number."""
    children = []

    def look(frame: FrameType, event: str, _value: object) -> Callable[..., object] | None:
        if frame.f_code.co_name != "_execute_child":
            return look if event == "call" else None
        if event == "return":
            children.append(frame.f_locals["self"].pid)
            signal.raise_signal(signal.SIGTERM)
        return look

    def build() -> None:
        with interruptions():
            sys.settrace(look)
            try:
                begin()
            finally:
                sys.settrace(None)

    with pytest.raises(InterruptedBuild):
        build()
    (child,) = children
    assert not Path(f"/proc/{child}").exists()


#: Leaves the context of a tie early while a program has it, and says what is left of both.
EARLY = """\
import os, subprocess
from bwbuild import orphans, process
orphans.adopt()
for _ in range(10):
    try:
        with process.tied() as tie:
            child = subprocess.Popen(["sleep", "60"], pass_fds=[tie])
            raise KeyError
    except KeyError:
        assert child.wait() == -9
    try:
        print("left", os.waitpid(-1, os.WNOHANG))
    except ChildProcessError:
        print("nothing")
"""


def test_a_tie_that_ends_early_kills_who_has_it_and_leaves_nothing() -> None:
    done = run([sys.executable, "-c", EARLY], env={"PYTHONPATH": str(Path(__file__).parents[2])})
    assert done.text.splitlines() == ["nothing"] * 10
