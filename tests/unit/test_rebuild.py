"""Builds under another version: the entry as dpkg reads it, what options mean, what a plan makes of them."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from pathlib import Path

import pytest
from made_plans import HOST, SOURCE, inputs, plan
from made_scripts import files
from support import need

from bwbuild.build import verdict
from bwbuild.build.plan import make_plan
from bwbuild.config.settings import Workspace
from bwbuild.deb import buildoptions
from bwbuild.deb.rebuild import Occasion, Rebuild, author, make_entry
from bwbuild.deb.source import read_source
from bwbuild.errors import ConfigurationError, SourceError, UsageError
from bwbuild.process import run
from bwbuild.sandbox.spec import Layering

JOE = "Joe Doe <joe@example.org>"
WHO = f"-m{JOE}"
NOW = 1700000000
OCCASION = Occasion(JOE, NOW, "amd64")
OWN = """\
tiny (2:1.0-1) unstable; urgency=medium

  * First.

 -- Ann <ann@example.org>  Mon, 01 Jan 2024 00:00:00 +0000
"""
WHOLE = f"""\
tiny (2:1.0-1+rpi1) stable; urgency=high, Binary-Only=yes

  * One.

  [ Joe ]
  * Two,
    which goes on.

 -- {JOE}  Tue, 02 Jan 2024 03:04:05 +0100"""


def read(text: str, tmp_path: Path, *options: str) -> dict[str, str]:
    """What dpkg-parsechangelog says of a changelog."""
    need("dpkg-parsechangelog")
    file = tmp_path / "changelog"
    file.write_text(text, encoding="utf-8")
    done = run(["dpkg-parsechangelog", "-l", file, *options])
    assert not done.stderr, "dpkg has nothing to warn of"
    fields = (line.partition(": ") for line in done.text.splitlines() if not line.startswith(" "))
    return {name.rstrip(":"): value for name, _, value in fields}


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        (Rebuild(suffix="~bpo12+1"), "2:1.0-1~bpo12+1"),
        (Rebuild(text="New libfoo."), "2:1.0-1+b1"),
        (Rebuild(text="New libfoo.", number=3), "2:1.0-1+b3"),
        (Rebuild(suffix="+x1", number=2), "2:1.0-1+x1+b2"),
        (Rebuild(suffix="+x1", text="New libfoo."), "2:1.0-1+x1+b1"),
        (Rebuild(suffix="+x1", text="New libfoo.\nAnd libbar.", number=0), "2:1.0-1+x1"),
    ],
    ids=repr,
)
def test_dpkg_reads_the_entry(tmp_path: Path, wanted: Rebuild, version: str) -> None:
    entry = make_entry(wanted, SOURCE, OCCASION)
    found = read(entry.text + OWN, tmp_path)
    assert entry.version == found["Version"] == version
    assert (entry.distribution, entry.changed_by) == (found["Distribution"], found["Maintainer"])
    assert (found["Distribution"], found["Maintainer"]) == ("unstable", JOE)
    assert (found["Source"], found["Binary-Only"], found["Urgency"]) == ("tiny", "yes", "low")
    assert (found["Date"], found["Timestamp"]) == ("Tue, 14 Nov 2023 22:13:20 +0000", str(NOW))
    # From here dpkg takes the version of the source.
    assert read(entry.text + OWN, tmp_path, "--offset=1", "--count=1")["Version"] == "2:1.0-1"


def test_lines_of_the_entry() -> None:
    made = make_entry(Rebuild(suffix="+x1", text="New libfoo.\nAnd libbar."), SOURCE, OCCASION)
    assert made.text.split("\n") == [
        "tiny (2:1.0-1+x1+b1) unstable; urgency=low, binary-only=yes",
        "",
        "  * Append +x1 to version number; no source changes",
        "  * Binary-only non-maintainer upload for amd64; no source changes.",
        "  * New libfoo.",
        "    And libbar.",
        "",
        f" -- {JOE}  Tue, 14 Nov 2023 22:13:20 +0000",
        "",
        "",
    ]


def test_a_named_suite_is_the_distribution() -> None:
    there = dataclasses.replace(OCCASION, distribution="trixie")
    assert make_entry(Rebuild(suffix="+x"), SOURCE, there).distribution == "trixie"


@pytest.mark.parametrize(
    ("timestamp", "date"),
    [
        ("86400", "Fri, 02 Jan 1970 00:00:00 +0000"),
        ("+86400", "Fri, 02 Jan 1970 00:00:00 +0000"),
        ("Thu, 01 Jan 2026 12:00:00 -0330", "Thu, 01 Jan 2026 12:00:00 -0330"),
        ("", "Tue, 14 Nov 2023 22:13:20 +0000"),
    ],
)
def test_time_of_the_entry(tmp_path: Path, timestamp: str, date: str) -> None:
    made = make_entry(Rebuild(suffix="+x", timestamp=timestamp), SOURCE, OCCASION)
    assert read(made.text + OWN, tmp_path)["Date"] == date


def test_a_whole_entry(tmp_path: Path) -> None:
    options = buildoptions.parse([f"--binNMU-changelog=\n\n{WHOLE}\n \n"])
    made = make_entry(options.rebuild, SOURCE, Occasion("", 0, "amd64"))
    found = read(made.text + OWN, tmp_path)
    assert made.text == f"{WHOLE}\n\n"
    assert (made.version, made.distribution, made.changed_by) == ("2:1.0-1+rpi1", "stable", JOE)
    assert (found["Version"], found["Distribution"], found["Maintainer"]) == ("2:1.0-1+rpi1", "stable", JOE)
    assert found["Binary-Only"] == "yes"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("tiny (", "huge (", "is about huge"),
        (", Binary-Only=yes", "", "another source"),
        ("-1+rpi1)", "-1)", "no version for a rebuild"),
        ("-1+rpi1)", "_1)", "no version for a rebuild"),
        ("\n  * One.", "\n* One.", "has no changelog entry"),
        ("  [ Joe ]", "END_OF_FILE", "has no changelog entry"),
        (f" -- {JOE}  T", f" -- {JOE} T", "has no changelog entry"),
        (f" -- {JOE}", " -- Joe", "has no changelog entry"),
        ("Tue, 02", "Tue 02", "has no changelog entry"),
        (WHOLE, "x", "has no changelog entry"),
        (WHOLE, f"{WHOLE}\n\n{OWN}", "has no changelog entry"),
    ],
)
def test_a_whole_entry_that_is_none(old: str, new: str, says: str) -> None:
    assert old in WHOLE
    wanted = Rebuild().with_value("binNMU-changelog", WHOLE.replace(old, new))
    with pytest.raises(UsageError, match=says):
        make_entry(wanted, SOURCE, OCCASION)


@pytest.mark.parametrize("suffix", [":1", "_1", "/../x", " x", "\n", "ä", "+b1)"])
def test_impossible_versions(suffix: str) -> None:
    with pytest.raises(UsageError, match="is no version") as caught:
        make_entry(Rebuild(suffix=suffix), SOURCE, OCCASION)
    assert "\n" not in caught.value.message.removeprefix(f"--append-to-version={suffix}")


@pytest.mark.parametrize(
    "who", ["", "Joe", "joe@example.org", "Joe <joe>", "J\n <j@example.org>", "J\udc80 <j@e.org>"]
)
def test_somebody_makes_the_entry(who: str) -> None:
    with pytest.raises(UsageError, match="name and address"):
        make_entry(Rebuild(suffix="+x"), SOURCE, dataclasses.replace(OCCASION, maintainer=who))


@pytest.mark.parametrize(
    ("typed", "environment", "found"),
    [
        (JOE, {"DEBFULLNAME": "Ann", "DEBEMAIL": "ann@example.org"}, JOE),
        (None, {"DEBFULLNAME": "Ann", "DEBEMAIL": "ann@example.org"}, "Ann <ann@example.org>"),
        (None, {"NAME": "Ann", "DEBEMAIL": "ann@example.org"}, "Ann <ann@example.org>"),
        (None, {"DEBFULLNAME": "Ann", "DEBEMAIL": JOE}, JOE),
        (None, {"DEBEMAIL": "ann@example.org"}, ""),
        (None, {}, ""),
    ],
)
def test_who_makes_the_entry(typed: str | None, environment: dict[str, str], found: str) -> None:
    assert author(typed, environment) == found


def test_no_binnmu_of_a_binnmu() -> None:
    built = dataclasses.replace(SOURCE, version="1.0-1+b1")
    with pytest.raises(SourceError, match="already"):
        make_entry(Rebuild(text="Again."), built, OCCASION)
    assert make_entry(Rebuild(suffix="+x"), built, OCCASION).version == "1.0-1+b1+x"
    with pytest.raises(SourceError, match="already"):
        make_entry(Rebuild(suffix="+x"), dataclasses.replace(built, binary_only=True), OCCASION)


def test_a_tree_that_has_such_an_entry(tmp_path: Path) -> None:
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian" / "control").write_text("Source: tiny\n\nPackage: tiny\n")
    entry = make_entry(Rebuild(text="x"), SOURCE, OCCASION).text
    for text, binary_only in ((OWN, False), (entry + OWN, True)):
        (tmp_path / "debian" / "changelog").write_text(text)
        assert read_source(tmp_path).binary_only is binary_only


# The command line


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("--append-to-version=~bpo", Rebuild(suffix="~bpo")),
        ("--append-to-version ~bpo", Rebuild(suffix="~bpo")),
        ("--append-to-version=", Rebuild()),
        ("--make-binNMU='a b'", Rebuild(text="a b")),
        ("--make-binNMU=x --binNMU=7", Rebuild(text="x", number=7)),
        ("--append-to-version=+x --make-binNMU=x --binNMU=", Rebuild(suffix="+x", text="x", number=0)),
        ("--make-binNMU=x --binNMU-timestamp=5", Rebuild(text="x", timestamp="5")),
        ("--make-binNMU=' a\n\n b \n'", Rebuild(text=" a\n b")),
    ],
)
def test_options(words: str, wanted: Rebuild) -> None:
    found = buildoptions.parse(shlex.split(words))
    assert found.rebuild == wanted
    assert found.types == ({"any"} if wanted.wanted else {"source", "any", "all"})
    assert found.passed == (("--build=any",) if wanted.wanted else ())


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        ("-B", ("-B",)),
        ("-nc", ("--build=any", "-nc")),
        ("--arch-any", ("--build=any",)),
        ("--no-arch-all", ("--build=any",)),
        ("--no-source", ("--build=any",)),
        ("--arch-all --no-arch-all", ("--build=any",)),
        (f"'{WHO}'", ("--build=any", WHO)),
        (f"'--maintainer={JOE}'", ("--build=any", WHO)),
        (f"--maintainer '{JOE}'", ("--build=any", WHO)),
    ],
)
def test_only_what_the_architecture_has_of_its_own(words: str, passed: tuple[str, ...]) -> None:
    found = buildoptions.parse(["--make-binNMU=x", *shlex.split(words)])
    assert found.types == {"any"}
    assert found.passed == passed
    assert found.maintainer == (JOE if "Joe" in words else None)


def test_a_whole_entry_may_be_for_all_architectures() -> None:
    assert buildoptions.parse([f"--binNMU-changelog={WHOLE}"]).types == {"any"}
    assert buildoptions.parse([f"--binNMU-changelog={WHOLE}", "-b"]).types == {"any", "all"}
    assert buildoptions.parse([f"--binNMU-changelog={WHOLE}", "--arch-all"]).types == {"any", "all"}


@pytest.mark.parametrize(
    "words",
    [
        "--binNMU=1",
        "--binNMU-timestamp=5",
        "--binNMU=x --make-binNMU=x",
        "--binNMU=-1 --make-binNMU=x",
        "--binNMU=0 --make-binNMU=x",
        "--make-binNMU=",
        "--make-binNMU='a\x1b[31m'",
        "--make-binNMU=x --binNMU-timestamp=yesterday",
        "--make-binNMU=x --binNMU-timestamp='Thu, 33 Jan 2026 12:00:00 +0000'",
        "--make-binNMU=x --binNMU-timestamp=99999999999999999",
        "--binNMU-changelog=",
        "--binNMU-changelog=x --make-binNMU=x",
        "--binNMU-changelog=x --append-to-version=x",
        "--binNMU-changelog=x --binNMU=0",
        "--make-binNMU=x -S",
        "--make-binNMU=x -F",
        "--make-binNMU=x -b",
        "--make-binNMU=x -A",
        "--append-to-version=x -b",
        "--append-to-version=x --arch-all",
        "--append-to-version=x --source",
        "--append-to-version=x --no-arch-any",
        "--append-to-version=x --source-only-changes",
        "--binNMU-changelog=x -S",
    ],
)
def test_what_can_not_be(words: str) -> None:
    with pytest.raises(UsageError) as caught:
        buildoptions.parse(shlex.split(words))
    assert caught.value.hint


# The plan


def test_the_plan_knows_both_versions() -> None:
    made = plan("--make-binNMU=x", WHO, now=NOW)
    assert (made.source.version, made.version) == ("2:1.0-1", "2:1.0-1+b1")
    assert made.changes == "tiny_1.0-1+b1_amd64.changes"
    assert "2:1.0-1+b1" in made.title
    assert (made.distribution, made.changed_by) == ("unstable", JOE)
    expected = verdict.expected(made)
    assert (expected.version, expected.source_version) == ("2:1.0-1+b1", "2:1.0-1")
    assert str(made.sandbox.workspace.inside) == "/build/reproducible-path/tiny-1.0"


def test_a_plan_without_an_entry() -> None:
    made = plan()
    assert (made.version, made.distribution, made.changed_by) == (
        SOURCE.version,
        SOURCE.distribution,
        SOURCE.changed_by,
    )
    assert made.sandbox.workspace.changelog is None
    assert verdict.expected(made).source_version is None


@pytest.mark.parametrize(("dist", "found"), [(None, "unstable"), ("auto", "unstable"), ("trixie", "trixie")])
def test_distribution_of_the_entry(dist: str | None, found: str) -> None:
    assert plan("--append-to-version=+x", WHO, dist=dist).distribution == found


def test_directory_is_that_of_the_built_version() -> None:
    native = dataclasses.replace(SOURCE, version="1.0")
    made = plan("--make-binNMU=x", WHO, source=native)
    assert made.sandbox.workspace.inside.name == "tiny-1.0+b1"


def test_command_puts_the_changelog_in_place_first() -> None:
    made = plan("--make-binNMU=x", WHO, now=NOW)
    assert made.sandbox.command[:2] == ("/run/bwbuild/with-changelog", "dpkg-buildpackage")
    assert made.entry
    assert made.sandbox.workspace.changelog == made.entry.text
    shell = plan("--make-binNMU=x", WHO, command=("ls",))
    assert shell.sandbox.command == ("/run/bwbuild/with-changelog", "ls")


def test_no_clean_brings_the_own_changelog_back() -> None:
    assert plan("-nc").sandbox.workspace.changelog == ""
    assert plan("-nc", command=("ls",)).sandbox.workspace.changelog is None
    assert plan("-nc", workspace=Workspace.IN_PLACE).sandbox.workspace.changelog is None


@pytest.mark.parametrize("layering", Layering)
def test_launcher_joins_entry_and_changelog(tmp_path: Path, layering: Layering) -> None:
    """The lines of the launcher that do it, run by the shell."""
    tree = tmp_path / "a tree"
    (tree / "debian").mkdir(parents=True)
    (tree / "debian" / "changelog").write_text(OWN)
    if layering is Layering.NONE:
        with pytest.raises(ConfigurationError, match="your own debian/changelog"):
            plan("--make-binNMU=x", WHO, tree=str(tree), workspace=Workspace.IN_PLACE)
        return
    more = {
        Layering.OVERLAY: {},
        Layering.MEMORY: {"scratch_type": "overlay", "host": dataclasses.replace(HOST, kernel=(6, 6))},
        Layering.COPY: {"foreign": Path("/x")},
    }[layering]
    made = make_plan(dataclasses.replace(inputs("--make-binNMU=x", WHO, tree=str(tree), now=NOW), **more))
    assert made.sandbox.workspace.layering is layering
    lines = made.script
    (line,) = re.findall(r"^cat -- .* >> inside/changelog$", lines, re.M)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/changelog").write_text(files(lines)["inside/changelog"])
    run(["sh", "-eu", "-c", line], cwd=tmp_path)
    assert made.entry
    assert (tmp_path / "inside" / "changelog").read_text() == made.entry.text + OWN
    assert (tree / "debian" / "changelog").read_text() == OWN


@pytest.mark.parametrize("there", ["the same", "another", "a link", "nothing"])
def test_helper_replaces_the_changelog(tmp_path: Path, there: str) -> None:
    helper = Path(verdict.__file__).parents[1] / "sandbox/inside/with-changelog"
    new, tree = tmp_path / "changelog", tmp_path / "tree"
    new.write_text("new\n")
    (tree / "debian").mkdir(parents=True)
    file, outside = tree / "debian" / "changelog", tmp_path / "outside"
    outside.write_text("mine\n")
    if there == "a link":
        file.symlink_to(outside)
    elif there != "nothing":
        file.write_text("new\n" if there == "the same" else "old\n")
        os.utime(file, (5, 5))
    text = helper.read_text().replace("/run/bwbuild/changelog", str(new))
    done = run(["sh", "-c", text, "sh", "sh", "-c", "cat debian/changelog; exit 7"], cwd=tree, check=False)
    assert (done.stdout, done.returncode) == (b"new\n", 7)
    assert not file.is_symlink()
    assert outside.read_text() == "mine\n"
    assert (file.stat().st_mtime == 5) is (there == "the same")
