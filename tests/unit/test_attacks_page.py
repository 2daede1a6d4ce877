"""docs/attacks.md has a line for each attack; the other pages count them."""

from __future__ import annotations

import re
from pathlib import Path

import guide
import pytest

KINDS = guide.attack_rows()
ROWS = [row for rows in KINDS.values() for row in rows]
README = (guide.ROOT / "README.md").read_text(encoding="utf-8")


def counted(cells: list[str]) -> str:
    """How many of those that were run succeed."""
    run = [cell for cell in cells if not cell.startswith("not run: ")]
    succeeding = str(run.count("**succeeds**"))
    return succeeding if len(run) == len(cells) else f"{succeeding} of {len(run)}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_each_says_what_became_of_it(row: guide.Row) -> None:
    known = re.compile(r"\*\*succeeds\*\*|stopped|hangs|not run: .+")
    assert all(known.fullmatch(cell) for cell in (row.script, row.sbuild, row.bwbuild))
    assert "succeeds" in row.script + row.sbuild or row.bwbuild == "stopped"


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_counts_each_kind(kind: str) -> None:
    rows = KINDS[kind]
    cells = ([row.script for row in rows], [row.sbuild for row in rows], [row.bwbuild for row in rows])
    assert f"| {kind} | {' | '.join([str(len(rows)), *map(counted, cells)])} |" in README.splitlines()


def test_the_readme_has_no_other_kinds() -> None:
    table = README.partition("| attacks on or by |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| ([A-Z][^|]*) \|", table, re.MULTILINE) == list(KINDS)


@pytest.mark.parametrize("page", guide.PAGES, ids=[page.name for page in guide.PAGES])
def test_the_totals_are_right(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(\d+)\s(?:attacks|small hostile programs)", text)) <= {str(len(ROWS))}
    under_script = sum(row.script == "**succeeds**" for row in ROWS)
    assert set(re.findall(r"lets\s(\d+)\ssucceed", text)) <= {str(under_script)}


def test_the_totals_are_found() -> None:
    assert f"[{len(ROWS)} attacks](docs/attacks.md)" in README
    assert f"{len(ROWS)} small hostile programs" in README
    explanation = (guide.ROOT / "docs" / "explanation.md").read_text(encoding="utf-8")
    assert re.search(r"\d+ attacks", explanation)
    assert re.search(r"lets\s\d+\ssucceed", explanation)


def test_the_table_ends_with_its_totals() -> None:
    cells = ([row.script for row in ROWS], [row.sbuild for row in ROWS], [row.bwbuild for row in ROWS])
    totals = (str(column.count("**succeeds**")) for column in cells)
    last = guide.ATTACKS.read_text(encoding="utf-8").splitlines()[-1]
    assert last == f"| of {len(ROWS)} succeed | {' | '.join(totals)} |"
