"""What apt says over a base, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from made_bases import IDENTITY, SUITE

from bwbuild.errors import BwbuildError, ExitStatus
from bwbuild.events import Event, Notice, Text
from bwbuild.process import Completed
from bwbuild.root import apt
from bwbuild.root.bounds import NO_BOUNDS
from bwbuild.root.chamber import Chamber
from bwbuild.root.ground import Base
from bwbuild.sandbox.runner import Outcome

SIMULATED = """\
Reading package lists...
Inst libmagic1 (1:5.44-3 Debian:12.11/oldstable [amd64]) []
Inst libc6 [2.36-9+deb12u10] (2.36-9+deb12u13 Debian:12.11/oldstable, Debian-Security:12 [amd64])
Inst libfoo:arm64 (1-1 Debian:12.11/oldstable [arm64])
Inst autopoint (0.21-12 Debian:12.11/oldstable [all])
Conf libmagic1 (1:5.44-3 Debian:12.11/oldstable [amd64])
"""


@dataclass
class Apt:
    """In place of a chamber: what apt answers, and what it was asked."""

    status: int = 0
    text: str = ""
    asked: list[tuple[tuple[str, ...], Chamber]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    #: for the log alone
    kept: list[str] = field(default_factory=list)

    def run(
        self, chamber: Chamber, argv: tuple[str, ...], line: Callable[[str], None] | None = None
    ) -> Completed:
        wanted = chamber.binds[next(path for path in chamber.binds if path == "/mnt")] / "wanted.dsc"
        assert wanted.read_text() == "control"
        self.asked.append((argv, chamber))
        for text in self.text.splitlines() if line else ():
            assert line
            line(text)
        return Completed(argv, self.status, self.text.encode(), b"")

    def watch(self, chamber: Chamber, argv: tuple[str, ...], output: Callable[[bytes], None]) -> Outcome:
        assert chamber.layer is not None, "what is watched writes to a layer"
        done = self.run(chamber, argv)
        # A line comes in pieces, and more than one at once.
        output(done.stdout[:7])
        output(done.stdout[7:])
        return Outcome(done.returncode, started=True, timed_out=False, ended=False, seconds=1.0)

    def tell(self, event: Event) -> None:
        if isinstance(event, Text):
            self.kept.append(event.text)
        elif isinstance(event, Notice):
            self.said.append(event.text)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Apt:
    made = Apt()
    monkeypatch.setattr(Chamber, "run", lambda chamber, argv, line=None: made.run(chamber, argv, line))
    # It is called with the chamber, as a bound method would not be.
    monkeypatch.setattr(Chamber, "watch", lambda *words: made.watch(*words))  # noqa: PLW0108
    return made


@pytest.fixture
def wish(tmp_path: Path, answer: Apt) -> apt.Wish:
    (tmp_path / "work").mkdir()
    base = Base(tmp_path / "bases" / "id", SUITE, IDENTITY, "id", 0.0)
    return apt.Wish(base, "control", ("--host-architecture=arm64",), tmp_path, answer.tell, NO_BOUNDS)


def test_choice(answer: Apt, wish: apt.Wish) -> None:
    answer.text = SIMULATED
    assert apt.choose(wish) == {
        "libmagic1:amd64": "1:5.44-3",
        "libc6:amd64": "2.36-9+deb12u13",
        "libfoo:arm64": "1-1",
        "autopoint:all": "0.21-12",
    }
    ((argv, chamber),) = answer.asked
    assert argv[-4:] == ("-s", "--host-architecture=arm64", "build-dep", "/mnt/wanted.dsc")
    assert "APT::Install-Recommends=false" in argv
    assert (chamber.network, chamber.layer) == (False, None)
    assert list((wish.cache / "work").iterdir()) == []


def test_files_are_known_by_content(answer: Apt, wish: apt.Wish) -> None:
    one, two = "1" * 64, "a" * 64
    answer.text = (
        f"Reading package lists...\n'file:/srv/./packages/1.deb' own_1_all.deb 788 SHA256:{one}\n"
        f"'http://deb.example.org/a%2bb.deb' a+b_1%3a2_amd64.deb 1 SHA256:{two}\n"
    )
    assert apt.contents(wish) == {"own_1_all.deb": f"SHA256:{one}", "a+b_1%3a2_amd64.deb": f"SHA256:{two}"}
    ((argv, _),) = answer.asked
    assert "Acquire::ForceHash=SHA256" in argv
    assert "Dir::Cache::archives=/tmp" in argv, "what is downloaded already counts too"


@pytest.mark.parametrize(
    "line",
    [
        f"'http://deb.example.org/x' ../../.bashrc 1 SHA256:{'1' * 64}",
        f"'http://deb.example.org/x' .. 1 SHA256:{'1' * 64}",
        "'http://deb.example.org/x' x_1_all.deb 1 SHA256:../../x",
        "'http://deb.example.org/x' x_1_all.deb 1 MD5Sum:11",
        "'http://deb.example.org/x' x_1_all.deb 1 ",
    ],
)
def test_names_and_digests_that_are_none(answer: Apt, wish: apt.Wish, line: str) -> None:
    answer.text = line + "\n"
    with pytest.raises(BwbuildError, match="can't check") as caught:
        apt.contents(wish)
    assert caught.value.details == (line,)


def test_no_solution_shows_what_apt_explains(answer: Apt, wish: apt.Wish) -> None:
    answer.status, answer.text = (
        100,
        "Reading state information...\n builddeps : Depends: nosuch\nE: Unable\n",
    )
    with pytest.raises(apt.DependencyError) as caught:
        apt.choose(wish)
    assert caught.value.status is ExitStatus.DEPENDENCIES
    assert caught.value.message == "apt can't satisfy the build dependencies in trixie"
    assert caught.value.details == (" builddeps : Depends: nosuch", "E: Unable")


def test_no_room_to_choose(answer: Apt, wish: apt.Wish) -> None:
    answer.status, answer.text = 100, "E: Write error - ~LZMAFILE (28: No space left on device)\n"
    with pytest.raises(BwbuildError) as caught:
        apt.choose(wish)
    assert caught.value.status is ExitStatus.OUTPUT


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("Need to get 18.7 MB of archives.", "18.7 MB"),
        ("Need to get 1,234 kB/20.5 MB of archives.", "1,234 kB"),
        ("Need to get 512 B of archives.", "512 B"),
        ("Need to get 0 B/20.5 MB of archives.", ""),
        ("After this operation, 82.1 MB of additional disk space will be used.", ""),
    ],
)
def test_how_much_there_is_to_fetch(line: str, size: str) -> None:
    assert apt.needed(line) == size


def test_download_says_how_much(answer: Apt, wish: apt.Wish) -> None:
    answer.text = "Need to get 18.7 MB of archives.\nGet:1 http://m hello\n"
    apt.download(wish, 30)
    assert answer.said == ["fetching 18.7 MB for 30 packages"]
    assert answer.kept == [answer.text.rstrip("\n")]
    ((argv, chamber),) = answer.asked
    assert chamber.network
    assert "--download-only" in argv
    assert chamber.binds["/var/cache/apt/archives"] == wish.archives


def test_steps_are_told_now_and_then(answer: Apt, wish: apt.Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "_PAUSE", 0.0)
    answer.text = "Need to get 1 B of archives.\nGet:1 x\nnoise\nGet:2 y\n"
    apt.download(wish, 2)
    assert answer.said[1:] == ["fetched 1 of 2 packages", "fetched 2 of 2 packages"]
    answer.text = "Setting up x (1) ...\nSetting up y (2) ...\n"
    apt.install(wish, 2, wish.cache)
    assert answer.said[-2:] == ["installed 1 of 2 packages", "installed 2 of 2 packages"]


def test_download_waits_for_one_that_is_being_killed(
    answer: Apt, wish: apt.Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause(_: float) -> None:
        if len(answer.asked) == 3:
            answer.status, answer.text = 0, ""

    monkeypatch.setattr("time.sleep", pause)
    locked = "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 0\n"
    answer.status, answer.text = 100, locked
    apt.download(wish, 1)
    apt.download(replace(wish, fetch=False), 1)
    assert len(answer.asked) == 5
    answer.status, answer.text = 100, locked
    monkeypatch.setattr(apt, "_DYING", 0.0)
    with pytest.raises(BwbuildError, match="can't be fetched"):
        apt.download(wish, 1)


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        ("E: Could not resolve 'm'", ExitStatus.HOST, ("can't be fetched", "network")),
        (
            "  404  Not Found [IP: x]",
            ExitStatus.HOST,
            ("does not have the packages", "bwbuild root update trixie"),
        ),
        (
            "E: Hash Sum mismatch",
            ExitStatus.HOST,
            ("does not have the packages", "bwbuild root update trixie"),
        ),
        ("write (28: No space left on device)", ExitStatus.OUTPUT, ("No space left", "bwbuild clean")),
        (
            "E: You don't have enough free space in /var/cache",
            ExitStatus.OUTPUT,
            ("No space left", "--cache DIR"),
        ),
    ],
)
def test_download_that_fails(
    answer: Apt, wish: apt.Wish, text: str, status: ExitStatus, told: tuple[str, str]
) -> None:
    answer.status, answer.text = 100, text
    with pytest.raises(BwbuildError) as caught:
        apt.download(wish, 1)
    assert caught.value.status is status
    assert told[0] in caught.value.message
    assert told[1] in caught.value.hint
    assert caught.value.details == (text,)


def test_no_fetch_asks_no_network(answer: Apt, wish: apt.Wish) -> None:
    offline = replace(wish, fetch=False)
    apt.download(offline, 1)
    answer.status = 100
    with pytest.raises(apt.DependencyError, match="which --no-fetch forbids"):
        apt.download(offline, 1)
    assert [chamber.network for _, chamber in answer.asked] == [False, False]


def test_installation_has_no_network(answer: Apt, wish: apt.Wish, tmp_path: Path) -> None:
    apt.install(wish, 3, tmp_path)
    ((argv, chamber),) = answer.asked
    assert (chamber.network, chamber.layer) == (False, tmp_path)
    assert "--no-download" in argv
    assert answer.said == ["installing 3 packages over the base, once"]


def test_installation_that_writes_without_end(answer: Apt, wish: apt.Wish) -> None:
    answer.text = "x" * (6 << 20)
    apt.install(wish, 1, wish.cache)
    assert [len(text) for text in answer.kept] == [4 << 20]


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        (
            "dpkg: error processing package broken (--configure):\n installed broken package "
            "post-installation script subprocess returned error exit status 3\n"
            "dpkg: error processing package other (--configure):",
            ExitStatus.HOST,
            "broken of trixie can't be installed (exit status 100)",
        ),
        ("E: something else", ExitStatus.HOST, "the build dependencies can't be installed (exit status 100)"),
        (
            "cannot copy: failed to write (No space left on device)",
            ExitStatus.OUTPUT,
            "No space left on device",
        ),
    ],
)
def test_installation_that_fails(
    answer: Apt, wish: apt.Wish, text: str, status: ExitStatus, message: str
) -> None:
    answer.status, answer.text = 100, text
    with pytest.raises(BwbuildError) as caught:
        apt.install(wish, 1, wish.cache)
    assert caught.value.status is status
    assert caught.value.message.endswith(message)
    assert caught.value.details == tuple(text.splitlines())
    assert list((wish.cache / "work").iterdir()) == []
