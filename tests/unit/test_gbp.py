"""What a repository may ask of a build that git-buildpackage starts."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from bwbuild.cli import gbp
from bwbuild.cli.build import build
from bwbuild.cli.command import MixedCommand
from bwbuild.deb import buildoptions
from bwbuild.errors import UsageError

LOOSE = {
    "--in-place": ["--in-place"],
    "--view host": ["--view"],
    "--view=host -b": ["--view"],
    "--no-seccomp -us": ["--no-seccomp"],
    "--allow userns": ["--allow"],
    "--build-as root": ["--build-as"],
    "--config ./bwbuild.toml": ["--config"],
    "--log ../../stolen --report=x": ["--log", "--report"],
    "--output ../..": ["--output"],
    "--cache . --scratch .": ["--cache", "--scratch"],
    "--base-mirror http://repo.example.org": ["--base-mirror"],
    "--extra-repository http://repo.example.org": ["--extra-repository"],
    "--extra-package ./made.deb": ["--extra-package"],
    "--sign-command=./evil": ["--sign-command=./evil"],
    "-p./evil": ["-p./evil"],
    "--sign=KEY": ["--sign"],
    "--force-sign": ["--force-sign"],
    "-kKEY": ["-kKEY"],
    "--dist trixie --in-place": ["--in-place"],
    "--host arm64 ../other": ["../other"],
    "-- --in-place": ["--in-place"],
    "--limit-memory never": ["--limit-memory"],
}
FINE = (
    "-us -uc -b -j4 -i -I --hook-done=true --check-command=true -rfakeroot -T build",
    "-d trixie --lintian --fail-on lintian=error --no-sign --quiet",
    "--arch-all --no-source --profiles nocheck --add-depends foo --make-binNMU why --binNMU 2",
)


@pytest.mark.parametrize(("line", "found"), LOOSE.items(), ids=list(LOOSE))
def test_what_is_harmful(line: str, found: list[str]) -> None:
    assert list(gbp.harmful(line.split())) == found


@pytest.mark.parametrize("line", FINE)
def test_what_is_harmless(line: str) -> None:
    assert list(gbp.harmful(line.split())) == []


def test_harmless_words_exist() -> None:
    assert isinstance(build, MixedCommand)
    assert build.own_options(click.Context(build)).keys() >= gbp.HARMLESS
    assert set(buildoptions.SPELLINGS) >= gbp.HARMLESS_WISHES


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The working tree of a repository."""
    for name in ("debian", ".git"):
        (tmp_path / name).mkdir()
    return tmp_path


def check(tree: Path, *arguments: str, strict: bool = False, **variables: str) -> None:
    gbp.check(arguments, {"GBP_BUILD_DIR": str(tree), **variables}, ("clean",), strict=strict)


@pytest.mark.parametrize("name", ["debian/gbp.conf", ".gbp.conf", ".git/gbp.conf"])
@pytest.mark.parametrize(
    "text",
    [
        "[DEFAULT]\nbuilder = x\n",
        "[buildpackage]\r\n  Builder: x\r\n",
        "[gbp-buildpackage]\na = b\nbuilder=x",
        *(f"[buildpackage]\n{space}builder{space}= x\n" for space in "\f\v\x1c\xa0\u2003\u3000"),
    ],
)
def test_a_file_that_names_a_builder(tree: Path, name: str, text: str) -> None:
    (tree / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=rf"{name} of the repository names a builder.*: --in-place$"):
        check(tree, "--in-place")
    check(tree, "-us")


@pytest.mark.parametrize("content", [b"builder = x\n", b"[a]\nb\n", b"[a]\nb=1\nb=2\n", b"[a]\nb = \xff\n"])
def test_a_file_that_gbp_can_not_read(tree: Path, content: bytes) -> None:
    (tree / ".gbp.conf").write_bytes(content)
    with pytest.raises(UsageError, match=r"^\.gbp\.conf of the repository can't be read.*: --in-place$"):
        check(tree, "--in-place")


@pytest.mark.parametrize(
    "text",
    ["[DEFAULT]\n# builder = x\n", "[DEFAULT]\ncleaner = builder = x\n", "[a]\nb = c\n  builder = x\n", ""],
)
def test_a_file_that_names_none(tree: Path, text: str) -> None:
    (tree / ".gbp.conf").write_text(text)
    check(tree, "--in-place", BWBUILD_SECCOMP="false")


def test_an_exported_tree_may_be_of_any_repository(tree: Path) -> None:
    (tree / ".git").rmdir()
    for given, variables in (("--in-place", {}), ("-b", {"BWBUILD_SECCOMP": "false"})):
        with pytest.raises(UsageError, match="exported tree"):
            check(tree, given, **variables)
    check(tree, "-b", "--dist", "trixie")


def test_a_worktree_has_its_gbp_conf_elsewhere(tree: Path) -> None:
    place = tree / "main.git/worktrees/one"
    place.mkdir(parents=True)
    (tree / ".git").rmdir()
    (tree / ".git").write_text(f"gitdir: {place.relative_to(tree)}\n")
    check(tree, "--in-place")
    (place / "gbp.conf").write_text("[DEFAULT]\nbuilder = x\n")
    with pytest.raises(UsageError, match=r"\.git/gbp\.conf of the repository names a builder"):
        check(tree, "--in-place")
    (tree / ".git").write_text("gitdir: nowhere\n")
    with pytest.raises(UsageError, match="exported tree"):
        check(tree, "--in-place")


@pytest.mark.parametrize("strict", [False, True])
def test_variables_of_a_line_that_a_shell_reads(tree: Path, *, strict: bool) -> None:
    (tree / ".gbp.conf").write_text("[DEFAULT]\nbuilder = x\n")
    with pytest.raises(UsageError, match=r"names a builder.*: BWBUILD_CONFIG BWBUILD_SECCOMP$"):
        check(tree, "-b", strict=strict, BWBUILD_SECCOMP="0", BWBUILD_CONFIG="x", BWBUILD_DIST="trixie")
    (tree / ".gbp.conf").unlink()
    check(tree, "-b", strict=strict, BWBUILD_SECCOMP="0")


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"BWBUILD_SECCOMP": "1", "BWBUILD_FETCH": "no", "BWBUILD_LINTIAN": "yes", "HOME": "/"}, []),
        (
            {"BWBUILD_SIGN_MODE": "never", "BWBUILD_VERBOSITY": "quiet", "BWBUILD_FAIL_ON": "lintian=error"},
            [],
        ),
        ({"BWBUILD_SIGN_MODE": "always", "BWBUILD_WORKSPACE": "in-place"}, None),
        ({"BWBUILD_FETCH": "yes", "BWBUILD_FOREIGN_ABI": "true", "BWBUILD_SECCOMP": "perhaps"}, None),
        ({"BWBUILD_CACHE": ".", "BWBUILD_NO_SUCH": ""}, None),
    ],
)
def test_variables_count_as_options(variables: dict[str, str], found: list[str] | None) -> None:
    assert list(gbp.harmful_variables(variables)) == (sorted(variables) if found is None else found)


def test_commands_are_no_builds(tree: Path) -> None:
    with pytest.raises(UsageError, match=r": clean$"):
        check(tree, "clean", "--remove", strict=True)
