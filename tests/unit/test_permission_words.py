"""The words for permissions: one spelling each, and clear refusals."""

from __future__ import annotations

import pytest

from bwbuild.build.granted.terms import senseless
from bwbuild.config.permits import LISTED, PROGRAM_WORDS, Permit
from bwbuild.permissions.words import OF_PROGRAMS, Permission, absolute, meant, parse
from bwbuild.tryout import grants


@pytest.mark.parametrize(
    ("text", "permission"),
    [
        ("share=network", Permission("share", "network")),
        ("device=kvm", Permission("device", "kvm")),
        ("filesystem=/srv/data", Permission("filesystem", "/srv/data")),
        ("filesystem=/srv/data/:rw", Permission("filesystem", "/srv/data", writable=True)),
        ("filesystem=/", Permission("filesystem", "/")),
        ("filesystem=~/music:ro", Permission("filesystem", "~/music")),
        ("filesystem=xdg-documents:rw", Permission("filesystem", "xdg-documents", writable=True)),
        ("filesystem=xdg-config/foo", Permission("filesystem", "xdg-config/foo")),
        ("socket=session-bus", Permission("socket", "session-bus")),
        ("env=LANG", Permission("env", "LANG")),
        ("allow=userns", Permission("allow", "userns")),
        ("userns", Permission("allow", "userns")),
        ("persist=ccache", Permission("persist", "ccache")),
        ("limit=memory:8G", Permission("limit", "memory:8G")),
        ("talk=org.freedesktop.portal.*", Permission("talk", "org.freedesktop.portal.*")),
    ],
)
def test_what_is_written_is_read(text: str, permission: Permission) -> None:
    assert parse(text) == permission
    assert parse(str(permission)) == permission


@pytest.mark.parametrize(
    "text",
    [
        *("", "network", "share", "share=", "share=all", "device=../mem", "allow=everything"),
        *("filesystem=", "filesystem=relative", "filesystem=/a/../b", "filesystem=/a//b", "filesystem=//a"),
        *(
            "filesystem=~other/x",
            "filesystem=/a/./b",
            "filesystem=/a\nb",
            "filesystem=:rw",
            "filesystem=/a\x1b[2J",
        ),
        *("env=A=B", "env=1A", "persist=../x", "persist=", "limit=memory", "talk=org", "talk=*", "own=a..b"),
        "filesystem=/" + "a" * 2000,
    ],
)
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_to_write_a_path_is_to_read_it() -> None:
    reading, writing = parse("filesystem=/srv"), parse("filesystem=/srv:rw")
    assert writing.covers(reading)
    assert not reading.covers(writing)
    assert reading.covers(reading)


def test_what_shells_offer_can_be_had() -> None:
    assert [word for word in LISTED if senseless(parse(word))] == list(OF_PROGRAMS)
    assert {*LISTED} - {*Permit().words} == {*OF_PROGRAMS}
    whole = [word for word in PROGRAM_WORDS if not word.endswith("=")]
    assert set(whole) >= {*LISTED}
    assert grants.read(whole, (), None).permissions


HOME = {"~": "/home/joe", "xdg-documents": "/home/joe/Papers", "xdg-data": "/srv/share"}


@pytest.mark.parametrize(
    ("value", "path", "unknown"),
    [
        ("/srv/a", "/srv/a", "/srv/a"),
        ("~", "/home/joe", "~"),
        ("~/a/b", "/home/joe/a/b", "~/a/b"),
        ("xdg-documents/a", "/home/joe/Papers/a", "~/Documents/a"),
        ("xdg-config", "/home/joe/.config", "~/.config"),
        ("xdg-data/keyrings", "/srv/share/keyrings", "~/.local/share/keyrings"),
    ],
)
def test_what_a_path_means(value: str, path: str, unknown: str) -> None:
    assert (absolute(value, HOME), absolute(value, {})) == (path, unknown)


@pytest.mark.parametrize(
    ("one", "other", "covers", "denies"),
    [
        ("~", "/home/joe/.ssh", True, True),
        ("/home/joe/.ssh", "~", False, True),
        ("~/.ssh", "/home/joe/.ssh", True, True),
        ("~/.ssh", "/home/joe/.sshd", False, False),
        ("/srv", "/srv/data", True, True),
        ("/srv/data", "/srv/data2", False, False),
        ("/", "~/a", True, True),
        ("/srv", "/srv/data:rw", False, True),
        ("/srv:rw", "/srv/data", True, False),
        ("/srv:rw", "/srv/data:rw", True, True),
    ],
)
def test_paths_are_compared_by_what_they_mean(one: str, other: str, *, covers: bool, denies: bool) -> None:
    first, second = (meant(parse(f"filesystem={path}"), HOME) for path in (one, other))
    assert (first.covers(second), first.denies(second)) == (covers, denies)
    assert not parse("userns").denies(second)
