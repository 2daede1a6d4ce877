"""``bwbuild root``: the bases of suites that builds stand on."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from bwbuild.cli.options import configuration, with_settings
from bwbuild.errors import UsageError
from bwbuild.units import human_duration, human_size

if TYPE_CHECKING:
    from bwbuild.root.bases import Stored, Wish

_BASE = ("base.mirror", "base.components", "base.keyring", "identity", "cache")
#: What holds back a shell of root.
_HELD = ("seccomp", "limit.processes", "limit.files", "limit.tmp", "limit.shm")
_ARCHITECTURE = click.option(
    "--architecture", metavar="ARCH", default=None, help="Of ARCH instead of this machine's own."
)
_COLUMNS = ("suite", "arch", "made", "age", "size", "in use", "id")


@click.group(subcommand_metavar="COMMAND [ARGS]...")
def root() -> None:
    """Look after the bases that builds with -d stand on.

    They are made at first use and made anew when they are old, so none of this is ever necessary.
    """


@root.command("list")
@with_settings("cache")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(*, as_json: bool, **parameters: Any) -> None:
    """List the bases, the one used last first."""
    from bwbuild.build import places  # noqa: PLC0415 - --help needs neither
    from bwbuild.root import bases  # noqa: PLC0415

    place = places.cache(configuration(parameters).settings) / "bases"
    found = [item for item in bases.stored(place) if item.base is not None]
    if as_json:
        import json  # noqa: PLC0415

        click.echo(json.dumps([_as_json(item) for item in found], indent=2))
        return
    if not found:
        click.echo(f"no base is in {place}")
        return
    rows = [_COLUMNS, *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        click.echo("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


@root.command()
@with_settings(*_BASE)
@_ARCHITECTURE
@click.argument("suite")
def create(suite: str, *, architecture: str | None, **parameters: Any) -> None:
    """Make a base of SUITE unless there is one."""
    from bwbuild.build import roots  # noqa: PLC0415 - --help needs it not

    roots.create(_wish(suite, architecture, parameters))


@root.command()
@with_settings(*_BASE)
@_ARCHITECTURE
@click.argument("suite")
def update(suite: str, *, architecture: str | None, **parameters: Any) -> None:
    """Make a fresh base of SUITE in place of the one that is there.

    Builds on the old one go on; it is removed when nobody uses it any more.
    """
    from bwbuild.build import roots  # noqa: PLC0415

    roots.update(_wish(suite, architecture, parameters))


@root.command()
@with_settings(*_BASE, "base.refresh", "fetch", *_HELD)
@_ARCHITECTURE
@click.option("--network", is_flag=True, help="With the network.")
@click.argument("suite")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(
    suite: str, command: tuple[str, ...], *, architecture: str | None, network: bool, **parameters: Any
) -> int:
    """Open a shell as root in the base of SUITE, or run COMMAND there; its exit status is the result.

    Nothing that is written stays. Write -- before a COMMAND that has options.
    """
    from bwbuild.build import roots  # noqa: PLC0415

    terminal = not command
    if terminal and not sys.stdin.isatty():
        raise UsageError(
            "an interactive shell needs a terminal",
            hint=f"bwbuild root shell {suite} -- COMMAND runs one command",
        )
    session = roots.Session(command or roots.SHELL, network, terminal, roots.environment())
    return roots.run(configuration(parameters).settings, _wish(suite, architecture, parameters), session)


@root.command()
@with_settings("cache")
@click.argument("base")
def remove(base: str, **parameters: Any) -> None:
    """Remove the bases of a suite, or the one with an id, and the layers over them.

    BASE is a suite's name or an id that bwbuild root list shows.
    """
    from bwbuild.build import roots  # noqa: PLC0415

    for path in roots.remove(configuration(parameters).settings, base):
        click.echo(f"removed {path}")


def _wish(suite: str, architecture: str | None, parameters: dict[str, Any]) -> Wish:
    from bwbuild.build import roots  # noqa: PLC0415
    from bwbuild.cli.terminal import show_notice  # noqa: PLC0415

    return roots.wish(configuration(parameters).settings, suite, architecture, show_notice)


def _row(item: Stored) -> tuple[str, ...]:
    assert item.base is not None  # noqa: S101 - for the type checker
    base = item.base
    return (
        base.suite.name,
        base.suite.architecture,
        time.strftime("%Y-%m-%d %H:%M", time.localtime(base.made)),
        human_duration(time.time() - base.made),
        human_size(item.size),
        "yes" if item.in_use else "no",
        base.id,
    )


def _as_json(item: Stored) -> dict[str, object]:
    assert item.base is not None  # noqa: S101 - for the type checker
    base = item.base
    return {
        "id": base.id,
        "suite": base.suite.name,
        "architecture": base.suite.architecture,
        "mirror": base.suite.mirror or None,
        "made": base.made,
        "used": item.used,
        "size": item.size,
        "in_use": item.in_use,
        "path": str(base.path),
    }
