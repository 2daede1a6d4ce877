"""Sign what was verified with the user's debsign, and believe nothing of it but the signatures.

debsign ends with 0 for a file that somebody else signed before, finds the .dsc by a pattern in the .changes,
and puts paths into shell and perl text. So it is called in the quarantine with a bare name, only when it will
find the files that were verified, and afterwards each signature and each covered byte is compared.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bwbuild.deb.changes import ChangesFile, with_sums
from bwbuild.deb.clearsign import canonical
from bwbuild.errors import SigningError
from bwbuild.handover import files
from bwbuild.handover.artifacts import Artifact, Verified
from bwbuild.handover.clearsign import check_signature, keyring_of
from bwbuild.handover.keys import Key
from bwbuild.process import run

#: In the order in which debsign signs: the sums of each go into those after it.
_SIGNED = (".dsc", ".buildinfo", ".changes")


def sign(verified: Verified, key: Key, *, terminal: bool, program: str = "") -> Verified:
    """Sign the .changes and its .dsc and .buildinfo in place; returned with their new sizes and sums.

    :param program: what debsign shall use in place of gpg; empty for what the devscripts configuration says.
    :param terminal: debsign may use the caller's terminal, for a pinentry; else it can't ask anything there.
    :raises SigningError: debsign failed, or the result is not what was verified plus signatures by ``key``.
        The quarantine is then not fit to be published.
    """
    unsigned = _read_unsigned(verified)
    _check_children(unsigned[-1].text, verified)
    options = [f"-k{key.selector}", *([f"-p{program}"] if program else [])]
    _debsign(verified, key, options, terminal=terminal)
    signed: dict[str, ChangesFile] = {}
    with keyring_of(key) as keyring:
        for document in unsigned:
            text = check_signature(document.artifact.path, key, keyring)
            if canonical(text) != canonical(with_sums(document.text, signed)):
                raise SigningError(
                    f"{document.artifact.name} was changed while it was signed",
                    hint="see DEBSIGN_PROGRAM in ~/.devscripts",
                )
            name = document.artifact.name
            signed[name] = files.describe(document.artifact.path, name, SigningError)
    artifacts = tuple(_after(artifact, signed.get(artifact.name)) for artifact in verified.artifacts)
    return Verified(verified.directory, artifacts[-1], artifacts)


def debsign_finds(changes: str, suffix: str) -> str:
    """The file ending in ``suffix``, such as ``.dsc``, that debsign would sign for ``changes``; or nothing.

    debsign looks at lines from one that begins with Checksum or Files to the next such one, takes the first
    that ends in a word with the suffix, and never asks which field the line is in.
    """
    inside = False
    pattern = re.compile(rf".*[ \t]([^ ]*{re.escape(suffix)})")
    for line in changes.split("\n"):
        boundary = line.startswith(("Checksum", "Files"))
        if inside or boundary:
            if match := pattern.fullmatch(line):
                return match[1]
            inside = not boundary if inside else True
    return ""


@dataclass(frozen=True, slots=True)
class _Document:
    artifact: Artifact
    text: str


def _read_unsigned(verified: Verified) -> tuple[_Document, ...]:
    found = [verified.named(suffix) for suffix in _SIGNED]
    documents = []
    for artifact in filter(None, found):
        data = artifact.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise SigningError(f"{artifact.name} is not what was verified")
        documents.append(_Document(artifact, data.decode("utf-8")))
    return tuple(documents)


def _check_children(changes: str, verified: Verified) -> None:
    """Another file than the listed one, perhaps of another directory, must never be handed to the key."""
    for suffix in (".dsc", ".buildinfo"):
        child = verified.named(suffix)
        found, wanted = debsign_finds(changes, suffix), child.name if child else ""
        if found != wanted:
            raise SigningError(
                f"debsign would take another {suffix} than {verified.changes.name} lists",
                hint="a field after the checksums of the .changes has a line that ends in such a name",
                details=[f"found: {found!a}", f"expected: {wanted!a}"],
            )


def _debsign(verified: Verified, key: Key, options: Sequence[str], *, terminal: bool) -> None:
    done = run(
        ["debsign", "--re-sign", *options, "--", f"./{verified.changes.name}"],
        check=False,
        cwd=verified.directory,
        env=_environment(terminal=terminal),
        inherit_terminal=terminal,
    )
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()[-20:]
        raise SigningError(
            f"debsign could not sign {verified.changes.name} with {key.fingerprint} "
            f"({key.origin}): exit status {done.returncode}",
            hint="a key with a passphrase needs a terminal or a running agent that knows it; "
            f"try: echo test | gpg --local-user {key.selector} --clearsign",
            details=lines,
        )


def _environment(*, terminal: bool) -> dict[str, str]:
    """The caller's environment; pinentry learns the terminal from GPG_TTY, and so that there is none."""
    environment = dict(os.environ)
    if not terminal:
        environment.pop("GPG_TTY", None)
    elif "GPG_TTY" not in environment and sys.stdin.isatty():
        environment["GPG_TTY"] = os.ttyname(sys.stdin.fileno())
    return environment


def _after(artifact: Artifact, signed: ChangesFile | None) -> Artifact:
    """``artifact`` as it is now: with the sums of its signed form, or as it was before."""
    if signed is not None:
        return Artifact(artifact.name, signed.size, signed.sha256, artifact.path)
    found = files.describe(artifact.path, artifact.name, SigningError)
    if (found.size, found.sha256) != (artifact.size, artifact.sha256):
        raise SigningError(f"{artifact.name} was changed by debsign, which had no reason to")
    return artifact
