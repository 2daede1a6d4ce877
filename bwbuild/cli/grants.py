"""``bwbuild grant``, ``bwbuild grants`` and ``bwbuild revoke``: what sources may have, for good."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from bwbuild.permissions.asked import Request
    from bwbuild.permissions.grants import Grant
    from bwbuild.permissions.words import Permission


@click.command()
@click.option("--never", is_flag=True, help="Deny it for good instead.")
@click.argument("source")
@click.argument("permission")
def grant(source: str, permission: str, *, never: bool) -> int:
    """Grant PERMISSION to SOURCE, the name of a source package or a tree, as it asks for it now.

    When SOURCE asks for it with another reason or purpose, it has to be granted anew.
    """
    from bwbuild.build.granted.handshake import keep, store  # noqa: PLC0415
    from bwbuild.build.granted.terms import senseless  # noqa: PLC0415 - --help needs none of them
    from bwbuild.permissions.answers import Answer  # noqa: PLC0415

    name, requests = _requests(source)
    wanted = _permission(permission)
    found = [request for request in requests if request.permission == wanted]
    if not found:
        asked = ", ".join(dict.fromkeys(str(request.permission) for request in requests)) or "nothing"
        raise UsageError(
            f"{name} does not ask for {wanted}, as far as is known, but for {asked}",
            hint=f"--allow {wanted} grants it to one build, whatever that asks for; a tree in place of"
            " the name is looked into",
        )
    why = senseless(wanted)
    if why and not never:
        raise UsageError(f"{wanted} can't be granted to a build", hint=why)
    answer = Answer.NEVER if never else Answer.ALWAYS
    keep(store(os.environ), name, dict.fromkeys(found, answer))
    for request in found:
        click.echo(f"{name}: {request}: {answer.value}")
    return 0


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
@click.argument("source")
@click.argument("permission", required=False)
def revoke(source: str, permission: str | None) -> int:
    """Forget what was answered for SOURCE, or for its PERMISSION alone, so that it is asked again."""
    from bwbuild.build.granted.handshake import store  # noqa: PLC0415 - --help needs neither
    from bwbuild.permissions.grants import remove  # noqa: PLC0415

    name = _name_of(source)
    wanted = None if permission is None else _permission(permission)

    def is_meant(item: Grant) -> bool:
        return item.source == name and wanted in (None, item.request.permission)

    gone = remove(store(os.environ), is_meant)
    if not gone:
        what = f"{wanted} of {name}" if wanted else name
        raise UsageError(f"there is no answer about {what}", hint="bwbuild grants lists all")
    for item in gone:
        click.echo(f"{name}: {item.request}: forgotten")
    return 0


def _lines(item: Grant) -> tuple[str, str]:
    from bwbuild.build.record.log import visible  # noqa: PLC0415 - --help does not need it

    said = {"always": "granted", "never": "denied", "no": "asked for"}[item.answer.value]
    required = ", required" if item.request.required else ""
    used = f", used on {visible(item.used)}" if item.used else ", no use was seen"
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


def _requests(source: str) -> tuple[str, tuple[Request, ...]]:
    """The source's name and what it asks for: a tree is read, of a name it is known from its last build."""
    from bwbuild.build.granted.handshake import requests_in, store  # noqa: PLC0415 - --help needs none of them
    from bwbuild.deb.source import find_tree, read_source  # noqa: PLC0415
    from bwbuild.permissions.grants import load  # noqa: PLC0415

    if Path(source).is_dir():
        read = read_source(find_tree(Path(source)))
        return read.name, requests_in(read.tree)
    found = [item.request for item in load(store(os.environ)) if item.source == source]
    return source, tuple(found)


def _name_of(source: str) -> str:
    from bwbuild.deb.source import find_tree, read_source  # noqa: PLC0415 - --help needs neither

    return read_source(find_tree(Path(source))).name if Path(source).is_dir() else source
