from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_runs import ERROR, made_build, made_run, mixed, write_log
from support import need

from bwbuild.corpus.reports import as_junit
from bwbuild.corpus.reports.since import Change, Since
from bwbuild.corpus.reports.text import harmless, indented, one_line
from bwbuild.corpus.reports.write import Form, write
from bwbuild.corpus.values import Line, Run, Verdict
from bwbuild.errors import OutputError

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "a\x00\x1b[31m\u202eevil</script><b>&\"'\ud800\ufffe\x85"


def written(run: Run, form: Form, directory: Path) -> bytes:
    path = directory / f"report.{form.value}"
    write(run, form, path)
    return path.read_bytes()


# JSON


def documented(heading: str) -> dict[str, str]:
    """The fields that docs/reports.md has behind ``heading``: path -> type."""
    text = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8").partition(f"\n{heading}\n\n")[2]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text.partition("\n\n")[0], re.MULTILINE)
    assert rows
    return dict(rows)


#: Objects whose keys are not fields.
FREE = ("counts", "packages[].control")


def fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field in ``value`` with its path, those of free objects and of builds left out."""
    for name, inner in value.items():
        here = f"{path}{name}"
        yield here, inner
        if isinstance(inner, dict) and here not in FREE:
            yield from fields(inner, f"{here}.")
        elif isinstance(inner, list) and here != "builds":
            for item in inner:
                if isinstance(item, dict):
                    yield from fields(item, f"{here}[].")


TYPES = {
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "string": lambda value: type(value) is str,
    "object": lambda value: type(value) is dict,
    "time": lambda value: re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value) is not None,
    "array of string": lambda value: all(type(item) is str for item in value),
    "array of object": lambda value: all(type(item) is dict for item in value),
}


def check(found: list[tuple[str, Any]], promised: dict[str, str]) -> None:
    assert {path for path, _ in found} == set(promised)
    for path, value in found:
        kind = promised[path].strip()
        if value is None:
            assert kind.endswith("?"), path
        else:
            assert TYPES[kind.removesuffix("?")](value), f"{path}: {value!r} is no {kind}"


def test_json_has_the_documented_fields(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    since = Since("earlier", (Change("beta", "newly-failing", ("error",)),))
    write(mixed(tmp_path), Form.JSON, path, since)
    form = json.loads(path.read_bytes())

    check(list(fields(form)), documented("The run:"))
    check([field for build in form["builds"] for field in fields(build)], documented("Each of `builds`:"))
    assert form["version"] == 1
    assert {verdict.value for verdict in Verdict} == set(form["counts"])
    assert form["counts"]["failed"] == 1


def test_json_of_an_empty_run(tmp_path: Path) -> None:
    form = json.loads(written(made_run(tmp_path, [], finished=None), Form.JSON, tmp_path))
    assert form["builds"] == []
    assert form["since"] is None
    assert form["finished"] is None


def test_json_of_hostile_names(tmp_path: Path) -> None:
    build = made_build("a", log=None, message=HOSTILE, verdict=Verdict.FAILED)
    data = written(made_run(tmp_path, [build]), Form.JSON, tmp_path)
    assert data.isascii()
    assert json.loads(data)["builds"][0]["message"] == HOSTILE


@pytest.mark.parametrize("form", list(Form), ids=lambda form: form.value)
def test_the_same_run_gives_the_same_bytes(form: Form, tmp_path: Path) -> None:
    run = mixed(tmp_path)
    assert written(run, form, tmp_path) == written(replace(run), form, tmp_path)


# JUnit


def junit(run: Run, directory: Path) -> ET.Element:
    return ET.fromstring(written(run, Form.JUNIT, directory))  # noqa: S314 - it is bwbuild's own


def case(root: ET.Element, name: str) -> ET.Element:
    (found,) = (item for item in root.iter("testcase") if item.get("name") == name)
    return found


def test_junit_says_what_came_of_each_source(tmp_path: Path) -> None:
    root = junit(mixed(tmp_path), tmp_path)
    (suite,) = root
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}

    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert [[part.tag for part in test] for test in suite.iter("testcase")] == [
        ["system-out"],
        ["failure", "system-out"],
        ["skipped"],
        ["error"],
    ]
    assert case(root, "alpha").get("time") == "90.000"
    failure = case(root, "beta").find("failure")
    assert failure is not None
    assert failure.get("type") == "build-failed"
    assert "the status is build-failed" in str(failure.get("message"))
    assert str(failure.text).rstrip().endswith("Status: attempted")
    assert ERROR in str(failure.text)


def test_junit_keeps_to_the_rules_of_jenkins(tmp_path: Path) -> None:
    need("xmllint")
    for number, run in enumerate((mixed(tmp_path), made_run(tmp_path, []))):
        path = tmp_path / f"{number}.xml"
        write(run, Form.JUNIT, path)
        schema = Path(__file__).with_name("junit.xsd")
        done = subprocess.run(
            ["xmllint", "--noout", "--schema", schema, path], check=False, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()


def test_junit_of_hostile_text(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.build"
    write_log(log)
    log.write_bytes(log.read_bytes() + b"\x00\x1b[0m\xff]]></failure>\xef\xbf\xbe\xed\xa0\x80\n")
    build = made_build(
        "a",
        Verdict.FAILED,
        source=HOSTILE,
        message=HOSTILE,
        worker=HOSTILE,
        errors=(Line(3, HOSTILE),),
        status=HOSTILE,
    )
    root = junit(made_run(tmp_path, [build], name=HOSTILE, options=(HOSTILE,)), tmp_path)

    failure = case(root, "a").find("failure")
    assert failure is not None
    assert "\\u202eevil</script>" in str(failure.get("message"))
    assert r"\x00\x1b[0m\xff]]></failure>\ufffe" in str(failure.text)


def test_junit_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_junit, "ALL_ENDS", 20 << 10)
    for name in ("a", "b", "c", "d"):
        write_log(tmp_path / "logs" / f"{name}.build", lines=1000)
    builds = [made_build(name, Verdict.FAILED) for name in "abcd"]
    data = written(made_run(tmp_path, builds), Form.JUNIT, tmp_path)
    assert 18 << 10 < len(data) < 26 << 10


def test_junit_without_a_log_says_so(tmp_path: Path) -> None:
    run = made_run(tmp_path, [made_build("a", Verdict.FAILED)])
    (tmp_path / "logs" / "a.build").unlink()
    failure = case(junit(run, tmp_path), "a").find("failure")
    assert failure is not None
    assert "a.build can't be read: No such file or directory" in str(failure.text)


# Text


def test_harmless_text() -> None:
    assert harmless("a\r\nb\tä\u05d0") == "a\nb\tä\u05d0"
    assert harmless(HOSTILE) == ("a\\x00\\x1b[31m\\u202eevil</script><b>&\"'\\ud800\\ufffe\\x85")
    assert harmless("\U000e0041\u2066\u200f\u2028\ufeff") == "\\U000e0041\\u2066\\u200f\\u2028\\ufeff"


def test_one_line() -> None:
    assert indented("  |\t^\x1b \n", 20) == "  |     ^\\x1b"
    assert indented("abcdefgh", 5) == "abcd…"
    assert one_line(" a \n\n b\t", 5) == "a b"
    assert one_line("abcdefgh", 5) == "abcd…"


# Files


@pytest.mark.parametrize("form", list(Form), ids=lambda form: form.value)
def test_what_can_not_be_written(form: Form, tmp_path: Path) -> None:
    run = mixed(tmp_path)
    for path, message in (
        (tmp_path / "nowhere" / "report", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (Path("/dev/full"), "No space left on device"),
    ):
        with pytest.raises(OutputError, match=message) as caught:
            write(run, form, path)
        assert caught.value.hint
    assert not list(tmp_path.glob(".bwbuild-*"))


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("old")
    with path.open() as reader:
        write(mixed(tmp_path), Form.HTML, path)
        assert reader.read() == "old"
    assert path.read_bytes().startswith(b"<!DOCTYPE html>")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_pipe_and_a_link_are_written_into(tmp_path: Path) -> None:
    run = mixed(tmp_path)
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    target.write_text("old" * 10000)
    link.symlink_to(target)
    cat = subprocess.Popen([str(shutil.which("cat")), pipe], stdout=subprocess.PIPE)
    write(run, Form.JSON, pipe)
    write(run, Form.JSON, link)

    assert cat.communicate()[0] == target.read_bytes()
    assert json.loads(target.read_bytes())["name"] == run.name
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
