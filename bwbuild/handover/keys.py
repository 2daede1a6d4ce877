"""Which key would sign: who asked for it, and whether gpg has a usable secret key for that."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bwbuild.deb.names import printable
from bwbuild.errors import ConfigurationError
from bwbuild.process import run

#: What debsign reads, the later file winning; both are shell scripts.
DEVSCRIPTS_FILES = (Path("/etc/devscripts.conf"), Path("~/.devscripts"))

_DEVSCRIPTS_VARIABLES = ("DEBSIGN_KEYID", "DEBSIGN_MAINT", "DEBSIGN_PROGRAM")
# As debsign: the environment's own values do not count, unreadable files are skipped. What the files print
# must not mix with the answer.
_SOURCE_THEM = """
unset DEBSIGN_KEYID DEBSIGN_MAINT DEBSIGN_PROGRAM
{ for file in "$@"; do [ -r "$file" ] && . "$file"; done; } >&2
printf '%s\\0%s\\0%s\\0' "$DEBSIGN_KEYID" "$DEBSIGN_MAINT" "$DEBSIGN_PROGRAM"
"""
_SHORT_ID = re.compile(r"(?:0x)?[0-9A-Fa-f]{8}!?")
#: Validities of gpg's listing that rule a key out: invalid, disabled, revoked, expired, not valid.
_DEAD = frozenset("idren")


@dataclass(frozen=True, slots=True)
class Devscripts:
    """debsign's own settings; empty where they are not set."""

    keyid: str = ""
    maint: str = ""
    program: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Everything that may name a key, in the order in which it counts; empty where it says nothing.

    :param option: ``-k``, as of dpkg-buildpackage.
    :param setting: ``sign.key`` of bwbuild's configuration.
    :param environment: ``DEB_SIGN_KEYID``, as dpkg-buildpackage reads it.
    :param changed_by: the changelog's author, for whom debsign signs when nobody says otherwise.
    """

    option: str = ""
    setting: str = ""
    environment: str = ""
    devscripts: Devscripts = field(default_factory=Devscripts)
    changed_by: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """Whom to sign as, in gpg's words, and where that was said; ``explicit``: somebody asked for this key."""

    user: str
    origin: str
    explicit: bool


@dataclass(frozen=True, slots=True)
class Key:
    """A key that can sign: its fingerprint in 40 upper-case digits, and why it was chosen.

    ``exact``: a certain subkey was asked for (gpg's ``!``), and no other one of the same key will do.
    """

    fingerprint: str
    origin: str
    exact: bool = False

    @property
    def selector(self) -> str:
        """The key in gpg's words."""
        return self.fingerprint + ("!" if self.exact else "")


@dataclass(frozen=True, slots=True)
class NoKey:
    """Why nothing would be signed; ``explicit``: although somebody asked for a certain key."""

    reason: str
    explicit: bool = False


def choose_key(wishes: Wishes) -> Request | NoKey:
    """Whom to sign as: the first of -k, sign.key, DEB_SIGN_KEYID, devscripts' two settings and Changed-By."""
    named = (
        (wishes.option, "the option -k"),
        (wishes.setting, "the setting sign.key"),
        (wishes.environment, "the environment variable DEB_SIGN_KEYID"),
        (wishes.devscripts.keyid, "DEBSIGN_KEYID in the devscripts configuration"),
        (wishes.devscripts.maint, "DEBSIGN_MAINT in the devscripts configuration"),
    )
    for user, origin in named:
        if not user:
            continue
        if _SHORT_ID.fullmatch(user):
            return NoKey(
                f"{user} ({origin}) is a short key ID, which anybody can forge: give the fingerprint", True
            )
        return Request(user, origin, explicit=True)
    if wishes.changed_by:
        return Request(wishes.changed_by, "Changed-By", explicit=False)
    return NoKey("nothing names a key: neither -k nor the configuration, and there is no Changed-By")


def match_key(request: Request, listing: str) -> Key | NoKey:
    """The key for ``request`` in what ``gpg --list-secret-keys --with-colons`` printed for it.

    Several usable keys are no choice: gpg would take the first of its keyring, which nobody decided.
    """
    keys = _usable(listing, request.user)
    if len(keys) == 1:
        return Key(keys[0], request.origin, exact=request.user.endswith("!"))
    whom = f"{printable(request.user)} ({request.origin})"
    if keys:
        return NoKey(f"several secret keys fit {whom}: {', '.join(keys)}; choose with -k", request.explicit)
    if "sec:" in listing:
        return NoKey(f"the secret key for {whom} is expired, revoked or can't sign", request.explicit)
    return NoKey(f"gpg has no secret key for {whom}", request.explicit)


def find_key(wishes: Wishes) -> Key | NoKey:
    """The key that would sign, asked of gpg; no keyring is made where there is none.

    :raises HostError: gpg did not answer.
    """
    request = choose_key(wishes)
    if isinstance(request, NoKey):
        return request
    if shutil.which("gpg") is None:
        return NoKey("gpg is not installed (sudo apt install gpg)", request.explicit)
    home = Path(os.environ.get("GNUPGHOME") or Path.home() / ".gnupg")
    if not home.is_dir():
        return NoKey(f"there is no keyring: {home} does not exist", request.explicit)
    argv = ["gpg", "--batch", "--no-tty", "--utf8-strings", "--with-colons", "--list-secret-keys", "--"]
    # A status other than 0 says that it found nothing, which the empty listing says as well.
    answer = run([*argv, request.user], check=False, timeout=60)
    return match_key(request, answer.text)


def read_devscripts(
    files: Sequence[Path] = DEVSCRIPTS_FILES, environment: Mapping[str, str] | None = None
) -> Devscripts:
    """debsign's settings, found as debsign finds them: a shell reads the files.

    :raises ConfigurationError: the shell failed on one of them.
    """
    present = [path for path in (file.expanduser() for file in files) if path.is_file()]
    if not present:
        return Devscripts()
    done = run(["sh", "-c", _SOURCE_THEM, "sh", *present], check=False, env=environment, timeout=10)
    if done.returncode != 0:
        raise ConfigurationError(
            f"sh can't read {' and '.join(map(str, present))} (exit status {done.returncode})",
            hint="debsign reads these files as shell scripts",
            details=done.stderr.decode("utf-8", "replace").splitlines()[-5:],
        )
    values = done.stdout.decode("utf-8", "replace").split("\0")
    # A file that calls exit leaves no answer; debsign then knows no settings either.
    return Devscripts(*values[:3]) if len(values) == len(_DEVSCRIPTS_VARIABLES) + 1 else Devscripts()


def _usable(listing: str, user: str) -> list[str]:
    """Fingerprints of the keys in gpg's listing that can sign; with ``!`` of the subkey asked for."""
    found: list[str] = []
    alive = signs = False
    primary = ""
    wanted = user.removesuffix("!").removeprefix("0x").upper() if user.endswith("!") else None
    for line in listing.splitlines():
        columns = line.split(":") + [""] * 15
        if columns[0] == "sec":
            primary, alive = "", columns[1] not in _DEAD and "D" not in columns[11]
        if columns[0] in ("sec", "ssb"):
            # In the column of the token, # stands for a secret part that is not here.
            signs = alive and columns[1] not in _DEAD and "s" in columns[11] and columns[14] != "#"
        if columns[0] == "fpr":
            primary = primary or columns[9]
            if wanted is None and signs and primary not in found:
                found.append(primary)
            elif wanted is not None and signs and columns[9].endswith(wanted):
                found.append(columns[9])
    return found
