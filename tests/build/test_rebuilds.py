"""sbuild's options for other versions, paths and .changes: real builds of small trees, judged by dpkg."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import PATIENCE, Desk, as_user, discard, give_up, need, snapshot

from bwbuild.build.workspaces import TMPFS_UPPER
from bwbuild.host import facts

TESTPKGS = Path(__file__).resolve().parents[2] / "testpkgs"
JOE = "Joe Doe <joe@example.org>"
WHO = f"-m{JOE}"
#: Shell lines after which a tree, $1, is laid over in this way in the scratch directory $2.
PLACES = {
    "memory": "mkdir $2 $2.upper $2.work;"
    " mount -t overlay -o userxattr,lowerdir=$2,upperdir=$2.upper,workdir=$2.work none $2",
    "copy": "mkdir $1/mounted; mount -t tmpfs none $1/mounted",
}


@pytest.fixture
def native(desk: Desk) -> Desk:
    """A desk with a tree of testpkgs/ that makes one package of this architecture."""
    shutil.rmtree(desk.tree)
    shutil.copytree(TESTPKGS / "no-debhelper" / "tree", desk.tree)
    return desk


@pytest.fixture
def several(desk: Desk) -> Desk:
    """A desk with a tree that makes packages of all kinds, and has an upstream tarball and an epoch."""
    need("dh")
    shutil.rmtree(desk.tree)
    shutil.copytree(TESTPKGS / "several-binaries" / "tree", desk.tree)
    (desk.tree / "debian" / "source" / "format").write_text("3.0 (quilt)\n")
    changelog = desk.tree / "debian" / "changelog"
    changelog.write_text(changelog.read_text().replace("(1)", "(2:1.0-1)"))
    tar = ["tar", "-C", desk.tree, "--exclude=./debian", "--transform=s,^\\.,several-1.0,", "-czf"]
    subprocess.run([*tar, desk.parent / "several-binaries_1.0.orig.tar.gz", "."], check=True)
    return desk


def fields(path: Path, *names: str) -> list[str]:
    """Fields of a .changes or .buildinfo."""
    lines = path.read_text().split("\n")
    return [line.partition(": ")[2] for name in names for line in lines if line.startswith(f"{name}: ")]


def of_deb(path: Path, *names: str) -> list[str]:
    """Fields of a package's control file."""
    return [
        subprocess.run(
            ["dpkg-deb", "-f", path, name], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in names
    ]


def architecture() -> str:
    words = ["dpkg", "--print-architecture"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def contents_of(deb: Path, name: str) -> bytes:
    """A file of a package, unpacked."""
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
    packed = subprocess.run(["tar", "-xO", f"./{name}"], input=tar, check=True, capture_output=True).stdout
    return subprocess.run(["gzip", "-dc"], input=packed, check=True, capture_output=True).stdout


# Versions


@pytest.mark.parametrize("options", [(), ("--identity", "single"), ("--build-as", "root")], ids=str)
def test_binnmu(native: Desk, options: tuple[str, ...]) -> None:
    before = snapshot(native.tree)
    report = native.top / "report"
    words = ("--make-binNMU=New libfoo.", "--binNMU=3", "--binNMU-timestamp=1700000000", WHO)
    done = native.ok(*words, *options, "--report", report)
    assert snapshot(native.tree) == before
    stem = f"no-debhelper_1+b3_{architecture()}"
    assert native.published() == [f"{stem}.buildinfo", f"{stem}.changes", f"{stem}.deb"]
    changes, deb = native.parent / f"{stem}.changes", native.parent / f"{stem}.deb"
    for document in (changes, changes.with_suffix(".buildinfo")):
        assert fields(document, "Source", "Version") == ["no-debhelper (1)", "1+b3"]
    assert fields(changes, "Binary-Only", "Architecture", "Changed-By") == ["yes", architecture(), JOE]
    assert of_deb(deb, "Source", "Version") == ["no-debhelper (1)", "1+b3"]
    changelog = contents_of(deb, "usr/share/doc/no-debhelper/changelog.gz").decode()
    old = (native.tree / "debian" / "changelog").read_text()
    assert changelog.endswith(f"\n  * New libfoo.\n\n -- {JOE}  Tue, 14 Nov 2023 22:13:20 +0000\n\n{old}")
    found = native.report(report)
    assert (found["source_version"], found["built_version"]) == ("1", "1+b3")
    assert "no-debhelper 1+b3 (" in done.both
    (log,) = (path for path in native.parent.glob(f"{stem}.build") if path.is_symlink())
    lines = log.read_text().splitlines()
    for line in ("Version: 1+b3", "Source Version: 1", "Source-Version: 1"):
        assert line in lines
    assert "Version: 1" not in lines


@as_user
@pytest.mark.parametrize("layering", PLACES)
def test_other_layers(native: Desk, layering: str) -> None:
    """What overlays can't be had for; a build with -nc goes on in what is kept, with another version."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        give_up("users may not make namespaces")
    scratch = native.top / "odd"
    bwbuild = " ".join(native.argv("--identity", "single", "--scratch", str(scratch), "--keep", "always"))
    changelog = native.tree / "debian" / "changelog"
    before = changelog.read_bytes()
    script = f"""{PLACES[layering]}
        exec unshare --user --map-user={os.getuid()} --map-group={os.getgid()} sh -euxc '
            {bwbuild} --append-to-version=~x "$3"
            {bwbuild} -nc --append-to-version=~y "$3"
            {bwbuild} -nc -B
            {bwbuild} -S
        ' sh "$@"
    """
    done = subprocess.run(
        [*unshare, "sh", "-euc", script, "sh", native.tree, scratch, WHO],
        cwd=native.tree,
        env=native.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    discard(native.top / "odd.work")  # has a directory that nobody may read
    assert done.returncode == 0, done.stdout + done.stderr
    assert changelog.read_bytes() == before
    debs = [native.parent / f"no-debhelper_1{end}_{architecture()}.deb" for end in ("", "~x", "~y")]
    assert [of_deb(deb, "Version", "Source") for deb in debs] == [
        ["1", ""],
        ["1~x", "no-debhelper (1)"],
        ["1~y", "no-debhelper (1)"],
    ]
    log = next(path for path in native.parent.glob("*~y_*.build") if path.is_symlink()).read_text()
    if layering == "copy" or facts.read_host().kernel >= TMPFS_UPPER:
        assert f"Workspace: private ({layering})" in log
        assert "going on in the kept workspace" in log


def test_no_clean_with_other_versions(native: Desk) -> None:
    native.ok("--make-binNMU=One.", WHO, "--keep", "always")
    assert "no-debhelper (1+b1)" in native.ok("run", "-nc", "--", "cat", "debian/changelog").out
    native.ok("-nc", "--make-binNMU=Two.", "--binNMU=2", WHO)
    native.ok("-nc")
    assert native.ok("run", "-nc", "--", "cat", "debian/changelog").out.startswith("no-debhelper (1) ")
    for end, found in (("+b1", "no-debhelper (1)"), ("+b2", "no-debhelper (1)"), ("", "")):
        assert of_deb(native.parent / f"no-debhelper_1{end}_{architecture()}.deb", "Source") == [found]


def test_no_other_packages_than_those_of_the_architecture(several: Desk) -> None:
    before = snapshot(several.tree)
    several.ok("--append-to-version=~bpo12+1", WHO)
    assert snapshot(several.tree) == before
    stem = f"1.0-1~bpo12+1_{architecture()}"
    names = ["several-binaries", "several-binaries-dbgsym", "several-binaries-udeb"]
    made = [name for name in several.published() if name.endswith("deb")]
    assert made == sorted(f"{name}_{stem}.{'udeb' if 'udeb' in name else 'deb'}" for name in names)
    for name in made:
        assert of_deb(several.parent / name, "Version") == ["2:1.0-1~bpo12+1"]
        source = of_deb(several.parent / name, "Source")
        assert source == ["several-binaries (2:1.0-1)"]
    changes = several.parent / f"several-binaries_{stem}.changes"
    assert fields(changes, "Source", "Version") == ["several-binaries (2:1.0-1)", "2:1.0-1~bpo12+1"]
    assert not list(several.parent.glob("*.dsc"))


def test_a_whole_entry(native: Desk) -> None:
    entry = f"""

no-debhelper (1+rpi1) stable; urgency=high, binary-only=yes

  * For another archive.

 -- {JOE}  Tue, 02 Jan 2024 03:04:05 +0100

"""
    native.ok("--binNMU-changelog", entry)
    changes = native.parent / f"no-debhelper_1+rpi1_{architecture()}.changes"
    assert fields(changes, "Distribution", "Urgency", "Date") == [
        "stable",
        "high",
        "Tue, 02 Jan 2024 03:04:05 +0100",
    ]


def test_a_dsc_under_another_version(native: Desk) -> None:
    native.ok("-S", "-d")
    place = native.top / "elsewhere"
    place.mkdir()
    native.ok("--make-binNMU=x", WHO, native.parent / "no-debhelper_1.dsc", cwd=place)
    (deb,) = place.glob("*.deb")
    assert of_deb(deb, "Source", "Version") == ["no-debhelper (1)", "1+b1"]


def test_other_commands_see_the_version(native: Desk) -> None:
    words = ("--append-to-version=+x", WHO, "--", "dpkg-parsechangelog", "-SVersion")
    assert native.ok("run", *words).out == "1+x\n"


def test_a_hostile_place_for_the_changelog(native: Desk) -> None:
    """A link that a build left does not lead the next one's changelog to the real tree, or anywhere."""
    target = native.top / "target"
    target.write_text("mine\n")
    native.ok("run", "--keep", "always", "--", "ln", "-sf", target, "debian/changelog")
    native.ok("run", "-nc", "--make-binNMU=x", WHO, "--", "test", "!", "-L", "debian/changelog")
    assert target.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("--make-binNMU=x", WHO, "-S"), 2, "can't make a source package"),
        (("--make-binNMU=x", WHO, "-b"), 2, "can't make architecture-independent packages"),
        (("--make-binNMU=x",), 2, "set DEBFULLNAME and DEBEMAIL"),
        (("--append-to-version=_", WHO), 2, "is no version"),
        (("--append-to-version=~x", WHO, "--in-place"), 3, "your own debian/changelog"),
        (("--binNMU=1",), 2, "alone change nothing"),
        (("--build-path=/usr/src/x",), 3, "something of its own"),
        (("--build-path=x",), 2, "an absolute path"),
        (("--source-only-changes", "-b"), 2, "makes the source package"),
    ],
)
def test_what_can_not_be(desk: Desk, words: tuple[str, ...], status: int, says: str) -> None:
    before = snapshot(desk.parent)
    done = desk.run(*words)
    assert done.status == status
    assert says in done.err
    assert "hint: " in done.err
    assert snapshot(desk.parent) == before


# Paths


@pytest.mark.parametrize("path", ["/build/one/two", "/srv/x", "/mnt"])
def test_build_path(native: Desk, path: str) -> None:
    assert native.inside("pwd; touch ../beside", "--build-path", path) == f"{path}/no-debhelper-1\n"
    native.ok("-B", f"--build-path={path}/")
    (buildinfo,) = native.parent.glob("*.buildinfo")
    assert fields(buildinfo, "Build-Path") == [f"{path}/no-debhelper-1"]


# A .changes of the source alone


def test_source_only_changes(several: Desk) -> None:
    report = several.top / "report"
    done = several.ok("--source-only-changes", "-v1", "-sa", "--report", report)
    name = "several-binaries_1.0-1"
    own, of_source = (several.parent / f"{name}_{what}.changes" for what in (architecture(), "source"))
    assert fields(of_source, "Architecture", "Version") == ["source", "2:1.0-1"]
    listed = {line.split()[-1] for line in of_source.read_text().split("\nFiles:")[1].splitlines() if line}
    parts = {f"{name}.dsc", f"{name}.debian.tar.xz", "several-binaries_1.0.orig.tar.gz"}
    assert listed == {*parts, f"{name}_{architecture()}.buildinfo"}
    found = several.report(report)
    assert (found["changes"], found["source_changes"]) == (str(own), str(of_source))
    assert [artifact["name"] for artifact in found["artifacts"]][-2:] == [of_source.name, own.name]
    assert of_source.name in done.both
    subprocess.run(["dpkg-source", "-x", f"{name}.dsc", several.top / "x"], cwd=several.parent, check=True)


def test_nothing_is_published_without_it(native: Desk) -> None:
    hook = "--hook-done=mkdir ../no-debhelper_1_source.changes"
    assert native.run("--source-only-changes", hook, "--keep", "never").status == 10
    assert native.published() == []


def test_source_only_changes_in_place(native: Desk) -> None:
    native.ok("--source-only-changes", "--in-place")
    assert "no-debhelper_1_source.changes" in native.published()
