"""Where bwbuild keeps on disk what it makes."""

from __future__ import annotations

import os
from pathlib import Path

from bwbuild.config.settings import Settings


def scratch(settings: Settings) -> Path:
    """Where the scratch directories are."""
    return settings.scratch or _home() / "scratch"


def cache(settings: Settings) -> Path:
    """Where views, bases, layers and downloads are, each kind in a directory of its own."""
    return settings.cache or _home()


def state() -> Path:
    """Where what is known of earlier builds lies."""
    from platformdirs import user_state_path  # noqa: PLC0415 - as below

    return user_state_path("bwbuild")


def _home() -> Path:
    if os.getuid() == 0:
        # It must be reachable for ids that are nobody's, so it is not in root's home.
        return Path("/var/cache/bwbuild")
    from platformdirs import user_cache_path  # noqa: PLC0415 - only here

    return user_cache_path("bwbuild")
