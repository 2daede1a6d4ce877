from __future__ import annotations

import pytest

from bwbuild.corpus.reverse import LONGEST_STANZA, newest, read_index, select
from bwbuild.errors import SourceError

INDEX = """\
Package: app
Binary: app, app-doc
Version: 1.0-9
Build-Depends: debhelper-compat (= 13), libfoo-dev (>= 2) | libbar-dev,
 pkg-config [linux-any] <!nocheck>
Files:
 00 1 app.dsc

Package: app
Binary: app
Version: 1.0-10
Build-Depends: debhelper-compat (= 13), libfoo-dev

Package: foo
Binary: libfoo-dev, libfoo2
Version: 2-1

Package: doc
Version: 3
Build-Depends-Indep: libfoo-dev:native

Package: broken
Version: 1
Build-Depends: ((, libfoo-dev

Package: ../x
Version: 1
Build-Depends: libfoo-dev
"""


def stanzas() -> list[dict[str, str]]:
    return [dict(each) for each in newest(read_index(INDEX.splitlines(keepends=True)))]


def test_the_newest_of_each_source_that_needs_it() -> None:
    assert select(stanzas(), ["libfoo-dev"]) == ["app=1.0-10", "doc=3"]
    assert select(stanzas(), ["nothing"]) == []


def test_a_source_stands_for_all_its_packages() -> None:
    assert select(stanzas(), ["src:foo"]) == ["app=1.0-10", "doc=3"]
    with pytest.raises(SourceError, match="no source bar"):
        select(stanzas(), ["src:bar"])


def test_an_endless_stanza_takes_no_memory() -> None:
    lines = ["Package: x\n", "Build-Depends: a\n", *[" " + "x" * 1000 + ",\n"] * (2 * LONGEST_STANZA // 1000)]
    (found,) = read_index(lines)
    assert sum(map(len, found.values())) <= LONGEST_STANZA
