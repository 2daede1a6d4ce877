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


@pytest.mark.parametrize("name", ["debian/gbp.conf", ".gbp.conf"])
@pytest.mark.parametrize(
    "text", ["[DEFAULT]\nbuilder = x\n", "[buildpackage]\r\n  Builder: x\r\n", "\udcff\nbuilder=x"]
)
def test_a_file_that_names_a_builder(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "debian").mkdir()
    (tmp_path / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UsageError, match=r"names a builder.*: --in-place$"):
        gbp.check(["--in-place"], str(tmp_path), (), strict=False)
    gbp.check(["-us"], str(tmp_path), (), strict=False)


@pytest.mark.parametrize("text", ["[DEFAULT]\n# builder = x\n", "[DEFAULT]\ncleaner = builder = x\n", ""])
def test_a_file_that_names_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ".gbp.conf").write_text(text)
    gbp.check(["--in-place"], str(tmp_path), (), strict=False)


def test_commands_are_no_builds(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r": clean$"):
        gbp.check(["clean", "--remove"], str(tmp_path), ("clean",), strict=True)
