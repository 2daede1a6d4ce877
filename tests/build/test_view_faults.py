"""A view that can't be made, or not at once: bad relations, a broken dpkg, a full disk, kills."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support import COMMAND, PATIENCE, Desk, Done, Rules, give_up, make_desk, need, snapshot, wait_for

from bwbuild.build.execute import CHANGED

STATUS = Path("/var/lib/dpkg/status")


@pytest.fixture
def fresh(tmp_path: Path) -> Desk:
    """A desk whose cache has no view yet."""
    need("bwrap", "dpkg-buildpackage", "unshare")
    return own_cache(make_desk(tmp_path))


def own_cache(desk: Desk) -> Desk:
    return replace(desk, more={"BWBUILD_CACHE": str(desk.top / "cache")})


def views(desk: Desk) -> list[Path]:
    """The directories of views, whole or not."""
    return [path for path in Path(desk.environment["BWBUILD_CACHE"], "views").glob("*") if path.is_dir()]


def begun(desk: Desk) -> list[Path]:
    """Those with anything in them: an empty one is taken for a remainder until its maker locks it."""
    found = []
    for path in views(desk):
        with suppress(FileNotFoundError):
            found += [path] if any(path.iterdir()) else []
    return found


def whole(desk: Desk) -> list[Path]:
    return [path for path in views(desk) if (path / "view.json").exists()]


def declare(desk: Desk, lines: str) -> None:
    """Give the tree other build relations."""
    control = desk.tree / "debian" / "control"
    control.write_text(control.read_text().replace("Build-Depends: python3", lines))


def within(desk: Desk, mounts: str, *words: str) -> Done:
    """Run the command in a namespace of its own, after the mounts of a shell script."""
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", f'{mounts}\nexec "$@"', "sh"),
            *(*COMMAND, *words),
        ],
        cwd=desk.tree,
        env=desk.environment | {"BWBUILD_IDENTITY": "single"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.stderr.startswith(("unshare:", "mount:")):
        give_up(done.stderr)
    return Done(done.returncode, done.stdout, done.stderr)


def check_refused(desk: Desk, done: Done, status: int, *texts: str) -> None:
    """It failed with a message and a remedy; nothing was made, lost or left."""
    assert done.status == status, done.both
    assert "Traceback" not in done.both
    assert "hint:" in done.err
    for text in texts:
        assert text in done.err, done.err
    assert desk.published() == []
    assert desk.left() == []
    assert whole(desk) == views(desk)


# What the source declares


@pytest.mark.parametrize(
    ("lines", "status", "texts"),
    [
        ("Build-Depends: no-such-package", 6, ("no-such-package (Build-Depends)", "build-dep")),
        ("Build-Depends: make (>= 99)", 6, ("make (>= 99) (Build-Depends)", "build-dep")),
        ("Build-Depends: nowhere | neither", 6, ("nowhere | neither", "build-dep")),
        ("Build-Depends-Indep: nowhere", 6, ("nowhere (Build-Depends-Indep)", "build-dep")),
        ("Build-Depends: nowhere, make (<< 1)", 6, ("2 build dependencies are not met", "make (<< 1)")),
        ("Build-Conflicts: make", 6, ("make (Build-Conflicts)", "needed by other build dependencies")),
        ("Build-Depends: make (== 4)", 5, ("Build-Depends", "make (== 4)")),
        ("Build-Depends: make (>= 4", 5, ("Build-Depends", "make (>= 4")),
    ],
)
def test_relations_that_can_not_be_met(desk: Desk, lines: str, status: int, texts: tuple[str, ...]) -> None:
    declare(desk, lines)
    before = snapshot(desk.parent)
    done = desk.run("-b")
    assert done.status == status, done.both
    assert done.err.startswith("bwbuild: error: ")
    for text in (*texts, "hint:"):
        assert text in done.err
    assert snapshot(desk.parent) == before
    assert desk.left() == []


def test_unchecked_relations_are_no_error(desk: Desk) -> None:
    declare(desk, "Build-Depends: python3, no-such-package")
    desk.ok("-b", "-d")
    assert "tiny_1_all.deb" in desk.published()


# What dpkg has


def broken_status(desk: Desk, package: str, state: str) -> str:
    """The script that lays a copy of dpkg's list over the real one, with a package in another state."""
    copy = desk.top / "status"
    paragraphs = STATUS.read_text(encoding="utf-8").split("\n\n")
    (wanted,) = (text for text in paragraphs if text.startswith(f"Package: {package}\n"))
    text = "\n\n".join(paragraphs).replace(wanted, wanted.replace("install ok installed", state))
    copy.write_text(text, encoding="utf-8")
    return f"mount --bind {copy} {STATUS}"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("install ok half-installed", "half-installed"),
        ("install ok unpacked", "unpacked"),
        ("install reinstreq half-installed", "half-installed"),
        ("deinstall ok config-files", "not installed"),
    ],
)
def test_package_that_is_not_installed_as_a_whole(fresh: Desk, state: str, text: str) -> None:
    done = within(fresh, broken_status(fresh, "make", state), "-b")
    check_refused(fresh, done, 6, "make (dpkg-dev:all, Depends)", text, "apt-get build-dep")


def test_status_that_does_not_parse(fresh: Desk) -> None:
    copy = fresh.top / "status"
    copy.write_text("Package: make\nVersion: 1\nno field at all\n")
    done = within(fresh, f"mount --bind {copy} {STATUS}", "-b")
    check_refused(fresh, done, 4, "dpkg")


def test_list_of_files_that_is_gone(fresh: Desk) -> None:
    """/var/lib/dpkg/info is hidden but for the files of one package less."""
    info = "/var/lib/dpkg/info"
    mask = fresh.top / "mask"
    mask.mkdir()
    script = (
        f'mknod {mask}/make.list c 0 0; mount -t overlay overlay -o "userxattr,lowerdir={mask}:{info}" {info}'
    )
    done = within(fresh, script, "-b")
    check_refused(fresh, done, 4, "dpkg's list of the files of make", "--reinstall make")


def test_dpkg_at_work(fresh: Desk) -> None:
    updates = fresh.top / "updates"
    updates.mkdir()
    (updates / "0000").write_text("Package: make\nStatus: install ok half-configured\nVersion: 1\n")
    done = within(fresh, f"mount --bind {updates} /var/lib/dpkg/updates", "-b")
    check_refused(fresh, done, 4, "dpkg")


def test_dpkg_that_comes_to_its_end(fresh: Desk) -> None:
    """A run of hours meets apt sooner or later: it is no error to be waited for."""
    updates, lock, said = (fresh.top / name for name in ("updates", "lock", "said"))
    updates.mkdir()
    (updates / "0000").write_text("")
    dpkg = fresh.top / "dpkg"
    dpkg.write_text(
        "import fcntl, os, time\n"
        f"lock = open({str(lock)!r}, 'w')\n"
        "fcntl.lockf(lock, fcntl.LOCK_EX)\n"
        f"open({str(said)!r}, 'w').close()\n"
        f"while 'waiting for its end' not in open({str(said)!r}).read(): time.sleep(0.1)\n"
        f"os.unlink({str(updates / '0000')!r})\n"
    )
    mounts = (
        f"timeout 60 /usr/bin/python3 {dpkg} >/dev/null 2>&1 & until [ -e {said} ]; do sleep 0.1; done\n"
        f"mount --bind {updates} /var/lib/dpkg/updates; mount --bind {lock} /var/lib/dpkg/lock; exec 2>{said}"
    )
    done = within(fresh, mounts, "-b")
    assert done.status == 0, said.read_text()
    assert "dpkg changes what is installed; waiting for its end" in said.read_text()
    assert any(name.endswith(".deb") for name in fresh.published())


def test_packages_that_change_during_the_build(tmp_path: Path) -> None:
    """Somebody installs something meanwhile: no error, but nobody may miss it."""
    copy = tmp_path / "status"
    desk = own_cache(make_desk(tmp_path, Rules(during="echo x > begun; sleep 2")))
    shutil.copy(STATUS, copy)
    mounts = f"mount --bind {copy} {STATUS}"
    change = f"(until ls {desk.scratch}/*/upper/begun; do sleep 0.1; done; touch {copy}) >/dev/null 2>&1 &"
    done = within(desk, f"{mounts}\n{change}", "-b", "--report", str(tmp_path / "report"))
    assert done.status == 0, done.both
    assert CHANGED in done.both
    assert CHANGED in desk.log()
    assert CHANGED in desk.report(tmp_path / "report")["weakenings"]
    before = set(views(desk))
    assert within(desk, mounts, "-b").status == 0
    assert set(views(desk)) - before, "the view of another state was used again"


# The cache


def test_full_cache(fresh: Desk) -> None:
    cache = fresh.top / "cache"
    cache.mkdir()
    done = within(fresh, f"mount -t tmpfs -o size=256k bwbuild {cache}", "-b")
    check_refused(fresh, done, 14, "No space left on device", str(cache), "bwbuild clean")


def test_cache_that_can_not_be_written(fresh: Desk) -> None:
    cache = fresh.top / "cache"
    cache.mkdir()
    done = within(fresh, f"mount -t tmpfs -o ro bwbuild {cache}", "-b")
    check_refused(fresh, done, 14, "Read-only file system", str(cache), "--view host")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_is_made(fresh: Desk, number: signal.Signals) -> None:
    running = fresh.start("-b")
    wait_for(lambda: views(fresh))
    unfinished = set(views(fresh))
    assert whole(fresh) == [], "it was made too soon to be interrupted"
    running.send_signal(number)
    output, _ = running.communicate(timeout=30)
    assert b"Traceback" not in output
    assert whole(fresh) == []
    if number is not signal.SIGKILL:
        assert running.returncode == 130, output
        assert views(fresh) == []
    assert fresh.left() == []
    assert fresh.published() == []
    fresh.ok("-b")
    assert views(fresh) == whole(fresh)
    assert len(whole(fresh)) == 1
    assert not unfinished & set(views(fresh)), "what was left was used"


def test_two_at_once_make_it_once(fresh: Desk) -> None:
    both = [fresh.start("-b"), fresh.start("-b")]
    seen: set[Path] = set()
    wait_for(
        lambda: seen.update(begun(fresh)) or all(running.poll() is not None for running in both), PATIENCE
    )
    outputs = [running.communicate()[0] for running in both]
    assert [running.returncode for running in both] == [0, 0], outputs
    assert seen == set(whole(fresh)) == set(views(fresh))
    assert len(seen) == 1
    assert len([name for name in fresh.published() if name.endswith(".deb")]) == 1


def test_a_damaged_view_is_made_again(fresh: Desk) -> None:
    fresh.ok("-b")
    (view,) = whole(fresh)
    (view / "view.json").write_text("")
    fresh.ok("-b")
    (new,) = views(fresh)
    assert new != view
    assert json.loads((new / "view.json").read_text())


# A kernel that refuses


BELOW_USR = "mount --bind /usr/bin/true /usr/bin/false"


@pytest.mark.parametrize("cached", [True, False])
def test_something_is_mounted_below_usr(fresh: Desk, cached: bool) -> None:
    """Whether it is making the view that fails, or the sandbox with one from the cache."""
    if cached:
        fresh.ok("run", "--identity", "single", "--", "true")
    done = within(fresh, BELOW_USR, "-b", "--keep", "never")
    assert bool(whole(fresh)) is cached
    check_refused(fresh, done, 4, "something is mounted below /usr (/usr/bin/false", "bwbuild --view host")


def test_the_doctor_knows_what_is_mounted_below_usr(desk: Desk) -> None:
    found = within(desk, BELOW_USR, "doctor", "--json")
    assert found.status == 4, found.both
    row = {row["name"]: row for row in json.loads(found.out)}["view"]
    assert row["status"] == "failed"
    assert "/usr/bin/false" in row["cause"]
    assert "--view host" in row["remedy"]
    host = replace(desk, more={"BWBUILD_VIEW": "host"})
    found = within(host, BELOW_USR, "doctor", "--json")
    assert found.status == 0, found.both
    assert {row["name"]: row for row in json.loads(found.out)}["view"]["status"] == "info"


def test_the_host_view_needs_no_overlay(desk: Desk) -> None:
    done = within(desk, BELOW_USR, "-b", "--view", "host")
    assert done.status == 0, done.both
    assert "tiny_1_all.deb" in desk.published()
