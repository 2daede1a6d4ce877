"""Files that the options of a job name, such as packages to build with: they travel with its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Options whose value is the path of a file, or may be one.
_FLAGS = ("--extra-package", "--extra-repository", "--extra-repository-key", "--base-keyring")


@dataclass(frozen=True, slots=True)
class Besides:
    """What goes along.

    :ivar options: of the job, with the paths that the files have where they arrive.
    :ivar paths: such a path -> where the file is here.
    """

    options: tuple[str, ...]
    paths: tuple[tuple[str, Path], ...] = ()


def besides(options: Sequence[str], cwd: Path) -> Besides:
    """What ``options`` name, relative to ``cwd``; a directory stands for the packages in it."""
    words: list[str] = []
    paths: list[tuple[str, Path]] = []
    before = ""
    for word in options:
        flag, equals, value = word.partition("=")
        if flag in _FLAGS and equals:
            words.append(f"{flag}={_gone(value, cwd, paths)}")
        elif before in _FLAGS:
            words.append(_gone(word, cwd, paths))
        else:
            words.append(word)
        before = "" if before in _FLAGS else word
    return Besides(tuple(words), tuple(paths))


def _gone(value: str, cwd: Path, paths: list[tuple[str, Path]]) -> str:
    """The path that ``value`` has where it arrives; ``value`` itself if it is no path of anything."""
    path = cwd / Path(value).expanduser()
    if value and path.is_dir():
        name = f"besides/{len(paths)}"
        paths += [(f"{name}/{file.name}", file) for file in sorted(path.glob("*.deb")) if file.is_file()]
    elif value and path.is_file():
        name = f"besides/{len(paths)}/{path.name}"
        paths.append((name, path))
    else:
        return value
    return f"./{name}"
