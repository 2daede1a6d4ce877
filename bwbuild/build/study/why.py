"""Why a build sees a package, or why it does not: pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from bwbuild.build.record.escaping import visible
from bwbuild.build.record.summary import Line
from bwbuild.build.study.deps import Dependencies
from bwbuild.deb import relations
from bwbuild.deb.closure import BUILD_ESSENTIAL, ESSENTIAL, Reason, chain
from bwbuild.deb.database import Package, Side
from bwbuild.deb.relations import Group

#: As many ways are shown; a library such as libc6 has hundreds.
MOST = 10


@dataclass(frozen=True, slots=True)
class Way:
    """One way from what is asked for to a package: its first reason, and the names of the packages."""

    first: Reason
    names: tuple[str, ...]

    def text(self, arrow: str) -> str:
        """Such as ``Build-Depends: debhelper (>= 13) → dh-autoreconf → autoconf``."""
        # A relation that is hardly more than the package's name speaks for both.
        named = "|" not in self.first.relation and re.split("[ :]", self.first.relation)[0] == self.names[0]
        names = self.names[1:] if named else self.names
        return visible(f" {arrow} ".join([f"{self.first.field}: {self.first.relation}", *names]))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known about one package or name.

    :ivar text: a sentence, without a full stop.
    :ivar ways: the way by which it came in, then the others, one for each package that asks for it.
    """

    text: str
    is_visible: bool
    ways: tuple[Way, ...] = ()
    further: tuple[Answer, ...] = ()


def explain(found: Dependencies, name: str) -> Answer:
    """Why the build sees ``name``, which may be ``name:architecture`` or a virtual package, or does not."""
    bare, _, architecture = name.removesuffix(":any").removesuffix(":native").partition(":")
    real = [p for p in found.database.by_name.get(bare, ()) if p.is_present]
    real = [p for p in real if architecture in ("", p.architecture)]
    answers = [_about(found, package) for package in real]
    if not any(answer.is_visible for answer in answers):
        answers += _provided(found, bare, architecture)
    if not answers:
        return _unknown(found, name)
    if len(answers) == 1:
        return answers[0]
    return Answer("", any(answer.is_visible for answer in answers), further=tuple(answers))


def lines(answer: Answer, arrow: str) -> tuple[Line, ...]:
    """``answer`` for the terminal."""
    return tuple(_lines(answer, arrow))


def _lines(answer: Answer, arrow: str) -> Iterator[Line]:
    if answer.text:
        yield Line(visible(answer.text), "bold")
    yield from (Line(f"  {way.text(arrow)}") for way in answer.ways[:MOST])
    if len(answer.ways) > MOST:
        yield Line(f"  and {len(answer.ways) - MOST} more")
    for further in answer.further:
        yield from _lines(further, arrow)


def _about(found: Dependencies, package: Package) -> Answer:
    title = f"{_named(found, package)} {package.version}"
    if package.id in found.closure.packages:
        return Answer(f"{title} is visible", True, tuple(_ways(found, package)))
    if not package.is_usable:
        return Answer(f"{title} is {package.state} here, so nothing can depend on it: hidden", False)
    return Answer(f"{title} is installed here but not declared: hidden", False)


def _named(found: Dependencies, package: Package) -> str:
    alike = [p for p in found.database.by_name[package.name] if p.is_present]
    return package.name if len(alike) == 1 else package.id


def _provided(found: Dependencies, name: str, architecture: str) -> Iterator[Answer]:
    providers = {
        provider.package.id: provider.package
        for provider in found.database.providers.get(name, ())
        if architecture in ("", provider.architecture)
    }
    answers = [_about(found, providers[key]) for key in sorted(providers)]
    seen = tuple(answer for answer in answers if answer.is_visible)
    if answers:
        names = ", ".join(providers[key].name for key in sorted(providers))
        yield Answer(f"{name} is provided by {names}", bool(seen), further=seen or tuple(answers))


def _unknown(found: Dependencies, name: str) -> Answer:
    database, asked = found.database, name.partition(":")[0]
    here = {package.name for package in database.packages.values() if package.is_present}
    names = here | database.providers.keys()
    text = f"{name} is not installed"
    if asked in names:
        text += " for this architecture"
    elif wanted := _asking(found, asked):
        text += f"; {wanted} asks for it"
    elif near := get_close_matches(asked, sorted(names), n=1, cutoff=0.8):
        text += f"; did you mean {near[0]}?"
    return Answer(text, False)


def _asking(found: Dependencies, name: str) -> str:
    """The first unmet relation that names ``name``."""
    for missing in found.closure.missing:
        groups = relations.parse(missing.field, missing.relation)
        if any(relation.name == name for group in groups for relation in group):
            return " ".join(filter(None, (missing.parent, f"{missing.field}: {missing.relation}")))
    return ""


def _ways(found: Dependencies, package: Package) -> Iterator[Way]:
    """The way by which ``package`` came in, then one for each other that asks for it.

    What every build has is there whichever packages ask for it, so that only the source's own fields count.
    """
    came = found.closure.packages[package.id]
    way = _way(found, package, came)
    yield way
    everywhere = way.first.field in (ESSENTIAL, BUILD_ESSENTIAL)
    seen = {came.parent}
    for reason in _asked_for(found, package):
        if reason != came and (not reason.parent or not (everywhere or reason.parent in seen)):
            seen.add(reason.parent)
            yield _way(found, package, reason)


def _way(found: Dependencies, package: Package, reason: Reason) -> Way:
    steps = chain(found.closure, reason.parent) if reason.parent else ()
    first = steps[0][1] if steps else reason
    names = [found.database.packages[step].name for step, _ in steps]
    return Way(first, (*names, package.name))


def _asked_for(found: Dependencies, package: Package) -> Iterator[Reason]:
    """All relations of the source and of visible packages that ``package`` satisfies."""
    names = {package.name} | {
        name
        for name, providers in found.database.providers.items()
        if any(provider.package == package for provider in providers)
    }

    for parent, field, groups, side in _all_groups(found):
        for group in groups:
            if any(r.name in names and package in found.database.satisfying(r, side) for r in group):
                yield Reason(parent, field, relations.group_text(group))


def _all_groups(found: Dependencies) -> Iterator[tuple[str, str, tuple[Group, ...], Side]]:
    """Who asks, in which field, for what, and as whom: the source, then each visible package."""
    for field, groups in found.own_groups():
        yield "", field, groups, found.side
    native = found.wanted.build_architecture
    for package in found.visible():
        side = Side(native if package.architecture == "all" else package.architecture, native)
        for field, text in (("Pre-Depends", package.pre_depends), ("Depends", package.depends)):
            yield package.id, field, relations.parse(field, text), side
