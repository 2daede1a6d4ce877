"""The options by which ``bwbuild corpus run`` gives its jobs to a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bwbuild.cli.corpus_options import check
from bwbuild.cli.worker import with_tls
from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from bwbuild.corpus.carry import Jobs
    from bwbuild.corpus.cluster.session import Reach
    from bwbuild.corpus.store import Plan
    from bwbuild.corpus.values import Run

_OPTIONS = (
    click.option(
        "--cluster", default="", metavar="ADDRESS", help="Build on the workers of a dask scheduler."
    ),
    click.option(
        "--attempts",
        type=click.IntRange(1, 100),
        metavar="N",
        help="Begin each job N times at most, where workers are lost (default 3).",
    ),
    click.option(
        "--shared", default="", metavar="DIR", help="Let files travel by DIR, which all workers see."
    ),
)


def with_cluster(command: Any) -> Any:
    """``command`` with the options of a cluster."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return with_tls(command)


def reach(parameters: Mapping[str, Any]) -> Reach | None:
    """The cluster that was asked for; None: this machine.

    :raises UsageError: the options contradict each other.
    """
    tls = [parameters[name] for name in ("tls_ca", "tls_cert", "tls_key")]
    if not parameters["cluster"]:
        if parameters["shared"] or parameters["attempts"] or any(tls):
            raise UsageError(
                "--attempts, --shared and --tls-… are for a cluster",
                hint="name it: --cluster tcp://HOST:PORT",
            )
        return None
    from bwbuild.corpus.cluster import access  # noqa: PLC0415 - not for --help
    from bwbuild.corpus.cluster.session import Reach  # noqa: PLC0415

    access.check_installed()
    shared = Path(parameters["shared"]) if parameters["shared"] else None
    if shared is not None and not (shared.is_absolute() and shared.is_dir()):
        raise UsageError(
            f"{shared} is no absolute path of a directory", hint="--shared DIR is the same everywhere"
        )
    found = Reach(parameters["cluster"], parameters["attempts"] or 3, shared, access.Tls(*tls))
    access.security(found.address, found.tls)
    return found


def on_cluster(reached: Reach, run: Run) -> Callable[[Run, Plan], Jobs]:
    """What carries out the jobs of ``run``."""
    from bwbuild.cli.terminal import show_notice  # noqa: PLC0415 - as above
    from bwbuild.corpus.cluster.offers import Terms  # noqa: PLC0415
    from bwbuild.corpus.cluster.pool import Cluster  # noqa: PLC0415

    terms = Terms(run.machine.architecture, check(run.options).settings.dist)

    def make(run: Run, plan: Plan) -> Jobs:
        return Cluster(reached, terms, run.directory, run.cwd, show_notice, plan.keep, plan.jobs)

    return make
