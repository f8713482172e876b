"""The user's metadata keys as typed columns of the table.

A key can be any text, a column's name cannot (LanceDB refuses dots and empty names and keeps
some for itself), so columns are called ``m_0``, ``m_1``, ... and each one's field metadata holds
the user's key. Field metadata is written by the same commit that adds the column and survives
merges, further columns and compaction: the registry of keys *is* the table's schema, and cannot
differ from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from store.errors import MetadataLimitError, MetadataTypeError, shown
from store.metadata.values import ColumnType, ColumnValue, is_unicode, typed
from store.schemas import MAX_METADATA_CHARS

# Each column makes every merge slower: 35 ms with 50 columns, 99 ms with 200 were measured.
MAX_KEYS = 100
MAX_KEY_CHARS = 128
COLUMN_PREFIX = "m_"
_KEY = b"image_search:key"

ARROW_TYPES = {
    ColumnType.STRING: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
    ColumnType.STRINGS: pa.list_(pa.string()),
}
_COLUMN_TYPES = {arrow: column for column, arrow in ARROW_TYPES.items()}


@dataclass(frozen=True)
class Column:
    """A metadata column: its generated name, the user's key and the type."""

    name: str
    key: str
    type: ColumnType

    def field(self) -> pa.Field:
        """The Arrow field that carries the user's key with it."""
        return pa.field(self.name, ARROW_TYPES[self.type], metadata={_KEY: self.key.encode()})


class Registry:
    """The metadata columns of a table by the user's key; immutable, `place` makes a new one."""

    def __init__(self, columns: Sequence[Column] = ()) -> None:
        self.columns = tuple(columns)
        self.by_key = {column.key: column for column in self.columns}

    @classmethod
    def from_schema(cls, schema: pa.Schema) -> "Registry":
        """Reads the registry out of a table's schema."""
        return cls(
            [
                Column(field.name, field.metadata[_KEY].decode(), _COLUMN_TYPES[field.type])
                for field in schema
                if field.metadata and _KEY in field.metadata
            ]
        )

    def place(self, values: Mapping[str, Any]) -> tuple[dict[str, ColumnValue], "Registry"]:
        """Finds a column for each value, a new one where a key is new.

        Returns:
            The values by column name, and the registry with the new columns.

        Raises:
            MetadataError: one of the values cannot be stored; this registry is as it was.
        """
        row: dict[str, ColumnValue] = {}
        added: list[Column] = []
        for key, value in values.items():
            column = self.by_key.get(key)
            kind, converted = typed(key, value, column.type if column else None)
            if column is None:
                column = Column(self._name(len(added)), key, kind)
                added.append(column)
            row[column.name] = converted
        if len(self.columns) + len(added) > MAX_KEYS:
            raise MetadataLimitError(
                f"metadata key {shown(added[-1].key)} is one too many:"
                f" the index holds at most {MAX_KEYS} different keys"
            )
        return row, Registry((*self.columns, *added)) if added else self

    def _name(self, nth: int) -> str:
        used = [int(column.name.removeprefix(COLUMN_PREFIX)) for column in self.columns]
        return f"{COLUMN_PREFIX}{max(used, default=-1) + 1 + nth}"


class CheckedMetadata:
    """Metadata of an image whose shape was checked; it remembers the columns it was placed in.

    An add is checked before its picture is downloaded and placed again when its row is written: by
    then the columns are the same, but where another add was the first with a key.
    """

    def __init__(self, text: str | None, given: Mapping[str, Any]) -> None:
        self.text = text
        self.given = given
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
            if not is_unicode(metadata):
                raise MetadataTypeError("the metadata text is not valid Unicode")
            characters = len(metadata)
        elif isinstance(metadata, Mapping) or metadata is None:
            characters = _checked_characters(metadata or {})
        else:
            raise MetadataTypeError("metadata must be an object or a string")
        if characters > MAX_METADATA_CHARS:
            raise MetadataLimitError(
                f"the metadata has {characters} characters;"
                f" at most {MAX_METADATA_CHARS} are allowed"
            )
        if isinstance(metadata, str):
            return cls(metadata, {})
        given = (metadata or {}).items()
        return cls(None, {key: value for key, value in given if value is not None})

    def place(self, registry: Registry) -> tuple[dict[str, ColumnValue], Registry]:
        """The values by column name, and the registry with the columns that are new.

        Raises:
            MetadataError: one of the values cannot be stored.
        """
        if self._placed is None or self._placed[0].columns != registry.columns:
            self._placed = registry, *registry.place(self.given)
        return self._placed[1:]


def _checked_characters(metadata: Mapping[Any, Any]) -> int:
    """Checks the keys; counts characters: of texts, and one for any other value."""
    characters = 0
    for key, value in metadata.items():
        if not isinstance(key, str) or not key:
            raise MetadataTypeError("a metadata key must be a string that is not empty")
        if not (key.isascii() or is_unicode(key)):
            raise MetadataTypeError(f"metadata key {shown(key)} is not valid Unicode")
        if key.startswith("$"):
            raise MetadataTypeError(
                f"metadata key {shown(key)} begins with '$', which only filters' operators may"
            )
        if len(key) > MAX_KEY_CHARS:
            raise MetadataLimitError(
                f"metadata key {shown(key)} is longer than {MAX_KEY_CHARS} characters"
            )
        texts = value if isinstance(value, list) else [value]
        characters += len(key) + sum(len(each) if isinstance(each, str) else 1 for each in texts)
    return characters
