"""What ``bwbuild deps`` shows: the overview, the ways to a package, the JSON document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bwbuild.build.study import dependencies, deps, why
from bwbuild.build.study.deps import Dependencies, Entry
from bwbuild.deb.buildoptions import parse
from bwbuild.deb.closure import close
from bwbuild.deb.database import parse_status
from bwbuild.deb.source import Source

HOST = {
    "dash": "Essential: yes; Depends: libc6",
    "libc6": "Version: 2.36",
    "build-essential": "Depends: gcc, libc6 (>= 2)",
    "gcc": "Version: 12",
    "debhelper": (
        "Version: 13.11; Architecture: all; Provides: debhelper-compat (= 13); Depends: dh-autoreconf, tool"
    ),
    "dh-autoreconf": "Architecture: all; Depends: autoconf (>= 2.5), libc6",
    "autoconf": "Architecture: all; Version: 2.71",
    "automake": "Architecture: all; Depends: autoconf",
    "tool": "Depends: autoconf",
    "mawk": "Provides: awk",
    "gawk": "Provides: awk",
    "help2man": "Version: 1.49.3",
    "broken": "Status: install ok half-installed; Version: 3",
    "gone": "Status: deinstall ok config-files",
    "same": "Multi-Arch: same",
    "zlib": "",
}


def stanza(name: str, text: str) -> str:
    fields = {"Package": name, "Status": "install ok installed", "Architecture": "amd64", "Version": "1"}
    fields |= dict(part.strip().split(": ", 1) for part in text.split(";") if part.strip())
    return "".join(f"{field}: {value}\n" for field, value in fields.items())


def read(depends: str, *options: str, more: str = "", conflicts: str = "", indep: str = "") -> Dependencies:
    """The dependencies of a source on HOST; ``more`` is further stanzas."""
    fields = {"Build-Depends": depends, "Build-Depends-Indep": indep, "Build-Conflicts": conflicts}
    source = Source(Path("/src/it"), "it", "1-1", "unstable", "", "1.0", ("it",), relations=fields)
    chosen = parse(options)
    wanted = dependencies.wanted(source, chosen, "amd64", {})
    database = parse_status("\n".join([*(stanza(*item) for item in HOST.items()), more]))
    return Dependencies(source, chosen, wanted, database, close(database, wanted))


def overview(found: Dependencies, width: int | None = None, *, list_hidden: bool = False) -> list[str]:
    return [line.text for line in deps.overview(found, width, list_hidden=list_hidden)]


# The overview


def test_overview() -> None:
    assert overview(read("debhelper-compat (= 13), gcc, autoconf, zlib [amd64]")) == [
        "it 1-1 (amd64): a build sees 9 of 15 installed packages",
        "",
        "Essential, 2 packages",
        "  dash 1",
        "  libc6 2.36",
        "",
        "build-essential, 2 packages",
        "  build-essential 1",
        "  gcc 12",
        "",
        "Build-Depends: debhelper-compat (= 13), 3 packages",
        "  debhelper 13.11",
        "  dh-autoreconf 1",
        "  tool 1",
        "",
        "Build-Depends: gcc: gcc 12, there through build-essential",
        "",
        "Build-Depends: autoconf, 1 package",
        "  autoconf 2.71",
        "",
        "Build-Depends: zlib [amd64], 1 package",
        "  zlib 1",
        "",
        "Hidden, 6 packages: bwbuild deps --hidden lists them",
    ]


def test_overview_with_what_is_hidden() -> None:
    lines = overview(read("debhelper, automake, zlib, same, help2man, gawk"), list_hidden=True)
    assert lines[-3:] == ["Hidden, 2 packages", "  broken 3", "  mawk 1"]


def test_entry_that_is_there_through_another() -> None:
    lines = overview(read("automake, debhelper, tool"))
    assert "Build-Depends: tool, 1 package" in lines
    lines = overview(read("debhelper, debhelper-compat (= 13)"))
    assert "Build-Depends: debhelper-compat (= 13): debhelper 13.11, there through debhelper" in lines


def test_what_is_missing_comes_first_and_the_rest_is_there() -> None:
    lines = overview(read("none (>= 2), help2man (>= 2), gcc | other, broken", "-A", indep="autoconf"))
    assert lines[1:9] == [
        "",
        "Not met",
        "  none (>= 2) (Build-Depends): not installed",
        "  help2man (>= 2) (Build-Depends): 1.49.3 is installed, but >= 2 is declared",
        "  broken (Build-Depends): half-installed",
        "  mend: sudo apt-get build-dep --indep-only /src/it",
        "  or:   bwbuild --missing base",
        "",
    ]
    assert "Build-Depends: none (>= 2): not met" in lines
    assert "Build-Depends-Indep: autoconf, 1 package" in lines
    assert lines[0].startswith("it 1-1 (all): ")


def test_conflicts_are_shown() -> None:
    found = read("autoconf, tool", conflicts="autoconf")
    assert not found.are_met
    text = "  autoconf (Build-Conflicts): autoconf:all is needed by other build dependencies"
    assert text in overview(found)


def test_options_count() -> None:
    for options, names in (
        ((), ["autoconf", "gcc", "zlib"]),
        (("-B",), ["autoconf", "gcc"]),
        (("-Pnocheck",), ["gcc", "zlib"]),
    ):
        found = read("autoconf <!nocheck>, gcc, none [i386]", *options, indep="zlib")
        entries = deps.entries(found)
        assert [entry.met_by.name for entry in entries if entry.met_by] == names
        assert len(entries) == len(names)
        assert found.are_met


def test_entries() -> None:
    found = read("none | gawk | awk, gcc, gcc, none")
    packages = found.database.packages
    assert deps.entries(found) == (
        Entry("Build-Depends", "none | gawk | awk", packages["gawk:amd64"], (packages["gawk:amd64"],)),
        Entry("Build-Depends", "gcc", packages["gcc:amd64"], ()),
        Entry("Build-Depends", "none", None, ()),
    )


@pytest.mark.parametrize("width", [20, 60, 100, 200])
def test_columns_fit_and_are_aligned(width: int) -> None:
    lines = overview(read("debhelper, automake, zlib, same, help2man, gawk"), width, list_hidden=True)
    table = [line for line in lines if line.startswith("  ")]
    assert all(len(line) <= max(width, 22) for line in table)
    assert all(line == line.rstrip() for line in table)
    everything = overview(read("debhelper, automake, zlib, same, help2man, gawk"), None, list_hidden=True)
    assert sorted(" ".join(table).split()) == sorted(" ".join(x for x in everything if x[:1] == " ").split())
    if width == 200:
        essential = lines.index("Essential, 2 packages")
        assert lines[essential + 1] == "  dash 1      libc6 2.36"


def test_no_control_characters_on_the_terminal() -> None:
    found = read("autoconf", more=stanza("evil", "Version: 1\x1b[31m"))
    assert not [line for line in overview(found, list_hidden=True) if "\x1b" in line]


# Why


def told(found: Dependencies, name: str) -> list[str]:
    return [line.text for line in why.lines(why.explain(found, name), ">")]


def test_why_visible() -> None:
    found = read("debhelper-compat (= 13), automake")
    assert told(found, "autoconf") == [
        "autoconf 2.71 is visible",
        "  Build-Depends: automake > autoconf",
        "  Build-Depends: debhelper-compat (= 13) > debhelper > dh-autoreconf > autoconf",
        "  Build-Depends: debhelper-compat (= 13) > debhelper > tool > autoconf",
    ]
    assert why.explain(found, "autoconf").is_visible


def test_why_with_the_name_in_the_relation() -> None:
    assert told(read("debhelper (>= 13)"), "autoconf")[1] == (
        "  Build-Depends: debhelper (>= 13) > dh-autoreconf > autoconf"
    )
    assert told(read("gawk | awk"), "gawk")[1] == "  Build-Depends: gawk | awk > gawk"
    assert told(read("zlib [amd64]"), "zlib")[1] == "  Build-Depends: zlib [amd64]"


def test_why_declared_twice() -> None:
    assert told(read("debhelper, autoconf", indep="autoconf (>= 2)"), "autoconf") == [
        "autoconf 2.71 is visible",
        "  Build-Depends: autoconf",
        "  Build-Depends-Indep: autoconf (>= 2)",
        "  Build-Depends: debhelper > dh-autoreconf > autoconf",
        "  Build-Depends: debhelper > tool > autoconf",
    ]


def test_why_of_what_every_build_has() -> None:
    found = read("debhelper, libc6 (>= 2)")
    assert told(found, "dash") == ["dash 1 is visible", "  Essential: dash"]
    assert told(found, "libc6") == [
        "libc6 2.36 is visible",
        "  Essential: dash > libc6",
        "  Build-Depends: libc6 (>= 2)",
    ]
    assert told(found, "gcc")[1:] == ["  Build-Essential: build-essential:native > gcc"]


def test_why_has_an_end() -> None:
    users = "\n".join(stanza(f"user{number}", "Depends: zlib") for number in range(15))
    found = read(", ".join(f"user{number}" for number in range(15)), more=users)
    lines = told(found, "zlib")
    assert len(lines) == 2 + why.MOST
    assert lines[-1] == "  and 5 more"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("help2man", "help2man 1.49.3 is installed here but not declared: hidden"),
        ("help2man:amd64", "help2man 1.49.3 is installed here but not declared: hidden"),
        ("broken", "broken 3 is half-installed here, so nothing can depend on it: hidden"),
        ("gone", "gone is not installed"),
        ("zzz", "zzz is not installed"),
        ("autconf", "autconf is not installed; did you mean autoconf?"),
        ("debhelper-compta", "debhelper-compta is not installed; did you mean debhelper-compat?"),
        ("help2man:i386", "help2man:i386 is not installed for this architecture"),
        ("none", "none is not installed; Build-Depends: none | nothing (>= 2) asks for it"),
        ("nothing", "nothing is not installed; Build-Depends: none | nothing (>= 2) asks for it"),
        ("", " is not installed"),
        ("\x1b[31m", "\\x1b[31m is not installed"),
    ],
)
def test_why_not(name: str, text: str) -> None:
    found = read("debhelper, none | nothing (>= 2)")
    assert not why.explain(found, name).is_visible
    assert told(found, name) == [text]


def test_why_of_a_virtual_package() -> None:
    found = read("gawk")
    assert told(found, "awk") == [
        "awk is provided by gawk, mawk",
        "gawk 1 is visible",
        "  Build-Depends: gawk",
    ]
    assert why.explain(found, "awk").is_visible
    hidden = read("zlib")
    assert told(hidden, "awk") == [
        "awk is provided by gawk, mawk",
        "gawk 1 is installed here but not declared: hidden",
        "mawk 1 is installed here but not declared: hidden",
    ]
    assert not why.explain(hidden, "awk").is_visible


def test_why_of_two_architectures() -> None:
    found = read("same:i386", more=stanza("same", "Multi-Arch: same; Architecture: i386"))
    assert told(found, "same") == [
        "same:amd64 1 is installed here but not declared: hidden",
        "same:i386 1 is visible",
        "  Build-Depends: same:i386",
    ]
    assert why.explain(found, "same").is_visible
    assert why.explain(found, "same:any").is_visible
    assert why.explain(found, "same:i386").is_visible
    assert not why.explain(found, "same:amd64").is_visible


def test_hidden_package_whose_name_another_provides() -> None:
    found = read("newawk", more=stanza("newawk", "Provides: mawk"))
    assert told(found, "mawk") == [
        "mawk 1 is installed here but not declared: hidden",
        "mawk is provided by newawk",
        "newawk 1 is visible",
        "  Build-Depends: newawk",
    ]


# JSON


def test_json() -> None:
    found = read("debhelper, none (>= 2) | other", "-Pnodoc", conflicts="autoconf")
    document = json.loads(json.dumps(deps.as_json(found)))
    assert {key: value for key, value in document.items() if key not in ("packages", "hidden")} == {
        "version": 1,
        "source": {"name": "it", "version": "1-1", "tree": "/src/it"},
        "build_architecture": "amd64",
        "host_architecture": "amd64",
        "profiles": ["nodoc"],
        "missing": [
            {
                "parent": None,
                "field": "Build-Depends",
                "relation": "none (>= 2) | other",
                "why": ["not installed", "not installed"],
            }
        ],
        "conflicts": [{"field": "Build-Conflicts", "relation": "autoconf", "package": "autoconf:all"}],
        "remedy": "sudo apt-get build-dep -Pnodoc /src/it",
    }
    by_name = {item["name"]: item for item in document["packages"]}
    assert list(by_name)[:2] == ["dash", "libc6"]
    assert by_name["tool"] == {
        "name": "tool",
        "architecture": "amd64",
        "version": "1",
        "field": "Depends",
        "relation": "tool",
        "parent": "debhelper:all",
        "chain": ["debhelper:all", "tool:amd64"],
    }
    assert (by_name["debhelper"]["parent"], by_name["debhelper"]["chain"]) == (None, ["debhelper:all"])
    hidden = {item["name"]: item for item in document["hidden"]}
    assert hidden["broken"] == {
        "name": "broken",
        "architecture": "amd64",
        "version": "3",
        "state": "half-installed",
    }
    assert not hidden.keys() & by_name.keys()
    assert hidden.keys() | by_name.keys() == HOST.keys() - {"gone"}


def test_json_of_what_is_met_has_no_remedy() -> None:
    assert deps.as_json(read("debhelper"))["remedy"] is None
