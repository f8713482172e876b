"""Reads a result from the service's JSON, by the types of its fields."""

import base64
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from image_search.moments import moment

T = TypeVar("T")
_field_types = cache(get_type_hints)


def read(kind: type[T], value: Any) -> T:
    """Make a value of a type of a JSON document; keys that a later service adds are ignored.

    Raises:
        KeyError: a key is missing that has no default.
        TypeError: an object or a list is something else.
        ValueError: a time cannot be read.
    """
    return cast(T, _read(kind, value))


def _read(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and is_dataclass(kind):
        types = _field_types(kind)
        given = [one for one in fields(kind) if one.name in value or one.default is MISSING]
        return kind(**{one.name: _read(types[one.name], value[one.name]) for one in given})
    if kind is datetime:
        return moment(value)
    if kind is bytes:
        return base64.b64decode(value, validate=True)
    parts = get_args(kind)
    if get_origin(kind) in {list, tuple}:
        return get_origin(kind)(_read(parts[0], one) for one in value)
    if len(parts) == 2 and parts[1] is type(None):
        return None if value is None else _read(parts[0], value)
    return value
