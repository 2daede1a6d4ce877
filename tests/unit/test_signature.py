"""What gpgv's status lines mean for a .dsc."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.deb.signature import Answer, Verdict, judge, own_keyrings

KEY = "A" * 40
VALID = f"VALIDSIG {KEY} 2026-01-01 1767225600 0 4 0 22 10 01 {KEY}"


def answer(*lines: str) -> Answer:
    return judge("".join(f"[GNUPG:] {line}\n" for line in ("NEWSIG", *lines)))


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ((f"GOODSIG {KEY[:16]} Zoë X <z@example.org>", VALID), Verdict.GOOD),
        ((f"EXPKEYSIG {KEY[:16]} Zoë X <z@example.org>", VALID), Verdict.EXPIRED),
        ((f"EXPSIG {KEY[:16]} Zoë X <z@example.org>", VALID), Verdict.EXPIRED),
    ],
)
def test_signatures_that_hold(lines: tuple[str, ...], verdict: Verdict) -> None:
    assert answer(*lines) == Answer(verdict, KEY, "Zoë X <z@example.org>")


def test_unknown_key_and_unknown_kind() -> None:
    unknown = (f"ERRSIG {KEY[:16]} 22 8 01 1795339591 9 {KEY}", f"NO_PUBKEY {KEY[:16]}")
    assert answer(*unknown) == Answer(Verdict.UNKNOWN_KEY, KEY[:16])
    assert answer(f"ERRSIG {KEY[:16]} 1 1 01 1795339591 5 -").verdict is Verdict.UNCHECKED


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("NODATA 4",),
        ("BADARMOR",),
        (f"BADSIG {KEY[:16]} Zoë",),
        (f"REVKEYSIG {KEY[:16]} Zoë", VALID),
        # One good signature does not make up for another one that is wrong.
        (f"GOODSIG {KEY[:16]} Zoë", VALID, f"BADSIG {'B' * 16} Eve"),
        (f"GOODSIG {KEY[:16]} Zoë",),
        ("", "GOODSIG"),
    ],
)
def test_everything_else_does_not_hold(lines: tuple[str, ...]) -> None:
    assert answer(*lines).verdict is None


def test_only_status_lines_count() -> None:
    assert judge(f"GOODSIG {KEY} x\n{VALID}\n [GNUPG:] GOODSIG x y\n").verdict is None


def test_own_keyrings(tmp_path: Path) -> None:
    assert own_keyrings({"HOME": str(tmp_path)}) == []
    (tmp_path / ".gnupg").mkdir()
    (tmp_path / ".gnupg" / "pubring.kbx").touch()
    assert own_keyrings({"HOME": str(tmp_path)}) == [tmp_path / ".gnupg" / "pubring.kbx"]
    assert own_keyrings({"HOME": "/nowhere", "GNUPGHOME": str(tmp_path / ".gnupg")}) == [
        tmp_path / ".gnupg" / "pubring.kbx"
    ]
    assert own_keyrings({}) == []
