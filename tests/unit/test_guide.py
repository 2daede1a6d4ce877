"""README.md and docs/: each block of commands says how it is run, settings are read, links lead somewhere."""

from __future__ import annotations

import configparser
import re
import runpy
import shlex
import tomllib
from pathlib import Path
from typing import Any

import guide
import pytest

from bwbuild.cli.main import COMMANDS
from bwbuild.config.layers import from_toml
from bwbuild.permissions.asked import requests

BLOCKS = [block for page in guide.PAGES for block in guide.blocks(page)]
GENERATE: dict[str, Any] = runpy.run_path(str(guide.ROOT / "docs/generate.py"))
#: What others describe, too: how tests and measurements are run.
PROSE = (*guide.PAGES, *(guide.ROOT / name / "README.md" for name in ("tests", "bench", "testpkgs")))
each_text = pytest.mark.parametrize("path", PROSE, ids=lambda path: str(path.relative_to(guide.ROOT)))
#: Options in prose that are another program's: Flatpak's, venv's, pytest's, those of gbp and of bench/.
OTHERS = {
    "--build",
    "--check",
    "--chroot",
    "--device",
    "--directory",
    "--filesystem",
    "--socket",
    "--lf",
    "--system-site-packages",
}
each = pytest.mark.parametrize("block", BLOCKS, ids=[block.where for block in BLOCKS])
each_page = pytest.mark.parametrize("page", guide.PAGES, ids=[page.name for page in guide.PAGES])


@each
def test_blocks_are_classified(block: guide.Block) -> None:
    if block.language == "console":
        assert len(block.words & guide.RUNNERS) == 1, f"{block.where}: who runs it?"
        assert block.words <= guide.RUNNERS | guide.REMARKS
        assert block.commands
        assert block.lines[0].find("$ ") >= 0, f"{block.where}: output before the first command"
        assert "shows" not in block.words or block.shown
    else:
        assert block.language in {"toml", "ini", "text"}, f"{block.where}: what is it?"
        assert not block.words
        assert not block.commands, f"{block.where}: commands are in blocks of the language console"


@each
def test_examples_are_in_both_releases(block: guide.Block) -> None:
    lines = (shlex.split(command.line, comments=True) for command in block.commands)
    fetched = {line[-1] for line in lines if line[:2] == ["apt-get", "source"]}
    assert fetched <= guide.EXAMPLES, block.where


def test_what_continuous_integration_runs() -> None:
    found = [command.line.split("#")[0].strip() for b in BLOCKS if "ci" in b.words for command in b.commands]
    text = (guide.ROOT / ".ci/run").read_text()
    assert found
    assert all(f"exec {line}\n" in text for line in found)


@each
def test_settings_are_read(block: guide.Block) -> None:
    text = "\n".join(block.lines)
    if block.language == "toml" and "[[request]]" in text:
        assert requests(text.encode())
    elif block.language == "toml":
        assert from_toml(tomllib.loads(text), block.where).values
    elif block.language == "ini":
        parser = configparser.ConfigParser()
        parser.read_string(text)
        assert parser.sections()


@each_page
def test_nothing_is_typed_outside_of_blocks(page: Path) -> None:
    assert list(guide.prompts_outside(page)) == []


@each_page
def test_every_command_is_typed(page: Path) -> None:
    allowed = guide.ELSEWHERE.get(str(page.relative_to(guide.ROOT)), ())
    assert [line for section, line in guide.commands_elsewhere(page) if section not in allowed] == []


def test_what_is_typed_elsewhere_is_found() -> None:
    found = {
        (name, section)
        for name in guide.ELSEWHERE
        for section, _ in guide.commands_elsewhere(guide.ROOT / name)
    }
    assert {("README.md", "Use"), ("docs/cluster.md", "Slurm")} <= found


def test_every_page_is_typed() -> None:
    typed = {block.page for block in BLOCKS if "bare" in block.words}
    assert typed == {*guide.TYPED, "CONTRIBUTING.md"}


@pytest.mark.parametrize("index", ["README.md", "docs/README.md"])
def test_every_page_is_named(index: str) -> None:
    text = (guide.ROOT / index).read_text(encoding="utf-8")
    pages = {page.name for page in guide.PAGES if page.parent.name == "docs"} - {"README.md"}
    assert {name for name in pages if not re.search(rf"\]\((docs/)?{name}[#)]", text)} == set()


def test_every_command_is_named() -> None:
    lines = (guide.ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1] for line in lines if line.startswith("| `bwbuild")]
    named = {word for row in rows for word in re.findall(r"`(?:bwbuild )?([a-z]+)", row)}
    assert {*COMMANDS, "bwbuild"} - {"build"} <= named


def named(path: Path) -> set[str]:
    """What stands in backquotes in the prose of a page."""
    lines = path.read_text(encoding="utf-8").splitlines()
    fenced = {number for block in guide.blocks(path) for number in block.within}
    text = "\n".join(line for number, line in enumerate(lines, 1) if number not in fenced)
    return set(re.findall(r"`([^`]+)`", text))


@each_text
def test_options_in_prose_are_in_the_manual_page(path: Path) -> None:
    known = set(re.findall(r"--[\w-]+", GENERATE["page"]("bwbuild.1").replace(r"\-", "-")))
    own = [text for text in named(path) if text.startswith(("bwbuild ", "--"))]
    found = {option for text in own for option in re.findall(r"(?<![\w-])--[a-zA-Z][\w-]*\w(?![\w…-])", text)}
    assert found - known - OTHERS == set()


@each_text
def test_commands_in_prose_are_commands(path: Path) -> None:
    found = {match[1] for text in named(path) if (match := re.match(r"bwbuild ([a-z]+)(?!\S)", text))}
    assert found <= COMMANDS.keys()


@each_text
def test_files_in_prose_are_there(path: Path) -> None:
    tracked = "bench bwbuild docs hooks tests testpkgs tools"
    tops = re.compile(rf"(?:{tracked.replace(' ', '|')})/[a-z0-9_*./-]+")
    missing = {
        text for text in named(path) if tops.fullmatch(text) and not list(guide.ROOT.glob(text.rstrip("/")))
    }
    tests = {name for text in named(path) for name in re.findall(r"^test_\w+\.py$", text)}
    missing |= {name for name in tests if not list((guide.ROOT / "tests").glob(f"*/{name}"))}
    assert missing == set()


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w -]", "", title.lower()) for title in titles)
    return {title.strip().replace(" ", "-") for title in plain}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8"))
    for target in targets:
        name, _, anchor = target.partition("#")
        other = page.parent / name if name else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


def test_a_script_ends_where_the_page_is_wrong() -> None:
    page = [
        guide.Block("page.md", 3, "console", frozenset({"bare", "fails"}), ("$ false",)),
        guide.Block("page.md", 9, "console", frozenset({"bare", "shows"}), ("~/deb$ echo it's", "it's")),
        guide.Block("page.md", 20, "console", frozenset({"ci"}), ("$ never",)),
    ]
    text = guide.script(page, "")
    assert "(cd ~/deb && eval 'echo it'\"'\"'s')" in text
    assert "never" not in text
