"""The manifest of a Flatpak, as far as its finish-args go."""

from __future__ import annotations

import importlib
import json
import os
import re
from pathlib import Path
from typing import Any

from bwbuild.deb.names import printable
from bwbuild.errors import HostError, UsageError
from bwbuild.permissions.finish_args import Translated, translate

#: Bytes that no manifest has.
_LARGE = 4 << 20
#: flatpak-builder takes comments in JSON; a string may have what looks like one.
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def read(path: Path) -> Translated:
    """What the finish-args of the manifest at ``path`` mean here.

    :raises UsageError: it is no manifest, or has none.
    :raises HostError: YAML can't be read here.
    """
    document = _document(path)
    arguments = document.get("finish-args") if isinstance(document, dict) else None
    if not isinstance(arguments, list) or not all(isinstance(item, str) for item in arguments):
        raise UsageError(
            f"{path} has no list finish-args", hint="name the manifest of a Flatpak, JSON or YAML"
        )
    return translate([printable(item) if not item.isprintable() else item for item in arguments])


def _document(path: Path) -> Any:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_LARGE + 1)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error
    if len(data) > _LARGE:
        raise UsageError(f"{path} is too large for a manifest")
    text = data.decode("utf-8", "replace")
    if path.suffix == ".json":
        try:
            return json.loads(_COMMENT.sub(lambda found: found[1] or " ", text))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is no JSON: {error}") from None
    return _yaml(path, text)


def _yaml(path: Path, text: str) -> Any:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError as error:
        raise HostError("YAML can't be read here", hint="sudo apt install python3-yaml") from error
    # Of a manifest words count alone: what looks like a date or a number is one here.
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())[:200]}") from None
