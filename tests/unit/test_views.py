"""The cache of declared views: complete or not there, one maker at a time, remade, pruned, removed."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import wait_for

from bwbuild.errors import BwbuildError, HostError, OutputError
from bwbuild.root import views
from bwbuild.root.contents import Contents, Cover
from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, SHARED, locked, turn
from bwbuild.root.views import Made, Maker, View

KEY = "0123456789abcdef0123456789abcdef"
FORK = multiprocessing.get_context("fork")


def nobody() -> None:
    raise AssertionError("there is nobody to wait for")


class Host:
    """Where one test's cache is, and a file that the views are made from."""

    def __init__(self, top: Path) -> None:
        self.base = top / "views"
        self.file = top / "passwd"
        self.calls = top / "calls"
        self.dpkg = top / "dpkg"
        self.file.write_text("one\n")
        self.calls.touch()
        self.settle()

    def settle(self) -> None:
        """Let the kernel's clock go on: a change in the tick in which a view is begun may be in it or not."""
        time.sleep(0.02)

    def change(self, text: str) -> None:
        self.file.write_text(text)
        self.settle()

    def make(self, place: Path) -> Made:
        with self.calls.open("a") as calls:
            calls.write("made\n")
        (place / "copy").write_text(self.file.read_text())
        contents = Contents(
            (Cover("usr", "/usr"),), ("/lib32",), (str(self.file), "/nonexistent"), ("/usr/x: why",)
        )
        return Made({"hello:amd64": "2.10"}, ("x: missing",), contents)

    @property
    def made(self) -> int:
        return self.calls.read_text().count("made")

    @contextmanager
    def opened(self, make: Maker | None = None, waiting: Callable[[], None] = nobody) -> Iterator[View]:
        with views.opened(self.base, KEY, make or self.make, waiting) as view:
            yield view

    def path(self) -> Path:
        """A view that nobody uses."""
        with self.opened() as view:
            return view.path

    def names(self) -> list[str]:
        return sorted(path.name for path in self.base.iterdir())


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    dpkg = tmp_path / "dpkg"
    dpkg.mkdir()
    (dpkg / "status").write_text("")
    monkeypatch.setattr(views, "DIRECTORY", dpkg)
    return Host(tmp_path)


def fails(error: BaseException) -> Maker:
    def make(place: Path) -> Made:
        (place / "half").write_text("half\n")
        raise error

    return make


# One view


def test_what_was_made_is_what_is_opened(host: Host) -> None:
    with host.opened() as first:
        pass
    with host.opened() as second:
        assert second == first
    assert host.made == 1
    assert first == View(
        path=first.path,
        packages={"hello:amd64": "2.10"},
        missing=("x: missing",),
        covers=(Cover("usr", "/usr"),),
        bound=("/lib32",),
        failed=("/usr/x: why",),
        database=views.database_stamp(),
    )
    assert (first.path / "copy").read_text() == "one\n"
    assert host.names() == [first.path.name]


def test_view_is_readable_for_all(host: Host) -> None:
    assert host.path().stat().st_mode & 0o777 == 0o755


def test_keys_are_apart(host: Host) -> None:
    for key in ("a" * 32, "b" * 32, "a" * 32):
        with views.opened(host.base, key, host.make, nobody):
            pass
    assert host.made == 2


def test_key_is_of_what_is_asked_and_of_the_database(host: Host) -> None:
    key = views.key_of({"depends": "a", "profiles": []})
    assert key == views.key_of({"profiles": [], "depends": "a"})
    assert key != views.key_of({"profiles": [], "depends": "b"})
    (host.dpkg / "status").write_text("x")
    assert key != views.key_of({"profiles": [], "depends": "a"})


# Remade


def test_changed_file_is_another_view(host: Host) -> None:
    old = host.path()
    host.change("two\n")
    with host.opened() as view:
        assert (view.path / "copy").read_text() == "two\n"
    assert not old.exists()


def test_change_that_keeps_time_and_size_is_seen(host: Host) -> None:
    host.path()
    before = host.file.stat()
    host.file.write_text("two\n")
    os.utime(host.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert host.file.stat().st_mtime_ns == before.st_mtime_ns
    host.settle()
    with host.opened() as view:
        assert (view.path / "copy").read_text() == "two\n"


def test_removed_file_is_another_view(host: Host) -> None:
    host.path()
    host.file.rename(host.file.with_name("gone"))
    made = []

    def make(place: Path) -> Made:
        made.append(place)
        return Made({}, (), Contents((), (), ()))

    with host.opened(make):
        assert made


def test_stale_view_in_use_stays_for_its_user(host: Host) -> None:
    with host.opened() as old:
        host.change("two\n")
        with host.opened() as new:
            assert new.path != old.path
            assert (old.path / "copy").read_text() == "one\n"
    host.change("three\n")
    host.path()
    assert not old.path.exists()


def test_change_while_it_is_made_makes_it_anew(host: Host) -> None:
    def make(place: Path) -> Made:
        made = host.make(place)
        if host.made == 1:
            host.change("two\n")
        return made

    with host.opened(make) as view:
        assert (view.path / "copy").read_text() == "two\n"
    assert host.made == 2
    assert host.names() == [view.path.name]


@pytest.mark.parametrize("name", ["passwd", "dpkg/status"])
def test_machine_that_never_rests_is_an_error(host: Host, name: str) -> None:
    def make(place: Path) -> Made:
        made = host.make(place)
        (host.file.parent / name).write_text(str(host.made))
        return made

    with pytest.raises(HostError, match="was changed"), host.opened(make):
        pass
    assert host.made > 1
    assert host.names() == []


# Half made


@pytest.mark.parametrize(
    "error",
    [HostError("x"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")],
    ids=lambda e: type(e).__name__,
)
def test_failed_maker_leaves_nothing(host: Host, error: BaseException) -> None:
    with pytest.raises((BwbuildError, KeyboardInterrupt)), host.opened(fails(error)):
        pass
    assert host.names() == []
    assert (host.path() / "copy").exists()


def test_full_disk_names_place_and_remedy(host: Host) -> None:
    with pytest.raises(OutputError) as caught, host.opened(fails(OSError(errno.ENOSPC, "No space left"))):
        pass
    assert f"{host.base}: No space left" in caught.value.message
    assert "bwbuild clean" in caught.value.hint


def test_cache_that_cannot_be_written(host: Host) -> None:
    host.base.write_text("in the way")
    with pytest.raises(OutputError, match="File exists"), host.opened():
        pass


def test_error_of_the_user_of_a_view_is_his_own(host: Host) -> None:
    with pytest.raises(FileNotFoundError), host.opened():
        raise FileNotFoundError
    assert len(host.names()) == 1


def in_child(what: Callable[[], None]) -> int:
    """Run ``what`` in a process of its own; its exit status."""
    child = FORK.Process(target=what)
    child.start()
    child.join(30)
    assert child.exitcode is not None
    return child.exitcode


@pytest.mark.parametrize("limit", [3, 100, 400])
def test_write_that_the_system_refuses(host: Host, limit: int) -> None:
    """A limit on the size of files, in place of a full disk: copy, list and record meet it in turn."""

    def make(place: Path) -> Made:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        (place / "copy").write_text(host.file.read_text())
        many = {f"package{number}:amd64": "1" for number in range(20)}
        return Made(many, (), Contents((), (), tuple(f"/nonexistent{number}" for number in range(10))))

    def child() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with pytest.raises(OutputError, match="File too large"), host.opened(make):
            pass
        assert host.names() == []

    assert in_child(child) == 0
    host.path()
    assert host.made == 1


@pytest.mark.parametrize("when", ["making", "stamping", "writing", "renaming"])
def test_killed_maker_leaves_what_nobody_uses(host: Host, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def child() -> None:
        if when == "stamping":
            monkeypatch.setattr(views, "_times", die)
        if when == "writing":
            monkeypatch.setattr(json, "dumps", die)
        if when == "renaming":
            monkeypatch.setattr(Path, "rename", die)
        with host.opened(die if when == "making" else host.make):  # type: ignore[arg-type]
            pass

    host.base.mkdir()
    assert in_child(child) == -signal.SIGKILL
    left = [path for path in host.base.iterdir() if path.is_dir()]
    assert [(item.path, item.packages, item.in_use) for item in views.stored(host.base)] == [
        (path, 0, False) for path in left
    ]
    with host.opened() as view:
        assert view.path not in left
        assert (view.path / "copy").read_text() == "one\n"
    assert host.names() == [view.path.name]


@pytest.mark.parametrize("text", ["", "{", '{"layout": 0}'])
def test_record_that_is_no_record_is_not_used(host: Host, text: str) -> None:
    old = host.path()
    (old / "view.json").write_text(text)
    assert host.path() != old
    assert not old.exists()


def test_view_without_its_list_is_not_used(host: Host) -> None:
    old = host.path()
    (old / "read").unlink()
    assert host.path() != old


# Two at once


def test_two_makers_make_one_view(host: Host) -> None:
    inside, go, waits = FORK.Event(), FORK.Event(), FORK.Event()

    def slow(place: Path) -> Made:
        inside.set()
        assert go.wait(30)
        return host.make(place)

    def second() -> None:
        with host.opened(waiting=waits.set) as view:
            assert (view.path / "copy").read_text() == "one\n"

    def first() -> None:
        with host.opened(slow):
            pass

    children = [FORK.Process(target=first), FORK.Process(target=second)]
    children[0].start()
    assert inside.wait(30)
    children[1].start()
    assert waits.wait(30)
    go.set()
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0, 0]
    assert host.made == 1
    assert len(host.names()) == 1


def test_many_makers_make_one_view(host: Host) -> None:
    def slow(place: Path) -> Made:
        time.sleep(0.1)
        return host.make(place)

    found: list[Path] = []

    def child() -> None:
        with host.opened(slow, lambda: None) as view:
            found.append(view.path)

    threads = [threading.Thread(target=child) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (host.made, len(found), len(set(found))) == (1, 8, 1)


def test_who_waits_for_one_that_fails_makes_it(host: Host) -> None:
    inside, waits = FORK.Event(), FORK.Event()

    def failing(place: Path) -> Made:
        inside.set()
        assert waits.wait(30)
        raise HostError("no")

    def first() -> None:
        with pytest.raises(HostError), host.opened(failing):
            pass

    child = FORK.Process(target=first)
    child.start()
    assert inside.wait(30)
    with host.opened(waiting=waits.set) as view:
        assert (view.path / "copy").exists()
    child.join(30)
    assert child.exitcode == 0


def test_who_waits_for_one_that_is_killed_makes_it(host: Host) -> None:
    inside = FORK.Event()

    def hang(place: Path) -> Made:
        inside.set()
        time.sleep(60)
        raise AssertionError

    def first() -> None:
        with host.opened(hang):
            pass

    child = FORK.Process(target=first)
    child.start()
    assert inside.wait(30)
    with host.opened(waiting=child.kill) as view:
        assert (view.path / "copy").exists()
    child.join(30)
    # What the killed one left goes when the next view is made.
    host.change("two\n")
    assert len([name for name in [host.path().name, *host.names()] if name.startswith(KEY)]) == 2


def test_interrupted_while_waiting_has_no_lock(host: Host, tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    def interrupt() -> None:
        raise KeyboardInterrupt

    with turn(lock, nobody), pytest.raises(KeyboardInterrupt), turn(lock, interrupt):
        raise AssertionError
    with turn(lock, nobody):
        pass
    assert not lock.exists()


def test_lock_file_that_goes_away_under_those_who_wait(tmp_path: Path) -> None:
    """Never are two in there, although each removes the file that the others wait at."""
    lock, count, worst = tmp_path / "lock", [0], [0]

    def child() -> None:
        for _ in range(50):
            with turn(lock, lambda: None):
                count[0] += 1
                worst[0] = max(worst[0], count[0])
                time.sleep(0.0002)
                count[0] -= 1

    threads = [threading.Thread(target=child) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert worst == [1]
    assert not lock.exists()


def test_lock_on_what_was_removed_meanwhile_does_not_count(tmp_path: Path) -> None:
    place = tmp_path / "view"
    place.mkdir()
    got: list[bool] = []

    def wait() -> None:
        with locked(place, SHARED) as held:
            got.append(held)

    with locked(place, EXCLUSIVE) as mine:
        assert mine
        thread = threading.Thread(target=wait)
        thread.start()
        wait_for(lambda: _waiters(place) == 1)
        place.rmdir()
        place.mkdir()
    thread.join(30)
    assert got == [False]


def _waiters(path: Path) -> int:
    """How many wait for the lock of ``path``, as the kernel tells."""
    inode = f":{path.stat().st_ino} "
    return sum(
        "->" in line and inode in line
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()
    )


def test_maker_whose_directory_a_pruner_takes_makes_another(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tempfile.mkdtemp
    taken: list[str] = []

    def mkdtemp(**words: Any) -> str:
        path: str = real(**words)
        if not taken:
            taken.append(path)
            views.prune(host.base)
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with host.opened() as view:
        assert str(view.path) != taken[0]
    assert host.made == 1
    assert host.names() == [view.path.name]


def test_pruner_leaves_what_is_being_made(host: Host) -> None:
    def make(place: Path) -> Made:
        views.prune(host.base)
        assert views.stored(host.base) == []
        return host.make(place)

    with host.opened(make):
        pass
    assert host.made == 1


def test_opening_and_removing_at_once(host: Host) -> None:
    """Whoever has opened a view has all of it, whatever others remove."""
    stop = threading.Event()

    def remover() -> None:
        while not stop.is_set():
            for item in views.stored(host.base):
                views.remove(item.path)

    thread = threading.Thread(target=remover)
    thread.start()
    try:
        for _ in range(60):
            with host.opened() as view:
                assert (view.path / "copy").read_text() == "one\n"
                assert (view.path / "view.json").exists()
    finally:
        stop.set()
        thread.join(30)


def test_looking_at_a_view_does_not_keep_others_from_it(host: Host) -> None:
    old = host.path()
    with locked(old, EXCLUSIVE | AT_ONCE) as held:
        assert held
        done: list[Path] = []
        thread = threading.Thread(target=lambda: done.append(host.path()))
        thread.start()
        wait_for(lambda: _waiters(old) == 1)
    thread.join(30)
    assert (done, host.made) == ([old], 1)


# What is stored, and removed


def test_stored(host: Host) -> None:
    with host.opened() as view:
        (used,) = views.stored(host.base)
        assert (used.path, used.packages, used.current, used.in_use) == (view.path, 1, True, True)
        assert not views.remove(view.path)
        assert view.path.exists()
    (free,) = views.stored(host.base)
    assert not free.in_use
    assert free.size >= 4096
    assert abs(free.made - time.time()) < 60
    host.change("two\n")
    assert not views.stored(host.base)[0].current
    assert views.remove(view.path)
    assert not views.remove(view.path)
    assert views.stored(host.base) == []


def test_stored_of_a_cache_that_is_not_there(tmp_path: Path) -> None:
    assert views.stored(tmp_path / "none") == []
    views.prune(tmp_path / "none")


def test_the_one_used_last_is_first(host: Host) -> None:
    ages = {"a" * 32: 300, "b" * 32: 100, "c" * 32: 200}
    for key, age in ages.items():
        with views.opened(host.base, key, host.make, nobody) as view:
            aged(view.path, age)
    assert [item.path.name[0] for item in views.stored(host.base)] == ["b", "c", "a"]


def test_opening_is_use(host: Host) -> None:
    path = host.path()
    os.utime(path, (100, 100))
    host.path()
    assert time.time() - path.stat().st_mtime < 60


def aged(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize(("age", "stays"), [(views.OLD - 60, True), (views.OLD + 60, False)])
def test_prune_by_age(host: Host, age: float, stays: bool) -> None:
    path = host.path()
    aged(path, age)
    views.prune(host.base)
    assert path.exists() is stays


@pytest.mark.parametrize(("age", "stays"), [(views.OUTDATED - 60, True), (views.OUTDATED + 60, False)])
def test_prune_of_another_state_of_the_database(host: Host, age: float, stays: bool) -> None:
    path = host.path()
    (host.dpkg / "status").write_text("x")
    aged(path, age)
    views.prune(host.base)
    assert path.exists() is stays


def test_prune_by_size_removes_the_one_used_longest_ago(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    for number in range(3):
        with views.opened(host.base, str(number) * 32, host.make, nobody) as view:
            paths.append(view.path)
        aged(view.path, 1000 - number)
    size = views.stored(host.base)[0].size
    monkeypatch.setattr(views, "LARGE", 2 * size)
    views.prune(host.base)
    assert [path.exists() for path in paths] == [False, True, True]


def test_prune_leaves_what_is_in_use(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "LARGE", 0)
    with host.opened() as view:
        aged(view.path, views.OLD * 2)
        views.prune(host.base)
        assert (view.path / "copy").exists()
    views.prune(host.base)
    assert host.names() == []


def test_making_prunes(host: Host) -> None:
    path = host.path()
    aged(path, views.OLD + 60)
    with views.opened(host.base, "f" * 32, host.make, nobody):
        assert not path.exists()


@pytest.mark.parametrize(("age", "stays"), [(0, True), (7200, False)])
def test_prune_of_lock_files(host: Host, age: float, stays: bool) -> None:
    host.base.mkdir()
    lock = host.base / f"{KEY}.lock"
    lock.touch()
    aged(lock, age)
    views.prune(host.base)
    assert lock.exists() is stays


def test_prune_leaves_a_lock_that_somebody_has(host: Host) -> None:
    host.base.mkdir()
    lock = host.base / f"{KEY}.lock"
    with turn(lock, nobody):
        aged(lock, 7200)
        views.prune(host.base)
        assert lock.exists()


def test_view_that_cannot_be_removed_keeps_nobody_from_making_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = host.path()
    host.change("two\n")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(old))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with host.opened() as view:
        assert (view.path / "copy").read_text() == "two\n"
    with pytest.raises(PermissionError):
        views.remove(old)
    assert [item.packages for item in views.stored(host.base) if item.path == old] == [0]


def test_locks_are_not_inherited(host: Host) -> None:
    with host.opened() as view, locked(view.path, SHARED):
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
        inode = view.path.stat().st_ino
        mine = [fd for fd in numbers if _is(fd, inode)]
        assert len(mine) == 2
        assert all(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for fd in mine)


def _is(descriptor: int, inode: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino == inode
    except OSError:
        return False
