from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bwbuild.errors import ConfigurationError
from bwbuild.handover import keys
from bwbuild.handover.keys import (
    Devscripts,
    Key,
    NoKey,
    Request,
    Wishes,
    choose_key,
    find_key,
    match_key,
    read_devscripts,
)

A, B, SUB = "A" * 40, "B" * 40, "C" * 40
EVERYTHING = Wishes(
    option="option",
    setting="setting",
    environment="environment",
    devscripts=Devscripts(keyid="keyid", maint="maint"),
    changed_by="Zoë <zoe@example.org>",
)


def test_order_and_origin() -> None:
    """Each wish counts when those before it say nothing."""
    wishes, seen = EVERYTHING, []
    for field in ("option", "setting", "environment"):
        seen.append(choose_key(wishes))
        wishes = dataclasses.replace(wishes, **{field: ""})
    seen.append(choose_key(wishes))
    wishes = dataclasses.replace(wishes, devscripts=Devscripts(maint="maint"))
    seen.append(choose_key(wishes))
    wishes = dataclasses.replace(wishes, devscripts=Devscripts())
    seen.append(choose_key(wishes))
    assert seen == [
        Request("option", "the option -k", True),
        Request("setting", "the setting sign.key", True),
        Request("environment", "the environment variable DEB_SIGN_KEYID", True),
        Request("keyid", "DEBSIGN_KEYID in the devscripts configuration", True),
        Request("maint", "DEBSIGN_MAINT in the devscripts configuration", True),
        Request("Zoë <zoe@example.org>", "Changed-By", False),
    ]


def test_nobody_names_a_key() -> None:
    answer = choose_key(Wishes())
    assert isinstance(answer, NoKey)
    assert not answer.explicit


@pytest.mark.parametrize("user", ["DEADBEEF", "0xdeadbeef", "deadbeef!"])
def test_short_key_ids_are_refused(user: str) -> None:
    answer = choose_key(dataclasses.replace(EVERYTHING, option=user))
    assert isinstance(answer, NoKey)
    assert answer.explicit
    assert user in answer.reason


def record(kind: str, *, validity: str = "u", caps: str = "scESC", where: str = "+") -> str:
    columns = [
        kind,
        validity,
        "3072",
        "1",
        "0123456789ABCDEF",
        "1700000000",
        "",
        "",
        "",
        "",
        "",
        caps,
        "",
        "",
        where,
    ]
    return ":".join(columns) + ":\n"


def fpr(fingerprint: str) -> str:
    return f"fpr:::::::::{fingerprint}:\ngrp:::::::::{'D' * 40}:\n"


USER = Request("zoe", "Changed-By", False)


def test_one_key() -> None:
    listing = record("sec") + fpr(A) + "uid:u::::::::Zoe:\n" + record("ssb", caps="e") + fpr(SUB)
    assert match_key(USER, listing) == Key(A, "Changed-By")


def test_signing_subkey_of_a_certifying_primary() -> None:
    listing = record("sec", caps="cSC", where="#") + fpr(A) + record("ssb", caps="s") + fpr(SUB)
    assert match_key(USER, listing) == Key(A, "Changed-By")
    exact = match_key(Request(f"{SUB}!", "the option -k", True), listing)
    assert exact == Key(SUB, "the option -k", exact=True)
    assert isinstance(exact, Key)
    assert exact.selector == f"{SUB}!"


def test_key_on_a_card() -> None:
    listing = (
        record("sec", where="#")
        + fpr(A)
        + record("ssb", caps="s", where="D2760001240102000000000000000000")
        + fpr(SUB)
    )
    assert match_key(USER, listing) == Key(A, "Changed-By")


@pytest.mark.parametrize("validity", ["e", "r", "i", "d", "n"])
def test_dead_keys(validity: str) -> None:
    listing = record("sec", validity=validity) + fpr(A) + record("ssb", caps="s") + fpr(SUB)
    answer = match_key(USER, listing)
    assert isinstance(answer, NoKey)
    assert "expired, revoked" in answer.reason


@pytest.mark.parametrize(
    "listing",
    [
        record("sec", caps="cC") + fpr(A),
        record("sec", caps="scESCD") + fpr(A),
        record("sec", where="#") + fpr(A),
        record("sec", caps="cSC") + fpr(A) + record("ssb", caps="s", validity="e") + fpr(SUB),
        record("sec", caps="cSC") + fpr(A) + record("ssb", caps="e") + fpr(SUB),
        record("sec", caps="cSC") + fpr(A) + record("ssb", caps="s", where="#") + fpr(SUB),
    ],
    ids=[
        "certify only",
        "disabled",
        "no secret part",
        "expired subkey",
        "encryption subkey",
        "absent subkey",
    ],
)
def test_keys_that_can_not_sign(listing: str) -> None:
    answer = match_key(dataclasses.replace(USER, explicit=True), listing)
    assert isinstance(answer, NoKey)
    assert answer.explicit


def test_no_key_at_all() -> None:
    answer = match_key(USER, "tru::1:1700000000:0:3:1:5\n")
    assert isinstance(answer, NoKey)
    assert answer.reason == "gpg has no secret key for 'zoe' (Changed-By)"


def test_several_keys_are_no_choice() -> None:
    answer = match_key(USER, record("sec") + fpr(A) + record("sec") + fpr(B))
    assert isinstance(answer, NoKey)
    assert A in answer.reason
    assert B in answer.reason


def test_the_living_one_of_two_keys() -> None:
    listing = (
        record("sec", validity="e") + fpr(A) + record("ssb", caps="s") + fpr(SUB) + record("sec") + fpr(B)
    )
    assert match_key(USER, listing) == Key(B, "Changed-By")


def test_without_a_keyring_gpg_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "gnupg"
    monkeypatch.setenv("GNUPGHOME", str(home))
    monkeypatch.setattr(keys.shutil, "which", lambda name: f"/usr/bin/{name}")
    answer = find_key(EVERYTHING)
    assert isinstance(answer, NoKey)
    assert str(home) in answer.reason
    assert not home.exists()


def test_without_gpg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys.shutil, "which", lambda _: None)
    answer = find_key(EVERYTHING)
    assert isinstance(answer, NoKey)
    assert "apt install" in answer.reason


def conf(tmp_path: Path, *texts: str) -> list[Path]:
    paths = [tmp_path / f"conf {number}" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def test_devscripts_later_file_wins(tmp_path: Path) -> None:
    files = conf(
        tmp_path,
        "DEBSIGN_KEYID=one\nDEBSIGN_MAINT='Zoë <z@example.org>'\n",
        'DEBSIGN_KEYID="t$(echo wo)"\nDEBSIGN_PROGRAM=gpg2\n',
    )
    assert read_devscripts(files) == Devscripts("two", "Zoë <z@example.org>", "gpg2")


def test_devscripts_values_survive_as_they_are(tmp_path: Path) -> None:
    files = conf(tmp_path, "DEBSIGN_MAINT='a b\n\"c\" $d %s \\n'\necho noise\nfalse\n")
    assert read_devscripts(files) == Devscripts("", 'a b\n"c" $d %s \\n', "")


def test_devscripts_environment_counts_only_through_the_files(tmp_path: Path) -> None:
    files = conf(tmp_path, 'DEBSIGN_MAINT="$DEBFULLNAME"\n')
    environment = {"DEBSIGN_KEYID": "ignored", "DEBFULLNAME": "Zoe", "PATH": "/usr/bin:/bin"}
    assert read_devscripts(files, environment) == Devscripts("", "Zoe", "")


def test_devscripts_without_files(tmp_path: Path) -> None:
    assert read_devscripts([tmp_path / "none"]) == Devscripts()


def test_devscripts_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".devscripts").write_text("DEBSIGN_KEYID=home\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_devscripts([Path("~/.devscripts")]).keyid == "home"


def test_devscripts_that_leaves_early(tmp_path: Path) -> None:
    assert read_devscripts(conf(tmp_path, "DEBSIGN_KEYID=x\nexit 0\n")) == Devscripts()


@pytest.mark.parametrize("text", ["if\n", "exit 3\n"])
def test_devscripts_that_fails(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_devscripts(conf(tmp_path, text))
    assert "conf 0" in caught.value.message
