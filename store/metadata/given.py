"""Metadata as it was sent: checked, and its nested objects as dotted keys.

``{"gps": {"lat": 1}}`` has the key ``gps.lat``, as ``{"gps.lat": 1}`` has. Which of the two it was
is kept beside the row, as the JSON list of the paths of the keys that were nested; so it comes back
as it was sent. An object may bring a free text as `TEXT_KEY`.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from store.errors import MetadataLimitError, MetadataTypeError, shown
from store.metadata.columns import Registry
from store.metadata.values import ColumnValue, is_unicode
from store.schemas import MAX_METADATA_CHARS, TEXT_KEY

MAX_KEY_CHARS = 128

Path = tuple[str, ...]
"""The names of the objects around a value, and its own."""


class CheckedMetadata:
    """Metadata of an image whose shape was checked; it remembers the columns it was placed in.

    An add is checked before its picture is downloaded and placed again when its row is written: by
    then the columns are the same, but where another add was the first with a key.

    Args:
        text: the free text.
        paths: of the keys with values, by dotted key.
        given: their values.
        alone: whether the text is all of the metadata, and not a part of an object.

    Attributes:
        text: as above.
        given: as above.
        nesting: what is kept beside the row; None where values and text tell it all.
    """

    def __init__(
        self, text: str | None, paths: Mapping[str, Path], given: Mapping[str, Any], *, alone: bool
    ) -> None:
        self.text = text
        self.given = given
        nested = [list(path) for path in paths.values() if len(path) > 1]
        beside = text is not None and not alone  # also where a key is dropped, and it is left alone
        self.nesting = _json(nested) if nested or beside else None
        self._placed: tuple[Registry, dict[str, ColumnValue], Registry] | None = None

    @classmethod
    def of(cls, metadata: Any) -> "CheckedMetadata":
        """Checks the outer shape of metadata, unless that was done before; leaves its nulls out.

        Raises:
            MetadataTypeError: neither an object, nor a text, nor nothing; or a key is unusable.
            MetadataLimitError: a key is too long, or there are too many characters.
        """
        if isinstance(metadata, cls):
            return metadata
        if isinstance(metadata, str):
            _check_characters(len(_checked_text(metadata)))
            return cls(metadata, {}, {}, alone=True)
        if not (isinstance(metadata, Mapping) or metadata is None):
            raise MetadataTypeError("metadata must be an object or a string")
        text, leaves = leaves_of({} if metadata is None else metadata)
        given = {key: value for key, (_, value) in leaves.items() if value is not None}
        paths = {key: leaves[key][0] for key in given}
        return cls(text, paths, given, alone=False)

    def place(self, registry: Registry) -> tuple[dict[str, ColumnValue], Registry]:
        """The values by column name, and the registry with the columns that are new.

        Raises:
            MetadataError: one of the values cannot be stored.
        """
        if self._placed is None or self._placed[0].columns != registry.columns:
            self._placed = registry, *registry.place(self.given, self.nesting)
        return self._placed[1:]

    def place_over(
        self, registry: Registry, row: Mapping[str, ColumnValue], patch: Any
    ) -> tuple[dict[str, ColumnValue], Registry]:
        """As `place`, for a row that was patched: what the patch does not name stays as it is.

        Args:
            registry: the columns there are.
            row: its values by column name.
            patch: that this is the `merged` result of.
        """
        named = leaves_of(patch)[1].keys() if isinstance(patch, Mapping) else self.given.keys()
        new = {key: value for key, value in self.given.items() if key in named}
        values, after = registry.place(new, self.nesting)
        same = [registry.by_key[key] for key in self.given if key not in named]
        names = {column.name for key in same for column in key.all_columns}
        return {**{name: row[name] for name in names & row.keys()}, **values}, after


def leaves_of(metadata: Mapping[Any, Any]) -> tuple[str | None, dict[str, tuple[Path, Any]]]:
    """An object's free text, and its values (nulls, too) with their paths by dotted key.

    Raises:
        MetadataTypeError: a key is no key, or comes twice: nested and dotted.
        MetadataLimitError: a key is too long, or there are too many characters.
    """
    text = metadata.get(TEXT_KEY)
    if not (text is None or isinstance(text, str)):
        raise MetadataTypeError(f"metadata key {TEXT_KEY!r} is free text: it must be a string")
    characters = 0 if text is None else len(_checked_text(text))
    leaves: dict[str, tuple[Path, Any]] = {}
    for key, path, value in _leaves(metadata, (), ""):
        if key in leaves:
            raise MetadataTypeError(
                f"metadata key {shown(key)} is given twice, as an object's and with a dot"
            )
        leaves[key] = path, value
        characters += len(key) + _characters(value)
    _check_characters(characters)
    return text, leaves


def _leaves(node: Mapping[Any, Any], path: Path, around: str) -> Iterator[tuple[str, Path, Any]]:
    for name, value in node.items():
        if name == TEXT_KEY and not path:
            continue
        key = _checked_key(name, around)
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name), f"{key}.")
        else:
            yield key, (*path, name), value


def _checked_key(name: Any, around: str) -> str:
    """The dotted key of a name in the objects around it."""
    if not isinstance(name, str) or not name:
        raise MetadataTypeError("a metadata key must be a string that is not empty")
    key = around + name
    if not (name.isascii() or is_unicode(name)):
        raise MetadataTypeError(f"metadata key {shown(key)} is not valid Unicode")
    if name.startswith("$"):
        raise MetadataTypeError(
            f"metadata key {shown(key)} begins with '$', which only {TEXT_KEY!r} and filters'"
            " operators may"
        )
    if len(key) > MAX_KEY_CHARS:
        raise MetadataLimitError(
            f"metadata key {shown(key)} is longer than {MAX_KEY_CHARS} characters"
        )
    return key


def check_key(key: str) -> None:
    """Checks that a metadata key can be called so, dotted or not.

    Raises:
        MetadataError: it cannot.
    """
    _checked_key(key, "")


def _characters(value: Any) -> int:
    """How much a value counts: the characters of texts, and one for any other."""
    if isinstance(value, list):
        return sum(len(each) if isinstance(each, str) else 1 for each in value)
    return len(value) if isinstance(value, str) else 1


def _check_characters(characters: int) -> None:
    if characters > MAX_METADATA_CHARS:
        raise MetadataLimitError(
            f"the metadata has {characters} characters; at most {MAX_METADATA_CHARS} are allowed"
        )


def _checked_text(text: str) -> str:
    if not is_unicode(text):
        raise MetadataTypeError("the metadata text is not valid Unicode")
    return text


def _json(nested: list[list[str]]) -> str:
    return json.dumps(nested, ensure_ascii=False, separators=(",", ":"))


def as_sent(
    text: str | None, values: Mapping[str, Any], nesting: str | None
) -> dict[str, Any] | str | None:
    """Metadata as it was sent, from what a row holds: its text, values by key and nesting."""
    if nesting is None and not values:
        return text
    if nesting is None and text is None:
        return dict(values)
    nested = {".".join(path): path for path in json.loads(nesting or "[]")}
    leaves = ((nested.get(key, (key,)), value) for key, value in values.items())
    return _object(text, leaves) or None


def merged(metadata: Any, patch: Any) -> Any:
    """Metadata after a merge patch (RFC 7396, section 2).

    A dotted key and the nested one are the same: what a patch names in one form stays in the other
    where it was so. An object without a value is none.

    Raises:
        MetadataError: the patch is neither object, nor text, nor null, or names an unusable key.
    """
    if not isinstance(patch, Mapping):
        CheckedMetadata.of(patch)
        return patch
    stored = metadata if isinstance(metadata, Mapping) else {}
    old_text, old = leaves_of(stored)
    new_text, new = leaves_of(patch)
    replaced, objects = {path for path, _ in new.values()}, set(_objects(patch, ()))
    old = {
        key: (path, value)
        for key, (path, value) in old.items()
        if path not in objects and not _is_under(path, replaced)
    }
    # The patch's keys in its own order: of several that do not fit, the first is told.
    new = {key: (old.get(key, leaf)[0], leaf[1]) for key, leaf in new.items()}
    leaves = {**{key: leaf for key, leaf in old.items() if key not in new}, **new}
    return _object(new_text if TEXT_KEY in patch else old_text, leaves.values())


def _objects(node: Mapping[str, Any], path: Path) -> Iterator[Path]:
    """The paths at which an object stands."""
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield (*path, name)
            yield from _objects(value, (*path, name))


def _is_under(path: Path, others: Collection[Path]) -> bool:
    return any(path[:length] in others for length in range(1, len(path)))


def _object(text: str | None, leaves: Iterable[tuple[Path, Any]]) -> dict[str, Any]:
    """The object of these values, without the nulls."""
    whole: dict[str, Any] = {} if text is None else {TEXT_KEY: text}
    for (*around, name), value in leaves:
        if value is not None:
            node = whole
            for each in around:
                node = node.setdefault(each, {})
            node[name] = value
    return whole
