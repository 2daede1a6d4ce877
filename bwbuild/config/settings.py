"""Settings: every option of bwbuild, declared once.

From a declaration come the key in TOML (``sign.key``), the variable (``BWBUILD_SIGN_KEY``), the option
on the command line (``--sign-key``), the line in ``bwbuild config`` and the check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

from bwbuild.config.amounts import MOST_FILES, MOST_PROCESSES, Count, Size
from bwbuild.config.kinds import Choice, Duration, FilePath, InsidePath, Kind, Several, Switch, Text
from bwbuild.config.permits import Permit
from bwbuild.permissions.words import Permission


class Workspace(Enum):
    """Where the build writes."""

    PRIVATE = "private"
    IN_PLACE = "in-place"


class View(Enum):
    """Which files of the host the build sees.

    Those of the packages that the source declares, all, or of the declared ones those that a profile names.
    """

    DECLARED = "declared"
    HOST = "host"
    LEARNED = "learned"


class Missing(Enum):
    """What to do where this machine lacks build dependencies."""

    ERROR = "error"
    BASE = "base"


class IdentityChoice(Enum):
    """Which users exist in the sandbox."""

    AUTO = "auto"
    RANGE = "range"
    SINGLE = "single"


class BuildAs(Enum):
    """Who runs dpkg-buildpackage in the sandbox."""

    USER = "user"
    ROOT = "root"


class CompilerCache(Enum):
    """What remembers compilations from one build of a source to its next."""

    NONE = "none"
    CCACHE = "ccache"
    SCCACHE = "sccache"


class Keep(Enum):
    """When the workspace of a build stays."""

    NEVER = "never"
    FAILURE = "failure"
    ALWAYS = "always"


class Sign(Enum):
    """Whether results are signed: ``auto`` if a key is there and the distribution is not UNRELEASED."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class FailOn(Enum):
    """What of a check after the build counts as a failure; each implies what is worse."""

    LINTIAN_ERROR = "lintian=error"
    LINTIAN_WARNING = "lintian=warning"
    LINTIAN_INFO = "lintian=info"
    AUTOPKGTEST_FAIL = "autopkgtest=fail"
    AUTOPKGTEST_SKIP = "autopkgtest=skip"
    PIUPARTS_FAIL = "piuparts=fail"


class Verbosity(Enum):
    """How much the terminal shows."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of one option."""

    key: str
    kind: Kind
    help: str

    @property
    def attribute(self) -> str:
        """The name of the field of :class:`Settings`."""
        return self.key.replace(".", "_").replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return "BWBUILD_" + self.attribute.upper()

    @property
    def flag(self) -> str:
        """The option of the command line."""
        return "--" + self.key.replace(".", "-")


def option(key: str, kind: Kind, default: object, text: str) -> Any:
    """A field of :class:`Settings`; ``Any`` because dataclasses take the default in place of the value."""
    return field(default=default, metadata={"option": Option(key, kind, text)})


@dataclass(frozen=True, slots=True)
class Settings:
    """The value of every option after all layers were read."""

    output: Path | None = option(
        "output", FilePath("DIR"), None, "Put the results into DIR instead of the tree's parent."
    )
    workspace: Workspace = option(
        "workspace",
        Choice(Workspace),
        Workspace.PRIVATE,
        "Build in a private copy-on-write layer, or in the real tree and its parent.",
    )
    workspace_memory: int | None = option(
        "workspace-memory",
        Size(),
        None,
        "Memory for the private layer, not disk; auto: where the build surely fits and half is free.",
    )
    view: View = option(
        "view",
        Choice(View),
        View.DECLARED,
        "What of the host the build sees: the packages that the source declares, all, or what was learned.",
    )
    dist: str | None = option(
        "dist", Text("SUITE"), None, "Build on a base of SUITE; auto takes the one of the changelog."
    )
    missing: Missing = option(
        "missing",
        Choice(Missing),
        Missing.ERROR,
        "Where this machine lacks build dependencies: an error, or a base of its own release.",
    )
    fetch: bool = option("fetch", Switch(), True, "Fetch the packages that a base lacks.")
    base_mirror: str | None = option(
        "base.mirror",
        Text("MIRROR"),
        None,
        "Mirror, sources.list line or file for bases, as mmdebstrap takes it.",
    )
    base_components: str | None = option(
        "base.components", Text("LIST"), None, "Components of the archive, separated by commas."
    )
    base_keyring: Path | None = option(
        "base.keyring", FilePath(), None, "Keyring that signs the mirror, if it is not the distribution's."
    )
    base_refresh: float | None = option(
        "base.refresh", Duration(), 7 * 86400.0, "Make a base anew when it is older than TIME (7d)."
    )
    identity: IdentityChoice = option(
        "identity",
        Choice(IdentityChoice),
        IdentityChoice.AUTO,
        "Which users exist inside: a range of subordinate ids, or root alone.",
    )
    build_as: BuildAs = option(
        "build-as", Choice(BuildAs), BuildAs.USER, "Who runs dpkg-buildpackage inside."
    )
    allow: tuple[Permission, ...] = option(
        "allow", Several(Permit()), (), "Grant the build PERMISSION, such as share=network or userns."
    )
    deny: tuple[Permission, ...] = option(
        "deny", Several(Permit()), (), "Deny the build PERMISSION, whoever asks for it or grants it."
    )
    compiler_cache: CompilerCache = option(
        "compiler-cache",
        Choice(CompilerCache),
        CompilerCache.NONE,
        "Remember compilations between the builds of a source, each for itself.",
    )
    foreign_abi: bool = option(
        "foreign-abi", Switch(), False, "Let programs of the machine's other ABIs run, as of i386 on amd64."
    )
    seccomp: bool = option("seccomp", Switch(), True, "Filter the system calls of the build.")
    suppress_sync: bool = option(
        "suppress-sync", Switch(), True, "Answer fsync and the like at once, since the workspace is scratch."
    )
    build_path: PurePosixPath | None = option(
        "build-path",
        InsidePath(),
        None,
        "Where the tree's parent is inside; default: /build/reproducible-path.",
    )
    sign: Sign = option("sign.mode", Choice(Sign), Sign.AUTO, "Whether debsign signs the results.")
    sign_key: str | None = option("sign.key", Text("KEY"), None, "The key that signs: id or fingerprint.")
    accept_from_clean: tuple[str, ...] = option(
        "accept-from-clean",
        Several(Text("PATTERN")),
        (),
        "Let the package's clean target add and change such files of the source; may be repeated.",
    )
    keep: Keep = option("keep", Choice(Keep), Keep.FAILURE, "When to keep the workspace of a build.")
    shell_on_failure: bool = option(
        "shell-on-failure", Switch(), False, "Open a shell in the sandbox of a build that failed."
    )
    scratch: Path | None = option(
        "scratch", FilePath("DIR"), None, "Directory for workspaces; its file system should carry overlays."
    )
    cache: Path | None = option(
        "cache", FilePath("DIR"), None, "Directory for what can be made again: views, bases, downloads."
    )
    lintian: bool = option("lintian", Switch(), False, "Run the suite's lintian on what was built.")
    lintian_opt: tuple[str, ...] = option(
        "lintian-opt", Several(Text("OPTION")), (), "Pass OPTION on to lintian; may be repeated."
    )
    autopkgtest: bool = option(
        "autopkgtest", Switch(), False, "Run the source's own tests on what was built, with autopkgtest."
    )
    autopkgtest_opt: tuple[str, ...] = option(
        "autopkgtest-opt", Several(Text("OPTION")), (), "Pass OPTION on to autopkgtest; may be repeated."
    )
    piuparts: bool = option(
        "piuparts", Switch(), False, "Install and purge what was built in a base, with the suite's piuparts."
    )
    piuparts_opt: tuple[str, ...] = option(
        "piuparts-opt", Several(Text("OPTION")), (), "Pass OPTION on to piuparts; may be repeated."
    )
    fail_on: tuple[FailOn, ...] = option(
        "fail-on",
        Several(Choice(FailOn), "CHECK=LEVEL"),
        (),
        "Fail on that, or worse: lintian=error|warning|info, autopkgtest=fail|skip, piuparts=fail.",
    )
    report: Path | None = option("report", FilePath(), None, "Write what happened as JSON to FILE.")
    events: Path | None = option(
        "events", FilePath(), None, "Write steps, memory and notices to FILE as they come, as JSON lines."
    )
    log: Path | None = option(
        "log", FilePath(), None, "Write the log to FILE, not into the output directory."
    )
    timeout: float | None = option(
        "timeout", Duration(endless=True), 48 * 3600.0, "End the build after TIME (90, 30m, 2h)."
    )
    limit_silence: float | None = option(
        "limit.silence", Duration(endless=True), 150 * 60.0, "End the build when it wrote nothing for TIME."
    )
    limit_memory: int | None = option(
        "limit.memory", Size(), None, "Memory of all the build; auto: what there is, less a reserve."
    )
    limit_processes: int | None = option(
        "limit.processes",
        Count(least=8, most=MOST_PROCESSES),
        None,
        "Processes and threads; auto: 4096, more with many processors.",
    )
    limit_files: int | None = option(
        "limit.files",
        Count(auto=False, least=16, most=MOST_FILES),
        65536,
        "Files that one process may have open at most.",
    )
    limit_tmp: int | None = option(
        "limit.tmp", Size(), None, "Size of /tmp and of /var/tmp; auto: half of the memory."
    )
    limit_shm: int | None = option("limit.shm", Size(), None, "Size of /dev/shm; auto: half of the memory.")
    limit_disk: int | None = option(
        "limit.disk", Size(auto=False, least=1 << 20), 100 << 30, "What the workspace may take on disk."
    )
    limit_disk_reserve: int | None = option(
        "limit.disk-reserve",
        Size(),
        None,
        "What stays free on the disk of the workspace; auto: a twentieth, at most 4G.",
    )
    limit_log: int | None = option(
        "limit.log", Size(auto=False), 256 << 20, "Output in the log: of more, beginning and end are kept."
    )
    limit_scope: bool = option(
        "limit.scope", Switch(), True, "Let the user's systemd hold the build in a control group, if it runs."
    )
    verbosity: Verbosity = option(
        "verbosity", Choice(Verbosity), Verbosity.NORMAL, "How much the terminal shows."
    )


OPTIONS: Mapping[str, Option] = {
    declared.metadata["option"].key: declared.metadata["option"] for declared in fields(Settings)
}
DEFAULTS: Mapping[str, object] = {
    declared.metadata["option"].key: declared.default for declared in fields(Settings)
}
FIELD_OF: Mapping[str, str] = {
    declared.metadata["option"].key: declared.name for declared in fields(Settings)
}
