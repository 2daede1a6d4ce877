"""Every option of dpkg-buildpackage, in every spelling of dpkg 1.21 and 1.22, and those of this machine's."""

from __future__ import annotations

import re
import shutil

import pytest

from bwbuild.deb.buildoptions import ALL, ANY, ROWS, SOURCE, SPELLINGS, BuildOptions, find, parse
from bwbuild.errors import UsageError
from bwbuild.process import run

#: What goes on to dpkg-buildpackage as it was typed.
PASSED = [
    "--pre-clean",
    "--post-clean",
    "--no-post-clean",
    "-tc",
    "-D",
    "--check-builddeps",
    "--ignore-builtin-builddeps",
    "--sanitize-env",
    "--rules-requires-root",
    "--as-root",
    "-j",
    "-j4",
    "-jauto",
    "-J",
    "-J4",
    "-Jauto",
    "--jobs",
    "--jobs=4",
    "--jobs=auto",
    "--jobs-try",
    "--jobs-try=4",
    "--jobs-try=auto",
    "--jobs-force",
    "--jobs-force=4",
    "--jobs-force=auto",
    "-Pnocheck",
    "-Pnocheck,cross",
    "--build-profiles=nocheck",
    "-R./rules",
    "-Rdebian/rules.alt",
    "--rules-file=debian/other",
    "--check-command=lintian",
    "--check-option=--pedantic",
    "--hook-init=a",
    "--hook-preclean=a",
    "--hook-source=a",
    "--hook-build=a",
    "--hook-binary=a",
    "--hook-buildinfo=a",
    "--hook-changes=a",
    "--hook-postclean=a",
    "--hook-check=a",
    "--hook-sign=a",
    "--hook-done=a",
    "--buildinfo-option=-x",
    "--buildinfo-file=../x.buildinfo",
    "--changes-option=-x",
    "--source-option=-x",
    "--buildinfo-id=x",
    "-si",
    "-sa",
    "-sd",
    "-sn",
    "-ss",
    "-sA",
    "-sk",
    "-su",
    "-sr",
    "-sK",
    "-sU",
    "-sR",
    "-sgpg",
    "-spgp",
    "-v1.0",
    "-Cnotes",
    "-E",
    "-W",
    "-mJoe",
    "--source-by=Joe",
    "--build-by=Joe",
    "-eJoe",
    "--release-by=Joe",
    "--changed-by=Joe",
    "-z9",
    "-Zxz",
    "--compression=xz",
    "--compression-level=9",
    "-i",
    "-i.*",
    "-I",
    "-I.git",
    "--diff-ignore",
    "--diff-ignore=.*",
    "--tar-ignore",
    "--tar-ignore=*.o",
    "-nc",
    "--no-pre-clean",
    "-d",
    "--no-check-builddeps",
    "-aarmhf",
    "--host-arch=armhf",
    "-tarm-linux-gnueabihf",
    "--host-type=x",
    "--target-arch=armhf",
    "--target-type=x",
    "-Tclean",
    "-Tclean,build",
    "--rules-target=clean",
    "--target=clean",
    "--admindir=/x",
    "-rfakeroot",
    "--root-command=fakeroot",
    "--changes-file=../x.changes",
    "-b",
    "-B",
    "-A",
    "-S",
    "-F",
    "-g",
    "-G",
    "--build=full",
    "--build=binary",
    "--build=any",
    "--build=all",
    "--build=source",
    "--build=source,all",
]

#: What bwbuild does itself: signing happens outside.
OWN = [
    "-us",
    "-ui",
    "-uc",
    "--unsigned-source",
    "--unsigned-buildinfo",
    "--unsigned-changes",
    "--no-sign",
    "--force-sign",
    "-kABCD",
    "--sign-key=ABCD",
    "--sign-keyid=ABCD",
    "-pgpg2",
    "--sign-command=gpg2",
    "--sign-backend=auto",
    "--sign-backend=gpg",
    "-ap",
    "--sign-pause",
    "--sign-pausa",
]

#: Options whose value may be the next word.
SEPARATE = [
    "-a",
    "--host-arch",
    "-t",
    "--host-type",
    "--target-arch",
    "--target-type",
    "-T",
    "--rules-target",
    "--target",
    "--admindir",
]


@pytest.mark.parametrize("word", PASSED)
def test_passes_on(word: str) -> None:
    assert parse([word]).passed == (word,)


@pytest.mark.parametrize("word", OWN)
def test_stays_here(word: str) -> None:
    words = [word, "-uc"] if word.startswith(("-us", "-ui", "--unsigned")) else [word]
    assert parse(words).passed == ()


@pytest.mark.parametrize("word", SEPARATE)
def test_value_may_be_the_next_word(word: str) -> None:
    assert parse([word, "value", "-b"]).passed == (word, "value", "-b")
    with pytest.raises(UsageError, match=f"{word} needs a value"):
        parse(["-b", word])


@pytest.mark.parametrize("word", [word for word in PASSED if not word.startswith(tuple(SEPARATE))])
def test_the_next_word_is_not_a_value(word: str) -> None:
    types = parse([word, "-d"])
    assert types.unchecked
    assert types.passed[-1] == "-d"


def test_all_keep_their_order() -> None:
    words = ["-i", "-I", "-b", "-j2", "-v1", "-d", "-Pnocheck"]
    assert parse(words).passed == tuple(words)


@pytest.mark.parametrize(
    ("word", "types"),
    [
        ("-b", {ANY, ALL}),
        ("-B", {ANY}),
        ("-A", {ALL}),
        ("-S", {SOURCE}),
        ("-F", {SOURCE, ANY, ALL}),
        ("-g", {SOURCE, ALL}),
        ("-G", {SOURCE, ANY}),
        ("--build=full", {SOURCE, ANY, ALL}),
        ("--build=binary", {ANY, ALL}),
        ("--build=any", {ANY}),
        ("--build=all", {ALL}),
        ("--build=source", {SOURCE}),
        ("--build=source,any", {SOURCE, ANY}),
        ("--build=any,all", {ANY, ALL}),
        ("-nc", {ANY, ALL}),
    ],
)
def test_types(word: str, types: set[str]) -> None:
    assert parse([word]).types == types


def test_type_names_are_those_of_dpkg() -> None:
    words = ("-F", "-b", "-B", "-A", "-S", "-g", "-G")
    assert [parse([word]).type_name for word in words] == [
        "full", "binary", "any", "all", "source", "source,all", "source,any"
    ]  # fmt: skip
    assert parse([]).type_name == "full"


def test_no_clean_keeps_a_type_that_was_typed() -> None:
    assert parse(["-nc", "-S"]).types == {SOURCE}
    assert parse(["-F", "-nc"]).types == {SOURCE, ANY, ALL}


@pytest.mark.parametrize("pair", [("-S", "-b"), ("-A", "-B"), ("-F", "--build=any"), ("--build=all", "-S")])
def test_two_types_contradict(pair: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="two build types"):
        parse(pair)


@pytest.mark.parametrize("pair", [("-S", "-S"), ("-b", "--build=any,all"), ("-F", "--build=full")])
def test_one_type_twice(pair: tuple[str, str]) -> None:
    assert parse(pair).passed == pair


def test_unknown_type() -> None:
    with pytest.raises(UsageError, match="unknown type 'everything'") as caught:
        parse(["--build=everything"])
    assert "full" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "sign"),
    [
        ([], None),
        (["-us", "-uc"], False),
        (["-uc"], False),
        (["--no-sign"], False),
        (["--force-sign"], True),
        (["-uc", "--force-sign"], True),
        (["--unsigned-source", "--unsigned-changes"], False),
    ],
)
def test_signing(words: list[str], sign: bool | None) -> None:
    assert parse(words).sign is sign


@pytest.mark.parametrize("words", [["-us"], ["-ui"], ["-us", "-ui"]])
def test_half_signed_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"unsigned .* under a signed"):
        parse(words)


def test_key_and_program() -> None:
    assert parse(["-kA", "-pB"]).sign_key == "A"
    assert parse(["-kA", "--sign-keyid=C"]).sign_key == "C"
    assert parse(["--sign-command=B"]).sign_program == "B"


@pytest.mark.parametrize("word", ["--sign-backend=sop", "--sign-keyfile=key.asc"])
def test_what_can_not_be_honoured_is_refused(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse([word])
    assert caught.value.hint


@pytest.mark.parametrize(
    "word", ["--changes-file=/etc/x", "--changes-file=../../x", "--changes-file=", "--changes-file=x/y"]
)
def test_changes_file_stays_in_the_parent(word: str) -> None:
    with pytest.raises(UsageError):
        parse([word])


def test_values() -> None:
    found = parse(
        ["-aarmhf", "-rfakeroot", "-Tclean,build", "-T", "binary", "-d", "-nc", "--changes-file=../x"]
    )
    assert (found.host_arch, found.root_command, found.changes_file) == ("armhf", "fakeroot", "x")
    assert found.targets == ("clean", "build", "binary")
    assert (found.unchecked, found.no_clean, found.makes_changes) == (True, True, False)


@pytest.mark.parametrize(
    "word",
    [
        "-x",
        "--frobnicate",
        "-jfoo",
        "-bB",
        "-buildpackage",
        "--build",
        "-sx",
        "-ncd",
        "",
        "tree",
        "--jobs=x",
        "-E1",
        "--targets",
        "--host-archx",
        "--target-archx=y",
        "--admindirx",
    ],
)
def test_unknown_options(word: str) -> None:
    assert find(word) is None
    with pytest.raises(UsageError):
        parse([word])


@pytest.mark.parametrize("word", ["-b\n", "-S\nx", "--force-sign\n"])
def test_line_breaks_do_not_hide_an_option(word: str) -> None:
    assert find(word) is None


def test_exact_words_win_over_prefixes() -> None:
    assert parse(["-tc"]).passed == ("-tc",)
    assert parse(["-ap"]).host_arch is None
    assert parse(["-tx86"]).passed == ("-tx86",)
    assert parse(["--target-arch=armhf", "--target-type=x"]).targets == ()
    assert parse(["--host-arch=armhf", "--host-type=x"]).host_arch == "armhf"


def test_architecture_in_file_names() -> None:
    assert parse(["-A"]).architecture("amd64") == "all"
    assert parse(["-S"]).architecture("amd64") == "source"
    assert parse([]).architecture("amd64") == "amd64"
    assert parse(["-aarmhf"]).architecture("amd64") == "armhf"
    assert parse(["-aarmhf", "-A"]).architecture("amd64") == "all"


def test_defaults_are_a_full_build() -> None:
    assert parse([]) == BuildOptions()


def test_every_row_has_spellings_that_find_it() -> None:
    for row in ROWS:
        assert row.spellings
        for spelling in row.spellings:
            values = ("", "1", "=1", "=auto", "x", "=x", "gpg", "=../x", "=gpg")
            assert any(row.pattern.fullmatch(spelling + value) for value in values), spelling


def test_help_of_this_machines_dpkg() -> None:
    """Whatever a newer dpkg adds must be told from a typing error."""
    if shutil.which("dpkg-buildpackage") is None:
        pytest.skip("dpkg-dev is not installed")
    text = run(["dpkg-buildpackage", "--help"], env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).text
    # An option's text begins after two spaces, or on the next line.
    heads = [re.split(r"(?<=\S)  ", line)[0] for line in text.splitlines() if re.match(r" {2,6}-", line)]
    words = {
        word.rstrip(",") for line in heads for word in re.findall(r"(?<!\S)--?[a-zA-Z?][a-zA-Z-]*", line)
    }
    assert len(words) > 60
    values = ("", "1", "x", "=x", "=1", "=full", "=gpg", "=../x", "=init")
    refused = {"--sign-keyfile"}
    for word in words - {"--help", "--version", "-?", "--hook-", "-s"} - refused:
        assert any(find(word + value) for value in values), word


def test_spellings_are_complete() -> None:
    typed = {re.match(r"-?-[a-zA-Z-]+", word)[0] for word in (*PASSED, *OWN)}  # type: ignore[index]
    long_words = {word for word in typed if word.startswith("--")}
    missing = {word for word in long_words if word not in SPELLINGS and not word.startswith("--hook")}
    assert missing <= {"--sign-pausa"}


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["--no-arch-all"], ("--build=source,any",)),
        (["--no-source"], ("--build=any,all",)),
        (["--arch-all", "--no-arch-any", "--no-source"], ("--build=all",)),
        (["--profiles", "nodoc,nocheck"], ("-Pnodoc,nocheck",)),
        (["--profiles=nodoc nocheck"], ("-Pnodoc,nocheck",)),
        (["--host=arm64"], ("-aarm64",)),
        (["--add-depends", "a (>= 1), b"], ()),
    ],
)
def test_names_of_sbuild(words: list[str], passed: tuple[str, ...]) -> None:
    assert parse(words).passed == passed


def test_names_of_sbuild_are_acted_on() -> None:
    made = parse(
        ["--profiles=nodoc", "--host=arm64", "--add-depends=a", "--add-conflicts=b", "--no-arch-all"]
    )
    assert (made.profiles, made.host_arch) == (("nodoc",), "arm64")
    assert made.added == (("Depends", "a"), ("Conflicts", "b"))
    assert made.types == {"source", "any"}
    assert made.architecture("amd64") == "arm64"


@pytest.mark.parametrize(
    "words", [["-b", "--no-arch-all"], ["--no-arch-all", "--no-arch-any", "--no-source"], ["--host"]], ids=str
)
def test_names_of_sbuild_that_contradict(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(words)


def test_extra_packages_and_repositories() -> None:
    words = ["--extra-package=a.deb", "--extra-repository", "deb http://deb.example.org ./", "-b"]
    options = parse([*words, "--extra-package", "dir", "--extra-repository-key=k"])
    assert options.extra == (
        ("package", "a.deb"),
        ("repository", "deb http://deb.example.org ./"),
        ("package", "dir"),
        ("repository-key", "k"),
    )
    assert options.passed == ("-b",)
