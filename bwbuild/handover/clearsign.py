"""Signatures by one certain key: gpgv says whether they hold, and what exactly they sign is handed back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bwbuild.deb.clearsign import signed_text
from bwbuild.errors import SigningError
from bwbuild.handover.keys import Key
from bwbuild.process import run

#: gpgv's words for a signature that is valid and yet not good.
_BAD = frozenset({"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NODATA", "FAILURE"})


def check_status(status: str, key: Key, name: str) -> None:
    """Refuse what gpgv reported in its status lines unless it is one good signature by ``key``.

    :raises SigningError: it is something else.
    """
    lines = [line.split()[1:] for line in status.splitlines() if line.startswith("[GNUPG:] ")]
    words = [line[0] for line in lines if line]
    if words.count("GOODSIG") != 1 or words.count("VALIDSIG") != 1 or _BAD.intersection(words):
        raise SigningError(f"the signature of {name} does not hold", details=status.splitlines())
    valid = next(line for line in lines if line[0] == "VALIDSIG")
    # The first word is the key that signed, the last one the primary key that it belongs to.
    signers = {valid[1]} if key.exact else {valid[1], valid[-1]}
    if key.fingerprint not in signers:
        raise SigningError(
            f"{name} was signed by another key",
            hint="look for default-key and local-user in gpg.conf, and at DEBSIGN_PROGRAM in ~/.devscripts",
            details=[f"found: {valid[1]}", f"expected: {key.fingerprint}"],
        )


@contextmanager
def keyring_of(key: Key) -> Iterator[Path]:
    """A directory with the keyring ``key.gpg``, which has nothing but ``key`` in it.

    :raises SigningError: gpg can't export it.
    """
    with tempfile.TemporaryDirectory(prefix="bwbuild-key-") as directory:
        argv = ["gpg", "--batch", "--no-tty", "--export-options", "export-minimal", "--export", "--"]
        exported = run([*argv, key.fingerprint], check=False, timeout=60)
        if exported.returncode != 0 or not exported.stdout:
            lines = exported.stderr.decode("utf-8", "replace").splitlines()[-5:]
            raise SigningError(f"gpg can't export the public key {key.fingerprint}", details=lines)
        Path(directory, "key.gpg").write_bytes(exported.stdout)
        yield Path(directory)


def check_signature(path: Path, key: Key, keyring: Path) -> str:
    """The text that ``key`` signed in the file ``path``; ``keyring`` is of :func:`keyring_of`.

    :raises SigningError: the signature does not hold, or is by another key.
    """
    options = [f"--homedir={keyring}", f"--keyring={keyring / 'key.gpg'}", "--status-fd=1"]
    checked = run(["gpgv", *options, "--", path], check=False, timeout=60)
    check_status(checked.text, key, path.name)
    if checked.returncode != 0:
        raise SigningError(f"gpgv does not accept {path.name} (exit status {checked.returncode})")
    try:
        return signed_text(path.read_bytes().decode("utf-8"), path.name)
    except UnicodeDecodeError as error:
        raise SigningError(f"{path.name} is not UTF-8 after signing") from error
