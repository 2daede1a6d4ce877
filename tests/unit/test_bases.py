"""The cache of bases: complete or not there, one maker at a time, made anew when old, pruned, removed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from made_bases import DAY, SUITE, Cache, unused_for
from support import wait_for

from bwbuild.errors import HostError, OutputError
from bwbuild.root import bases, bootstrap, records
from bwbuild.root.locks import turn

FORK = multiprocessing.get_context("fork")
FAILURE = HostError("the mirror can't be reached", hint="wait")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    made = Cache(tmp_path / "cache")
    monkeypatch.setattr(bootstrap, "make", made.make)
    return made


def fail(_: Path) -> None:
    raise FAILURE


def interrupt(_: Path) -> None:
    raise KeyboardInterrupt


def names(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.bases.iterdir())


def test_it_is_made_once(cache: Cache) -> None:
    first = cache.base()
    assert cache.base() == first
    assert cache.calls == ["base:trixie"]
    assert (first.root / "file").read_text() == "trixie"
    assert first.suite == SUITE
    assert first.id == first.path.name
    assert abs(first.made - time.time()) < 60
    assert first.size > 0
    assert names(cache) == [first.id]
    assert [notice.text for notice in cache.said] == [
        "making a base of trixie with mmdebstrap, once; it takes a minute"
    ]


@pytest.mark.parametrize(
    "other",
    [
        replace(SUITE, name="sid"),
        replace(SUITE, architecture="arm64"),
        replace(SUITE, mirror="http://mirror.example.org"),
        replace(SUITE, components="main,contrib"),
        replace(SUITE, keyring=Path("/keyring.gpg")),
    ],
    ids=str,
)
def test_another_suite_is_another_base(cache: Cache, other: object) -> None:
    assert isinstance(other, type(SUITE))
    first, second = cache.base(), cache.base(other)
    assert first.path != second.path
    assert second.suite == other
    assert {base.id for base in bases.complete(cache.bases)} == {first.id, second.id}


def test_ids_of_another_kind_make_another_base(cache: Cache) -> None:
    first = cache.base()
    wish = cache.wish()
    with bases.opened(replace(wish, identity=replace(wish.identity, uid=4711))) as second:
        assert second.id != first.id
    assert cache.base() == first


def test_fresher_one_takes_the_place_of_one_that_is_too_old(cache: Cache) -> None:
    old = cache.age(cache.base(), 8)
    fresh = cache.base()
    assert fresh.id != old.id
    assert names(cache) == [fresh.id]
    assert cache.warnings == []


def test_old_one_stays_while_it_is_in_use(cache: Cache) -> None:
    first = cache.base()
    with bases.opened(cache.wish()) as used:
        cache.age(first, 8)
        fresh = cache.base()
        assert fresh.id != used.id
        assert (used.root / "file").exists()
        assert names(cache) == sorted([used.id, fresh.id])
    assert cache.base() == fresh, "the newest is taken"
    bases.update(cache.wish())
    assert used.id not in names(cache)


def test_one_that_is_too_old_is_better_than_none(cache: Cache) -> None:
    old = cache.age(cache.base(), 9)
    cache.during = fail
    assert cache.base() == old
    assert cache.warnings == ["the mirror can't be reached; going on with the base of trixie made 9 days ago"]
    assert [name for name in names(cache) if name.startswith("trixie") and "." not in name] == [old.id]


def test_mirror_that_failed_is_left_in_peace_for_an_hour(cache: Cache) -> None:
    old = cache.age(cache.base(), 9)
    cache.during = fail
    cache.base()
    assert cache.base() == old
    assert cache.calls == ["base:trixie"] * 2
    (failed,) = cache.bases.glob("*.failed")
    unused_for(failed, 0.1)
    assert cache.base() == old
    assert cache.calls == ["base:trixie"] * 3
    cache.during = lambda _: None
    unused_for(failed, 0.1)
    assert cache.base() != old
    assert not failed.exists()


def test_without_one_a_failure_is_an_error(cache: Cache) -> None:
    cache.during = fail
    with pytest.raises(HostError, match="the mirror can't be reached"), bases.opened(cache.wish()):
        pass
    assert names(cache) == []


def test_no_fetch_takes_what_is_there_however_old(cache: Cache) -> None:
    old = cache.age(cache.base(), 100)
    with bases.opened(cache.wish(fetch=False)) as base:
        assert base == old
    assert cache.calls == ["base:trixie"]


def test_no_fetch_makes_none(cache: Cache) -> None:
    with (
        pytest.raises(HostError, match="--no-fetch forbids") as caught,
        bases.opened(cache.wish(fetch=False)),
    ):
        pass
    assert caught.value.hint == "bwbuild root create trixie"
    assert cache.calls == []


def test_interrupted_one_is_removed(cache: Cache) -> None:
    cache.during = interrupt
    with pytest.raises(KeyboardInterrupt), bases.opened(cache.wish()):
        pass
    assert names(cache) == []


def test_killed_one_is_never_used_and_removed_later(cache: Cache) -> None:
    def kill(_: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    cache.during = kill
    child = FORK.Process(target=cache.base)
    child.start()
    child.join()
    (left,) = (path for path in cache.bases.iterdir() if path.is_dir())
    assert (left / "root" / "file").exists()
    (item,) = bases.stored(cache.bases)
    assert (item.path, item.base, item.in_use) == (left, None, False)
    cache.during = lambda _: None
    base = cache.base()
    assert base.path != left
    assert not left.exists()


@pytest.mark.parametrize("text", ["", "{", "{}", '{"layout": 0}'])
def test_record_that_says_nothing_is_none(cache: Cache, text: str) -> None:
    base = cache.base()
    (base.path / base.RECORD).write_text(text)
    assert cache.base().id != base.id
    assert base.id not in names(cache)


def test_two_at_once_make_it_once(cache: Cache) -> None:
    cache.during = lambda _: time.sleep(0.3)
    children = [FORK.Process(target=cache.base) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert cache.calls == ["base:trixie"]
    assert len(names(cache)) == 1


def test_who_waits_is_told(cache: Cache) -> None:
    waits = FORK.Event()
    cache.during = lambda _: waits.wait(30) or None
    child = FORK.Process(target=cache.base)
    child.start()
    wait_for(lambda: cache.calls)

    def told() -> None:
        wait_for(lambda: cache.said)
        waits.set()

    listener = threading.Thread(target=told)
    listener.start()
    cache.base()
    listener.join()
    child.join()
    assert [notice.text for notice in cache.said] == [
        "another bwbuild makes the base of trixie; waiting for it"
    ]


def test_one_that_is_being_made_is_not_pruned(cache: Cache) -> None:
    def look(path: Path) -> None:
        bases.prune(cache.bases)
        assert (path / "root" / "file").exists()
        assert bases.stored(cache.bases) == [], "it is no remains"

    cache.during = look
    cache.base()
    assert cache.calls == ["base:trixie"]


def test_prune_takes_what_nobody_used(cache: Cache) -> None:
    old, young, used = (
        cache.base(),
        cache.base(replace(SUITE, name="sid")),
        cache.base(replace(SUITE, name="b")),
    )
    with bases.opened(cache.wish(used.suite)):
        unused_for(old.path, 31)
        unused_for(young.path, 29)
        unused_for(used.path, 31)
        bases.prune(cache.bases)
    assert names(cache) == sorted([young.id, used.id])


def test_use_is_noted(cache: Cache) -> None:
    base = cache.base()
    unused_for(base.path, 20)
    cache.base()
    (item,) = bases.stored(cache.bases)
    assert time.time() - item.used < 60


def test_locks_of_the_killed_go(cache: Cache) -> None:
    cache.base()
    lock, held = cache.bases / "x.lock", cache.bases / "y.lock"
    lock.touch()
    unused_for(lock, 1)
    with turn(held, lambda: None):
        unused_for(held, 1)
        bases.prune(cache.bases)
        assert held.exists()
    assert not lock.exists()


def test_stored_says_what_is_in_use(cache: Cache) -> None:
    with bases.opened(cache.wish()) as base:
        (item,) = bases.stored(cache.bases)
        assert (item.base, item.in_use, item.size) == (base, True, base.size)
        assert not bases.remove(base.path)
        assert base.root.exists()
    (item,) = bases.stored(cache.bases)
    assert not item.in_use
    assert bases.remove(base.path)
    assert bases.stored(cache.bases) == []


def test_update_makes_another_one(cache: Cache) -> None:
    first = cache.base()
    bases.update(cache.wish())
    assert cache.calls == ["base:trixie"] * 2
    assert cache.base() != first


def test_nothing_is_stored_where_nothing_is(tmp_path: Path) -> None:
    assert bases.stored(tmp_path / "none") == []
    assert bases.complete(tmp_path / "none") == []


def test_cache_that_cannot_be_written(cache: Cache) -> None:
    cache.top.parent.mkdir(exist_ok=True)
    cache.top.write_text("a file")
    with pytest.raises(OutputError, match="no base can be made in") as caught, bases.opened(cache.wish()):
        pass
    assert "--cache DIR" in caught.value.hint


def test_errors_of_the_user_stay_his(cache: Cache) -> None:
    with pytest.raises(PermissionError), bases.opened(cache.wish()):
        raise PermissionError(1, "not the cache's")


def test_place_can_be_entered_by_all(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        records.make_place(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o755, 0o755]


def test_refresh_is_of_the_wish(cache: Cache) -> None:
    base = cache.age(cache.base(), 2)
    with bases.opened(cache.wish(refresh=3 * DAY)) as same:
        assert same == base
    with bases.opened(cache.wish(refresh=DAY)) as other:
        assert other != base
