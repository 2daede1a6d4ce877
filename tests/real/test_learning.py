"""``bwbuild learn`` finds planted dependencies in real sources of many languages, and calls no other unused.

In each source two packages are planted, which the test makes itself: ``planted-unused``, of which nothing is
used, and ``planted-through``, which takes the place of a real dependency and only depends on it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builds
import chroots
import pytest
from support import discard

from bwbuild.deb.less import without
from bwbuild.process import run

pytestmark = pytest.mark.real

LIST = Path(__file__).with_name("learned_packages")
#: Nothing of debhelper's needs a planted one.
CONTROL = "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n"


@dataclass(frozen=True, slots=True)
class Planted:
    """A row of the list."""

    name: str
    language: str
    replaced: str
    unused: frozenset[str]


def rows() -> Iterator[Planted]:
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if words := line.partition("#")[0].split():
            yield Planted(words[0], words[1], words[2], frozenset(words[3:]) - {"-"})


ROWS = list(rows())


def made(directory: Path, name: str, depends: str = "") -> Path:
    """A package that has a program, or only depends on another."""
    root = directory / name
    (root / "DEBIAN").mkdir(parents=True)
    text = CONTROL.format(name=name) + (f"Depends: {depends}\n" if depends else "")
    (root / "DEBIAN/control").write_text(f"{text}Description: planted\n", encoding="ascii")
    if not depends:
        (root / "usr/bin").mkdir(parents=True)
        (root / "usr/bin/planted").write_text("#!/bin/sh\n", encoding="ascii")
        (root / "usr/bin/planted").chmod(0o755)
    file = directory / f"{name}.deb"
    run(["dpkg-deb", "--root-owner-group", "-b", root, file])
    return file


def plant(row: Planted, directory: Path) -> Path:
    """The tree of the source with both planted."""
    dsc = next(iter(sorted((builds.directory() / row.name).glob("*.dsc"))), None)
    if dsc is None:
        pytest.skip(f"{row.name} was not fetched: tests/real/prepare USER {row.name}")
    tree = directory / "tree"
    run(["dpkg-source", "--no-check", "-x", dsc, tree])
    for original in dsc.parent.glob("*.orig*"):
        shutil.copy(original, directory)
    control = tree / "debian/control"
    text = control.read_text(encoding="utf-8")
    replaced = re.compile(rf"(?<![\w.+-]){re.escape(row.replaced)}(?![\w.+-])[^,\n]*")
    head, end, rest = text.partition("\n\n")
    # A field, and the lines that go on with it.
    fields = re.split(r"\n(?=[^\s#])", head)
    for number, field in enumerate(fields):
        if field.lower().startswith("build-depends") and replaced.search(field):
            fields[number] = replaced.sub("planted-through", field, count=1)
            break
    else:
        pytest.fail(f"{row.name} does not declare {row.replaced}")
    name = re.compile(r"^(Build-Depends: *)", re.IGNORECASE)
    fields = [name.sub(r"\1planted-unused, ", field) for field in fields]
    head = "\n".join(fields)
    assert "planted-unused" in head
    control.write_text(head + end + rest, encoding="utf-8")
    return tree


def learned(row: Planted, top: Path, *words: str) -> tuple[Path, dict[str, Any]]:
    """The tree, and what was learned of it on a base of this machine's release."""
    tree = plant(row, top)
    debs = [made(top, "planted-unused"), made(top, "planted-through", row.replaced)]
    options = [word for deb in debs for word in ("--extra-package", deb)]
    real = builds.directory()
    scratch = top / "scratch"
    command = [
        *builds.command(),
        "learn",
        "-b",
        "--json",
        "--quiet",
        "-d",
        chroots.codename(),
        *options,
        *words,
    ]
    environment = {**builds.ENVIRONMENT, "HOME": str(top), "PYTHONPATH": str(builds.ROOT)}
    try:
        done = run(
            [*command, "--cache", real / "cache", "--scratch", scratch],
            cwd=tree,
            env=environment,
            check=False,
        )
    finally:
        discard(scratch)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-6000:]
    place = real / row.name / "learned.json"
    place.write_bytes(done.stdout)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return tree, found


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_planted_dependencies_are_found(row: Planted, tmp_path: Path) -> None:
    _, found = learned(row, tmp_path)
    uses = {entry["relation"]: entry["use"] for entry in found["entries"]}
    assert uses.pop("planted-unused") == "never opened"
    assert uses.pop("planted-through") == "through others"
    unused = {relation.split()[0] for relation, use in uses.items() if use == "never opened"}
    assert unused == row.unused
    through = [item for item in found["transitive"] if item["through"].startswith("planted-through:")]
    assert [item for item in through if not item["perhaps"]], through


@pytest.mark.parametrize("name", ["hello", "libtry-tiny-perl"])
def test_the_change_of_trim_builds_under_sbuild(name: str, tmp_path: Path) -> None:
    (row,) = (row for row in ROWS if row.name == name)
    tree, found = learned(row, tmp_path, "--trim")
    change = found["trim"]["change"]
    assert re.search(r"^[-+].*planted-unused", change, re.MULTILINE)
    run(["patch", "-p1"], cwd=tree, stdin=change.encode())
    kept = (tree / "debian/control").read_text(encoding="utf-8")
    assert "planted-unused" not in without(kept, lambda *_: False)
    suite = chroots.codename()
    words = ["--chroot-mode=unshare", f"--chroot={chroots.chroot(suite)}", f"--dist={suite}", "--arch-all"]
    words += ["--no-source", "--no-run-lintian", "--no-run-piuparts", "--no-run-autopkgtest", "--nolog"]
    words += [f"--extra-package={tmp_path / 'planted-through.deb'}", f"--build-dir={tmp_path}"]
    environment = {**builds.ENVIRONMENT, "HOME": str(tmp_path)}
    run(["dpkg-source", "-b", "tree"], cwd=tmp_path)
    (dsc,) = tmp_path.glob("*.dsc")
    done = run(["sbuild", *words, dsc], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.text[-6000:]


def test_hello_builds_with_what_was_learned_to_the_same_bits(tmp_path: Path) -> None:
    """On this machine, with a profile of fewer than 1,500 files."""
    dsc = builds.dsc("hello")
    if dsc is None:
        pytest.skip("hello was not fetched: tests/real/prepare USER hello")
    tree = tmp_path / "tree"
    run(["dpkg-source", "--no-check", "-x", dsc, tree])
    environment = {**builds.ENVIRONMENT, "HOME": str(tmp_path), "PYTHONPATH": str(builds.ROOT)}
    count = "find /usr /etc /var ! -type d 2>/dev/null | wc -l"
    look = "sub w { my ($d) = @_; opendir(my $h, $d) or return; for (readdir $h) { next if /^[.][.]?$/;"
    look += ' my $p = "$d/$_"; -l $p || !-d _ ? $n++ : w($p) } } w($_) for qw(/usr /etc /var); print $n'
    sums = {}
    try:
        run([*builds.command(), "learn", "-b", "--quiet"], cwd=tree, env=environment)
        for view in ("declared", "learned"):
            output = tmp_path / view
            output.mkdir()
            words = ["-b", "--no-sign", "--quiet", "--view", view, "--output", output]
            run([*builds.command(), *words], cwd=tree, env=environment)
            sums[view] = {deb.name: deb.read_bytes() for deb in output.glob("*.deb")}
        inside = ["run", "-b", "--view", "learned", "--", "perl", "-e", look]
        files = int(run([*builds.command(), *inside], cwd=tree, env=environment).text)
        whole = int(
            run([*builds.command(), "run", "-b", "--", "sh", "-c", count], cwd=tree, env=environment).text
        )
    finally:
        discard(tmp_path / ".cache/bwbuild/scratch")
    assert sums["declared"] == sums["learned"]
    assert files < 1500 < whole
