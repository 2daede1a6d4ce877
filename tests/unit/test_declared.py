"""Laying out a view: what goes into the masks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bwbuild.root import declared
from bwbuild.root.alternatives import Chosen
from bwbuild.root.mask import Mask, takes_whiteouts
from bwbuild.root.strangers import Shared, Strangers
from bwbuild.root.visible import Visible


@pytest.fixture
def top(tmp_path: Path) -> Path:
    made = tmp_path / "host"
    (made / "bin").mkdir(parents=True)
    (made / "man").mkdir()
    for name in ("bin/own", "bin/awk.real", "man/own.1"):
        (made / name).write_text(name)
    return made


@pytest.fixture
def mask(tmp_path: Path, top: Path) -> Mask:
    if not takes_whiteouts(tmp_path):
        pytest.skip("no whiteouts can be made here")
    return Mask(tmp_path / "usr", str(top), whiteouts=True)


def visible(links: dict[str, str] | None = None, moved: dict[str, str] | None = None) -> Visible:
    return Visible(
        names=frozenset(),
        paths=frozenset(),
        chosen=Chosen({}, frozenset(), {}),
        links=links or {},
        moved=moved or {},
        moved_aside=frozenset(),
        diversions="",
        settings={},
    )


def strangers(top: Path, *shared: Shared, seen: frozenset[str] = frozenset()) -> Strangers:
    return Strangers({str(top): shared}, seen, [])


def made(tmp_path: Path) -> set[str]:
    place = tmp_path / "usr"
    return {str(path.relative_to(place)) for path in place.rglob("*")}


def test_strangers_are_hidden_unless_they_are_seen_or_made(tmp_path: Path, top: Path, mask: Mask) -> None:
    directory = Shared(f"{top}/bin", ("own",), ("awk", "hidden", "seen"), nested=False)
    found = strangers(top, directory, seen=frozenset({f"{top}/bin/seen"}))
    public = visible(links={f"{top}/bin/awk": "/etc/alternatives/awk", "/elsewhere/x": "y"})
    declared._hide(mask, found, public)
    declared._restore(mask, public)
    assert made(tmp_path) == {"bin", "bin/awk", "bin/hidden"}
    assert os.readlink(tmp_path / "usr/bin/awk") == "/etc/alternatives/awk"  # noqa: PTH115


MANY = tuple(f"other{number}.1" for number in range(60))


def test_a_crowded_directory_is_replaced(tmp_path: Path, top: Path, mask: Mask) -> None:
    declared._hide(mask, strangers(top, Shared(f"{top}/man", ("own.1",), MANY, nested=False)), visible())
    assert made(tmp_path) == {"man", "man/own.1"}


@pytest.mark.parametrize("why", ["nested", "seen"])
def test_a_crowded_directory_that_can_not_be_replaced(
    tmp_path: Path, top: Path, mask: Mask, why: str
) -> None:
    """An opaque directory has neither the directories below nor the strangers that are seen."""
    seen = frozenset({f"{top}/man/{MANY[0]}"}) if why == "seen" else frozenset()
    directory = Shared(f"{top}/man", ("own.1",), MANY, nested=why == "nested")
    declared._hide(mask, strangers(top, directory, seen=seen), visible())
    hidden = {f"man/{name}" for name in MANY if f"{top}/man/{name}" not in seen}
    assert made(tmp_path) == {"man"} | hidden


def test_what_was_moved_aside_is_put_back_over_its_wrapper(tmp_path: Path, top: Path, mask: Mask) -> None:
    moved = visible(moved={f"{top}/bin/awk": f"{top}/bin/awk.real", "/elsewhere/x": f"{top}/bin/own"})
    directory = Shared(f"{top}/bin", ("own",), ("awk", "awk.real"), nested=False)
    declared._hide(mask, strangers(top, directory), moved)
    declared._restore(mask, moved)
    assert made(tmp_path) == {"bin", "bin/awk", "bin/awk.real"}
    assert (tmp_path / "usr/bin/awk").read_text() == "bin/awk.real"


def test_directories_that_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bwbuild.root.generated.state", lambda _: [str(tmp_path), "/nowhere/at/all"])
    links = {"bin": "usr/bin", "lib64": "", "lib": ""}
    assert declared._tops(frozenset(), links) == ["/usr", "/lib", "/lib64", str(tmp_path)]


def test_names_of_masks() -> None:
    assert [declared._name(top) for top in ("/usr", "/lib64", "/var/lib/ghc")] == [
        "usr",
        "lib64",
        "var-lib-ghc",
    ]


def test_a_view_can_be_read_by_root_of_a_namespace(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with declared._readable_for_all():
            (tmp_path / "file").touch()
        (tmp_path / "private").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
