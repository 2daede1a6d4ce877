"""Who signed a .dsc, as far as the key rings of this machine tell."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bwbuild.deb.dsc import Dsc
from bwbuild.errors import SourceError
from bwbuild.process import run

_NAMES = ("debian-keyring", "debian-maintainers", "debian-nonupload", "debian-tag2upload")
#: The key rings of those who may upload to Debian, where their packages are installed.
DEBIAN_KEYRINGS = tuple(
    Path("/usr/share/keyrings", f"{name}.{suffix}") for name in _NAMES for suffix in ("gpg", "pgp")
)
#: What gpg keeps public keys in, below its home directory.
_OWN = ("pubring.kbx", "pubring.gpg", "trustedkeys.kbx", "trustedkeys.gpg")
_PACKAGE = "debian-keyring"


class Verdict(Enum):
    """What is known of a signature that is not plainly wrong; the value is a word for programs."""

    GOOD = "good"
    #: it holds, but the signature or its key has expired
    EXPIRED = "expired"
    UNKNOWN_KEY = "unknown-key"
    #: gpgv can't check this kind of signature, or there is nothing to check it with
    UNCHECKED = "unchecked"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class Signature:
    """The verdict on one signature, and in words: ``text`` goes on after the name of what was signed."""

    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What gpgv said of ``key``, which says to be ``who``'s; no ``verdict``: the signature does not hold."""

    verdict: Verdict | None
    key: str = ""
    who: str = ""


def check_signature(dsc: Dsc, debian: Sequence[Path] = DEBIAN_KEYRINGS) -> Signature:
    """Look for the signer of ``dsc`` in Debian's key rings, then in the caller's own.

    What is checked are the bytes that were read, whatever the file is by now.

    :raises SourceError: the signature does not hold.
    """
    if not dsc.signed:
        return Signature(Verdict.UNSIGNED, "is not signed; its checksums say only that it is complete")
    if shutil.which("gpgv") is None:
        return Signature(Verdict.UNCHECKED, "has a signature that was not checked (sudo apt install gpgv)")
    installed = [ring for ring in debian if ring.is_file()]
    answers = []
    for rings, whose in ((installed, "Debian's keyring"), (own_keyrings(os.environ), "your keyring")):
        if not rings:
            continue
        answer = _ask(dsc, rings)
        if answer.verdict in (Verdict.GOOD, Verdict.EXPIRED):
            return Signature(answer.verdict, _known(answer, whose))
        answers.append(answer)
    unchecked = next((answer for answer in answers if answer.verdict is Verdict.UNCHECKED), None)
    if unchecked is not None:
        return Signature(Verdict.UNCHECKED, f"has a signature by {unchecked.key} that gpgv can't check")
    lacking = "" if installed else f"; {_PACKAGE} is not installed (sudo apt install {_PACKAGE})"
    if not answers:
        return Signature(Verdict.UNCHECKED, f"has a signature that was not checked{lacking}")
    return Signature(Verdict.UNKNOWN_KEY, f"was signed by {answers[-1].key}, whose key is not known{lacking}")


def own_keyrings(environment: Mapping[str, str]) -> list[Path]:
    """The files in which the caller's gpg keeps public keys."""
    home = Path(environment.get("GNUPGHOME") or Path(environment.get("HOME", "/nonexistent"), ".gnupg"))
    return [home.absolute() / name for name in _OWN if (home / name).is_file()]


def judge(status: str) -> Answer:
    """What the status lines of gpgv say together."""
    lines = [line.split(" ", 3)[1:] for line in status.splitlines() if line.startswith("[GNUPG:] ")]
    words = {line[0] for line in reversed(lines)}
    first = {line[0]: line[1:] for line in reversed(lines)}
    if words & {"BADSIG", "REVKEYSIG", "BADARMOR", "NODATA", "FAILURE"}:
        return Answer(None)
    for word, verdict in (
        ("GOODSIG", Verdict.GOOD),
        ("EXPKEYSIG", Verdict.EXPIRED),
        ("EXPSIG", Verdict.EXPIRED),
    ):
        if word in words and "VALIDSIG" in words:
            return Answer(verdict, first["VALIDSIG"][0], " ".join(first[word][1:]))
    if "ERRSIG" in words:
        verdict = Verdict.UNKNOWN_KEY if "NO_PUBKEY" in words else Verdict.UNCHECKED
        return Answer(verdict, first["ERRSIG"][0])
    return Answer(None)


def _ask(dsc: Dsc, rings: Sequence[Path]) -> Answer:
    """gpgv's answer, with no other key ring than ``rings``."""
    options = [f"--keyring={ring}" for ring in rings]
    # A home directory of its own would have further key rings.
    argv = ["gpgv", "--homedir=/nonexistent", "--status-fd=1", *options]
    done = run(argv, check=False, stdin=dsc.data, timeout=120)
    answer = judge(done.text)
    if answer.verdict is None:
        raise SourceError(
            f"the signature of {dsc.path} does not hold",
            hint="somebody or something changed it after it was signed, or its key was revoked: get it again",
            details=done.stderr.decode("utf-8", "replace").splitlines()[-5:],
        )
    return answer


def _known(answer: Answer, whose: str) -> str:
    expired = "; the key or the signature has expired" if answer.verdict is Verdict.EXPIRED else ""
    return f"was signed by {answer.who} (key {answer.key} of {whose}{expired})"
