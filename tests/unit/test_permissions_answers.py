"""Decisions about requests, what is kept of them, and what each permission exposes."""

from __future__ import annotations

import json
import threading
from itertools import chain
from pathlib import Path

import pytest

from bwbuild.audit.of_permission import explained
from bwbuild.build.granted import terms
from bwbuild.build.study.standing import Standing
from bwbuild.config.permits import Permit
from bwbuild.config.settings import Settings
from bwbuild.errors import ConfigurationError
from bwbuild.permissions import grants
from bwbuild.permissions.answers import (
    Answer,
    Why,
    Wishes,
    decide,
    denied,
    granted,
    open_questions,
    unmet,
)
from bwbuild.permissions.asked import Purpose, Request
from bwbuild.permissions.exposes import exposure
from bwbuild.permissions.grants import Grant
from bwbuild.permissions.words import CHOICES, Permission, parse

NETWORK = Request(parse("share=network"), "to fetch", Purpose.TESTS, required=True)
DATA = Request(parse("filesystem=/srv/data:ro"), "to read")
WRITE = parse("filesystem=/srv/data:rw")


def test_nobody_answers() -> None:
    found = decide((NETWORK, DATA), Wishes())
    assert [item.granted for item in found] == [False, False]
    assert {item.why for item in found} == {Why.UNASKED}
    assert granted(found) == granted(found, Purpose.TESTS) == ()
    assert denied(found) == found
    assert [item.request for item in unmet(found)] == [NETWORK]


@pytest.mark.parametrize("answer", Answer)
def test_answers(answer: Answer) -> None:
    wishes = Wishes()
    assert open_questions((NETWORK, DATA), wishes) == (NETWORK, DATA)
    network, data = decide((NETWORK, DATA), wishes, {NETWORK: answer})
    assert network.granted is (answer in (Answer.ONCE, Answer.ALWAYS))
    assert network.why is Why[answer.name]
    assert data.why is Why.UNASKED
    assert bool(granted((network, data), Purpose.TESTS)) is network.granted
    assert granted((network, data)) == ()  # not while it is built


def test_kept_answers() -> None:
    wishes = Wishes(kept={NETWORK: Answer.ALWAYS, DATA: Answer.NEVER})
    assert open_questions((NETWORK, DATA), wishes) == ()
    network, data = decide((NETWORK, DATA), wishes)
    assert (network.granted, network.why, data.granted, data.why) == (True, Why.ALWAYS, False, Why.NEVER)


@pytest.mark.parametrize(
    "changed",
    [
        Request(NETWORK.permission, "to fetch more", Purpose.TESTS, required=True),
        Request(NETWORK.permission, NETWORK.reason, Purpose.BUILD, required=True),
        Request(NETWORK.permission, NETWORK.reason, Purpose.TESTS),
    ],
)
def test_a_changed_request_asks_again(changed: Request) -> None:
    assert open_questions((changed,), Wishes(kept={NETWORK: Answer.ALWAYS})) == (changed,)


def test_options() -> None:
    allow = Wishes(allow=(WRITE,))
    assert open_questions((DATA,), allow) == ()  # who may write may read
    assert decide((DATA,), allow)[0].granted
    assert granted(decide((DATA,), allow)) == (DATA.permission, WRITE)
    for deny in (DATA.permission, WRITE):
        denying = Wishes((DATA.permission,), (deny,), {DATA: Answer.ALWAYS})
        assert granted(decide((DATA,), denying)) == (() if deny == DATA.permission else (DATA.permission,))
    # Who denies to read a path denies to write it.
    assert granted(decide((), Wishes((WRITE,), (DATA.permission,)))) == ()


def test_what_is_given_unasked() -> None:
    found = decide((), Wishes(allow=(NETWORK.permission,)))
    assert granted(found) == granted(found, Purpose.TESTS) == (NETWORK.permission,)
    assert denied(found) == ()
    # What the source wants for its tests alone is not given to the build.
    asked = decide((NETWORK,), Wishes(allow=(NETWORK.permission,)))
    assert (granted(asked), granted(asked, Purpose.TESTS)) == ((), (NETWORK.permission,))


HOME = {"~": "/home/joe"}


@pytest.mark.parametrize("deny", ["~/.ssh", "~", "/home/joe", "/home/joe/.ssh/id", "/"])
def test_what_is_denied_is_denied_however_it_is_written(deny: str) -> None:
    asked = Request(parse("filesystem=/home/joe/.ssh"), "to read")
    wishes = terms.wishes(Settings(deny=(parse(f"filesystem={deny}"),)), {asked: Answer.ALWAYS}, HOME)
    (found,) = decide((asked,), wishes)
    assert (found.granted, found.why) == (False, Why.OPTION)


@pytest.mark.parametrize(
    ("allow", "asks", "is_granted"),
    [
        ("limit=memory:16G", "limit=memory:8G", True),
        ("limit=memory:8192M", "limit=memory:8G", True),
        ("limit=memory:4G", "limit=memory:8G", False),
        ("limit=disk:16G", "limit=memory:8G", False),
        ("limit=silence:2h", "limit=silence:90m", True),
        ("limit=silence:1.5", "limit=silence:2s", False),
        ("filesystem=/srv", "filesystem=/srv/data", True),
        ("filesystem=~/data", "filesystem=/home/joe/data", True),
        ("filesystem=/srv", "filesystem=/srv/data:rw", False),
    ],
)
def test_more_than_what_is_asked_for_is_enough(allow: str, asks: str, *, is_granted: bool) -> None:
    asked = Request(Permit().from_text(asks), "for a reason", required=True)
    wishes = terms.wishes(Settings(allow=(Permit().from_text(allow),)), {}, HOME)
    decisions = decide((asked,), wishes)
    assert decisions[0].granted is is_granted
    assert bool(open_questions((asked,), wishes)) is not is_granted


def test_a_path_is_not_mounted_below_one_that_was_given_to_be_written() -> None:
    below = Request(parse("filesystem=/srv/data/sub"), "to read")
    found = decide((below,), Wishes(allow=(WRITE,)))
    assert found[0].granted
    assert granted(found) == granted(found, Purpose.TESTS) == (WRITE,)
    # What the user himself wants to be read-only below it is for him to say otherwise.
    both = Wishes(allow=(WRITE, below.permission))
    assert granted(decide((), both)) == both.allow


def everything() -> list[Permission]:
    listed = [f"{key}={word}" for key, words in CHOICES.items() for word in words]
    paths = ("/", "~", "/srv", "~/.ssh", "~/.ssh/id_rsa:rw", "~/.local:rw", "~/data", "xdg-documents:ro")
    others = ["env=A", "persist=a", "limit=memory:8G", "talk=org.example.A", "own=org.example.A"]
    others += [f"talk=org.freedesktop.{name}" for name in ("Notifications", "secrets", "Flatpak", "*")]
    return list(map(parse, chain(listed, others, (f"filesystem={path}" for path in paths))))


@pytest.mark.parametrize("permission", everything(), ids=str)
def test_exposures_are_in_the_audits_words(permission: Permission) -> None:
    first, *more = explained(permission)
    assert len(first) > 20
    assert "{" not in first
    assert len(more) == len(exposure(permission).findings)
    assert parse(str(permission)) == permission


def test_grave_exposures() -> None:
    grave = {str(permission) for permission in everything() if exposure(permission).grave}
    assert grave == {
        *("socket=x11", "socket=pulseaudio", "filesystem=/:ro", "filesystem=~:ro", "filesystem=~/.ssh:ro"),
        *("filesystem=~/.ssh/id_rsa:rw", "filesystem=~/.local:rw"),
        *("talk=org.freedesktop.secrets", "talk=org.freedesktop.Flatpak", "talk=org.freedesktop.*"),
    }


@pytest.mark.parametrize(
    "path",
    [
        *("/home/joe", "/home/joe/.ssh", "~/.ssh", "/home/joe/.config:rw", "/home/joe/.bashrc:rw", "/home"),
        *("~/.bashrc:rw", "~/bin:rw", "xdg-data", "xdg-config:rw", "xdg-config/foo:rw", "/home/ann"),
        *("/home/ann/.gnupg", "/home/ann/.profile:rw", "/root", "/srv/share", "/srv/share/keyrings"),
        "/srv/share/applications:rw",
    ],
)
def test_grave_paths_however_they_are_written(path: str) -> None:
    found = exposure(parse(f"filesystem={path}"), {**HOME, "xdg-data": "/srv/share"})
    assert found.grave
    assert "home" in found.findings
    assert path.removesuffix(":rw") in found.text


@pytest.mark.parametrize("path", ["/home/joe/data", "/mnt", "/srv/share2:rw", "/homes/joe", "~/data:rw"])
def test_paths_that_are_not_grave(path: str) -> None:
    found = exposure(parse(f"filesystem={path}"), {**HOME, "xdg-data": "/srv/share"})
    assert not found.grave
    assert ("home" in found.findings) is ("data" in path)


def test_what_a_build_leaves_where_it_writes() -> None:
    for path in ("/srv/data", "~", "~/.config", "~/.ssh"):
        reads, writes = (exposure(parse(f"filesystem={path}:{mode}")).text for mode in ("ro", "rw"))
        assert "set-user-ID" in writes
        assert "set-user-ID" not in reads


def test_words_for_completion() -> None:
    for word in Permit().words:
        if word[-1] not in "=:":
            Permit().from_text(word)


def grant(request: Request, answer: Answer = Answer.ALWAYS, source: str = "tiny") -> Grant:
    return Grant(source, request, answer, "2026-01-31")


def test_grants_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "conf" / grants.NAME
    assert grants.load(path) == ()
    grants.add(path, [grant(NETWORK), grant(DATA, Answer.NO), grant(DATA, Answer.NEVER, "other")])
    assert path.stat().st_mode & 0o777 == 0o600
    assert grants.kept(grants.load(path), "tiny") == {NETWORK: Answer.ALWAYS}
    grants.add(path, [grant(DATA, Answer.NEVER)])
    assert grants.kept(grants.load(path), "tiny") == {NETWORK: Answer.ALWAYS, DATA: Answer.NEVER}
    gone = grants.remove(path, lambda item: item.source == "tiny")
    assert {item.request for item in gone} == {NETWORK, DATA}
    assert grants.load(path) == (grant(DATA, Answer.NEVER, "other"),)
    assert sorted(item.name for item in path.parent.iterdir()) == [".grants.json.lock", "grants.json"]


def test_what_was_used_and_what_was_not(tmp_path: Path) -> None:
    path = tmp_path / grants.NAME
    grants.add(path, [grant(NETWORK), grant(DATA), grant(DATA, source="other")])
    assert {item.use for item in grants.load(path)} == {""}
    grants.mark(path, "tiny", {NETWORK: False, DATA: True})
    data, network = (item for item in grants.load(path) if item.source == "tiny")
    assert network.use == f"never used, as the build of {network.unused} shows"
    assert data.use == f"used on {data.used}"
    given = decide((NETWORK,), Wishes(allow=(NETWORK.permission,)))[0]
    assert Standing(given, network, (), grave=False).state.endswith(network.use)
    grants.mark(path, "tiny", {NETWORK: True, DATA: False})
    data, network = (item for item in grants.load(path) if item.source == "tiny")
    assert network.use == f"used on {network.used}"
    assert data.use == f"used on {data.used}, but not on {data.unused}"
    assert [item.use for item in grants.load(path) if item.source == "other"] == [""]


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / grants.NAME
    requests = [Request(parse(f"env=A{number}"), "why") for number in range(20)]
    threads = [threading.Thread(target=grants.add, args=(path, [grant(item)])) for item in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(grants.kept(grants.load(path), "tiny")) == set(requests)


def test_what_waits_is_what_is_asked_now(tmp_path: Path) -> None:
    path = tmp_path / grants.NAME
    grants.add(path, [grant(NETWORK, source="other")])
    grants.wait(path, "tiny", [NETWORK, DATA], (NETWORK, DATA))
    assert {item.request for item in grants.load(path) if item.source == "tiny"} == {NETWORK, DATA}
    changed = Request(DATA.permission, "to read more")
    # What was said no to when asked is no news, and stays.
    grants.wait(path, "tiny", [changed], (NETWORK, changed))
    assert {item.request for item in grants.load(path) if item.source == "tiny"} == {NETWORK, changed}
    grants.add(path, [grant(changed, Answer.NEVER)])
    grants.wait(path, "tiny", [], ())
    assert {item.answer for item in grants.load(path)} == {Answer.ALWAYS, Answer.NEVER}


def test_hostile_requests_push_out_no_answer(tmp_path: Path) -> None:
    """As many sources as there are, each with the largest file that is read."""
    path = tmp_path / grants.NAME
    mine = grant(NETWORK, source="zlib")
    grants.add(path, [mine])
    asked, long = [], "\u00e4" * 300
    for number in range(20):
        texts = (f"filesystem=/{long}/{number}/{n}" for n in range(30))
        asked = [Request(parse(text), "\u4e00" * 480) for text in texts]
        grants.wait(path, f"hostile{number}", asked, asked)
    assert path.stat().st_size < (1 << 20) + 4096
    found = grants.load(path)
    assert mine in found
    assert set(asked) <= {item.request for item in found}, "the latest are there"
    assert "\u4e00" in path.read_text(encoding="utf-8")


def test_nothing_is_written_that_could_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / grants.NAME
    grants.add(path, [grant(NETWORK)])
    many = [grant(Request(parse(f"env=A{number}"), "a" * 500)) for number in range(14000)]
    with pytest.raises(ConfigurationError, match="larger than 8 MiB"):
        grants.add(path, many)
    assert grants.load(path) == (grant(NETWORK),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2, "grants": []}',
        '{"version": 1, "grants": {}}',
        '{"version": 1, "grants": [{}]}',
        "[" * 100000,
        json.dumps({"version": 1, "grants": [grant(NETWORK).plain() | {"answer": "once"}]}),
        json.dumps({"version": 1, "grants": [grant(NETWORK).plain() | {"permission": "all"}]}),
        json.dumps({"version": 1, "grants": [grant(NETWORK).plain() | {"required": 1}]}),
        json.dumps({"version": 1, "grants": [grant(NETWORK).plain() | {"reason": "\ud800"}]}),
        json.dumps({"version": 1, "grants": [grant(NETWORK).plain() | {"source": "\ud800"}]}),
    ],
)
def test_a_file_that_is_not_whole_grants_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / grants.NAME
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="not as bwbuild wrote it"):
        grants.load(path)


def test_a_file_that_others_can_write_grants_nothing(tmp_path: Path) -> None:
    path = tmp_path / grants.NAME
    grants.add(path, [grant(NETWORK)])
    path.chmod(0o666)
    with pytest.raises(ConfigurationError, match="could be written by others"):
        grants.load(path)
