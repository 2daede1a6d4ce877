"""Where the commands begin: nothing large is imported before Ctrl-C ends this process without a traceback."""

from __future__ import annotations

import signal


def main(*, strict: bool = False) -> None:
    """Run the command line and exit; ``strict`` is gbp-bwbuild."""
    # As it ends any program, until the command line has its own answer.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bwbuild.cli.main import main as run  # noqa: PLC0415 - it takes a while

    run(strict=strict)
