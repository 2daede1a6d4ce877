"""``bwbuild grant``, ``bwbuild grants`` and ``bwbuild revoke``: what sources may have, for good."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bwbuild.deb.source import Source
    from bwbuild.permissions.answers import Answer
    from bwbuild.permissions.asked import Request
    from bwbuild.permissions.grants import Grant
    from bwbuild.permissions.words import Permission


_PURPOSES = click.Choice(["build", "tests"])


@click.command()
@click.option("--never", is_flag=True, help="Deny it for good instead.")
@click.option("--for", "purpose", type=_PURPOSES, help="Only what is asked for that.")
@click.argument("source")
@click.argument("permission")
def grant(source: str, permission: str, *, never: bool, purpose: str | None) -> int:
    """Grant PERMISSION to SOURCE, the name of a source package or a tree, as it asks for it now.

    When SOURCE asks for it with another reason or purpose, it has to be granted anew. What was answered
    before stays, unless it is all that there is for --for.
    """
    from bwbuild.build.granted.handshake import keep, store  # noqa: PLC0415
    from bwbuild.build.granted.terms import senseless  # noqa: PLC0415 - --help needs none of them
    from bwbuild.permissions.answers import Answer  # noqa: PLC0415
    from bwbuild.permissions.grants import kept, load  # noqa: PLC0415

    path = store(os.environ)
    known = load(path)
    name, requests = _requests(source, known)
    wanted = _permission(permission)
    found = [request for request in requests if request.permission == wanted]
    found = [request for request in found if purpose in (None, request.purpose.value)]
    if not found:
        raise _unasked(name, requests, wanted, purpose)
    why = senseless(wanted)
    if why and not never:
        raise UsageError(f"{wanted} can't be granted to a build", hint=why)
    answer = Answer.NEVER if never else Answer.ALWAYS
    answered = kept(known, name)
    chosen = _unanswered(name, found, answered, answer)
    keep(path, name, dict.fromkeys(chosen, answer))
    for request in found:
        before = answered.get(request)
        if request not in chosen:
            said = f"{answered[request].value}, as before"
        elif before is None or before is answer:
            said = answer.value
        else:
            said = f"{answer.value}, no more {before.value}"
        click.echo(f"{name}: {request}: {said}")
    return 0


def _unasked(name: str, requests: Sequence[Request], wanted: Permission, purpose: str | None) -> UsageError:
    from bwbuild.build.granted.terms import quoted  # noqa: PLC0415 - --help does not need it

    asked = ", ".join(dict.fromkeys(map(str, requests))) or "nothing"
    what = f"{wanted} for its {purpose}" if purpose else f"{wanted}"
    return UsageError(
        f"{name} does not ask for {what}, as far as is known, but for {asked}",
        hint=f"--allow {quoted(wanted)} grants it to one build, whatever that asks for; a tree in place"
        " of the name is looked into",
    )


def _unanswered(
    name: str, found: Sequence[Request], answered: Mapping[Request, Answer], answer: Answer
) -> Sequence[Request]:
    """Those of ``found`` that wait for an answer; where none does, the one whose answer is to be another.

    :raises UsageError: there are several of these.
    """
    waiting = [request for request in found if request not in answered]
    others = [request for request in found if request in answered and answered[request] is not answer]
    if waiting or len(others) < 2:
        return waiting or others
    said = ", ".join(f"{request} ({request.reason}): {answered[request].value}" for request in others)
    raise UsageError(
        f"{name} asks for that more than once, and you have answered: {said}",
        hint="--for build or --for tests says which one is meant, a tree in place of the name which one it"
        " asks now; bwbuild revoke has all of them asked again",
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def grants(*, as_json: bool) -> int:
    """List what was granted or denied for good, and what sources asked for in vain."""
    from bwbuild.build.granted.handshake import store  # noqa: PLC0415 - --help needs neither
    from bwbuild.permissions.grants import load  # noqa: PLC0415

    found = load(store(os.environ))
    if as_json:
        import json  # noqa: PLC0415

        click.echo(json.dumps({"grants": [item.plain() for item in found]}, indent=2))
        return 0
    for item in found:
        click.echo("\n".join(_lines(item)))
    if not found:
        click.echo("nothing was granted to any source")
    return 0


@click.command()
@click.option("--for", "purpose", type=_PURPOSES, help="Only what is asked for that.")
@click.argument("source")
@click.argument("permission", required=False)
def revoke(source: str, permission: str | None, *, purpose: str | None) -> int:
    """Forget what was answered for SOURCE, or for its PERMISSION alone, so that it is asked again."""
    from bwbuild.build.granted.handshake import store  # noqa: PLC0415 - --help needs neither
    from bwbuild.permissions.grants import load, remove  # noqa: PLC0415

    path = store(os.environ)
    tree = _tree(source, load(path))
    name = tree.name if tree else source
    wanted = None if permission is None else _permission(permission)

    def is_meant(item: Grant) -> bool:
        of_purpose = purpose in (None, item.request.purpose.value)
        return item.source == name and wanted in (None, item.request.permission) and of_purpose

    gone = remove(path, is_meant)
    if not gone:
        what = f"{wanted} of {name}" if wanted else name
        raise UsageError(f"there is no answer about {what}", hint="bwbuild grants lists all")
    for item in gone:
        click.echo(f"{name}: {item.request}: forgotten")
    return 0


def _lines(item: Grant) -> tuple[str, str]:
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415 - --help does not need it

    said = {"always": "granted", "never": "denied", "no": "asked for"}[item.answer.value]
    required = ", required" if item.request.required else ""
    used = f", {visible(item.use) or 'no use was seen'}"
    required += used if said == "granted" else ""
    return (
        f"{visible(item.source)}: {visible(str(item.request))}: {said} since {visible(item.since)}{required}",
        f"    {visible(item.request.reason)}",
    )


def _permission(text: str) -> Permission:
    from bwbuild.config.permits import Permit  # noqa: PLC0415 - --help does not need it

    try:
        return Permit().from_text(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no permission", hint=f"expected {error}") from None


def _requests(source: str, known: Iterable[Grant]) -> tuple[str, tuple[Request, ...]]:
    """The source's name and what it asks for: a tree is read, of a name it is known from its last build."""
    from bwbuild.build.granted.handshake import requests_in  # noqa: PLC0415 - --help does not need it

    known = tuple(known)
    tree = _tree(source, known)
    if tree is not None:
        return tree.name, requests_in(tree.tree)
    return source, tuple(item.request for item in known if item.source == source)


def _tree(word: str, known: Iterable[Grant]) -> Source | None:
    """The tree that ``word`` names; None: it is the name of a source.

    A directory that happens to be called as a source is none: looking for a tree from there upwards would
    find another source.
    """
    from bwbuild.deb.source import find_tree, read_source  # noqa: PLC0415 - --help needs neither

    if word in (".", "..") or "/" in word:
        return read_source(find_tree(Path(word)))
    if not (Path(word) / "debian" / "changelog").is_file():
        return None
    found = read_source(Path(word).absolute())
    is_another = found.name != word and any(item.source == word for item in known)
    return None if is_another else found
