"""Signed results: dscverify, dput into a queue, and reprepro, which checks them as an archive does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import PATIENCE, Desk, Done, gnupg_home, make_desk, make_signing_key, make_tree, need

DISTRIBUTIONS = """\
Origin: test
Codename: unstable
Architectures: amd64 source
Components: main
Uploaders: uploaders
"""
INCOMING = """\
Name: default
IncomingDir: {queue}
TempDir: {queue}/../tmp
Allow: unstable
Cleanup: on_deny on_error unused_files unused_buildinfo_files
"""
DPUT = """\
[queue]
method = local
incoming = {queue}
allow_unsigned_uploads = 0
run_dinstall = 0
"""


@dataclass(frozen=True, slots=True)
class Archive:
    """A desk whose developer has a key, a queue and an archive behind it that knows the key."""

    desk: Desk
    home: Path
    fingerprint: str

    @property
    def queue(self) -> Path:
        """Where uploads go."""
        return self.desk.top / "queue"

    def run(self, *words: str | Path) -> Done:
        """A command of the developer or the archive."""
        done = subprocess.run(
            list(map(str, words)),
            cwd=self.desk.top,
            env={**self.desk.environment, "HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def build(self, *words: str) -> None:
        """A signed build."""
        self.desk.ok(f"-k{self.fingerprint}", *words, env={"HOME": str(self.home)})

    def verify(self, name: str) -> Done:
        """dscverify with no other key than the developer's."""
        return self.run("dscverify", "--keyring", self.home / "ring.gpg", self.desk.parent / name)

    def upload(self, name: str) -> Done:
        """``dput`` into the queue."""
        return self.run("dput", "-c", self.desk.top / "dput.cf", "queue", self.desk.parent / name)

    def process(self) -> Done:
        """Let the archive take what is in its queue."""
        return self.run("reprepro", "-b", self.desk.top / "archive", "processincoming", "default")

    def listed(self) -> str:
        """What the archive has."""
        return self.run("reprepro", "-b", self.desk.top / "archive", "list", "unstable").out


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    need("bwrap", "gpg", "debsign", "dscverify", "dput", "reprepro")
    desk = make_desk(tmp_path)
    with gnupg_home("HOME") as home:
        fingerprint = make_signing_key(home, "The bwbuild developers <bwbuild@example.org>", "HOME")
        place = Archive(desk, home, fingerprint)
        assert place.run("gpg", "--output", home / "ring.gpg", "--export", fingerprint).status == 0
        for directory in ("queue", "tmp", "archive/conf"):
            (tmp_path / directory).mkdir(parents=True)
        conf = tmp_path / "archive/conf"
        (conf / "distributions").write_text(DISTRIBUTIONS)
        (conf / "incoming").write_text(INCOMING.format(queue=tmp_path / "queue"))
        (conf / "uploaders").write_text(f"allow * by key {fingerprint}\n")
        (tmp_path / "dput.cf").write_text(DPUT.format(queue=tmp_path / "queue"))
        yield place


@pytest.mark.parametrize(
    ("words", "name", "there"),
    [
        (("-sa",), "tiny_1_amd64.changes", {"amd64: tiny 1", "source: tiny 1"}),
        (("-S",), "tiny_1_source.changes", {"source: tiny 1"}),
        (("--source-only-changes",), "tiny_1_source.changes", {"source: tiny 1"}),
    ],
    ids=["full", "source", "source-only-changes"],
)
def test_an_archive_takes_the_upload(
    archive: Archive, words: tuple[str, ...], name: str, there: set[str]
) -> None:
    archive.build(*words)
    verified = archive.verify(name)
    assert "All files validated successfully" in verified.both
    sent = archive.upload(name)
    assert sent.status == 0, sent.both
    assert "Successfully uploaded" in sent.both
    taken = archive.process()
    assert taken.status == 0, taken.both
    assert {line.removeprefix("unstable|main|") for line in archive.listed().splitlines()} == there
    assert list(archive.queue.iterdir()) == []


def test_an_archive_refuses_what_nobody_signed(archive: Archive) -> None:
    archive.desk.ok("--no-sign")
    assert archive.upload("tiny_1_amd64.changes").status != 0
    for path in archive.desk.parent.glob("tiny_1*"):
        if path.suffix != ".build":
            shutil.copy(path, archive.queue)
    archive.process()
    assert archive.listed() == ""


def test_dscverify_refuses_what_was_changed_later(archive: Archive) -> None:
    archive.build()
    with (archive.desk.parent / "tiny_1_all.deb").open("ab") as deb:
        deb.write(b"more")
    assert archive.verify("tiny_1_amd64.changes").status != 0


def test_a_clean_checkout_with_its_patches_applied(tmp_path: Path) -> None:
    """As dgit has trees: upstream's files as patched, and the patches beside them, but nothing of quilt's."""
    need("bwrap", "git")
    desk = make_desk(tmp_path)
    shutil.rmtree(desk.tree)
    tree = make_tree(tmp_path / "original", version="1.0-1")
    (tree / "debian/source/format").write_text("3.0 (quilt)\n")
    (tree / "debian/patches").mkdir()
    (tree / "debian/patches/series").write_text("greeting\n")
    (tree / "debian/patches/greeting").write_text("--- a/input\n+++ b/input\n@@ -1 +1 @@\n-hello\n+patched\n")
    (tree / "input").write_text("patched\n")
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], cwd=tree, check=True)
    subprocess.run([*git, "clone", "-q", tree, desk.tree], check=True, capture_output=True)

    desk.ok("-b", "--no-sign")

    status = subprocess.run(
        ["git", "status", "--porcelain", "--ignored"], cwd=desk.tree, check=True, capture_output=True
    )
    assert status.stdout == b""
    deb = desk.parent / "tiny_1.0-1_all.deb"
    packed = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
    assert b"patched" in packed
