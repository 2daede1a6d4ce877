"""``bwbuild config``: the value of each setting and where it came from."""

from __future__ import annotations

from typing import Any

import click

from bwbuild.cli.command import MixedCommand
from bwbuild.cli.options import BUILD, SANDBOX, configuration, with_settings
from bwbuild.config.settings import FIELD_OF, OPTIONS


@click.command(cls=MixedCommand)
@with_settings(*BUILD, *SANDBOX)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(*, as_json: bool, **parameters: Any) -> None:
    """Show each setting, its value and where the value came from."""
    resolved = configuration(parameters)
    rows = [
        (key, option.kind.shown(getattr(resolved.settings, FIELD_OF[key])), resolved.origins[key])
        for key, option in OPTIONS.items()
    ]
    if as_json:
        import json  # noqa: PLC0415

        fields = ("key", "value", "origin")
        click.echo(json.dumps([dict(zip(fields, row, strict=True)) for row in rows], indent=2))
        return
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for key, value, origin in rows:
        click.echo(f"{key:{widths[0]}}  {value or '-':{widths[1]}}  {origin}")
