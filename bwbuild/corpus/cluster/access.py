"""What dask.distributed needs before it is used: that it is there, TLS, and quiet."""

from __future__ import annotations

import importlib.util
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bwbuild.errors import HostError, UsageError

if TYPE_CHECKING:
    from distributed import Security


_ADDRESS = re.compile(r"(?:tcp|tls)://(?:[^][/@:\s]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files: who signed the others' certificates, and the certificate and key of this side."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


NO_TLS = Tls()


def check_installed() -> None:
    """Dask is optional.

    :raises HostError: it is not there.
    """
    if importlib.util.find_spec("distributed") is None:
        raise HostError("a cluster needs dask.distributed", hint="sudo apt install python3-distributed")


def security(address: str, tls: Tls) -> Security | None:
    """TLS as it was asked for; None: as dask's own configuration says.

    :raises UsageError: the files and the address contradict each other, or a file is missing.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match[1]) < 1 << 16:
        raise UsageError(
            f"{address!r} is no address of a scheduler", hint="write tcp://HOST:PORT, or tls://HOST:PORT"
        )
    given = [bool(path) for path in (tls.ca, tls.certificate, tls.key)]
    if not any(given):
        if address.startswith("tls://") and not _is_configured():
            raise UsageError(f"{address} takes TLS", hint="--tls-ca FILE --tls-cert FILE --tls-key FILE")
        return None
    if not all(given):
        raise UsageError("TLS takes three files", hint="name all: --tls-ca, --tls-cert and --tls-key")
    if not address.startswith("tls://"):
        raise UsageError(f"with TLS the address begins with tls://, not {address}", hint="tls://HOST:PORT")
    for path in (tls.ca, tls.certificate, tls.key):
        try:
            with open(path, "rb"):  # noqa: PTH123 - it may be no path at all
                pass
        except OSError as error:
            raise UsageError(f"{path} can't be read: {error.strerror}", hint="name a PEM file") from error
    from distributed import Security  # noqa: PLC0415 - takes half a second

    pair = {"cert": tls.certificate, "key": tls.key}
    sides = {f"tls_{side}_{what}": path for side in ("client", "worker") for what, path in pair.items()}
    return Security(tls_ca_file=tls.ca, require_encryption=True, **sides)


def _is_configured() -> bool:
    """Whether dask's own configuration has what TLS takes."""
    from distributed import Security  # noqa: PLC0415 - as above

    return all(Security().get_tls_config_for_role("worker").get(what) for what in ("ca_file", "cert"))


def reason(error: BaseException) -> str:
    """Why dask did not reach somebody: what the kernel said, which it wraps several times."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    said = error.strerror if isinstance(error, OSError) else ""
    return said or str(error) or "it does not answer"


def quieten() -> None:
    """Let dask write of what is wrong alone: what else there is to tell, bwbuild tells."""
    import distributed  # noqa: F401, PLC0415 - it sets its own levels when it is imported

    # The one of asyncio, which nothing else uses here, hears of connections that are cut too.
    for name in ("distributed", "distributed.client", "distributed.worker", "distributed.core", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
