"""Programs that are tried, in control groups of their own, and with a graphics card.

The machine has no network, so what they are tried in is made by hand of its own programs; the
command is the real one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import Desk, make_root, processes
from test_scope import MIB, Started, at, lose_the_manager, on_a_terminal, units, wait_for  # noqa: F401

from bwbuild.build import ground
from bwbuild.build.plan import choose_identity
from bwbuild.config.settings import Settings
from bwbuild.host.facts import read_host
from bwbuild.root import bases, bootstrap
from bwbuild.root.suite import Suite
from bwbuild.sandbox.spec import Identity

pytestmark = pytest.mark.machine

#: What the sandbox starts, what apt needs to find out that nothing is missing, and what these tests run.
PROGRAMS = (
    *("sh", "bash", "cat", "env", "mkdir", "setpriv", "setsid", "sleep", "perl", "chown", "cp"),
    *("apt-get", "dpkg", "chmod", "ln", "sed", "basename", "id", "wc", "true"),
)
SUITE = "handmade"
#: A package that the root has, which needs nothing more.
TRIED = "dpkg"
#: Asks a card for the name of its driver.
CARD = r"""
open(my $card, '+<', $ARGV[0]) or die "$!\n";
my $name = "\0" x 32;
my $asked = pack('l3 x4 Q P32 Q2 Q2', 0, 0, 0, 31, $name, 0, 0, 0, 0);
ioctl($card, 0xC0406400, $asked) or die "ioctl: $!\n";
print unpack('Z*', $name), "\n";
"""
#: Makes as many processes as it may, says how many these are, and what every program says then.
FORKS = r"""
my $made = 0;
for (1 .. 200) {
  my $pid = fork;
  last unless defined $pid;
  if (!$pid) { sleep 600; exit }
  $made++;
}
print "$made\n";
warn "Cannot fork: $!\n";
sleep 10;
exit 3;
"""
#: Of constants alone perl would make the string before it runs anything.
EATER = "my $n = %d << 20; my $x = 'x' x $n; sleep 600"


def make_base(_suite: Suite, path: Path, _identity: Identity, _tell: object) -> None:
    """Stands for mmdebstrap: a root with the packages of this machine, by its database."""
    root = path / "root"
    make_root(root, *PROGRAMS)
    (perl,) = Path("/usr/lib").glob("*/perl-base")
    for name in ("usr/lib/apt", "usr/share/dpkg", "usr/lib/locale/C.utf8", str(perl.relative_to("/"))):
        shutil.copytree(f"/{name}", root / name, symlinks=True)
    for name in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt", "etc/apt"):
        (root / name).mkdir(parents=True)
    shutil.copytree("/etc/apt/apt.conf.d", root / "etc/apt/apt.conf.d")
    for name in ("preferences.d", "sources.list.d", "trusted.gpg.d"):
        (root / "etc/apt" / name).mkdir()
    for name in ("sys", "root", "srv", "var/lib/dpkg"):
        (root / name).mkdir()
    shutil.copy("/var/lib/dpkg/status", root / "var/lib/dpkg/status")


@pytest.fixture
def tries(at: Any, monkeypatch: pytest.MonkeyPatch) -> Desk:  # noqa: F811
    """A desk with a base in its cache."""
    desk: Desk = at()
    host, settings = read_host(), Settings(cache=desk.cache)
    monkeypatch.setattr(bootstrap, "make", make_base)
    wish = ground.wish(settings, SUITE, host.architecture, choose_identity(host, settings), lambda _: None)
    with bases.opened(wish):
        pass
    return desk


def words(*command: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
    return ("try", TRIED, "-d", SUITE, *options, "--", *command)


def test_a_program_is_in_a_group(tries: Desk) -> None:
    look = "cat /proc/self/cgroup; echo '$HOME'; sleep 20; exit 7"
    limits = ("--limit-memory", "800M", "--limit-processes", "500")
    begun = Started(tries, *words("sh", "-c", look, options=limits))
    assert begun.show("MemoryMax") == str(900 * MIB)
    assert begun.show("MemorySwapMax") == "0"
    assert begun.show("TasksMax") == "532"
    wait_for(lambda: begun.read("memory.oom.group") == "1")
    assert begun.read("memory.high") == str(850 * MIB)
    assert str(begun.process.pid) not in begun.read("cgroup.procs").split()
    wait_for(lambda: "sleep" in begun.names())
    done = begun.end()
    assert done.status == 7, done.both
    assert "0::/\n$HOME\n" in done.both


def test_without_a_group(tries: Desk) -> None:
    """As it is asked for; then its memory is kept by looking at it."""
    before, seen = units(), set()
    options = ("--no-limit-scope", "--limit-memory", "200M")
    child = tries.start(*words("perl", "-e", f"sleep 5; {EATER % 600}", options=options))
    while child.poll() is None:
        seen |= units() - before
    said = child.communicate()[0].decode()
    assert child.returncode == 11, said
    assert "killed: memory limit 200 MiB" in said
    assert seen == set()


def test_memory(tries: Desk) -> None:
    """What grows faster than it can be looked at is held back, so that it can."""
    done = tries.run(*words("perl", "-e", EATER % 1200, options=("--limit-memory", "200M")))
    assert done.status == 11, done.both
    found = re.search(r"killed: memory limit 200 MiB, peak (\d+) MiB in perl", done.err)
    assert found, done.err
    assert 200 <= int(found[1]) <= 230
    assert "--limit-memory SIZE allows it more" in done.err


def test_memory_of_many(tries: Desk) -> None:
    """No process of them has too much, and they have left their parents."""
    one = f'setsid perl -e "{EATER.replace("$", chr(92) + "$") % 60}" & sleep 2; '
    done = tries.run(*words("sh", "-c", one * 6 + "sleep 600", options=("--limit-memory", "250M")))
    assert done.status == 11, done.both
    assert re.search(r"killed: memory limit 250 MiB, peak 2\d\d MiB in perl", done.err), done.err


def test_memory_when_nobody_looks(tries: Desk) -> None:
    """The kernel ends the program as a whole, and that is what is said of it."""
    eat = f"setsid sleep 600 & sleep 30; exec perl -e '{EATER % 600}'"
    begun = Started(tries, *words("sh", "-c", eat, options=("--limit-memory", "200M")))
    wait_for(lambda: begun.read("memory.oom.group") == "1")
    begun.process.send_signal(signal.SIGSTOP)
    (begun.group / "memory.high").write_text("max")
    wait_for(lambda: not begun.read("cgroup.procs"))
    begun.process.send_signal(signal.SIGCONT)
    done = begun.end()
    assert done.status == 11, done.both
    assert "killed: memory limit 200 MiB, peak 200 MiB" in done.both


def test_processes(tries: Desk) -> None:
    """It has to do without more, which is told."""
    done = tries.run(*words("perl", "-e", FORKS, options=("--limit-processes", "100")))
    assert done.status == 3, done.both
    assert 80 < int(done.out) < 100
    assert "refused: more than 100 processes; --limit-processes NUMBER allows it more" in done.err


def test_processes_of_one_that_goes_on(tries: Desk) -> None:
    """It insists, and is ended, though to look at so many takes this machine long."""
    script = FORKS.replace("sleep 10", "sleep 600")
    done = tries.run(*words("perl", "-e", script, options=("--limit-processes", "100")))
    assert done.status == 11, done.both
    assert "killed at the limit of 100 processes" in done.err


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_end_by_a_signal(tries: Desk, number: signal.Signals) -> None:
    begun = Started(tries, *words("sh", "-c", "setsid sleep 600 & sleep 600"))
    wait_for(lambda: begun.names().count("sleep") == 2)
    begun.process.send_signal(number)
    done = begun.end()
    if number == signal.SIGKILL:
        assert done.status == -number
        wait_for(lambda: not processes(str(tries.scratch)), 60)
        wait_for(lambda: not begun.read("cgroup.procs"), 60)
        assert tries.ok("clean", "--remove").status == 0
    else:
        assert done.status == 130
        assert f"interrupted by {number.name}" in done.both
        # The home has nobody in it any more.
        assert tries.run(*words("true")).status == 0


def test_a_program_that_forks_away_ends_with_its_group(tries: Desk) -> None:
    begun = Started(tries, *words("sh", "-c", "setsid sleep 600 & sleep 20; exit 7"))
    wait_for(lambda: begun.names().count("sleep") == 2)
    done = begun.end()
    assert done.status == 7, done.both
    assert "ended with the sandbox: sleep" in done.both
    wait_for(lambda: begun.unit not in units(), 60)


def test_killed_from_outside_is_no_limit(tries: Desk) -> None:
    begun = Started(tries, *words("sleep", "600"))
    wait_for(lambda: "sleep" in begun.names())
    subprocess.run(["systemctl", "--user", "kill", "--signal=KILL", begun.unit], check=True)
    done = begun.end()
    assert done.status == 137, done.both
    assert "killed from outside" in done.both


def test_on_a_terminal(tries: Desk) -> None:
    """It reads what is typed, and is in a group all the same."""
    typed = " ".join([f"'{word}'" for word in tries.argv(*words("bash", "--norc"))])
    done = on_a_terminal(tries, typed)
    assert done.returncode == 5, done
    assert "\n0::/\n" in done.stdout.replace("\r", "")


def test_without_a_manager_it_says_so(tries: Desk) -> None:
    """One that does not answer: it is said how to do without."""
    lost = lose_the_manager(tries)
    done = tries.run(*words("true"), env=lost)
    assert done.status == 4, done.both
    assert "--no-limit-scope" in done.both
    assert tries.run(*words("true", options=("--no-limit-scope",)), env=lost).status == 0
    assert os.getuid() != 0


def test_a_graphics_card(tries: Desk) -> None:
    """The node answers inside, by a group of the caller's, and where it is not granted there is none."""
    nodes = sorted(Path("/dev/dri").glob("renderD*"))
    if not nodes:
        pytest.skip("this machine has no graphics card")
    group = nodes[0].stat().st_gid
    assert group in os.getgroups()
    ask = ("perl", "-e", CARD, str(nodes[0]))
    outside = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert outside != "\n"
    done = tries.run(*words(*ask, options=("--allow", "device=dri")))
    assert (done.status, done.out) == (0, outside), done.both
    denied = tries.run(*words(*ask))
    assert denied.status == 2
    assert "No such file or directory" in denied.err
    # Groups that no permission asks for stay outside; inside, all of them are the one of nobody.
    groups = ("sh", "-c", "id -G | wc -w")
    many = [tries.run(*words(*groups, options=options)).out for options in ((), ("--allow", "device=dri"))]
    assert many == ["1\n", "2\n"]
