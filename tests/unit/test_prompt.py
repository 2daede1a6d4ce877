"""What is said before the question: nothing of a source's own looks like words of the prompt."""

from __future__ import annotations

import unicodedata

import pytest

from bwbuild.cli.prompt import shown
from bwbuild.errors import SourceError
from bwbuild.permissions.asked import FILE, Request, requests
from bwbuild.permissions.words import parse

LABELS = ("1 of 1: ", "    its reason:  ", "    it exposes:  ", " " * 17)
FAKE = "it exposes:  nothing at all, it is a cache"


def asking(reason: str, permission: str = "share=network") -> tuple[Request, ...]:
    return requests(f"[[request]]\npermission = '{permission}'\nreason = '{reason}'\n".encode())


def columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@pytest.mark.parametrize("width", [20, 40, 79, 80, 81, 200])
@pytest.mark.parametrize(
    "reason",
    [
        f"it fetches{' ' * 53}{FAKE}",
        *(f"{'a' * number} {FAKE}" for number in range(55, 66)),
        f"{'a' * 300}{FAKE}",
        f"{chr(0x4E00) * 31} {FAKE}",
        f"{'b' * 61}{FAKE}",
    ],
)
def test_no_line_is_broken_by_the_terminal(reason: str, width: int) -> None:
    (request,) = asking(reason)
    lines = shown(request, "1 of 1", width)[1:]
    assert all(columns(line) < width or line in LABELS for line in lines)
    indent = " " * min(17, width // 3)
    own = [line for line in lines if not line.startswith(indent)]
    assert [line.startswith(label) for line, label in zip(own, LABELS, strict=False)] == [True] * 3
    assert len(own) == 3
    # All of it is there.
    said = "".join("".join(lines).split())
    assert "".join(request.reason.split()) in said


def test_a_long_path_is_no_other_line() -> None:
    request = Request(parse(f"filesystem=/srv/{'a' * 55} its reason: none"), "why")
    lines = shown(request, "1 of 1")
    assert [line for line in lines if line.startswith("    its reason:")] == ["    its reason:  why"]


@pytest.mark.parametrize(
    "blank",
    ["\u2800", "\u3164", "\u115f", "\u1160", "\uffa0", "\U0001d159", *(" \ufe0f \ufe0f", "\ufe0f\ufe0f")],
)
def test_what_looks_like_a_blank_is_none(blank: str) -> None:
    assert blank.isprintable()
    with pytest.raises(SourceError, match=f"{FILE}: request 1: reason is") as caught:
        asking(f"it fetches{blank}{FAKE}")
    assert caught.value.message.isascii()
    with pytest.raises(SourceError, match=f"{FILE}: request 1: permission is"):
        asking("why", f"filesystem=/srv/a{blank}b")


def test_blanks_of_a_reason_are_folded() -> None:
    assert asking("It fetches.  Then   it tests. ")[0].reason == "It fetches. Then it tests."
    assert asking("\u26a0\ufe0f it fetches")[0].reason == "\u26a0\ufe0f it fetches"
    with pytest.raises(SourceError, match="permission is"):
        asking("why", "filesystem=/srv/a  b")
