"""What the doctor says: findings, and the error that is made of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bwbuild.errors import HostError

if TYPE_CHECKING:
    from bwbuild.host.causes import Cause


class Status(Enum):
    """How a finding counts; only ``FAILED`` keeps a build from starting."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the doctor's table: ``what`` was found, and unless it is well its cause and remedy."""

    name: str
    status: Status
    what: str
    cause: str = ""
    remedy: str = ""

    @classmethod
    def because(cls, name: str, what: str, why: Cause, status: Status = Status.FAILED) -> Finding:
        """A finding with a cause."""
        return cls(name, status, what, why.cause, why.remedy)


def advice(findings: tuple[Finding, ...], output: tuple[str, ...] = ()) -> HostError:
    """The error for a sandbox that did not start, with what the doctor found.

    :param findings: the failed ones, the most telling first.
    :param output: the last lines that the sandbox wrote.
    """
    if not findings:
        return HostError("the sandbox did not start", hint="bwbuild doctor tries the rest", details=output)
    first, *others = findings
    more = [f"also: {finding.name}: {finding.cause}; {finding.remedy}" for finding in others]
    what = [] if first.what in output else [f"{first.name}: {first.what}"]
    details = [*output, *what, *more]
    return HostError("the sandbox did not start", hint=f"{first.cause}: {first.remedy}", details=details)
