"""The manual pages against click, the settings and the exit statuses; the package against the program."""

from __future__ import annotations

import re
import runpy
import tomllib
from email.parser import Parser
from pathlib import Path
from typing import Any

import click
import pytest

from bwbuild import __version__
from bwbuild.cli.main import COMMANDS, commands
from bwbuild.config.kinds import Choice, Several
from bwbuild.config.settings import OPTIONS
from bwbuild.deb.buildoptions import ROWS
from bwbuild.errors import ExitStatus

ROOT = Path(__file__).resolve().parents[2]
GENERATE: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "generate.py"))


def plain(text: str) -> str:
    """A page without roff's fonts, escapes and requests."""
    text = re.sub(r"\\f.", "", text).replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\(ti", "~")
    return re.sub(r"(?m)^\.[A-Z]+ ?", "", text)


PAGE = plain(GENERATE["page"]("bwbuild.1"))
SETTINGS = plain(GENERATE["page"]("bwbuild.toml.5"))
ALL = dict(GENERATE["leaves"](commands))


def section(names: tuple[str, ...]) -> str:
    """What the page says of one command, with the options to which it refers."""
    options = PAGE[PAGE.index("Of a build\n") : PAGE.index("Of dpkg-buildpackage\n")]
    if names == ("build",):
        return options
    rest = PAGE[PAGE.index(f"bwbuild {' '.join(names)} [") :]
    text = re.split(r"\nbwbuild [a-z ]+ \[|\nEXIT STATUS", rest)[0]
    inside, others = (plain("\n".join(GENERATE["entries"](group))) for group in GENERATE["sandbox_options"]())
    text += inside if "all options of the sandbox" in text else ""
    return text + (others if "all other options of a build" in text else "")


def words(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--?[\w-]+", text))


def test_all_commands_are_there() -> None:
    assert {names[0] for names in ALL} == COMMANDS.keys()
    assert ("root", "create") in ALL


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_each_option_of_each_command(names: tuple[str, ...]) -> None:
    command, text = ALL[names], section(names)
    wanted = {option.opts[0] for option in GENERATE["options_of"](command)}
    assert wanted <= words(text)
    first = (command.help or "").split("\n\n")[0].replace("`", "")
    assert names == ("build",) or " ".join(first.split())[:60] in " ".join(text.split())


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_no_other_option_is_described(names: tuple[str, ...]) -> None:
    described = {
        word for line in re.findall(r"(?m)^TP\n(--.*)$|^\n(--.*)$", section(names)) for word in words(line[0])
    }
    known = {
        flag for option in GENERATE["options_of"](ALL[names]) for flag in option.opts + option.secondary_opts
    }
    assert described - known <= {"--version"}


def test_both_spellings_of_a_switch() -> None:
    build = ALL[("build",)]
    spellings = {
        flag
        for option in build.params
        if isinstance(option, click.Option)
        for flag in (*option.opts, *option.secondary_opts)
    }
    assert spellings - {"--help"} <= words(section(("build",)))


def test_options_that_dpkg_buildpackage_lacks() -> None:
    own = {flag for row in ROWS for flag in row.spellings if flag.startswith("--") and not row.passes}
    standard = {row for row in own if row.startswith(("--unsigned", "--sign", "--force-sign", "--no-sign"))}
    assert own - standard <= words(PAGE)


def test_exit_statuses() -> None:
    found = re.findall(r"(?m)^(\d+)\n([a-z-]+)", PAGE[PAGE.index("EXIT STATUS") :])
    assert found == [(str(status.value), status.label) for status in ExitStatus]


@pytest.mark.parametrize("key", OPTIONS)
def test_each_setting(key: str) -> None:
    option = OPTIONS[key]
    entry = SETTINGS[SETTINGS.index(f"\n{key} = ") :].split("\nTP", 1)[0]
    assert f"Variable {option.variable}." in entry
    kind = option.kind.of if isinstance(option.kind, Several) else option.kind
    if isinstance(kind, Choice) and not isinstance(option.kind, Several):
        assert "|".join(kind.words) in entry


def test_details_are_of_options() -> None:
    spellings = {flag for command in ALL.values() for p in command.params for flag in p.opts}
    assert GENERATE["DETAILS"].keys() <= spellings


def test_text_is_escaped() -> None:
    assert GENERATE["escaped"](".a -b\\c 'd'\n.e") == "\\&.a \\-b\\ec \\(aqd\\(aq\n\\&.e"


# The package


def test_one_version() -> None:
    first = (ROOT / "debian/changelog").read_text().split("\n")[0]
    assert re.fullmatch(rf"bwbuild \({re.escape(__version__)}-\d+\) \S+; urgency=\w+", first)
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
    assert f"\n## {__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_package_depends_on_what_setup_installs() -> None:
    source, binary = (
        Parser().parsestr(text) for text in (ROOT / "debian/control").read_text().strip().split("\n\n")
    )
    run = re.search(r'^RUN="([^"]*)"', (ROOT / "tools/setup").read_text(), re.MULTILINE)
    assert run is not None
    depends = set(re.findall(r"[\w.+-]+(?=[ ,\n]|$)", binary["Depends"]))
    from_pyproject = {name for name in run[1].split() if name.startswith("python3")} - {"python3-seccomp"}
    assert set(run[1].split()) - from_pyproject <= depends
    assert from_pyproject <= {*re.findall(r"[\w.+-]+", source["Build-Depends"])}


def test_copyright_is_the_license() -> None:
    license_ = (ROOT / "LICENSE").read_text().split("\n\n", 2)[2]
    packaged = (ROOT / "debian/copyright").read_text().split("License: Expat\n")[-1].replace("\n .\n", "\n\n")
    assert packaged.split() == license_.split()
