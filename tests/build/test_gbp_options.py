"""The words with which git-buildpackage and debuild call a builder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import Desk, discard, make_desk

LINES = [
    "-i -I -us -uc -d",
    "-i -I",
    "-us -uc -ui -i -I",
    "-rfakeroot -us -uc",
    "-us -uc -nc",
    "-S -us -uc -d -i -I",
    "-A -us -uc",
    "-b -us -uc -j2",
    "-b -uc -us -tc",
    "-sa -us -uc",
    "-v0.9 -us -uc",
    "-F --no-sign --post-clean",
    "--build=source,all --no-sign",
    "-i\\.git -I.git -us -uc",
    "-us -uc --buildinfo-option=--admindir=/var/lib/dpkg",
    "-us -uc --source-option=--tar-ignore=x --changes-option=-sa",
    "-us -uc -Zgzip -z1",
    "-us -uc --check-command=true",
    "-us -uc --hook-done=true",
    "-us -uc -Pnocheck,nodoc",
    "-us -uc -eJoe<joe@example.org>",
    "-us -uc --jobs-force=2 --sanitize-env",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = make_desk(tmp_path_factory.mktemp("gbp"))
    yield desk
    discard(desk.scratch)


@pytest.mark.parametrize("line", LINES)
def test_usual_words(place: Desk, line: str) -> None:
    for path in place.parent.glob("tiny_1*"):
        path.unlink()
    done = place.ok(*line.split(), "--report", place.top / "report")
    assert "Traceback" not in done.both
    found = place.report(place.top / "report")
    made = [name for name in place.published() if name.endswith(".changes")]
    assert len(made) == 1
    assert found["changes"] == str(place.parent / made[0])
    assert ("tiny_1_all.deb" in place.published()) is ("-S" not in line.split() and "-B" not in line.split())


@pytest.mark.parametrize(
    ("line", "name"),
    [("-S -d", "tiny_1_source.changes"), ("-A", "tiny_1_all.changes"), ("-b", "tiny_1_amd64.changes")],
)
def test_names_that_gbp_guesses(place: Desk, line: str, name: str) -> None:
    for path in place.parent.glob("tiny_1*"):
        path.unlink()
    place.ok("-us", "-uc", *line.split())
    assert name in place.published()


def test_targets_of_rules(place: Desk) -> None:
    for path in place.parent.glob("tiny_1*"):
        path.unlink()
    done = place.ok("-T", "build", "--keep", "never")
    assert place.published() == []
    assert "nothing is published" in done.both
    assert "MADE out" in place.ok("-Tbuild", "--verbose", "--keep", "never").out
