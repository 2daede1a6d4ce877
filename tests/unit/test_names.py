from __future__ import annotations

import pytest

from bwbuild.deb import names
from bwbuild.errors import VerificationError

GOOD_ARTIFACTS = [
    "hello_2.10-3_amd64.deb",
    "hello-dbgsym_2.10-3_amd64.ddeb",
    "libc6-udeb_2.36-9+deb12u4_amd64.udeb",
    "hello_2.10-3.dsc",
    "hello_2.10-3_amd64.changes",
    "hello_2.10-3_amd64.buildinfo",
    "hello_2.10.orig.tar.gz",
    "hello_2.10.orig.tar.gz.asc",
    "hello_2.10~rc1+dfsg.orig-some-Part.tar.xz",
    "hello_2.10-3.debian.tar.xz",
    "hello_2.10-3.diff.gz",
    "hello_2.10.tar.zst",
    "hello_2.10-3_amd64_translations.tar.gz",
    "debian-installer-images_20230607_amd64.tar.gz",
    "win32-loader_0.10.6_all.exe",
    "0ad_0.0.26-3_amd64.deb",
]

BAD_ARTIFACTS = [
    "",
    ".",
    "..",
    "../hello_1_all.deb",
    "sub/hello_1_all.deb",
    "/etc/hello_1_all.deb",
    ".hello_1_all.deb",
    "-k_1_all.deb",
    "--re-sign_1.changes",
    "hello_1_all.deb\n",
    "hello_1_all\n.deb",
    "hello_1_\x1b[31m.deb",
    "hello_1_all .deb",
    "hello_1_'all'.deb",
    'hello_1_"all".deb',
    "hello_1_$(id).deb",
    "hello_1_`id`.deb",
    "hello_1_;id.deb",
    "hello_1_*.deb",
    "hello_1_\\.deb",
    "hello_1:1_all.deb",
    "héllo_1_all.deb",
    "hello_1_all.dеb",  # noqa: RUF001 - a Cyrillic letter
    "hello_1_all.deb\0",
    "hello_" + "1" * 300 + "_all.deb",
    "hello_1_all.sh",
    "hello_1_all.desktop",
    "hello_1_all",
    "hello.deb",
    "Makefile_1.mk",
    "Hello_1_all.deb",
    "_1_all.deb",
    "%2e%2e_1_all.deb",
]


@pytest.mark.parametrize("name", GOOD_ARTIFACTS)
def test_artifact_names_of_debian_pass(name: str) -> None:
    names.check_artifact_name(name)


@pytest.mark.parametrize("name", BAD_ARTIFACTS)
def test_hostile_artifact_names_are_refused(name: str) -> None:
    with pytest.raises(VerificationError) as caught:
        names.check_artifact_name(name)
    assert caught.value.message.isprintable()
    assert caught.value.message.isascii()
    assert caught.value.hint


def test_longest_artifact_name() -> None:
    name = "hello_" + "1" * (255 - len("hello_") - len(".deb")) + ".deb"
    names.check_artifact_name(name)
    with pytest.raises(VerificationError, match="256 characters"):
        names.check_artifact_name("h" + name)


@pytest.mark.parametrize("name", ["hello", "0ad", "g++-12", "libfoo2.0", "a+"])
def test_package_names(name: str) -> None:
    names.check_source_name(name)
    names.check_binary_name(name)


@pytest.mark.parametrize(
    "name", ["", "a", "Hello", "-a", "+a", "a_b", "a b", "a\n", "hello\n", "a/b", "ä1", "a" * 256]
)
def test_bad_package_names(name: str) -> None:
    with pytest.raises(VerificationError):
        names.check_source_name(name)
    with pytest.raises(VerificationError):
        names.check_binary_name(name)


@pytest.mark.parametrize("version", ["1", "1.0-1", "2:1.0~rc1+dfsg-1.1+b2", "1-2-3", "0"])
def test_versions(version: str) -> None:
    names.check_version(version)


@pytest.mark.parametrize(
    "version", ["", "a1", ":1", "a:1", "1:", "1.0\n", "1 0", "1/0", "1_0", "1:2:3", "-1", "\u0661"]
)
def test_bad_versions(version: str) -> None:
    with pytest.raises(VerificationError, match="is no version"):
        names.check_version(version)


def test_architectures() -> None:
    for good in ("amd64", "all", "source", "kfreebsd-amd64"):
        names.check_architecture(good)
    for bad in ("", "-all", "amd64\n", "AMD64", "a b", "a_b"):
        with pytest.raises(VerificationError):
            names.check_architecture(bad)


@pytest.mark.parametrize(
    ("version", "file_version", "upstream"),
    [("1.0", "1.0", "1.0"), ("2:1.0-1", "1.0-1", "1.0"), ("1.0-rc1-1+b1", "1.0-rc1-1+b1", "1.0-rc1")],
)
def test_parts_of_a_version(version: str, file_version: str, upstream: str) -> None:
    assert names.without_epoch(version) == file_version
    assert names.upstream_version(version) == upstream


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("foo_1.0.orig.tar.gz", True),
        ("foo_1.0.orig.tar.xz.asc", True),
        ("foo_1.0.orig-docs.tar.bz2", True),
        ("foo_1.0.orig-do-cs.tar.zst.asc", True),
        ("foo_1.0.orig-.tar.gz", False),
        ("foo_1x0.orig.tar.gz", False),
        ("foo_1.0-1.debian.tar.xz", False),
        ("foo_1.0.tar.gz", False),
        ("foobar_1.0.orig.tar.gz", False),
        ("foo_1.0.orig.tar.gz\n", False),
        ("foo_1.0.orig.tar", False),
    ],
)
def test_orig_tarballs(name: str, is_one: bool) -> None:
    assert names.is_orig_tarball(name, "foo", "1.0") is is_one


def test_orig_tarball_of_a_name_with_special_characters() -> None:
    assert names.is_orig_tarball("a++_1.0+x.orig.tar.gz", "a++", "1.0+x")


def test_binary_file() -> None:
    assert names.binary_file("foo-dbgsym_1.0-1_amd64.ddeb") == ("foo-dbgsym", "1.0-1", "amd64")
    assert names.binary_file("foo_1.0-1.dsc") is None
    assert names.binary_file("foo_1.0_1_amd64.deb") is None


def test_printable_hides_what_a_terminal_obeys() -> None:
    assert names.printable("a\x1b[31m\udcff\u202e") == "'a\\x1b[31m\\udcff\\u202e'"
    assert len(names.printable("x" * 1000)) == 100
