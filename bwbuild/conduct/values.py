"""The words of conduct as values: conditions of builds, what each build gave, and what was found in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

#: Builds by what they are for; that of an experiment alone has the experiment's name.
FIRST, UNTRACED, SECOND, AGAIN, TOGETHER = "first", "untraced", "second", "again", "together"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what a build runs.

    :ivar jobs: what dpkg-buildpackage is told.
    :ivar confined: it may use one processor only; else all that the caller may.
    :ivar rooted: its binary target runs as root, whatever Rules-Requires-Root says.
    :ivar housed: HOME is there, empty and writable.
    """

    jobs: int
    confined: bool = False
    umask: int = 0o022
    rooted: bool = False
    housed: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a package.

    :ivar mode: with the type; ``owner``, ``group``: numbers.
    :ivar content: its sum, or the text of a link; ``time``: seconds since the epoch.
    """

    mode: int
    owner: int
    group: int
    content: str
    time: int


#: All members of all packages of a build: (file name of the package, path in it) -> member. Control files
#: have the path ``DEBIAN/NAME``.
Contents = Mapping[tuple[str, str], Member]


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """A member in which two builds differ.

    :ivar aspect: in what: ``missing``, ``added``, ``type``, ``mode``, ``owner``, ``content`` or ``time``.
    :ivar detail: how, where that can be said.
    """

    package: str
    path: str
    aspect: str
    detail: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a source tree: its mode with the type, and a sum of its content or the text of a link."""

    mode: int
    content: str = ""


#: A source tree: path -> entry.
Listing = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Change:
    """A path of the tree that is not as it was: ``how`` is ``left``, ``changed``, ``mode`` or ``removed``."""

    path: str
    how: str


class Kind(Enum):
    """What a process tried."""

    NETWORK = "network"
    HOME = "home"
    OUTSIDE = "outside"
    ROOT = "root"


@dataclass(frozen=True, slots=True)
class Actor:
    """A process: its command line, and the target of debian/rules that it worked for, as far as known."""

    command: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """What a process tried, and on what; ``outcome`` is an errno's name, empty if it worked."""

    kind: Kind
    what: str
    target: str
    actor: Actor
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """What was seen of the processes of a build.

    :ivar acts: each once.
    :ivar writers: path in the tree -> the process that wrote there last.
    """

    acts: tuple[Act, ...] = ()
    writers: Mapping[str, Actor] = field(default_factory=dict)

    def without(self, results: Collection[str]) -> Traced:
        """The same without the writes of these files outside of the tree, which are the build's results."""
        kept = (act for act in self.acts if act.kind is not Kind.OUTSIDE or act.target not in results)
        return replace(self, acts=tuple(kept))


@dataclass(frozen=True, slots=True)
class Built:
    """What one build gave.

    :ivar whole: its .changes is there: what failed then came after it.
    :ivar step, errors: the step in which it failed, and the first lines that say why.
    :ivar contents: of its packages; None where there are none.
    :ivar results: the names of what its .changes lists, and of that itself.
    :ivar beside: what it left beside the tree and did not list there.
    """

    conditions: Conditions
    succeeded: bool
    whole: bool = True
    step: str = ""
    errors: tuple[str, ...] = ()
    contents: Contents | None = None
    results: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether there are packages to compare."""
        return self.contents is not None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at.

    :ivar builder: the number of the build user.
    :ivar base: the conditions of a build that nothing is varied in.
    :ivar chosen: the experiments that are to be made.
    :ivar unchecked: name of one of them -> why it can't be made here.
    :ivar idle: name of an experiment that is not made -> why the source does not concern it.
    """

    base: Conditions
    builder: int
    chosen: tuple[str, ...]
    unchecked: Mapping[str, str] = field(default_factory=dict)
    idle: Mapping[str, str] = field(default_factory=dict)

    def checks(self, name: str) -> bool:
        """Whether an experiment is to be made."""
        return name in self.chosen and name not in self.unchecked


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen so far.

    :ivar traced: of the first build; None: nobody looked.
    :ivar before: the tree when it was cleaned for the first time; ``after``: when it was after a build.
    :ivar builds: what a build was for -> how each of its tries ended.
    :ivar order: what the builds were for, in the order in which they were made.
    """

    subject: Subject
    traced: Traced | None = None
    before: Listing | None = None
    after: Listing | None = None
    builds: Mapping[str, tuple[Built, ...]] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def having(self, name: str, built: Built) -> Evidence:
        """The same with one more build."""
        builds = {**self.builds, name: (*self.tries(name), built)}
        return replace(self, builds=builds, order=(*self.order, name))

    def tries(self, name: str) -> tuple[Built, ...]:
        """The builds for ``name``, in their order."""
        return self.builds.get(name, ())

    def last(self, name: str) -> Built | None:
        """The last one."""
        return self.tries(name)[-1] if self.tries(name) else None

    def acts(self, kind: Kind) -> tuple[Act, ...]:
        """What was seen of that kind."""
        return tuple(act for act in self.traced.acts if act.kind is kind) if self.traced else ()

    @property
    def reference(self) -> Built | None:
        """The build that others are compared with: the first, or one without a tracer where that failed."""
        first, untraced = self.last(FIRST), self.last(UNTRACED)
        return untraced if first is not None and not first.usable and untraced is not None else first


@dataclass(frozen=True, slots=True)
class Finding:
    """One misconduct: the experiment that found it, what is the case, what shows it, and who did it."""

    name: str
    text: str
    evidence: tuple[str, ...] = ()
    actor: Actor | None = None


Judge = Callable[[Evidence], tuple[Finding, ...]]


def unchanged(conditions: Conditions) -> Conditions:
    """Nothing is varied."""
    return conditions


@dataclass(frozen=True, slots=True)
class Experiment:
    """One rule, and how it is tried.

    :ivar paragraph: of Debian Policy.
    :ivar rule: what must be.
    :ivar judge: what the evidence says.
    :ivar differs: how its build differs from the first.
    :ivar traced: somebody must look at the processes.
    """

    name: str
    paragraph: str
    rule: str
    judge: Judge
    differs: Callable[[Conditions], Conditions] = unchanged
    traced: bool = False

    @property
    def varies(self) -> bool:
        """Whether it needs a build of its own, under other conditions."""
        return self.differs is not unchanged
