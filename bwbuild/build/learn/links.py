"""Symbolic links in a build's own directories, and where what it runs there leads by them: pure.

The kernel follows the links to a program, and strace tells no more than the name that was asked for. So it is
remembered which links were made. One that was made twice leads to both: which of them a program was run by is
not known, and what may have been used is no candidate for being left out.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

#: How many links are kept, how many texts of one, and how many steps are taken from one path.
MOST, _MOST_TEXTS, _MOST_STEPS = 100_000, 8, 200


class Links:
    """Takes what a build makes and moves; ``lost`` counts what was not kept.

    :ivar texts: path -> what it leads to. A relative one may lie in any directory.
    """

    def __init__(self) -> None:
        self.texts: dict[str, tuple[str, ...]] = {}
        self.lost = 0
        #: all directories that have one, or one in a directory
        self._above: set[str] = set()

    def made(self, path: str, text: str) -> None:
        """A link was made."""
        path = _plain(path)
        known = self.texts.get(path, ())
        if text in known:
            return
        if len(known) >= _MOST_TEXTS or (not known and len(self.texts) >= MOST):
            self.lost += 1
            return
        self.texts[path] = (*known, text)
        self._above.update(_above(path))

    def moved(self, old: str, new: str) -> None:
        """Something was moved: a link, a directory that may have some, or neither."""
        if not self.texts:
            return  # as in most builds, which move a great deal
        old, new = _plain(old), _plain(new)
        for text in self.texts.get(old, ()):
            self.made(new, text)
        if old in self._above:
            inner = [path for path in self.texts if path.startswith(f"{old}/")]
            for path in inner:
                for text in self.texts[path]:
                    self.made(new + path.removeprefix(old), text)


def ends(
    path: str,
    made: Mapping[str, Collection[str]],
    found: Callable[[str], Iterable[str]],
    own: tuple[str, ...],
) -> Iterator[str]:
    """Where outside of the directories ``own`` an absolute path in one of them may lead.

    :param made: as :class:`Links` has them.
    :param found: tells what a path leads to that was there before.
    """
    known: set[str] = set()
    todo = [_plain(path)]
    while todo and len(known) < _MOST_STEPS:
        here = todo.pop()
        if here in known:
            continue
        known.add(here)
        if not any(here == top or here.startswith(f"{top}/") for top in own):
            yield here
            continue
        names = here.split("/")
        for number in range(2, len(names) + 1):
            link, rest = "/".join(names[:number]), names[number:]
            for text in (*_texts(names[1:number], made), *found(link)):
                todo.append(_plain(posixpath.join(link.rpartition("/")[0] or "/", text, *rest)))


def _texts(names: list[str], made: Mapping[str, Collection[str]]) -> Iterator[str]:
    """What the path of these names leads to, by itself or as one whose directory is not known."""
    yield from made.get("/" + "/".join(names), ())
    for start in range(len(names)):
        yield from made.get("/".join(names[start:]), ())


def _plain(path: str) -> str:
    """A path without ``.``, ``..`` and more slashes than needed; a relative one as far as it is known."""
    plain = posixpath.normpath(path)
    if plain.startswith("/"):
        return "/" + plain.lstrip("/")
    while plain.startswith("../"):
        plain = plain[3:]
    return plain


def _above(path: str) -> Iterator[str]:
    while "/" in path.lstrip("/"):
        path = path.rpartition("/")[0]
        yield path
