"""Where the commands begin: nothing large is imported before Ctrl-C ends this process without a traceback."""

from __future__ import annotations

import os
import signal
import sys


def main(*, strict: bool = False) -> None:
    """Run the command line and exit; ``strict`` is gbp-bwbuild."""
    # As it ends any program, until the command line has its own answer.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open_streams()
    from bwbuild.cli.main import main as run  # noqa: PLC0415 - it takes a while

    run(strict=strict)


def _open_streams() -> None:
    """Put /dev/null where the caller has closed a standard stream; the next file would get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))
