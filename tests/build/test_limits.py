"""Builds that take too much: each ends at a small limit, says which, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE, Desk, Done, Rules, as_user, make_desk, processes, wait_for

#: Dies of having no more processes.
BOMB = "f() { f | f & f; }; f"
GOES_ON = """
import os, time
while True:
    try:
        os.fork() or time.sleep(60)
    except OSError:
        time.sleep(0.01)
"""
HOG = "python3 -c 'import time; x = bytearray(600 << 20); time.sleep(60)'"


def attempt(top: Path, during: str, *options: str, binary: str = "true") -> tuple[Desk, Done, dict[str, Any]]:
    """Build a tree that does ``during``, and see to it that nothing is left."""
    desk = make_desk(top, Rules(during=during, binary=binary))
    done = desk.run("-b", "--keep", "never", "--report", desk.top / "report", *options)
    assert "/bwbuild/" not in done.err, "a traceback of bwbuild"
    wait_for(lambda: not processes(str(desk.scratch)), 10)
    assert desk.left() == []
    return desk, done, desk.report(desk.top / "report")


def check(done: Done, report: dict[str, Any], name: str) -> dict[str, Any]:
    """It is a matter of the limit ``name``, which the report has."""
    assert done.status == 11, done.both
    assert report["status"] == "limit"
    assert report["limit"]["name"] == name
    setting = "timeout" if name == "time" else f"limit-{name}"
    assert f"--{setting}" in report["failure"]["hint"]
    assert report["failure"]["message"] in done.err
    log = Path(report["log"]).read_text(encoding="utf-8")
    assert f"\nE: {report['failure']['message']}\nI: hint: {report['failure']['hint']}\n" in log
    assert log.index(f"\nE: {report['failure']['message']}\n") < log.index("\n| Summary ")
    limit = report["limit"]
    assert isinstance(limit, dict)
    return limit


@contextmanager
def usable() -> Iterator[None]:
    """Meanwhile this machine starts other processes."""
    over = threading.Event()
    failed: list[Exception] = []

    def look() -> None:
        while not over.wait(0.2) and not failed:
            try:
                subprocess.run(["/bin/true"], check=True, timeout=PATIENCE)
            except (OSError, subprocess.SubprocessError) as error:
                failed.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert failed == []


# Processes and memory


@as_user
def test_fork_bomb(tmp_path: Path) -> None:
    with usable():
        _, done, report = attempt(tmp_path, BOMB, "--limit-processes", "200")
    limit = check(done, report, "processes")
    assert limit["value"] == 200
    assert limit["peak"] < 260
    assert "at the limit of 200 processes" in done.err


@as_user
def test_fork_bomb_that_goes_on(tmp_path: Path) -> None:
    with usable():
        desk = make_desk(tmp_path, Rules(during="python3 bomb"))
        (desk.tree / "bomb").write_text(GOES_ON)
        report = desk.top / "report"
        done = desk.run("-b", "--keep", "never", "--report", report, "--limit-processes", "100")
    limit = check(done, desk.report(report), "processes")
    assert "killed at the limit of 100 processes" in done.err
    assert 100 <= limit["peak"] < 160
    assert desk.left() == []


def test_memory(tmp_path: Path) -> None:
    _, done, report = attempt(tmp_path, HOG, "--limit-memory", "200M")
    limit = check(done, report, "memory")
    assert "killed: memory limit 200 MiB, peak " in done.err
    assert f"in python3 (1 of {os.sysconf('SC_NPROCESSORS_ONLN')} jobs)" in done.err
    assert limit["value"] == 200 << 20
    assert 200 << 20 < limit["peak"] < 800 << 20
    assert report["resources"]["peak_memory"] == limit["peak"]


def test_memory_of_many(tmp_path: Path) -> None:
    """No process of them has too much, and they have left their parents."""
    one = "setsid python3 -c 'import time; x = bytearray(90 << 20); time.sleep(60)' &"
    _, done, report = attempt(tmp_path, f"{one} {one} {one} {one} sleep 60", "--limit-memory", "250M", "-j7")
    check(done, report, "memory")
    assert "in python3 (" in done.err
    assert "of 7 jobs)" in done.err


def test_files_in_memory_count(tmp_path: Path) -> None:
    """Files of a file system in memory are nobody's, and take memory all the same."""
    fill = "head -c 150M /dev/zero > /tmp/x; head -c 150M /dev/zero > /dev/shm/x; sleep 60"
    _, done, report = attempt(
        tmp_path, fill, "--limit-memory", "200M", "--limit-tmp", "1G", "--limit-shm", "1G"
    )
    check(done, report, "memory")
    assert "files in memory" in done.err


NAMELESS = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
kept = []
for _ in range(4):
    if sys.argv[1] == "memfd":
        kept.append(os.memfd_create("x"))
        for _ in range(75):
            os.write(kept[-1], bytes(1 << 20))
    else:
        place = libc.shmat(libc.shmget(0, 75 << 20, 0o1600), None, 0)
        ctypes.memset(ctypes.c_void_p(place), 1, 75 << 20)
        libc.shmdt(ctypes.c_void_p(place))
time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["memfd", "segments"])
def test_memory_without_a_name_counts(tmp_path: Path, kind: str) -> None:
    """No process has it mapped, and no directory shows it."""
    desk = make_desk(tmp_path, Rules(during=f"python3 nameless {kind}"))
    (desk.tree / "nameless").write_text(NAMELESS)
    report = desk.top / "report"
    # Where there is a control group, the kernel may be faster.
    done = desk.run("-b", "--keep", "never", "--report", report, "--limit-memory", "200M", "--no-limit-scope")
    limit = check(done, desk.report(report), "memory")
    assert 200 << 20 < limit["peak"] < 500 << 20
    assert "files in memory" in done.err


@as_user
def test_memory_without_a_name_of_roots_processes_counts(tmp_path: Path) -> None:
    """The caller himself may not look at descriptors of what has another user id than he."""
    desk = make_desk(tmp_path, Rules(binary="python3 nameless memfd", gain_root="binary-targets"))
    (desk.tree / "nameless").write_text(NAMELESS)
    report = desk.top / "report"
    done = desk.run("-b", "--keep", "never", "--report", report, "--limit-memory", "200M", "--no-limit-scope")
    check(done, desk.report(report), "memory")


# Room


@pytest.mark.parametrize(
    ("place", "name"), [("/tmp", "tmp"), ("/var/tmp", "tmp"), ("/dev/shm", "shm")], ids=["tmp", "var", "shm"]
)
def test_file_systems_in_memory(tmp_path: Path, place: str, name: str) -> None:
    during = f"df --output=size -B1 {place}; head -c 50M /dev/zero > {place}/x || {{ sleep 1; false; }}"
    desk, done, report = attempt(tmp_path, during, f"--limit-{name}", "10M")
    check(done, report, name)
    assert f"{place} full: its size is 10 MiB" in done.err
    assert f"\n{10 << 20}\n" in desk.log().replace(" ", "")


def test_disk(tmp_path: Path) -> None:
    options = ("--limit-disk", "100M", "--workspace-memory", "never")
    _, done, report = attempt(tmp_path, "head -c 300M /dev/urandom > big; sleep 600", *options)
    limit = check(done, report, "disk")
    assert limit["peak"] > 100 << 20
    assert "killed: disk limit 100 MiB" in done.err


def test_unlinked_files_take_room_on_the_disk(tmp_path: Path) -> None:
    options = ("--limit-disk", "100M", "--workspace-memory", "never")
    during = "exec 9> big; rm big; head -c 300M /dev/urandom >&9; sleep 60"
    _, done, report = attempt(tmp_path, during, *options)
    assert check(done, report, "disk")["peak"] > 100 << 20


def test_workspace_in_memory_is_no_larger_than_the_disk_limit(tmp_path: Path) -> None:
    options = ("--limit-disk", "50M", "--workspace-memory", "1G")
    _, done, report = attempt(tmp_path, "head -c 80M /dev/zero > big", *options)
    if "needs Linux" in done.err:
        pytest.skip("no overlay on a tmpfs here")
    check(done, report, "disk")


def test_too_little_room_is_said_before_the_build(tmp_path: Path) -> None:
    options = ("--limit-disk-reserve", "1000T", "--workspace-memory", "never")
    desk, done, report = attempt(tmp_path, "true", *options)
    assert done.status == 14
    assert report["limit"] is None
    assert "have to stay free" in done.err
    assert "--scratch DIR" in done.err
    assert "MADE" not in desk.log()


# Time and output


def test_silence(tmp_path: Path) -> None:
    during = "for i in 1 2 3 4 5 6; do echo $i; sleep 1; done; sleep 600"
    desk, done, report = attempt(tmp_path, during, "--limit-silence", "5")
    assert check(done, report, "silence")["value"] == 5.0
    assert "no output for 5.0 s" in done.err
    assert "\n6\n" in desk.log(), "output puts the end off"


def test_time_with_term_ignored(tmp_path: Path) -> None:
    _, done, report = attempt(tmp_path, "trap '' TERM INT HUP; while :; do sleep 1; done", "--timeout", "2")
    assert check(done, report, "time")["value"] == 2.0


def test_endless_output(tmp_path: Path) -> None:
    """The log has beginning and end, the build is none the wiser, and bwbuild stays small."""
    during = "echo FIRST; yes abcdefghijklmnop | head -n 6000000; echo LAST"
    desk = make_desk(tmp_path, Rules(during=during))
    measured = [
        "/usr/bin/python3",
        "-c",
        MEASURE,
        *desk.argv("-b", "--limit-log", "1M", "--report", "../report"),
    ]
    done = subprocess.run(
        measured,
        cwd=desk.tree,
        env=desk.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.rsplit("RSS ", 1)[1]) < 200 << 20
    text = desk.log()
    assert len(text) < (1 << 20) + 20000
    assert "\nFIRST\nabcdefghijklmnop\n" in text
    assert "\nabcdefghijklmnop\nLAST\n" in text
    assert text.count("bytes of output are missing here") == 1
    assert "Summary" in text
    report = desk.report(desk.parent / "report")
    assert report["status"] == "success"
    assert report["limit"]["name"] == "log"
    assert report["limit"]["peak"] > 90 << 20


MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print("RSS", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(status)
"""


def test_files(tmp_path: Path) -> None:
    """It is the build's own failure; what may be the matter is said."""
    script = "import os, resource as r; h = r.getrlimit(r.RLIMIT_NOFILE); print(*h);"
    script += " r.setrlimit(r.RLIMIT_NOFILE, (h[1], h[1])); [os.open('/dev/null', 0) for _ in range(3000)]"
    desk, done, report = attempt(tmp_path, f'python3 -c "{script}"', "--limit-files", "2000")
    assert done.status == 10
    assert "\n2000 2000\n" in desk.log()
    assert report["limit"] is None
    assert "--limit-files" in report["failure"]["hint"]


@pytest.mark.long
def test_files_that_were_seen(tmp_path: Path) -> None:
    """The caller has more of them in his shell too; the process lives long enough to be looked at."""
    script = "import os, time; [os.open('/dev/null', 0) for _ in range(int(os.sysconf('SC_OPEN_MAX')) - 9)]"
    script += "; time.sleep(20); [os.open('/dev/null', 0) for _ in range(9)]"
    _, done, report = attempt(tmp_path, f'python3 -c "{script}"', "--limit-files", "2000")
    limit = check(done, report, "files")
    assert limit["value"] == 2000
    assert 1900 < limit["peak"] <= 2000


def test_words_alone_are_no_limit(tmp_path: Path) -> None:
    """A test suite may print what programs say at their limits."""
    said = ("ok 12 - server says it cannot fork when disabled", "mocked: Too many open files")
    said += ("mocked write: /tmp/x/a: No space left on device (as expected)",)
    _, done, report = attempt(tmp_path, "".join(f"echo '{text}'; " for text in said) + "sleep 1; false")
    assert done.status == 10, done.both
    assert report["limit"] is None
    assert report["failure"]["hint"]


# What the kernel keeps


@as_user
def test_kernel_keeps_them_for_commands_too(desk: Desk) -> None:
    look = "ulimit -n; ulimit -Hn; ulimit -c; ulimit -p; df --output=size -B1 /tmp /dev/shm | tail -n2"
    options = ("--limit-processes", "300", "--limit-files", "900", "--limit-tmp", "8M", "--limit-shm", "4M")
    found = desk.inside(look, *options).split()
    assert found == ["900", "900", "0", "300", str(8 << 20), str(4 << 20)]
    free = desk.inside(look, *(word.replace("300", "never") for word in options)).split()
    assert free[3] != "300"


def test_never(tmp_path: Path) -> None:
    names = ("silence", "memory", "processes", "files", "tmp", "shm", "disk", "disk-reserve", "log")
    options = [word for name in names for word in (f"--limit-{name}", "never")]
    _, done, report = attempt(tmp_path, "true", *options, "--timeout", "never")
    assert done.status == 0, done.both
    assert report["limit"] is None


def test_jobs_follow_memory(tmp_path: Path) -> None:
    """The second build is told to run fewer jobs, when the first took all memory with as many as it could."""
    hog = "echo JOBS $DEB_BUILD_OPTIONS; python3 -c 'import time; x = bytearray(150 << 20); time.sleep(8)'"
    desk = make_desk(tmp_path, Rules(during=hog))
    desk.ok("-b", "--limit-memory", "1G")
    processors = os.sysconf("SC_NPROCESSORS_ONLN")
    assert f"JOBS parallel={processors}\n" in desk.log()
    if processors == 1:
        pytest.skip("one processor")
    second = desk.run("-b", "--limit-memory", "100M", "--keep", "never")
    assert second.status == 11, second.both
    assert f"JOBS parallel={processors}\n" not in desk.log()
    assert "-jNUMBER decides otherwise" in desk.log()
    desk.run("-b", "--limit-memory", "100M", f"-j{processors}", "--keep", "never")
    assert f"JOBS parallel={processors}\n" in desk.log()
