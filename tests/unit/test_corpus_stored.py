from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bwbuild.corpus import stored
from bwbuild.corpus.expectations import Expectation
from bwbuild.corpus.values import Artifact, Build, Demand, Job, Kind, Line, Machine, Package, Run, Verdict

NOW = datetime(2026, 1, 31, 12, 0, 0, 500, tzinfo=UTC)
EXPECTED = Expectation("It fails.", "limit", also=(("-b",),), environment=(("A", "b"),), needs=("range",))
JOB = Job("k", Kind.TREE, "/x/tree", ("-b",), Demand(1.5, 7, known=True), "k", EXPECTED)
BUILD = Build(
    key="k",
    verdict=Verdict.FAILED,
    exit_status=10,
    errors=(Line(3, "error: x"),),
    started=NOW,
    steps=(("dh_auto_build", 1.0),),
    artifacts=(Artifact("x_1.deb", 3, "0" * 64, Path("/x/\udcff")),),
    packages=(Package("x_1.deb", (("Package", "x"),), ("-rw-r--r-- root/root 1 ./x",)),),
    log=Path("k/log"),
)
RUN = Run("r", "0.1", NOW, None, Machine("m", 2, 1 << 30, "amd64"), Path("/r"), ("-b",), builds=(BUILD,))


@pytest.mark.parametrize("value", [JOB, BUILD, RUN], ids=["job", "build", "run"])
def test_what_was_stored_comes_back(value: object) -> None:
    text = json.dumps(stored.plain(value))
    assert text.isascii()
    assert stored.restored(type(value), json.loads(text)) == value


def test_a_field_with_its_default_is_left_out() -> None:
    assert stored.plain(Job("k", Kind.DSC, "x.dsc")) == {"key": "k", "kind": "dsc", "source": "x.dsc"}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "Job is list"),
        ({"key": "k", "kind": "tree"}, "Job.source is missing"),
        ({"key": "k", "kind": "tree", "source": "x", "shape": 1}, "Job.shape is unknown"),
        ({"key": 1, "kind": "tree", "source": "x"}, "Job.key: int is no str"),
        ({"key": "k", "kind": "car", "source": "x"}, "Job.kind: 'car' is not a valid"),
        ({"key": "k", "kind": "tree", "source": "x", "options": "-b"}, "Job.options is str"),
        ({"key": "k", "kind": "tree", "source": "x", "options": [1]}, "Job.options: int is no str"),
        (
            {"key": "k", "kind": "tree", "source": "x", "demand": {"seconds": True, "memory": 1}},
            "Job.demand.seconds: bool is no float",
        ),
    ],
)
def test_what_is_something_else_is_named(found: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stored.restored(Job, found)
