"""What a corpus is made of, from words and lists: each source becomes a job with a key of its own.

Nothing of a source is opened but the first line of its changelog, for a name; what else is wrong with it is
found when it is built, and is a result like any other. A word that means no source at all is an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bwbuild.build.record.escaping import visible
from bwbuild.build.start import DscFile, Named, Tree, decide
from bwbuild.corpus import expectations
from bwbuild.corpus.values import Job, Kind
from bwbuild.deb.names import SOURCE_NAME
from bwbuild.errors import BwbuildError, SourceError, UsageError
from bwbuild.events import Level, Notice

#: Bytes of a list of sources, and how many wrong lines of it are named.
LARGEST_LIST = 64 << 20
MOST_NAMED = 10

_KEY = re.compile(r"[^A-Za-z0-9.+~_-]")
_FIRST_LINE = re.compile(r"([a-z0-9][a-z0-9.+-]+) \(")


@dataclass(frozen=True, slots=True)
class Reader:
    """How words become jobs.

    :ivar options: of every job.
    :ivar architecture: of this machine, for expectations.
    :ivar named: whether source packages can be fetched by their names, which takes a suite.
    :ivar repeat: how many times each source is built.
    """

    options: tuple[str, ...]
    architecture: str
    named: bool
    repeat: int = 1

    def jobs(self, words: Iterable[str], tell: Callable[[Notice], None]) -> list[Job]:
        """All jobs, each source once however often it is named.

        :raises SourceError: words mean no source; names them all.
        :raises UsageError: there is no source at all.
        """
        found: list[Job] = []
        wrong: list[BwbuildError] = []
        for word in words:
            try:
                found += self._of_word(word)
            except BwbuildError as error:
                wrong.append(error)
        if wrong:
            raise _all_wrong(wrong)
        single = _once(found, tell)
        if not single:
            raise UsageError("there is no source to build", hint="give directories, .dsc files or names")
        return [job for one in _with_keys(single) for job in self._repeated(one)]

    def _of_word(self, word: str) -> Iterator[Job]:
        match decide(word):
            case Tree(path):
                yield from self._of_directory(path)
            case DscFile(path):
                if not path.is_file():
                    raise SourceError(
                        f"there is no {visible(word)}", hint="give the path of a .dsc that exists"
                    )
                yield self._of_dsc(path)
            case Named() as named:
                if not self.named:
                    raise SourceError(
                        f"{word} is no directory and no .dsc, and as a name it needs a suite to come from",
                        hint="name the suite: -d SUITE",
                    )
                yield Job(named.name, Kind.NAME, str(named), self.options)

    def _of_directory(self, path: Path) -> Iterator[Job]:
        single = self._single(path)
        if single:
            yield from single
            return
        found = [job for inner in sorted(path.iterdir()) for job in self._below(inner)]
        if not found:
            raise SourceError(
                f"{visible(str(path))} is no source, nor has it any",
                hint="a source has debian/; a directory of sources has such directories, or .dsc files",
            )
        yield from found

    def _below(self, path: Path) -> list[Job]:
        if path.is_dir():
            return self._single(path)
        return [self._of_dsc(path)] if path.suffix == ".dsc" else []

    def _single(self, path: Path) -> list[Job]:
        """The jobs of a directory that is one source; none if it is not."""
        if (path / "expect.toml").is_file() and (path / "tree").is_dir():
            return list(self._expected(path))
        if (path / "debian").is_dir():
            name = _name_of(path)
            return [Job(name, Kind.TREE, str(_absolute(path)), self.options)]
        return []

    def _expected(self, path: Path) -> Iterator[Job]:
        try:
            expected = expectations.read(path / "expect.toml", self.architecture)
        except (ValueError, OSError) as error:
            raise SourceError(visible(str(error)), hint="testpkgs/README.md describes expect.toml") from error
        name, source = path.name or path.resolve().name, str(_absolute(path / "tree"))
        for number, more in enumerate(((), *expected.also)):
            key = f"{name}+{number}" if number else name
            yield Job(key, Kind.TREE, source, (*self.options, *more), expected=expected)

    def _of_dsc(self, path: Path) -> Job:
        return Job(path.name.partition("_")[0], Kind.DSC, str(_absolute(path)), self.options)

    def _repeated(self, job: Job) -> Iterator[Job]:
        job = replace(job, subject=job.key)
        yield job
        for number in range(2, self.repeat + 1):
            yield replace(job, key=f"{job.key}~{number}")


def _absolute(path: Path) -> Path:
    # Not resolved: a tree that is a link has a parent of its own.
    return Path(os.path.abspath(path))  # noqa: PTH100


def _name_of(tree: Path) -> str:
    """The name of the source in a tree by its changelog, else that of the directory."""
    try:
        with (tree / "debian" / "changelog").open("rb") as stream:
            match = _FIRST_LINE.match(stream.read(1000).decode("utf-8", "replace"))
    except OSError:
        match = None
    return match[1] if match else tree.resolve().name


def _once(jobs: Sequence[Job], tell: Callable[[Notice], None]) -> list[Job]:
    found: dict[tuple[object, ...], Job] = {}
    for job in jobs:
        source = job.source if job.kind is Kind.NAME else os.path.realpath(job.source)
        found.setdefault((source, job.options, job.expected), job)
    if len(found) < len(jobs):
        twice = len(jobs) - len(found)
        tell(Notice(Level.WARNING, f"{twice} sources are named more than once, and are built once"))
    return list(found.values())


def _with_keys(jobs: Iterable[Job]) -> Iterator[Job]:
    """Each with a key that no other has, fit for the name of a directory."""
    taken: set[str] = set()
    for job in jobs:
        base = _KEY.sub("_", job.key)[:150].lstrip(".-") or "source"
        key, number = base, 1
        while key.lower() in taken:
            number += 1
            key = f"{base}-{number}"
        taken.add(key.lower())
        yield replace(job, key=key)


def _all_wrong(errors: Sequence[BwbuildError]) -> BwbuildError:
    if len(errors) == 1:
        return errors[0]
    return SourceError(
        f"{len(errors)} words mean no source",
        hint=errors[0].hint,
        details=[error.message for error in errors[:MOST_NAMED]],
    )


def lines(path: Path | None, read: Callable[[], bytes]) -> list[str]:
    """The words of a list of sources, one a line; what follows ``#`` is a comment.

    :param path: of the list, for messages; None: standard input, which ``read`` reads.
    :raises SourceError: it can't be read, or is no text.
    """
    what = visible(str(path)) if path else "standard input"
    try:
        data = _read(path) if path else read()
        if len(data) > LARGEST_LIST:
            raise SourceError(f"{what} is longer than any list of sources")
        text = data.decode("utf-8")
    except OSError as error:
        raise SourceError(
            f"{what} can't be read: {error.strerror}", hint="give the path of a list"
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{what} is no list of sources: it is not UTF-8 at byte {error.start}") from error
    words = (line.partition("#")[0].strip() for line in text.splitlines())
    return [word for word in words if word]


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(LARGEST_LIST + 1)


def is_name(text: str) -> bool:
    """Whether ``text`` can be the name of a package."""
    return SOURCE_NAME.fullmatch(text) is not None
