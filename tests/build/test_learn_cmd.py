"""``bwbuild learn`` as a user meets it, and ``--view learned``."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, Desk, Rules, discard, make_desk, need, processes, snapshot, wait_for

#: Prints how many files are visible, without a program that may not be.
COUNT = (
    "sub w { my ($d) = @_; opendir(my $h, $d) or return; for (readdir $h) { next if /^[.][.]?$/;"
    ' my $p = "$d/$_"; -l $p || !-d _ ? $n++ : w($p) } } w($_) for qw(/usr /etc /var); print $n'
)


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk whose source has learned already."""
    need("strace", "dh", "xmllint", "expect", "setfacl")
    desk = make_desk(tmp_path_factory.mktemp("learn"))
    shutil.copytree(ROOT / "testpkgs/learned/tree", desk.parent / "learned-1")
    yield desk
    discard(desk.scratch)


def tree(desk: Desk) -> Path:
    return desk.parent / "learned-1"


@pytest.fixture(scope="module")
def document(learner: Desk) -> dict[str, Any]:
    """What was learned, as JSON."""
    before = snapshot(learner.parent)
    done = learner.ok("learn", "-b", "--json", "--quiet", cwd=tree(learner))
    # Nothing is published, and the tree is as it was; there is a log.
    new = snapshot(learner.parent).keys() - before.keys()
    assert all(name.endswith(".build") for name in new)
    assert learner.left() == []
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found


def test_what_became_of_each_dependency(document: dict[str, Any]) -> None:
    assert document["built"]
    assert {entry["relation"]: entry["use"] for entry in document["entries"]} == {
        "debhelper-compat (= 13)": "used",
        "acl": "never opened",
        "expect": "through others",
        "libxml2-utils": "used",
    }


def test_what_is_there_through_others_only(document: dict[str, Any]) -> None:
    found = {item["package"].split(":")[0]: item for item in document["transitive"] if not item["perhaps"]}
    assert found["libtcl8.6"]["files"] == ["/usr/share/tcltk/tcl8.6/init.tcl"]
    assert found["libtcl8.6"]["processes"] == ["cat"]
    assert found["libtcl8.6"]["through"].startswith("expect:")


def test_programs_writes_and_the_network(document: dict[str, Any]) -> None:
    started = {item["program"]: item["started_by"] for item in document["programs"]}
    assert started["/usr/bin/xmllint"] == ["rules"]
    # The root side is traced too: dpkg-deb runs there, or what makes the package does.
    assert "/usr/bin/dpkg-deb" in started
    tried = {item["what"]: (item["process"], item["error"]) for item in document["writes"]}
    assert tried == {"/usr/share/never": ("mkdir", "EROFS")}
    assert document["names"] == [{"process": "getent", "what": "www.example.org", "error": ""}]
    assert {(item["process"], item["what"]) for item in document["addresses"]} == {("getent", "127.0.0.1:53")}


@pytest.mark.usefixtures("document")
def test_the_learned_view_has_what_the_build_opened_and_no_more(learner: Desk, tmp_path: Path) -> None:
    results = {}
    for view in ("declared", "learned"):
        output = tmp_path / view
        output.mkdir()
        learner.ok("-b", "--no-sign", "--view", view, "--output", output, cwd=tree(learner))
        (deb,) = output.glob("learned_1_*.deb")
        results[view] = deb.read_bytes()
    assert results["declared"] == results["learned"]
    done = learner.ok("run", "-b", "--view", "learned", "--", "perl", "-e", COUNT, cwd=tree(learner))
    assert 200 < int(done.out) < 1500
    hidden = "test -e /usr/bin/perl && ! test -e /usr/bin/setfacl && ! test -e /usr/bin/awk && echo right"
    shown = learner.ok("run", "-b", "--view", "learned", "--", "sh", "-c", hidden, cwd=tree(learner))
    assert shown.out == "right\n"


@pytest.mark.usefixtures("document")
def test_what_it_misses_is_named_and_more_adds_it(learner: Desk, tmp_path: Path) -> None:
    changed = tmp_path / "learned-1"
    shutil.copytree(tree(learner), changed)
    rules = changed / "debian/rules"
    rules.write_text(rules.read_text().replace("xmllint --version", "xmllint --version\n\tgetfacl --version"))
    words = ("-b", "--no-sign", "--view", "learned", "--keep", "never")
    done = learner.run(*words, cwd=changed)
    assert done.status == 10
    assert "usr/bin/getfacl is in acl" in done.err
    assert "bwbuild learn --more" in done.err
    learner.ok("learn", "-b", "--more", "--quiet", cwd=changed)
    learner.ok(*words, cwd=changed)
    listed = learner.ok("clean").out
    assert "profile of learned 1" in listed
    assert "--remove --profiles" in listed


def test_without_a_profile_the_command_is_named(learner: Desk) -> None:
    done = learner.run("-B", "--view", "learned", cwd=tree(learner))
    assert done.status == 3
    assert "bwbuild learn" in done.err
    assert learner.run("learn", "-B", "--more", cwd=tree(learner)).status == 3
    assert learner.run("learn", "--view", "learned", cwd=tree(learner)).status == 2
    assert learner.run("-b", "--view", "learned", "-d", "nosuch", cwd=tree(learner)).status == 3
    assert learner.run("learn", "--in-place", cwd=tree(learner)).status == 2
    assert learner.run("learn", "--more", "-d", "nosuch", cwd=tree(learner)).status == 2


@pytest.mark.parametrize("words", [("-nc",), ("-T", "build"), ("-S",)], ids=" ".join)
def test_what_is_no_whole_build_is_refused(words: tuple[str, ...], shared: Desk) -> None:
    done = shared.run("learn", *words)
    assert done.status == 2
    assert words[0] in done.err.splitlines()[0]
    assert not done.out


#: Programs by a link that the build makes, by one of the source's, and by a relative path.
LINKED = (
    "ln -s /usr/bin/setfacl debian/sf; debian/sf --version; scripts/lint --version;"
    " (cd /usr/bin && ./strace -V); rm debian/sf"
)


def test_programs_behind_links_are_used_and_a_profile_is_of_its_packages(tmp_path: Path) -> None:
    need("strace", "setfacl", "xmllint")
    desk = make_desk(tmp_path, Rules(during=LINKED))
    (desk.tree / "scripts").mkdir()
    (desk.tree / "scripts/lint").symlink_to("/usr/bin/xmllint")
    declare(desk, "acl, libxml2-utils, strace")
    # A compiler's cache would hide the compiler, so none is used.
    done = desk.ok("learn", "-b", "--json", "--quiet", env={"BWBUILD_COMPILER_CACHE": "ccache"})
    found = json.loads(done.out)
    assert {entry["relation"]: entry["use"] for entry in found["entries"]} == {
        "acl": "used",
        "libxml2-utils": "used",
        "strace": "used",
    }
    assert not [item for item in found["programs"] if "ccache" in item["program"]]
    desk.ok("-b", "--no-sign", "--view", "learned")
    (path,) = (desk.home / ".local/state/bwbuild/profiles").glob("*.json")
    text = path.read_text()
    path.write_text(re.sub(r'"(acl:[^"]*)": "', r'"\1": "0', text))
    before = snapshot(desk.parent)
    done = desk.run("learn", "-b", "--more")
    assert done.status == 3
    assert "learned with other packages" in done.err
    assert snapshot(desk.parent) == before  # nothing was built, so there is no log
    path.write_text(text.replace('"paths": [', '"paths": [1,'))
    done = desk.run("-b", "--no-sign", "--view", "learned")
    assert done.status == 3
    assert "there is no profile" in done.err
    discard(desk.scratch)


def test_no_base_takes_the_place_of_what_was_learned(learner: Desk, tmp_path: Path) -> None:
    changed = tmp_path / "learned-1"
    shutil.copytree(tree(learner), changed)
    control = changed / "debian/control"
    control.write_text(control.read_text().replace("acl,", "acl, nosuch-package,"))
    assert learner.run("-b", "--view", "learned", "--missing", "base", cwd=changed).status == 6


def test_interrupted_it_leaves_nothing(learner: Desk) -> None:
    mark = str(learner.top)
    child = learner.start("learn", "-B", tree(learner))
    try:
        wait_for(
            lambda: any("strace" in words and "dpkg-buildpackage" in words for _, words in processes(mark))
        )
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
    finally:
        child.kill()
        child.communicate()
    assert learner.left() == []
    profiles = learner.home / ".local/state/bwbuild/profiles"
    assert "any" not in [json.loads(path.read_text())["build"] for path in profiles.glob("*.json")]
    assert not list(profiles.glob(".*"))


def test_killed_it_takes_the_traced_with_it(learner: Desk) -> None:
    mark = str(learner.top)
    child = learner.start("learn", "-A", tree(learner))
    try:
        wait_for(lambda: any("dpkg-buildpackage" in words for _, words in processes(mark)))
    finally:
        child.kill()
        child.communicate()
    wait_for(lambda: not processes(mark))


@pytest.mark.long
def test_trim_prints_a_change_that_builds(learner: Desk, tmp_path: Path) -> None:
    before = snapshot(tree(learner))
    done = learner.ok("learn", "-b", "--trim", "--json", "--quiet", cwd=tree(learner))
    assert snapshot(tree(learner)) == before
    trim = json.loads(done.out)["trim"]
    assert [(one["same"], one["result"]) for one in trim["tried"]] == [(True, "the same, bit for bit")]
    assert "-               acl,\n" in trim["change"]
    assert learner.left() == []


def declare(desk: Desk, text: str) -> None:
    """Let the desk's source declare this."""
    control = desk.tree / "debian/control"
    control.write_text(re.sub("Build-Depends: .*", f"Build-Depends: {text}", control.read_text()))


def test_trim_of_a_tree_with_odd_modes_that_keeps_a_directory(desk: Desk) -> None:
    need("strace", "setfacl")
    declare(desk, "acl")
    (desk.tree / "fixed").mkdir()
    (desk.tree / "fixed/file").touch()
    (desk.tree / "fixed").chmod(0o555)
    (desk.tree / "secret").write_text("x")
    (desk.tree / "secret").chmod(0)
    done = desk.ok("learn", "-b", "--trim", "--allow", "persist=x")
    assert "acl: the same, bit for bit" in done.out
    assert "\n-Build-Depends: acl\n" in done.out
    assert done.out.index("never opened") < done.out.index("Built without")
    assert desk.left() == []


def test_what_was_learned_is_said_though_the_tree_cannot_be_copied(desk: Desk) -> None:
    need("strace", "setfacl")
    declare(desk, "acl")
    # The copy is made with what comes first there.
    tools = desk.top / "tools"
    tools.mkdir()
    (tools / "cp").write_text("#!/bin/sh\necho no room >&2; exit 1\n")
    (tools / "cp").chmod(0o755)
    path = {"PATH": f"{tools}:{desk.environment['PATH']}"}
    done = desk.run("learn", "-b", "--trim", "--json", "--quiet", env=path)
    assert done.status not in (0, 10)
    found = json.loads(done.out)
    assert [entry["use"] for entry in found["entries"]] == ["never opened"]
    assert found["trim"] is None
    assert desk.left() == []


def trimmed(desk: Desk) -> dict[str, Any]:
    """What --trim finds of the desk's source, which declares acl and strace."""
    need("strace", "setfacl")
    declare(desk, "acl, strace")
    done = desk.ok("learn", "-b", "--trim", "--json", "--quiet")
    found = json.loads(done.out)
    assert {entry["relation"]: entry["use"] for entry in found["entries"]} == {
        "acl": "never opened",
        "strace": "never opened",
    }
    assert desk.left() == []
    trim = found["trim"]
    assert isinstance(trim, dict)
    trim["tried"] = [([gone["relation"] for gone in one["without"]], one["same"]) for one in trim["tried"]]
    return trim


@pytest.mark.long
def test_trim_leaves_out_all_together(desk: Desk) -> None:
    trim = trimmed(desk)
    assert trim["tried"] == [(["acl"], True), (["strace"], True), (["acl", "strace"], True)]
    assert "\n-Build-Depends: acl, strace\n" in trim["change"]
    assert "\n+" not in trim["change"].partition("@@\n")[2]


@pytest.mark.long
def test_trim_keeps_one_of_two_of_which_one_will_do(tmp_path: Path) -> None:
    """Each is spare and both are not: nothing but ``stat`` looks for them, which is no use of a file."""
    spare = "if ! [ -e /usr/bin/setfacl ] && ! [ -e /usr/bin/strace ]; then exit 1; fi"
    trim = trimmed(make_desk(tmp_path, Rules(during=spare)))
    assert trim["tried"][:3] == [(["acl"], True), (["strace"], True), (["acl", "strace"], False)]
    assert "\n-Build-Depends: acl, strace\n" in trim["change"]
    assert "\n+Build-Depends: strace\n" in trim["change"]


@pytest.mark.long
def test_a_failed_build_teaches_nothing_of_dependencies(learner: Desk, tmp_path: Path) -> None:
    changed = tmp_path / "learned-1"
    shutil.copytree(tree(learner), changed)
    (changed / "hello.c").write_text("wrong\n")
    done = learner.run("learn", "-B", "--keep", "never", cwd=changed)
    assert done.status == 10
    assert "nothing is said of its dependencies" in done.out
    assert learner.run("-B", "--view", "learned", cwd=changed).status == 3


@pytest.mark.long
def test_on_a_view_of_the_host_the_undeclared_is_named(learner: Desk, tmp_path: Path) -> None:
    changed = tmp_path / "learned-1"
    shutil.copytree(tree(learner), changed)
    control = changed / "debian/control"
    control.write_text(control.read_text().replace("libxml2-utils", "file"))
    done = learner.ok("learn", "-b", "--view", "host", "--json", "--quiet", cwd=changed)
    names = {item["package"].split(":")[0] for item in json.loads(done.out)["undeclared"]}
    assert "libxml2-utils" in names
