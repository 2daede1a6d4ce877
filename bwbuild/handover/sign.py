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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bwbuild.deb.changes import ChangesFile, with_sums
from bwbuild.deb.clearsign import canonical
from bwbuild.errors import SigningError
from bwbuild.handover import files
from bwbuild.handover.artifacts import Artifact, Verified
from bwbuild.handover.clearsign import check_signature, keyring_of
from bwbuild.handover.keys import Key
from bwbuild.process import run


def sign(verified: Verified, key: Key, *, terminal: bool, program: str = "") -> Verified:
    """Sign each .changes and its .dsc and .buildinfo in place; returned with their new sizes and sums.

    :param program: what debsign shall use in place of gpg; empty for what the devscripts configuration says.
    :param terminal: debsign may use the caller's terminal, for a pinentry; else it can't ask anything there.
    :raises SigningError: debsign failed, or the result is not what was verified plus signatures by ``key``.
        The quarantine is then not fit to be published.
    """
    children = (verified.named(suffix) for suffix in (".dsc", ".buildinfo"))
    # In the order in which debsign signs: the sums of each go into those after it.
    unsigned = _read((*children, verified.changes))
    for document in (unsigned[-1], *_read((verified.source_changes,))):
        _check_children(document, verified)
    options = [f"-k{key.selector}", *([f"-p{program}"] if program else [])]
    _debsign(verified.changes, key, ["--re-sign", *options], terminal=terminal)
    with keyring_of(key) as keyring:
        signed = _signed(unsigned, {}, key, keyring)
        if verified.source_changes:
            (document,) = _read((verified.source_changes,))
            document.artifact.path.write_text(with_sums(document.text, signed), encoding="utf-8")
            # A second signature of what both list would be another one than the first .changes says.
            _debsign(verified.source_changes, key, ["--no-re-sign", *options], terminal=terminal)
            signed = _signed((document,), signed, key, keyring)
    artifacts = tuple(_after(artifact, signed.get(artifact.name)) for artifact in verified.artifacts)
    of_source = artifacts[-2] if verified.source_changes else None
    return Verified(verified.directory, artifacts[-1], artifacts, of_source)


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


def _read(artifacts: Iterable[Artifact | None]) -> tuple[_Document, ...]:
    documents = []
    for artifact in filter(None, artifacts):
        data = artifact.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise SigningError(f"{artifact.name} is not what was verified")
        documents.append(_Document(artifact, data.decode("utf-8")))
    return tuple(documents)


def _signed(
    documents: Iterable[_Document], before: Mapping[str, ChangesFile], key: Key, keyring: Path
) -> dict[str, ChangesFile]:
    """The signed forms of ``documents`` beside those ``before``, which they list: by name."""
    signed = dict(before)
    for document in documents:
        name = document.artifact.name
        text = check_signature(document.artifact.path, key, keyring)
        if canonical(text) != canonical(with_sums(document.text, signed)):
            raise SigningError(
                f"{name} was changed while it was signed", hint="see DEBSIGN_PROGRAM in ~/.devscripts"
            )
        signed[name] = files.describe(document.artifact.path, name, SigningError)
    return signed


def _check_children(changes: _Document, verified: Verified) -> None:
    """Another file than the listed one, perhaps of another directory, must never be handed to the key."""
    for suffix in (".dsc", ".buildinfo"):
        child = verified.named(suffix)
        found, wanted = debsign_finds(changes.text, suffix), child.name if child else ""
        # After -tc the one of the source alone lists no .buildinfo.
        if found != wanted and (found or changes.artifact is verified.changes):
            raise SigningError(
                f"debsign would take another {suffix} than {changes.artifact.name} lists",
                hint="a field after the checksums of the .changes has a line that ends in such a name",
                details=[f"found: {found!a}", f"expected: {wanted!a}"],
            )


def _debsign(changes: Artifact, key: Key, options: Sequence[str], *, terminal: bool) -> None:
    done = run(
        ["debsign", *options, "--", f"./{changes.name}"],
        check=False,
        cwd=changes.path.parent,
        env=_environment(terminal=terminal),
        inherit_terminal=terminal,
    )
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()[-20:]
        raise SigningError(
            f"debsign could not sign {changes.name} with {key.fingerprint} "
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
    wanted = signed or artifact
    found = files.describe(artifact.path, artifact.name, SigningError)
    if (found.size, found.sha256) != (wanted.size, wanted.sha256):
        raise SigningError(f"{artifact.name} was changed by debsign, which had no reason to")
    return Artifact(artifact.name, found.size, found.sha256, artifact.path)
