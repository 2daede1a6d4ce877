"""The cache of dependency layers: shared by choice, started without apt, whole or not there, pruned."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from made_bases import SUITE, Cache, unused_for

from bwbuild.errors import HostError, OutputError
from bwbuild.root import apt, archives, bases, bootstrap, layers, offer
from bwbuild.root.extra import Extra
from bwbuild.root.ground import Base, Layer

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    made = Cache(tmp_path / "cache")
    monkeypatch.setattr(bootstrap, "make", made.make)
    for name in ("choose", "download", "install"):
        monkeypatch.setattr(apt, name, getattr(made, name))
    return made


@pytest.fixture
def base(cache: Cache) -> Base:
    return cache.base()


def made(cache: Cache) -> list[str]:
    return [word for word in cache.calls if not word.startswith("base")]


def names(cache: Cache) -> list[str]:
    return sorted(path.name for path in (cache.top / "layers").iterdir())


def test_second_build_needs_no_apt(cache: Cache, base: Base) -> None:
    first = cache.layer(base)
    assert cache.layer(base) == first
    assert made(cache) == ["choose:a", "download:1", "install:1"]
    assert (first / "upper" / "file").read_text() == "installed"
    assert names(cache) == [first.name]


def test_same_choice_is_shared(cache: Cache, base: Base) -> None:
    first = cache.layer(base, "a")
    assert cache.layer(base, "b") == first
    assert made(cache) == ["choose:a", "download:1", "install:1", "choose:b"]
    cache.layer(base, "b")
    assert len(made(cache)) == 4


def test_another_choice_is_another_layer(cache: Cache, base: Base) -> None:
    first = cache.layer(base, "a")
    cache.chosen = {"hello:amd64": "2.11"}
    assert cache.layer(base, "b") != first


def test_another_base_is_another_layer(cache: Cache, base: Base) -> None:
    first = cache.layer(base)
    other = cache.base(replace(SUITE, name="sid"))
    assert cache.layer(other) != first
    assert made(cache).count("choose:a") == 2


def test_options_of_apt_are_part_of_the_question(cache: Cache, base: Base) -> None:
    cache.layer(base)
    with layers.opened(replace(cache.layer_wish(base), options=("--host-architecture=arm64",))):
        pass
    assert made(cache).count("choose:a") == 2


def test_nothing_to_install(cache: Cache, base: Base) -> None:
    cache.chosen = {}
    path = cache.layer(base)
    assert made(cache) == ["choose:a"]
    assert list((path / "upper").iterdir()) == []
    with layers.opened(cache.layer_wish(base)) as layer:
        assert layer.packages == {}


def test_failure_leaves_nothing(cache: Cache, base: Base) -> None:
    def fail(_: Path) -> None:
        raise HostError("postinst")

    cache.during = fail
    with pytest.raises(HostError, match="postinst"), layers.opened(cache.layer_wish(base)):
        pass
    assert names(cache) == []
    assert layers.choices(cache.top) == []


def test_killed_one_is_never_used_and_removed_later(cache: Cache, base: Base) -> None:
    def kill(_: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    cache.during = kill
    child = FORK.Process(target=cache.layer, args=(base,))
    child.start()
    child.join()
    (left,) = (path for path in (cache.top / "layers").iterdir() if path.is_dir())
    (item,) = layers.stored(cache.top)
    assert (item.path, item.base, item.packages, item.in_use) == (left, "", 0, False)
    cache.during = lambda _: None
    assert cache.layer(base) != left
    assert not left.exists()


def test_two_at_once_make_it_once(cache: Cache, base: Base) -> None:
    cache.during = lambda _: time.sleep(0.3)
    children = [FORK.Process(target=cache.layer, args=(base, control)) for control in ("a", "a", "b")]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert made(cache).count("install:1") == 1
    assert len(names(cache)) == 1


def test_choice_without_its_layer_is_made_again(cache: Cache, base: Base) -> None:
    path = cache.layer(base)
    assert layers.remove(path)
    assert cache.layer(base) != path
    # What is to be fetched is there.
    assert made(cache) == ["choose:a", "download:1", "install:1", "choose:a", "install:1"]


def test_apt_is_asked_to_fetch_when_one_file_is_missing(cache: Cache, base: Base) -> None:
    cache.chosen = {"hello:amd64": "2.10", "a+b:all": "1:2_3~x"}
    first = cache.layer(base)
    (cache.top / "archives" / "a+b_1%3a2%5f3~x_all.deb").touch()
    layers.remove(first)
    second = cache.layer(base)
    (cache.top / "archives" / "hello_2.10_amd64.deb").unlink()
    layers.remove(second)
    cache.layer(base)
    assert made(cache) == [
        *("choose:a", "download:2", "install:2"),
        *("choose:a", "install:2"),
        *("choose:a", "download:2", "install:2"),
    ]


def test_empty_choice_is_none(cache: Cache, base: Base) -> None:
    path = cache.layer(base)
    ((_, choice),) = layers.choices(cache.top)
    choice.write_text("")
    assert cache.layer(base) == path
    assert made(cache)[-1] == "choose:a"


def test_in_use_is_not_removed(cache: Cache, base: Base) -> None:
    with layers.opened(cache.layer_wish(base)) as layer:
        (item,) = layers.stored(cache.top)
        assert (item.base, item.packages, item.in_use) == (base.id, 1, True)
        assert not layers.remove(layer.path)
        unused_for(layer.path, 31)
        layers.prune(cache.top, ())
        assert (layer.upper / "file").exists()


def test_prune_takes_what_nobody_can_use(cache: Cache, base: Base) -> None:
    old, young = cache.layer(base, "a"), ""
    cache.chosen = {"other:amd64": "1"}
    young = cache.layer(base, "b").name
    unused_for(old, 31)
    layers.prune(cache.top, {base.id})
    assert names(cache) == [young]
    assert len(layers.choices(cache.top)) == 1
    layers.prune(cache.top, {"another base"})
    assert names(cache) == []
    assert layers.choices(cache.top) == []


def test_prune_takes_what_is_too_much(cache: Cache, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    for number in range(3):
        cache.chosen = {f"p{number}:amd64": "1"}
        path = cache.layer(base, str(number))
        record = json.loads((path / Layer.RECORD).read_text())
        (path / Layer.RECORD).write_text(json.dumps(record | {"size": 100}))
        unused_for(path, 3 - number)
        paths.append(path)
    monkeypatch.setattr(layers, "LARGE", 250)
    layers.prune(cache.top, {base.id})
    assert names(cache) == sorted(path.name for path in paths[1:])


def test_layers_of_a_base_that_is_gone_go_with_the_next(cache: Cache, base: Base) -> None:
    old = cache.layer(base)
    bases.update(cache.wish())
    cache.layer(cache.base())
    assert not old.exists()
    assert len(layers.choices(cache.top)) == 1


def test_prune_leaves_a_choice_that_is_being_written(cache: Cache, base: Base) -> None:
    cache.layer(base)
    young, old = cache.top / "choices" / "x.1", cache.top / "choices" / "y.2"
    for path in (young, old):
        path.write_text("")
    unused_for(old, 1)
    layers.prune(cache.top, {base.id})
    assert young.exists()
    assert not old.exists()


def test_prune_takes_places_that_nobody_works_in(cache: Cache, base: Base) -> None:
    cache.layer(base)
    left = cache.top / "work" / "apt-left"
    left.mkdir(parents=True)
    layers.prune(cache.top, {base.id})
    assert not left.exists()


def test_cache_that_cannot_be_written(cache: Cache, base: Base) -> None:
    (cache.top / "layers").write_text("a file")
    with pytest.raises(OutputError) as caught, layers.opened(cache.layer_wish(base)):
        pass
    assert "--cache DIR" in caught.value.hint


# What is added to the suite


def extra(cache: Cache, **more: object) -> Extra:
    (cache.top / "extra" / "archives").mkdir(parents=True, exist_ok=True)
    return Extra(cache.top / "extra", **more)  # type: ignore[arg-type]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the chosen files are; nothing is asked of a chamber."""
    files = {"hello_2.10_amd64.deb": "SHA256:1"}
    monkeypatch.setattr(apt, "contents", lambda _: dict(files))
    monkeypatch.setattr(offer, "opened", nullcontext)
    return files


def test_content_of_what_is_chosen_makes_the_layer(cache: Cache, base: Base, offered: dict[str, str]) -> None:
    def layer(digest: str) -> Path:
        wish = replace(cache.layer_wish(base), extra=extra(cache, packages=("a",), digests=(digest,)))
        with layers.opened(wish) as found:
            return found.path

    plain, first = cache.layer(base), layer("x")
    assert first != plain
    assert layer("x") == first
    assert made(cache).count("choose:a") == 2, "the same packages are no new question"
    assert layer("y") == first, "what was chosen is the same"
    assert made(cache).count("choose:a") == 3
    offered["hello_2.10_amd64.deb"] = "SHA256:2"
    assert layer("z") != first


def test_repositories_are_asked_each_time(cache: Cache, base: Base, offered: dict[str, str]) -> None:
    wish = replace(cache.layer_wish(base), extra=extra(cache, repositories=1))
    found = []
    for digest in ("SHA256:1", "SHA256:1", "SHA256:2"):
        offered["hello_2.10_amd64.deb"] = digest
        with layers.opened(wish) as layer:
            found.append(layer.path)
    assert found[0] == found[1] != found[2]
    assert made(cache).count("choose:a") == 3
    assert made(cache).count("install:1") == 2


# Downloads


def test_download_is_known_by_its_content(tmp_path: Path) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    shared.mkdir()
    private.mkdir()
    (shared / "a.deb").write_text("good")
    digest = f"SHA256:{hashlib.sha256(b'good').hexdigest()}"
    other = f"SHA256:{hashlib.sha256(b'evil').hexdigest()}"
    assert archives.bring(shared, "a.deb", digest, private)
    assert (private / "a.deb").read_text() == "good"
    (private / "a.deb").unlink()
    assert not archives.bring(shared, "a.deb", other, private)
    assert list(private.iterdir()) == []
    (private / "a.deb").write_text("evil")
    archives.keep(shared, private / "a.deb", other)
    assert (shared / "a.deb").read_text() == "good"
    assert archives.bring(shared, "a.deb", other, private)
    assert (private / "a.deb").read_text() == "evil"
    assert len(archives.stored(shared)) == 2


def test_downloads_are_pruned_by_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.deb", "b.deb", "lock"):
        (tmp_path / name).write_text("x" * 100)
    archives.prune(tmp_path)
    assert len(archives.stored(tmp_path)) == 2
    monkeypatch.setattr(archives, "LARGE", 150)
    archives.prune(tmp_path)
    assert len(archives.stored(tmp_path)) == 1
    monkeypatch.setattr(archives, "OLD", -60.0)
    archives.prune(tmp_path)
    assert archives.stored(tmp_path) == []
    assert (tmp_path / "lock").exists()


def test_downloads_are_used_while_somebody_installs(cache: Cache, base: Base) -> None:
    place = cache.top / "archives"

    def look(_: Path) -> None:
        assert archives.in_use(place)
        assert archives.remove(place, time.time() + 60) == 0
        assert len(archives.stored(place)) == 1

    cache.during = look
    cache.layer(base)
    assert not archives.in_use(place)
    assert archives.remove(place, time.time() - 60) == 0, "it is younger"
    assert archives.remove(place, time.time() + 60) == 3
    assert archives.stored(place) == []


def test_no_downloads(tmp_path: Path) -> None:
    assert archives.stored(tmp_path / "none") == []
    assert not archives.in_use(tmp_path / "none")
    archives.prune(tmp_path / "none")
