"""What the first word of a command line is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.build.start import DscFile, Named, Start, Tree, decide
from bwbuild.errors import SourceError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hello").mkdir()
    (tmp_path / "odd.dsc").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "x_1.dsc").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("word", "start"),
    [
        (".", Tree(Path())),
        ("hello", Tree(Path("hello"))),
        ("./hello", Tree(Path("hello"))),
        ("odd.dsc", Tree(Path("odd.dsc"))),
        ("x_1.dsc", DscFile(Path("x_1.dsc"))),
        ("missing.dsc", DscFile(Path("missing.dsc"))),
        ("/nowhere/x.dsc", DscFile(Path("/nowhere/x.dsc"))),
        ("bash", Named("bash")),
        ("g++-12", Named("g++-12")),
        ("hello=1:2.10-3~bpo1+b1", Named("hello", "1:2.10-3~bpo1+b1")),
    ],
)
def test_the_three(word: str, start: Start) -> None:
    assert decide(word) == start


@pytest.mark.parametrize(
    "word",
    [
        *("", "./missing", "/missing", "missing/", "file", "dangling", "Bash", "a", "bash=", "bash=x"),
        *("bash=1=2", "bash_1", "bash ", "bash\n", "-x", "=1", "../bash"),
    ],
)
def test_anything_else(word: str) -> None:
    with pytest.raises(SourceError) as caught:
        decide(word)
    for form in ("directory", ".dsc", "name of a source package"):
        assert form in caught.value.message
    assert "NAME=VERSION" in caught.value.hint


def test_as_apt_spells_it() -> None:
    assert (str(Named("bash")), str(Named("bash", "1"))) == ("bash", "bash=1")
