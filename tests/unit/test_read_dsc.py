"""A .dsc and the files beside it, read as a stranger's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from made_changes import DEBIAN, DSC, ORIG, dsc_text, lists, sums

from bwbuild.deb.clearsign import signed_text
from bwbuild.deb.dsc import check_files, read_dsc
from bwbuild.deb.paragraph import MAX_SIZE
from bwbuild.errors import OutputError, SourceError

FILES = {ORIG: b"upstream\n" * 1000, DEBIAN: b"debian\n" * 100}
HEAD = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n"
ARMOR = "\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n=abcd\n-----END PGP SIGNATURE-----\n"


def text(**fields: str) -> str:
    """A true .dsc; ``fields`` gives other values of its head, or more of them (``_`` for ``-``)."""
    found = dsc_text(FILES)
    for name, value in fields.items():
        field = name.replace("_", "-")
        lines = [line for line in found.split("\n") if not line.startswith(f"{field}: ")]
        found = "\n".join([f"{field}: {value}", *lines])
    return found


def write(tmp_path: Path, content: str | bytes) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / DSC
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(tmp_path: Path, content: str | bytes) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read_dsc(write(tmp_path, content))
    assert caught.value.message.isprintable()
    assert caught.value.hint
    return caught.value


def test_what_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, text(Build_Depends="debhelper (>= 13), aa | bb <!nocheck>"))
    dsc = read_dsc(path)
    assert (dsc.path, dsc.name, dsc.version, dsc.format) == (path, "foo", "1:1.0-1", "3.0 (quilt)")
    assert (dsc.file_name, dsc.directory, dsc.signed) == (DSC, "foo-1.0", False)
    assert {name: (file.size, file.sha256) for name, file in dsc.files.items()} == {
        name: (len(data), sums(data)[2]) for name, data in FILES.items()
    }
    assert dsc.relations == {"Build-Depends": "debhelper (>= 13), aa | bb <!nocheck>"}
    assert dsc.as_source().job == str(path)


def test_relations_may_take_several_lines(tmp_path: Path) -> None:
    dsc = read_dsc(write(tmp_path, "Build-Depends: aa,\n bb (>= 1),\n cc\n" + text()))
    assert dsc.relations["Build-Depends"].split() == ["aa,", "bb", "(>=", "1),", "cc"]


def test_signed_one_is_read_without_its_frame(tmp_path: Path) -> None:
    dsc = read_dsc(write(tmp_path, HEAD + text() + ARMOR))
    assert dsc.signed
    assert dsc.text.rstrip("\n") == text().rstrip("\n")
    assert "PGP" not in dsc.text
    assert signed_text(dsc.data.decode(), DSC) + "\n" == dsc.text


@pytest.mark.parametrize(
    "content",
    [
        "before\n" + HEAD + text() + ARMOR,
        "\n" + HEAD + text() + ARMOR,
        text() + HEAD + text() + ARMOR,
        HEAD + text() + ARMOR + "after\n",
        HEAD + text() + ARMOR + text(),
        HEAD + text() + ARMOR + HEAD + text() + ARMOR,
        HEAD + text() + "\n" + text() + ARMOR,
        HEAD + text(),
        text() + ARMOR,
        text() + "\n" + text(),
    ],
)
def test_there_is_one_way_to_understand_it(tmp_path: Path, content: str) -> None:
    refused(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cut off or empty"),
        (b"\xff\n", "not UTF-8"),
        (text() + "X: \x1b[2J\n", "control character"),
        (text().replace("\n", "\r\n"), "control character"),
        (text()[:-1], "cut off"),
        (text() + "Format: 1.0\n", "twice"),
        (text() + f"X: {'y' * MAX_SIZE}\n", "larger than"),
        (text(Format="3.0 (git)"), "3.0 (git) are not unpacked"),
        (text(Format="9.9"), "9.9 are not unpacked"),
        (text(Format="x"), "no format"),
        (text(Source="../foo"), "name"),
        (text(Source="Foo"), "name"),
        (text(Version="1/2"), "version"),
        (text(Version="../1"), "version"),
        (text(Build_Depends="a b c ("), "foo_1.0-1.dsc: Build-Depends"),
        ("Format: 1.0\nSource: foo\nVersion: 1\n", "files is missing"),
    ],
)
def test_malformed(tmp_path: Path, content: str | bytes, words: str) -> None:
    assert words in refused(tmp_path, content).message


@pytest.mark.parametrize("section", ["Files", "Checksums-Sha1", "Checksums-Sha256"])
def test_each_section_must_be_there(tmp_path: Path, section: str) -> None:
    content = text().replace(f"{section}:", f"X-{section}:")
    assert f"{section.lower()} is missing" in refused(tmp_path, content).message


@pytest.mark.parametrize("section", [1, 2, 3])
def test_sections_that_disagree(tmp_path: Path, section: int) -> None:
    parts = text().split(f"{len(FILES[ORIG])} {ORIG}")
    parts[section - 1 : section + 1] = [f"{parts[section - 1]}77 {ORIG}{parts[section]}"]
    assert f"the size of {ORIG}" in refused(tmp_path, f"{len(FILES[ORIG])} {ORIG}".join(parts)).message
    parts = text().split(ORIG)
    parts[section - 1 : section + 1] = [parts[section - 1] + ORIG.replace("gz", "xz") + parts[section]]
    assert "is listed, but not in" in refused(tmp_path, ORIG.join(parts)).message


@pytest.mark.parametrize(
    "name",
    [
        f"../{ORIG}",
        f"/tmp/{ORIG}",
        f"./{ORIG}",
        f"x/{ORIG}",
        "..",
        "-x",
        "/etc/passwd",
        "bar_1.0.orig.tar.gz",
        "foo_2.0.orig.tar.gz",
        "foo_1:1.0-1.debian.tar.xz",
        "foo_1.0-1.dsc",
        "foo_1.0-1_amd64.deb",
        "foo_1.0-1.tar.xz\u00a0",
        "foo_1.0-1.debian.tar.xz $(id)",
        "foo_1.0.orig-" + "a" * 300 + ".tar.gz",
        "foo_1.0.git",
    ],
)
def test_hostile_names(tmp_path: Path, name: str) -> None:
    head = dsc_text({}).partition("Checksums")[0]
    assert "no file of foo 1:1.0-1" in refused(tmp_path, head + lists({name: b"x"}, "Files")).message


@pytest.mark.parametrize(
    "name",
    [
        "foo_1.0.orig.tar.gz",
        "foo_1.0.orig.tar.xz.asc",
        "foo_1.0.orig-some-part.tar.bz2",
        "foo_1.0-1.tar.gz",
        "foo_1.0-1.diff.gz",
        "foo_1.0-1.debian.tar.zst",
    ],
)
def test_names_of_the_archive(tmp_path: Path, name: str) -> None:
    head = dsc_text({}).partition("Checksums")[0]
    assert list(read_dsc(write(tmp_path, head + lists({name: b"x"}, "Files"))).files) == [name]


def test_missing_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no"):
        read_dsc(tmp_path / DSC)
    os.mkfifo(tmp_path / DSC)
    with pytest.raises(SourceError, match="not a plain file"):
        read_dsc(tmp_path / DSC)
    (tmp_path / DSC).unlink()
    (tmp_path / DSC).symlink_to("/dev/zero")
    with pytest.raises(SourceError, match="not a plain file"):
        read_dsc(tmp_path / DSC)
    (tmp_path / DSC).unlink()
    (tmp_path / DSC).mkdir()
    with pytest.raises(SourceError, match="not a plain file"):
        read_dsc(tmp_path / DSC)


def test_files_are_compared_and_copied(tmp_path: Path) -> None:
    dsc = read_dsc(write(tmp_path, text()))
    check_files(dsc)
    copies = tmp_path / "copies"
    copies.mkdir()
    check_files(dsc, copies)
    assert {path.name: path.read_bytes() for path in copies.iterdir()} == FILES
    with pytest.raises(OutputError, match="File exists"):
        check_files(dsc, copies)
    with pytest.raises(OutputError, match="No such file"):
        check_files(dsc, tmp_path / "missing")


def test_link_to_the_right_file_is_followed(tmp_path: Path) -> None:
    path = write(tmp_path, text())
    (tmp_path / "tarballs").mkdir()
    (tmp_path / ORIG).rename(tmp_path / "tarballs" / ORIG)
    (tmp_path / ORIG).symlink_to(f"tarballs/{ORIG}")
    check_files(read_dsc(path))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", "is missing, which foo_1.0-1.dsc lists"),
        ("dangling", "is missing, which foo_1.0-1.dsc lists"),
        ("truncated", "is cut off: it has 699 bytes, foo_1.0-1.dsc says 700"),
        ("longer", "is too long"),
        ("changed", "its SHA256 sum is another one"),
        ("fifo", "is not a plain file"),
        ("device", "is not a plain file"),
        ("directory", "is not a plain file"),
        ("terabyte", "is too long"),
    ],
)
def test_files_that_are_not_what_is_listed(tmp_path: Path, how: str, words: str) -> None:
    dsc = read_dsc(write(tmp_path, text()))
    path = tmp_path / DEBIAN
    data = FILES[DEBIAN]
    if how in ("missing", "dangling", "fifo", "device", "directory"):
        path.unlink()
    match how:
        case "dangling":
            path.symlink_to("nowhere")
        case "truncated":
            path.write_bytes(data[:-1])
        case "longer":
            path.write_bytes(data + b"x")
        case "changed":
            path.write_bytes(b"D" + data[1:])
        case "fifo":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "directory":
            path.mkdir()
        case "terabyte":
            os.truncate(path, 1 << 40)
    with pytest.raises(SourceError) as caught:
        check_files(dsc)
    assert words in caught.value.message
    assert "get it again" in caught.value.hint


@pytest.mark.parametrize(("index", "kind"), [(0, "MD5"), (1, "SHA1"), (2, "SHA256")])
def test_every_sum_counts(tmp_path: Path, index: int, kind: str) -> None:
    right = sums(FILES[ORIG])[index]
    wrong = "0" * len(right)
    dsc = read_dsc(write(tmp_path, text().replace(right, wrong)))
    with pytest.raises(SourceError, match=f"its {kind} sum is another one") as caught:
        check_files(dsc)
    assert caught.value.details == (f"found: {right}", f"expected: {wrong}")
