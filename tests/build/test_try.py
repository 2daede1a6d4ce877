"""bwbuild try: small packages on a base, what their programs see and may do, and what is told of it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_debs import make_deb
from made_suites import Bases, command
from support import Desk, discard, need, processes, wait_for
from test_shell import start

#: Tells what its sandbox is like.
LOOK = """\
#!/bin/sh
echo "home=$HOME $(stat -c %a ~) user=$(id -un) caps=$(grep CapEff /proc/self/status | cut -f2)"
echo "net=$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' \\n') pids=$(ls -d /proc/[0-9]* | wc -l)"
for path in "$@"; do cat "$path" 2> /dev/null && echo "READ $path"; done
for path in /usr/x /etc/x /opt/x /var/lib/x; do (echo x > $path) 2> /dev/null && echo "WROTE $path"; done
cat
echo note > ~/note
sleep 300 &
exit 7
"""
#: Not every base has useradd.
POSTINST = """\
echo 'bwt-daemon:x:990:' >> /etc/group
echo 'bwt-daemon:x:990:990::/nonexistent:/usr/sbin/nologin' >> /etc/passwd
update-alternatives --install /usr/bin/bwt-editor bwt-editor /usr/bin/bwt-look 10
mkdir -p /etc/systemd/system/multi-user.target.wants /var/lib/bwt
ln -s /lib/systemd/system/bwt.service /etc/systemd/system/multi-user.target.wants/bwt.service
echo made > /var/lib/bwt/made
dpkg-statoverride --update --add root root 4755 /usr/share/bwt/tool
echo said > /var/log/bwt.log
chmod 666 /var/log/bwt.log
chmod 600 /etc/hostname
perl -e 'require "sys/syscall.ph"; my ($f, $n) = ("/usr/bin/bwt-look", "security.capability");
  my $rights = pack("V5", 0x02000001, 1 << 13, 0, 0, 0);
  syscall(&SYS_setxattr, $f, $n, $rights, 20, 0) == 0 or die "$!"'
"""

#: Uses a path below ~/made, ~/entered and so on, mostly without opening anything.
USE = """\
mkdir ~/made/sub && rmdir ~/made/sub
(cd ~/entered && mkdir sub && rmdir sub)
chmod 600 ~/mode/f
touch -c -d 2020-01-01 ~/time/f
~/run/f
test -e ~/seen/f && echo seen
cat ~/read/f > /dev/null
cat ~/missing/f
perl -MSocket -e 'socket(S, AF_INET, SOCK_DGRAM, 0);
  send(S, 1, 0, pack_sockaddr_in(9, inet_aton("192.0.2.1"))) or print "unsent\\n"'
"""
#: What is granted of each, and what it needs.
USES = {
    **dict.fromkeys(("made", "entered", "mode", "time"), (":rw", ":rw")),
    **dict.fromkeys(("run", "seen"), (":ro", ":ro")),
    "read": (":rw", ":ro"),
    "idle": (":rw", ""),
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, bases: Bases) -> Iterator[Desk]:
    """A desk whose cache has the layers of all tests here."""
    need("mmdebstrap", "dpkg-deb")
    top = tmp_path_factory.mktemp("try")
    desk = bases.desk(top)
    debs = top / "debs"
    debs.mkdir()
    make_deb(debs, "bwt-look", {"usr/bin/bwt-look": LOOK})
    make_deb(debs, "bwt-two", {"usr/bin/bwt-a": "", "usr/games/bwt-b": ""})
    # Older than the suite's own, as a package is after a rebuild of it in the archive.
    make_deb(debs, "hello", {"usr/bin/bwt-older": "#!/bin/sh\necho the older one\n"})
    make_deb(debs, "bwt-unmet", {"usr/bin/bwt-a": ""}, depends="bwt-never (>= 2)")
    stop = {"postinst": "echo the postinst says why; exit 3"}
    make_deb(debs, "bwt-stop", {"usr/bin/bwt-a": ""}, stop)
    yield desk
    discard(top / "cache")
    discard(desk.scratch)


def deb(stage: Desk, name: str) -> Path:
    return stage.top.parent / "debs" / f"{name}_1_all.deb"


def test_what_was_built_is_tried_though_the_suite_has_a_newer_one(stage: Desk) -> None:
    done = stage.run("try", deb(stage, "hello"))
    assert done.status == 0, done.err
    assert done.out == "the older one\n"


def test_program_has_nothing_of_the_callers(stage: Desk) -> None:
    secret = stage.home / ".ssh" / "id_ed25519"
    secret.parent.mkdir()
    secret.write_text("SECRET\n")
    words = ["try", deb(stage, "bwt-look"), "--", "bwt-look", secret, "/etc/shadow", "/proc/1/environ"]
    done = subprocess.run(
        stage.argv(*words),
        cwd=stage.tree,
        env=stage.environment
        | {"DISPLAY": ":0", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x", "TOKEN": "SECRET"},
        input="from outside\n",
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "home=/home/bwbuild 700 user=bwbuild caps=0000000000000000"
    assert lines[1].startswith("net=lo pids=")
    assert lines[2:] == ["from outside"]
    assert "new: note" in done.stderr
    assert "ended with the sandbox: sleep" in done.stderr
    home = stage.home / ".local/state/bwbuild/homes/bwt-look/home"
    assert (home / "note").read_text() == "note\n"
    assert stage.left() == []
    # The home stays, and is written anew on request.
    again = command(stage, "try", deb(stage, "bwt-look"), "--", "sh", "-c", "ls ~; env; kill -9 $$")
    assert (again.status, again.out.splitlines()[0]) == (137, "note")
    assert "SECRET" not in again.out
    fresh = command(stage, "try", deb(stage, "bwt-look"), "--fresh", "--", "sh", "-c", "ls -A ~")
    assert (fresh.status, fresh.out) == (0, ""), fresh.err


def test_what_is_wrong_is_said(stage: Desk, tmp_path: Path) -> None:
    no_deb = tmp_path / "no\x1b[31m_1_all.deb"
    no_deb.write_text("no package")

    def fails(status: int, *words: str | Path) -> str:
        done = command(stage, "try", *words)
        assert done.status == status, done.both
        assert "Traceback" not in done.err
        assert "\x1b" not in done.err
        return done.err

    assert "is no Debian package" in fails(2, no_deb)
    assert "can't be read: No such file" in fails(2, "gone_1_all.deb")
    assert "no name of a package either" in fails(2, "../x")
    assert "--home '../x': that is no name of a package" in fails(2, "dpkg", "--home", "../x")
    assert "--with '-x': that is no name of a package" in fails(2, "dpkg", "--with", "-x")
    known = command(stage, "try", "dpkg", "--", "dpkg-query", "-W", "-f", "${Version}", "hostname")
    same = make_deb(tmp_path, "hostname", {"usr/bin/x": ""}, version=known.out)
    assert "would not be tried" in fails(2, same)
    assert "has dpkg already" in fails(2, "dpkg", "--diff")
    assert "did you mean bwt-look?" in fails(2, deb(stage, "bwt-look"), "--", "bwt-lok")
    assert "bwt-unmet : Depends: bwt-never (>= 2)" in fails(6, deb(stage, "bwt-unmet")).replace("  ", " ")
    unknown = fails(6, "bwt-goood", "--", "true")
    assert "has no package bwt-goood" in unknown
    assert "did you mean bwt-good? " in unknown
    assert "has no package nothing-like-that" in fails(6, "dpkg", "--with", "nothing-like-that", "--", "true")
    assert "the postinst says why" in fails(4, deb(stage, "bwt-stop"))
    two = fails(2, deb(stage, "bwt-two"))
    assert "bwt-two has 2 programs" in two
    assert "\n  bwt-a\n  bwt-b\n" in two
    assert "--diff runs nothing, so --learn" in fails(2, "dpkg", "--diff", "--learn")
    assert "there is no directory /nowhere" in fails(14, "dpkg", "--screenshot", "/nowhere/x.png")
    assert "it is a directory" in fails(14, "dpkg", "--screenshot", tmp_path)
    assert "expected KEY=VALUE" in fails(2, deb(stage, "bwt-look"), "--allow", "everything")
    assert "no command '/usr/bin/bwt-lok'" in fails(2, deb(stage, "bwt-look"), "--", "/usr/bin/bwt-lok")
    assert "DISPLAY is not set" in fails(4, deb(stage, "bwt-look"), "--allow", "socket=x11")
    # It is told before anything is installed.
    assert "DISPLAY is not set" in fails(4, deb(stage, "bwt-stop"), "--allow", "socket=x11")
    if not Path("/dev/dri").exists():
        assert "this machine has no /dev/dri" in fails(4, deb(stage, "bwt-stop"), "--allow", "device=dri")
    assert "no such socket" in fails(4, deb(stage, "bwt-look"), "--allow", "socket=wayland")
    assert "which server socket=x11 is" in fails(2, deb(stage, "bwt-stop"), "--x11", "xephyr")
    assert "nothing was learned" in fails(2, deb(stage, "bwt-look"), "--only-learned")
    learned = stage.home / ".local/state/bwbuild/homes/bwt-stop/learned.json"
    learned.parent.mkdir(parents=True)
    learned.write_text('{"permissions": ["socket=wayland"]}')
    assert "no such socket" in fails(4, deb(stage, "bwt-stop"), "--only-learned")
    assert "--diff runs nothing, and so no command" in fails(2, "dpkg", "--diff", "--", "true")
    os.mkfifo(tmp_path / "fifo.changes")
    (tmp_path / "directory.changes").mkdir()
    for name in ("fifo.changes", "directory.changes"):
        assert f"{name} is no regular file" in fails(12, tmp_path / name)
    entry = {"usr/share/applications/x.desktop": "[Desktop Entry]\nExec=bwt-nowhere --open=%u\n"}
    assert "no command 'bwt-nowhere'" in fails(2, make_deb(tmp_path, "bwt-lost-entry", entry))


@pytest.mark.long
def test_an_older_version_than_that_of_the_base_is_tried(stage: Desk, tmp_path: Path) -> None:
    older = make_deb(tmp_path, "hostname", {"usr/bin/bwt-old": "#!/bin/sh\necho old\n"}, version="0.1")
    done = command(stage, "try", older, "--", "bwt-old")
    assert (done.status, done.out) == (0, "old\n"), done.err


def test_what_a_manifest_asks_for_and_this_machine_lacks(stage: Desk, tmp_path: Path) -> None:
    """A manifest is written for all machines; what is typed must be there."""
    manifest = tmp_path / "m.yml"
    arguments = "[--socket=wayland, --filesystem=xdg-download, --filesystem=~/nowhere:ro, --share=ipc]"
    manifest.write_text(f"date: 2001-13-45\nnumber: !!int abc\nfinish-args: {arguments}\n")
    done = command(stage, "try", deb(stage, "bwt-two"), "--finish-args", manifest, "--", "true")
    assert done.status == 0, done.err
    for lacking in ("socket=wayland", "filesystem=xdg-download:rw", "filesystem=~/nowhere:ro"):
        assert f"{lacking} has no counterpart: " in done.err
    words = ("--finish-args", manifest, "--allow", "filesystem=~/nowhere:ro")
    typed = command(stage, "try", deb(stage, "bwt-two"), *words, "--", "true")
    assert typed.status == 4
    assert "make it first" in typed.err


def test_what_a_path_is_used_for_is_learned(stage: Desk) -> None:
    need("strace")
    for name in (*USES, "missing"):
        (stage.home / name).mkdir()
        shutil.copy("/usr/bin/true", stage.home / name / "f")
    tried = ("try", deb(stage, "bwt-look"), "--home", "uses")
    words = [word for name in USES for word in ("--allow", f"filesystem=~/{name}{USES[name][0]}")]
    done = command(stage, *tried, "--learn", *words, "--", "sh", "-c", USE)
    assert done.out == "seen\nunsent\n", done.both
    needed = " ".join(f"--allow 'filesystem=~/{name}{mode}'" for name, (_, mode) in USES.items() if mode)
    assert f"what it needs of what it had: {needed};" in done.err
    assert "not used: filesystem=~/idle:rw" in done.err
    assert "refused: share=network, which is not granted" in done.err
    assert "refused: filesystem=~/missing/f:ro, which is not granted" in done.err
    assert "contacted 0 addresses" in done.err
    # With that it runs as before, and with less as the caller says.
    held = command(stage, *tried, "--only-learned", "--deny", "filesystem=~/seen", "--", "sh", "-c", USE)
    assert held.out == "unsent\n", held.both
    failed = [line for line in held.err.splitlines() if "bwbuild" not in line]
    assert [line for line in failed if "/missing/" not in line] == []
    # What does not end by itself is learned of, too.
    server = ("--allow", "filesystem=~/read:rw", "--", "sh", "-c", "cat ~/read/f > ~/own; sleep 300")
    ended = command(stage, *tried, "--learn", "--timeout", "5s", *server)
    assert ended.status == 11, ended.both
    assert "what it needs of what it had: --allow 'filesystem=~/read:ro';" in ended.err
    assert "new: own" in ended.err


def test_limits_are_named(stage: Desk) -> None:
    """Whether it was ended for one or only had to do without, which is its own matter."""
    tried = ("try", deb(stage, "bwt-look"), "--limit-memory", "200M")
    killed = command(stage, *tried, "--", "perl", "-e", "my $x = 'x' x (600 << 20); sleep 300")
    assert killed.status == 11, killed.both
    assert "killed: memory limit 200 MiB" in killed.err
    assert "in perl" in killed.err
    many = "for (1 .. 150) { my $pid = fork; if (defined $pid && !$pid) { sleep 4; exit } } sleep 5; exit 3"
    script = f"head -c 9M /dev/zero > /tmp/x; exec perl -e '{many}'"
    options = ("--limit-processes", "100", "--limit-tmp", "1M")
    refused = command(stage, *tried, *options, "--", "sh", "-c", script)
    assert refused.status == 3, refused.both
    assert "refused: more than 100 processes; --limit-processes NUMBER allows it more" in refused.err
    assert "refused: more than 1.0 MiB in /tmp; --limit-tmp SIZE makes it larger" in refused.err
    late = command(stage, *tried, "--timeout", "3s", "--", "sleep", "300")
    assert late.status == 11, late.both
    assert "sleep took longer than 3.0 s and was killed" in late.err
    assert late.err.index("nothing was written in the home") < late.err.index("took longer")


def test_what_was_built_last_is_tried(stage: Desk, tmp_path: Path) -> None:
    """Without a word the newest .changes of the tree counts, and its files must be those that it lists."""
    elsewhere = stage.run("try", cwd=Path("/"))
    assert elsewhere.status == 5
    assert "hint: name what is to be tried" in elsewhere.err
    lost = command(stage, "try")
    assert lost.status == 5
    assert "nothing that was built of tiny" in lost.err
    (stage.parent / "tiny_9_all.changes").symlink_to("gone")
    elsewhere_built = tmp_path / "results"
    elsewhere_built.mkdir()
    stage.ok("--no-sign", "-b", "--output", elsewhere_built)
    words = ("-d", host_suite(stage), "--output", elsewhere_built, "--", "cat", "/usr/share/tiny/out")
    assert command(stage, "try", *words).out == "hello\n"
    stage.ok("--no-sign", "-b", "--output", stage.parent)
    (changes,) = stage.parent.glob("tiny_1_*.changes")
    link = tmp_path / "link.changes"
    link.symlink_to(changes)
    done = command(stage, "try", "-d", host_suite(stage), "--", "cat", "/usr/share/tiny/out")
    assert (done.status, done.out) == (0, "hello\n"), done.err
    assert command(stage, "try", "-d", host_suite(stage), link, "--", "true").status == 0
    with (stage.parent / "tiny_1_all.deb").open("ab") as file:
        file.write(b"x")
    other = command(stage, "try", "-d", host_suite(stage), changes, "--", "true")
    assert other.status == 12
    assert "is not the file that the .changes lists" in other.err


def host_suite(stage: Desk) -> str:
    return Path(stage.environment["BWBUILD_BASE_MIRROR"]).stem


def test_what_an_installation_changes(stage: Desk, tmp_path: Path) -> None:
    files = {
        "usr/bin/bwt-look": LOOK,
        "usr/share/bwt/tool": "x",
        "lib/systemd/system/bwt.service": "[Service]\nExecStart=/usr/bin/bwt-look\n",
        "DEBIAN/triggers": "interest-noawait /usr/share/bwt\n",
    }
    divert = "dpkg-divert --package bwt-all --add --rename --divert /usr/bin/yes.real /usr/bin/yes"
    made = make_deb(tmp_path, "bwt-all", files, {"preinst": divert, "postinst": POSTINST})
    done = command(stage, "try", made, "--diff")
    assert done.status == 0, done.err
    for line in (
        "files of the packages:\n  3 new ones",
        "gone: /usr/bin/yes\n  new: /usr/bin/yes.real\n  new: /var/lib/bwt/made",
        "set-user-id and set-group-id:\n  /usr/share/bwt/tool (mode 4755, owner root:root)",
        "users:\n  new: bwt-daemon",
        "groups:\n  new: bwt-daemon",
        "new group: bwt-editor",
        "new choice: bwt-editor -> /usr/bin/bwt-look",
        "new unit: /usr/lib/systemd/system/bwt.service",
        "new enabled: /etc/systemd/system/multi-user.target.wants/bwt.service",
        "diversions:\n  new: /usr/bin/yes to /usr/bin/yes.real by bwt-all",
        "overridden modes:\n  new: root root 4755 /usr/share/bwt/tool",
        "new: /usr/share/bwt bwt-all/noawait",
        "capabilities of files:\n  /usr/bin/bwt-look (cap_net_raw=ep)",
        "new: /var/log/bwt.log (mode 0666)",
        "changed: /etc/hostname (mode 0600)",
    ):
        assert line in done.out, (line, done.out)


@pytest.mark.long
def test_changes_of_packages_that_need_each_other(stage: Desk, tmp_path: Path) -> None:
    first = make_deb(tmp_path, "bwt-a", {"usr/bin/bwt-a": ""}, fields="Pre-Depends: bwt-z\n")
    last = make_deb(tmp_path, "bwt-z", {"usr/bin/bwt-z": ""}, {"postinst": "echo z > /etc/bwt-z"})
    both = command(stage, "try", first, last, "--diff")
    assert both.status == 0, both.err
    assert "files of the packages:\n  2 new ones" in both.out
    assert "new: /etc/bwt-z" in both.out
    circular = command(stage, "try", "bwt-circle", "--diff")
    assert circular.status == 0, circular.err
    assert "bwt-circle 1, bwt-round:all 1, which needs it or is needed changes" in circular.out
    assert "new: /var/lib/bwt-circle" in circular.out


def test_program_on_a_terminal(stage: Desk) -> None:
    """It has one of its own, of the caller's size; keys that interrupt are for it alone."""
    script = "stty size; test -t 0 && echo terminal; trap 'echo caught; caught=1' INT; echo ready; "
    # Short sleeps: a key that comes while one starts is answered when it ends.
    script += "until [ $caught ]; do sleep 0.2; done; read line; echo $line; exit 3"
    session = start(stage, "try", str(deb(stage, "bwt-look")), "--", "bash", "-c", script)
    try:
        fcntl.ioctl(session.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        before = session.read(rb"ready\r\n", 300)
        assert b"terminal" in before
        assert b"33 77" in before
        session.type("\x03")
        session.read(rb"caught\r\n")
        session.type("typed\n")
        session.read(rb"typed\r\ntyped\r\n")
        assert session.end() == 3
        assert b"nothing was written in the home" in session.seen
    finally:
        if session.pid:
            os.kill(session.pid, signal.SIGTERM)
            os.waitpid(session.pid, 0)
        os.close(session.terminal)


def test_home_has_one_user_and_is_removed_by_its_own_word(stage: Desk) -> None:
    mark = str(stage.home)
    script = "echo x > ~/saved; echo ready; sleep 300"
    first = stage.start("try", deb(stage, "bwt-look"), "--home", "one", "--", "sh", "-c", script)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"ready\n"
        busy = command(stage, "try", deb(stage, "bwt-look"), "--home", "one", "--", "true")
        assert busy.status == 2
        assert "another program has the home of one" in busy.err
        other = command(stage, "try", deb(stage, "bwt-look"), "--home", "two", "--", "true")
        assert other.status == 0, other.err
        # A program that closes its home has written there all the same, and the next one gets in.
        two = ("try", deb(stage, "bwt-look"), "--home", "two")
        closing = command(stage, *two, "--", "sh", "-c", "echo x > ~/saved; chmod 0 ~")
        assert "new: saved" in closing.err
        (stage.home / "shown").mkdir()
        shown = command(
            stage, *two, "--allow", "filesystem=~/shown", "--", "sh", "-c", "cd ~/shown; cat ~/saved"
        )
        assert (shown.status, shown.out) == (0, "x\n"), shown.err
        # A relative directory of XDG is to be ignored.
        assert "home of two\n" in command(stage, "clean", "--homes", XDG_STATE_HOME="rel").out
        listed = command(stage, "clean", "--homes")
        assert "home of one, in use" in listed.out
        assert "home of two\n" in listed.out
        assert "home of" not in command(stage, "clean").out
    finally:
        first.terminate()
        told = first.communicate(timeout=120)[0]
    assert first.returncode == 130, told
    assert b"new: saved" in told
    wait_for(lambda: not processes(mark))
    assert stage.left() == []
    command(stage, "clean", "--homes", "--remove")
    assert "no home of a program" in command(stage, "clean", "--homes").out
