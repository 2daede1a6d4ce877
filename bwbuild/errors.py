"""The one exception of the project, and the exit status of each kind of failure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of the command; the numbers are a promise, documented in the README.

    1 is left to Python: it means a bug, and comes with a traceback.
    """

    SUCCESS = 0
    USAGE = 2
    CONFIGURATION = 3
    HOST = 4
    SOURCE = 5
    DEPENDENCIES = 6
    PERMISSION = 7
    BUILD_FAILED = 10
    LIMIT = 11
    VERIFICATION = 12
    SIGNING = 13
    OUTPUT = 14
    CHECK_FAILED = 15
    EXPOSED = 16
    INTERRUPTED = 130

    @property
    def label(self) -> str:
        """The word for it in messages and reports, such as ``build-failed``."""
        return self.name.lower().replace("_", "-")


class BwbuildError(Exception):
    """A failure that is the user's, the host's or the package's, never a bug.

    :param message: what went wrong, with the name of the thing concerned.
    :param hint: what to do about it: a command or an option where there is one.
    :param details: further lines, such as the end of a log.
    """

    status = ExitStatus.HOST

    def __init__(self, message: str, *, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)


class UsageError(BwbuildError):
    """The command line asks for something that does not exist or contradicts itself."""

    status = ExitStatus.USAGE


class ConfigurationError(BwbuildError):
    """A configuration file or a variable has an unknown key or a wrong value."""

    status = ExitStatus.CONFIGURATION


class HostError(BwbuildError):
    """This machine lacks something that the sandbox needs."""

    status = ExitStatus.HOST


class SourceError(BwbuildError):
    """What is to be built is not a usable Debian source."""

    status = ExitStatus.SOURCE


class DependencyError(BwbuildError):
    """Build dependencies are not met, or a build conflict is."""

    status = ExitStatus.DEPENDENCIES


class PermissionsError(BwbuildError):
    """A permission that the source can't do without was not granted."""

    status = ExitStatus.PERMISSION


class BuildError(BwbuildError):
    """The package's build ended with a failure of its own."""

    status = ExitStatus.BUILD_FAILED


class LimitError(BwbuildError):
    """The build was ended because it went beyond a limit, such as its time."""

    status = ExitStatus.LIMIT


class VerificationError(BwbuildError):
    """What the build left is not what it says it is, or not fit to be published."""

    status = ExitStatus.VERIFICATION


class SigningError(BwbuildError):
    """A signature was asked for and could not be made, or does not hold."""

    status = ExitStatus.SIGNING


class OutputError(BwbuildError):
    """Results, log or report can't be written where they belong."""

    status = ExitStatus.OUTPUT


class CheckError(BwbuildError):
    """A check of the results found what was to count as a failure; they are published all the same."""

    status = ExitStatus.CHECK_FAILED


class InterruptedBuild(BwbuildError):  # noqa: N818 - the user's wish is not an error
    """The user ended the build."""

    status = ExitStatus.INTERRUPTED
