"""Hostile input to all that reads what a package wrote: the project's own errors or none, in bounded time."""

from __future__ import annotations

import json
import math
import signal
import tomllib
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_changes import BUILDINFO, CHANGES, DEB, DEBIAN, DSC, ORIG, buildinfo_text, changes_text, dsc_text

from bwbuild.build.record.escaping import Escaper, escape, visible
from bwbuild.build.scan import OutputScanner, shown
from bwbuild.config.layers import from_environment, from_toml, read_configuration
from bwbuild.deb import changes, clearsign, database, names, paragraph, relations, signature, source
from bwbuild.deb import dsc as dsc_files
from bwbuild.errors import BwbuildError, ConfigurationError, SourceError
from bwbuild.lookup.messages import MESSAGES
from bwbuild.lookup.search import find, wants
from bwbuild.permissions import asked, grants
from bwbuild.permissions.words import parse as parse_permission
from bwbuild.sandbox.pcap import Traffic

#: The same inputs in every run; other ones with ``--hypothesis-seed=N`` and without ``derandomize``.
settings.register_profile(
    "fuzz",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("fuzz")

#: Bytes of a line, or of a file, that a hostile package writes easily.
LONG = 100_000
#: Seconds of the processor for them; each is far below on an idle machine.
BOUND = 1.0
#: Bytes of what is too large for a package, but is read.
HUGE = 300_000
#: How many times the size of the input a parser may take at most, and what a read of the largest file takes.
MEMORY, READ = 40, 33 << 20

FILES = {DEB: b"binary", DSC: b"source"}
SOURCES = {ORIG: b"upstream", DEBIAN: b"packaging"}
STATUS = """\
Package: libfoo1
Status: install ok installed
Priority: optional
Architecture: amd64
Multi-Arch: same
Version: 1:2.0-1
Provides: libfoo (= 2.0), foo-api
Depends: libc6 (>= 2.36), bar | baz (<< 3~)
Description: does nothing
 Really.
"""
CONTROL = """\
Source: foo
Maintainer: Zoë Example <zoe@example.org>
Build-Depends: debhelper-compat (= 13), libfoo-dev (>= 2~) [amd64 !i386] <!nocheck> | bar,
# a comment
 python3:any

Package: foo
Architecture: any
Description: does nothing
 Really.
"""
CHANGELOG = """\
foo (1:1.0-1) unstable; urgency=medium, binary-only=yes

  * First.

 -- Zoë Example <zoe@example.org>  Thu, 01 Jan 2026 00:00:00 +0000
"""
SIGNED = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Format: 1.0
- -dashed
-----BEGIN PGP SIGNATURE-----
Comment: none

iHUEARYKAB0WIQ==
=abcd
-----END PGP SIGNATURE-----
"""
RELATIONS = "debhelper-compat (= 13), libfoo-dev:any (>= 2~) [amd64 !i386] <!nocheck> <x y> | bar, python3"
TOML = 'keep = "always"\ntimeout = "2h"\nworkspace-memory = 12\n[sign]\nkey = "x"\n'
OUTPUT = (
    b"   dh_auto_build -O--x\ncc -c a.c\na.c:1:10: fatal error: x11/nosuch.h: No such file or directory\n"
    b"make[1]: *** [Makefile:3: a.o] Error 1\nTraceback (most recent call last):\n  File 'x'\n"
    b"ModuleNotFoundError: No module named 'x'\n"
    b"\x1b[31mError: y\x1b[0m\r\nPackage 'nosuch', required by 'x', not found\n"
)
GNUPG = "[GNUPG:] GOODSIG 0123456789ABCDEF Zoë\n[GNUPG:] VALIDSIG 0123 2026-01-01\n[GNUPG:] NO_PUBKEY 0123\n"


@dataclass(frozen=True)
class Parser:
    """Something that reads text of strangers, and a text that it likes."""

    name: str
    call: Callable[[bytes, Path], object]
    sample: bytes

    def __str__(self) -> str:
        return self.name


def with_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def call(data: bytes, top: Path) -> object:
        path = top / name
        path.write_bytes(data)
        return read(path)

    return call


def with_text(read: Callable[[str], object]) -> Callable[[bytes, Path], object]:
    return lambda data, _: read(data.decode("utf-8", "surrogateescape"))


def tree_with(file: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """A source tree whose other files are as they should be."""

    def call(data: bytes, top: Path) -> object:
        (top / "tree/debian/source").mkdir(parents=True, exist_ok=True)
        for name, text in {
            "control": CONTROL,
            "changelog": CHANGELOG,
            "source/format": "3.0 (quilt)\n",
        }.items():
            (top / "tree/debian" / name).write_bytes(data if name == file else text.encode())
        return read(top / "tree")

    return call


def scan(data: bytes) -> object:
    scanner = OutputScanner(lambda _: None)
    scanner.feed(data)
    return scanner.excerpt()


def look_up(data: bytes) -> object:
    return find(wants(data.split(b"\n")), [("foo", "1", ["/usr/include/x11/nosuch.h", "/usr/bin/x"])])


def configure(text: str) -> object:
    with suppress(tomllib.TOMLDecodeError):
        return from_toml(tomllib.loads(text), "test")
    return None


def ask(text: str) -> object:
    """A database is read lazily: each of its answers reads a part."""
    found = database.parse_status(text)
    for package in found.packages.values():
        relations.parse("Depends", package.depends, "status")
    return database.installed(text)


PARSERS = [
    Parser("changes", with_file(CHANGES, changes.read_changes), changes_text(FILES).encode()),
    Parser("buildinfo", with_file(BUILDINFO, changes.read_buildinfo), buildinfo_text(FILES).encode()),
    Parser("dsc of a build", with_file(DSC, changes.read_dsc), dsc_text(FILES).encode()),
    Parser("dsc to build", with_file(DSC, dsc_files.read_dsc), dsc_text(SOURCES).encode()),
    Parser("control", tree_with("control", source.read_source), CONTROL.encode()),
    Parser("changelog", tree_with("changelog", source.read_source), CHANGELOG.encode()),
    Parser("source format", tree_with("source/format", source.read_source), b"3.0 (quilt)\n"),
    Parser("signed text", with_text(lambda text: clearsign.signed_text(text, "x")), SIGNED.encode()),
    Parser("answer of gpgv", with_text(signature.judge), GNUPG.encode()),
    Parser("relations", with_text(lambda text: relations.parse("Build-Depends", text)), RELATIONS.encode()),
    Parser("dpkg's status", with_text(ask), STATUS.encode()),
    Parser("artifact's name", with_text(names.check_artifact_name), DEB.encode()),
    Parser("name of a .deb", with_text(names.binary_file), DEB.encode()),
    Parser(
        "name in a .dsc", with_text(lambda name: names.is_source_file(name, "foo", "1-1")), b"foo_1.tar.gz"
    ),
    Parser("version", with_text(names.check_version), b"1:2.0-1~bpo12+1"),
    Parser("log", lambda data, _: escape(data), OUTPUT),
    Parser("line of the log", lambda data, _: (shown(data), visible(data)), OUTPUT),
    Parser("scanner", lambda data, _: scan(data), OUTPUT),
    Parser("messages", lambda data, _: look_up(data), OUTPUT),
    Parser("TOML", with_text(configure), TOML.encode()),
    Parser("variable", with_text(lambda text: from_environment({"BWBUILD_TIMEOUT": text})), b"1h30m"),
    Parser("size", with_text(lambda text: from_environment({"BWBUILD_WORKSPACE_MEMORY": text})), b"512M"),
]
every_parser = pytest.mark.parametrize("parser", PARSERS, ids=str)

#: On such pieces parsers stumble: frames, separators, blanks of all kinds, numbers without end.
PIECES = [
    *(b"\n", b"\n\n", b" ", b"\t", b"\r", b"\r\n", b"\0", b"\x1b[2J", b"\x0b", b"\x0c", b"\x1c", b"\x7f"),
    *(
        "\x85".encode(),
        "\u2028".encode(),
        "\u00a0".encode(),
        "\u0661".encode(),
        "\U0001f600".encode(),
        b"\xff",
        b"\xc2",
    ),
    *(
        b":",
        b",",
        b"|",
        b"(",
        b")",
        b"[",
        b"]",
        b"<",
        b">",
        b"=",
        b"!",
        b"#",
        b"-",
        b"- ",
        b".",
        b"..",
        b"/",
        b"../",
    ),
    *(b"'", b'"', b"`", b"$(x)", b"%s", b"{}", b"\\", b"*", b"?", b";", b"~", b"+", b"@", b"_", b"^"),
    *(
        b"0",
        b"-1",
        b"9" * 30,
        b"1e999",
        b"a",
        b"A",
        b"x" * 300,
        b"nan",
        b"Format: 1.8\n",
        b" .\n",
        b"Source:",
    ),
    *(
        b"-----BEGIN PGP SIGNED MESSAGE-----\n",
        b"-----BEGIN PGP SIGNATURE-----\n",
        b"-----END PGP SIGNATURE-----",
    ),
    *(b"[GNUPG:] ", b" -- ", b"error: ", b"No such file", b"not found", b"***"),
]
#: Runs of them, and what may stand before and behind a run so that it is what a pattern is about.
RUNS = [
    b"a",
    b"A",
    b"0",
    b" ",
    b"\t",
    b"\n",
    b"\r",
    b"-",
    b".",
    b"/",
    b"_",
    b":",
    b",",
    b"<",
    b"(",
    b"[",
    b"|",
    b"'",
    b'"',
]
RUNS += [
    b"a ",
    b"a-",
    b"a.",
    b" <",
    b"<>",
    b" <> ",
    b"a,",
    b"a: b\n",
    b" a\n",
    b"- ",
    b"a|",
    b"!",
    b"~",
    b"\xff",
    b"1/1 ",
]
RUNS += [
    b"-----BEGIN PGP SIGNATURE-----\n\n",
    b"a\n\n",
    b"error: ",
    b"not found ",
    b"\x1b[m",
    b"\xc2\x9b",
    b"9d",
    b"[[",
    b"a=[",
]


@st.composite
def edited(draw: st.DrawFn, sample: bytes) -> bytes:
    """``sample`` with some pieces put in, taken out, doubled or exchanged."""
    data = sample
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 0, 1, 2, 10, 80]))
        how = draw(st.sampled_from(["piece", "cut", "double", "bytes"]))
        middle = {
            "piece": draw(st.sampled_from(PIECES)),
            "cut": b"",
            "double": data[start : start + length] * 2,
            "bytes": draw(st.binary(max_size=8)),
        }[how]
        data = data[:start] + middle + data[start + length :]
    return data


def read(parser: Parser, data: bytes, top: Path) -> None:
    with suppress(BwbuildError):
        parser.call(data, top)


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@every_parser
def test_samples_are_read(parser: Parser, top: Path) -> None:
    """Else the edits would all be of texts that are refused at once."""
    parser.call(parser.sample, top)


@every_parser
def test_edited_text(parser: Parser, top: Path) -> None:
    @given(edited(parser.sample))
    def check(data: bytes) -> None:
        read(parser, data, top)

    check()


@every_parser
def test_pieces(parser: Parser, top: Path) -> None:
    @given(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))
    @settings(max_examples=25)
    def check(data: bytes) -> None:
        read(parser, data, top)

    check()


def untrusted() -> list[object]:
    """All but what the user alone writes."""
    found = []
    for parser in PARSERS:
        if parser.name not in ("TOML", "variable", "size"):
            found.append(pytest.param(parser, id=parser.name))
    return found


class TooLong(BaseException):
    """Nothing that is caught on its way."""


@contextmanager
def bounded() -> Iterator[None]:
    """By the processor's time, since other programs may keep the machine busy."""

    def too_long(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, BOUND)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("parser", untrusted())
def test_long_runs(parser: Parser, top: Path) -> None:
    for run in RUNS:
        long = run * (LONG // len(run))
        middle = len(parser.sample) // 2
        for data in (long, parser.sample + long, parser.sample[:middle] + long + parser.sample[middle:]):
            with bounded():
                read(parser, data, top)


@contextmanager
def frugal(most: int) -> Iterator[None]:
    """At most that many bytes at once."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most


#: What a package has that becomes a value as a whole.
DOCUMENTS = ("changes", "buildinfo", "dsc of a build", "dsc to build", "control", "changelog", "relations")
ASKING = Parser("what is asked for", lambda data, _: asked.requests(data), b"[[request]]\n" * 2)


@pytest.mark.parametrize(
    "parser", [*(parser for parser in PARSERS if parser.name in DOCUMENTS), ASKING], ids=str
)
def test_memory_grows_with_the_input_alone(parser: Parser, top: Path) -> None:
    read(parser, parser.sample, top)  # modules that are needed stay
    for run in (b"a", b" a\n", b"a: b\n", b"\n", b"a, ", b"a|", b"\xff"):
        data = parser.sample + run * (HUGE // len(run))
        with frugal(MEMORY * HUGE + (READ if parser.name in ("control", "changelog") else 0)):
            read(parser, data, top)


ENDLESS: list[tuple[str, Callable[[Path], object]]] = [
    (CHANGES, changes.read_changes),
    (DSC, changes.read_dsc),
    (DSC, dsc_files.read_dsc),
    (BUILDINFO, changes.read_buildinfo),
    ("tree/debian/control", lambda path: source.read_source(path.parents[1])),
    ("tree/debian/changelog", lambda path: source.read_source(path.parents[1])),
    ("tree/debian/bwbuild.toml", lambda path: asked.read(path.parents[1])),
]


@pytest.mark.parametrize(("name", "call"), ENDLESS, ids=range(len(ENDLESS)))
def test_files_without_end_are_refused(tmp_path: Path, name: str, call: Callable[[Path], object]) -> None:
    """They take no room on disk, and would take all memory."""
    tree_with("none", lambda tree: tree)(b"", tmp_path)
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(8 << 30)
    with bounded(), frugal(READ + (2 << 20)), pytest.raises(BwbuildError):
        call(path)


@pytest.mark.parametrize("run", [b" <", b" <>"])
def test_long_last_lines_of_a_changelog(top: Path, run: bytes) -> None:
    (parser,) = (parser for parser in PARSERS if parser.name == "changelog")
    with bounded():
        read(
            parser,
            parser.sample[: parser.sample.index(b" -- ")] + b" -- " + run * (LONG // len(run)) + b"\n",
            top,
        )


@pytest.mark.parametrize("line", [m.example for m in MESSAGES], ids=lambda line: line[:30])
def test_long_names_in_messages(line: str) -> None:
    """Every wording with its own words repeated, which is what is worst for its pattern."""
    words = line.split(" ")
    with bounded():
        for word in (line, f"{line} ", *(f"{word} " for word in words), *words):
            if word:
                look_up((line + word * (3000 // len(word))).encode())
                look_up((word * (3000 // len(word)) + line).encode())


# What must hold whatever is read


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_log_has_no_controls_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    escaper = Escaper()
    bounds = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    parts = [escaper.feed(data[start:end]) for start, end in pairwise(bounds)]
    found = b"".join(parts) + escaper.flush()
    assert found == escape(data)
    assert not [byte for byte in found if (byte < 0x20 and byte not in b"\t\n") or byte == 0x7F]
    text = found.decode("utf-8", "surrogateescape")
    assert not [c for c in text if 0x80 <= ord(c) < 0xA0 or 0xDC80 <= ord(c) < 0xDCA0]
    assert escape(found) == found


@given(
    st.lists(st.sampled_from([*PIECES, *OUTPUT.splitlines(keepends=True)]), max_size=20), st.integers(1, 50)
)
def test_scanner_sees_the_same_however_it_is_cut(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    scanner = OutputScanner(lambda _: None)
    for start in range(0, len(data), size):
        scanner.feed(data[start : start + size])
    assert scanner.excerpt() == scan(data)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(PIECES), max_size=6).map(lambda p: b"".join(p).decode("latin1"))
)
def test_names_of_artifacts_are_harmless(name: str) -> None:
    for spelt in (name, f"foo_{name}.deb", f"foo_1_{name}"):
        with suppress(BwbuildError):
            names.check_artifact_name(spelt)
            assert spelt.isascii()
            assert spelt.isprintable()
            assert len(spelt) <= 255
            assert spelt[0] not in "-."
            assert not set(spelt) & set(
                "/\\ \n\t'\"`$&|;<>()*?[]{}~!#%" if "~" not in spelt else "/ \n'\"`$;"
            )


FIELD = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_-]{0,10}\Z")
VALUE = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=20).filter(str.strip)


@given(
    st.lists(
        st.tuples(FIELD, VALUE, st.lists(VALUE, max_size=3)),
        min_size=1,
        max_size=5,
        unique_by=lambda f: f[0].lower(),
    )
)
def test_a_paragraph_is_read_as_it_was_written(fields: list[tuple[str, str, list[str]]]) -> None:
    text = "".join(
        f"{name}: {first}\n" + "".join(f" {line}\n" for line in rest) for name, first, rest in fields
    )
    found = paragraph.parse(text, "x")
    assert dict(found.fields) == {name.lower(): (first, *rest) for name, first, rest in fields}


@given(
    st.lists(st.text(st.characters(blacklist_categories=["Cc", "Cs"]), max_size=20), max_size=6).map(
        "\n".join
    )
)
def test_signed_text_comes_out_as_it_went_in(text: str) -> None:
    escaped = "\n".join("- " + line if line.startswith("-") else line for line in text.split("\n"))
    head, _, rest = SIGNED.partition("\n\n")
    frame = rest[rest.index("-----BEGIN PGP SIGNATURE") :]
    assert clearsign.signed_text(f"{head}\n\n{escaped}\n{frame}", "x") == text


@given(edited(RELATIONS.encode()))
def test_relations_mean_the_same_when_they_are_written_again(data: bytes) -> None:
    with suppress(BwbuildError):
        found = relations.parse("Depends", data.decode("utf-8", "replace"))
        again = ", ".join(map(relations.group_text, found))
        assert relations.parse("Depends", again) == found


@given(
    st.sampled_from([changes_text(FILES), dsc_text(FILES)]),
    st.integers(0, 10**14),
    st.sampled_from([DEB, DSC]),
)
def test_new_sums_change_nothing_else(text: str, size: int, name: str) -> None:
    new = changes.ChangesFile(name, size, "0" * 32, "1" * 40, "2" * 64)
    found = changes.with_sums(text, {name: new})
    differing = [
        (old, now) for old, now in zip(text.split("\n"), found.split("\n"), strict=True) if old != now
    ]
    assert len(differing) == 3
    assert all(now.endswith(f" {name}") and f" {size} " in now for _, now in differing)
    assert changes.with_sums(found, {name: new}) == found


@pytest.mark.parametrize("text", ["9" * 400, "9" * 400 + "d", "9" * 307 + "d", "9" * 5000])
def test_lengths_of_time_are_finite(text: str) -> None:
    try:
        (seconds,) = from_environment({"BWBUILD_TIMEOUT": text}).values.values()
    except BwbuildError:
        return
    assert isinstance(seconds, float)
    assert math.isfinite(seconds)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["keep", "timeout", "sign", "allow", "view", "scratch", "x", "base"]), JSON
    )
)
def test_settings_of_any_type(document: dict[str, Any]) -> None:
    with suppress(BwbuildError):
        from_toml(document, "test")


@pytest.mark.parametrize("text", ["keep = " + "[" * 3000, "a." * 3000 + "b = 1", "keep = " + "{a=" * 3000])
def test_deep_settings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(BwbuildError):
        read_configuration({}, {}, path)


TABLE = st.fixed_dictionaries(
    {},
    optional={
        "permission": st.one_of(
            st.text(max_size=50),
            st.integers(),
            st.sampled_from(["share=network", "filesystem=~/.ssh", "filesystem=/a/../b", "limit=memory:8G"]),
        ),
        "reason": st.one_of(st.text(max_size=600), st.lists(st.integers(), max_size=3)),
        "for": st.one_of(st.sampled_from(["build", "tests"]), st.text(max_size=5)),
        "required": st.one_of(st.booleans(), st.text(max_size=5)),
        "other": st.integers(),
    },
)


@given(st.lists(TABLE, max_size=5))
def test_what_a_source_asks_for(tables: list[dict[str, Any]]) -> None:
    """Whatever stands there is refused by name, or a request that can be shown as it is."""
    text = "".join(
        "[[request]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for table in tables
    )
    with suppress(SourceError):
        for request in asked.requests(text.encode("utf-8", "surrogatepass")):
            assert request.reason.isprintable()
            assert str(request).isprintable()
            assert parse_permission(str(request.permission)) == request.permission


@given(st.binary(max_size=2000))
def test_bytes_that_ask(data: bytes) -> None:
    with suppress(SourceError):
        asked.requests(data)


@given(st.text(max_size=100))
def test_any_text_as_a_permission(text: str) -> None:
    with suppress(ValueError):
        found = parse_permission(text)
        assert str(found).isprintable()
        assert ".." not in str(found.value).split("/")
        assert parse_permission(str(found)) == found


@pytest.mark.parametrize(
    "content",
    [b"a." * 2000 + b"b = 1\n", b"a = " + b"[\n" * 20000, b"[" + b"a." * 2000 + b"b]\n" * 15, b'"' * 60000],
)
def test_slow_files_that_ask(content: bytes) -> None:
    with bounded(), suppress(SourceError):
        asked.requests(content)


@given(st.binary(max_size=3000), st.integers(1, 500))
def test_any_traffic(data: bytes, step: int) -> None:
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")
    record = len(data).to_bytes(4, "little")
    stream = head + bytes(8) + record + record + data
    traffic = Traffic()
    for place in range(0, len(stream), step):
        traffic.feed(stream[place : place + step])
    for name in traffic.contacts.names:
        assert name.isprintable()


@given(st.binary(max_size=500))
def test_any_file_of_grants(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("grants") / grants.NAME
    path.write_bytes(data)
    path.chmod(0o600)
    with suppress(ConfigurationError):
        grants.load(path)
