"""What is said of a traced build: what of its events is kept, and what that means for its dependencies."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bwbuild.build.learn import links, profile, words
from bwbuild.build.learn.analyse import Asked, Evidence, Facts, Use, judge
from bwbuild.build.learn.files import Files, interpreter
from bwbuild.build.learn.owners import Used
from bwbuild.build.learn.profile import Subject
from bwbuild.build.learn.seen import MOST_OTHERS, Collector, Seen, Tried
from bwbuild.build.learn.trim import Tried as Without
from bwbuild.build.learn.trim import Trimmed
from bwbuild.build.learn.words import Learned
from bwbuild.errors import ConfigurationError
from bwbuild.root.contents import Cover
from bwbuild.root.learned import SMALL, narrowed
from bwbuild.root.views import View

BEGIN = b'1<bwrap> execve("/run/bwbuild/init", ["init"], 0x1 /* 1 var */) = 0\n'


def collected(*lines: str) -> Seen:
    collector = Collector(("/build/path",))
    collector.take(BEGIN)
    for line in lines:
        collector.take(f"2{line}\n".encode())
    return collector.seen()


def opened(process: str, path: str, real: str = "", flags: str = "O_RDONLY") -> str:
    return f'<{process}> openat(AT_FDCWD</build/path/x-1>, "{path}", {flags}) = 3<{real or path}>'


def test_what_is_asked_for_and_what_is_behind_links_is_kept() -> None:
    seen = collected(
        opened("ld", "/usr/lib/libx.so", "/usr/lib/libx.so.1"), opened("cc1", "/usr/lib/libx.so.1")
    )
    assert seen.opened == {"/usr/lib/libx.so": ("ld",), "/usr/lib/libx.so.1": ("ld", "cc1")}


def test_the_builds_own_files_are_not() -> None:
    seen = collected(
        opened("cc1", "hello.c", "/build/path/x-1/hello.c"),
        opened("cc1", "/tmp/x"),
        opened("sh", "/dev/null"),
        opened("cc1", "link.h", "/usr/include/link.h"),
    )
    assert set(seen.opened) == {"/usr/include/link.h"}


def test_a_script_of_the_tree_is_known_by_the_process_that_reads_it() -> None:
    seen = collected(
        '<make> execve("./gen.tcl", ["./gen.tcl"], 0x1 /* 1 var */) = 0',
        opened("gen.tcl", "./gen.tcl", "/build/path/x-1/gen.tcl"),
    )
    assert seen.scripts == ("/build/path/x-1/gen.tcl",)
    assert seen.started["./gen.tcl"] == ("make",)


def test_writes_outside() -> None:
    seen = collected(
        '<mkdir> mkdir("/home/jane", 0777) = -1 EROFS (Read-only file system)',
        '<mkdir> mkdir("/build", 0777) = -1 EEXIST (File exists)',
        '<rm> unlink("/usr/x") = -1 ENOENT (No such file or directory)',
        '<x> openat(AT_FDCWD</build/path/x-1>, "../../../etc/x", O_WRONLY) = -1 EACCES (Permission denied)',
        opened("x", "/tmp/x", flags="O_WRONLY|O_CREAT"),
        opened("x", "out", "/build/path/x-1/out", "O_WRONLY|O_CREAT"),
    )
    assert seen.writes == (Tried("mkdir", "/home/jane", "EROFS"), Tried("x", "/etc/x", "EACCES"))


def test_names_and_addresses() -> None:
    seen = collected(
        '<curl> connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("10.0.0.1")}, 16) ='
        " -1 ENETUNREACH (Network is unreachable)",
        '<curl> connect(3, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT (No)',
        '<as-root> connect(3, {sa_family=AF_UNIX, sun_path="/run/bwbuild.socket"}, 110) = 0',
        '<curl> sendto(3, "\\0224\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3www\\3org\\0\\0\\1\\0\\1",'
        " 25, 0, NULL, 0) = 25",
    )
    assert seen.addresses == (Tried("curl", "10.0.0.1:443", "ENETUNREACH"),)
    assert seen.names == (Tried("curl", "www.org"),)


def test_a_build_that_begins_again_is_traced_from_bwrap_on() -> None:
    collector = Collector(("/build/path",))
    again = b'<perl> execve("/usr/bin/bwrap", ["bwrap"], 0x1 /* 1 var */) = 0\n'
    for _ in range(2):
        collector.take(b"1" + again + b'1<bwrap> mkdir("/newroot/usr", 0755) = 0\n' + BEGIN)
        collector.take(b'2<x> mkdir("/home/x", 0755) = -1 EROFS (Read-only file system)\n')
        collector.take(b"")
    assert [tried.what for tried in collector.seen().writes] == ["/home/x"]


def test_no_more_than_so_much_is_kept() -> None:
    lines = [f'<x> connect(3, {{sa_family=AF_UNIX, sun_path="/{n}"}}, 9) = 0' for n in range(MOST_OTHERS + 7)]
    seen = collected(*lines)
    assert len(seen.addresses) == MOST_OTHERS
    assert seen.lost == 7


@given(st.binary(max_size=200))
def test_any_trace(data: bytes) -> None:
    collector = Collector(("/build/path",))
    collector.take(BEGIN + data + b"\n" + data)
    collector.seen()


def test_what_was_started_by_a_relative_path_lies_where_its_loader_says() -> None:
    run = '<sh> execve("./%s", ["x"], 0x1 /* 1 var */) = 0'
    collector = Collector(("/build/path",))
    collector.take(BEGIN)
    for number, (name, place) in enumerate((("setfacl", "/usr/bin"), ("sf", "/build/path/x-1/debian/bin"))):
        load = f'<{name}> openat(AT_FDCWD<{place}>, "/etc/ld.so.cache", O_RDONLY) = 3</etc/ld.so.cache>'
        collector.take(f"{number}{run % name}\n{number}{load}\n".encode())
    collector.take(f"9{run % 'static'}\n".encode())
    seen = collector.seen()
    assert seen.started.keys() - {"/run/bwbuild/init"} == {"/usr/bin/setfacl", "./sf", "./static"}
    assert seen.ran == {"/build/path/x-1/debian/bin/sf": ("sh",)}


def test_links_that_a_build_makes_are_kept_wherever_it_moves_them() -> None:
    here = "AT_FDCWD</build/path/x-1>"
    seen = collected(
        f'<ln> symlinkat("/usr/bin/setfacl", {here}, "debian/bin/CuX") = 0',
        f'<ln> renameat({here}, "debian/bin/CuX", {here}, "debian/bin/sf") = 0',
        f'<mv> renameat2({here}, "debian/bin", {here}, "other", RENAME_NOREPLACE) = 0',
        '<python3> symlink("/usr/bin/perl", "./bin/p") = 0',
        '<ln> symlinkat("/x", AT_FDCWD</usr>, "x") = -1 EROFS (Read-only file system)',
        f'<ln> symlinkat("/x", {here}, "x") = -1 EEXIST (File exists)',
    )
    top = "/build/path/x-1"
    assert seen.links == {
        f"{top}/debian/bin/CuX": ("/usr/bin/setfacl",),
        f"{top}/debian/bin/sf": ("/usr/bin/setfacl",),
        f"{top}/other/CuX": ("/usr/bin/setfacl",),
        f"{top}/other/sf": ("/usr/bin/setfacl",),
        "bin/p": ("/usr/bin/perl",),
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/b/x/bin/sf", ["/usr/bin/setfacl"]),
        ("/b/x/bin/../bin/./sf", ["/usr/bin/setfacl"]),
        ("/b/x/all/gcc", ["/usr/bin/gcc"]),
        ("/b/x/again", ["/usr/bin/setfacl"]),
        ("/b/x/two", ["/usr/bin/a", "/usr/bin/b"]),
        ("/b/x/anywhere/bin/p", ["/usr/bin/perl"]),
        ("/tmp/up", ["/usr/bin/setfacl"]),
        ("/b/x/there", ["/usr/bin/there"]),
        ("/b/x/there-too", ["/usr/bin/there"]),
        ("/b/x/loop", []),
        ("/b/x/plain", []),
        ("/usr/bin/true", ["/usr/bin/true"]),
    ],
)
def test_where_a_path_leads(path: str, expected: list[str]) -> None:
    made = {
        "/b/x/bin/sf": ("/usr/bin/setfacl",),
        "/b/x/all": ("../../usr/bin",),
        "/b/x/again": ("bin/sf",),
        "/b/x/two": ("/usr/bin/a", "//usr/bin/b"),
        "bin/p": ("/usr/bin/perl",),
        "/tmp/up": ("../b/x/again",),
        "/b/x/there-too": ("there",),
        "/b/x/loop": ("loop", "./loop/loop"),
    }
    found = {"/b/x/there": ["/usr/bin/there"]}
    ends = links.ends(path, made, lambda link: found.get(link, ()), ("/b", "/tmp"))
    assert sorted(ends) == expected


@given(st.dictionaries(st.text("/.ab"), st.lists(st.text("/.ab"), max_size=3), max_size=5), st.text("/.ab"))
def test_any_links(made: dict[str, list[str]], path: str) -> None:
    all_of_it = links.Links()
    for link, texts in made.items():
        for text in texts:
            all_of_it.made(link, text)
            all_of_it.moved(link, text)
    list(links.ends("/a" + path, all_of_it.texts, lambda link: made.get(link, ()), ("/a",)))


# --- the verdict


def facts(*asked: Asked, evidence: dict[str, list[str]], **more: object) -> Facts:
    found = {
        package: tuple(
            Evidence(path, tuple(processes.split()))
            for path, _, processes in (item.partition(" by ") for item in items)
        )
        for package, items in evidence.items()
    }
    plain = Facts(
        asked, found, {}, frozenset({"libc6", "make"}), frozenset({*found, *(a.package for a in asked)})
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def use(found: Facts) -> list[Use]:
    return [entry.use for entry in judge(found).entries]


def test_used_and_never() -> None:
    found = facts(
        Asked("Build-Depends", "a", "a"),
        Asked("Build-Depends", "b", "b"),
        evidence={"a": ["/usr/bin/a by make"]},
    )
    assert use(found) == [Use.USED, Use.NEVER]
    assert [entry.seems_unused for entry in judge(found).entries] == [False, True]


def test_what_nothing_meets_is_no_candidate() -> None:
    (entry,) = judge(facts(Asked("Build-Depends", "a", ""), evidence={})).entries
    assert not entry.seems_unused


def test_only_what_it_alone_brings_counts_as_through_others() -> None:
    with_it = facts(
        Asked("Build-Depends", "a", "a", only=frozenset({"a", "b"})), evidence={"b": ["/usr/bin/b by make"]}
    )
    without = facts(Asked("Build-Depends", "a", "a"), evidence={"b": ["/usr/bin/b by make"]})
    assert use(with_it) == [Use.THROUGH]
    assert use(without) == [Use.NEVER]


def test_a_package_without_files_is_what_it_needs() -> None:
    found = facts(
        Asked("Build-Depends", "all", "all", is_meta=True),
        evidence={"b": ["/usr/bin/b by make"]},
        depends={"all": frozenset({"b"})},
    )
    assert use(found) == [Use.THROUGH]


def test_what_every_build_has_is_what_it_needs() -> None:
    found = facts(
        Asked("Build-Depends", "perl", "perl"),
        evidence={"perl-modules": ["/usr/share/perl/5.36/strict.pm by sh"]},
        depends={"perl": frozenset({"perl-modules"})},
        builtin=frozenset({"perl", "perl-modules"}),
    )
    assert use(found) == [Use.THROUGH]


@pytest.mark.parametrize(
    "path",
    [
        "/usr/share/aclocal/x.m4",
        "/usr/lib/python3/dist-packages/x-1.dist-info/METADATA",
        "/usr/lib/python3/dist-packages/x.pth",
        "/usr/share/doc/x/README",
        "/usr/lib/x86_64-linux-gnu/perl5/5.36/Locale/gettext.pm",
    ],
)
def test_what_is_read_in_any_case_is_no_use_but_no_reason_to_drop_it_unseen(path: str) -> None:
    found = facts(Asked("Build-Depends", "a", "a"), evidence={"a": [f"{path} by x"]})
    assert use(found) == [Use.PASSING]


def test_what_may_have_run_a_script_is_used() -> None:
    found = facts(
        Asked("Build-Depends", "tcl", "tcl"),
        evidence={"libtcl": ["/usr/lib/libtcl.so by gen.tcl"]},
        depends={"tcl": frozenset({"libtcl"})},
        unknown=frozenset({"gen.tcl"}),
        shipping=frozenset({"tcl"}),
    )
    assert use(found) == [Use.USED]


def transitive(found: Facts) -> list[tuple[str, str]]:
    return [(item.package, item.perhaps) for item in judge(found).transitive]


def test_a_program_that_the_source_runs_is_to_be_declared() -> None:
    found = facts(
        Asked("Build-Depends", "a", "a"),
        evidence={"a": ["/usr/share/a/x by sh"], "b": ["/usr/bin/b by sh"]},
        depends={"a": frozenset({"b"})},
        programs={"b": frozenset({"b"})},
        starters={"sh": frozenset({"make"})},
    )
    assert transitive(found) == [("b", "")]
    assert judge(found).transitive[0].through == "a"


def test_one_that_a_declared_program_runs_is_its_business() -> None:
    found = facts(
        Asked("Build-Depends", "a", "a"),
        evidence={"a": ["/usr/bin/a by make"], "b": ["/usr/bin/b by a"]},
        depends={"a": frozenset({"b"})},
        programs={"a": frozenset({"a"}), "b": frozenset({"b"})},
        starters={"a": frozenset({"make"}), "b": frozenset({"a"})},
    )
    assert transitive(found) == []


def test_a_library_that_a_used_program_loads_is_its_business() -> None:
    found = facts(
        Asked("Build-Depends", "cmake", "cmake"),
        evidence={
            "cmake": ["/usr/bin/cmake by dh"],
            "libuv1": ["/usr/lib/x86_64-linux-gnu/libuv.so.1 by dh"],
            "cmake-data": ["/usr/share/cmake/x by cc1"],
        },
        depends={"cmake": frozenset({"libuv1", "cmake-data"})},
        sources={"cmake": "cmake", "cmake-data": "cmake", "libuv1": "libuv1"},
    )
    assert transitive(found) == []


def test_of_packages_that_need_each_other_each_is_to_be_declared() -> None:
    found = facts(
        Asked("Build-Depends", "meta", "meta", is_meta=True),
        evidence={"ocaml": ["/usr/bin/ocamlc by sh"], "ocaml-libs": ["/usr/lib/ocaml/x by ocamlc"]},
        depends={
            "meta": frozenset({"ocaml"}),
            "ocaml": frozenset({"ocaml-libs"}),
            "ocaml-libs": frozenset({"ocaml"}),
        },
        sources={"ocaml": "ocaml", "ocaml-libs": "ocaml"},
        programs={"ocamlc": frozenset({"ocaml"})},
    )
    assert transitive(found) == [("ocaml", "")]


def test_headers_may_be_another_ones() -> None:
    found = facts(
        Asked("Build-Depends", "gtk", "gtk"),
        evidence={"gtk": ["/usr/include/gtk.h by cc1"], "glib": ["/usr/include/glib.h by cc1"]},
        depends={"gtk": frozenset({"glib"})},
    )
    assert transitive(found) == [("glib", "gtk")]


def test_what_every_build_has_need_not_be_declared() -> None:
    assert transitive(facts(evidence={"libc6": ["/usr/include/stdio.h by cc1"]})) == []


def test_what_is_not_declared_at_all() -> None:
    found = replace(facts(evidence={"help2man": ["/usr/bin/help2man by sh"]}), closure=frozenset())
    assert [item.package for item in judge(found).undeclared] == ["help2man"]


# --- files


def test_the_way_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/awk").symlink_to("/etc/awk")
    (tmp_path / "etc/awk").symlink_to("../usr/bin/mawk")
    (tmp_path / "usr/bin/mawk").write_text("#! /bin/loop x\n")
    (tmp_path / "usr/bin/loop").symlink_to("loop")
    files = Files({"/": (tmp_path,)})
    way = files.way("/bin/./awk")
    assert (way.links, way.end, way.kind) == (("/bin", "/usr/bin/awk", "/etc/awk"), "/usr/bin/mawk", "file")
    assert files.way("/bin/loop").kind == ""
    assert files.way("/bin/../../etc").kind == "directory"
    assert files.way("/nosuch/x").kind == ""
    assert next(files.interpreters("/bin/awk")) == "/bin/loop"
    used = Used()
    used.note(files, "/bin/awk", ["sh"])
    used.note(files, "/nosuch", ["sh"])
    assert set(used.files) == {"/bin", "/usr/bin/awk", "/etc/awk", "/usr/bin/mawk"}


def test_the_upper_layer_comes_first(tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for top, text in ((upper, "one"), (lower, "two")):
        (top / "bin").mkdir(parents=True)
        (top / "bin/sh").symlink_to(text)
    assert Files({"/": (upper, lower)}).way("/bin/sh").end == "/bin/one"


def test_interpreters() -> None:
    loader = b"/lib64/ld-linux-x86-64.so.2\0"
    header = b"\x7fELF\2\1\1" + bytes(9) + bytes(16) + struct.pack("<QQIHHH", 64, 0, 0, 64, 56, 1) + bytes(6)
    part = struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(loader), 0, 0)
    assert interpreter(header + part + loader) == "/lib64/ld-linux-x86-64.so.2"
    assert interpreter(b"#!/usr/bin/env python3\n") == "/usr/bin/env"
    assert interpreter(b"#!") == ""
    assert interpreter(b"\x7fELF") == ""


@given(st.binary(max_size=200))
def test_any_beginning_of_a_file(data: bytes) -> None:
    interpreter(b"\x7fELF\2\1" + data)
    interpreter(b"\x7fELF\1\2" + data)
    interpreter(b"#!" + data)


# --- the profile


SUBJECT = Subject("hello", "host", "any", "amd64")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("home")
def test_a_profile_comes_back() -> None:
    made = profile.of(SUBJECT, "1", {"a:all": "1"}, {"/usr/bin/\udcff"})
    path = profile.write(made)
    assert profile.read(SUBJECT) == made
    assert [found for _, found in profile.stored()] == [made]
    assert path.name.startswith("hello-")
    more = profile.of(SUBJECT, "2", {"a:all": "1"}, {"/x"})
    assert made.with_more(more).paths == {"/usr/bin/\udcff", "/x"}
    assert made.with_more(more).builds == 2


@pytest.mark.usefixtures("home")
def test_without_one_the_command_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        profile.read(SUBJECT)
    assert "bwbuild learn" in (caught.value.hint or "")


def document(**changed: object) -> str:
    """A profile as it lies on the disk, with some of it changed."""
    plain: dict[str, object] = {"version": 1, "source": "hello", "suite": "host", "build": "any"}
    plain |= {"architecture": "amd64", "source_version": "1", "made": 1.0, "builds": 1}
    return json.dumps({**plain, "packages": {"a:all": "1"}, "paths": ["/usr/bin/a"], **changed})


@pytest.mark.usefixtures("home")
def test_one_that_is_whole_is_read() -> None:
    SUBJECT.file.parent.mkdir(parents=True)
    SUBJECT.file.write_text(document())
    assert profile.read(SUBJECT).paths == {"/usr/bin/a"}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", '{"version": 2}', "\0", "[" * 100_000),
        *(document(paths=paths) for paths in ([1, 2], ["usr"], ["/\0"], ["/\ud800"], [[]], 1, None)),
        *(document(packages=packages) for packages in ({"a": 1}, ["a"], 1, None)),
        *(document(**{name: 1}) for name in ("source", "architecture", "source_version")),
        *(document(made=made) for made in ("x", None)),
        document(builds=1e999),
    ],
)
def test_one_that_is_none_is_not_read(text: str, home: Path) -> None:
    SUBJECT.file.parent.mkdir(parents=True)
    SUBJECT.file.write_text(text)
    assert home in SUBJECT.file.parents
    with pytest.raises(ConfigurationError):
        profile.read(SUBJECT)


def test_other_packages_are_named() -> None:
    made = profile.of(SUBJECT, "1", {"a:all": "1", "b:all": "1"}, ())
    made.check({"a:all": "1", "b:all": "1"})
    with pytest.raises(ConfigurationError) as caught:
        made.check({"a:all": "2", "c:all": "1"})
    assert list(caught.value.details) == [
        "a:all: 1 then, 2 now",
        "b:all: 1 then, not there now",
        "c:all: not there then, 1 now",
    ]


# --- the words


def test_the_words_have_no_control_characters_and_json_has_all() -> None:
    verdict = judge(
        facts(
            Asked("Build-Depends", "a\x1b", "a"),
            Asked("Build-Depends", "c", "c"),
            evidence={"a": ["/usr/bin/\x1b[1m by \x07"], "b": ["/usr/share/b by make"]},
            depends={"a": frozenset({"b"})},
        )
    )
    seen = Seen(
        {},
        {"/usr/bin/x\n": ("sh",)},
        addresses=(Tried("\x1b", "10.0.0.1:1"),),
        writes=(Tried("x", "/\x9b"),),
        lost=3,
    )
    change = "--- a/debian/control\n-\tx\x1b\n"
    trimmed = Trimmed((Without((("Build-Depends", "c"),), True, "the same, bit for bit"),), change)
    learned = Learned("x\x1b", "1", "declared", seen, verdict, (Path("/s/\x1b"), 7), trimmed)
    lines = [line.text for line in (*words.lines(learned), *words.trimmed_lines(trimmed))]
    assert not [
        line for line in lines if any(c < " " or "\x7f" <= c <= "\x9f" for c in line.replace("\t", ""))
    ]
    text = "\n".join(lines)
    for part in ("never opened", "declare them?", "/usr/share/b by make", "-\tx\\x1b", "7 files", "3 more"):
        assert part in text
    document = json.loads(json.dumps(words.as_json(learned)))
    assert document["version"] == 1
    assert [entry["use"] for entry in document["entries"]] == ["used", "never opened"]
    assert document["trim"]["tried"][0]["same"] is True
    assert document["profile"] == {"path": "/s/\x1b", "files": 7}


def test_a_failed_build_says_nothing_of_dependencies() -> None:
    learned = Learned("x", "1", "declared", Seen({}, {}))
    assert "failed" in "\n".join(line.text for line in words.lines(learned))
    assert words.as_json(learned)["built"] is False


# --- the view


def test_what_no_build_opened_is_hidden(tmp_path: Path) -> None:
    usr, place = tmp_path / "usr", tmp_path / "view"
    for name in ("bin", "share/big", "share/small", "lib/never"):
        (usr / name).mkdir(parents=True)
    for number in range(SMALL + 5):
        (usr / f"share/big/{number}").touch()
    for name in ("bin/used", "bin/masked", "share/small/used", "share/small/other", "lib/never/x"):
        (usr / name).touch()
    for number in range(SMALL):
        (usr / f"bin/program{number}").touch()
    for name in ("usr/bin", "etc", "dpkg/info"):
        (place / name).mkdir(parents=True)
    for name in ("etc/used", "etc/passwd", "dpkg/status", "dpkg/info/x.list", "usr/bin/link"):
        (place / name).touch()
    view = View(place, {}, (), (Cover("usr", str(usr)),), (), (), "")
    shown = {f"{usr}/bin/used", f"{usr}/share/small/used", f"{usr}/share/big/1", "/etc/used"}
    found = narrowed(view, shown)
    hidden = set(found.hidden[str(usr)])
    assert {"lib", "bin/masked", "bin/program0", "bin/link", "share/big/2"} <= hidden
    # The neighbours in a small directory are shown, and what is on the way.
    assert not {"bin", "share", "share/small/other", "bin/used", "share/big/1"} & hidden
    assert found.hidden["/etc"] == ()  # used, and passwd, which the sandbox has itself
    assert found.hidden["/var/lib/dpkg"] == ("info/x.list",)
    assert f"{usr}/share" in found.paths
