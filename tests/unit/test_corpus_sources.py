from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import make_tree

from bwbuild.corpus.sources import Reader, lines
from bwbuild.corpus.values import Job, Kind
from bwbuild.errors import SourceError, UsageError
from bwbuild.events import Notice

READER = Reader(("-b",), "amd64", named=False)


def read(words: Sequence[str | Path], reader: Reader = READER) -> list[Job]:
    return reader.jobs(map(str, words), lambda notice: None)  # noqa: ARG005


def test_a_tree_is_called_as_its_changelog_says(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "checkout", name="tiny")
    (job,) = read([tree])
    assert (job.key, job.subject, job.kind, job.source) == ("tiny", "tiny", Kind.TREE, str(tree))
    assert job.options == ("-b",)
    (tree / "debian/changelog").write_text("nonsense")
    assert [each.key for each in read([tree])] == ["checkout"]


def test_a_directory_has_trees_expectations_and_dscs(tmp_path: Path) -> None:
    make_tree(tmp_path / "one", name="one")
    (tmp_path / "two_1.dsc").touch()
    make_tree(tmp_path / "three/tree", name="other")
    (tmp_path / "three/expect.toml").write_text("what='x'\nstatus='success'\nalso=[['-A']]")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    jobs = {job.key: job for job in read([tmp_path])}
    assert list(jobs) == ["one", "three", "three+1", "two"]
    assert jobs["two"].kind is Kind.DSC
    assert jobs["three"].expected is not None
    assert jobs["three+1"].options == ("-b", "-A")


def test_an_expectation_in_a_tree_is_not_read(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "x")
    (tree / "expect.toml").write_text("what='x'\nstatus='success'\nsetup='rm -rf /'")
    (job,) = read([tree])
    assert job.expected is None


def test_two_sources_of_one_name_have_keys_of_their_own(tmp_path: Path) -> None:
    make_tree(tmp_path / "a", name="tiny")
    make_tree(tmp_path / "b", name="tiny", version="2")
    assert [job.key for job in read([tmp_path])] == ["tiny", "tiny-2"]


def test_duplicates_are_built_once(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "a")
    (tmp_path / "link").symlink_to(tree)
    told: list[Notice] = []
    jobs = READER.jobs([str(tree), str(tree), str(tmp_path / "link")], told.append)
    assert len(jobs) == 1
    assert "2 sources are named more than once" in told[0].text


def test_repeated_builds_have_one_subject(tmp_path: Path) -> None:
    jobs = read([make_tree(tmp_path / "a")], Reader((), "amd64", named=False, repeat=3))
    assert [job.key for job in jobs] == ["tiny", "tiny~2", "tiny~3"]
    assert {job.subject for job in jobs} == {"tiny"}


def test_names_need_a_suite() -> None:
    with pytest.raises(SourceError, match="needs a suite"):
        read(["hello"])
    (job,) = read(["hello=2.10-3"], Reader((), "amd64", named=True))
    assert (job.key, job.kind, job.source) == ("hello", Kind.NAME, "hello=2.10-3")


def test_all_wrong_words_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="3 words mean no source") as caught:
        read([tmp_path, "/none/x.dsc", "No Name", make_tree(tmp_path / "in/side/a")])
    assert len(caught.value.details) == 3
    with pytest.raises(UsageError, match="no source to build"):
        read([])


def test_a_wrong_expectation_is_an_error_at_once(tmp_path: Path) -> None:
    make_tree(tmp_path / "x/tree")
    (tmp_path / "x/expect.toml").write_text("status = 'fine'")
    with pytest.raises(SourceError, match=r"expect.toml: the key 'what' is missing"):
        read([tmp_path])


@pytest.mark.parametrize("name", ["..", "-rf", ".hidden", "a b", "x\x1b[2J", "é"])
def test_keys_are_safe_names(tmp_path: Path, name: str) -> None:
    tree = make_tree(tmp_path / "in" / (name if name != ".." else "x"))
    (tree / "debian/changelog").unlink()
    (job,) = read([tree])
    assert job.key.isascii()
    assert job.key.isprintable()
    assert job.key[0] not in ".-"
    assert os.path.basename(job.key) == job.key  # noqa: PTH119


def test_lists(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("# sources\nhello\n\n  acl=2.3 # old\n")
    assert lines(path, lambda: b"") == ["hello", "acl=2.3"]
    assert lines(None, lambda: b"x\ny") == ["x", "y"]
    with pytest.raises(SourceError, match="can't be read"):
        lines(tmp_path / "none", lambda: b"")
    path.write_bytes(b"\xff")
    with pytest.raises(SourceError, match="not UTF-8"):
        lines(path, lambda: b"")
