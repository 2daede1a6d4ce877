"""The handover with the real tools: dpkg-buildpackage builds, debsign signs, gpg says whether it holds."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian.deb822 import Changes, Dsc
from support import gnupg_home

from bwbuild.errors import SigningError
from bwbuild.handover.keys import Key, NoKey, Wishes, find_key
from bwbuild.handover.publish import publish
from bwbuild.handover.sign import sign
from bwbuild.handover.verify import Expected, Verified, collect

TOOLS = ("gpg", "gpgv", "gpgconf", "gpg-agent", "debsign", "dpkg-buildpackage", "make", "script")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING) and not os.environ.get("CI"), reason=f"not installed: {' '.join(MISSING)}"
)

AUTHOR = "Zoë Example <zoe@example.org>"
OTHER = "Eve Other <eve@example.org>"
LOCKED = "Pat Phrase <pat@example.org>"

RULES = """\
#!/usr/bin/make -f
ARCH := $(shell dpkg-architecture -qDEB_HOST_ARCH)
build build-arch build-indep:
clean:
	rm -rf debian/tmp debian/files debian/substvars
binary-indep:
binary-arch:
	mkdir -p debian/tmp/DEBIAN
	echo misc:Depends= > debian/substvars
	dpkg-gencontrol
	dpkg-deb --root-owner-group --build debian/tmp ..
binary: binary-arch
"""
CONTROL = f"""\
Source: tiny
Section: misc
Priority: optional
Maintainer: {AUTHOR}
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: tiny
Architecture: any
Description: does nothing
 Really.
"""
CHANGELOG = f"""\
tiny (1:1.0-1) unstable; urgency=medium

  * First version, with trailing blanks and a line that looks signed:
    -----BEGIN PGP SIGNED MESSAGE-----
  * - dash

 -- {AUTHOR}  Thu, 01 Jan 2026 00:00:00 +0000
"""


def call(*argv: str | Path, cwd: Path | None = None, stdin: str = "") -> str:
    done = subprocess.run(
        argv, cwd=cwd, input=stdin, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def gnupg() -> Iterator[Path]:
    """A keyring with three keys."""
    with gnupg_home() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", str(home))
        patch.setenv("HOME", str(home))
        patch.delenv("DISPLAY", raising=False)
        patch.delenv("GPG_TTY", raising=False)
        (home / "gpg-agent.conf").write_text("pinentry-timeout 5\n")
        for user, passphrase in ((AUTHOR, ""), (OTHER, ""), (LOCKED, "secret")):
            make_key(user, passphrase)
        call("gpgconf", "--kill", "gpg-agent")
        yield home


def make_key(user: str, passphrase: str = "") -> None:
    options = ("--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", passphrase)
    call("gpg", *options, "--quick-generate-key", user, "ed25519", "sign", "never")


@pytest.fixture(autouse=True)
def devscripts(gnupg: Path) -> Iterator[Path]:
    """The user's debsign configuration, empty unless the test writes it."""
    path = gnupg / ".devscripts"
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parent directory of a full build."""
    parent = tmp_path_factory.mktemp("built")
    tree = parent / "tiny-1.0"
    (tree / "debian" / "source").mkdir(parents=True)
    (tree / "README").write_text("upstream\n")
    call("tar", "-czf", "tiny_1.0.orig.tar.gz", "tiny-1.0", cwd=parent)
    for name, text in (("rules", RULES), ("control", CONTROL), ("changelog", CHANGELOG)):
        (tree / "debian" / name).write_text(text)
    (tree / "debian" / "rules").chmod(0o755)
    (tree / "debian" / "source" / "format").write_text("3.0 (quilt)\n")
    return build(tree, "-F")


def build(tree: Path, kind: str) -> Path:
    call("dpkg-buildpackage", "-us", "-uc", "-d", kind, cwd=tree)
    return tree.parent


def take(parent: Path, tmp_path: Path, name: str = "quarantine", *, source_changes: str = "") -> Verified:
    (changes,) = (path for path in parent.glob("*.changes") if path.name != source_changes)
    quarantine = tmp_path / name
    quarantine.mkdir(0o700)
    origs = {path.name: path for path in parent.glob("*.orig.*")}
    return collect(
        parent,
        quarantine,
        Expected(
            source="tiny",
            version="1:1.0-1",
            changes=changes.name,
            source_changes=source_changes,
            origs=origs,
            distribution="unstable",
            binaries=frozenset({"tiny"}),
        ),
    )


@pytest.fixture
def verified(built: Path, tmp_path: Path) -> Verified:
    return take(built, tmp_path)


@pytest.fixture
def key(gnupg: Path) -> Key:
    return found(AUTHOR)


def found(user: str) -> Key:
    answer = find_key(Wishes(option=user))
    assert isinstance(answer, Key), answer
    return answer


def check_by_gpg(path: Path, key: Key) -> None:
    assert f" VALIDSIG {key.fingerprint} " in call("gpg", "--batch", "--status-fd", "1", "--verify", path)


def test_a_full_build_is_signed(verified: Verified, key: Key, tmp_path: Path) -> None:
    before = {artifact.name: artifact for artifact in verified.artifacts}
    signed = sign(verified, key, terminal=False)
    output = tmp_path / "output"
    output.mkdir()
    publish(signed, output)
    kinds = {".dsc", ".buildinfo", ".changes"}
    assert {Path(a.name).suffix for a in signed.artifacts if a != before[a.name]} == kinds
    for path in output.iterdir():
        if path.suffix in kinds:
            check_by_gpg(path, key)
    changes = Changes((output / signed.changes.name).read_text())
    listed = {entry["name"]: entry["sha256"] for entry in changes["Checksums-Sha256"]}
    assert listed == {a.name: a.sha256 for a in signed.artifacts[:-1]}
    for name, digest in [*listed.items(), (signed.changes.name, signed.changes.sha256)]:
        assert call("sha256sum", output / name).split()[0] == digest
    dsc = Dsc((output / "tiny_1.0-1.dsc").read_text())
    assert dsc["Version"] == "1:1.0-1"
    assert signed.artifacts[-1] == signed.changes
    # What dpkg makes of it is the judge in the end.
    call("dpkg-source", "-x", "tiny_1.0-1.dsc", cwd=output)


@pytest.mark.parametrize("kind", ["-b", "-S"])
def test_partial_builds_are_signed(built: Path, tmp_path: Path, key: Key, kind: str) -> None:
    parent = tmp_path / "parent"
    shutil.copytree(built / "tiny-1.0", parent / "tiny-1.0")
    shutil.copy(built / "tiny_1.0.orig.tar.gz", parent)
    verified = take(build(parent / "tiny-1.0", kind), tmp_path)
    signed = sign(verified, key, terminal=False)
    assert (signed.named(".dsc") is not None) is (kind == "-S")
    for suffix in (".changes", ".buildinfo"):
        artifact = signed.named(suffix)
        assert artifact is not None
        check_by_gpg(artifact.path, key)


def test_both_changes_are_signed(built: Path, tmp_path: Path, key: Key) -> None:
    parent = tmp_path / "parent"
    shutil.copytree(built, parent)
    name = "tiny_1.0-1_source.changes"
    call("dpkg-genchanges", "--build=source", f"-O../{name}", cwd=parent / "tiny-1.0")
    verified = take(parent, tmp_path, source_changes=name)
    # A second signature of what both list is another one only if it is of another second.
    slow = tmp_path / "slow"
    slow.write_text('#!/bin/sh\nsleep 1.1\nexec gpg "$@"\n')
    slow.chmod(0o755)
    signed = sign(verified, key, terminal=False, program=str(slow))
    output = tmp_path / "output"
    output.mkdir()
    publish(signed, output)
    assert signed.source_changes
    assert [artifact.name for artifact in signed.artifacts[-2:]] == [name, signed.changes.name]
    digests = {artifact.name: artifact.sha256 for artifact in signed.artifacts}
    for changes in (signed.source_changes, signed.changes):
        check_by_gpg(output / changes.name, key)
        listed = Changes((output / changes.name).read_text())["Checksums-Sha256"]
        assert all(digests[entry["name"]] == entry["sha256"] for entry in listed)
    for file, digest in digests.items():
        assert call("sha256sum", output / file).split()[0] == digest


def test_quarantine_with_a_hostile_path(built: Path, tmp_path: Path, key: Key) -> None:
    name = "a 'b' \"c\" $(touch marker) `touch marker` \\ ä"
    signed = sign(take(built, tmp_path, name), key, terminal=False)
    check_by_gpg(signed.changes.path, key)
    assert not list(tmp_path.rglob("marker"))


def test_which_key(gnupg: Path, key: Key) -> None:
    assert find_key(Wishes(changed_by=AUTHOR)) == dataclasses.replace(key, origin="Changed-By")
    for user in (key.fingerprint, f"0x{key.fingerprint}", key.fingerprint[-16:], "zoe@example.org", AUTHOR):
        assert found(user).fingerprint == key.fingerprint
    exact = found(f"{key.fingerprint}!")
    assert exact == dataclasses.replace(key, exact=True)
    nobody = find_key(Wishes(changed_by="Nobody <nobody@example.org>"))
    assert isinstance(nobody, NoKey)
    assert "no secret key" in nobody.reason
    option_like = find_key(Wishes(option="--version"))
    assert isinstance(option_like, NoKey)


def test_keys_that_are_no_longer_or_not_uniquely_usable(gnupg: Path) -> None:
    options = ("--batch", "--quiet", "--passphrase", "", "--faked-system-time", "20200101T000000")
    call("gpg", *options, "--quick-generate-key", "Old Key <old@example.org>", "ed25519", "sign", "1d")
    answer = find_key(Wishes(option="old@example.org"))
    assert isinstance(answer, NoKey)
    assert "expired" in answer.reason
    answer = find_key(Wishes(option="example.org"))
    assert isinstance(answer, NoKey)
    assert "several" in answer.reason


def test_exact_subkey(built: Path, tmp_path: Path, gnupg: Path) -> None:
    make_key("Sub Key <sub@example.org>")
    primary = found("sub@example.org")
    for _ in range(2):
        call("gpg", "--batch", "--passphrase", "", "--quick-add-key", primary.fingerprint, "ed25519", "sign")
    listing = call("gpg", "--with-colons", "--list-secret-keys", primary.fingerprint)
    fingerprints = [line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")]
    for number, fingerprint in enumerate(fingerprints):
        exact = found(f"{fingerprint}!")
        assert exact.fingerprint == fingerprint
        signed = sign(take(built, tmp_path, f"exact{number}"), exact, terminal=False)
        check_by_gpg(signed.changes.path, exact)
    sign(take(built, tmp_path, "any"), primary, terminal=False)


def test_key_with_a_passphrase_and_no_terminal(verified: Verified, gnupg: Path) -> None:
    with pytest.raises(SigningError) as caught:
        sign(verified, found("pat@example.org"), terminal=False)
    assert caught.value.details
    assert "passphrase" in caught.value.hint


def test_key_that_is_gone(verified: Verified) -> None:
    with pytest.raises(SigningError, match="debsign could not sign"):
        sign(verified, Key("0" * 40, "the option -k"), terminal=False)


def program(devscripts: Path, body: str) -> None:
    """Let debsign sign with a program: ``$out`` is what it must write, ``$in`` what it must sign."""
    script = devscripts.with_name("sign-program")
    text = """\
        #!/bin/sh
        [ "$1" = --version ] && exec gpg --version
        while [ $# -gt 1 ]; do [ "$1" = --output ] && out=$2; shift; done
        in=$1
        """
    script.write_text(textwrap.dedent(text) + body + "\n")
    script.chmod(0o755)
    devscripts.write_text(f"DEBSIGN_PROGRAM={script}\n")


SIGN = 'gpg --batch --local-user %s --clearsign --output "$out" "$in"'


def test_users_own_program_is_used(verified: Verified, key: Key, devscripts: Path) -> None:
    program(devscripts, f'echo used > "{devscripts}.used"; ' + SIGN % key.fingerprint)
    sign(verified, key, terminal=False)
    assert Path(f"{devscripts}.used").exists()


def test_signed_by_another_key(verified: Verified, key: Key, devscripts: Path) -> None:
    program(devscripts, SIGN % "eve@example.org")
    with pytest.raises(SigningError, match=r"does not hold|another key"):
        sign(verified, key, terminal=False)


def test_signed_by_nobody(verified: Verified, key: Key, devscripts: Path) -> None:
    program(devscripts, 'cp "$in" "$out"')
    with pytest.raises(SigningError, match="does not hold"):
        sign(verified, key, terminal=False)


@pytest.mark.parametrize("suffix", ["dsc", "buildinfo", "changes"])
def test_changed_while_it_is_signed(verified: Verified, key: Key, devscripts: Path, suffix: str) -> None:
    change = f'case $in in *.{suffix}) sed -i "s/^Source: tiny/Source: other/" "$in";; esac\n'
    program(devscripts, change + SIGN % key.fingerprint)
    with pytest.raises(SigningError, match="was changed while it was signed") as caught:
        sign(verified, key, terminal=False)
    assert suffix in caught.value.message


def test_text_added_outside_the_signature(verified: Verified, key: Key, devscripts: Path) -> None:
    program(devscripts, SIGN % key.fingerprint + '\necho "Source: other" >> "$out"')
    with pytest.raises(SigningError):
        sign(verified, key, terminal=False)


def test_another_artifact_changed_meanwhile(verified: Verified, key: Key, devscripts: Path) -> None:
    deb = verified.named(".deb")
    assert deb is not None
    program(devscripts, f'echo x >> "{deb.path}"\n' + SIGN % key.fingerprint)
    with pytest.raises(SigningError, match=r"\.deb was changed"):
        sign(verified, key, terminal=False)


@pytest.mark.parametrize("suffix", [".changes", ".dsc"])
def test_quarantine_changed_before(verified: Verified, key: Key, suffix: str) -> None:
    artifact = verified.named(suffix)
    assert artifact is not None
    artifact.path.write_text(artifact.path.read_text().replace("Zo", "Zu"))
    with pytest.raises(SigningError, match="not what was verified"):
        sign(verified, key, terminal=False)


def test_debsign_is_not_led_to_a_file_of_somebody_else(built: Path, tmp_path: Path, key: Key) -> None:
    """A binary upload without .dsc, and a field that debsign takes for the list of files."""
    parent = tmp_path / "parent"
    shutil.copytree(built / "tiny-1.0", parent / "tiny-1.0")
    build(parent / "tiny-1.0", "-b")
    victim = tmp_path / "victim.dsc"
    victim.write_text("Format: 1.0\n")
    (changes,) = parent.glob("*.changes")
    evil = changes.read_text() + "Original-Maintainer: x ../victim.dsc\n"
    changes.write_text(evil)
    verified = take(parent, tmp_path)
    with pytest.raises(SigningError, match=r"another \.dsc"):
        sign(verified, key, terminal=False)
    assert victim.read_text() == "Format: 1.0\n"
    # The attack is real: debsign alone signs the victim.
    call("debsign", "--re-sign", f"-k{key.fingerprint}", f"./{changes.name}", cwd=verified.directory)
    assert "BEGIN PGP" in victim.read_text()


_CHILD = """
import json
import sys
from pathlib import Path
from bwbuild.handover.keys import Key
from bwbuild.handover.sign import sign
from bwbuild.handover.verify import Artifact, Verified
directory, fingerprint, artifacts = json.load(open(sys.argv[1]))
made = tuple(Artifact(n, s, h, Path(directory) / n) for n, s, h in artifacts)
sign(Verified(Path(directory), made[-1], made), Key(fingerprint, "test"), terminal=sys.argv[2] == "terminal")
"""


@pytest.mark.parametrize("how", ["terminal", "none"])
def test_pinentry_learns_the_terminal(
    verified: Verified, key: Key, devscripts: Path, tmp_path: Path, how: str
) -> None:
    program(devscripts, f'echo "$GPG_TTY $(tty)" > "{tmp_path}/tty"\n' + SIGN % key.fingerprint)
    job = tmp_path / "job.json"
    artifacts = [(a.name, a.size, a.sha256) for a in verified.artifacts]
    job.write_text(json.dumps([str(verified.directory), key.fingerprint, artifacts]))
    child = tmp_path / "child.py"
    child.write_text(_CHILD)
    # Without leave to ask, not even a GPG_TTY of the caller's leads to his terminal.
    known = "" if how == "terminal" else "GPG_TTY=$(tty)"
    line = f"{known} PYTHONPATH={Path(__file__).parents[2]} {sys.executable} {child} {job} {how}"
    call("script", "-qec", line, "/dev/null")
    gpg_tty, tty = (tmp_path / "tty").read_text().rstrip("\n").split(" ", 1)
    assert gpg_tty.startswith("/dev/") is (how == "terminal")
    assert (tty == gpg_tty) is (how == "terminal")
