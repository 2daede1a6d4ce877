"""The page of a corpus run in chromium: what a user sees and does, and how long it takes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Browser
from made_runs import ERROR, made_build, made_run, write_log

from bwbuild.corpus.reports.since import Change, Since
from bwbuild.corpus.reports.write import Form, write
from bwbuild.corpus.values import Build, Run, Verdict

pytestmark = pytest.mark.browser

EVIL = "document.title='evil'"
HOSTILE = f"</script><script>{EVIL}</script><img src=x onerror={EVIL}>\u202e\x1b[31m\"'&"


def script(name: str) -> str:
    """A look at the page: the body of a function, ``NAME.js`` beside this file."""
    return Path(__file__).with_name(f"{name}.js").read_text(encoding="ascii")


def page_of(run: Run, directory: Path) -> Path:
    path = directory / "report.html"
    write(run, Form.HTML, path)
    return path


def builds(number: int) -> list[Build]:
    """Builds whose times and sizes are in no order; one of ten fails, one of fifty is lost."""
    chance = random.Random(number)  # noqa: S311 - the same in every run
    verdicts = {0: Verdict.FAILED, 1: Verdict.LOST}
    made = []
    for index in range(number):
        verdict = verdicts[index % 10] if index % 10 == 0 or index % 50 == 1 else Verdict.PASSED
        build = made_build(f"source{index}", verdict, log=Path("logs", f"{verdict.value}.build"))
        made.append(replace(build, wall=chance.uniform(1, 5000), memory=chance.randrange(1 << 34)))
    return made


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 250 sources."""
    directory = tmp_path_factory.mktemp("page")
    return page_of(made_run(directory, builds(250)), directory)


def names(window: Browser) -> list[str]:
    return window.texts("#rows a")


def test_failures_are_seen_first(window: Browser, page: Path) -> None:
    window.open(page)
    assert window.call("GET", "/title") == "Corpus run trixie-1"
    assert [text.replace("\n", " ") for text in window.texts(".tile")] == [
        "250 all",
        "25 failed",
        "5 lost",
        "220 passed",
    ]
    assert window.texts("#rows .badge") == ["failed"] * 25 + ["lost"] * 5 + ["passed"] * 70
    assert names(window)[:3] == ["source0", "source10", "source100"]
    assert window.text("#found") == "250 sources"


def test_filtering(window: Browser, page: Path) -> None:
    window.open(page)
    window.click(".tile.lost")
    assert names(window) == ["source1", "source101", "source151", "source201", "source51"]
    assert window.text("#found") == "5 of 250 sources"
    assert window.run("return document.querySelector('.tile.lost').getAttribute('aria-pressed')") == "true"

    window.click("#query")
    window.press(*"1 SOURCE5")
    assert names(window) == ["source51"]
    window.press(*"x")
    assert names(window) == []
    window.click("#reset")
    assert len(names(window)) == 100

    window.run(
        "const status = document.getElementById('status');"
        "status.value = 'build-failed'; status.dispatchEvent(new Event('change'))"
    )
    assert set(window.texts("#rows .badge")) == {"failed"}


def test_sorting(window: Browser, page: Path) -> None:
    window.open(page)
    by = {build.key: build for build in builds(250)}
    shown = "return document.querySelector('th[data-by=' + arguments[0] + ']').getAttribute('aria-sort')"

    window.click("th[data-by=time] button")
    assert window.run(shown, "time") == "descending"
    assert window.run(shown, "verdict") == "none"
    walls = [by[name].wall for name in names(window)]
    assert walls == sorted((build.wall for build in by.values()), reverse=True)[:100]
    window.click("th[data-by=time] button")
    assert window.run(shown, "time") == "ascending"
    assert by[names(window)[0]].wall == min(build.wall for build in by.values())
    window.click("th[data-by=key] button")
    assert names(window)[:11] == [f"source{number}" for number in range(11)]


def test_pages(window: Browser, page: Path) -> None:
    window.open(page)
    window.click("th[data-by=key] button")
    window.click("#next")
    window.click("#next")
    assert names(window) == [f"source{number}" for number in range(200, 250)]
    assert window.text("#page") == "201\u2013250 of 250"
    assert window.run("return document.activeElement.id") == "previous"
    window.click("#previous")
    assert names(window)[0] == "source100"


def test_a_source_and_its_log(window: Browser, page: Path) -> None:
    window.open(page)
    window.click("#rows a")
    window.until("document.querySelector('#one .errors a')")
    assert window.text("#one h1") == "source0"
    assert not window.run("return document.getElementById('all').checkVisibility()")
    assert ERROR in window.text("#one .errors")
    opened = "return [...document.querySelectorAll('details[open] summary')].map(e => e.innerText)"
    assert window.run(opened) == ["dpkg-buildpackage21 lines1 error line"]

    window.click("#one .errors a")
    window.until("document.querySelector('.here')")
    assert window.text(".here").strip() == ERROR
    seen = "return document.querySelector('.here').getBoundingClientRect().top / innerHeight"
    assert 0 < window.run(seen) < 1
    number = window.run("return document.querySelector('.here').dataset.n")
    lines = (page.parent / "logs" / "failed.build").read_text().split("\n")
    assert lines[int(number) - 1] == ERROR

    window.run("[...document.querySelectorAll('.log-tools button')][0].click()")
    window.until(
        "document.querySelectorAll('details pre').length === document.querySelectorAll('details').length"
    )
    seen = window.run("return document.getElementById('one').textContent")
    assert "Kernel: 6.18" in seen
    assert "Status: attempted" in seen


def test_an_address_leads_to_a_line(window: Browser, page: Path) -> None:
    lines = (page.parent / "logs" / "failed.build").read_text().split("\n")
    number = lines.index("Status: attempted") + 1
    window.open(page, f"#source20/{number}")
    window.until("document.querySelector('.here')")
    assert window.text(".here").strip() == "Status: attempted"
    assert window.call("GET", "/title").startswith("source20 ")
    window.open(page, "#no-such%source/zz")
    assert len(names(window)) == 100


def test_the_keyboard_alone(window: Browser, page: Path) -> None:
    window.open(page)
    window.press("Tab", "Enter")
    assert window.run("return document.activeElement.id") == "query"
    window.press(*"source12")
    assert window.text("#found") == "11 of 250 sources"
    for _ in range(40):
        window.press("Tab")
        if window.run("return document.activeElement.closest('th')?.dataset.by === 'key'"):
            break
    window.press("Enter", "Enter")
    assert names(window)[0] == "source129"
    for _ in range(40):
        window.press("Tab")
        if window.run("return document.activeElement.closest('#rows') !== null"):
            break
    window.press("End", "ArrowUp", "ArrowUp", "ArrowDown", "Home", "ArrowDown")
    assert window.run("return document.activeElement.innerText") == names(window)[1] == "source128"
    window.press("Enter")
    window.until("document.querySelector('#one details')")
    assert window.run("return document.activeElement.tagName") == "H1"
    for _ in range(40):
        window.press("Tab")
        if window.run("return document.activeElement.tagName") == "SUMMARY":
            break
    window.press("Enter")
    window.until("document.querySelector('details[open] pre')")
    window.press("Escape")
    window.until("!document.getElementById('all').hidden")
    assert window.run("return document.activeElement.innerText") == "source128"
    assert window.text("#found") == "11 of 250 sources"


def test_the_focus_is_seen(window: Browser, page: Path) -> None:
    window.open(page)
    for _ in range(20):
        window.press("Tab")
        assert window.run(script("focus")), window.run("return document.activeElement.outerHTML")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_can_be_read(scheme: str, window: Browser, page: Path) -> None:
    window.scheme(scheme)
    ground = "return getComputedStyle(document.documentElement).backgroundColor.match(/[0-9]+/g).map(Number)"
    for fragment in ("", "#source0"):
        window.open(page, fragment)
        window.until("document.querySelector(arguments[0])", "#one pre" if fragment else "#rows a")
        assert (max(window.run(ground)) < 60) is (scheme == "dark")
        ratio, text = window.run(script("contrast"))
        assert ratio >= 4.5, text


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(width: int, window: Browser, page: Path) -> None:
    window.size(width, 800)
    for fragment in ("", "#source0", "#source3"):
        window.open(page, fragment)
        window.until("document.querySelector(arguments[0])", "#one .log-tools" if fragment else "#rows a")
        assert window.run("return document.documentElement.scrollWidth <= innerWidth")


def test_everything_has_a_name(window: Browser, page: Path) -> None:
    for fragment in ("", "#source0"):
        window.open(page, fragment)
        window.until("document.querySelector(arguments[0])", "#one pre" if fragment else "#rows a")
        assert window.run(script("named")) == []


def test_print_has_all_rows(window: Browser, page: Path) -> None:
    window.open(page)
    window.run("dispatchEvent(new Event('beforeprint'))")
    assert len(names(window)) == 250
    window.run("dispatchEvent(new Event('afterprint'))")
    assert len(names(window)) == 100


def test_hostile_text_is_seen_and_does_nothing(window: Browser, tmp_path: Path) -> None:
    write_log(tmp_path / "logs" / "x.build", output=HOSTILE.encode() + b"\n")
    build = made_build(HOSTILE, Verdict.FAILED, log=Path("logs/x.build"), message=HOSTILE, version=HOSTILE)
    build = replace(build, hidden=(HOSTILE,), problems=(HOSTILE,), lost=(HOSTILE,), steps=((HOSTILE, 1.0),))
    run = made_run(tmp_path, [build, made_build("good")], name=HOSTILE)
    window.open(page_of(run, tmp_path))
    window.click("#rows a")
    window.until("document.querySelector('#one pre')")

    visible = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
    assert window.text("#one h1") == visible
    assert visible in [line.strip() for line in window.texts("#one pre .l")]
    assert "evil" not in window.call("GET", "/title").partition(" \u2013 ")[0].replace(visible, "")
    assert window.run("return document.images.length + document.scripts.length") == 2 + len(run.builds)


def test_what_has_changed_comes_first(window: Browser, tmp_path: Path) -> None:
    run = made_run(tmp_path, [made_build("bad", Verdict.FAILED), made_build("good")])
    changes = (Change("bad", "newly-failing", ("it fails",)), Change("good", "files", ("less", "more")))
    write(run, Form.HTML, tmp_path / "report.html", Since("earlier", changes))
    window.open(tmp_path / "report.html")
    assert window.texts("h2")[0] == "Since earlier"
    assert window.text("details[open]").split("\n") == ["newly-failing1", "bad", "it fails"]
    window.click(".since a")
    window.until("document.querySelector('#one pre')")
    assert "newly-failing: it fails" in window.texts("#one .card li")
    window.press("Escape")
    window.until("!document.getElementById('all').hidden")


def test_a_log_that_is_gone_and_one_that_is_cut(window: Browser, tmp_path: Path) -> None:
    write_log(tmp_path / "logs" / "long.build", lines=20000)
    keys = {"gone": Verdict.FAILED, "long": Verdict.PASSED}
    run = made_run(tmp_path, [made_build(key, verdict) for key, verdict in keys.items()])
    (tmp_path / "logs" / "gone.build").unlink()
    path = page_of(run, tmp_path)

    window.open(path, "#gone")
    window.until("document.querySelector('#one .log-tools')")
    assert "can't be read: No such file or directory" in window.text("#one .log-tools")
    window.open(path, "#long")
    window.until("document.querySelector('#one .gap')")
    assert "of the log not in this page" in window.text("#one .gap")
    assert "not in this page" in window.text("#one .log-tools p")
    assert "up to 256 KiB of the log of each build that went wrong" in window.run(
        "return document.querySelector('footer').textContent"
    )


def test_a_browser_that_can_not_unpack(window: Browser, page: Path) -> None:
    script = "delete globalThis.DecompressionStream"
    added = window.devtools("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]
    try:
        window.open(page, "#source0")
        window.until("document.querySelector('#one .log-tools')")
    finally:
        window.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=added)
    assert ERROR in window.text("#one .errors")
    assert "logs/failed.build" in window.text("#one .log-tools")


def test_a_browser_without_scripts(window: Browser, page: Path) -> None:
    window.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        window.open(page)
        seen = window.devtools("DOMSnapshot.captureSnapshot", computedStyles=[])["strings"]
    finally:
        window.devtools("Emulation.setScriptExecutionDisabled", value=False)
    assert any("need JavaScript" in text for text in seen)
    assert any("source240" in text for text in seen)


def test_2000_sources_take_no_longer_than_200(window: Browser, tmp_path: Path) -> None:
    took = []
    for number in (200, 2000):
        directory = tmp_path / str(number)
        for verdict in ("failed", "passed"):
            write_log(directory / "logs" / f"{verdict}.build", lines=3000)
        window.open(page_of(made_run(directory, builds(number)), directory))
        took.append(window.run(script("work")))
    small, large = took
    # Ten times as many, but what costs is one page of rows.
    assert {name: large[name] / small[name] for name in small if large[name] > 3 * small[name]} == {}
