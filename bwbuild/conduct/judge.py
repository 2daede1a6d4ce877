"""What the evidence says about each rule: pure functions from evidence to findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bwbuild.conduct.compare import changes
from bwbuild.conduct.effects import effects, unstable
from bwbuild.conduct.values import (
    AGAIN,
    FIRST,
    SECOND,
    TOGETHER,
    UNTRACED,
    Act,
    Actor,
    Built,
    Change,
    Difference,
    Evidence,
    Finding,
    Kind,
    Traced,
)

#: Pieces of evidence of one finding that are kept.
MOST = 20

_CHANGES = {
    "left": "is left",
    "changed": "is changed",
    "mode": "is executable now, or not any more",
    "removed": "is gone",
}


def network(evidence: Evidence) -> tuple[Finding, ...]:
    """Addresses and names that were tried."""
    return _by_actor(evidence, "network", Kind.NETWORK, "tried to reach {}")


def home(evidence: Evidence) -> tuple[Finding, ...]:
    """What was to be written to HOME."""
    found = _by_actor(evidence, "home", Kind.HOME, "tried to write to HOME: {}")
    return (*found, *_variation(evidence, "home", "where HOME exists"))


def outside(evidence: Evidence) -> tuple[Finding, ...]:
    """What was written, or tried, outside of the tree; without a trace what is left beside it."""
    found = _by_actor(evidence, "outside", Kind.OUTSIDE, "tried to write outside of the tree: {}")
    known = {f"../{act.target.rpartition('/')[2]}" for act in evidence.acts(Kind.OUTSIDE)}
    reference = evidence.reference
    left = tuple(name for name in (reference.beside if reference else ()) if name not in known)
    if not left:
        return found
    return (*found, Finding("outside", f"wrote beside the tree: {_some(left)}", left[:MOST]))


def clean(evidence: Evidence) -> tuple[Finding, ...]:
    """What the clean target does not undo.

    What it removes of the source is not counted here, as dpkg-source does not: where that matters, the next
    build fails or differs.
    """
    reference = evidence.reference
    if reference is not None and reference.usable and not reference.succeeded:
        return (_failing("clean", "fails after a build", reference),)
    found = tuple(one for one in changed(evidence) if one.how != "removed")
    if not found:
        return ()
    texts = tuple(f"{one.path} {_CHANGES[one.how]}" for one in found)
    return (
        Finding(
            "clean",
            f"does not undo the build: {_some(texts)}",
            texts[:MOST],
            _writer(evidence.traced, found),
        ),
    )


def twice(evidence: Evidence) -> tuple[Finding, ...]:
    """A second build in the same tree that fails, or gives something else."""
    tries = evidence.tries(SECOND)
    removed = [
        f"after the first build {one.path} is gone" for one in changed(evidence) if one.how == "removed"
    ]
    if len(tries) > 1 and not any(built.usable for built in tries):
        return (_failing("twice", "a second build in the same tree fails", tries[-1], removed[: MOST // 2]),)
    differing = _effects(evidence, SECOND)
    if not differing:
        return ()
    text = f"a second build in the same tree gives something else: {_summary(differing)}"
    return (
        Finding("twice", text, (*_texts(differing), *removed)[:MOST], _maker(evidence.traced, differing)),
    )


def reproducible(evidence: Evidence) -> tuple[Finding, ...]:
    """What is never the same twice, whatever the conditions."""
    differing = sorted(unstable(evidence))
    if differing:
        text = f"two builds under the same conditions differ: {_summary(differing)}"
        return (Finding("reproducible", text, _texts(differing), _maker(evidence.traced, differing)),)
    for tries in (_unchanged(evidence), *evidence.builds.values()):
        failed = next((built for built in tries if not built.usable), None)
        if failed is not None and any(built.usable for built in tries):
            return (_failing("reproducible", "the same build failed once and was made once", failed),)
    return _unexplained(evidence)


def processors(evidence: Evidence) -> tuple[Finding, ...]:
    """Results, or success, that depend on how many processors there are."""
    if (failed := _helped(evidence, "processors")) is not None:
        text = f"fails with {evidence.subject.base.jobs} jobs at once, not with one"
        return (_failing("processors", text, failed),)
    return _variation(evidence, "processors", "with one job on one processor")


def umask(evidence: Evidence) -> tuple[Finding, ...]:
    """Results, or success, that depend on the umask."""
    return _variation(evidence, "umask", "with the umask 0002 in place of 0022")


def root(evidence: Evidence) -> tuple[Finding, ...]:
    """A source that says that it needs no root, and does."""
    refused = evidence.acts(Kind.ROOT)
    actor = refused[0].actor if refused else None
    tried = tuple(_outcome(act) for act in refused)
    if (failed := _helped(evidence, "root")) is not None:
        finding = _failing("root", "is built only where debian/rules runs as root", failed, tried)
        return (replace(finding, actor=actor or finding.actor),)
    found = _variation(evidence, "root", "where debian/rules binary runs as root")
    return (
        *(_owned(evidence)),
        *(replace(one, actor=actor or one.actor) for one in found),
    )


def changed(evidence: Evidence) -> tuple[Change, ...]:
    """What the first build and its clean left otherwise in the tree."""
    reference = evidence.reference
    if evidence.before is None or evidence.after is None or reference is None or not reference.succeeded:
        return ()  # nothing was cleaned
    return changes(evidence.before, evidence.after)


def _unchanged(evidence: Evidence) -> tuple[Built, ...]:
    """The builds that nothing was changed for; a tracer may be the reason that one fails."""
    first = () if evidence.tries(UNTRACED) else evidence.tries(FIRST)
    return (*first, *evidence.tries(UNTRACED), *evidence.tries(AGAIN))


def _helped(evidence: Evidence, name: str) -> Built | None:
    """The first build, if it fails and each one like it, and a change of conditions lets it succeed."""
    last, reference = evidence.last(name), evidence.reference
    if last is None or not last.usable or reference is None:
        return None
    return None if any(built.usable for built in _unchanged(evidence)) else reference


def _failing(name: str, text: str, built: Built, more: Sequence[str] = ()) -> Finding:
    """The finding of a build that failed, by the step in which it did."""
    why = built.errors[0] if built.errors else "it does not say why"
    actor = Actor(built.step) if built.step else None
    return Finding(name, f"{text}: {why}", (*more, *built.errors)[:MOST], actor)


def _variation(evidence: Evidence, name: str, how: str) -> tuple[Finding, ...]:
    tries = evidence.tries(name)
    reference = evidence.reference
    if reference is None or not reference.usable:
        return ()
    if len(tries) > 1 and not any(built.usable for built in tries):
        return (_failing(name, f"{how} the build fails", tries[-1]),)
    differing = _effects(evidence, name)
    if not differing:
        return ()
    text = f"{how} the result is another one: {_summary(differing)}"
    return (Finding(name, text, _texts(differing), _maker(evidence.traced, differing)),)


def _unexplained(evidence: Evidence) -> tuple[Finding, ...]:
    """What differs under all conditions together, and under none of them alone."""
    together = evidence.last(TOGETHER)
    if together is None or (evidence.last(AGAIN) is None and together.usable):
        return ()
    alone = [name for name in ("home", "processors", "umask", "root") if evidence.tries(name)]
    differing = _effects(evidence, TOGETHER)
    explained = any(
        _effects(evidence, name) or not all(b.usable for b in evidence.tries(name)) for name in alone
    )
    if explained or not alone or (together.usable and not differing):
        return ()
    text = f"one build differs, under conditions that change nothing one by one ({', '.join(alone)})"
    if not together.usable:
        return (_failing("reproducible", text, together),)
    return (Finding("reproducible", f"{text}: {_summary(differing)}", _texts(differing)),)


def _owned(evidence: Evidence) -> tuple[Finding, ...]:
    """Files that belong to whoever built, since nobody was root and dpkg-deb was not told."""
    reference, builder = evidence.reference, evidence.subject.builder
    if reference is None or reference.contents is None or builder == 0:
        return ()
    own = [
        f"{package}: {path}"
        for (package, path), member in sorted(reference.contents.items())
        if builder in (member.owner, member.group)
    ]
    if not own:
        return ()
    remedy = "dpkg-deb --root-owner-group gives them to root"
    text = f"packs files that belong to the build user: {_some(own)}; {remedy}"
    return (Finding("root", text, tuple(own[:MOST])),)


def _by_actor(evidence: Evidence, name: str, kind: Kind, text: str) -> tuple[Finding, ...]:
    by_actor: dict[Actor, list[Act]] = {}
    for act in evidence.acts(kind):
        by_actor.setdefault(act.actor, []).append(act)
    return tuple(
        Finding(
            name,
            text.format(_some([act.target for act in acts])),
            tuple(map(_outcome, acts[:MOST])),
            actor,
        )
        for actor, acts in by_actor.items()
    )


def _outcome(act: Act) -> str:
    return f"{act.what} {act.target}: {act.outcome or 'done'}"


def _effects(evidence: Evidence, name: str) -> tuple[Difference, ...]:
    built = evidence.last(name)
    return effects(evidence, built) if built is not None else ()


def _texts(differing: Sequence[Difference]) -> tuple[str, ...]:
    return tuple(f"{one.package}: {one.path}: {_aspect(one)}" for one in differing[:MOST])


def _aspect(one: Difference) -> str:
    return f"{one.aspect} {one.detail}" if one.detail else one.aspect


def _summary(differing: Sequence[Difference]) -> str:
    paths = dict.fromkeys((one.package, one.path) for one in differing)
    own = _own(differing)
    package, path = own[0].package, own[0].path
    aspects = ", ".join(_aspect(one) for one in own if (one.package, one.path) == (package, path))
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{path} of {package} ({aspects}){more}"


def _own(differing: Sequence[Difference]) -> list[Difference]:
    """Those in files that do not follow from other files, as sums and Installed-Size do."""
    derived = ("DEBIAN/md5sums", "DEBIAN/control")
    return [one for one in differing if one.path not in derived] or list(differing)


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - 2} more" if len(texts) > 2 else ""
    return ", ".join(texts[:2]) + more


def _writer(traced: Traced | None, found: Sequence[Change]) -> Actor | None:
    """Who wrote the first of what is left or changed, or something in it."""
    if traced is None:
        return None
    for change in found:
        if change.path in traced.writers:
            return traced.writers[change.path]
        for path, actor in traced.writers.items():
            if path.startswith(f"{change.path}/"):
                return actor
    return None


def _maker(traced: Traced | None, differing: Sequence[Difference]) -> Actor | None:
    """Who wrote the first of what differs before it was packed."""
    if traced is None:
        return None
    return next(_makers(traced.writers, differing), None)


def _makers(writers: Mapping[str, Actor], differing: Sequence[Difference]) -> Iterator[Actor]:
    for one in _own(differing):
        for path, actor in writers.items():
            if path.startswith("debian/") and path.endswith(f"/{one.path}"):
                yield actor
