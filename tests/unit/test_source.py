from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from made_plans import SOURCE
from support import CHANGELOG, CONTROL, ROOT, make_tree

from bwbuild.deb.source import (
    find_tree,
    orig_tarballs,
    parse_control,
    read_source,
    survey,
    version_control,
)
from bwbuild.errors import SourceError

Tree = Callable[..., Path]
PACKAGES = ROOT / "testpkgs"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


def test_reads(tree: Path) -> None:
    found = read_source(tree)
    assert (found.name, found.version, found.distribution) == ("tiny", "1", "unstable")
    assert found.changed_by == "The bwbuild developers <bwbuild@example.org>"
    assert (found.format, found.binaries, found.extra_fields) == ("3.0 (native)", ("tiny",), ())


@pytest.mark.parametrize(
    ("version", "upstream", "file_version", "directory"),
    [
        ("1", "1", "1", "tiny-1"),
        ("1.2-3", "1.2", "1.2-3", "tiny-1.2"),
        ("2:1.2-3", "1.2", "1.2-3", "tiny-1.2"),
        ("1.2~rc1+dfsg-3~bpo12+1", "1.2~rc1+dfsg", "1.2~rc1+dfsg-3~bpo12+1", "tiny-1.2~rc1+dfsg"),
        ("1-2-3", "1-2", "1-2-3", "tiny-1-2"),
    ],
)
def test_versions(version: str, upstream: str, file_version: str, directory: str) -> None:
    source = replace(SOURCE, version=version)
    assert (source.upstream, source.file_version, source.directory) == (upstream, file_version, directory)


@pytest.mark.parametrize("version", ["../1", "1/2", "1 2", "-1", "1:", "a", "1\u00e4", "1:2:3_"])
def test_versions_that_could_be_paths(tree: Path, version: str) -> None:
    (tree / "debian/changelog").write_text(CHANGELOG.format(name="tiny", version=version))
    with pytest.raises(SourceError):
        read_source(tree)


@pytest.mark.parametrize("name", ["../x", "X", "-x", "a", "x/y", "x y", ".x", "$(x)", "t\u00efny"])
def test_names_that_could_be_paths(tree: Path, name: str) -> None:
    (tree / "debian/changelog").write_text(CHANGELOG.format(name=name, version="1"))
    (tree / "debian/control").write_text(CONTROL.format(name=name, gain_root="no"))
    with pytest.raises(SourceError):
        read_source(tree)


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"garbage\n", b"tiny (1) unstable; urgency=medium\n", b"\xff\xfe\x00", b"tiny 1\n\n  * x\n"],
)
def test_broken_changelogs(tree: Path, text: bytes) -> None:
    (tree / "debian/changelog").write_bytes(text)
    with pytest.raises(SourceError) as caught:
        read_source(tree)
    assert "debian/changelog" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n",
        b"# only a comment\n",
        b"Package: tiny\n",
        b" continued: before any field\n",
        b"Source: tiny\nno colon\n",
        b"Source: tiny\nwith space: x\n",
        b"Source: tiny\n: nothing\n",
        b"Source: \xff\n",
    ],
)
def test_broken_control_files(tree: Path, text: bytes) -> None:
    (tree / "debian/control").write_bytes(text)
    with pytest.raises(SourceError) as caught:
        read_source(tree)
    assert "debian/control" in caught.value.message


def test_another_name_in_control(tree: Path) -> None:
    (tree / "debian/control").write_text(CONTROL.format(name="other", gain_root="no"))
    with pytest.raises(SourceError, match="says Source: other, debian/changelog says tiny"):
        read_source(tree)


@pytest.mark.parametrize("name", ["changelog", "control"])
@pytest.mark.parametrize("kind", ["missing", "directory", "broken link", "unreadable"])
def test_files_that_can_not_be_read(tree: Path, name: str, kind: str) -> None:
    file = tree / "debian" / name
    if kind == "unreadable" and os.getuid() == 0:
        pytest.skip("root reads everything")
    if kind == "unreadable":
        file.chmod(0)
    else:
        file.unlink()
        if kind == "directory":
            file.mkdir()
        elif kind == "broken link":
            file.symlink_to("nowhere")
    with pytest.raises(SourceError, match=f"debian/{name}"):
        read_source(tree)


def test_extra_fields(tree: Path) -> None:
    control = tree / "debian/control"
    fields = ("XSBC-Original-Maintainer", "XS-Only-Dsc", "XC-Mine", "X-None", "XB-Deb", "xc-low")
    text = "Source: tiny\n" + "".join(f"{field}: x\n" for field in fields)
    control.write_text(text + "\nPackage: tiny\nXBC-Of-Package: x\n")
    assert read_source(tree).extra_fields == ("Mine", "Of-Package", "Original-Maintainer", "low")


def test_binaries(tree: Path) -> None:
    control = tree / "debian/control"
    control.write_text("Source: tiny\n\n# comment\nPackage: a1\n\n\nPackage: b2\nDescription: x\n y\n\n")
    assert read_source(tree).binaries == ("a1", "b2")


@pytest.mark.parametrize(("text", "found"), [("3.0 (quilt)\n", "3.0 (quilt)"), ("", "1.0"), (None, "1.0")])
def test_format(tree: Path, text: str | None, found: str) -> None:
    file = tree / "debian/source/format"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    assert read_source(tree).format == found


def test_format_that_is_no_text(tree: Path) -> None:
    (tree / "debian/source/format").write_bytes(b"\xff")
    with pytest.raises(SourceError):
        read_source(tree)


# find_tree


def test_finds_the_tree_above(tree: Path) -> None:
    deep = tree / "a" / "b"
    deep.mkdir(parents=True)
    assert find_tree(deep) == find_tree(tree) == tree


def test_the_nearest_tree_counts(tree: Path) -> None:
    inner = make_tree(tree / "vendor" / "inner")
    assert find_tree(inner / "debian") == inner


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has debian/changelog"):
        find_tree(tmp_path)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_start_that_is_no_directory(tmp_path: Path, kind: str) -> None:
    start = tmp_path / kind
    if kind == "file":
        start.write_text("x")
    with pytest.raises(SourceError, match="is not a directory"):
        find_tree(start)


# What is beside and in it


def test_orig_tarballs(tmp_path: Path, tree: Path) -> None:
    wanted = [
        "tiny_1.0.orig.tar.xz",
        "tiny_1.0.orig.tar.gz.asc",
        "tiny_1.0.orig-part.tar.bz2",
        "tiny_1.0.orig.tar.gz",
    ]
    others = [
        "tiny_1.1.orig.tar.xz",
        "tinyx_1.0.orig.tar.xz",
        "tiny_1.0.orig.tar.xz.old",
        "tiny_1.0.debian.tar.xz",
    ]
    for name in (*wanted, *others):
        (tmp_path / name).write_text("x")
    (tmp_path / "tiny_1.0.orig-dir.tar.xz").mkdir()
    (tmp_path / "tiny_1.0.orig-broken.tar.xz").symlink_to("nowhere")
    (tmp_path / "elsewhere").write_text("x")
    (tmp_path / "tiny_1.0.orig-link.tar.xz").symlink_to("elsewhere")
    found = orig_tarballs(replace(SOURCE, tree=tree))
    assert list(found) == sorted([*wanted, "tiny_1.0.orig-link.tar.xz"])


def test_version_control(tree: Path) -> None:
    assert version_control(tree) == ()
    (tree / ".git").write_text("gitdir: elsewhere\n")
    (tree / ".svn").mkdir()
    (tree / ".hg").symlink_to("nowhere")
    (tree / "sub").mkdir()
    (tree / "sub" / ".bzr").mkdir()
    assert version_control(tree) == (".git", ".hg", ".svn")


def test_foreign_file(tree: Path) -> None:
    uid, gid = tree.stat().st_uid, tree.stat().st_gid
    ours = frozenset({range(uid, uid + 1)}), frozenset({range(gid, gid + 1)})
    nobody: frozenset[range] = frozenset()
    assert survey(tree, *ours).foreign is None
    assert survey(tree, nobody, ours[1]).foreign == tree
    assert survey(tree, ours[0], nobody).foreign == tree


def test_size_of_a_tree(tree: Path) -> None:
    everybody = frozenset({range(1 << 32)})
    before = survey(tree, everybody, everybody).size
    (tree / "large").write_bytes(b"x" * 300_000)
    (tree / "sparse").touch()
    os.truncate(tree / "sparse", 1 << 40)
    assert 300_000 <= survey(tree, everybody, everybody).size - before < 400_000


def test_foreign_file_in_version_control_does_not_matter(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    scandir = os.scandir

    def watched(path: str):  # type: ignore[no-untyped-def]
        looked.append(path)
        return scandir(path)

    (tree / ".git" / "objects").mkdir(parents=True)
    (tree / "sub" / ".git").mkdir(parents=True)
    (tree / "link").symlink_to("/")
    monkeypatch.setattr(os, "scandir", watched)
    everybody = frozenset({range(1 << 32)})
    assert survey(tree, everybody, everybody).foreign is None
    inside = {os.path.relpath(path, tree) for path in looked}
    assert inside == {".", "debian", "debian/source", "sub", "sub/.git"}


def test_closed_directories_are_passed_over(tree: Path) -> None:
    (tree / "closed").mkdir(mode=0)
    everybody = frozenset({range(1 << 32)})
    try:
        assert survey(tree, everybody, everybody).foreign is None
    finally:
        (tree / "closed").chmod(0o700)


@pytest.mark.parametrize("control", sorted(PACKAGES.glob("*/tree/debian/control")), ids=lambda p: p.parts[-4])
def test_control_is_read_as_python_debian_reads_it(control: Path) -> None:
    from debian.deb822 import Deb822  # noqa: PLC0415

    def words(stanzas: Iterable[Mapping[str, str]]) -> list[dict[str, list[str]]]:
        return [{field: value.split() for field, value in stanza.items()} for stanza in stanzas if stanza]

    text = control.read_text(encoding="utf-8")
    if control.parts[-4] == "broken-control":
        with pytest.raises(SourceError, match="expected 'Field: value'"):
            parse_control(text, "control")
    else:
        expected = words(Deb822.iter_paragraphs(text, use_apt_pkg=False))
        assert words(parse_control(text, "control")) == expected


@pytest.mark.parametrize(
    "text",
    ["Source: x\nSource: y\n", " lonely\n", "No colon\n", "Fie ld: x\n", ": x\n", "Source: x\n\n more\n"],
)
def test_control_that_can_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="control:"):
        parse_control(text, "control")


def test_names_of_fields_may_be_in_any_case(tree: Path) -> None:
    control = tree / "debian" / "control"
    text = control.read_text().replace("Source:", "source:").replace("Package:", "PACKAGE:")
    control.write_text(text.replace("Build-Depends: python3", "Build-depends: one"))
    found = read_source(tree)
    assert (found.name, found.binaries, found.relations) == ("tiny", ("tiny",), {"Build-Depends": "one"})


def test_a_field_twice_in_other_cases() -> None:
    with pytest.raises(SourceError, match="stands twice"):
        parse_control("Source: a\nsource: b\n", "control")
