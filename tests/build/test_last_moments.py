"""Signals while Python begins or ends, when no build runs: no traceback is shown whenever they come."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
from support import Desk, Rules, make_desk

#: Python imports this by itself. It sends a signal when a module is looked for, or at the very end.
WHEN_IMPORTED = """\
import os, sys
def hook(event, arguments):
    if event == "import" and arguments[0] == {module!r}:
        os.kill(os.getpid(), {number})
sys.addaudithook(hook)
"""
AT_THE_END = "import atexit, os\natexit.register(os.kill, os.getpid(), {number})\n"
#: The same when functions are called, each once.
WHEN_CALLED = """\
import os, sys
left = {module!r}.split()
def trace(frame, event, argument):
    if frame.f_code.co_name in left:
        left.remove(frame.f_code.co_name)
        os.kill(os.getpid(), {number})
sys.settrace(trace)
"""
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def signalled(desk: Desk, program: str, number: signal.Signals, module: str = "") -> Desk:
    """The desk of a caller whose Python sends itself a signal."""
    place = desk.top / "site"
    place.mkdir()
    (place / "sitecustomize.py").write_text(program.format(number=int(number), module=module))
    return replace(desk, more={"PYTHONPATH": f"{place}:{desk.program}"})


def ended(desk: Desk, *words: str) -> int:
    """The status of a command that was signalled, which says nothing of it that is Python's."""
    running = desk.start(*words)
    output, _ = running.communicate(timeout=60)
    for word in (b"Traceback", b"KeyboardInterrupt", b"Exception ignored"):
        assert word not in output, output
    return running.returncode


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make_desk(tmp_path, Rules())


@pytest.mark.parametrize("module", ["bwbuild.cli.main", "click", "bwbuild.config.layers"])
def test_while_modules_are_imported(desk: Desk, module: str) -> None:
    assert ended(signalled(desk, WHEN_IMPORTED, signal.SIGINT, module), "config") in (-signal.SIGINT, 130)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
@pytest.mark.parametrize("words", [("config",), ("nothing-of-that-name",)], ids=["success", "error"])
def test_when_the_result_is_there(desk: Desk, number: signal.Signals, words: tuple[str, ...]) -> None:
    assert ended(signalled(desk, AT_THE_END, number), *words) == -number


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
@pytest.mark.parametrize("names", ["_told", "_told show_error"], ids=["once", "twice"])
def test_while_an_error_is_told(desk: Desk, number: signal.Signals, names: str) -> None:
    status = ended(signalled(desk, WHEN_CALLED, number, names), "nothing-of-that-name")
    assert status == 130
