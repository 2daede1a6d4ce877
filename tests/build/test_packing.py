"""What the clean target does to the source before it is packed: it may remove, and all else is refused."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest
from support import Desk, Rules, make_desk


def cleaning(desk: Desk, line: str) -> Desk:
    """Let the clean target of the tiny package run ``line`` as well."""
    rules = desk.tree / "debian" / "rules"
    rules.write_text(rules.read_text() + f"\t{line}\n")
    return desk


@pytest.fixture
def native(tmp_path: Path) -> Desk:
    return make_desk(tmp_path)


@pytest.fixture(params=["3.0 (quilt)", "1.0"])
def patched(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    """The tiny package with an upstream tarball; in format 1.0 a file of it is missing in the tree."""
    desk = make_desk(tmp_path)
    changelog = desk.tree / "debian" / "changelog"
    changelog.write_text(changelog.read_text().replace("(1)", "(1-1)"))
    (desk.tree / "debian" / "source" / "format").write_text(f"{request.param}\n")
    (desk.tree / "generated").write_text("by upstream\n")
    with tarfile.open(desk.parent / "tiny_1.orig.tar.gz", "w:gz") as tar:
        for name in ("input", "generated"):
            tar.add(desk.tree / name, f"tiny-1/{name}")
    return desk


def refused(desk: Desk, *words: str) -> str:
    done = desk.run("-S", "-d", "--no-sign", *words)
    assert done.status == 12, done.both
    assert [name for name in desk.published() if "orig" not in name] == []
    return done.err


@pytest.mark.parametrize("kind", ["-S", "-F"])
def test_additions_are_refused(native: Desk, kind: str) -> None:
    cleaning(native, "echo inert > debian/backdoor.h; echo more >> input; rm -f debian/nothing")
    report = native.top / "report"
    done = native.run(kind, "--no-sign", "--report", report)
    assert done.status == 12, done.both
    assert "tiny_1.dsc would have what your tree has not: added: 'debian/backdoor.h', and 1 more" in done.err
    assert "changed: 'input'" in done.err
    assert "--accept-from-clean PATTERN" in done.err
    assert native.report(report)["status"] == "verification"
    assert native.published() == []
    (packed,) = native.scratch.glob("*/unpacked/packed")
    assert (packed / "debian" / "backdoor.h").read_text() == "inert\n"


def test_a_build_of_binary_packages_alone_packs_no_source(native: Desk) -> None:
    cleaning(native, "echo inert > debian/backdoor.h").ok("-b", "--no-sign")


def test_removals_are_usual(native: Desk) -> None:
    (native.tree / "left").write_text("by an earlier build\n")
    cleaning(native, "rm -f left; mkdir -p debian/empty; chmod +x input").ok("-S", "--no-sign")
    assert "tiny_1.dsc" in native.published()


def test_accepted_changes_are_in_log_terminal_and_report(native: Desk) -> None:
    cleaning(native, "touch debian/a.pot debian/po; echo >> debian/control")
    report = native.top / "report"
    words = ("--accept-from-clean", "debian/po*", "--accept-from-clean", "*.pot")
    assert "changed: 'debian/control'" in refused(native, *words)
    done = native.ok("-S", "--no-sign", *words, "--accept-from-clean", "debian/control", "--report", report)
    for text in ("added: 'debian/a.pot'", "added: 'debian/po'", "changed: 'debian/control'"):
        line = f"{text} by the build, in tiny_1.dsc (--accept-from-clean)"
        assert line in done.err
        assert line in native.log()
        assert line in native.report(report)["weakenings"]


def test_what_packages_usually_make_anew(native: Desk) -> None:
    """Of files that are there, and only with what they are made of: a warning that nobody has to ask for."""
    clean = "echo >> debian/control; echo >> debian/po/de.po"
    (native.tree / "debian" / "po").mkdir()
    (native.tree / "debian" / "po" / "de.po").touch()
    assert "changed: 'debian/control'" in refused(cleaning(native, clean))
    (native.tree / "debian" / "control.in").touch()
    rules = native.tree / "debian" / "rules"
    before = rules.read_text()
    assert "added: 'debian/po/fr.po'" in refused(cleaning(native, "touch debian/po/fr.po"))
    rules.write_text(before)
    done = native.ok("-S", "--no-sign")
    for name in ("control", "po/de.po"):
        assert f"warning: changed: 'debian/{name}' by the build, in tiny_1.dsc" in done.err


def test_with_an_upstream_tarball(patched: Desk) -> None:
    patched.ok("-S", "-d", "--no-sign")
    assert "tiny_1-1.dsc" in patched.published()


def test_packaging_with_an_upstream_tarball(patched: Desk) -> None:
    assert "added: 'debian/x'" in refused(cleaning(patched, "touch debian/x; echo x > debian/x"))


def test_upstream_files_that_the_tree_lacks(patched: Desk) -> None:
    """Format 1.0 can't say that a file is gone; the other asks for a patch unless clean removes it."""
    cleaning(patched, "rm -f generated").ok("-S", "-d", "--no-sign")


def test_changes_of_upstream_files(patched: Desk) -> None:
    cleaning(patched, "echo more >> input")
    done = patched.run("-S", "-d", "--no-sign")
    # In the format with patches dpkg-source itself refuses them.
    if "quilt" in (patched.tree / "debian" / "source" / "format").read_text():
        assert done.status == 10, done.both
    else:
        assert done.status == 12, done.both
        assert "changed: 'input'" in done.err


def test_an_upstream_tarball_that_the_build_makes(patched: Desk) -> None:
    (patched.parent / "tiny_1.orig.tar.gz").unlink()
    pack = "tar -czf ../tiny_1.orig.tar.gz --transform 's,^,tiny-1/,' input generated"
    found = refused(cleaning(patched, pack))
    assert "added: '../tiny_1.orig.tar.gz'" in found


def test_unapplied_patches_are_no_change(patched: Desk) -> None:
    """As git-buildpackage keeps trees: dpkg-source applies the patches before it packs."""
    if "1.0" in (patched.tree / "debian" / "source" / "format").read_text():
        pytest.skip("it has no patches")
    patches = patched.tree / "debian" / "patches"
    patches.mkdir()
    (patches / "series").write_text("one\n")
    (patches / "one").write_text("--- a/input\n+++ b/input\n@@ -1 +1,2 @@\n hello\n+more\n")
    patched.ok("-S", "-d", "--no-sign")


def test_what_is_packed_after_an_earlier_build(tmp_path: Path) -> None:
    """With -nc no clean target runs first, but targets of the last build have."""
    native = make_desk(tmp_path, Rules(during="echo x > debian/backdoor.h"))
    native.ok("-b", "--no-sign", "--keep", "always")
    done = native.run("-nc", "-F", "--no-sign")
    assert done.status == 12, done.both
    assert "added: 'debian/backdoor.h'" in done.err


#: Puts a file that is large, but not when it is packed, into the source after dpkg-source has made it.
BOMB = """\
import hashlib, re, subprocess
subprocess.run("mkdir -p /tmp/t/tiny-1; head -c 300M /dev/zero > /tmp/t/tiny-1/zero", shell=True, check=True)
subprocess.run(["tar", "-C", "/tmp/t", "-caf", "../tiny_1.tar.xz", "tiny-1"], check=True)
data = open("../tiny_1.tar.xz", "rb").read()
text = open("../tiny_1.dsc").read()
for kind, length in (("md5", 32), ("sha1", 40), ("sha256", 64)):
    line = f" {hashlib.new(kind, data).hexdigest()} {len(data)} tiny_1.tar.xz"
    text = re.sub(f"^ [0-9a-f]{{{length}}} .*", line, text, flags=re.MULTILINE)
open("../tiny_1.dsc", "w").write(text)
"""


def test_a_bomb_in_place_of_what_was_packed(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="python3 debian/bomb"))
    (desk.tree / "debian" / "bomb").write_text(BOMB)
    report = desk.top / "report"
    words = ("--limit-disk", "100M", "--limit-tmp", "1G", "--workspace-memory", "never", "--keep", "never")
    done = desk.run("-F", "--no-sign", "--report", report, *words)
    assert done.status == 11, done.both
    # A fast disk may take it between two looks.
    assert re.search("unpacking tiny_1.dsc: (killed: )?disk limit 100 MiB", done.err), done.err
    assert desk.report(report)["limit"]["name"] == "disk"
    assert desk.published() == []
    assert desk.left() == []
