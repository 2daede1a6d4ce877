"""What is said after a run: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bwbuild.tryout.values import Account
from bwbuild.units import human_size

#: Lines of one kind that are shown.
_SHOWN = 12
_SIGNS = {"+": "new", "~": "changed", "-": "removed"}


def lines(account: Account) -> Iterator[str]:
    """The sentences, one a line; names in them are what the program made of them."""
    if not account.ran:
        yield from account.notes
        return
    if account.ended:
        yield account.ended
    for title, width, height in account.windows:
        yield f"window {title!r}, {width} × {height}"
    if account.left:
        many = [f"{name} ({times})" if times > 1 else name for name, times in Counter(account.left).items()]
        yield (
            f"still running when the command had ended, and ended with the sandbox: {', '.join(many)};"
            " a program that goes into the background has an option to stay in front, mostly"
        )
    yield from _written(account)
    for refused in account.refused:
        yield f"refused: {refused.what}" + (f" ({refused.times} times)" if refused.times > 1 else "")
    if not account.refused and not account.blind:
        yield "nothing was refused"
    for what in account.blind:
        yield f"not known: {what}"
    yield from account.notes


def _written(account: Account) -> Iterator[str]:
    found = account.written
    if not found:
        yield "nothing was written in the home"
        return
    yield f"written in the home: {len(found)} files"
    for sign, path, size in found[:_SHOWN]:
        yield f"  {_SIGNS[sign]}: {path}" + (f" ({human_size(size)})" if sign != "-" else "")
    if len(found) > _SHOWN:
        yield f"  and {len(found) - _SHOWN} more"
