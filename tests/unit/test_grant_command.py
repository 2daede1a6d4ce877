"""``bwbuild grant`` and ``revoke``: whom and what a word on their command line means."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import make_tree

from bwbuild.build.granted import terms
from bwbuild.cli.grants import grant, revoke
from bwbuild.permissions import grants
from bwbuild.permissions.answers import Answer, Decision, Why, Wishes, decide
from bwbuild.permissions.asked import FILE, Purpose, Request
from bwbuild.permissions.grants import Grant
from bwbuild.permissions.words import NETWORK, parse

BUILD = Request(NETWORK, "to fetch")
TESTS = Request(NETWORK, "to fetch more", Purpose.TESTS)
EARLIER = Request(NETWORK, "to fetch", Purpose.TESTS)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of answers, in a home of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "config" / "bwbuild" / grants.NAME


def source(place: Path, name: str, *requests: Request) -> Path:
    """A tree of a source that asks for that."""
    tree = make_tree(place, name=name)
    lines = (
        f"[[request]]\npermission = '{r.permission}'\nreason = '{r.reason}'\nfor = '{r.purpose.value}'\n"
        for r in requests
    )
    (tree / FILE).write_text("".join(lines), encoding="utf-8")
    return tree


def said(command: object, *words: str | Path) -> str:
    """What it prints, or the message of its error."""
    done = CliRunner().invoke(command, list(map(str, words)), standalone_mode=False)  # type: ignore[arg-type]
    return done.output if done.exception is None else str(done.exception)


def answers(path: Path, name: str = "asks") -> dict[Request, Answer]:
    """All that are kept for a source."""
    return {item.request: item.answer for item in grants.load(path) if item.source == name}


def remember(path: Path, name: str, **given: tuple[Request, Answer]) -> None:
    grants.add(path, [Grant(name, *item, "2026-01-31") for item in given.values()])


@pytest.mark.parametrize(
    "text",
    ["filesystem=/srv/data;touch MARK;:", "filesystem=/srv/$(id)", "filesystem=~/it's data", "share=network"],
)
@pytest.mark.parametrize("why", [Why.UNASKED, Why.NEVER], ids=str)
def test_a_printed_command_can_be_pasted(text: str, why: Why, tmp_path: Path) -> None:
    permission = parse(text)
    decision = Decision(permission, Purpose.BUILD, granted=False, why=why, request=Request(permission, "why"))
    line = terms.denial("asks", decision).partition("(why); ")[2]
    command = line.partition(" grants it")[0].partition(" has it asked again")[0]
    script = f"bwbuild() {{ printf '%s\\n' \"$@\"; }}; HOME=/home/joe; {command}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    verb = "revoke" if why is Why.NEVER else "grant"
    assert done.stdout == f"{verb}\nasks\n{permission}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_printed_command_is_about_one_purpose() -> None:
    build, tests = decide((BUILD, TESTS), Wishes())
    assert shlex.split(terms.command("asks", build, (build,)))[1:] == ["grant", "asks", "share=network"]
    both = [terms.command("asks", item, (build, tests)).partition(" --")[2] for item in (build, tests)]
    assert both == ["for build", "for tests"]
    assert terms.command("asks", tests, (tests,)).endswith(" --for tests")


def test_what_would_grant_it_to_the_tests() -> None:
    def told(*requests: Request, **wishes: object) -> str:
        return terms.of_tests("asks", NETWORK, decide(requests, Wishes(**wishes)))  # type: ignore[arg-type]

    assert told() == "--allow share=network grants it"
    assert told(TESTS) == told(BUILD, TESTS) == "bwbuild grant asks share=network --for tests grants it"
    # What the source asks for its build is for that alone, whoever allows it.
    alone = f"{FILE} asks for it for the build alone, and not for the tests"
    assert told(BUILD) == told(BUILD, allow=(NETWORK,)) == alone
    assert told(TESTS, deny=(NETWORK,)) == "--deny share=network forbids it"


def test_a_directory_is_no_tree_because_one_is_above(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = source(Path("asks"), "asks", BUILD)
    (tree / "hos").mkdir()
    remember(kept, "hos", waits=(BUILD, Answer.NO))
    remember(kept, "asks", denied=(BUILD, Answer.NEVER))
    monkeypatch.chdir(tree)
    assert said(grant, "hos", "share=network") == "hos: share=network: always\n"
    assert answers(kept) == {BUILD: Answer.NEVER}
    assert said(revoke, "hos", "share=network") == "hos: share=network: forgotten\n"
    assert answers(kept) == {BUILD: Answer.NEVER}
    # A path is one, from anywhere in it.
    assert said(revoke, "./hos", "share=network") == "asks: share=network: forgotten\n"
    assert said(grant, "hos", "share=network").startswith("hos does not ask for share=network")


def test_a_tree_that_is_called_as_another_source(kept: Path) -> None:
    source(Path("hos"), "asks", BUILD)
    assert said(grant, "hos", "share=network") == "asks: share=network: always\n"
    remember(kept, "hos", waits=(TESTS, Answer.NO))
    assert said(grant, "hos", "share=network") == "hos: share=network for its tests: always\n"
    assert said(grant, "hos/", "share=network") == "asks: share=network: always, as before\n"


def test_what_was_answered_stays(kept: Path) -> None:
    remember(kept, "asks", a=(BUILD, Answer.NEVER), b=(EARLIER, Answer.NEVER), c=(TESTS, Answer.NO))
    assert "share=network for its tests: always\n" in said(grant, "asks", "share=network")
    assert answers(kept) == {BUILD: Answer.NEVER, EARLIER: Answer.NEVER, TESTS: Answer.ALWAYS}
    # With nothing that waits, it has to be said which one is to be another.
    assert "more than once" in said(grant, "asks", "share=network")
    assert "share=network: always, no more never" in said(grant, "asks", "share=network", "--for", "build")
    assert answers(kept) == {BUILD: Answer.ALWAYS, EARLIER: Answer.NEVER, TESTS: Answer.ALWAYS}
    said(revoke, "asks", "share=network", "--for", "tests")
    assert answers(kept) == {BUILD: Answer.ALWAYS}


def test_a_tree_is_granted_what_waits(kept: Path) -> None:
    source(Path("asks"), "asks", BUILD, TESTS)
    said(grant, "./asks", "share=network", "--never", "--for", "build")
    lines = said(grant, "./asks", "share=network").splitlines()
    assert lines == ["asks: share=network: never, as before", "asks: share=network for its tests: always"]
    assert answers(kept) == {BUILD: Answer.NEVER, TESTS: Answer.ALWAYS}
