"""A .dsc as input: unpacked in a sandbox, built, its results where the caller is."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import (
    PATIENCE,
    Desk,
    Done,
    Rules,
    as_user,
    discard,
    gnupg_home,
    make_desk,
    make_signing_key,
    make_tree,
    need,
    processes,
    snapshot,
    wait_for,
)

from bwbuild.build.inspect.helper import Reader
from bwbuild.build.inspect.unpack import unpacked
from bwbuild.build.start import Named
from bwbuild.config.settings import Settings
from bwbuild.deb.source import read_source
from bwbuild.errors import SourceError
from bwbuild.events import Tell
from bwbuild.host.facts import read_host
from bwbuild.sandbox import guard, unpack
from bwbuild.sandbox.spec import NO_CEILINGS

READER = Reader.of(Settings(), read_host())
DEBS = ["tiny_1_all.deb", "tiny_1_amd64.buildinfo", "tiny_1_amd64.changes"]


def call(*argv: str | Path, cwd: Path, **more: str) -> None:
    env = os.environ | more
    # Not what is tested: a busy machine may take its time for it.
    patience = 5 * PATIENCE
    done = subprocess.run(
        argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=patience
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def here(desk: Desk) -> Path:
    """An empty directory in which the command is called; the source package is elsewhere, its tree gone."""
    call("dpkg-source", "--build", desk.tree.name, cwd=desk.parent)
    shutil.rmtree(desk.tree)
    path = desk.top / "here"
    path.mkdir()
    return path


def dsc_of(desk: Desk) -> Path:
    (found,) = desk.parent.glob("*.dsc")
    return found


def build(desk: Desk, here: Path, *words: str | Path) -> Done:
    return desk.run(*(words or (dsc_of(desk), "-b")), cwd=here)


def results(here: Path) -> list[str]:
    return sorted(path.name for path in here.iterdir() if not path.name.endswith(".build"))


def refused(desk: Desk, here: Path, *texts: str) -> Done:
    """It ends with the status for sources, one sentence, and nothing written anywhere."""
    before = snapshot(desk.parent)
    done = build(desk, here)
    assert done.status == 5, done.both
    assert "Traceback" not in done.both
    for text in texts:
        assert text in done.err
    assert (snapshot(desk.parent), results(here), desk.left()) == (before, [], [])
    return done


def test_results_come_to_where_the_caller_is(desk: Desk, here: Path) -> None:
    before = snapshot(desk.parent)
    done = build(desk, here)
    assert done.status == 0, done.both
    assert results(here) == DEBS
    assert (snapshot(desk.parent), desk.left()) == (before, [])
    (log,) = (path for path in here.glob("*.build") if path.is_symlink())
    text = log.read_text("utf-8")
    assert "tiny_1.dsc is not signed" in text
    fetched = text.partition("| Fetch source files ")[2].partition("| Install package build ")[0]
    assert f"Source package: {dsc_of(desk)}\nSignature: tiny_1.dsc is not signed" in fetched
    tarball = desk.parent / "tiny_1.tar.xz"
    sums = f"{hashlib.sha256(tarball.read_bytes()).hexdigest()} {tarball.stat().st_size} {tarball.name}"
    assert f"\nSizes and checksums are those that the .dsc lists:\n{sums}\n" in fetched
    assert "Build Path: /build/reproducible-path/tiny-1" in text


def limited(desk: Desk, here: Path, *words: str) -> tuple[dict[str, Any], str]:
    """Unpacking ends at a limit: what the report has of it."""
    report = desk.top / "report.json"
    done = build(desk, here, dsc_of(desk), "-b", "--report", report, *words)
    assert done.status == 11, done.both
    assert (results(here), desk.left()) == ([], [])
    found = desk.report(report)
    assert found["status"] == "limit"
    return found["limit"], found["failure"]["message"]


def test_unpacking_takes_no_more_disk_than_a_build_may(desk: Desk) -> None:
    here = desk.top / "here"
    here.mkdir()
    with (desk.tree / "zero").open("wb") as stream:
        stream.truncate(400 << 20)
    call("dpkg-source", "-Zgzip", "-z1", "--build", desk.tree.name, cwd=desk.parent)
    limit, message = limited(desk, here, "--limit-disk", "100M")
    assert (limit["name"], limit["value"]) == ("disk", 100 << 20)
    assert "unpacking tiny_1.dsc: killed: disk limit" in message


def test_unpacking_takes_no_more_time_than_a_build_may(desk: Desk, here: Path) -> None:
    limit, message = limited(desk, here, "--timeout", "0.02")
    assert limit["name"] == "time"
    assert "unpacking tiny_1.dsc took longer than" in message


def test_output_and_report(desk: Desk, here: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    report = tmp_path / "report.json"
    done = build(desk, here, dsc_of(desk), "-b", "--output", output, "--report", report)
    assert done.status == 0, done.both
    assert (results(output), results(here)) == (DEBS, [])
    assert desk.report(report)["job"] == str(dsc_of(desk))


def test_same_package_as_from_the_tree(desk: Desk) -> None:
    call("dpkg-source", "--build", desk.tree.name, cwd=desk.parent)
    desk.ok("-b")
    from_tree = (desk.parent / "tiny_1_all.deb").read_bytes()
    here = desk.top / "here"
    here.mkdir()
    assert build(desk, here).status == 0
    assert (here / "tiny_1_all.deb").read_bytes() == from_tree


def test_source_is_built_again_beside_it(desk: Desk, here: Path) -> None:
    assert build(desk, here, dsc_of(desk)).status == 0
    assert results(here) == sorted([*DEBS, "tiny_1.dsc", "tiny_1.tar.xz"])


def test_run_shell_words_and_deps(desk: Desk, here: Path) -> None:
    dsc = dsc_of(desk)
    done = desk.ok("run", "--tree", dsc, "--", "sh", "-c", "pwd; stat -c %U . input; ls ..", cwd=here)
    assert done.out.split() == ["/build/reproducible-path/tiny-1", "bwbuild", "bwbuild", "tiny-1"]
    assert "not signed" in done.err
    assert "python3" in desk.ok("deps", dsc, cwd=here).out
    assert "Build-Depends: python3" in desk.ok("deps", "--why", "python3", dsc, cwd=here).out
    assert (results(here), desk.left()) == ([], [])


def test_dry_run_leaves_what_its_script_needs(desk: Desk, here: Path) -> None:
    script = here / "script"
    script.write_text(desk.ok("--dry-run", "-b", dsc_of(desk), cwd=here).out, "utf-8")
    assert len(desk.left()) == 1
    env = {name: value for name, value in desk.environment.items() if not name.startswith("BWBUILD")}
    done = subprocess.run(["sh", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = re.findall(r"scratch directory: (\S+)", done.stderr)
    assert (Path(made) / "parent" / "tiny_1_all.deb").exists()
    discard(Path(made))
    assert desk.ok("--dry-run", "-b", dsc_of(desk), cwd=here).out
    assert len(desk.left()) == 1, "an older one of the same source is gone"
    desk.ok("clean", "--remove", cwd=here)
    assert desk.left() == []


def test_failed_build_keeps_tree_and_workspace(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="echo x > made; false"))
    call("dpkg-source", "--build", desk.tree.name, cwd=desk.parent)
    shutil.rmtree(desk.tree)
    done = build(desk, desk.home)
    assert done.status == 10, done.both
    (shell,) = re.findall(r"bwbuild shell -nc (\S+)", done.both)
    again = desk.ok("run", "-nc", "--tree", shell, "--", "ls", cwd=desk.home)
    assert "made" in again.out.split()
    assert build(desk, desk.home).status == 10
    assert len(desk.left()) == 2, "those of the build before are gone"
    desk.ok("clean", "--remove", cwd=desk.home)
    assert desk.left() == []


def test_directory_that_can_not_be_written(desk: Desk, here: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root may write anywhere")
    here.chmod(0o555)
    done = build(desk, here)
    assert done.status == 14, done.both
    assert "--output DIR" in done.err
    assert "not signed" not in done.err, "it was found out before anything else"
    assert desk.left() == []
    output = desk.top / "output"
    output.mkdir()
    assert build(desk, here, "-b", dsc_of(desk), "--output", output).status == 0
    assert results(output) == DEBS
    here.chmod(0o755)


@pytest.mark.parametrize(
    ("word", "texts"),
    [
        ("missing.dsc", ("there is no", "missing.dsc")),
        ("./missing", ("not a directory", "NAME=VERSION")),
        ("hello", ("hello is not a directory here", "-d SUITE")),
        ("hello=2.10-3", ("hello=2.10-3 is not a directory here", "-d SUITE")),
    ],
)
def test_what_is_none_of_the_three(desk: Desk, here: Path, word: str, texts: tuple[str, ...]) -> None:
    for words in ((word,), ("run", "--tree", word, "--", "true"), ("deps", word)):
        done = desk.run(*words, cwd=here)
        assert done.status == 5, done.both
        for text in texts:
            assert text in done.err
    assert (results(here), desk.left()) == ([], [])


def test_name_is_fetched_to_a_private_place(desk: Desk, here: Path) -> None:
    """What fetches is handed in; it gets name, version and a directory that is gone afterwards."""
    asked: list[tuple[str, str | None, Path]] = []

    def fetch(name: str, version: str | None, place: Path, tell: Tell) -> Path:
        asked.append((name, version, place))
        for path in desk.parent.iterdir():
            shutil.copy(path, place)
        return place / "tiny_1.dsc"

    def names(named: Named) -> list[str]:
        with unpacked(named, desk.scratch, lambda _: None, READER, fetch=fetch) as made:
            made.check(read_source(made.tree))
            return sorted(path.name for path in made.tree.iterdir())

    assert names(Named("tiny")) == ["debian", "input"]
    assert names(Named("tiny", "1")) == ["debian", "input"]
    for wrong in (Named("tiny", "2"), Named("other")):
        with pytest.raises(SourceError, match=f"{wrong} was asked for, but tiny 1 came"):
            names(wrong)
    assert [found[:2] for found in asked] == [("tiny", None), ("tiny", "1"), ("tiny", "2"), ("other", None)]
    assert desk.left() == []


# The formats


def upstream(parent: Path, tree: str) -> None:
    """An upstream tarball of all but debian/."""
    argv = ("tar", "--exclude=debian", "-czf", f"{tree.replace('-', '_')}.orig.tar.gz", tree)
    call(*argv, cwd=parent)


@pytest.mark.parametrize("form", ["3.0 (quilt)", "1.0"])
def test_formats_with_an_upstream_tarball(tmp_path: Path, form: str) -> None:
    desk = make_desk(tmp_path)
    shutil.rmtree(desk.tree)
    tree = make_tree(desk.parent / "tiny-1", Rules(during="cat out"), version="1:1-2")
    (tree / "debian" / "source" / "format").write_text(form + "\n", "utf-8")
    upstream(desk.parent, "tiny-1")
    if form == "1.0":
        (tree / "input").write_text("patched\n", "utf-8")
        assert "Format: 1.0" in make_dsc(desk)
    else:
        patches = tree / "debian" / "patches"
        patches.mkdir()
        (patches / "series").write_text("change\n", "utf-8")
        diff = "--- a/input\n+++ b/input\n@@ -1 +1 @@\n-hello\n+patched\n"
        (patches / "change").write_text(diff, "utf-8")
        assert "Format: 3.0 (quilt)" in make_dsc(desk)
    here = desk.top / "here"
    here.mkdir()
    done = build(desk, here, dsc_of(desk))
    assert done.status == 0, done.both
    assert "tiny_1.orig.tar.gz" in results(here)
    assert (here / "tiny_1.orig.tar.gz").read_bytes() == (desk.parent / "tiny_1.orig.tar.gz").read_bytes()
    (log,) = (path for path in here.glob("*.build") if path.is_symlink())
    assert "\npatched\n" in log.read_text("utf-8")
    inside = desk.ok("run", "--tree", dsc_of(desk), "--", "sh", "-c", "cat input; ls ..", cwd=here)
    assert inside.out.split() == ["patched", "tiny-1", "tiny_1.orig.tar.gz"]


def make_dsc(desk: Desk) -> str:
    call("dpkg-source", "--build", desk.tree.name, cwd=desk.parent)
    shutil.rmtree(desk.tree)
    return dsc_of(desk).read_text("utf-8")


# Wrong and hostile ones


def test_missing_file(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    shutil.rmtree(desk.tree)
    make_tree(desk.parent / "tiny-1", version="1-1")
    (desk.tree / "debian" / "source" / "format").write_text("3.0 (quilt)\n", "utf-8")
    upstream(desk.parent, "tiny-1")
    make_dsc(desk)
    (desk.parent / "tiny_1.orig.tar.gz").unlink()
    refused(desk, desk.home, "tiny_1.orig.tar.gz is missing", "get it again")


def test_tampered_tarball(desk: Desk, here: Path) -> None:
    tarball = desk.parent / "tiny_1.tar.xz"
    data = tarball.read_bytes()
    tarball.write_bytes(data[:-1])
    refused(desk, here, "tiny_1.tar.xz is cut off")
    tarball.write_bytes(data[:-1] + b"x")
    refused(desk, here, "its SHA256 sum is another one")
    tarball.unlink()
    os.mkfifo(tarball)
    refused(desk, here, "is not a plain file")


def resum(desk: Desk, name: str = "tiny_1.tar.xz") -> None:
    """Let the .dsc list the tarball ``name`` as it is now."""
    data = (desk.parent / name).read_bytes()
    dsc = dsc_of(desk)
    text = dsc.read_text("utf-8")
    for kind, digits in (("md5", 32), ("sha1", 40), ("sha256", 64)):
        line = f" {hashlib.new(kind, data).hexdigest()} {len(data)} {name}"
        text = re.sub(rf"(?m)^ [0-9a-f]{{{digits}}} \d+ tiny_1\.tar\.xz$", line, text)
    dsc.write_text(text, "utf-8")


def pack(desk: Desk, add: Callable[[tarfile.TarFile], None]) -> None:
    """Put the tiny tree and what ``add`` adds into the tarball, and the sums into the .dsc."""
    tarball = desk.parent / "tiny_1.tar.xz"
    tree = make_tree(desk.top / "again" / "tiny-1")
    with tarfile.open(tarball, "w:xz") as archive:
        archive.add(tree, "tiny-1")
        add(archive)
    resum(desk)


def file(
    name: str, data: bytes = b"planted\n", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(data), 0o755
    return info


def add(*members: tuple[tarfile.TarInfo, bytes]) -> Callable[[tarfile.TarFile], None]:
    def put(archive: tarfile.TarFile) -> None:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data) if data else None)

    return put


def planted(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return file(name), b"planted\n"


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return file(name, b"", kind, to), b""


@pytest.mark.parametrize("trick", ["dots", "absolute", "symlink", "hard link", "files", "device", "debian"])
def test_tarballs_with_tricks(desk: Desk, here: Path, trick: str) -> None:
    """Nothing is written anywhere but in the scratch directory, whatever tar thinks of it."""
    victim = desk.top / "victim"
    victim.mkdir()
    target, secret = victim / "planted", victim / "secret"
    secret.write_text("secret\n", "utf-8")
    device = file("tiny-1/null", b"", tarfile.CHRTYPE)
    device.devmajor, device.devminor = 1, 3
    members = {
        "dots": [planted("../planted"), planted("tiny-1/../../../planted"), planted("../../here/planted")],
        "absolute": [planted(str(target))],
        "symlink": [link("tiny-1/way", str(victim)), planted("tiny-1/way/planted")],
        "hard link": [link("tiny-1/hard", str(secret), tarfile.LNKTYPE), planted("tiny-1/hard")],
        "files": [link("tiny-1/way", "/files"), planted("tiny-1/way/tiny_1.dsc")],
        "device": [(device, b"")],
        "debian": [link("tiny-1/debian/changelog", str(secret))],
    }[trick]
    pack(desk, add(*members))
    before = snapshot(desk.parent), snapshot(victim)
    done = build(desk, here)
    assert done.status in (0, 5), done.both
    assert "Traceback" not in done.both
    assert (snapshot(desk.parent), snapshot(victim)) == before
    assert results(here) == (DEBS if done.status == 0 else [])
    assert "secret\n" not in done.both
    assert desk.left() == []


def test_unpacking_sees_no_more_than_it_needs(desk: Desk, here: Path) -> None:
    """Its files, /usr, and one directory to write; a look in place of dpkg-source tells."""
    scratch = desk.top / "place"
    for name in (unpack.FILES.name, unpack.UNPACKED.name):
        (scratch / name).mkdir(parents=True)
    (scratch / "other").touch()
    text = unpack.launcher(READER.host, READER.restraints, NO_CEILINGS, unpack.source("x.dsc", "x-1"))
    look = (
        "ls / /files /build; touch /files/x /x /usr/x /etc/x /dev/x; touch /build/ok; cat /proc/self/status;"
        " ls /home /root /etc /run; env; cat /proc/net/dev"
    )
    start = text.index("dpkg-source")
    script = scratch / "script"
    opened = guard.opened(READER.restraints.filters)
    script.write_text(f"{text[:start]}sh -c '{look}'{opened}\n", "utf-8")
    env = {
        "PATH": "/usr/bin:/bin",
        "BWBUILD_SCRATCH": str(scratch),
        "BWBUILD_STATUS": "9",
        "BWBUILD_TIE": "8",
        "SECRET": "hidden",
    }
    env["BWBUILD_PARENT"] = str(os.getpid())
    argv = ["sh", "-c", 'exec 9> "$1" 8< /dev/null; . "$0"', script, desk.top / "status"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert '"exit-code"' in (desk.top / "status").read_text("utf-8")
    assert [path.name for path in (scratch / "unpacked").iterdir()] == ["ok"]
    assert list((scratch / "files").iterdir()) == []
    assert done.stderr.count("Read-only file system") >= 4
    for absent in ("/home", "/root", "/run", "/proc/self/status"):
        assert f"'{absent}': No such file" in done.stderr or f"{absent}: No such file" in done.stderr
    assert "hidden" not in done.stdout
    assert str(desk.top) not in done.stdout


def test_bomb_is_no_tree(desk: Desk, here: Path) -> None:
    (desk.parent / "tiny_1.tar.xz").write_bytes(b"no archive at all")
    resum(desk)
    refused(desk, here, "dpkg-source can't unpack tiny_1.dsc", "tar")


def test_tree_of_another_package(desk: Desk, here: Path) -> None:
    dsc = dsc_of(desk)
    text = dsc.read_text("utf-8").replace("tiny_1.", "tiny_2.").replace("Version: 1", "Version: 2")
    (desk.parent / "tiny_1.tar.xz").rename(desk.parent / "tiny_2.tar.xz")
    dsc.write_text(text, "utf-8")
    refused(desk, here, "tiny_1.dsc says tiny 2, but its debian/changelog says tiny 1")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_ended_while_unpacking(desk: Desk, here: Path, number: signal.Signals) -> None:
    """400 MiB of zeros take long enough to be met in the middle."""
    plain = io.BytesIO()
    archive = tarfile.open(fileobj=plain, mode="w")  # noqa: SIM115 - it has no end yet
    archive.add(make_tree(desk.top / "again" / "tiny-1"), "tiny-1")
    zeros = tarfile.TarInfo("tiny-1/zeros")
    zeros.size = 400 << 20
    plain.write(zeros.tobuf())
    with (desk.parent / "tiny_1.tar.gz").open("wb") as stream:
        stream.write(gzip.compress(plain.getvalue()))
        # Equal members of a gzip file are cheap to make.
        stream.write(gzip.compress(bytes(1 << 20)) * 400)
        stream.write(gzip.compress(bytes(10240)))
    (desk.parent / "tiny_1.tar.xz").unlink()
    resum(desk, "tiny_1.tar.gz")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    running = subprocess.Popen(desk.argv("-b", dsc_of(desk)), cwd=here, env=desk.environment, **pipes)
    wait_for(lambda: list(desk.scratch.glob("*/unpacked/*")))
    running.send_signal(number)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == (-9 if number is signal.SIGKILL else 130), output
    assert b"Traceback" not in output
    wait_for(lambda: not processes(str(desk.scratch)), 10)
    assert len(desk.left()) == (1 if number is signal.SIGKILL else 0)
    if number is signal.SIGKILL:
        make_tree(desk.parent / "other-1", name="other")
        done = desk.run("-b", cwd=desk.parent / "other-1")
        assert done.status == 0, done.both
        assert "left behind by a build that was killed" in done.both
    assert desk.left() == []


# Signatures


@pytest.fixture
def keyring() -> Iterator[Path]:
    """A home of gpg with one key."""
    need("gpg", "gpgv", "gpgconf")
    with gnupg_home() as home:
        make_signing_key(home, "Zoë Example <zoe@example.org>")
        yield home


def sign(dsc: Path, keyring: Path) -> None:
    signed = dsc.with_suffix(".signed")
    call("gpg", "--batch", "--output", signed, "--clearsign", dsc, cwd=dsc.parent, GNUPGHOME=str(keyring))
    signed.rename(dsc)


def test_signature_by_a_key_of_the_callers(desk: Desk, here: Path, keyring: Path) -> None:
    dsc = dsc_of(desk)
    sign(dsc, keyring)
    done = desk.ok("-b", "--no-sign", dsc, cwd=here, env={"GNUPGHOME": str(keyring)})
    assert re.search(
        r"tiny_1\.dsc was signed by Zoë Example <zoe@example\.org> \(key [0-9A-F]{40} of your keyring\)",
        done.err,
    )
    assert results(here) == DEBS


def test_signature_by_a_stranger(desk: Desk, here: Path, keyring: Path) -> None:
    sign(dsc_of(desk), keyring)
    done = desk.ok("-b", dsc_of(desk), cwd=here)
    if Path("/usr/share/keyrings/debian-keyring.gpg").exists():
        assert re.search(
            r"warning: tiny_1\.dsc was signed by [0-9A-F]{16}, whose key is not known\n", done.err
        )
    else:
        assert "warning: tiny_1.dsc has a signature that was not checked" in done.err
        assert "sudo apt install debian-keyring" in done.err


def test_signed_and_changed(desk: Desk, here: Path, keyring: Path) -> None:
    dsc = dsc_of(desk)
    sign(dsc, keyring)
    text = dsc.read_text("utf-8")
    desk = Desk(desk.top, {"GNUPGHOME": str(keyring)})
    dsc.write_text(text.replace("Section: misc", "Section: main").replace("optional", "important"), "utf-8")
    refused(desk, here, "the signature of", "does not hold", "BAD signature")
    dsc.write_text("X-Before: 1\n" + text, "utf-8")
    refused(desk, here, "not only signed text")
    dsc.write_text(text + "X-After: 1\n", "utf-8")
    refused(desk, here, "not only signed text")


@as_user
def test_no_gpg_at_all(desk: Desk, here: Path, keyring: Path) -> None:
    """Without gpgv nothing is known of a signature, which is said."""
    sign(dsc_of(desk), keyring)
    tools = desk.top / "tools"
    tools.mkdir()
    for place in ("/usr/bin", "/usr/sbin"):
        for path in Path(place).iterdir():
            if not path.name.startswith("gpgv") and not (tools / path.name).exists():
                (tools / path.name).symlink_to(path)
    done = desk.ok("-b", dsc_of(desk), cwd=here, env={"PATH": str(tools)})
    assert "has a signature that was not checked (sudo apt install gpgv)" in done.err
