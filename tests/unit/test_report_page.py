"""The page as text; tests/browser looks at it in a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_runs import ERROR, NOON, made_build, made_run, mixed, write_log

from bwbuild.build.record.report import Artifact
from bwbuild.corpus.reports import details
from bwbuild.corpus.reports.charts import charts
from bwbuild.corpus.reports.details import Limits
from bwbuild.corpus.reports.since import Change, Since
from bwbuild.corpus.reports.write import Form, write
from bwbuild.corpus.values import Build, Line, Package, Run, Verdict

HOSTILE = "</script><script>evil()</script><img src=x onerror=evil()>\"'&<!--\u202e\x1b[31m\ud800"


class Page(HTMLParser):
    """All elements of a page, as a browser's parser without scripts would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - of whatever ended, the text has ended
        self.tags.append(("", {}))
        self.texts.append("")

    def found(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        pairs = zip(self.tags, self.texts, strict=True)
        return [(attributes, text) for (name, attributes), text in pairs if name == tag]

    def source(self, index: int) -> dict[str, Any]:
        """What the page has of one source."""
        (text,) = (
            text for attributes, text in self.found("script") if attributes.get("id") == f"source{index}"
        )
        form: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(text)))
        return form

    def rows(self) -> list[dict[str, Any]]:
        (text,) = (text for attributes, text in self.found("script") if attributes.get("id") == "data")
        rows: list[dict[str, Any]] = json.loads(text)
        return rows


def text_of(run: Run, directory: Path) -> str:
    path = directory / "report.html"
    write(run, Form.HTML, path)
    return path.read_text(encoding="utf-8")


def test_the_policy_allows_the_style_and_the_script_alone(tmp_path: Path) -> None:
    page = Page(text_of(mixed(tmp_path), tmp_path))
    policy = next(attributes for attributes, _ in page.found("meta") if "http-equiv" in attributes)["content"]
    assert policy is not None
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    scripts = [text for attributes, text in page.found("script") if "type" not in attributes]
    ((_, style),) = page.found("style")

    assert allowed["default-src"] == "'none'"
    for text, kind in ((style, "style-src"), *((text, "script-src") for text in scripts)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert allowed[kind] == f"'sha256-{digest}'"
    assert len(scripts) == 1


def test_nothing_is_loaded_or_run_from_attributes(tmp_path: Path) -> None:
    page = Page(text_of(mixed(tmp_path), tmp_path))
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "video", "audio")
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src")]
        assert (attributes.get("href") or "#").startswith("#")
    assert "http:" not in "".join(page.texts).replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in "".join(page.texts)


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.build"
    write_log(log, output=HOSTILE.encode("utf-8", "surrogatepass") + b"\n")
    plain = made_run(tmp_path, [made_build("x", Verdict.FAILED)])
    build = replace(
        plain.builds[0], key=HOSTILE, version=HOSTILE, message=HOSTILE, status=HOSTILE, hidden=(HOSTILE,)
    )
    run = replace(plain, builds=(build,), name=HOSTILE, options=(HOSTILE,))
    text = text_of(run, tmp_path)
    page, harmless = Page(text), Page(text_of(plain, tmp_path))

    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert page.rows()[0]["key"].startswith("</script><script>evil()")
    source = page.source(0)
    assert source["hidden"][0].endswith("<!--\\u202e\\x1b[31m\\ud800")
    lines = "\n".join(part[3] for part in source["log"]["parts"])
    assert "</script><script>evil()" in lines
    assert "<!--\\u202e\\x1b[31m" in lines


STEERING = re.compile("[\x00-\x08\x1b\u202e\ud800]")


def strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list() | tuple():
            for item in value:
                yield from strings(item)
        case dict():
            for key, item in value.items():
                yield from strings(key)
                yield from strings(item)


def test_no_field_steers_the_eye(tmp_path: Path) -> None:
    """Whatever is a text in the values may come from a package."""
    write_log(tmp_path / "logs" / "x.build", output=HOSTILE.encode("utf-8", "surrogatepass"))
    build = made_build("x", Verdict.LOST)
    hostile: dict[str, Any] = {
        field.name: HOSTILE for field in fields(Build) if isinstance(getattr(build, field.name), str)
    }
    several = dict.fromkeys(("problems", "undeclared", "hidden", "lost"), (HOSTILE,) * 60)
    artifact = Artifact(HOSTILE, 1, HOSTILE)
    packages = (Package(HOSTILE, ((HOSTILE, HOSTILE),), (HOSTILE,)),)
    other = {"log": Path("logs/x.build"), "report": Path("a\u202eb"), "errors": (Line(1, HOSTILE),)}
    made = {"artifacts": (artifact,), "packages": packages, "steps": ((HOSTILE, 0.0),)}
    build = replace(build, **hostile, **several, **other, **made)
    machine = replace(made_run(tmp_path, []).machine, name=HOSTILE, architecture=HOSTILE)
    run = replace(made_run(tmp_path, []), builds=(build,), name=HOSTILE, tool=HOSTILE, machine=machine)
    page = Page(text_of(run, tmp_path))

    assert not STEERING.search("".join(page.texts))
    found = [*strings(page.rows()), *strings(page.source(0))]
    assert len(found) > 100
    assert [text for text in found if STEERING.search(text)] == []


def test_what_is_shown_of_a_source(tmp_path: Path) -> None:
    number = write_log(tmp_path / "logs" / "beta.build")
    page = Page(text_of(mixed(tmp_path), tmp_path))
    rows = [row["key"] for row in page.rows()]
    assert rows == ["alpha", "beta", "delta", "gamma"]
    beta = page.source(1)

    assert beta["errors"] == [[number, ERROR]]
    assert beta["undeclared"] == ["libncurses-dev"]
    assert [step[0] for step in beta["steps"]] == ["dh_auto_build", "dh_auto_test", "shorter ones: 1"]
    assert sum(step[2] for step in beta["steps"]) == pytest.approx(1)
    assert beta["log"]["link"] == "./logs/beta.build"
    assert page.source(0)["artifacts"][0][2] == "ab" * 32
    assert page.source(3)["lost"] == ["worker one was lost"]
    assert page.source(3)["log"]["problem"] == "no log was written"


def test_logs_elsewhere_are_not_linked(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    page = Page(text_of(mixed(tmp_path / "run"), tmp_path / "pages"))
    assert page.source(1)["log"]["link"] == ""
    assert page.source(1)["log"]["file"] == "logs/beta.build"
    odd = made_build("x", log=Path("javascript:evil()", "a#b?<.build"))
    page = Page(text_of(made_run(tmp_path, [odd]), tmp_path))
    assert page.source(0)["log"]["link"] == "./javascript%3Aevil%28%29/a%23b%3F%3C.build"


def test_a_log_is_cut_around_its_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "LONGEST_FAILED", 4096)
    path = tmp_path / "logs" / "beta.build"
    rest = b"".join(b"make: another line %d\n" % number for number in range(5000))
    number = write_log(path, lines=5000, output=rest)
    run = mixed(tmp_path)
    numbered = replace(run.builds[1].errors[0], number=number)
    builds = tuple(replace(build, errors=(numbered,)) if build.errors else build for build in run.builds)
    log = Page(text_of(replace(run, builds=builds), tmp_path)).source(1)["log"]

    gaps = [part for part in log["parts"] if part[4]]
    assert len(gaps) == 2
    around = next(part for part in log["parts"] if ERROR in part[3])
    assert around[3].split("\n")[number - around[2]] == ERROR
    assert re.fullmatch(r"\d+ lines, \d+ KiB; \d+ KiB of them not in this page", log["note"])
    assert len(json.dumps(log)) < 20000


def test_changes_since_an_earlier_run(tmp_path: Path) -> None:
    changes = (
        *(Change(f"gone{number}", "removed") for number in range(600)),
        Change("beta", "newly-failing", (HOSTILE, "two")),
        Change(HOSTILE, "newly-failing"),
    )
    write(mixed(tmp_path), Form.HTML, tmp_path / "report.html", Since("earlier <run>", changes))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    assert [text.strip() for _, text in page.found("summary")] == ["removed", "newly-failing"]
    assert [text for attributes, text in page.found("span") if attributes.get("class") == "count"] == [
        "600",
        "2",
    ]
    assert "#beta" in [attributes.get("href") for attributes, _ in page.found("a")]
    assert "earlier <run>" in [text for _, text in page.found("bdi")]
    shown = [text for _, text in page.found("li")]
    assert "and 100 more" in shown
    assert page.source(1)["since"][1] == "newly-failing: two"
    assert not STEERING.search("".join(page.texts))
    assert page.source(0)["since"] == []


def test_limits_keep_the_page_in_bounds() -> None:
    assert Limits.of([]) == Limits(256 << 10, 32 << 10)
    many = [made_build("a"), made_build("b", Verdict.FAILED)] * 2000
    assert Limits.of(many) == Limits((64 << 20) // 2000, (16 << 20) // 2000)
    assert Limits.of([made_build("a")] * 100000) == Limits(256 << 10, 2 << 10)


def test_the_charts_tell_time_and_memory(tmp_path: Path) -> None:
    def build(key: str, begin: int, end: int, memory: int) -> Any:
        times = {"started": NOON + timedelta(seconds=begin), "finished": NOON + timedelta(seconds=end)}
        return made_build(key, memory=memory << 20, log=None, **times)

    run = made_run(tmp_path, [build("a", 0, 50, 100), build("b", 0, 100, 200), build("c", 60, 100, 400)])
    builds, memory = charts(replace(run, finished=NOON + timedelta(seconds=100)))

    assert builds.text == "3 builds in 1 min 40 s, 2 at once at most and 1.9 on average"
    assert memory.text.endswith("600 MiB of 16 GiB at most")
    assert builds.marks == ("0", "25 s", "50 s", "1 min 15 s", "1 min 40 s")
    lanes = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", builds.drawn[0].path)
    assert lanes == [("0.0", "4.00", "499.6"), ("0.0", "54.00", "999.6"), ("600.0", "4.00", "399.6")]
    assert memory.top == "600 MiB", "16 GiB would be out of proportion"
    large = made_run(tmp_path, [build("a", 0, 50, 9000)])
    assert charts(large)[1].top == "16 GiB"
    assert charts(made_run(tmp_path, [])) == ()


def test_charts_of_a_clock_that_was_set_back(tmp_path: Path) -> None:
    wrong = made_build("a", started=NOON - timedelta(seconds=5), finished=NOON - timedelta(seconds=9))
    builds, memory = charts(made_run(tmp_path, [wrong], finished=NOON - timedelta(seconds=3)))
    assert "nan" not in builds.drawn[0].path + memory.drawn[0].path
    assert "-" not in builds.drawn[0].path.replace("h-", "h")


def test_a_run_without_builds_and_one_that_goes_on(tmp_path: Path) -> None:
    run = made_run(tmp_path, [], finished=None, stopped="the disk is full")
    page = Page(text_of(run, tmp_path))
    assert page.rows() == []
    assert "not finished: the disk is full" in "".join(page.texts)
