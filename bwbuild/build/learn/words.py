"""What was learned, for people and as JSON: pure. All names are shown without control characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bwbuild.build.learn.analyse import Entry, Undeclared, Use, Verdict, name
from bwbuild.build.learn.seen import Seen, Tried
from bwbuild.build.learn.trim import Trimmed
from bwbuild.build.record.escaping import visible
from bwbuild.build.record.findings import Line
from bwbuild.build.record.uses import Use as Permitted

FORMAT_VERSION = 1
#: How much of one kind the terminal shows; JSON has all.
_SHOWN = 12
_HEADING = "bold"
_STYLES = {Use.USED: "", Use.PASSING: "yellow", Use.THROUGH: "yellow", Use.NEVER: "bold red"}


@dataclass(frozen=True, slots=True)
class Learned:
    """All that is told.

    :ivar verdict: None where the build failed: what it did not come to is not unused.
    :ivar profile: where the profile is, and how many files it shows.
    """

    source: str
    version: str
    view: str
    seen: Seen
    verdict: Verdict | None = None
    profile: tuple[Path, int] | None = None
    trimmed: Trimmed | None = None
    permissions: tuple[Permitted, ...] = ()


def lines(learned: Learned) -> Iterator[Line]:
    """The table of what the traced build did."""
    verdict, seen = learned.verdict, learned.seen
    yield Line(visible(f"{learned.source} {learned.version}: what its build used"), _HEADING)
    if verdict is None:
        yield Line("The build failed, so nothing is said of its dependencies.", "yellow")
    else:
        yield from _entries(verdict.entries)
        yield from _undeclared(
            "Used, but there only because something else needs them: declare them?", verdict.transitive
        )
        yield from _undeclared("Used and not declared", verdict.undeclared)
    programs = sorted(
        {
            program
            for program in seen.started
            if program.startswith("/") and not program.startswith("/run/bwbuild/")
        }
    )
    yield from _block(f"Programs run, {len(programs)}", [visible(p) for p in programs])
    yield from _tried("Addresses tried", seen.addresses)
    yield from _tried("Names asked of the DNS", seen.names)
    yield from _tried("Writes tried outside of the tree and of temporary directories", seen.writes)
    yield from _block("Permissions", [visible(str(use)) for use in learned.permissions])
    if seen.lost:
        yield Line("")
        yield Line(f"{seen.lost} more files, programs or addresses were not kept.", "yellow")
    if learned.profile:
        path, files = learned.profile
        yield Line("")
        yield Line(f"Profile: {files} files, {visible(str(path))}")
        yield Line("bwbuild --view learned shows the next build nothing else.")


def as_json(learned: Learned) -> dict[str, Any]:
    """The same as a document."""
    seen, verdict = learned.seen, learned.verdict
    return {
        "version": FORMAT_VERSION,
        "source": learned.source,
        "source_version": learned.version,
        "view": learned.view,
        "built": verdict is not None,
        "entries": [{**asdict(e), "use": e.use.value} for e in verdict.entries] if verdict else [],
        "transitive": [asdict(found) for found in verdict.transitive] if verdict else [],
        "undeclared": [asdict(found) for found in verdict.undeclared] if verdict else [],
        "programs": [
            {"program": program, "started_by": list(starters)}
            for program, starters in sorted(seen.started.items())
        ],
        "addresses": [asdict(tried) for tried in seen.addresses],
        "names": [asdict(tried) for tried in seen.names],
        "writes": [asdict(tried) for tried in seen.writes],
        "permissions": [asdict(use) for use in learned.permissions],
        "lost": seen.lost,
        "trim": _trim_as_json(learned.trimmed) if learned.trimmed else None,
        "profile": {"path": str(learned.profile[0]), "files": learned.profile[1]}
        if learned.profile
        else None,
    }


def _entries(entries: Sequence[Entry]) -> Iterator[Line]:
    if not entries:
        yield Line("")
        yield Line("No build dependency is declared for this build.")
    field = ""
    width = min(44, max((len(visible(entry.relation)) for entry in entries), default=0))
    for entry in entries:
        if entry.field != field:
            field = entry.field
            yield Line("")
            yield Line(visible(field), _HEADING)
        yield Line(f"  {visible(entry.relation):{width}}  {visible(_verdict(entry))}", _STYLES[entry.use])


def _verdict(entry: Entry) -> str:
    word: str = "used only through others" if entry.use is Use.THROUGH else entry.use.value
    found: str = entry.why or (entry.files[0] if entry.use is Use.USED and entry.files else "")
    return f"{word}: {found}" if found else word


def _undeclared(title: str, found: Sequence[Undeclared]) -> Iterator[Line]:
    sure = [item for item in found if not item.perhaps]
    perhaps = [item for item in found if item.perhaps]
    if sure or perhaps:
        yield Line("")
        yield Line(title, _HEADING)
    for item in sure:
        by = f" by {', '.join(item.processes)}" if item.processes else ""
        through = f", there through {name(item.through)}" if item.through else ""
        yield Line(f"  {visible(f'{name(item.package)}: {item.files[0]}{by}{through}')}", "yellow")
    others: dict[str, list[str]] = {}
    for item in perhaps:
        others.setdefault(name(item.perhaps), []).append(name(item.package))
    for other, packages in sorted(others.items()):
        text = f"perhaps only by {other}: {', '.join(packages)}"
        yield Line(f"  {visible(text)}")


def trimmed_lines(trimmed: Trimmed) -> Iterator[Line]:
    """What came of building without what seems unused."""
    yield Line("")
    if not trimmed.tried:
        yield Line("Nothing seems unused, so nothing was built without it.", _HEADING)
        return
    yield Line("Built without", _HEADING)
    for one in trimmed.tried:
        names = ", ".join(relation for _, relation in one.without)
        yield Line(f"  {visible(f'{names}: {one.result}')}", "" if one.same else "yellow")
    yield Line("")
    if not trimmed.change:
        yield Line("Nothing can be left out.", _HEADING)
        return
    yield Line("What can be left out; nothing was written:", _HEADING)
    yield from (Line(escaped(line)) for line in trimmed.change.splitlines())


def escaped(line: str) -> str:
    """A line of a diff, whose tabs stay: it is there to be pasted."""
    return "\t".join(map(visible, line.split("\t")))


def _trim_as_json(trimmed: Trimmed) -> dict[str, Any]:
    return {
        "tried": [
            {
                "without": [{"field": field, "relation": relation} for field, relation in one.without],
                "same": one.same,
                "result": one.result,
            }
            for one in trimmed.tried
        ],
        "change": trimmed.change,
    }


def _tried(title: str, found: Sequence[Tried]) -> Iterator[Line]:
    texts = [f"{t.what} by {t.process}" + (f": {t.error}" if t.error else "") for t in found]
    yield from _block(title, [visible(text) for text in texts])


def _block(title: str, texts: Iterable[str]) -> Iterator[Line]:
    found = list(texts)
    if not found:
        return
    yield Line("")
    yield Line(title, _HEADING)
    yield from (Line(f"  {text}") for text in found[:_SHOWN])
    if len(found) > _SHOWN:
        yield Line(f"  and {len(found) - _SHOWN} more (--json)")
