"""What a source must do, read from ``expect.toml``, and the comparison with what it did.

The file lies beside the directory ``tree`` that has the source, never in it: its options and its script are
the word of whoever keeps the corpus, and a source that came from elsewhere must not choose its own. Nothing
here writes or starts anything; :mod:`bwbuild.corpus.trial` does.
"""

from __future__ import annotations

import hashlib
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from bwbuild.errors import ExitStatus

LABELS = {status.label: status for status in ExitStatus}
#: In text of which bytes that are no part of a character are surrogates.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f]")
CHECKSUM = re.compile(r"^ ([0-9a-f]{64}) ([0-9]+) (\S+)$", re.M)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One ``expect.toml``; each field is a key of it."""

    what: str
    status: str
    options: tuple[str, ...] = ()
    also: tuple[tuple[str, ...], ...] = ()
    needs: tuple[str, ...] = ()
    setup: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    artifacts: tuple[str, ...] = ()
    files: tuple[tuple[str, tuple[str, ...]], ...] = ()
    log: tuple[str, ...] = ()
    log_absent: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    host_absent: tuple[str, ...] = ()
    seconds: int = 120
    megabytes: int = 0
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the host: its ``lstat`` mode, owner, number of names, and what it holds.

    ``content`` is the SHA-256 of a regular file in hexadecimal, the target of a link, else empty.
    """

    mode: int
    uid: int
    names: int
    size: int
    content: str


Snapshot = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the command did, in values.

    :param before: every file below the copy's parent, named relative to it.
    :param after: the same after the run.
    :param report: the JSON report, empty if none was written.
    :param changes: the text of each published ``.changes``.
    :param listings: for each published package a line for each member, ``MODE OWNER/GROUP PATH``.
    :param present: what matched ``host_absent``.
    :param left: what lies in the directory for temporary files.
    :param peak: the most memory that the command's own process had, in bytes.
    """

    exit_status: int
    before: Snapshot
    after: Snapshot
    report: Mapping[str, object]
    terminal: bytes = b""
    log: bytes = b""
    changes: Mapping[str, str] | None = None
    listings: Mapping[str, tuple[str, ...]] | None = None
    present: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    peak: int = 0


# Reading


def read(path: Path, architecture: str) -> Expectation:
    """The expectation in the file ``path``, for a host of ``architecture`` such as ``amd64``.

    :raises ValueError: an unknown key, a wrong type or an unknown status; the message names the file.
    """
    try:
        return parse(path.read_text(encoding="utf-8").replace("_ARCH.", f"_{architecture}."))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def parse(text: str) -> Expectation:
    """The expectation in ``text``, which is TOML.

    :raises ValueError: as :func:`read`, without the file.
    """
    try:
        table: dict[str, object] = tomllib.loads(text)
    except RecursionError:  # the parser's own way through lists in lists
        raise ValueError("it is nested too deeply") from None
    unknown = sorted(table.keys() - {field.name for field in fields(Expectation)})
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    expectation = Expectation(
        what=_value(table, "what", str),
        status=_value(table, "status", str),
        options=_strings(table.get("options", []), "options"),
        also=tuple(_strings(options, "also") for options in _value(table, "also", list, [])),
        needs=_strings(table.get("needs", []), "needs"),
        setup=_value(table, "setup", str, ""),
        environment=tuple(
            (name, _typed(value, str, f"environment.{name}"))
            for name, value in _value(table, "environment", dict, {}).items()
        ),
        artifacts=_strings(table.get("artifacts", []), "artifacts"),
        files=tuple(
            (name, _strings(lines, f"files.{name}"))
            for name, lines in _value(table, "files", dict, {}).items()
        ),
        log=_patterns(table, "log"),
        log_absent=_patterns(table, "log_absent"),
        says=_patterns(table, "says"),
        host_absent=_strings(table.get("host_absent", []), "host_absent"),
        seconds=_value(table, "seconds", int, 120),
        megabytes=_value(table, "megabytes", int, 0),
        gap=_value(table, "gap", str, ""),
    )
    if expectation.status not in LABELS:
        raise ValueError(f"unknown status {expectation.status!r}, not one of {', '.join(LABELS)}")
    strangers = sorted({name for name, _ in expectation.files} - set(expectation.artifacts))
    if strangers:
        raise ValueError(f"files of {strangers[0]!r}, which is not among the artifacts")
    return expectation


def _value(table: Mapping[str, object], key: str, kind: type[Value], default: Value | None = None) -> Value:
    if key not in table and default is None:
        raise ValueError(f"the key {key!r} is missing")
    return _typed(table.get(key, default), kind, key)


def _typed(value: object, kind: type[Value], key: str) -> Value:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} must be {kind.__name__}, not {value!r}")
    return value


def _strings(value: object, key: str) -> tuple[str, ...]:
    return tuple(_typed(item, str, key) for item in _typed(value, list, key))


def _patterns(table: Mapping[str, object], key: str) -> tuple[str, ...]:
    patterns = _strings(table.get(key, []), key)
    for pattern in patterns:
        try:
            re.compile(pattern.encode())
        except re.error as error:
            raise ValueError(f"{key}: {pattern!r} is no regular expression: {error}") from error
    return patterns


def source_name(tree: Path) -> tuple[str, str]:
    """Name and version of the source in ``tree``; its parent's name and ``0`` if the changelog has none."""
    first = (tree / "debian/changelog").read_text(encoding="utf-8").split("\n", 1)[0]
    match = re.match(r"([a-z0-9][a-z0-9.+-]+) \(([^()\s]+)\)", first)
    return (match[1], match[2]) if match else (tree.parent.name, "0")


def upstream(version: str) -> str:
    """``version`` without epoch and Debian revision."""
    whole = version.rpartition(":")[2]
    return whole.rpartition("-")[0] or whole


def snapshot(top: Path) -> Snapshot:
    """Every file below ``top``, by its path relative to it."""
    return {str(path.relative_to(top)): _entry(path) for path in sorted(top.rglob("*"))}


def _entry(path: Path) -> Entry:
    status = path.lstat()
    content = ""
    if stat.S_ISREG(status.st_mode):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        content = str(path.readlink())
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return Entry(status.st_mode, status.st_uid, status.st_nlink, size, content)


# Comparing


def differences(expected: Expectation, outcome: Outcome, uid: int) -> tuple[str, ...]:
    """What is not as expected, a line for each; ``uid`` is the user who ran the command."""
    checks: tuple[Callable[[Expectation, Outcome], Iterator[str]], ...] = (
        _status,
        _host,
        _report,
        _changes,
        _listings,
        _words,
        _memory,
    )
    found = [line for check in checks for line in check(expected, outcome)]
    return (*found, *_published(expected, outcome, uid))


def _status(expected: Expectation, outcome: Outcome) -> Iterator[str]:
    status = LABELS[expected.status]
    if outcome.exit_status != status:
        yield f"exit status {outcome.exit_status} instead of {int(status)} ({status.label})"
    for key, wanted in (("status", status.label), ("exit_status", int(status))):
        if outcome.report.get(key) != wanted:
            yield f"the report's {key} is {outcome.report.get(key)!r} instead of {wanted!r}"


def _host(expected: Expectation, outcome: Outcome) -> Iterator[str]:
    """The host is as it was, but for new artifacts: the one rule that holds for every package."""
    for path in outcome.before:
        if path not in outcome.after:
            yield f"{path} is gone from the host"
        elif _lasting(outcome.before[path]) != _lasting(outcome.after[path]):
            yield f"{path} changed on the host"
    new = set(outcome.after) - set(outcome.before)
    yield from (f"{path} is new on the host" for path in sorted(new - set(expected.artifacts)))
    yield from (f"{path} was not published" for path in sorted(set(expected.artifacts) - new))
    yield from (f"{path} exists on the host" for path in outcome.present)
    yield from (f"{name} was left among the temporary files" for name in outcome.left)


def _lasting(entry: Entry) -> tuple[object, ...]:
    # The number of a directory's names counts its subdirectories, which are looked at by themselves.
    names = 0 if stat.S_ISDIR(entry.mode) else entry.names
    return (entry.mode, entry.uid, names, entry.size, entry.content)


def _published(expected: Expectation, outcome: Outcome, uid: int) -> Iterator[str]:
    for name in expected.artifacts:
        entry = outcome.after.get(name)
        if entry is None:
            continue
        if not stat.S_ISREG(entry.mode) or entry.names != 1 or entry.uid != uid:
            yield f"{name} is not a plain file of the user: {entry}"
        elif entry.mode & 0o7133:
            yield f"{name} has the mode {stat.S_IMODE(entry.mode):o}"


def _report(expected: Expectation, outcome: Outcome) -> Iterator[str]:
    listed = outcome.report.get("artifacts", [])
    reported = {str(item["name"]): item for item in listed} if isinstance(listed, list) else {}
    unexpected = reported.keys() - set(expected.artifacts) - set(outcome.before)
    yield from (f"the report has {name}" for name in sorted(unexpected))
    yield from (f"the report lacks {name}" for name in sorted(set(expected.artifacts) - reported.keys()))
    for name, item in reported.items():
        entry = outcome.after.get(name)
        if entry and (item.get("sha256"), item.get("size")) != (entry.content, entry.size):
            yield f"the report has another sum or size of {name}"


def _changes(expected: Expectation, outcome: Outcome) -> Iterator[str]:
    for name, text in (outcome.changes or {}).items():
        listed = {file: (digest, int(size)) for digest, size, file in CHECKSUM.findall(text)}
        missing = set(expected.artifacts) - {name} - listed.keys()
        yield from (f"{name} does not list {file}" for file in sorted(missing))
        for file, sums in listed.items():
            entry = outcome.after.get(file)
            if entry is None:
                yield f"{name} lists {file}, which is not there"
            elif sums != (entry.content, entry.size):
                yield f"{name} has another sum or size of {file}"


def _listings(expected: Expectation, outcome: Outcome) -> Iterator[str]:
    listings = outcome.listings or {}
    for name, lines in expected.files:
        for line in lines:
            if line not in listings.get(name, ()):
                path = line.split(" ", 2)[-1]
                near = [found for found in listings.get(name, ()) if found.endswith(path)]
                yield f"{name} has no {line!r}" + (f" but {near[0]!r}" if near else "")


def _words(expected: Expectation, outcome: Outcome) -> Iterator[str]:
    for patterns, where, data in (
        (expected.log, "log", outcome.log),
        (expected.says, "terminal", outcome.terminal),
    ):
        for pattern in patterns:
            if not re.search(pattern.encode(), data, re.M):
                yield f"the {where} does not match {pattern!r}"
    for pattern in expected.log_absent:
        if match := re.search(pattern.encode(), outcome.log, re.M):
            yield f"the log has {match[0][:200]!r}"
    for where, data in (("log", outcome.log), ("terminal", outcome.terminal)):
        text = data.decode("utf-8", "surrogateescape")
        if control := CONTROLS.search(text):
            around = text[max(0, control.start() - 40) : control.end() + 40]
            yield f"the {where} has a control character: {around!r}"


def _memory(expected: Expectation, outcome: Outcome) -> Iterator[str]:
    if expected.megabytes and outcome.peak > expected.megabytes * 1_000_000:
        yield f"{outcome.peak // 1_000_000} MB of memory, more than {expected.megabytes}"
