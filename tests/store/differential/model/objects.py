"""Metadata as objects, said a second time: what may be sent, and what a patch makes of it.

An object is kept as it was sent, object in object; a key is the names on the way to a value, joined
by dots. The store keeps it the other way round, as keys with the ways to them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from store.errors import MetadataLimitError, MetadataTypeError
from tests.store.differential.model.values import Refused, as_json_value, unicode

TEXT = "$text"
Way = tuple[str, ...]


def values_at(node: Mapping[str, Any]) -> Iterator[tuple[Way, Any]]:
    """The values of an object with the ways to them; its text is none."""
    for name, value in node.items():
        if name != TEXT:
            if isinstance(value, Mapping):
                yield from (((name, *way), inner) for way, inner in values_at(value))
            else:
                yield (name,), value


def by_key(node: Mapping[str, Any]) -> dict[str, Any]:
    """The values by key."""
    return {".".join(way): value for way, value in values_at(node)}


def check(metadata: Any) -> None:
    """Refuses what is no metadata, by its outside.

    Raises:
        Refused: it is none, or too large.
    """
    if metadata is None or isinstance(metadata, str):
        size = len(unicode(metadata or ""))
    elif isinstance(metadata, dict):
        text = metadata.get(TEXT)
        if not (text is None or isinstance(text, str)):
            raise Refused(MetadataTypeError)
        unicode(text or "")
        seen: dict[str, int] = {}
        _check_names({name: v for name, v in metadata.items() if name != TEXT}, "", seen)
        size = len(text or "") + sum(len(key) + count for key, count in seen.items())
    else:
        raise Refused(MetadataTypeError)
    if size > 65_536:
        raise Refused(MetadataLimitError)


def _check_names(node: Mapping[str, Any], before: str, seen: dict[str, int]) -> None:
    for name, value in node.items():
        check_name(name, before)
        if isinstance(value, dict):
            _check_names(value, f"{before}{name}.", seen)
        elif before + name in seen:
            raise Refused(MetadataTypeError)
        else:
            seen[before + name] = _size(value)


def check_name(name: str, before: str = "") -> None:
    """Refuses a name that is none."""
    if not name or name[0] == "$":
        raise Refused(MetadataTypeError)
    unicode(name)
    if len(before + name) > 128:
        raise Refused(MetadataLimitError)


def _size(value: Any) -> int:
    if isinstance(value, list):
        return sum(_size(each) for each in value)
    return len(value) if isinstance(value, str) else 1


def patched(old: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """What a patch makes of metadata.

    It is merged as RFC 7396 says; a key that then stands in two places, where it was and where the
    patch has it, stays where it was, with the patch's value.
    """
    merged = _merge_patch(old, patch)
    for way, value in values_at(patch):
        for other in [w for w, _ in values_at(merged) if w != way and ".".join(w) == ".".join(way)]:
            _put(merged, other, value)
            _put(merged, way, None)
    return merged


def _merge_patch(target: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, section 2, but that the target stays as it is."""
    made = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            is_object = isinstance(value, Mapping)
            made[name] = _merge_patch(made.get(name), value) if is_object else value
    return made


def _put(node: dict[str, Any], way: Way, value: Any) -> None:
    """Sets a value, or with None takes it away, in an object that nobody else has."""
    for name in way[:-1]:
        if not isinstance(node.get(name), dict):
            return
        node[name] = dict(node[name])
        node = node[name]
    if value is None:
        node.pop(way[-1], None)
    else:
        node[way[-1]] = value


def mapped(node: Mapping[str, Any], change: Any) -> dict[str, Any]:
    """The object with what a function makes of each key with its value; None takes it away.

    What is left empty, or was null, is not there any more.
    """
    made: dict[str, Any] = {}
    for name, value in node.items():
        if name == TEXT:
            made[name] = value
        elif isinstance(value, Mapping):
            made[name] = mapped(value, lambda key, v, name=name: change(f"{name}.{key}", v)) or None
        elif value is not None:
            made[name] = change(name, value)
    return {name: value for name, value in made.items() if value is not None}


def as_json(metadata: Any) -> dict[str, Any] | str | None:
    """What comes back for what a row holds."""
    if metadata is None or isinstance(metadata, str):
        return metadata
    return mapped(metadata, lambda _, value: as_json_value(value)) or None
