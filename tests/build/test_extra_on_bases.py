"""What the caller adds to a suite: packages of his own, and repositories."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import made_repositories
import pytest
from made_repositories import Repository
from made_suites import OWN, Bases, make_package, set_depends
from support import Desk, as_user, discard, make_desk, need

pytestmark = as_user

SHOW = "cat /usr/share/bwt-own 2>/dev/null || echo none"


@pytest.fixture
def debs(tmp_path: Path) -> Path:
    place = tmp_path / "debs"
    place.mkdir()
    return place


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    need("gpg", "gpgv")
    with made_repositories.repository(tmp_path / "repository") as made:
        yield made


def layers(top: Path) -> list[Path]:
    return sorted(path for path in (top / "cache" / "layers").iterdir() if path.is_dir())


def own(place: Path, content: str, name: str = "bwt-own", **more: str) -> Path:
    """A package of the caller's; one of the same name and version is replaced."""
    number = len(list(place.parent.glob("tree*")))
    return make_package(place.parent / f"tree{number}", place, name, content=content, **more)


# Packages


def test_package_that_no_suite_has(bases: Bases, top: Path, debs: Path) -> None:
    desk = bases.desk(top, depends="bwt-own")
    path = own(debs, "one")
    assert desk.run("-d", OWN, "-b", "--no-sign").status == 6
    desk.ok("-d", OWN, "-b", "--no-sign", "--extra-package", path)
    assert f"extra package: {path}" in desk.log()
    assert " bwt-own (= 1)" in (desk.parent / "tiny_1_amd64.buildinfo").read_text()
    assert desk.inside(SHOW, "-d", OWN, f"--extra-package={debs}") == "one"
    assert list((top / "cache" / "work").iterdir()) == []


@pytest.mark.long
def test_same_packages_need_no_apt_and_changed_ones_make_another_layer(
    bases: Bases, top: Path, debs: Path, tmp_path: Path
) -> None:
    desk = bases.desk(top, depends="bwt-own")
    own(debs, "one")
    assert desk.inside(SHOW, "-d", OWN, f"--extra-package={debs}") == "one"
    (first,) = layers(top)
    debs.rename(tmp_path / "elsewhere")
    seen = desk.run("run", "-d", OWN, "--extra-package", tmp_path / "elsewhere", "--", "true")
    assert "apt resolves" not in seen.err, "the path is not part of the question"
    own(tmp_path / "elsewhere", "two")
    assert desk.inside(SHOW, "-d", OWN, "--extra-package", tmp_path / "elsewhere") == "two"
    assert len(layers(top)) == 2
    own(tmp_path / "elsewhere", "unused", "bwt-unused")
    assert desk.inside(SHOW, "-d", OWN, "--extra-package", tmp_path / "elsewhere") == "two"
    assert len(layers(top)) == 2, "what is not chosen makes no layer of its own"
    assert first in layers(top)


def test_own_package_comes_before_one_of_the_suite(bases: Bases, top: Path, debs: Path) -> None:
    """One of the same name, version and size too, that apt has downloaded before."""
    desk = bases.desk(top, depends="bwt-good")
    desk.ok("-d", OWN, "-b", "--no-sign")
    path = own(debs, "mine", "bwt-good")
    assert desk.inside("cat /usr/share/bwt-good", "-d", OWN, "--extra-package", path) == "mine"
    assert desk.run("run", "-d", OWN, "--", "test", "-e", "/usr/share/bwt-good").status == 1
    path = own(debs, "older", "bwt-good", version="0.5")
    assert (
        desk.run("run", "-d", OWN, "--extra-package", path, "--", "test", "-e", "/usr/share/bwt-good").status
        == 1
    )


def test_newer_package_takes_the_place_of_one_in_the_base(bases: Bases, top: Path, debs: Path) -> None:
    desk = bases.desk(top)
    own(debs, "new", "patch", version="9999")
    seen = desk.inside("dpkg-query -W patch; cat /usr/share/patch", "-d", OWN, f"--extra-package={debs}")
    assert seen == "patch\t9999\nnew"
    assert "9999" not in desk.inside("dpkg-query -W patch", "-d", OWN)


def test_no_trace_is_left(bases: Bases, top: Path, debs: Path) -> None:
    desk = bases.desk(top, depends="bwt-own")
    own(debs, "one")
    desk.inside("true", "-d", OWN, f"--extra-package={debs}")
    (layer,) = layers(top)
    upper = layer / "upper"
    assert not (upper / "srv").exists()
    assert not (upper / "etc" / "apt").exists()
    assert not (upper / "var" / "lib" / "apt" / "lists").exists()
    assert str(debs) not in (upper / "var" / "log" / "apt" / "history.log").read_text()


@pytest.mark.parametrize("kind", ["text", "cut", "foreign", "none", "empty", "pipe"])
def test_package_that_is_none(bases: Bases, top: Path, debs: Path, kind: str) -> None:
    desk = bases.desk(top, depends="bwt-own")
    path = own(debs, "one", architecture="s390x" if kind == "foreign" else "all")
    other = debs / "0.deb"
    message = f"--extra-package: {other} is no Debian package"
    if kind == "text":
        other.write_text("text")
    elif kind == "cut":
        other.write_bytes(path.read_bytes()[:-40])
    elif kind == "foreign":
        message = f"--extra-package: {path} is for 's390x', and the build for amd64"
    elif kind == "none":
        path = debs / "nothing.deb"
        message = f"--extra-package: {path} can't be read: No such file"
    elif kind == "empty":
        path.unlink()
        message = f"--extra-package: no .deb is in {debs}"
    else:
        path = debs / "pipe"
        subprocess.run(["mkfifo", path], check=True)
        message = f"--extra-package: {path} is no regular file"
    done = desk.run("-d", OWN, "-b", "--extra-package", path if kind in ("none", "pipe") else debs)
    assert (done.status, message in done.err) == (2, True), done.both
    assert layers(top) == [] if (top / "cache" / "layers").exists() else True


@pytest.mark.parametrize(
    "word", ["--extra-package=x.deb", "--extra-repository=deb http://deb.example.org sid main"]
)
def test_this_machine_gets_nothing(tmp_path: Path, word: str) -> None:
    desk = make_desk(tmp_path / "desk")
    done = desk.run("-b", word)
    assert (done.status, "-d SUITE" in done.err, "--missing base" in done.err) == (2, True, True), done.both
    assert word.partition("=")[0] in done.err


def test_missing_base_takes_one_for_extra_packages(bases: Bases, top: Path, debs: Path) -> None:
    desk = bases.desk(top)
    own(debs, "one")
    set_depends(desk, "bwt-own")
    assert desk.inside(SHOW, "--missing", "base", f"--extra-package={debs}") == "one"


# Repositories


def repository_words(repository: Repository, suffix: str = "gpg") -> list[str | Path]:
    return ["--extra-repository", repository.line, "--extra-repository-key", repository.keyring(suffix)]


def test_repository(bases: Bases, top: Path, repository: Repository) -> None:
    desk = bases.desk(top, depends="bwt-own")
    own(repository.packages, "one")
    repository.publish()
    assert desk.inside(SHOW, "-d", OWN, *repository_words(repository)) == "one"
    (first,) = layers(top)
    assert desk.inside(SHOW, "-d", OWN, *repository_words(repository, "asc")) == "one"
    assert layers(top) == [first], "the same content is the same layer"
    assert not (first / "upper" / "etc" / "apt").exists()
    own(repository.packages, "two")
    repository.publish()
    assert desk.inside(SHOW, "-d", OWN, *repository_words(repository)) == "two"
    assert len(layers(top)) == 2
    own(repository.packages, "three", version="2")
    repository.publish()
    assert desk.inside(SHOW, "-d", OWN, *repository_words(repository)) == "three"


@pytest.mark.long
def test_download_is_kept_by_content(bases: Bases, top: Path, repository: Repository) -> None:
    """A layer that is gone is made again from what was fetched, and never from another one's file."""
    desk = bases.desk(top, depends="bwt-own")
    path = own(repository.packages, "one")
    repository.publish()
    assert desk.inside(SHOW, "-d", OWN, *repository_words(repository)) == "one"
    (layer,) = layers(top)
    discard(layer)
    path.unlink()
    assert desk.inside(SHOW, "-d", OWN, *repository_words(repository)) == "one"
    assert not (top / "cache" / "archives" / path.name).exists()


def test_paragraphs_in_a_file(bases: Bases, top: Path, repository: Repository) -> None:
    desk = bases.desk(top, depends="bwt-own")
    own(repository.packages, "one")
    repository.publish()
    file = top / "own.sources"
    file.write_text(f"Types: deb\nURIs: {repository.address}\nSuites: good\nComponents: main\n")
    words = ["--extra-repository", file, "--extra-repository-key", repository.keyring("asc")]
    assert desk.inside(SHOW, "-d", OWN, *words) == "one"


@pytest.mark.parametrize("kind", ["unsigned", "other key", "unreachable", "suite", "line", "local", "key"])
def test_repository_that_cannot_be_read(
    bases: Bases, top: Path, repository: Repository, tmp_path: Path, kind: str
) -> None:
    desk = bases.desk(top, depends="bwt-own")
    words, status = repository_words(repository), 4
    if kind == "unsigned":
        (repository.top / "dists" / "good" / "InRelease").unlink()
        message = "the signature of its Release file"
    elif kind == "other key":
        words, message = words[:2], "--extra-repository-key FILE"
    elif kind == "unreachable":
        words[1], message = "deb http://127.0.0.1:9 good main", "the mirror can't be reached"
    elif kind == "suite":
        words[1], message = f"deb {repository.address} bad main", "the mirror has no such suite"
    elif kind == "line":
        words[1], message, status = "deb http://user:secret@deb.example.org", "is no line of sources.list", 2
    elif kind == "local":
        words[1], message, status = f"deb file:{tmp_path} ./", "--extra-package DIR", 2
    else:
        words[3], message, status = tmp_path / "none.gpg", "none.gpg can't be read", 2
    done = desk.run("-d", OWN, "-b", *words)
    assert (done.status, message in done.err) == (status, True), done.both
    assert "secret" not in done.err


def test_repository_needs_the_network(bases: Bases, top: Path, repository: Repository) -> None:
    desk: Desk = bases.desk(top, depends="bwt-own")
    done = desk.run("-d", OWN, "-b", "--no-fetch", *repository_words(repository))
    assert (done.status, "which --no-fetch forbids" in done.err) == (6, True), done.both
