"""What is made of apt's and dpkg's words where something is added to a suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from made_bases import IDENTITY, SUITE

from bwbuild.errors import BwbuildError, ExitStatus
from bwbuild.events import Notice
from bwbuild.process import Completed
from bwbuild.root import apt, offer
from bwbuild.root.bounds import NO_BOUNDS
from bwbuild.root.chamber import Chamber
from bwbuild.root.extra import Extra
from bwbuild.root.ground import Base

UPGRADES = """\
Inst tzdata [2024a-0] (9999 localhost [all])
Inst libc6 [2.36-9] (2.40-1 Local:1 [amd64])
Inst new (1 Local:1 [amd64])
Conf tzdata (9999 localhost [all])
"""


@dataclass
class Answers:
    """In place of chambers: what the first one and the second one answer, and what they were."""

    first: tuple[int, str] = (0, "checking packages/1.deb\narchitecture all\nupdating\nHit:1\n")
    second: str = UPGRADES
    asked: list[tuple[tuple[str, ...], Chamber]] = field(default_factory=list)

    def run(
        self, chamber: Chamber, argv: tuple[str, ...], _line: Callable[[str], None] | None = None
    ) -> Completed:
        self.asked.append((argv, chamber))
        status, text = (0, self.second) if "dist-upgrade" in argv else self.first
        return Completed(argv, status, text.encode(), b"")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    made = Answers()
    monkeypatch.setattr(Chamber, "run", lambda chamber, argv, line=None: made.run(chamber, argv, line))
    return made


def wish(tmp_path: Path, *, fetch: bool = True, **more: object) -> apt.Wish:
    place = tmp_path / "extra"
    place.mkdir()
    extra = Extra(place, **more)  # type: ignore[arg-type]
    base = Base(tmp_path / "bases" / "id", SUITE, IDENTITY, "id", 0.0)
    said: list[Notice] = []
    return apt.Wish(base, "control\n", (), tmp_path, said.append, NO_BOUNDS, fetch, extra)


def test_newer_packages_of_the_base_are_wanted(tmp_path: Path, answers: Answers) -> None:
    asked = wish(tmp_path, packages=("/home/joe/a.deb",))
    with offer.opened(asked) as offered:
        assert offered.control == (
            "control\nBuild-Depends-Arch: tzdata:native (= 9999), libc6:native (= 2.40-1)\n"
        )
        assert offered.archives == tmp_path / "extra" / "archives"
    (_, first), (_, second) = answers.asked
    assert [chamber.network for chamber in (first, second)] == [False, False]
    assert first.binds["/srv"] == tmp_path / "extra"
    assert first.environment == {"APT_CONFIG": "/srv/apt.conf"}


def test_nothing_extra_changes_nothing(tmp_path: Path, answers: Answers) -> None:
    base = Base(tmp_path, SUITE, IDENTITY, "id", 0.0)
    plain = apt.Wish(base, "control", (), tmp_path, print, NO_BOUNDS)
    with offer.opened(plain) as offered:
        assert offered is plain
    assert answers.asked == []


def test_another_architecture(tmp_path: Path, answers: Answers) -> None:
    answers.first, answers.second = (0, "updating\n"), ""
    asked = wish(tmp_path, architectures=("arm64",))
    with offer.opened(asked) as offered:
        assert offered.control == "control\n"
        assert offered.archives == offered.shared
    for argv, _ in answers.asked:
        assert argv[:2] == ("sh", "-c")
        assert "dpkg --add-architecture arm64;" in argv[2]
    assert answers.asked[0][1].network
    assert answers.asked[0][0].count("all") == 1, "all lists are fetched anew"


def test_no_fetch(tmp_path: Path, answers: Answers) -> None:
    with pytest.raises(BwbuildError) as caught, offer.opened(wish(tmp_path, fetch=False, repositories=1)):
        pass
    assert caught.value.status is ExitStatus.DEPENDENCIES
    assert (
        caught.value.message
        == "the lists of --extra-repository would have to be fetched, which --no-fetch forbids"
    )
    assert answers.asked == []


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        (
            "checking packages/2.deb\ndpkg-deb: error",
            2,
            ("--extra-package: b is no Debian package", "leave it out"),
        ),
        ("sh: dash", 4, ("no repository can be made of the extra packages", "")),
        (
            "checking packages/1.deb\narchitecture all\n"
            "checking packages/2.deb\narchitecture \x1b[1m\nupdating\n",
            2,
            ("--extra-package: b is for '\\x1b[1m', and the build for amd64, arm64", "leave it out"),
        ),
        (
            "updating\nE: Malformed entry 1 in list file",
            2,
            ("apt can't read what --extra-repository says", "sources"),
        ),
        (
            "updating\nW: GPG error: NO_PUBKEY 12",
            4,
            ("its Release file is not one of", "--extra-repository-key"),
        ),
        ("updating\nE: Could not resolve 'x'", 4, ("the mirror can't be reached", "network")),
        ("updating\nE: No system certificates available", 4, ("can't be verified", "ca-certificates")),
        ("updating\nE: what else", 4, ("an extra repository can't be read", "--extra-repository")),
    ],
)
def test_errors(tmp_path: Path, answers: Answers, text: str, status: int, told: tuple[str, str]) -> None:
    answers.first = (100, text)
    asked = wish(tmp_path, packages=("a", "b"), repositories=1, architectures=("arm64",))
    with pytest.raises(BwbuildError) as caught, offer.opened(asked):
        pass
    assert (caught.value.status, told[1] in caught.value.hint) == (status, True)
    assert told[0] in caught.value.message


def test_a_warning_of_an_old_apt_is_an_error(tmp_path: Path, answers: Answers) -> None:
    answers.first = (0, "updating\nW: Failed to fetch http://x  Connection refused\n")
    with pytest.raises(BwbuildError, match="can't be reached"), offer.opened(wish(tmp_path, repositories=1)):
        pass
