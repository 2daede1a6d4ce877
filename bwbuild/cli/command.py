"""A click command that takes dpkg-buildpackage's options among its own."""

from __future__ import annotations

import click

from bwbuild.cli.split import split
from bwbuild.deb import buildoptions

_KEY = "bwbuild.dpkg"


class MixedCommand(click.Command):
    """Divides the command line before click sees it: the tree goes to click as ``-- TREE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep dpkg-buildpackage's words for :func:`dpkg_options`."""
        own = {
            flag: not getattr(parameter, "is_flag", False)
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            for flag in (*parameter.opts, *parameter.secondary_opts)
        }
        parts = split(["--help" if word == "-?" else word for word in args], own)
        ctx.meta[_KEY] = parts.dpkg
        return super().parse_args(ctx, [*parts.own, "--", *parts.rest])


def dpkg_options() -> buildoptions.BuildOptions:
    """What the current command line asks of dpkg-buildpackage."""
    return buildoptions.parse(click.get_current_context().meta[_KEY])
