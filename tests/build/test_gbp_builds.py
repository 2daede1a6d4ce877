"""The real git-buildpackage builds repositories that ``gbp import-dsc`` made, with bwbuild as its builder."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import COMMAND, PATIENCE, ROOT, Done, gnupg_home, make_signing_key, make_tree, need

#: What a hook writes down: the file that git-buildpackage told it, and whether it is there.
NOTE = 'sh -c \'printf "%s %s" "$GBP_CHANGES_FILE" "$(test -f "$GBP_CHANGES_FILE" && echo there)" > ../note\''
SHELL_BWBUILD = shlex.join(COMMAND)
HOOK = str(ROOT / "hooks" / "gbp-bwbuild")


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository with a directory of its own around it."""

    path: Path
    home: Path
    environment: Mapping[str, str]

    @property
    def parent(self) -> Path:
        """Where results are published."""
        return self.path.parent

    def run(self, *words: str | Path, **more: str) -> Done:
        """Run a command in the repository."""
        done = subprocess.run(
            list(map(str, words)),
            cwd=self.path,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def git(self, *words: str) -> str:
        """What a git command writes."""
        done = self.run("git", *words)
        assert done.status == 0, done.both
        return done.out

    def commit(self, text: str = "a change") -> None:
        """Commit all that is there."""
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "-m", text)

    def gbp(self, *words: str | Path, builder: str = SHELL_BWBUILD, **more: str) -> Done:
        """``gbp buildpackage`` with bwbuild; an empty ``builder`` leaves it to the configuration."""
        named = (f"--git-builder={builder}",) if builder else ()
        return self.run("gbp", "buildpackage", *named, *words, **more)

    def ok(self, *words: str | Path, **more: str) -> Done:
        """The same, and it succeeds and leaves the repository clean."""
        done = self.gbp(*words, **more)
        assert done.status == 0, done.both
        assert self.git("status", "--porcelain", "--ignored") == ""
        return done

    def made(self, place: Path | None = None) -> set[str]:
        """Names of the results."""
        suffixes = {".deb", ".dsc", ".changes", ".buildinfo"}
        return {path.name for path in (place or self.parent).iterdir() if path.suffix in suffixes}


def environment(top: Path, cache: Path) -> dict[str, str]:
    """The caller's, with a home of the test's own."""
    home = top / "home"
    home.mkdir(mode=0o700)
    (home / ".gitconfig").write_text("[user]\nname = A Developer\nemail = developer@example.org\n")
    # Not variables: these don't count where a repository may have set them.
    (home / ".config/bwbuild").mkdir(parents=True)
    places = f'scratch = "{top / "scratch"}"\ncache = "{cache}"\n'
    (home / ".config/bwbuild/config.toml").write_text(places)
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DEBFULLNAME": "A Developer",
        "DEBEMAIL": "developer@example.org",
    }


def imported(top: Path, dsc: Path, cache: Path, *options: str) -> Repository:
    """A repository of a source package."""
    found = Repository(top / "repo" / "tiny", top / "home", environment(top, cache))
    found.parent.mkdir()
    words = ["gbp", "import-dsc", *options, str(dsc), "tiny"]
    subprocess.run(words, cwd=found.parent, env=found.environment, check=True, capture_output=True)
    return found


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The .dsc of a native package, and of one with an upstream tarball and a patch."""
    need("gbp", "pristine-tar", "git", "bwrap", "dpkg-source")
    top = tmp_path_factory.mktemp("sources")
    make_tree(top / "tiny-1")
    quilt = make_tree(top / "quilt" / "tiny-1.0", version="1.0-1")
    (quilt / "debian/source/format").write_text("3.0 (quilt)\n")
    tar = ["tar", "--exclude=debian", "--sort=name", "-cJf", "tiny_1.0.orig.tar.xz", "tiny-1.0"]
    subprocess.run(tar, cwd=quilt.parent, check=True)
    (quilt / "debian/patches").mkdir()
    (quilt / "debian/patches/series").write_text("greeting\n")
    patch = "--- a/input\n+++ b/input\n@@ -1 +1 @@\n-hello\n+patched\n"
    (quilt / "debian/patches/greeting").write_text(patch)
    for tree in (top / "tiny-1", quilt):
        build = ["dpkg-source", "-b", tree.name]
        subprocess.run(build, cwd=tree.parent, check=True, capture_output=True)
    return {"native": top / "tiny_1.dsc", "quilt": top / "quilt" / "tiny_1.0-1.dsc"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views, for all tests of the module."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def native(sources: dict[str, Path], tmp_path: Path, cache: Path) -> Repository:
    """A repository of a native package."""
    return imported(tmp_path, sources["native"], cache)


@pytest.fixture
def quilt(sources: dict[str, Path], tmp_path: Path, cache: Path) -> Repository:
    """A repository with an upstream branch and the means to make its tarball again."""
    return imported(tmp_path, sources["quilt"], cache, "--pristine-tar")


FULL = {"tiny_1.dsc", "tiny_1_all.deb", "tiny_1_amd64.buildinfo", "tiny_1_amd64.changes"}


def test_native(native: Repository) -> None:
    native.ok("--no-sign", f"--git-postbuild={NOTE}")
    assert native.made() == FULL
    assert (native.parent / "note").read_text() == f"{native.parent}/tiny_1_amd64.changes there"


def test_builder_of_the_users_configuration(native: Repository) -> None:
    (native.home / ".gbp.conf").write_text(f"[buildpackage]\nbuilder = {SHELL_BWBUILD}\n")
    native.ok("--no-sign", "-b", builder="")
    assert native.made() == FULL - {"tiny_1.dsc"}


def test_quilt_with_the_very_tarball(quilt: Repository, sources: dict[str, Path]) -> None:
    quilt.ok("--git-pristine-tar", "--no-sign")
    name = "tiny_1.0.orig.tar.xz"
    assert (quilt.parent / name).read_bytes() == (sources["quilt"].parent / name).read_bytes()
    deb = quilt.parent / "tiny_1.0-1_all.deb"
    shown = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
    assert b"patched" in shown


def test_exported_tree(quilt: Repository) -> None:
    area = quilt.parent / "area"
    quilt.ok("--git-pristine-tar", f"--git-export-dir={area}", "--no-sign", f"--git-postbuild={NOTE}")
    assert {name.split("_", 1)[1] for name in quilt.made(area)} == {
        *("1.0-1.dsc", "1.0-1_all.deb", "1.0-1_amd64.buildinfo", "1.0-1_amd64.changes"),
    }
    assert quilt.made() == set()
    assert (quilt.parent / "note").read_text().endswith("/area/tiny_1.0-1_amd64.changes there")


@pytest.mark.parametrize(("word", "kind"), [("-S", "source"), ("-A", "all")])
def test_the_changes_that_gbp_guesses(native: Repository, word: str, kind: str) -> None:
    native.ok(word, "--no-sign", f"--git-postbuild={NOTE}")
    assert (native.parent / "note").read_text() == f"{native.parent}/tiny_1_{kind}.changes there"


@pytest.mark.parametrize(("word", "kind"), [("-S", "source"), ("-A", "all")])
def test_the_changes_that_gbp_guesses_of_a_quilt_package(quilt: Repository, word: str, kind: str) -> None:
    quilt.ok(word, "--git-pristine-tar", "--no-sign", f"--git-postbuild={NOTE}")
    assert (quilt.parent / "note").read_text() == f"{quilt.parent}/tiny_1.0-1_{kind}.changes there"
    made = {"source": {"tiny_1.0-1.dsc"}, "all": {"tiny_1.0-1_all.deb"}}[kind]
    assert quilt.made() == {*made, f"tiny_1.0-1_{kind}.changes", f"tiny_1.0-1_{kind}.buildinfo"}


def test_tag_after_a_good_build_only(native: Repository) -> None:
    native.ok("--no-sign", "--git-tag", "--git-debian-tag=release/%(version)s")
    assert "release/1\n" in native.git("tag")
    rules = native.path / "debian/rules"
    rules.write_text("#!/usr/bin/make -f\n%:\n\tfalse\n")
    native.commit()
    done = native.gbp(
        "--no-sign", "--keep", "never", "--git-retag", "--git-tag", "--git-debian-tag=bad/%(version)s"
    )
    assert done.status == 1
    assert "bad/1" not in native.git("tag")


@pytest.fixture(params=["native", "quilt"])
def released(request: pytest.FixtureRequest) -> tuple[Repository, tuple[str, ...], str]:
    """A repository of either kind, the words for a build of it, and the name of its results."""
    found: Repository = request.getfixturevalue(request.param)
    if request.param == "native":
        return found, (), "tiny_1_amd64"
    return found, ("-S", "--git-pristine-tar"), "tiny_1.0-1_source"


@pytest.fixture
def key(released: tuple[Repository, object, object]) -> Iterator[str]:
    """A home directory of the developer with a signing key, and the key's fingerprint."""
    need("gpg", "debsign", "dscverify")
    with gnupg_home("HOME") as short:
        shutil.copytree(released[0].home, short, dirs_exist_ok=True)
        yield f"{short} {make_signing_key(short, 'A Developer <developer@example.org>', 'HOME')}"


def test_signed_build(released: tuple[Repository, tuple[str, ...], str], key: str) -> None:
    repository, words, name = released
    home, fingerprint = key.split()
    done = repository.ok(*words, f"-k{fingerprint}", HOME=home)
    assert fingerprint in done.both
    ring = f"{home}/ring.gpg"
    assert repository.run("gpg", "--output", ring, "--export", fingerprint, HOME=home).status == 0
    checked = repository.run("dscverify", "--keyring", ring, f"../{name}.changes", HOME=home)
    assert checked.status == 0, checked.both
    assert "All files validated successfully" in checked.both


def test_unreleased_is_not_signed(released: tuple[Repository, tuple[str, ...], str], key: str) -> None:
    repository, words, name = released
    home, fingerprint = key.split()
    changelog = repository.path / "debian/changelog"
    changelog.write_text(changelog.read_text().replace("unstable", "UNRELEASED"))
    repository.commit()
    repository.ok(*words, HOME=home, DEB_SIGN_KEYID=fingerprint)
    assert "BEGIN PGP" not in (repository.parent / f"{name}.changes").read_text()


# A repository's own gbp.conf


@pytest.mark.parametrize(
    ("name", "line"),
    [("debian/gbp.conf", "--in-place"), (".gbp.conf", "$(echo --view) host"), ("debian/gbp.conf", "clean")],
)
def test_a_repository_can_not_loosen_the_sandbox(native: Repository, name: str, line: str) -> None:
    (native.path / name).write_text(f"[buildpackage]\nbuilder = {SHELL_BWBUILD} {line}\n")
    native.commit()
    done = native.gbp("-b", "--no-sign", builder="")
    assert done.status == 1
    assert f"{name} of the repository names a builder" in done.both
    assert native.made() == set()


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("\fbuilder = {} --no-seccomp --view host", "--no-seccomp --view"),
        ("builder = BWBUILD_SECCOMP=false BWBUILD_VIEW=host {}", "BWBUILD_SECCOMP BWBUILD_VIEW"),
        ("builder = BWBUILD_SECCOMP=false {hook}", "BWBUILD_SECCOMP"),
    ],
)
def test_nor_in_ways_that_only_gbp_reads(native: Repository, line: str, refused: str) -> None:
    text = line.format(SHELL_BWBUILD, hook=HOOK)
    (native.path / "debian/gbp.conf").write_text(f"[buildpackage]\n{text}\n")
    native.commit()
    done = native.gbp("-b", "--no-sign", builder="")
    assert done.status == 1
    assert (
        f"debian/gbp.conf of the repository names a builder, so this may be its wish: {refused}" in done.both
    )
    assert native.made() == set()


@pytest.mark.parametrize("builder", ["{} --no-seccomp --view host", "BWBUILD_SECCOMP=false {}"])
def test_nor_where_the_exported_tree_lacks_the_file(native: Repository, builder: str) -> None:
    (native.path / ".gitattributes").write_text("debian/gbp.conf export-ignore\n")
    text = f"[buildpackage]\nexport-dir = ../area\nbuilder = {builder.format(SHELL_BWBUILD)}\n"
    (native.path / "debian/gbp.conf").write_text(text)
    native.commit()
    done = native.gbp("-b", "--no-sign", builder="")
    assert done.status == 1
    assert not (native.parent / "area/tiny-1/debian/gbp.conf").exists()
    assert "the repository's gbp.conf can't be seen from an exported tree" in done.both
    assert native.made(native.parent / "area") == set()


def test_nor_from_the_git_directory(native: Repository) -> None:
    (native.path / ".git/gbp.conf").write_text(f"[DEFAULT]\nbuilder = {SHELL_BWBUILD} --no-seccomp\n")
    done = native.gbp("-b", "--no-sign", builder="")
    assert done.status == 1
    assert ".git/gbp.conf of the repository names a builder" in done.both
    assert native.made() == set()


def documented() -> str:
    """The command of the manual page for a repository that is not trusted."""
    page = (ROOT / "docs/manual/gbp-bwbuild.1.in").read_text()
    (text,) = re.findall(r"(?s)^\.EX\n(.*?)^\.EE", page, re.MULTILINE)
    return text.replace(r"\(ti", "~").replace(r"\-", "-").replace(r"\e", "\\")


def test_the_documented_command_holds(native: Repository) -> None:
    lines = ["[buildpackage]", "pbuilder = True", "prebuild = touch ../hooked", "postbuild = touch ../hooked"]
    (native.path / "debian/gbp.conf").write_text("\n".join([*lines, "builder = touch ../built; true", ""]))
    native.commit()
    programs = native.parent / "programs"
    programs.mkdir()
    for name, text in {
        "git-pbuilder": "touch ../pbuilder",
        "gbp-bwbuild": f'exec /usr/bin/python3 {HOOK} "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    path = f"{programs}:{native.environment['PATH']}"
    # A builder on the command line is not enough: git-buildpackage itself puts another in its place.
    done = native.gbp("-b", "--no-sign", "--git-no-hooks", builder="gbp-bwbuild", PATH=path)
    assert done.status == 0, done.both
    assert (native.parent / "pbuilder").exists()
    assert native.made() == set()
    (native.parent / "pbuilder").unlink()
    done = native.run("sh", "-c", f"{documented().strip()} -b --no-sign", PATH=path)
    assert done.status == 0, done.both
    assert native.made() == FULL - {"tiny_1.dsc"}
    assert not any((native.parent / name).exists() for name in ("pbuilder", "hooked", "built"))


def test_a_repository_may_say_what_is_built(native: Repository) -> None:
    line = "-b --no-sign -Pnocheck --no-lintian --verbose"
    (native.path / "debian/gbp.conf").write_text(f"[DEFAULT]\nbuilder = {SHELL_BWBUILD} {line}\n")
    native.commit()
    native.ok(builder="")
    assert native.made() == FULL - {"tiny_1.dsc"}


def test_what_the_caller_types_counts_where_the_repository_names_no_builder(native: Repository) -> None:
    (native.path / "debian/gbp.conf").write_text("[DEFAULT]\npristine-tar = False\n")
    native.commit()
    native.ok("-b", "--no-sign", "--view", "host")


def test_the_callers_variables_count_where_the_repository_names_no_builder(native: Repository) -> None:
    native.ok("-b", "--no-sign", BWBUILD_VIEW="host", BWBUILD_REPORT="../report")
    assert (native.parent / "report").exists()


def test_the_callers_own_file_counts_in_any_case(native: Repository) -> None:
    with (native.home / ".config/bwbuild/config.toml").open("a") as file:
        file.write(f'view = "host"\nreport = "{native.parent / "report"}"\n')
    (native.path / "debian/gbp.conf").write_text(f"[DEFAULT]\nbuilder = {SHELL_BWBUILD}\n")
    native.commit()
    native.ok("-b", "--no-sign", builder="")
    assert (native.parent / "report").exists()


def test_the_hook_refuses_it_from_everybody(native: Repository) -> None:
    done = native.gbp("-b", "--no-sign", "--in-place", builder=HOOK)
    assert done.status == 1
    assert "gbp-bwbuild does not take this from a command line: --in-place" in done.both
    assert native.made() == set()


def test_the_hook_builds(native: Repository) -> None:
    native.ok("-b", "--no-sign", "-j1", builder=HOOK)
    assert native.made() == FULL - {"tiny_1.dsc"}
