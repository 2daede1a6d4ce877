"""``bwbuild corpus report`` on runs that the real command made."""

from __future__ import annotations

import base64
import gzip
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from support import Desk, Rules, make_desk, make_tree, need


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A run of three small sources, one of which fails."""
    need("bwrap", "dpkg-buildpackage")
    desk = make_desk(tmp_path_factory.mktemp("report"))
    during = {
        "good": "true",
        "bad": "echo 'wrong.c:1: error: broken'; exit 1",
        "odd": "printf '</script>\\033[31m'",
    }
    for name, script in during.items():
        make_tree(desk.top / "trees" / name, Rules(during=script), name=name)
    assert desk.run("corpus", "run", desk.top / "trees", "-b", "--name", "first").status == 10
    return desk


def source(page: str, key: str) -> Any:
    """What a page has of one source."""
    rows = re.search(r'id="data">([^<]*)<', page)
    assert rows is not None
    index = [row["key"] for row in json.loads(rows[1])].index(key)
    packed = re.search(rf'id="source{index}">([^<]*)<', page)
    assert packed is not None
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def test_all_reports_of_a_run(desk: Desk) -> None:
    paths = {name: desk.top / f"report.{name}" for name in ("html", "junit", "json")}
    done = desk.ok("corpus", "report", "first", *(f"--{name}={path}" for name, path in paths.items()))
    assert done.both == ""

    run = json.loads(paths["json"].read_text())
    assert run["counts"]["passed"] == 2
    good = next(build for build in run["builds"] if build["key"] == "good")
    assert good["packages"][0]["control"]["Package"] == "good"
    failures = ET.parse(paths["junit"]).findall(".//testcase[@name='bad']/failure")  # noqa: S314 - our own
    assert "error: broken" in str(failures[0].get("message"))
    assert "Status: attempted" in str(failures[0].text)

    page = paths["html"].read_text()
    bad = source(page, "bad")
    log = Path(run["directory"], next(build["log"] for build in run["builds"] if build["key"] == "bad"))
    number, text = bad["errors"][-1]
    assert log.read_text().splitlines()[number - 1] == text == "wrong.c:1: error: broken"
    titles = [part[0] for part in bad["log"]["parts"]]
    assert {"Build environment", "dpkg-buildpackage", "Summary"} <= set(titles)
    odd = source(page, "odd")["log"]["parts"]
    assert any("</script>\\x1b[31m" in part[3] for part in odd)


def test_a_run_whose_logs_are_gone(desk: Desk) -> None:
    directory = Path(json.loads(desk.ok("corpus", "show", "--json").out)["directory"])
    directory.rename(directory.with_name("moved"))
    try:
        desk.ok("corpus", "report", "--html", desk.top / "gone.html", "--junit", desk.top / "gone.xml")
    finally:
        directory.with_name("moved").rename(directory)
    page = (desk.top / "gone.html").read_text()
    assert source(page, "bad")["log"]["problem"].endswith("can't be read: No such file or directory")
    assert "can't be read: No such file or directory" in (desk.top / "gone.xml").read_text()


def test_what_has_changed_since_an_earlier_run(desk: Desk) -> None:
    rules = desk.top / "trees" / "good" / "debian" / "rules"
    before = rules.read_text()
    rules.write_text(before.replace("@echo MADE out", "echo 'now.c:1: error: worse'; exit 1"))
    try:
        assert desk.run("corpus", "run", desk.top / "trees", "-b", "--name", "second").status == 10
    finally:
        rules.write_text(before)
    page, form = desk.top / "since.html", desk.top / "since.json"
    desk.ok("corpus", "report", "second", "--against", "first", f"--html={page}", f"--json={form}")

    since = json.loads(form.read_text())["since"]
    assert since["against"] == "first"
    assert [(item["subject"], item["kind"]) for item in since["changes"]] == [
        ("good", "newly-failing"),
        ("bad", "still-failing"),
    ]
    assert "Since <bdi>first</bdi>" in page.read_text()
    assert source(page.read_text(), "good")["since"][0].startswith("newly-failing: ")
    done = desk.run("corpus", "report", "second", "--against", "second", "--html", page)
    assert done.status == 2
    assert "second can't be compared with itself" in done.err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["first"], 2, "name one file at least"),
        (["nothing", "--html=x"], 2, "there is no run nothing"),
        (["first", "--html=no/such/file"], 14, "can't write no/such/file: No such file or directory"),
        (["first", "--json=."], 14, "can't write ."),
        (["first", "--junit=/dev/full"], 14, "can't write /dev/full: No space left on device"),
    ],
)
def test_errors(desk: Desk, words: list[str], status: int, message: str) -> None:
    done = desk.run("corpus", "report", *words)
    assert done.status == status, done.both
    assert message in done.err
    assert "hint: " in done.err
    assert "Traceback" not in done.err


def test_a_report_into_a_pipe(desk: Desk) -> None:
    done = desk.ok("corpus", "report", "first", "--json", "/dev/stdout")
    assert json.loads(done.out)["name"] == "first"
