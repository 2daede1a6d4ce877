"""Builds on bases of suites, with the real mmdebstrap and apt."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import made_suites as suites
import pytest
from made_suites import OTHER, OWN, Bases, command, set_depends, set_distribution
from support import Desk, as_user, discard, gnupg_home, make_desk, need, processes, wait_for
from test_shell import PROMPT, in_front, start

from bwbuild.host.facts import read_caller

pytestmark = as_user


#: As printf takes it.
CONTROL = r"Package: bwt-x\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n"


def layers(top: Path) -> list[Path]:
    return sorted(path for path in (top / "cache" / "layers").iterdir() if path.is_dir())


def own_base(desk: Desk) -> Path:
    """The base of this machine's release; beside it another test may be about to make one."""
    (item,) = (item for item in json.loads(desk.ok("root", "list", "--json").out) if item["suite"] == OWN)
    return Path(item["path"])


def first_id() -> int:
    return read_caller().subuids[0].start


# A build


def test_tree_without_dependencies(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    desk.ok("-d", OWN, "-b", "--no-sign")
    assert "tiny_1_all.deb" in desk.published()
    assert f"base: {OWN} as of " in desk.log()
    (layer,) = layers(top)
    assert list((layer / "upper").iterdir()) == []


def test_second_build_starts_without_apt(bases: Bases, top: Path) -> None:
    desk = bases.desk(top, depends="python3")
    desk.ok("-d", OWN, "-b", "--no-sign")
    buildinfo = (desk.parent / "tiny_1_amd64.buildinfo").read_text()
    assert " python3 (= " in buildinfo
    assert " mmdebstrap " not in buildinfo
    (layer,) = layers(top)
    # No chamber for apt can be had any more.
    work = top / "cache" / "work"
    work.rmdir()
    work.write_text("")
    desk.ok("-d", OWN, "-b", "--no-sign")
    assert layers(top) == [layer]
    set_depends(desk, "python3, bwt-good")
    assert desk.run("-d", OWN, "-b", "--no-sign").status == 14, "another question needs apt"


def test_same_choice_is_shared(bases: Bases, top: Path) -> None:
    first, second = bases.desk(top, depends="bwt-good"), bases.desk(top, depends="bwt-good (>= 0), dpkg")
    first.ok("-d", OWN, "-b", "--no-sign")
    second.ok("-d", OWN, "-b", "--no-sign")
    assert len(layers(top)) == 1
    assert len(list((top / "cache" / "choices").iterdir())) == 2


def test_two_at_once_make_a_layer_once(bases: Bases, top: Path) -> None:
    desks = [bases.desk(top, depends="bwt-good") for _ in range(2)]
    running = [desk.start("-d", OWN, "-b", "--no-sign") for desk in desks]
    for one in running:
        output, _ = one.communicate(timeout=suites.LONG)
        assert one.returncode == 0, output
    assert len(layers(top)) == 1


def sections(log: str) -> list[str]:
    return re.findall(r"^\| (.*?) +\|$", log, re.MULTILINE)[1:]


BUILDD = [
    *("Update chroot", "Fetch source files", "Install package build dependencies", "Build environment"),
    *("Build", "Changes", "Buildinfo", "Package contents", "Post Build", "Summary"),
]


def test_log_of_a_layer_made_now_and_of_one_from_the_cache(bases: Bases, top: Path) -> None:
    desk = bases.desk(top, depends="bwt-good, bwt-owner")
    desk.ok("-d", OWN, "-b", "--no-sign", "--report", top / "report")
    base = own_base(desk)
    first = desk.log()
    assert sections(first) == BUILDD
    head, _, rest = first.partition("| Update chroot ")
    assert f"\nDistribution: {OWN}\n" in head
    before, _, rest = rest.partition("| Build environment ")
    assert f"\nBase: {base.name}\nSuite: {OWN}\nArchitecture: " in before
    assert " (from the cache)\n" in before
    assert f"\nMirror: {suites.MIRROR} {OWN} main\n" in before
    assert "\nBuild-Depends: bwt-good, bwt-owner\n" in before
    assert "\nSetting up bwt-good (1) ...\n" in before
    assert "\nOver the base: 2 packages, installed in " in before
    assert re.search(r"^Package versions: .*\bbwt-good_1 bwt-owner_1 ", rest, re.MULTILINE)
    assert re.search(r"^Toolchain package versions: binutils_\S+ dpkg-dev_", rest, re.MULTILINE)
    assert "\n-rw-r--r-- root/root         6 " in rest
    assert int(re.findall(r"^Install-Time: (\d+)$", rest, re.MULTILINE)[0]) >= 1
    assert f"\nDistribution: {OWN}\n" in rest
    report = desk.report(top / "report")
    assert (report["distribution"], report["suite"], report["base"]) == ("unstable", OWN, base.name)
    assert report["phases"][0]["name"] == "install"

    desk.ok("-d", OWN, "-b", "--no-sign")
    second = desk.log()
    assert sections(second) == BUILDD
    assert "Setting up" not in second
    assert "\nOver the base: 2 packages, taken from the cache.\nPackages: bwt-good_1 bwt-owner_1\n" in second
    assert "\nInstall-Time: 0\n" in second


@pytest.mark.long
def test_another_release(bases: Bases, top: Path) -> None:
    """The real thing on the other base: a compiler of the suite makes a package there."""
    bases.make(OTHER)
    desk = bases.desk(top, OTHER, depends="python3")
    found = desk.inside("cat /etc/os-release; dpkg-query -W dpkg", "-d", OTHER)
    assert f"VERSION_CODENAME={OTHER}" in found
    own = subprocess.run(["dpkg-query", "-W", "dpkg"], capture_output=True, text=True, check=True).stdout
    assert own not in found
    desk.ok("-d", OTHER, "-b", "--no-sign")
    assert "tiny_1_all.deb" in desk.published()


def test_suite_of_the_changelog(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    set_distribution(desk, f"{OWN}-security")
    desk.ok("-d", "auto", "-b", "--no-sign")
    assert f"base: {OWN} as of " in desk.log()


def test_changelog_without_a_suite(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    set_distribution(desk, "UNRELEASED")
    done = desk.run("-d", "auto", "-b")
    assert (done.status, "hint: name the suite: -d unstable" in done.err) == (5, True), done.both
    desk.ok("-d", OWN, "-b")


def test_missing_dependencies_from_a_base(bases: Bases, top: Path) -> None:
    desk = bases.desk(top, depends="bwt-good")
    done = desk.run("-b", "--no-sign")
    assert (done.status, "bwt-good" in done.err) == (6, True), done.both
    done = desk.ok("-b", "--no-sign", "--missing", "base")
    assert f"building on a base of {OWN}" in done.err
    assert f"base: {OWN} as of " in desk.log()
    assert subprocess.run(["dpkg-query", "-W", "bwt-good"], capture_output=True, check=False).returncode == 1


def test_no_fetch(bases: Bases, top: Path) -> None:
    desk = bases.desk(top, depends="bwt-good, cowsay")
    done = desk.run("-d", OWN, "-b", "--no-fetch")
    assert done.status == 6, done.both
    assert "which --no-fetch forbids" in done.err
    assert layers(top) == []
    set_depends(desk, "bwt-good")
    desk.ok("-d", OWN, "-b", "--no-sign", "--no-fetch")


# Inside


def test_files_of_a_base_belong_to_subordinate_ids(bases: Bases, top: Path) -> None:
    desk = bases.desk(top, depends="bwt-owner")
    desk.ok("-d", OWN, "-b", "--no-sign")
    base = own_base(desk) / "root"
    assert (base / "etc" / "passwd").stat().st_uid == first_id()
    assert (base / "usr" / "bin" / "su").stat().st_uid == first_id()
    assert (base / "var" / "mail").stat().st_gid == first_id() + 8
    (layer,) = layers(top)
    owned = (layer / "upper" / "usr" / "share" / "bwt-owner").stat()
    assert (owned.st_uid, owned.st_gid) == (first_id() + 5, first_id() + 8)
    assert desk.inside("stat -c %U:%G /usr/share/bwt-owner /etc/passwd", "-d", OWN).split() == [
        "games:mail",
        "root:root",
    ]


def test_nothing_of_the_host_is_visible(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    script = (
        "for name in /usr/bin/mmdebstrap /usr/bin/bwrap /usr/local/bin/* /home/* /srv/* /opt/* /mnt/*;"
        ' do [ ! -e "$name" ] || echo "$name is there"; done; cat /proc/self/mountinfo; cat /etc/passwd'
    )
    seen = desk.inside(script, "-d", OWN)
    assert "is there" not in seen
    assert str(bases.top) not in seen
    assert str(top) not in seen
    assert read_caller().name not in [line.split(":")[0] for line in seen.splitlines()]


def test_root_of_the_sandbox_cannot_write_to_base_or_layer(bases: Bases, top: Path) -> None:
    desk = bases.desk(top, depends="bwt-owner")
    script = """
    for file in /usr/new /usr/bin/su /usr/share/bwt-owner/new /var/lib/dpkg/status /new; do
      if /run/bwbuild/as-root sh -c 'echo x >> "$1"' sh "$file" 2>/dev/null; then echo "wrote $file"; fi
    done
    for file in /usr/bin/su /usr/share/bwt-owner; do
      if /run/bwbuild/as-root rm -r "$file" 2>/dev/null; then echo "removed $file"; fi
    done
    /run/bwbuild/as-root sh -c 'chmod 777 /usr' 2>/dev/null && echo "changed /usr" || :"""
    assert desk.inside(script, "-d", OWN) == ""
    assert not (own_base(desk) / "root" / "usr" / "new").exists()


# Ended early


def running_in(top: Path) -> list[tuple[int, str]]:
    return processes(str(top / "cache" / "work")) + processes(str(top / "cache" / "layers"))


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_layer_that_was_ended_early(bases: Bases, top: Path, number: signal.Signals) -> None:
    desk = bases.desk(top, depends="bwt-slow")
    running = desk.start("-d", OWN, "-b", "--no-sign")
    wait_for(lambda: processes("sleep\x0061") or running.poll() is not None, 60)
    assert running.poll() is None
    running.send_signal(number)
    running.communicate(timeout=60)
    assert running.returncode == (-9 if number == signal.SIGKILL else 130)
    wait_for(lambda: not processes("sleep\x0061"))
    left = layers(top)
    assert len(left) == (1 if number == signal.SIGKILL else 0)
    set_depends(desk, "bwt-good")
    desk.ok("-d", OWN, "-b", "--no-sign")
    (layer,) = layers(top)
    assert layer not in left
    assert list((top / "cache" / "work").iterdir()) == []


# Half a minute of processor time each, so one of them goes with the long ones.
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_base_that_was_ended_early(bases: Bases, top: Path, number: signal.Signals) -> None:
    desk = bases.desk(top / "new")
    place = top / "cache" / "bases"
    desk = Desk(desk.top, more=bases.environment(OWN, top / "cache"))
    running = desk.start("root", "create", OWN)
    wait_for(lambda: list(place.glob("*/root/usr")) or running.poll() is not None, 120)
    assert running.poll() is None
    running.send_signal(number)
    running.communicate(timeout=60)
    assert running.returncode == (-9 if number == signal.SIGKILL else 130)
    wait_for(lambda: not processes(str(place)))
    assert json.loads(desk.ok("root", "list", "--json").out) == []
    left = [path for path in place.iterdir() if path.is_dir()]
    assert len(left) == (1 if number == signal.SIGKILL else 0)
    if left:
        assert "base that is not whole" in desk.ok("clean").out
    done = command(desk, "root", "create", "nosuch")
    assert done.status == 4
    assert [path for path in place.iterdir() if path.is_dir()] == []
    discard(desk.scratch)


# Bases by hand


def test_list_shell_and_clean(bases: Bases, top: Path) -> None:
    desk = bases.desk(top, depends="bwt-good")
    desk.ok("-d", OWN, "-b", "--no-sign")
    (item,) = (item for item in json.loads(desk.ok("root", "list", "--json").out) if item["suite"] == OWN)
    assert item["size"] > 100 << 20
    assert Path(item["path"]).is_dir()
    assert item["id"] in desk.ok("root", "list").out
    assert "already" in desk.ok("root", "create", OWN).err
    done = desk.run("root", "shell", OWN, "--", "sh", "-c", "touch /usr/new && id -u; exit 3")
    assert (done.status, done.out) == (3, "0\n"), done.both
    done = desk.run("root", "shell", OWN, "--", "ls", "/usr/new", "/usr/bin/bwt-good")
    assert done.status == 2, "nothing stays, and no layer is there"
    devices = desk.ok("root", "shell", OWN, "--", "cat", "/proc/net/dev").out.splitlines()[2:]
    assert [line.partition(":")[0].strip() for line in devices] == ["lo"]
    listed = desk.ok("clean").out
    assert f"layer of 1 packages over {item['id']}" in listed
    assert f"base of {OWN} (" in listed
    assert "downloaded packages" in listed
    assert "1 choices of packages by apt" in listed
    assert "layer" not in desk.ok("clean", "--older-than", "1").out
    assert list((top / "cache" / "work").iterdir()) == []


def test_shell_on_a_terminal(bases: Bases, top: Path) -> None:
    """What holds it back takes nothing of job control, nor apt and dpkg."""
    session = start(bases.desk(top), "root", "shell", OWN)
    try:
        session.read(rb"# ", 300)
        session.type("PS1='READY''> '; bind 'set enable-bracketed-paste off'; stty -echoctl\n")
        session.read(PROMPT)
        assert session.command("grep Seccomp: /proc/self/status") == "Seccomp:\t2\n"
        session.type("sleep 100\n")
        session.read(rb"sleep 100\r\n")
        wait_for(lambda: in_front(session, "sleep"))
        session.type("\x1a")
        assert b"Stopped" in session.read(PROMPT)
        session.type("fg\n")
        session.read(rb"sleep 100\r\n")
        wait_for(lambda: in_front(session, "sleep"))
        session.type("\x03")
        session.read(PROMPT)
        session.command(
            f"cd /tmp; mkdir -p x/DEBIAN; printf '{CONTROL}' > x/DEBIAN/control; dpkg-deb -b x x.deb"
        )
        assert session.command("apt-get install -y -qq ./x.deb > said 2>&1 || cat said") == ""
        assert session.command("dpkg-query -Wf '${Status}\\n' bwt-x") == "install ok installed\n"
        session.type("exit 5\n")
        assert session.end() == 5
    finally:
        if session.pid:
            os.kill(session.pid, 9)
            os.waitpid(session.pid, 0)
        os.close(session.terminal)


def test_base_in_use_is_not_removed(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    command_line = ("root", "shell", OWN, "--", "sh", "-c", "echo ready; sleep 30")
    running = desk.start(*command_line)
    assert running.stdout
    assert running.stdout.readline() == b"ready\n"
    done = desk.run("root", "remove", OWN)
    assert (done.status, "is in use" in done.err) == (14, True), done.both
    (item,) = (item for item in json.loads(desk.ok("root", "list", "--json").out) if item["suite"] == OWN)
    assert item["in_use"]
    running.kill()
    running.communicate(timeout=30)
    desk.ok("-d", OWN, "-b", "--no-sign")


# Bad input


def test_unknown_suite(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    plain = Desk(desk.top, more={"BWBUILD_CACHE": str(top / "other")})
    done = command(plain, "-d", "nosuch", "-b", BWBUILD_BASE_MIRROR=suites.MIRROR)
    assert done.status == 4
    assert "no base of nosuch (amd64) can be made: the mirror has no such suite" in done.err
    assert "hint: check the suite's name" in done.err
    assert desk.published() == []


def test_mirror_that_cannot_be_reached(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    nowhere = {"http_proxy": "http://127.0.0.1:9"}
    done = command(desk, "-d", OWN, "-b", "--no-sign", "--base-refresh", "1s", **nowhere)
    assert done.status == 0, done.both
    assert "the mirror can't be reached; going on with the base of" in done.err
    (failed,) = (bases.cache / "bases").glob("*.failed")
    failed.unlink()
    done = command(desk, "-d", OWN, "-b", **nowhere, BWBUILD_CACHE=str(top / "other"))
    assert done.status == 4
    assert f"no base of {OWN} (amd64) can be made: the mirror can't be reached" in done.err
    assert "hint: check the network and the mirror (--base-mirror)" in done.err


def test_packages_that_cannot_be_fetched(bases: Bases, top: Path) -> None:
    """Where the base's repository of the tests' own packages is, nothing is inside."""
    desk = bases.desk(top, depends="bwt-good")
    archives = top / "cache" / "archives"
    archives.unlink()
    archives.mkdir()
    done = desk.run("-d", OWN, "-b")
    assert done.status == 4, done.both
    assert "can't be fetched" in done.err
    assert "hint: check the network" in done.err
    assert desk.published() == []


def test_maintainer_script_that_fails(bases: Bases, top: Path) -> None:
    desk = bases.desk(top, depends="bwt-broken")
    done = desk.run("-d", OWN, "-b")
    assert done.status == 4, done.both
    assert f"bwt-broken of {OWN} can't be installed" in done.err
    assert "the postinst says why" in done.err
    assert layers(top) == []


@pytest.mark.parametrize("depends", ["bwt-lost", "bwt-none", "bwt-good (>= 2)"])
def test_dependencies_that_cannot_be_met(bases: Bases, top: Path, depends: str) -> None:
    desk = bases.desk(top, depends=depends)
    done = desk.run("-d", OWN, "-b", "--report", top / "report")
    assert done.status == 6, done.both
    assert f"apt can't satisfy the build dependencies in {OWN}" in done.err
    assert depends.split(maxsplit=1)[0] in done.err
    report = desk.report(top / "report")
    assert any(depends.split(maxsplit=1)[0] in line for line in report["failure"]["details"])


def test_architecture_that_cannot_run(top: Path) -> None:
    if Path("/proc/sys/fs/binfmt_misc/qemu-s390x").exists():
        pytest.skip("this machine runs it")
    desk = make_desk(top / "desk")
    done = desk.run("root", "create", OWN, "--architecture", "s390x")
    assert (done.status, "programs of s390x can't run" in done.err) == (4, True), done.both
    assert "qemu-user-static" in done.err


def test_one_id_is_too_few(top: Path) -> None:
    desk = make_desk(top / "desk")
    done = desk.run("-d", OWN, "-b", "--identity", "single")
    assert (done.status, "needs subordinate ids" in done.err) == (4, True), done.both
    assert "hint: bwbuild doctor says how to get some" in done.err


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository whose Release files a key of the tests signs, and a keyring with it."""
    need("gpg", "gpgv")
    top = tmp_path_factory.mktemp("repository")
    with gnupg_home() as home:
        _publish(top, home)
    return top


def _publish(top: Path, home: Path) -> None:
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-generate-key", "bwt@example.org", "default", "sign", "never"], check=True)
    subprocess.run([*gpg, "--output", top / "keyring.gpg", "--export"], check=True)
    for suite, until in (
        ("good", "Mon, 01 Jan 2035 00:00:00 UTC"),
        ("expired", "Tue, 02 Jan 2024 00:00:00 UTC"),
    ):
        place = top / "dists" / suite
        (place / "main" / "binary-amd64").mkdir(parents=True)
        (place / "main" / "binary-amd64" / "Packages").write_text("")
        text = (
            f"Origin: bwt\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
            f"Date: Mon, 01 Jan 2024 00:00:00 UTC\nValid-Until: {until}\nAcquire-By-Hash: no\n"
            f"SHA256:\n {hashlib.sha256().hexdigest()} 0 main/binary-amd64/Packages\n"
        )
        (place / "Release").write_text(text)
        subprocess.run([*gpg, "--clearsign", "--output", place / "InRelease", place / "Release"], check=True)


@pytest.mark.parametrize(
    ("suite", "cause", "hint"),
    [
        ("good", "the signature of its Release file is not one of the keyring's", "--base-keyring"),
        ("expired", "its Release file has expired", "check-valid-until=no"),
    ],
)
def test_release_file_that_is_not_to_be_trusted(
    top: Path, repository: Path, suite: str, cause: str, hint: str
) -> None:
    need("mmdebstrap")
    desk = make_desk(top / "desk")
    words = ["--base-mirror", f"deb [check-valid-until=yes] copy:{repository} {suite} main"]
    if suite == "expired":
        words += ["--base-keyring", str(repository / "keyring.gpg")]
    done = command(desk, "root", "create", suite, *words)
    assert done.status == 4, done.both
    assert f"no base of {suite} (amd64) can be made: {cause}" in done.err
    assert hint in done.err
    assert [path for path in (top / "cache" / "bases").iterdir() if path.is_dir()] == []


def test_keyring_that_is_not_there(top: Path) -> None:
    need("mmdebstrap")
    desk = make_desk(top / "desk")
    done = desk.run("root", "create", OWN, "--base-keyring", top / "none.gpg")
    assert (done.status, f"the keyring {top}/none.gpg can't be read" in done.err) == (3, True), done.both
