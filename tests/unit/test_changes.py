from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from debian.deb822 import Changes
from made_changes import (
    BUILDINFO,
    CHANGES,
    DEB,
    DSC,
    ORIG,
    buildinfo_text,
    changes_text,
    dsc_text,
    lists,
    sums,
    true_files,
)

from bwbuild.deb.changes import ChangesFile, read_buildinfo, read_changes, read_dsc, with_sums
from bwbuild.errors import VerificationError

FILES = {DEB: b"binary", DSC: b"source"}


def write(tmp_path: Path, text: str | bytes, name: str = CHANGES) -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(tmp_path: Path, text: str | bytes, name: str = CHANGES) -> VerificationError:
    read = {".dsc": read_dsc, ".buildinfo": read_buildinfo, ".changes": read_changes}[Path(name).suffix]
    with pytest.raises(VerificationError) as caught:
        read(write(tmp_path, text, name))
    assert caught.value.message.isprintable()
    return caught.value


def test_a_true_changes(tmp_path: Path) -> None:
    changes = read_changes(write(tmp_path, changes_text(FILES)))
    assert (changes.source, changes.version, changes.distribution) == ("foo", "1:1.0-1", "unstable")
    assert changes.architectures == ("source", "amd64")
    assert changes.changed_by == "Zoë Example <zoe@example.org>"
    assert changes.format == "1.8"
    assert changes.files == (ChangesFile(DEB, 6, *sums(b"binary")), ChangesFile(DSC, 6, *sums(b"source")))
    assert changes.listed(".dsc") == changes.files[1]
    assert changes.listed(".buildinfo") is None


def test_what_python_debian_reads_is_the_same(tmp_path: Path) -> None:
    text = changes_text(true_files())
    theirs, ours = Changes(text), read_changes(write(tmp_path, text))
    assert [(e["name"], int(e["size"]), e["md5sum"]) for e in theirs["Files"]] == [
        (f.name, f.size, f.md5) for f in ours.files
    ]
    assert [(e["name"], e["sha256"]) for e in theirs["Checksums-Sha256"]] == [
        (f.name, f.sha256) for f in ours.files
    ]
    assert (theirs["Source"], theirs["Changed-By"]) == (ours.source, ours.changed_by)


def test_binary_only_upload_has_the_source_version_in_source(tmp_path: Path) -> None:
    text = changes_text(FILES, Source="foo (1:1.0-1)", Version="1:1.0-1+b1")
    changes = read_changes(write(tmp_path, text))
    assert (changes.source, changes.version) == ("foo", "1:1.0-1+b1")


def test_without_changed_by_the_maintainer_counts(tmp_path: Path) -> None:
    text = changes_text(FILES).replace("Changed-By: Zoë Example <zoe@example.org>\n", "")
    assert read_changes(write(tmp_path, text)).changed_by == "Zoë Example <zoe@example.org>"


@pytest.mark.parametrize(
    "source", ["foo (", "foo (1.0", "foo ()", "Foo", "foo bar", "../foo", "foo (1.0) x", "foo (a)"]
)
def test_malformed_source(tmp_path: Path, source: str) -> None:
    refused(tmp_path, changes_text(FILES, Source=source))


@pytest.mark.parametrize(
    "frame", ["-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n", "-----BEGIN PGP SIGNATURE-----\n"]
)
@pytest.mark.parametrize(
    ("name", "text"),
    [(CHANGES, changes_text(FILES)), (DSC, dsc_text(FILES)), (BUILDINFO, buildinfo_text(FILES))],
)
def test_signed_already(tmp_path: Path, name: str, text: str, frame: str) -> None:
    assert "signed it already" in refused(tmp_path, frame + text, name).message
    assert "signed it already" in refused(tmp_path, text + frame, name).message


@pytest.mark.parametrize("field", ["Files", "files", "CHECKSUMS-SHA256", "Source", "version"])
def test_a_field_twice(tmp_path: Path, field: str) -> None:
    error = refused(tmp_path, changes_text(FILES) + f"{field}: x\n")
    assert "twice" in error.message
    assert field in error.message


def test_unknown_field(tmp_path: Path) -> None:
    text = changes_text(FILES) + "Checksums-Sha512:\n 00 1 x\n"
    assert "checksums-sha512" in refused(tmp_path, text).message
    path = write(tmp_path, changes_text(FILES, Own="yes"))
    with pytest.raises(VerificationError, match="'own' is unknown"):
        read_changes(path)
    assert read_changes(path, extra={"Own"}).source == "foo"


def test_unknown_field_of_a_buildinfo(tmp_path: Path) -> None:
    assert "'own'" in refused(tmp_path, buildinfo_text(FILES) + "Own: x\n", BUILDINFO).message


@pytest.mark.parametrize("form", ["1.7", "1.9", "1.8 ", "3.0 (quilt)", "1.8\n 1.8"])
def test_format(tmp_path: Path, form: str) -> None:
    assert "format" in refused(tmp_path, changes_text(FILES, Format=form)).message


@pytest.mark.parametrize("field", ["Format", "Source", "Version", "Architecture", "Distribution"])
def test_missing_field(tmp_path: Path, field: str) -> None:
    lines = [line for line in changes_text(FILES).split("\n") if not line.startswith(f"{field}:")]
    assert field.lower() in refused(tmp_path, "\n".join(lines)).message


@pytest.mark.parametrize("section", ["Files", "Checksums-Sha1", "Checksums-Sha256"])
def test_missing_section(tmp_path: Path, section: str) -> None:
    text = changes_text(FILES)
    start = text.index(f"{section}:\n")
    end = start + len(section) + 2
    while text[end : end + 1] == " ":
        end = text.index("\n", end) + 1
    assert section.lower() in refused(tmp_path, text[:start] + text[end:]).message
    assert "empty" in refused(tmp_path, text[:start] + f"{section}:\n" + text[end:]).message


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_name_in_two_sections_only(tmp_path: Path, index: int) -> None:
    line = [line for line in changes_text(FILES).split("\n") if line.endswith(DEB)][index]
    assert DEB in refused(tmp_path, changes_text(FILES).replace(line + "\n", "")).message


@pytest.mark.parametrize("index", [0, 1, 2])
def test_contradictory_sizes(tmp_path: Path, index: int) -> None:
    line = [line for line in changes_text(FILES).split("\n") if line.endswith(DEB)][index]
    error = refused(tmp_path, changes_text(FILES).replace(line, line.replace(" 6 ", " 7 ")))
    assert "size" in error.message
    assert DEB in error.message


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_name_twice_in_a_section(tmp_path: Path, index: int) -> None:
    line = [line for line in changes_text(FILES).split("\n") if line.endswith(DEB)][index]
    assert "twice" in refused(tmp_path, changes_text(FILES).replace(line, line + "\n" + line)).message


@pytest.mark.parametrize(
    "wrong",
    [
        lambda line: line.upper(),
        lambda line: line.replace(line[1], "g", 1),
        lambda line: " " + line[2:],
        lambda line: " 0" + line[1:],
        lambda line: line.replace(" 6 ", " 06 "),
        lambda line: line.replace(" 6 ", " -6 "),
        lambda line: line.replace(" 6 ", " 6e3 "),
        lambda line: line.replace(" 6 ", " ٦ "),
        lambda line: line.replace(" 6 ", " " + "9" * 40 + " "),
        lambda line: line.replace(" 6 ", "  6 "),
        lambda line: line.replace(" 6 ", "\t6 "),
        lambda line: line + " ",
        lambda line: line + "\u00a0",
        lambda line: " " + line,
    ],
)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_malformed_lines(tmp_path: Path, index: int, wrong: Callable[[str], str]) -> None:
    line = [line for line in changes_text(FILES).split("\n") if line.endswith(DEB)][index]
    refused(tmp_path, changes_text(FILES).replace(line, wrong(line)))


@pytest.mark.parametrize(
    "name",
    [
        "../foo_1_all.deb",
        "/foo_1_all.deb",
        "a b_1.deb",
        "$(id)_1.deb",
        "-f_1.deb",
        "x" * 300,
        ".",
        "foo_1_all.sh",
    ],
)
def test_hostile_names(tmp_path: Path, name: str) -> None:
    refused(tmp_path, changes_text({name: b"x"}))
    refused(tmp_path, dsc_text({name: b"x"}), DSC)
    refused(tmp_path, buildinfo_text({name: b"x"}), BUILDINFO)


@pytest.mark.parametrize(
    ("names", "suffix"),
    [
        (["foo_1.dsc", "foo_2.dsc"], ".dsc"),
        (["foo_1_a.buildinfo", "foo_1_b.buildinfo"], ".buildinfo"),
        (["foo_1_a.changes"], ".changes"),
    ],
)
def test_too_many_documents(tmp_path: Path, names: list[str], suffix: str) -> None:
    assert suffix in refused(tmp_path, changes_text(dict.fromkeys(names, b"x"))).message


@pytest.mark.parametrize("character", ["\0", "\r", "\x0b", "\x0c", "\x1b", "\x1c", "\x7f", "\x85", "\x9b"])
def test_control_characters(tmp_path: Path, character: str) -> None:
    text = changes_text(FILES).replace("First", f"Fi{character}rst")
    error = refused(tmp_path, text)
    assert f"U+{ord(character):04X}" in error.message
    assert f"line {text[: text.index(character)].count(chr(10)) + 1}" in error.message


def test_tabs_and_other_languages_are_fine(tmp_path: Path) -> None:
    read_changes(write(tmp_path, changes_text(FILES).replace("First", "First\t日本語 \u2028 ב")))


def test_not_utf_8(tmp_path: Path) -> None:
    assert "UTF-8" in refused(tmp_path, changes_text(FILES).encode("latin-1")).message


@pytest.mark.parametrize("blank", ["\n", " \n", "\t\n", " \t \n", "\u00a0\n", " \u3000\n"])
def test_two_paragraphs(tmp_path: Path, blank: str) -> None:
    refused(tmp_path, changes_text(FILES) + blank + changes_text(FILES))
    refused(tmp_path, changes_text(FILES).replace("Files:\n", f"{blank}Files:\n"))
    refused(tmp_path, blank + changes_text(FILES))


@pytest.mark.parametrize(
    "line", ["# comment", "Field", "\tcontinued", "Über: x", ": x", "Field:x", "-Field: x", "Fi eld: x"]
)
def test_lines_that_are_no_field(tmp_path: Path, line: str) -> None:
    assert "neither" in refused(tmp_path, changes_text(FILES).replace("Urgency: medium", line)).message


def test_continuation_before_any_field(tmp_path: Path) -> None:
    assert "neither" in refused(tmp_path, " x\n" + changes_text(FILES)).message


@pytest.mark.parametrize("text", ["", "\n", "x", changes_text(FILES)[:-1]])
def test_empty_or_cut_off(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text)


def test_too_large(tmp_path: Path) -> None:
    text = changes_text(FILES, Binary="x" * (1 << 20))
    assert "larger" in refused(tmp_path, text).message


def test_list_on_the_line_of_its_name(tmp_path: Path) -> None:
    text = changes_text(FILES).replace("Files:\n ", "Files: ")
    assert "begins on the line" in refused(tmp_path, text).message


def test_dsc_and_buildinfo(tmp_path: Path) -> None:
    files = true_files()
    dsc = read_dsc(write(tmp_path, files[DSC], DSC))
    assert dsc.files[0] == ChangesFile(ORIG, len(files[ORIG]), *sums(files[ORIG]))
    buildinfo = read_buildinfo(write(tmp_path, files[BUILDINFO], BUILDINFO))
    assert [file.name for file in buildinfo.files] == [DSC, DEB]
    assert (buildinfo.source, buildinfo.version) == ("foo", "1:1.0-1")


@pytest.mark.parametrize("form", ["4", "3.0 (quilt", "3.0(quilt)", "quilt"])
def test_dsc_format(tmp_path: Path, form: str) -> None:
    refused(tmp_path, dsc_text(FILES).replace("3.0 (quilt)", form), DSC)


def test_buildinfo_format(tmp_path: Path) -> None:
    refused(tmp_path, buildinfo_text(FILES).replace("1.0\n", "1.1\n", 1), BUILDINFO)


def test_sums_are_put_in_where_they_belong_only() -> None:
    text = changes_text(FILES) + f"Original-Maintainer: 0 1 {DSC}\n"
    new = dict(FILES) | {DSC: b"signed source"}
    described = {DSC: ChangesFile(DSC, 13, *sums(b"signed source"))}
    assert with_sums(text, described) == changes_text(new) + f"Original-Maintainer: 0 1 {DSC}\n"
    assert with_sums(text, {}) == text
    assert with_sums(lists(FILES, "Checksums-Md5"), described) == lists(new, "Checksums-Md5")
