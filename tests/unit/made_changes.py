"""Artifacts of a build that never was, with a true .changes, for the tests of the handover."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bwbuild.handover.verify import Expected

SOURCE, VERSION = "foo", "1:1.0-1"
CHANGES = "foo_1.0-1_amd64.changes"
DEB = "foo_1.0-1_amd64.deb"
DSC = "foo_1.0-1.dsc"
BUILDINFO = "foo_1.0-1_amd64.buildinfo"
ORIG = "foo_1.0.orig.tar.gz"
DEBIAN = "foo_1.0-1.debian.tar.xz"


def sums(data: bytes) -> tuple[str, str, str]:
    md5, sha1, sha256 = (hashlib.new(kind, data).hexdigest() for kind in ("md5", "sha1", "sha256"))
    return md5, sha1, sha256


def lists(files: Mapping[str, bytes], md5_field: str, middle: str = "") -> str:
    """The three checksum sections for ``files``, in dpkg's order."""
    sections = [("Checksums-Sha1", 1, ""), ("Checksums-Sha256", 2, ""), (md5_field, 0, middle)]
    text = ""
    for field, index, between in sections:
        text += f"{field}:\n"
        for name, data in files.items():
            text += f" {sums(data)[index]} {len(data)} {between}{name}\n"
    return text


def changes_text(files: Mapping[str, bytes], **replace: str) -> str:
    """A .changes for ``files``; ``replace`` gives other values of single-line fields (``_`` for ``-``)."""
    fields = {
        "Format": "1.8",
        "Date": "Thu, 01 Jan 2026 00:00:00 +0000",
        "Source": SOURCE,
        "Binary": "foo",
        "Architecture": "source amd64",
        "Version": VERSION,
        "Distribution": "unstable",
        "Urgency": "medium",
        "Maintainer": "Zoë Example <zoe@example.org>",
        "Changed-By": "Zoë Example <zoe@example.org>",
        "Description": "\n foo        - does nothing",
        "Changes": "\n foo (1:1.0-1) unstable; urgency=medium\n .\n   * First, with a .dsc in its text.",
    }
    fields.update({name.replace("_", "-"): value for name, value in replace.items()})
    head = "".join(
        f"{name}:{value if value.startswith(chr(10)) else ' ' + value}\n" for name, value in fields.items()
    )
    return head + lists(files, "Files", "misc optional ")


def dsc_text(files: Mapping[str, bytes]) -> str:
    head = f"Format: 3.0 (quilt)\nSource: {SOURCE}\nBinary: foo\nVersion: {VERSION}\nX-Own: yes\n"
    return head + lists(files, "Files")


def buildinfo_text(files: Mapping[str, bytes]) -> str:
    head = f"Format: 1.0\nSource: {SOURCE}\nArchitecture: amd64 source\nVersion: {VERSION}\n"
    return head + lists(files, "Checksums-Md5") + 'Environment:\n LANG="C"\n'


def true_files() -> dict[str, bytes]:
    """Name to contents of a full build's artifacts, without the .changes."""
    files = {ORIG: b"upstream\n" * 1000, DEBIAN: b"debian\n" * 100, DEB: bytes(range(256)) * 5000}
    files[DSC] = dsc_text({name: files[name] for name in (ORIG, DEBIAN)}).encode()
    files[BUILDINFO] = buildinfo_text({name: files[name] for name in (DSC, DEB)}).encode()
    return files


@dataclass
class Build:
    """A parent directory as a build leaves it, and an empty quarantine."""

    parent: Path
    quarantine: Path
    files: dict[str, bytes]

    @property
    def expected(self) -> Expected:
        return Expected(source=SOURCE, version=VERSION, changes=CHANGES, origs={})

    def write(self, text: str | None = None) -> None:
        """Write all files, and ``text`` (else a true one) as the .changes."""
        for name, data in self.files.items():
            (self.parent / name).write_bytes(data)
        (self.parent / CHANGES).write_text(text or changes_text(self.files), "utf-8")


def make_build(tmp_path: Path) -> Build:
    parent, quarantine = tmp_path / "parent", tmp_path / "quarantine"
    parent.mkdir()
    quarantine.mkdir(0o700)
    return Build(parent, quarantine, true_files())
