"""git-buildpackage builds a real package on a base, from a repository made of the archive's source."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import based
import builds
import debs
import outcome
import pytest
import sbuild
from support import need
from test_on_bases import OTHER, ready

from bwbuild.config.settings import OPTIONS
from bwbuild.process import Argv, run

NAME = f"{OTHER}/hello"
#: How a build from git differs from one of the source package, and why: the manual has the date of its
#: source's last change, and git keeps no times of files.
EXPECTED = [
    "DEBIAN/md5sums: content differs, .*",
    "usr/share/info/hello.info.gz: content differs, .*",
]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with the archive's version, its upstream and the means to make its tarball again."""
    need("gbp", "pristine-tar")
    ready(OTHER)
    based.fetch(NAME, OTHER)
    dsc = builds.dsc(NAME)
    assert dsc is not None
    gbp(["import-dsc", "--pristine-tar", dsc, "hello"], tmp_path, tmp_path)
    return tmp_path / "hello"


def gbp(words: Argv, directory: Path, top: Path) -> None:
    """Run git-buildpackage in a directory below ``top``, where its log and its home are."""
    # The user's own configuration must not decide about the test.
    own: Mapping[str, str] = {
        "HOME": str(top / "home"),
        "DEBFULLNAME": "A Developer",
        "DEBEMAIL": "developer@example.org",
        "EMAIL": "developer@example.org",
    }
    log = top / "gbp.log"
    status = outcome.logged(["gbp", *words], directory, log, {**builds.environment(), **own})
    assert status == 0, log.read_text(encoding="utf-8")


def options(place: Path) -> list[str]:
    """What bwbuild is told, as it is in the words of a command line."""
    words = [*based.options(OTHER), "--no-sign", "--keep", "never", *builds.own(place)]
    return list(map(str, words))


def builder(words: list[str]) -> str:
    """The option that names bwbuild, with these options, as the builder."""
    return f"--git-builder={shlex.join([*builds.command(), *words])}"


def configured(words: list[str], home: Path) -> None:
    """Have pairs of options in the user's file: from an exported tree bwbuild takes few of a command line."""
    keys = {option.flag: option.key for option in OPTIONS.values()}
    pairs = zip(words[::2], words[1::2], strict=True)
    file = home / ".config/bwbuild/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"{keys[flag]} = {json.dumps(value)}\n" for flag, value in pairs))


def found(directory: Path) -> dict[str, debs.Deb]:
    """The .debs in a directory."""
    return {path.name: debs.read(path) for path in directory.glob("*.*deb")}


@pytest.mark.real
def test_an_exported_tree_gives_what_a_chroot_gives(repository: Path) -> None:
    area = repository.parent / "area"
    suite, rest = options(repository.parent)[:2], options(repository.parent)[2:]
    rest.remove("--no-sign")
    configured(rest, repository.parent / "home")
    words = ["--git-pristine-tar", f"--git-export-dir={area}", builder([*suite, "--no-sign"])]
    gbp(["buildpackage", *words], repository, repository.parent)
    dsc = builds.dsc(NAME)
    assert dsc is not None
    assert (area / dsc.name).exists(), "the source package is built too"
    for tarball in dsc.parent.glob("*.orig.tar.?z"):
        assert (area / tarball.name).read_bytes() == tarball.read_bytes()
    # The directory has the name that dpkg-source gives it, so that not even paths differ.
    made, chroot = found(area), sbuild.build(NAME, suite=OTHER).debs
    assert made.keys() == chroot.keys()
    lines = [line for name in chroot for line in debs.differences(chroot[name], made[name])]
    assert [line for line in lines if not any(re.fullmatch(known, line) for known in EXPECTED)] == []


@pytest.mark.real
def test_a_build_in_the_repository_leaves_it_clean(repository: Path) -> None:
    words = ["buildpackage", "--git-pristine-tar", builder(options(repository.parent)), "-b", "-j2"]
    gbp(words, repository, repository.parent)
    chroot = sbuild.build(NAME, suite=OTHER)
    assert found(repository.parent).keys() == chroot.debs.keys()
    assert run(["git", "status", "--porcelain", "--ignored"], cwd=repository).stdout == b""
