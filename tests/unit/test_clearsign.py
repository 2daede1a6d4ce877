from __future__ import annotations

import pytest

from bwbuild.deb.clearsign import canonical, signed_text
from bwbuild.errors import SigningError
from bwbuild.handover.clearsign import check_status
from bwbuild.handover.keys import Key
from bwbuild.handover.sign import debsign_finds

ARMOR = "-----BEGIN PGP SIGNATURE-----\n\niQ==\n=abcd\n-----END PGP SIGNATURE-----\n"
HEAD = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n"
A, B, SUB = "A" * 40, "B" * 40, "C" * 40


def test_text_of_a_frame() -> None:
    assert signed_text(f"{HEAD}Format: 1.8\n- -dash\n- - \n\n{ARMOR}", "x") == "Format: 1.8\n-dash\n- \n"


def test_older_gpg_names_no_hash_and_a_version() -> None:
    armor = ARMOR.replace("\n\n", "\nVersion: GnuPG v1\nComment: a: b\n\n", 1)
    assert signed_text(f"-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n{armor}", "x") == "x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Format: 1.8\n",
        f"before\n{HEAD}x\n{ARMOR}",
        f"\n{HEAD}x\n{ARMOR}",
        f"{HEAD}x\n{ARMOR}after\n",
        f"{HEAD}x\n{ARMOR}{HEAD}y\n{ARMOR}",
        f"{HEAD}x\n-----BEGIN PGP SIGNATURE-----\n{ARMOR}",
        f"{HEAD}x\n-y\n{ARMOR}",
        HEAD.replace("Hash", "Other") + f"x\n{ARMOR}",
        HEAD.replace("Hash: SHA512", "NotDashEscaped: yes") + f"x\n{ARMOR}",
        HEAD.replace("\n\n", "\n \n") + f"x\n{ARMOR}",
        f"{HEAD}x\n" + ARMOR.replace("iQ==", "iQ==!"),
        HEAD.replace("\n", "\r\n") + f"x\n{ARMOR}",
    ],
)
def test_anything_beside_one_frame_is_refused(text: str) -> None:
    with pytest.raises(SigningError, match=r"x\.changes"):
        signed_text(text, "x.changes")


def test_canonical_ignores_what_is_not_signed_and_nothing_else() -> None:
    assert canonical("a \t\nb\n\n") == canonical("a\nb\n")
    assert canonical("a\n\nb") != canonical("a\nb")
    assert canonical(" a") != canonical("a")
    assert canonical("a\u00a0") != canonical("a")


def status(*lines: str) -> str:
    return "".join(f"[GNUPG:] {line}\n" for line in ("NEWSIG", *lines))


def valid(signer: str, primary: str) -> str:
    return f"VALIDSIG {signer} 2026-01-01 1767225600 0 4 0 22 10 01 {primary}"


def test_good_signatures() -> None:
    check_status(status(f"GOODSIG {A[:16]} Zoe", valid(A, A)), Key(A, ""), "x")
    check_status(status(f"GOODSIG {A[:16]} Zoe", valid(SUB, A)), Key(A, ""), "x")
    check_status(status(f"GOODSIG {A[:16]} Zoe", valid(SUB, A)), Key(SUB, "", exact=True), "x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        valid(A, A) + "\nGOODSIG x\n",
        status(),
        status("NODATA 4"),
        status("BADSIG x Zoe"),
        status(f"ERRSIG {A[:16]} 22 10 01 1767225600 9 {A}", f"NO_PUBKEY {A[:16]}"),
        status(f"EXPKEYSIG {A[:16]} Zoe", valid(A, A)),
        status(f"REVKEYSIG {A[:16]} Zoe", valid(A, A)),
        status("GOODSIG x Zoe", valid(A, A), "NEWSIG", "BADSIG y Eve"),
        status("GOODSIG x Zoe", valid(A, A), "NEWSIG", "GOODSIG x Zoe", valid(A, A)),
        status("GOODSIG x Zoe"),
    ],
)
def test_signatures_that_do_not_hold(text: str) -> None:
    with pytest.raises(SigningError, match="does not hold"):
        check_status(text, Key(A, ""), "x")


@pytest.mark.parametrize(
    ("key", "signer"),
    [(Key(A, ""), (B, B)), (Key(SUB, "", exact=True), (B, A)), (Key(A, "", exact=True), (SUB, A))],
)
def test_signatures_by_another_key(key: Key, signer: tuple[str, str]) -> None:
    with pytest.raises(SigningError, match="another key") as caught:
        check_status(status("GOODSIG x Zoe", valid(*signer)), key, "x")
    assert f"found: {signer[0]}" in caught.value.details


CHANGES = """\
Changes:
 see /etc/a.dsc
Checksums-Sha1:
 00 1 a_1.dsc
Checksums-Sha256:
 00 1 a_1.dsc
Files:
 00 1 - - a_1.dsc
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (CHANGES, "a_1.dsc"),
        (CHANGES.replace("a_1.dsc", "a_1.deb"), ""),
        (CHANGES.replace("a_1.dsc", "a_1.deb") + "Changes:\n see /etc/a.dsc\n", "/etc/a.dsc"),
        ("Checksums-Sha1:\n 00 1 a\nOther: ../b.dsc\nChecksums-Sha256:\n 00 1 a\n", "../b.dsc"),
        ("Checksums-Sha1:\n 00 1 a\nChecksums-Sha256:\n 00 1 a.dsc\n", ""),
        ("Files: x.dsc\n", "x.dsc"),
        ("Other: x.dsc\n", ""),
    ],
)
def test_what_debsign_would_sign(text: str, found: str) -> None:
    assert debsign_finds(text, ".dsc") == found
