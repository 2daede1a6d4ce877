"""What the caller adds to a suite, as it is read."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from bwbuild.errors import UsageError
from bwbuild.root.extra import Extra, Given, gathered


def read(cache: Path, given: Given) -> dict[str, bytes]:
    """What is copied of it: name -> content."""
    with gathered(given, cache) as extra:
        assert extra is not None
        files = sorted(path for path in extra.place.rglob("*") if path.is_file())
        return {str(path.relative_to(extra.place)): path.read_bytes() for path in files}


def test_nothing(tmp_path: Path) -> None:
    with gathered(Given(), tmp_path) as extra:
        assert extra is None
    assert list(tmp_path.iterdir()) == []


def test_packages_are_copied_and_known_by_content(tmp_path: Path) -> None:
    debs = tmp_path / "debs"
    debs.mkdir()
    for name in ("b.deb", "a.deb", "c.udeb", "README"):
        (debs / name).write_text(f"!<arch>\n{name}")
    (debs / "d.deb").mkdir()
    one = tmp_path / "one"
    one.write_text("!<arch>\none")
    cache = tmp_path / "cache"
    with gathered(Given(packages=(str(one), str(debs), str(one))), cache) as extra:
        assert extra is not None
        assert extra.packages == (str(one), f"{debs}/a.deb", f"{debs}/b.deb")
        texts = [(extra.place / "packages" / f"{number}.deb").read_text() for number in (1, 2, 3)]
        assert texts == [f"!<arch>\n{name}" for name in ("one", "a.deb", "b.deb")]
        assert extra.digests == tuple(sorted(hashlib.sha256(text.encode()).hexdigest() for text in texts))
        assert (extra.is_foreign, extra.needs_network) == (True, False)
    assert list((cache / "work").iterdir()) == []


def test_repositories_and_keys(tmp_path: Path) -> None:
    sources, armored, binary = tmp_path / "own.sources", tmp_path / "a", tmp_path / "b"
    sources.write_text("Types: deb\nURIs: https://deb.example.org\nSuites: ./")
    armored.write_text("\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
    binary.write_bytes(b"\x99\x00")
    line = "deb [arch=amd64] http://deb.example.org/x sid main"
    found = read(tmp_path / "cache", Given((), (line, str(sources)), (str(armored), str(binary))))
    assert found == {
        "extra/zz-extra-1.list": f"{line}\n".encode(),
        "extra/zz-extra-2.sources": sources.read_bytes() + b"\n",
        "keys/zz-extra-1.asc": armored.read_bytes(),
        "keys/zz-extra-2.gpg": binary.read_bytes(),
    }


@pytest.mark.parametrize(
    ("extra", "foreign", "network"),
    [
        (Extra(Path("/p"), packages=("a",)), True, False),
        (Extra(Path("/p"), repositories=1), True, True),
        (Extra(Path("/p"), architectures=("arm64",)), False, True),
    ],
)
def test_what_it_needs(extra: Extra, foreign: bool, network: bool) -> None:
    assert (extra.is_foreign, extra.needs_network) == (foreign, network)


@pytest.mark.parametrize(
    "line",
    [
        "deb http://deb.example.org/debian sid main",
        "deb http://deb.example.org/debian sid main contrib",
        "deb\t[signed-by=/x trusted=yes]  https://deb.example.org ./",
        "deb-src http://deb.example.org/debian sid main",
    ],
)
def test_lines(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, Given(repositories=(line,))) == {"extra/zz-extra-1.list": f"{line}\n".encode()}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Given(repositories=("http://deb.example.org sid main",)), "no line of sources.list"),
        (Given(repositories=("ppa:joe/x",)), "no line of sources.list"),
        (Given(repositories=("deb http://deb.example.org sid",)), "no line of sources.list"),
        (Given(repositories=("deb http://a.example.org a b\ndeb http://b.example.org a b",)), "no line of"),
        (Given(repositories=("deb file:/srv/repo ./",)), "is on this machine"),
        (Given(repositories=("deb copy:/srv/repo sid main",)), "is on this machine"),
        (Given(repositories=("{}/none.sources",)), "none.sources can't be read: No such file"),
        (Given(repositories=("{}/empty.sources",)), "has no URIs"),
        (Given(repositories=("{}/local.sources",)), "is on this machine"),
        (Given(packages=("{}/none.deb",)), "none.deb can't be read: No such file"),
        (Given(packages=("{}",)), "no .deb is in "),
        (Given(packages=("/dev/null",)), "/dev/null is no regular file"),
        (Given(packages=("{}/huge",)), "huge is no Debian package"),
        (Given(packages=("{}/empty",)), "empty is no Debian package"),
        (Given(keys=("{}/key",)), "is of no use alone"),
        (Given((), ("deb http://deb.example.org ./",), ("{}/none",)), "none can't be read"),
        (Given((), ("deb http://deb.example.org ./",), ("{}/large",)), "is too large"),
    ],
)
def test_what_is_refused(tmp_path: Path, given: Given, message: str) -> None:
    (tmp_path / "empty.sources").write_text("Types: deb\n")
    (tmp_path / "local.sources").write_text("Types: deb\nURIs: http://a.example.org\n file:/x\nSuites: ./\n")
    (tmp_path / "large").write_bytes(b"x" * (1 << 20) + b"x")
    (tmp_path / "empty").touch()
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 42)

    def filled(words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word.format(tmp_path) for word in words)

    given = Given(filled(given.packages), filled(given.repositories), filled(given.keys))
    cache = tmp_path / "cache"
    with pytest.raises(UsageError) as caught, gathered(given, cache):
        pass
    assert message in caught.value.message
    assert not (cache / "work").exists() or list((cache / "work").iterdir()) == []


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    (tmp_path / "a.deb").write_text("!<arch>\na")
    before = os.umask(0o077)
    try:
        with gathered(Given(packages=(str(tmp_path / "a.deb"),)), tmp_path / "cache") as extra:
            assert extra is not None
            paths = (extra.place, extra.place / "packages", extra.place / "packages" / "1.deb")
            assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o700, 0o755, 0o644]
    finally:
        os.umask(before)


def test_directory_that_is_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o300)
    with pytest.raises(UsageError, match="closed can't be read: Permission denied"):
        read(tmp_path / "cache", Given(packages=(str(closed),)))
    closed.chmod(0o700)  # else pytest can never remove it


def test_password_is_not_shown(tmp_path: Path) -> None:
    given = Given(repositories=("deb http://joe:secret@deb.example.org",))
    with pytest.raises(UsageError) as caught, gathered(given, tmp_path):
        pass
    assert "secret" not in caught.value.message
    assert "http://deb.example.org" in caught.value.message
