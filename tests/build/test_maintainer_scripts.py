"""What maintainer scripts may do and take while a package is installed: they are strangers' too, and root."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import seccomp
from made_debs import make_deb
from made_suites import LONG, OWN, Bases, command
from support import Desk, as_user, discard, need, processes, wait_for

pytestmark = as_user


def _number(name: str) -> int:
    found: int = seccomp.resolve_syscall(seccomp.Arch(), name)
    return found


KEYCTL, ADD_KEY = _number("keyctl"), _number("add_key")
#: Joins a session keyring, puts a secret into it, and becomes a command.
WITH_A_KEY = f"""
import ctypes, os, sys
libc = ctypes.CDLL(None)
assert libc.syscall({KEYCTL}, 1, None) > 0
assert libc.syscall({ADD_KEY}, b"user", b"bwt:key", b"SECRET-KEY", 10, -3) > 0
os.execvp(sys.argv[1], sys.argv[1:])
"""
#: Reads that key (11) after a search (10) of the session's keyring (-3).
READ_KEY = f"""
my $key = syscall({KEYCTL}, 10, -3, "user", "bwt:key", 0);
my $text = "\\0" x 100;
print(syscall({KEYCTL}, 11, $key, $text, 100) > 0 ? $text : "no key\\n") if $key > 0;
"""
#: Each line that it writes is something that it should not have been able to do.
NOSY = f"""
set +e
exec > /usr/share/bwt-harm 2> /dev/null
cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep SECRET
perl -e '{READ_KEY}'
unshare --user true && echo 'makes user namespaces'
true
"""
GREEDY = {
    # Of constants alone perl would make the string before it runs anything.
    "memory": "perl -e 'my $n = 900 << 20; my $x = \"x\" x $n; sleep 300'",
    "silence": "sleep 300",
    "processes": "perl -e 'for (1 .. 200) { my $pid = fork; last if defined $pid && !$pid } sleep 300'",
}
OPTIONS = {"memory": "400M", "silence": "15", "processes": "100"}


@pytest.fixture
def desk(bases: Bases, top: Path) -> Iterator[Desk]:
    need("mmdebstrap", "dpkg-deb")
    desk = bases.desk(top)
    yield desk
    discard(top / "cache" / "layers")


def with_secrets(desk: Desk, *words: str | Path) -> str:
    """Run the command with secrets in the environment and the session's keyring; what it writes."""
    done = subprocess.run(
        [sys.executable, "-c", WITH_A_KEY, *desk.argv(*words)],
        cwd=desk.tree,
        env=desk.environment | {"TOKEN": "SECRET-TOKEN"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_they_have_nothing_of_the_callers(desk: Desk) -> None:
    made = make_deb(desk.top, "bwt-nosy", {"usr/bin/bwt": ""}, {"postinst": NOSY})
    assert not with_secrets(desk, "try", made, "--", "cat", "/usr/share/bwt-harm")
    # The filter apart, the keyring is another one.
    assert "SECRET" not in with_secrets(desk, "try", "--no-seccomp", made, "--", "cat", "/usr/share/bwt-harm")


def test_tests_of_a_source_have_nothing_of_the_callers(desk: Desk) -> None:
    tests = desk.tree / "debian" / "tests"
    tests.mkdir()
    (tests / "control").write_text("Tests: nosy\nRestrictions: needs-root\n")
    harm = "/tmp/bwt-harm"
    script = NOSY.replace("/usr/share/bwt-harm", harm)
    (tests / "nosy").write_text(f"#!/bin/sh\n{script}\ncat {harm} >&2\n[ ! -s {harm} ]\n")
    with_secrets(desk, "-d", OWN, "-b", "--no-sign", "--autopkgtest", "--fail-on", "autopkgtest=fail")
    assert "\nAutopkgtest: pass\n" in desk.log()


def test_a_shell_of_a_base_has_nothing_of_the_callers(desk: Desk) -> None:
    script = NOSY.replace("/usr/share/bwt-harm", "/tmp/bwt-harm")
    shown = f"({script})\ncat /tmp/bwt-harm; grep -m1 Seccomp: /proc/self/status; ulimit -n"
    found = with_secrets(desk, "root", "shell", OWN, "--limit-files", "99", "--", "sh", "-c", shown)
    assert found == "Seccomp:\t2\n99\n"


def test_everybody_of_a_base_has_shared_memory_and_locks(desk: Desk) -> None:
    words = ("--limit-shm", "1M", "--", "setpriv", "--reuid=1", "--regid=1", "--clear-groups", "sh", "-c")
    script = "touch /dev/shm/x /run/lock/x /var/lock/y; df --output=size /dev/shm"
    assert desk.ok("root", "shell", OWN, *words, script).out.split()[-1] == "1024"


@pytest.mark.parametrize(
    "limit", ["memory", *(pytest.param(name, marks=pytest.mark.long) for name in ("silence", "processes"))]
)
def test_they_have_the_limits_of_a_build(desk: Desk, limit: str) -> None:
    name = f"bwt-{limit}"
    made = make_deb(desk.top, name, {"usr/bin/bwt": ""}, {"postinst": GREEDY[limit]})
    (desk.tree / "debian" / "control").write_text(
        (desk.tree / "debian" / "control").read_text().replace("Section: misc", f"Build-Depends: {name}")
    )
    words = ("-d", OWN, "-b", "--no-sign", "--extra-package", made, f"--limit-{limit}", OPTIONS[limit])
    done = command(desk, *words)
    assert done.status == 11, done.both
    assert "bwbuild: error: the installation" in done.err
    assert "killed" in done.err
    assert f"--limit-{limit}" in done.err
    wait_for(lambda: not processes(str(desk.cache)))
    assert desk.left() == []


def test_the_same_where_a_program_is_tried(desk: Desk) -> None:
    made = make_deb(desk.top, "bwt-greedy", {"usr/bin/bwt": ""}, {"postinst": GREEDY["memory"]})
    for words in ((), ("--diff",)):
        done = command(desk, "try", made, *words, "--limit-memory", "400M")
        assert done.status == 11, done.both
        assert "the installation: killed: memory limit 400 MiB" in done.err
