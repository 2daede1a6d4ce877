"""What the caller asks of a build: the options of dpkg-buildpackage and sbuild, read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bwbuild.deb.rebuild import Rebuild

SOURCE, ANY, ALL = "source", "any", "all"
BUILD_TYPES = {"full": {SOURCE, ANY, ALL}, "binary": {ANY, ALL}, SOURCE: {SOURCE}, ANY: {ANY}, ALL: {ALL}}

#: Options of dpkg-buildpackage that go on to dpkg-genchanges, and what they are called there.
_OF_CHANGES = (
    ("(-s[iad]|-v.+|-C.+|-[me].+)", ""),
    ("--changes-option=(.*)", ""),
    ("--(?:source|build)-by=(.*)", "-m"),
    ("--(?:changed|release)-by=(.*)", "-e"),
)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the caller asks of dpkg-buildpackage."""

    #: options as they are passed on, in their order
    passed: tuple[str, ...] = ()
    #: what is built: a subset of source, any, all
    types: frozenset[str] = frozenset({SOURCE, ANY, ALL})
    #: whether ``types`` was typed
    types_given: bool = False
    #: False after -us -uc or --no-sign, True after --force-sign
    sign: bool | None = None
    sign_key: str | None = None
    sign_program: str | None = None
    unsigned: frozenset[str] = frozenset()
    #: build on what the last build of the tree left
    no_clean: bool = False
    #: don't check build dependencies
    unchecked: bool = False
    #: relations to add to the source's: (Depends or Conflicts, relation)
    added: tuple[tuple[str, str], ...] = ()
    #: what may meet them besides: (package, repository or repository-key, what was typed)
    extra: tuple[tuple[str, str], ...] = ()
    #: whether one of sbuild's switches changed ``types``
    parts_given: bool = False
    #: what was asked for by name, of source, any and all
    asked: frozenset[str] = frozenset()
    #: the version that is built, where it is not the source's
    rebuild: Rebuild = field(default_factory=Rebuild)
    #: a .changes of the source alone besides
    source_only: bool = False
    #: ``NAME <MAIL>`` of who builds
    maintainer: str | None = None
    host_arch: str | None = None
    #: None: not typed
    profiles: tuple[str, ...] | None = None
    changes_file: str | None = None
    #: the caller's own gain-root command, such as fakeroot
    root_command: str | None = None
    #: targets of debian/rules to run in place of a build
    targets: tuple[str, ...] = ()

    @property
    def makes_changes(self) -> bool:
        """Whether a .changes file comes out."""
        return not self.targets

    @property
    def type_name(self) -> str:
        """The build type in sbuild's and dpkg's words: full, binary, source, any, all or a list of them."""
        for name, types in BUILD_TYPES.items():
            if self.types == types:
                return name
        return ",".join(sorted(self.types, reverse=True))

    def architecture(self, native: str) -> str:
        """The architecture in the names of .changes, .buildinfo and log, as dpkg-buildpackage takes it."""
        if ANY in self.types:
            return self.host_arch or native
        return ALL if ALL in self.types else SOURCE

    def changes_names(self, stem: str, native: str) -> tuple[str, str]:
        """The names of the .changes, and of the one of the source alone, empty where there is none besides.

        :param stem: of the build's names: ``NAME_VERSION``.
        """
        name = self.changes_file or f"{stem}_{self.architecture(native)}.changes"
        of_source = f"{stem}_source.changes"
        return name, of_source if self.source_only and of_source != name else ""

    @property
    def of_changes(self) -> tuple[str, ...]:
        """What of it dpkg-buildpackage passes on to dpkg-genchanges."""
        return tuple(
            prefix + match[1]
            for word in self.passed
            for pattern, prefix in _OF_CHANGES
            if (match := re.fullmatch(pattern, word, re.DOTALL))
        )
