"""``bwbuild worker``: offer this machine to the corpus runs of others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from bwbuild.cli.options import configuration, with_settings
from bwbuild.config.amounts import Size
from bwbuild.errors import UsageError

#: The options of TLS, for a worker and for a run alike.
TLS = (
    click.option("--tls-ca", default="", metavar="FILE", help="Trust what this authority has signed (PEM)."),
    click.option("--tls-cert", default="", metavar="FILE", help="Show this certificate (PEM)."),
    click.option("--tls-key", default="", metavar="FILE", help="The key of the certificate (PEM)."),
)


def with_tls(command: Any) -> Any:
    """``command`` with the options of TLS."""
    for option in reversed(TLS):
        command = option(command)
    return command


@click.command()
@with_settings("cache")
@click.option("--processors", type=click.IntRange(1, 1024), metavar="N", help="Build N sources at once.")
@click.option("--memory", metavar="SIZE", help="Let all builds together take SIZE of the memory.")
@click.option("--name", default="", metavar="NAME", help="Be called NAME instead of this machine's name.")
@with_tls
@click.argument("address")
def worker(address: str, **parameters: Any) -> None:
    """Build the jobs that the scheduler at ADDRESS, tcp://HOST:PORT or tls://HOST:PORT, has for this machine.

    The scheduler is that of dask.distributed. Whoever may speak to it may do on this machine what you may:
    use TLS, and let strangers to neither.
    """
    from bwbuild.build import places  # noqa: PLC0415 - --help needs none of it
    from bwbuild.cli.terminal import show_notice  # noqa: PLC0415
    from bwbuild.corpus.carry import this_machine  # noqa: PLC0415
    from bwbuild.corpus.cluster import access  # noqa: PLC0415
    from bwbuild.corpus.cluster.worker import Wanted, serve  # noqa: PLC0415
    from bwbuild.root import bases  # noqa: PLC0415

    access.check_installed()
    cache = places.cache(configuration(parameters).settings)
    machine = this_machine()
    machine = replace(
        machine,
        name=parameters["name"] or machine.name,
        processors=parameters["processors"] or machine.processors,
        memory=_size(parameters["memory"]) or machine.memory,
    )
    suites = {
        base.suite.name
        for base in bases.complete(cache / "bases")
        if base.suite.architecture == machine.architecture
    }
    tls = access.Tls(parameters["tls_ca"], parameters["tls_cert"], parameters["tls_key"])
    serve(Wanted(address, machine, tuple(sorted(suites)), cache / "worker", tls), show_notice)


def _size(text: str | None) -> int:
    if text is None:
        return 0
    number = Size().number(text)
    if number == 0:
        raise UsageError(f"--memory takes {Size().example}, not {text!r}", hint="bwbuild worker --help")
    return number
