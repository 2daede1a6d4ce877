"""Making the root of a base with mmdebstrap, in a namespace with the ids that builds have."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from bwbuild import process
from bwbuild.errors import BwbuildError, ConfigurationError, HostError
from bwbuild.events import Level, Notice, Observer, Text
from bwbuild.root.chamber import proxies
from bwbuild.root.reasons import Reason, reason
from bwbuild.root.space import FULL, full
from bwbuild.root.suite import Suite
from bwbuild.sandbox.script import in_namespace
from bwbuild.sandbox.spec import Identity

#: Directories that builds and bwbuild itself mount something at.
_POINTS = "build/reproducible-path"
#: The hook for the package behind a merged /usr that build machines have; the other one brings Perl modules,
#: without which sources that forgot to declare them would not build.
_MERGED = Path("/usr/share/mmdebstrap/hooks/maybe-merged-usr")
#: Where mmdebstrap leaves dpkg's options.
_OPTIONS = "/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
_MIRROR = "check the network and the mirror (--base-mirror)"
#: What to do about what apt says of the mirror.
_REMEDIES = {
    Reason.SIGNATURE: "name the keyring that the mirror is signed with: --base-keyring FILE; for Debian's "
    "own, upgrade debian-archive-keyring",
    Reason.EXPIRED: "take a mirror that is up to date (--base-mirror); for an old snapshot: "
    "--base-mirror 'deb [check-valid-until=no] MIRROR SUITE main'",
    Reason.UNKNOWN: "check the suite's name, such as trixie or unstable, and the mirror (--base-mirror)",
    Reason.UNREACHABLE: _MIRROR,
}
#: What of mmdebstrap's chatter tells how far it is.
_STEPS = ("I: running ", "I: downloading ", "I: extracting ", "I: installing ")
#: dpkg's name of an architecture -> the kernel's of the emulator.
_EMULATED = {"amd64": "x86_64", "arm64": "aarch64", "armel": "arm", "armhf": "arm", "ppc64el": "ppc64le"}
#: What a processor runs besides its own.
_ALSO = {"amd64": ("i386",), "arm64": ("armhf", "armel"), "armhf": ("armel",)}
_BINFMT = Path("/proc/sys/fs/binfmt_misc")


def make(suite: Suite, path: Path, identity: Identity, tell: Observer) -> None:
    """Make ``path/root``; its files belong to ids of ``identity``.

    :raises HostError: it can't be made; the cause is named where it is known.
    :raises OutputError: the disk is full.
    """

    def show(line: str) -> None:
        if line.startswith(_STEPS):
            tell(Notice(Level.INFO, f"mmdebstrap: {line[3:]}"))

    environment = _environment(path)
    if shutil.which("mmdebstrap", path=environment["PATH"]) is None:
        raise process.missing_program("mmdebstrap")
    if suite.keyring is not None:
        _bring_keyring(suite.keyring, path / _keyring(suite.keyring))
    text = in_namespace(identity, _lines(suite))
    done = process.follow(["sh", "-c", text], show, cwd=path, env=environment, tie=True)
    tell(Text(done.text))
    if done.returncode != 0:
        raise explained(suite, done.text.splitlines(), done.returncode)


def explained(suite: Suite, lines: Sequence[str], status: int) -> BwbuildError:
    """The error for what mmdebstrap wrote before it failed with that exit status."""
    text = "\n".join(lines)
    what = f"no base of {suite.name} ({suite.architecture}) can be made"
    details = [line for line in lines if not line.startswith("I: ")][-20:]
    if FULL in text:
        return full(what, details)
    why = reason(text)
    if why is not None:
        return HostError(f"{what}: {why.value}", hint=_REMEDIES[why], details=details)
    return HostError(
        f"{what}: mmdebstrap failed (exit status {status})", hint=_MIRROR, details=list(lines)[-20:]
    )


def check_architecture(wanted: str, native: str, binfmt: Path = _BINFMT) -> None:
    """Refuse an architecture whose programs this machine can't run.

    :param native: dpkg's name of this machine's own.
    :param binfmt: where the kernel lists its emulators.
    :raises HostError: they can't be run.
    """
    if wanted == native or wanted in _ALSO.get(native, ()):
        return
    try:
        state = (binfmt / f"qemu-{_EMULATED.get(wanted, wanted)}").read_text(encoding="ascii")
    except FileNotFoundError:
        state = ""
    if not state.startswith("enabled"):
        raise HostError(
            f"programs of {wanted} can't run on this machine, which is {native}",
            hint="sudo apt install qemu-user-static binfmt-support (from Debian 13 on: qemu-user-binfmt)",
        )


def _lines(suite: Suite) -> Iterator[str]:
    words = ["mmdebstrap", "--mode=root", "--variant=buildd", f"--architectures={suite.architecture}"]
    # The disk hears of all of it at once, at the end.
    words += ["--skip=cleanup/apt/lists", "--dpkgopt=force-unsafe-io"]
    if _MERGED.is_dir():
        words.append(f"--hook-dir={_MERGED}")
    if suite.components:
        words.append(f"--components={suite.components}")
    if suite.keyring is not None:
        words.append(f"--keyring={_keyring(suite.keyring)}")
    words += [suite.name, "root", *([suite.mirror] if suite.mirror else [])]
    script = [
        "set -eu",
        "umask 022",
        "mkdir tmp",
        "mount -t proc proc /proc",
        shlex.join(words),
        # There are no device nodes that could be made here, and nobody needs them.
        f"rm -rf tmp keyring.* root/dev/* root{_OPTIONS}",
        f"mkdir -p root/{_POINTS}",
    ]
    # Processes of their own: all of them end with the first, and that one with bwbuild.
    yield f"exec unshare --pid --fork --kill-child sh -c {shlex.quote('; '.join(script))}"


def _keyring(file: Path) -> str:
    # apt goes by the suffix.
    return f"keyring.{'asc' if file.suffix == '.asc' else 'gpg'}"


def _bring_keyring(file: Path, place: Path) -> None:
    """apt reads it as a user who may enter the base but not everybody's home."""
    try:
        shutil.copyfile(file, place)
    except OSError as error:
        raise ConfigurationError(
            f"the keyring {file} can't be read: {error.strerror}",
            hint="name another one: --base-keyring FILE",
        ) from error
    place.chmod(0o644)


def _environment(path: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        # Nobody's own options decide about what all builds stand on, and root of the namespace may be
        # somebody who can't read them.
        "HOME": "/nonexistent",
        # What is left of one that is killed goes with the base.
        "TMPDIR": str(path / "tmp"),
        **proxies(),
    }
