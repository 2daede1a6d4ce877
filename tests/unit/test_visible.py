"""What belongs to visible packages, from a made-up database of dpkg."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.deb.database import Package
from bwbuild.errors import HostError
from bwbuild.root import visible
from bwbuild.root.ownership import Lists
from bwbuild.root.visible import Visible, survey


def package(name: str) -> Package:
    fields = {"architecture": "all", "version": "1", "status": "installed", "error": "ok", "multi_arch": ""}
    empty = dict.fromkeys(("priority", "depends", "pre_depends", "provides"), "")
    return Package(name=name, essential=False, paragraph=f"Package: {name}", **fields, **empty)


class Database:
    """dpkg's directory for tests; ``usr`` is where its packages have their files."""

    def __init__(self, top: Path) -> None:
        self.directory = top / "dpkg"
        self.usr = top / "usr"
        for name in ("info", "alternatives"):
            (self.directory / name).mkdir(parents=True)
        (self.directory / "diversions").touch()
        self.ucf = top / "registry"

    def install(self, name: str, *paths: str) -> Package:
        lines = [str(self.usr / "bin"), *(str(self.usr / path) for path in paths)]
        (self.directory / "info" / f"{name}.list").write_text("\n".join([*lines, ""]))
        for path in paths:
            (self.usr / path).parent.mkdir(parents=True, exist_ok=True)
            (self.usr / path).write_text(name)
        return package(name)

    def divert(self, original: str, diverted: str, by: str) -> None:
        with (self.directory / "diversions").open("a") as stream:
            stream.write(f"{self.usr}/{original}\n{self.usr}/{diverted}\n{by}\n")

    def alternative(self, name: str, *choices: tuple[str, int]) -> None:
        lines = ["auto", f"{self.usr}/bin/{name}", ""]
        for path, priority in choices:
            lines += [f"{self.usr}/{path}", str(priority)]
        (self.directory / "alternatives" / name).write_text("\n".join([*lines, "", ""]))

    def survey(self, *packages: Package) -> Visible:
        return survey(packages, Lists(self.directory / "info", {}))


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    made = Database(tmp_path)
    monkeypatch.setattr(visible, "DIRECTORY", made.directory)
    monkeypatch.setattr(visible, "UCF", str(made.ucf))
    return made


def test_paths_are_those_of_the_packages(database: Database) -> None:
    database.install("other", "bin/other")
    found = database.survey(database.install("own", "bin/own"))
    assert set(found.paths) == {f"{database.usr}/bin", f"{database.usr}/bin/own"}
    assert found.names == {"own"}
    assert (found.links, found.moved, found.moved_aside, found.diversions) == ({}, {}, frozenset(), "")


def test_a_package_without_a_list(database: Database) -> None:
    with pytest.raises(HostError, match="files of own can't be read"):
        database.survey(package("own"))


def test_what_a_hidden_package_moved_aside_is_put_back(database: Database) -> None:
    own = database.install("own", "bin/tool")
    database.install("wrapper", "bin/tool.mine")
    database.divert("bin/tool", "bin/tool.real", "wrapper")
    found = database.survey(own)
    assert found.moved == {f"{database.usr}/bin/tool": f"{database.usr}/bin/tool.real"}
    assert found.moved_aside == {f"{database.usr}/bin/tool.real"}
    assert found.diversions == ""


def test_what_the_administrator_moved_aside_is_put_back(database: Database) -> None:
    own = database.install("own", "bin/tool")
    database.divert("bin/tool", "bin/tool.real", ":")
    assert database.survey(own).moved == {f"{database.usr}/bin/tool": f"{database.usr}/bin/tool.real"}


def test_a_diversion_among_visible_packages_holds(database: Database) -> None:
    both = database.install("own", "bin/tool"), database.install("wrapper", "bin/tool")
    database.divert("bin/tool", "bin/tool.real", "wrapper")
    found = database.survey(*both)
    assert (found.moved, found.moved_aside) == ({}, frozenset())
    assert f"{database.usr}/bin/tool.real" in found.paths
    assert found.diversions == f"{database.usr}/bin/tool\n{database.usr}/bin/tool.real\nwrapper\n"


def test_a_diversion_without_the_diverted_package(database: Database) -> None:
    """The file there belongs to a hidden package."""
    wrapper = database.install("wrapper", "bin/tool")
    database.install("own", "bin/tool")
    database.divert("bin/tool", "bin/tool.real", "wrapper")
    found = database.survey(wrapper)
    assert (found.moved, found.moved_aside) == ({}, {f"{database.usr}/bin/tool.real"})
    assert f"{database.usr}/bin/tool" in found.paths


def test_a_public_link_that_is_right_is_seen_as_it_is(database: Database) -> None:
    database.alternative("awk", ("bin/mawk", 5), ("bin/gawk", 10))
    database.install("gawk", "bin/gawk")
    mawk = database.install("mawk", "bin/mawk")
    (database.usr / "bin/awk").symlink_to("/etc/alternatives/awk")
    found = database.survey(mawk)
    assert f"{database.usr}/bin/awk" in found.paths
    assert found.links == {}
    assert found.chosen.links["/etc/alternatives/awk"] == f"{database.usr}/bin/mawk"


@pytest.mark.parametrize("text", ["gawk", "/etc/alternatives/nawk", None])
def test_a_public_link_that_is_wrong_is_made(database: Database, text: str | None) -> None:
    database.alternative("awk", ("bin/mawk", 5))
    mawk = database.install("mawk", "bin/mawk")
    if text is not None:
        (database.usr / "bin/awk").symlink_to(text)
    found = database.survey(mawk)
    assert found.links == {f"{database.usr}/bin/awk": "/etc/alternatives/awk"}
    assert f"{database.usr}/bin/awk" not in found.paths


def test_a_link_without_a_visible_choice_is_absent(database: Database) -> None:
    database.alternative("awk", ("bin/mawk", 5))
    database.install("mawk", "bin/mawk")
    (database.usr / "bin/awk").symlink_to("/etc/alternatives/awk")
    found = database.survey(database.install("own", "bin/own"))
    assert f"{database.usr}/bin/awk" not in found.paths
    assert f"{database.usr}/bin/awk" in found.chosen.absent


def test_settings_that_ucf_manages(database: Database) -> None:
    own = database.install("own", "bin/own")
    assert database.survey(own).settings == {}
    database.ucf.write_text("own /etc/own.conf\nother /etc/other.conf\n")
    found = database.survey(own)
    assert found.made("/etc/own.conf") is True
    assert found.made("/etc/other.conf") is False
    assert found.made("/etc/unknown.conf") is None
