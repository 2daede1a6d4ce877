"""What a source asks for: read with hard bounds, and refused with the file and the key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bwbuild.build.granted.handshake import requests_in
from bwbuild.errors import SourceError
from bwbuild.permissions.asked import FILE, LARGEST, MOST, Purpose, Request, read, requests
from bwbuild.permissions.words import Permission

WHOLE = """\
[[request]]
permission = "share=network"
reason = "the tests of the downloader fetch from a server"
for = "tests"
required = true

[[request]]
permission = "userns"
reason = "it makes namespaces"
"""


def table(**values: str) -> str:
    texts = {"permission": '"share=network"', "reason": '"why"', **values}
    return "[[request]]\n" + "".join(f"{key} = {text}\n" for key, text in texts.items())


def test_requests() -> None:
    network, nesting = requests(WHOLE.encode())
    assert network == Request(
        Permission("share", "network"),
        "the tests of the downloader fetch from a server",
        Purpose.TESTS,
        required=True,
    )
    assert nesting == Request(Permission("allow", "userns"), "it makes namespaces")
    assert [str(network), str(nesting)] == ["share=network for its tests", "allow=userns"]
    assert requests(b"") == ()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("allow = 1", "unknown key 'allow'"),
        ('"\\u001b[2J" = 1', r"unknown key '\\x1b[2J'"),
        ("request = 1", "request is no array of tables"),
        ("request = [1]", "request is no array of tables"),
        ("[request]\npermission = 'env=A'", "request is no array of tables"),
        ("[[request]]\nreason = 'x'", "request 1: permission is missing"),
        (table(permission="1"), "permission is a value of another kind (int)"),
        (table(permission="'everything'"), "permission is 'everything'"),
        (table(permission="'filesystem=/srv/../etc'"), "permission is 'filesystem=/srv/../etc'"),
        (table(permission='"share=network\\u001b[1A"'), r"permission is 'share=network\\x1b[1A'"),
        ("[[request]]\npermission = 'userns'", "reason is missing"),
        (table(reason="''"), "reason is empty"),
        (table(reason="1"), "reason is a value of another kind (int)"),
        (table(reason='"a\\nb"'), r"reason is 'a\\nb'"),
        (table(reason='"\\u202egnp"'), r"reason is '\\u202egnp'"),
        (table(reason=f"'{'a' * 501}'"), "reason is 'aaaa"),
        (table(**{"for": "'ever'"}), "for is 'ever'"),
        (table(**{"for": "[]"}), "for is a value of another kind (list)"),
        (table(required="'yes'"), "required is a value of another kind (str)"),
        (table(requires="true"), "unknown key 'requires'"),
        (table() + table(), "request 2: share=network is asked for twice"),
        ("\n".join(table(permission=f"'env=A{number}'") for number in range(MOST + 1)), "65 requests"),
        ("a = ", "not valid TOML"),
        ("a = " + "[\n" * 5000, "nested too deeply"),
        ("a" * 5000, "a line of more than 4096 bytes"),
        ("#\n" * LARGEST, "larger than 64 KiB"),
    ],
)
def test_what_is_refused(text: str, part: str) -> None:
    with pytest.raises(SourceError) as caught:
        requests(text.encode())
    assert part.replace(r"\\", "\\") in caught.value.message
    assert caught.value.message.startswith(f"{FILE}: ")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


def test_no_utf_8() -> None:
    with pytest.raises(SourceError, match="not valid TOML"):
        requests(b"\xff")


def make(tree: Path) -> Path:
    (tree / "debian").mkdir()
    return tree / FILE


def test_read(tmp_path: Path) -> None:
    assert read(tmp_path) == ()
    file = make(tmp_path)
    assert read(tmp_path) == ()
    file.write_text(WHOLE, encoding="utf-8")
    assert len(read(tmp_path)) == 2


def test_a_file_that_is_none(tmp_path: Path) -> None:
    file = make(tmp_path)
    file.symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match="symbolic link"):
        read(tmp_path)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(SourceError, match="not a regular file"):
        read(tmp_path)
    file.unlink()
    file.mkdir()
    with pytest.raises(SourceError, match="not a regular file"):
        read(tmp_path)
    file.rmdir()
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(SourceError, match="larger than 64 KiB"):
        read(tmp_path)


def test_a_limit_has_to_be_one(tmp_path: Path) -> None:
    file = make(tmp_path)
    file.write_text(table(permission="'limit=memory:8G'"), encoding="utf-8")
    assert requests_in(tmp_path)[0].permission == Permission("limit", "memory:8G")
    for wrong in ("luck:1", "memory:1h", "memory:never", "time:8g"):
        file.write_text(table(permission=f"'limit={wrong}'"), encoding="utf-8")
        with pytest.raises(SourceError, match="limit=") as caught:
            requests_in(tmp_path)
        # Nothing is expected that would be refused.
        assert "never" not in caught.value.hint
        assert caught.value.hint.startswith("expected limit=")
