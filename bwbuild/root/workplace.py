"""Where chambers work: directories of the cache, none of which outlives its use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bwbuild.root.records import Records, make_place
from bwbuild.root.space import unwritable


@contextmanager
def workplace(cache: Path, purpose: str) -> Iterator[Path]:
    """A new empty directory whose name begins with ``purpose``, removed at the end of the context.

    :raises OutputError: it can't be made.
    """
    records = _records(cache)
    with ExitStack() as stack:
        try:
            make_place(records.place)
            place = records.begin(purpose, stack)
        except OSError as error:
            raise unwritable(cache, error) from error
        yield place


def prune(cache: Path) -> None:
    """Remove those that somebody who was killed left behind."""
    records = _records(cache)
    for path in records.directories():
        records.try_to_remove(path)


def _records(cache: Path) -> Records:
    # They are never complete, so each goes with its user.
    return Records(cache / "work", "never", 0)
