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
from bwbuild.corpus.compare import Change
from bwbuild.deb.buildoptions import ROWS
from bwbuild.errors import ExitStatus
from bwbuild.root.chamber import _PROXIES as PROXIES

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
    described = {word for line in re.findall(r"(?m)^\n(--.*)$", section(names)) for word in words(line)}
    known = {
        flag for option in GENERATE["options_of"](ALL[names]) for flag in option.opts + option.secondary_opts
    }
    excepted = words(" ".join(re.findall(r"options of a build but ([^.]*)", section(names))))
    assert described - known - excepted <= {"--version"}


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
    build = {flag for parameter in ALL[("build",)].params for flag in parameter.opts}
    others = {" ".join((*n, flag)) for n, command in ALL.items() for p in command.params for flag in p.opts}
    assert GENERATE["DETAILS"].keys() <= build | others


def told(names: tuple[str, ...], word: str) -> str:
    """What the page says under one word of a command's own part."""
    text = "\n".join(GENERATE["command_section"](names, ALL[names]))
    parts = (plain(part) for part in re.split(r"\n\.[TP]P\n", text))
    (found,) = (part for part in parts if re.match(rf"{re.escape(word)}(?![\w-])", part))
    return found


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_an_option_of_another_command_has_no_details_of_a_build(names: tuple[str, ...]) -> None:
    inside, others = GENERATE["sandbox_options"]()
    build = {(option.opts[0], option.help) for option in inside + others}
    for option in GENERATE["options_of"](ALL[names]):
        flag = option.opts[0]
        if (flag, option.help) not in build:
            own = GENERATE["DETAILS"].get(" ".join((*names, flag)), "")
            said = told(names, flag).split("\n", 1)[1]
            assert said.split() == f"{option.help} {own}".split()


def test_what_was_wrong_of_single_options() -> None:
    compare = told(("corpus", "compare"), "--fail-on")
    assert "commas" in compare
    assert "published" not in compare
    assert "auto" not in told(("deps",), "--dist")
    assert told(("try",), "--allow").count("epeated") == 1
    assert "network, home, outside" in told(("policy",), "--only")
    assert "unchecked" in told(("policy",), "--count")
    assert "May be repeated" not in told(("corpus", "compare"), "--fail-on")


def test_no_entry_says_twice_that_it_may_be_repeated() -> None:
    for text in (PAGE, SETTINGS):
        assert [part for part in text.split("\n\n") if part.lower().count("may be repeated") > 1] == []


@pytest.mark.parametrize("names", [("try",), ("run",)])
def test_words_that_click_knows_stand_for_a_value(names: tuple[str, ...]) -> None:
    assert told(names, "--x11").startswith("--x11 auto|xephyr|xpra|xvfb\n")


def test_classes_of_a_comparison() -> None:
    text = section(("corpus", "compare"))
    for change in Change:
        assert re.search(rf"(?m)^(.*, )?{change.value}(, .*)?$", text), change
    assert "--repeat 3" in text


def test_defaults() -> None:
    def of(key: str) -> str:
        return SETTINGS[SETTINGS.index(f"\n{key} = ") :].split("\n\n", 1)[0]

    assert "Default: 2d." in of("timeout")
    assert "Default: 2h30m." in of("limit.silence")
    assert "Default: none." in of("sign.key")
    for key in OPTIONS:
        assert not ("The default is" in of(key) and "Default: none" in of(key)), key


def test_variables_that_are_read() -> None:
    text = "".join(
        path.read_text() for path in (ROOT / "bwbuild").rglob("*.py") if "inside" not in path.parts
    )
    read = set(re.findall(r'\benviron(?:ment)?(?:\.get\(|\[)"([A-Za-z_]+)"(?!\] =)', text))
    told_of = PAGE[PAGE.index("\nENVIRONMENT\n") : PAGE.index("\nFILES\n")]
    assert "DEB_SIGN_KEYID" in read
    assert {*read, *PROXIES} - {"HOME", "PATH", "TERM"} - set(re.findall(r"\w+", told_of)) == set()


def test_what_mandoc_would_warn_of() -> None:
    for name in ("bwbuild.1", "gbp-bwbuild.1", "bwbuild.toml.5"):
        page = GENERATE["page"](name)
        assert re.match(r"\.TH \S+ \d \"\d{4}-\d\d-\d\d\" ", page)
        assert not re.search(r"(?m)^\.S[SH] .*\n\.PP$", page)


def test_text_is_escaped() -> None:
    assert GENERATE["escaped"](".a -b\\c 'd'\n.e") == "\\&.a \\-b\\ec \\(aqd\\(aq\n\\&.e"


# The package


def test_one_version() -> None:
    first = (ROOT / "debian/changelog").read_text().split("\n")[0]
    assert re.fullmatch(rf"bwbuild \({re.escape(__version__)}-\d[^)]*\) \S+; urgency=\w+", first)
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
