"""Permissions before a build: what the source asks, who grants it, and what of the machine there is for it.

``opened`` is the way from a source that was read to one whose permissions are decided. It loosens nothing
that is not granted: with no grant and no option, the plan is that of a source which asks for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bwbuild.build import places
from bwbuild.build.granted import compilercache, persist, terms
from bwbuild.build.plan import Inputs, choose_identity
from bwbuild.config.layers import user_file
from bwbuild.config.permits import limit
from bwbuild.config.settings import Workspace
from bwbuild.errors import ConfigurationError, PermissionsError, SourceError
from bwbuild.events import Level, Notice, Tell
from bwbuild.host import available as machine
from bwbuild.permissions import asked, grants
from bwbuild.permissions.answers import (
    Answer,
    Decision,
    Why,
    Wishes,
    decide,
    denied,
    granted,
    open_questions,
    unmet,
)
from bwbuild.permissions.asked import Purpose, Request
from bwbuild.permissions.grants import Grant
from bwbuild.permissions.words import Permission
from bwbuild.sandbox.permits import Available, permits, persist_variable
from bwbuild.sandbox.spec import Network

#: Asks the user about requests of the source called so; what he does not answer is denied.
Ask = Callable[[str, tuple[Request, ...]], Mapping[Request, Answer]]


@contextmanager
def opened(
    inputs: Inputs, ask: Ask | None, tell: Tell, held: Mapping[str, Path] | None = None
) -> Iterator[Inputs]:
    """``inputs`` with all permissions decided; directories that stay are the build's until the end.

    :param held: those that are the caller's already: name -> where it is.
    :raises SourceError: the source asks for what is no permission.
    :raises ConfigurationError: what is granted can't be.
    :raises HostError: the machine does not have it.
    :raises PermissionsError: what the source can't do without is not granted.
    """
    meanings = machine.places(inputs.caller_environment)
    decisions = _decided(inputs, meanings, ask, tell)
    purposes = terms.purposes(inputs.settings, command=bool(inputs.command))
    given, of_tests = (
        granted(decisions, purpose, terms.meaning(meanings)) if purpose in purposes else ()
        for purpose in (Purpose.BUILD, Purpose.TESTS)
    )
    both = tuple(dict.fromkeys((*given, *of_tests)))
    with ExitStack() as stack:
        undo = {item.permission: terms.taking_back(inputs.source.name, item) for item in decisions}
        available = _available(inputs, both, undo, held or {}, stack=stack, tell=tell)
        yield replace(
            inputs,
            settings=terms.applied(inputs.settings, given),
            decisions=decisions,
            options=compilercache.declared(inputs.options, inputs.settings),
            permits=compilercache.connected(permits(given, available), inputs.settings),
            test_permits=permits(of_tests, available),
            granted_paths=available.paths,
            meanings=meanings,
        )


def store(environment: Mapping[str, str]) -> Path:
    """The file of kept answers."""
    return user_file(environment).with_name(grants.NAME)


def requests_in(tree: Path) -> tuple[Request, ...]:
    """What the source in ``tree`` asks for.

    :raises SourceError: it is no permission, or none that a build can have.
    """
    found = asked.read(tree)
    for request in found:
        try:
            if request.permission.key == "limit":
                limit(request.permission)
        except ValueError as error:
            raise SourceError(f"{asked.FILE}: {request.permission}", hint=f"expected {error}") from None
    return found


def keep(path: Path, source: str, answers: Mapping[Request, Answer]) -> None:
    """Keep those answers that are to last.

    :raises ConfigurationError: they can't be kept.
    """
    today = datetime.now(UTC).date().isoformat()
    lasting = (Answer.ALWAYS, Answer.NEVER)
    new = [Grant(source, request, answer, today) for request, answer in answers.items() if answer in lasting]
    if new:
        grants.add(path, new)


def _decided(
    inputs: Inputs, meanings: Mapping[str, str], ask: Ask | None, tell: Tell
) -> tuple[Decision, ...]:
    name, path = inputs.source.name, store(inputs.caller_environment)
    requests = requests_in(inputs.source.tree)
    kept = grants.kept(grants.load(path), name) if requests else {}
    wishes = terms.wishes(inputs.settings, kept, meanings)
    wishes = replace(wishes, deny=(*wishes.deny, *_without_links(wishes)))
    purposes = terms.purposes(inputs.settings, command=bool(inputs.command))
    questions = tuple(
        request
        for request in open_questions(requests, wishes)
        if request.purpose in purposes and not terms.senseless(request.permission)
    )
    answers: Mapping[Request, Answer] = {}
    if questions and ask is not None:
        answers = ask(name, questions)
        keep(path, name, answers)
    decisions = decide(requests, wishes, answers)
    _remember(path, name, decisions, tell)
    _check(inputs, decisions)
    for item in denied(decisions):
        if item.purpose in purposes:
            # Without a terminal, warnings are what is shown.
            level = Level.WARNING if item.why is Why.UNASKED and not inputs.command else Level.INFO
            tell(Notice(level, terms.denial(name, item, decisions)))
    return decisions


def _without_links(wishes: Wishes) -> Iterator[Permission]:
    """Paths that are denied as they are found: what is granted leads through no link, but these may."""
    for item in map(wishes.meaning, wishes.deny):
        if item.key == "filesystem":
            yield replace(item, value=os.path.realpath(item.value))


def _remember(path: Path, source: str, decisions: Iterable[Decision], tell: Tell) -> None:
    """What waits for an answer can then be granted by the source's name."""
    requests = tuple(item.request for item in decisions if item.request)
    waiting = [item.request for item in denied(decisions) if item.request and item.why is Why.UNASKED]
    if not waiting:
        return
    try:
        grants.wait(path, source, waiting, requests)
    except ConfigurationError as error:
        # It can be granted by the tree as well.
        tell(Notice(Level.INFO, f"what the source asks for is not remembered: {error.message}"))


def _check(inputs: Inputs, decisions: tuple[Decision, ...]) -> None:
    for item in decisions:
        why = terms.senseless(item.permission)
        if item.granted and why:
            hint = "; ".join(filter(None, (why, terms.taking_back(inputs.source.name, item))))
            raise ConfigurationError(f"{item.permission} can't be granted to a build", hint=hint)
    purposes = terms.purposes(inputs.settings, command=bool(inputs.command))
    missing = [item for item in unmet(decisions) if item.purpose in purposes]
    if missing and not inputs.command:
        source = inputs.source.name
        raise PermissionsError(
            f"{source} can't be built without {', '.join(str(item.request) for item in missing)}",
            hint=_remedy(source, missing[0], decisions),
            details=[terms.denial(source, item, decisions) for item in missing],
        )


def _remedy(source: str, decision: Decision, among: tuple[Decision, ...]) -> str:
    if decision.why is Why.OPTION:
        return f"--deny {terms.quoted(decision.permission)} forbids it"
    if why := terms.senseless(decision.permission):
        return why
    once = f"--allow {terms.quoted(decision.permission)}"
    return f"{terms.command(source, decision, among)} grants it for good, {once} for one build"


def _available(
    inputs: Inputs,
    given: tuple[Permission, ...],
    undo: Mapping[Permission, str],
    held: Mapping[str, Path],
    *,
    stack: ExitStack,
    tell: Tell,
) -> Available:
    environment, settings = inputs.caller_environment, inputs.settings
    config = user_file(environment).parent
    own = (config, places.cache(settings), places.scratch(settings), places.state())
    real = tuple(Path(os.path.realpath(path)) for path in own)
    tree = Path(os.path.realpath(inputs.source.tree))
    written = [tree.parent] if settings.workspace is Workspace.IN_PLACE else []
    written += [Path(settings.build_path)] if settings.build_path else []
    around = machine.Around(inputs.home, environment, real, tuple(written), tree, lasting=True, undo=undo)
    found = machine.look(given, around)
    sockets = [item.value for item in given if item.key == "socket"]
    names = sorted(
        {item.value for item in given if item.key == "persist"}
    )  # one order, so that none waits for ever
    _check_names(names)
    identity = choose_identity(inputs.host, settings) if names else None
    cache, source = places.cache(settings), inputs.source.name
    for item in given:
        if item.key == "env" and item.value not in environment:
            tell(Notice(Level.INFO, f"{item} is granted, but you have no such variable"))
    return Available(
        environment=environment,
        devices=found.devices,
        paths=found.paths,
        looked=found.looked,
        sockets=machine.sockets_of_session(sockets, environment),
        persist={
            name: held.get(name) or stack.enter_context(persist.opened(cache, source, name, identity, tell))
            for name in names
            if identity is not None
        },
        by_group=found.by_group,
        network=Network(found.network) if found.network else None,
    )


def _check_names(names: list[str]) -> None:
    variables = [persist_variable(name) for name in names]
    for variable in variables:
        if variables.count(variable) > 1:
            raise ConfigurationError(f"two of persist={', persist='.join(names)} would be {variable}")
