"""Values of the corpus as what JSON has, and back: for the database, for files and for other machines.

A dataclass is an object with its fields, a tuple a list, an enumeration its value, a time what
``datetime.isoformat`` makes of it, a path its text. Fields that have their default are left out, so that what
was written before a field was added can still be read.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")

#: What a path may have that is no UTF-8 goes through JSON as lone surrogates, as Python has it.
_PLAIN = (str, int, float, bool, type(None))


def plain(value: object) -> Any:
    """``value`` as what JSON has."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if is_dataclass(value):
        pairs = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.name: plain(item) for field, item in pairs if not _is_default(field, item)}
    raise TypeError(f"{type(value).__name__} can't be stored")


def restored(kind: type[Value], found: object) -> Value:
    """The value of the dataclass ``kind`` that :func:`plain` has made ``found`` of.

    :raises ValueError: it was made of something else; names the field.
    """
    made = _made(kind, found, kind.__name__)
    assert isinstance(made, kind)  # noqa: S101 - for the type checker
    return made


def _is_default(field: Field[Any], value: object) -> bool:
    return field.default is not MISSING and bool(value == field.default)


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _made(kind: Any, found: object, where: str) -> object:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return None if found is None else _made(_but_none(kind), found, where)
    if origin is tuple:
        return _tuple(get_args(kind), found, where)
    if is_dataclass(kind):
        return _dataclass(kind, found, where)
    try:
        return _single(kind, found)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _single(kind: Any, found: object) -> object:
    if kind is datetime:
        return datetime.fromisoformat(_text(found))
    if issubclass(kind, Enum):
        return kind(found)
    if issubclass(kind, PurePath):
        return kind(_text(found))
    if kind is float and isinstance(found, int) and not isinstance(found, bool):
        return float(found)
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        raise ValueError(f"{type(found).__name__} is no {kind.__name__}")
    return found


def _but_none(kind: Any) -> Any:
    (only,) = (part for part in get_args(kind) if part is not type(None))
    return only


def _tuple(parts: tuple[Any, ...], found: object, where: str) -> tuple[object, ...]:
    if not isinstance(found, list):
        raise ValueError(f"{where} is {type(found).__name__}, not a list")
    if parts[-1] is Ellipsis:
        return tuple(_made(parts[0], item, where) for item in found)
    if len(parts) != len(found):
        raise ValueError(f"{where} has {len(found)} parts, not {len(parts)}")
    return tuple(_made(part, item, where) for part, item in zip(parts, found, strict=True))


def _dataclass(kind: Any, found: object, where: str) -> object:
    if not isinstance(found, dict):
        raise ValueError(f"{where} is {type(found).__name__}, not an object")
    hints = _hints(kind)
    unknown = sorted(found.keys() - hints.keys())
    if unknown:
        raise ValueError(f"{where}.{unknown[0]} is unknown")
    missing = [f.name for f in fields(kind) if f.default is MISSING and f.name not in found]
    if missing:
        raise ValueError(f"{where}.{missing[0]} is missing")
    return kind(**{name: _made(hints[name], item, f"{where}.{name}") for name, item in found.items()})


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise ValueError(f"{type(found).__name__} is no text")
    return found
