"""A click command that takes dpkg-buildpackage's options among its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bwbuild.cli.split import Split, split
from bwbuild.deb import buildoptions
from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_KEY = "bwbuild.dpkg"


class MixedCommand(click.Command):
    """Divides the command line before click sees it: the tree goes to click as ``-- TREE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep dpkg-buildpackage's words for :func:`dpkg_options`."""
        try:
            parts = split(["--help" if word == "-?" else word for word in args], self.own_options(ctx))
        except UsageError:
            if not ctx.resilient_parsing:
                raise
            parts = Split((), (), ())  # a shell asks in the middle of a word
        ctx.meta[_KEY] = parts.dpkg
        return super().parse_args(ctx, [*parts.own, "--", *parts.rest])

    def own_options(self, ctx: click.Context) -> dict[str, bool]:
        """Each spelling of bwbuild's own options, and whether it takes a value."""
        return {
            flag: not getattr(parameter, "is_flag", False)
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            for flag in (*parameter.opts, *parameter.secondary_opts)
        }

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Its own options and dpkg-buildpackage's."""
        from bwbuild.cli import completion  # noqa: PLC0415 - only a shell that completes needs it

        return super().shell_complete(ctx, incomplete) + completion.words(buildoptions.SPELLINGS, incomplete)


def complete_source(
    ctx: click.Context,
    parameter: click.Parameter,  # noqa: ARG001 - click's signature
    incomplete: str,
) -> list[CompletionItem]:
    """What may be typed as SOURCE."""
    from bwbuild.cli import completion  # noqa: PLC0415 - only a shell that completes needs it

    return completion.source(ctx, incomplete)


def dpkg_options() -> buildoptions.BuildOptions:
    """What the current command line asks of dpkg-buildpackage."""
    return buildoptions.parse(click.get_current_context().meta[_KEY])
