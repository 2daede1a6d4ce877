"""What follows a build whose results are published: the checks that were asked for, on copies of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bwbuild import process
from bwbuild.build import asked, ground, places
from bwbuild.build.granted import terms
from bwbuild.build.plan import Plan
from bwbuild.build.watch.bounds import of_checks, of_installing
from bwbuild.build.watch.limits import BreachError
from bwbuild.checks import autopkgtest, lintian, piuparts
from bwbuild.checks.bench import Bench, Subject
from bwbuild.checks.result import Result, Verdict, broken
from bwbuild.deb.names import binary_file
from bwbuild.errors import BwbuildError, InterruptedBuild
from bwbuild.events import Level, Notice, Observer, Output, Section, Step, Text
from bwbuild.handover.artifacts import Verified
from bwbuild.permissions.words import NETWORK
from bwbuild.root import bases
from bwbuild.root.ground import Base
from bwbuild.root.suite import of_this_machine
from bwbuild.root.workplace import workplace
from bwbuild.sandbox.pcap import Traffic

Check = Callable[[Bench, Subject, tuple[str, ...]], Result]
_CHECKS: Mapping[str, Check] = {
    "lintian": lintian.check,
    "autopkgtest": autopkgtest.check,
    "piuparts": piuparts.check,
}
_COPY = ("cp", "--reflink=auto", "--no-preserve=ownership")
#: Verdicts that nobody has to look into.
_FINE = frozenset({Verdict.PASS, Verdict.INFO, Verdict.NONE})


def run(
    plan: Plan,
    verified: Verified,
    tell: Observer,
    results: list[Result],
    traffic: Traffic | None = None,
) -> None:
    """Run the checks of the settings one after the other, and add what each found to ``results``.

    One that can't be carried out is among them, and the next ones follow all the same.

    :param tell: the log, and the terminal.
    :param traffic: reads what the source's own tests send where they have the network.
    """
    tell(Section("Post Build"))
    names = asked.checks(plan.settings)
    try:
        with _base(plan, tell) as base, _subject(plan, verified) as subject:
            bench = Bench(
                base=base,
                cache=places.cache(plan.settings),
                tell=tell,
                output=lambda data: tell(Output(data)),
                bounds=of_checks(plan, base.identity),
                installing=of_installing(plan.settings, plan.host, base.identity),
                fetch=plan.settings.fetch,
                permits=plan.test_permits,
                traffic=traffic,
                remedy=terms.of_tests(plan.source.name, NETWORK, plan.decisions),
            )
            for name in names:
                tell(Section(name, 3))
                tell(Step(name))
                options = getattr(plan.settings, f"{name}_opt")
                results.append(_checked(name, partial(_CHECKS[name], bench, subject, options), tell))
    except InterruptedBuild:
        raise
    except BwbuildError as error:
        results += [_broken(name, error, tell) for name in names[len(results) :]]


def _checked(name: str, check: Callable[[], Result], tell: Observer) -> Result:
    began = time.monotonic()
    try:
        result = check()
    except InterruptedBuild:
        raise
    except BwbuildError as error:
        return _broken(name, error, tell, time.monotonic() - began)
    level = Level.INFO if result.verdict in _FINE else Level.WARNING
    tell(Notice(level, f"{name}: {result.text}"))
    return result


def _broken(name: str, error: BwbuildError, tell: Observer, seconds: float = 0.0) -> Result:
    limit = error.reached.name if isinstance(error, BreachError) else ""
    result = replace(broken(name, error.message, seconds), limit=limit)
    if error.details:
        tell(Text("\n".join(error.details)))
    tell(Notice(Level.WARNING, f"{name}: {result.text}{f'; {error.hint}' if error.hint else ''}"))
    return result


@contextmanager
def _base(plan: Plan, tell: Observer) -> Iterator[Base]:
    """The base that the build stands on, or one of this machine's release."""
    if plan.ground is not None:
        yield plan.ground.base
        return
    identity, native = plan.sandbox.identity, plan.host.architecture
    with bases.opened(ground.wish(plan.settings, of_this_machine(), native, identity, tell)) as base:
        yield base


@contextmanager
def _subject(plan: Plan, verified: Verified) -> Iterator[Subject]:
    """Copies of all that the .changes and the .dsc list: a check need not be trusted with more."""
    with workplace(places.cache(plan.settings), "built") as place:
        files = {artifact.name: artifact.path for artifact in verified.artifacts}
        (place / "files").mkdir()
        (place / "files").chmod(0o755)
        for name, path in {**plan.origs, **files}.items():
            process.run([*_COPY, "--", path, place / "files" / name])
            (place / "files" / name).chmod(0o644)
        dsc = verified.named(".dsc")
        tree = _copied_tree(plan, place / "tree") if plan.settings.autopkgtest and dsc is None else None
        packages = {name: binary_file(name) for name in files if name.endswith(".deb")}
        of = {name: found[2] for name, found in packages.items() if found}
        own = {"all", plan.host.architecture}
        relations = plan.source.relations.items()
        yield Subject(
            files=place / "files",
            changes=verified.changes.name,
            dsc=dsc.name if dsc else "",
            debs=tuple(name for name, architecture in of.items() if architecture in own),
            foreign=tuple(name for name, architecture in of.items() if architecture not in own),
            tree=tree,
            build_depends=", ".join(text for field, text in relations if "Depends" in field),
        )


def _copied_tree(plan: Plan, copy: Path) -> Path:
    """The tree as it is, for it is not changed by a build unless that is in place."""
    hidden = [word for name in plan.sandbox.workspace.hidden for word in ("!", "-name", name)]
    tree = plan.source.tree
    copy.mkdir()
    names = ("-mindepth", "1", "-maxdepth", "1", *hidden)
    process.run(["find", tree, *names, "-exec", *_COPY, "-a", "-t", copy, "--", "{}", "+"])
    process.run(["chmod", "-R", "u+rwX,go+rX", copy])
    return copy
