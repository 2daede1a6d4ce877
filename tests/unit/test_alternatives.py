"""Alternatives: the links chosen here are the ones that the real update-alternatives makes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bwbuild.errors import HostError
from bwbuild.root.alternatives import LINKS, Chosen, Group, Link, best, choose, parse, public_links, text

EDITOR = """\
manual
/usr/bin/editor
editor.1.gz
/usr/share/man/man1/editor.1.gz
editor.de.1.gz
/usr/share/man/de/man1/editor.1.gz

/bin/ed
-100
/usr/share/man/man1/ed.1.gz

/usr/bin/vim.basic
30
/usr/share/man/man1/vim.1.gz
/usr/share/man/de/man1/vim.1.gz

"""
#: Choices as arguments of update-alternatives: path, priority, slaves.
CHOICES = (
    ("opt/best", 90, {"x.1": "opt/best.1", "extra": "opt/extra"}),
    ("opt/first", 50, {"x.1": "opt/first.1"}),
    ("opt/second", 50, {"y.1": "opt/second.1", "x.1": "opt/gone.1"}),
    ("opt/worst", -5, {}),
)


def normalise(path: str) -> str:
    return "/usr" + path if path.startswith("/bin/") else path


def chosen(*visible: str, groups: Iterable[Group] | None = None) -> Chosen:
    return choose(groups or [parse("editor", EDITOR)], frozenset(visible).__contains__, normalise)


def test_parse() -> None:
    group = parse("editor", EDITOR)
    assert group.master == Link("editor", "/usr/bin/editor")
    assert [slave.name for slave in group.slaves] == ["editor.1.gz", "editor.de.1.gz"]
    assert [(choice.path, choice.priority) for choice in group.choices] == [
        ("/bin/ed", -100),
        ("/usr/bin/vim.basic", 30),
    ]
    assert group.choices[0].slaves == ("/usr/share/man/man1/ed.1.gz", "")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "always\n/usr/bin/editor\n\n\n",
        "auto\nusr/bin/editor\n\n\n",
        "auto\n/usr/bin/editor\neditor.1.gz\n",
        EDITOR.replace("-100", "low"),
        EDITOR.rstrip("\n"),
        EDITOR.replace("30\n", "30\n\n"),
    ],
)
def test_what_does_not_parse_names_the_file(wrong: str) -> None:
    with pytest.raises(HostError, match="/var/lib/dpkg/alternatives/editor"):
        parse("editor", wrong)


def test_only_visible_choices_count() -> None:
    ed = chosen("/usr/bin/ed", "/usr/share/man/man1/ed.1.gz")
    assert ed.links == {
        "/etc/alternatives/editor": "/bin/ed",
        "/usr/bin/editor": "/etc/alternatives/editor",
        "/etc/alternatives/editor.1.gz": "/usr/share/man/man1/ed.1.gz",
        "/usr/share/man/man1/editor.1.gz": "/etc/alternatives/editor.1.gz",
    }
    assert ed.absent == {"/usr/share/man/de/man1/editor.1.gz"}
    assert set(ed.files) == {"editor"}
    assert "vim" not in ed.files["editor"]
    assert "editor.de.1.gz" not in ed.files["editor"]


def test_a_slave_needs_its_file() -> None:
    both = chosen("/usr/bin/ed", "/usr/bin/vim.basic", "/usr/share/man/de/man1/vim.1.gz")
    assert both.links["/etc/alternatives/editor"] == "/usr/bin/vim.basic"
    assert "/usr/share/man/de/man1/editor.1.gz" in both.links
    assert both.absent == {"/usr/share/man/man1/editor.1.gz"}


def test_a_group_without_visible_choice_does_not_exist() -> None:
    none = chosen("/usr/share/man/man1/ed.1.gz")
    assert not none.links
    assert not none.files
    assert none.absent == {
        "/usr/bin/editor",
        "/usr/share/man/man1/editor.1.gz",
        "/usr/share/man/de/man1/editor.1.gz",
    }


def test_a_link_of_another_group_is_not_absent() -> None:
    other = parse("ed", "auto\n/bin/editor\n\n/usr/bin/ed\n1\n\n")
    both = chosen("/usr/bin/ed", groups=[other, parse("editor", EDITOR.replace("/bin/ed\n", "/opt/ed\n"))])
    assert both.links["/usr/bin/editor"] == "/etc/alternatives/ed"
    assert "/usr/bin/editor" not in both.absent


def test_public_links_lead_to_the_best_choice() -> None:
    none = parse("pager", "auto\n/usr/bin/pager\n\n\n")
    assert public_links([parse("editor", EDITOR), none], lambda path: path.replace("/usr/bin", "/bin")) == {
        "/bin/editor": "/usr/bin/vim.basic",
        "/usr/share/man/man1/editor.1.gz": "/usr/share/man/man1/vim.1.gz",
        "/usr/share/man/de/man1/editor.1.gz": "/usr/share/man/de/man1/vim.1.gz",
    }
    ed = parse("editor", EDITOR.replace("-100", "100"))
    assert public_links([ed]) == {
        "/usr/bin/editor": "/bin/ed",
        "/usr/share/man/man1/editor.1.gz": "/usr/share/man/man1/ed.1.gz",
    }


@dataclass(frozen=True)
class Real:
    """The real update-alternatives below a directory, with files and links of its own."""

    root: Path

    @property
    def prefix(self) -> str:
        return f"{self.root}/"

    def run(self, *arguments: str) -> str:
        command = ["update-alternatives", "--admindir", f"{self.root}/db", "--altdir", f"{self.root}/links"]
        return subprocess.run(
            [*command, "--log", "/dev/null", *arguments],
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        ).stdout

    def clean(self) -> None:
        for name in ("db", "links", "bin"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            (self.root / name).mkdir()

    def install(self, names: Iterable[str]) -> None:
        for path, priority, slaves in CHOICES:
            if path in names:
                more = [
                    part
                    for name, file in slaves.items()
                    for part in ("--slave", f"{self.prefix}bin/{name}", name, self.prefix + file)
                ]
                self.run("--install", f"{self.prefix}bin/x", "x", self.prefix + path, str(priority), *more)

    def links(self) -> dict[str, str]:
        found = [path for name in ("links", "bin") for path in (self.root / name).iterdir()]
        return {
            str(path).replace(f"{self.root}/links", LINKS): str(path.readlink()).replace(
                f"{self.root}/links", LINKS
            )
            for path in found
        }


@pytest.fixture
def real(tmp_path: Path) -> Real:
    (tmp_path / "opt").mkdir()
    names = [name for path, _, slaves in CHOICES for name in (path, *slaves.values())]
    for name in names:
        if name != "opt/gone.1":
            (tmp_path / name).touch()
    found = Real(tmp_path)
    found.clean()
    return found


@pytest.mark.parametrize(
    "hidden", [(), ("best",), ("best", "first"), ("best", "worst"), ("first", "second"), ("best", "extra")]
)
def test_update_alternatives_would_have_chosen_the_same(real: Real, hidden: tuple[str, ...]) -> None:
    names = [path for path, _, _ in CHOICES]
    real.install(names)
    group = parse("x", (real.root / "db/x").read_text())
    assert text(group) == (real.root / "db/x").read_text()
    for name in hidden:
        (real.root / "opt" / name).unlink()

    found = choose([group], lambda path: Path(path).exists())

    real.clean()
    real.install([name for name in names if (real.root / name).exists()])
    assert found.links == real.links()
    assert found.files == {"x": (real.root / "db/x").read_text()}
    public = {real.prefix + "bin/" + name for name in ("x", "x.1", "y.1", "extra")}
    assert found.absent == public - found.links.keys()


def test_a_tie_goes_to_the_first_whatever_was_installed_first(real: Real) -> None:
    real.install(["opt/second"])
    real.install(["opt/first"])
    # A link that exists would win the tie: in the view there is none before.
    (real.root / "links/x").unlink()
    real.run("--auto", "x")
    found = choose([parse("x", (real.root / "db/x").read_text())], lambda path: Path(path).exists())
    assert found.links == real.links()
    assert found.links[f"{LINKS}/x"] == f"{real.prefix}opt/first"


def test_the_choice_of_the_user_does_not_count(real: Real) -> None:
    real.install(path for path, _, _ in CHOICES)
    real.install(["opt/best"])
    real.run("--set", "x", f"{real.prefix}opt/worst")
    content = (real.root / "db/x").read_text()
    assert content.startswith("manual")
    found = choose([parse("x", content)], lambda path: Path(path).exists())
    assert found.links[f"{LINKS}/x"] == f"{real.prefix}opt/best"
    real.run("--auto", "x")
    assert found.links == real.links()


def test_update_alternatives_reads_the_files(real: Real) -> None:
    real.install(path for path, _, _ in CHOICES)
    group = parse("x", (real.root / "db/x").read_text())
    (real.root / "opt/best").unlink()
    found = choose([group], lambda path: Path(path).exists())
    real.clean()
    (real.root / "db/x").write_text(found.files["x"])
    for path, target in found.links.items():
        Path(path.replace(LINKS, f"{real.root}/links")).symlink_to(
            target.replace(LINKS, f"{real.root}/links")
        )
    lines = real.run("--query", "x").splitlines()
    value = f"{real.prefix}opt/first"
    assert {"Status: auto", f"Best: {value}", f"Value: {value}"} <= set(lines)
    assert [line for line in lines if line.startswith("Alternative:")] == [
        f"Alternative: {real.prefix}opt/{name}" for name in ("first", "second", "worst")
    ]
    assert best(parse("x", found.files["x"])).path == value
