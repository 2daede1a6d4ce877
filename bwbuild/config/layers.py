"""The cascade: defaults < /etc < the user's file < environment < command line, each value with its origin."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bwbuild.config.settings import DEFAULTS, FIELD_OF, OPTIONS, Settings
from bwbuild.errors import ConfigurationError

SYSTEM_FILE = Path("/etc/bwbuild/config.toml")
#: Tables within tables that are looked into.
_DEEPEST = 8
FILE_VARIABLE = "BWBUILD_CONFIG"


@dataclass(frozen=True, slots=True)
class Layer:
    """Values of one place, checked already: key of the option -> value."""

    origin: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, and for each key the origin of its value."""

    settings: Settings
    origins: Mapping[str, str]


def resolve(layers: Sequence[Layer]) -> Configuration:
    """Fold ``layers`` over the defaults; a later layer wins."""
    values = dict(DEFAULTS)
    origins = dict.fromkeys(DEFAULTS, "default")
    for layer in layers:
        values.update(layer.values)
        origins.update(dict.fromkeys(layer.values, layer.origin))
    fields: dict[str, Any] = {FIELD_OF[key]: value for key, value in values.items()}
    return Configuration(Settings(**fields), origins)


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint that names the known word most like ``word``; if none is, all of them unless they are many."""
    import difflib  # noqa: PLC0415 - only a wrong word needs it

    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return "known: " + ", ".join(sorted(known)) if len(known) <= 30 else "bwbuild --help lists all of them"


def from_toml(document: Mapping[str, object], origin: str) -> Layer:
    """The layer of a parsed TOML document.

    :raises ConfigurationError: an unknown key or a wrong type, with file, key and what was expected.
    """
    values = {}
    for key, value in _flattened(document):
        if key not in OPTIONS:
            raise ConfigurationError(f"{origin}: unknown key {key!r}", hint=nearest(key, list(OPTIONS)))
        try:
            values[key] = OPTIONS[key].kind.from_toml(value)
        except ValueError as error:
            raise ConfigurationError(f"{origin}: {key} is {value!r}", hint=f"expected {error}") from None
    return Layer(origin, values)


def from_environment(environment: Mapping[str, str]) -> Layer:
    """The layer of the ``BWBUILD_*`` variables.

    :raises ConfigurationError: an unknown variable or a wrong value.
    """
    known = {declared.variable: declared for declared in OPTIONS.values()}
    values = {}
    for name in sorted(environment):
        if not name.startswith("BWBUILD_") or name == FILE_VARIABLE:
            continue
        if name not in known:
            raise ConfigurationError(f"unknown variable {name}", hint=nearest(name, list(known)))
        try:
            values[known[name].key] = known[name].kind.from_text(environment[name])
        except ValueError as error:
            message = f"variable {name} is {environment[name]!r}"
            raise ConfigurationError(message, hint=f"expected {error}") from None
    return Layer("environment", values)


def read_configuration(
    command_line: Mapping[str, object], environment: Mapping[str, str], file: Path | None = None
) -> Configuration:
    """Read all layers. ``file`` (or ``BWBUILD_CONFIG``) replaces both configuration files and must exist."""
    chosen = file or (Path(environment[FILE_VARIABLE]) if environment.get(FILE_VARIABLE) else None)
    layers = []
    for path in (chosen,) if chosen else (SYSTEM_FILE, user_file(environment)):
        document = _read(path, must_exist=chosen is not None)
        if document is not None:
            layers.append(from_toml(document, str(path)))
    layers.append(from_environment(environment))
    layers.append(Layer("command line", command_line))
    return resolve(layers)


def user_file(environment: Mapping[str, str]) -> Path:
    """The user's configuration file by the XDG rules."""
    home = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - may fail
    return Path(home) / "bwbuild" / "config.toml"


def _read(path: Path, *, must_exist: bool) -> Mapping[str, object] | None:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if not must_exist:
            return None
        raise ConfigurationError(f"there is no configuration file {path}") from None
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from None
    return _parsed(content, path)


def _parsed(content: bytes, path: Path) -> Mapping[str, object]:
    import tomllib  # noqa: PLC0415 - most users have no configuration file

    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    except RecursionError:  # the parser's own way through lists in lists
        raise ConfigurationError(f"{path} is nested too deeply", hint="no setting needs it") from None


def _flattened(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        # No key has so many parts; such a one is unknown as it is.
        deep = prefix.count(".") >= _DEEPEST
        if isinstance(value, Mapping) and f"{prefix}{name}" not in OPTIONS and not deep:
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
