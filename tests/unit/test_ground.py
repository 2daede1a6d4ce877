"""Which base a build asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.build import ground, places
from bwbuild.config.settings import Settings
from bwbuild.errors import HostError
from bwbuild.events import Notice
from bwbuild.root.suite import Suite
from bwbuild.sandbox.spec import Identity, IdentityKind

RANGE = Identity(IdentityKind.RANGE, 1500, 1500)


def tell(_: Notice) -> None:
    """Nobody listens."""


def test_wish_has_the_settings(tmp_path: Path) -> None:
    settings = Settings(
        cache=tmp_path,
        base_mirror="http://mirror.example.org",
        base_components="main,contrib",
        base_keyring=tmp_path / "keyring",
        base_refresh=60.0,
        fetch=False,
    )
    wish = ground.wish(settings, "trixie", "amd64", RANGE, tell)
    assert wish.suite == Suite(
        "trixie", "amd64", "http://mirror.example.org", "main,contrib", tmp_path / "keyring"
    )
    assert (wish.identity, wish.cache, wish.refresh) == (RANGE, tmp_path / "bases", 60.0)
    assert (wish.tell, wish.fetch) == (tell, False)


def test_defaults(tmp_path: Path) -> None:
    wish = ground.wish(Settings(cache=tmp_path), "trixie", "amd64", RANGE, tell)
    assert wish.suite == Suite("trixie", "amd64")
    assert (wish.refresh, wish.fetch) == (7 * 86400.0, True)


def test_one_id_is_too_few(tmp_path: Path) -> None:
    alone = Identity(IdentityKind.SINGLE, 0, 0)
    with pytest.raises(HostError, match="needs subordinate ids") as caught:
        ground.wish(Settings(cache=tmp_path), "trixie", "amd64", alone, tell)
    assert "bwbuild doctor" in caught.value.hint
    assert "leave out -d" in caught.value.hint


def test_cache_of_root_is_not_in_his_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert places.cache(Settings()) == Path("/var/cache/bwbuild")
    assert places.cache(Settings(cache=tmp_path)) == tmp_path


def test_cache_of_a_user_is_in_his_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1500)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert places.cache(Settings()) == tmp_path / "bwbuild"
