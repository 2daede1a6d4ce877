"""Strangers: what no visible package owns, and which of it is seen all the same."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bwbuild.root.alternatives import Chosen
from bwbuild.root.ownership import Lists
from bwbuild.root.strangers import Shared, Strangers, find, shared, stale_bytecode
from bwbuild.root.visible import LOCAL, Visible


def plant(top: Path, *names: str) -> None:
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(name)


def owned(top: Path, *names: str) -> set[str]:
    """Absolute paths of names with all their parents below ``top``."""
    paths = {str(top)}
    for name in names:
        paths |= {str(top / name), *(str(top / parent) for parent in Path(name).parents)}
    return paths


def visible(paths: Iterable[str], *packages: str, **more: Any) -> Visible:
    fields: dict[str, Any] = {
        "names": frozenset(packages),
        "paths": frozenset(paths),
        "chosen": Chosen({}, frozenset(), {}),
        "links": {},
        "moved": {},
        "moved_aside": frozenset(),
        "diversions": "",
        "settings": {},
    }
    return Visible(**fields | more)


def look(top: Path, seen: Visible, tmp_path: Path, **hidden: str) -> Strangers:
    info = tmp_path / "info"
    info.mkdir()
    for name, text in hidden.items():
        (info / f"{name}.list").write_text(text)
    return find([str(top)], seen, sorted(hidden), Lists(info, {}))


def names(found: Iterable[Shared], top: Path) -> dict[str, tuple[set[str], set[str]]]:
    return {os.path.relpath(item.path, top): (set(item.residents), set(item.strangers)) for item in found}


def test_directories_that_are_shared(tmp_path: Path) -> None:
    plant(tmp_path, "bin/own", "bin/other", "lib/own/x", "lib/other/deep/y", "share/own/all")
    read: list[str] = []
    found = list(shared(str(tmp_path), owned(tmp_path, "bin/own", "lib/own/x", "share/own/all"), read.append))
    assert names(found, tmp_path) == {"bin": ({"own"}, {"other"}), "lib": ({"own"}, {"other"})}
    assert {item.path: item.nested for item in found} == {
        f"{tmp_path}/bin": False, f"{tmp_path}/lib": True
    }  # fmt: skip
    assert str(tmp_path / "lib/other") not in read, "what is below a stranger is hidden with it"
    assert {str(tmp_path), f"{tmp_path}/share/own"} <= set(read)


def test_a_link_to_a_directory_is_not_entered(tmp_path: Path) -> None:
    plant(tmp_path, "real/stranger")
    (tmp_path / "link").symlink_to("real")
    found = list(shared(str(tmp_path), {str(tmp_path), f"{tmp_path}/link"}, lambda _: None))
    assert names(found, tmp_path) == {".": ({"link"}, {"real"})}


def test_a_directory_that_is_gone_has_no_strangers(tmp_path: Path) -> None:
    assert list(shared(str(tmp_path / "gone"), set(), lambda _: None)) == []


@pytest.mark.skipif(os.getuid() == 0, reason="root can read everything")
def test_a_directory_that_is_closed_has_no_strangers(tmp_path: Path) -> None:
    plant(tmp_path, "closed/x")
    (tmp_path / "closed").chmod(0)
    assert list(shared(str(tmp_path), owned(tmp_path, "closed"), lambda _: None)) == []
    (tmp_path / "closed").chmod(0o755)


def test_byte_code_of_modules_that_are_not_visible(tmp_path: Path) -> None:
    cached = (
        "own.cpython-311.pyc",
        "own.cpython-311.opt-1.pyc",
        "other.cpython-311.pyc",
        "own2.cpython-311.pyc",
    )
    plant(tmp_path, "own.py", "other.py", "own2.py", *(f"__pycache__/{name}" for name in cached))
    (found,) = stale_bytecode(f"{tmp_path}/__pycache__", owned(tmp_path, "own.py"))
    assert set(found.residents) == set(cached[:2])
    assert found.strangers == tuple(sorted(cached[2:]))
    assert stale_bytecode(f"{tmp_path}/__pycache__", owned(tmp_path, "own.py", "other.py", "own2.py")) == []


def test_byte_code_is_seen_with_its_modules(tmp_path: Path) -> None:
    top = tmp_path / "usr"
    plant(top, "lib/own.py", "lib/other.py", "lib/__pycache__/own.cpython-311.pyc")
    plant(top, "lib/__pycache__/other.cpython-311.pyc")
    python = visible(owned(top, "lib/own.py"), "python3-minimal", "python3.11-minimal")
    found = look(top, python, tmp_path, other=f"{top}/lib/other.py\n")
    assert names(found.shared[str(top)], top) == {
        "lib": ({"own.py"}, {"__pycache__", "other.py"}),
        "lib/__pycache__": ({"own.cpython-311.pyc"}, {"other.cpython-311.pyc"}),
    }


def test_what_a_hidden_package_owns_is_never_seen(tmp_path: Path) -> None:
    """Whatever the tables say, which may be wider than what they mean."""
    top = tmp_path / "usr"
    plant(top, "share/own/file", "share/own/made", "share/own/of-other")
    found = look(top, visible(owned(top, "share/own/file")), tmp_path, other=f"{top}/share/own/of-other\n")
    assert found.seen - {LOCAL} == {f"{top}/share/own/made"}


def test_what_is_moved_aside_or_no_alternative_is_not_seen(tmp_path: Path) -> None:
    top = tmp_path / "usr"
    plant(top, "share/own/file", "share/own/file.distrib", "share/own/public", "share/own/made")
    seen = visible(
        owned(top, "share/own/file"),
        moved_aside=frozenset({f"{top}/share/own/file.distrib"}),
        chosen=Chosen({}, frozenset({f"{top}/share/own/public"}), {}),
    )
    assert look(top, seen, tmp_path).seen - {LOCAL} == {f"{top}/share/own/made"}


def test_unknown_files_where_programs_look_things_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tables name real paths, so this walks a made-up tree under their names."""
    tree = {
        "/usr": ["bin", "include", "lib", "share"],
        "/usr/bin": ["own", "stranger"],
        "/usr/include": ["own.h", "stranger.h"],
        "/usr/lib": ["x86_64-linux-gnu"],
        "/usr/lib/x86_64-linux-gnu": ["libown.so", "libstranger.so"],
        "/usr/share": ["own", "stranger"],
        "/usr/share/own": ["file", "cache"],
    }

    class Entry:
        def __init__(self, directory: str, name: str) -> None:
            self.name, self.path = name, f"{directory}/{name}"

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            assert not follow_symlinks
            return self.path in tree

    monkeypatch.setattr(
        "bwbuild.root.strangers._entries",
        lambda directory: [Entry(directory, name) for name in tree.get(directory, [])],
    )
    paths = {path for path in tree if "stranger" not in path} | {
        "/usr/bin/own", "/usr/include/own.h", "/usr/lib/x86_64-linux-gnu/libown.so", "/usr/share/own/file"
    }  # fmt: skip
    found = look(Path("/usr"), visible(paths), tmp_path)
    assert found.seen == {LOCAL, "/usr/share/own/cache"}
    hidden = {f"{item.path}/{name}" for item in found.shared["/usr"] for name in item.strangers} - found.seen
    assert hidden == {
        "/usr/bin/stranger",
        "/usr/include/stranger.h",
        "/usr/lib/x86_64-linux-gnu/libstranger.so",
        "/usr/share/stranger",
    }
