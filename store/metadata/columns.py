"""The user's metadata keys as typed columns of the table.

A key can be any text, a column's name cannot (LanceDB refuses dots and empty names and keeps
some for itself), so columns are called ``m_0``, ``m_1``, ... and each one's field metadata holds
the user's key. Field metadata is written by the same commit that adds the column and survives
merges, further columns and compaction: the registry of keys *is* the table's schema, and cannot
differ from it.

A key whose type has widened has a column of each type: the values of before stay where they are,
and each row has its value in one of them. So widening is no more than a new column, at any size of
the table, and a restore of a version before goes back over it. What a filter says of the key, it
says of each of its columns.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from store.errors import MetadataConflictError, MetadataLimitError, shown
from store.metadata.objects import FIRST, Finding, has_objects
from store.metadata.values import (
    WIDER,
    ColumnType,
    ColumnValue,
    fitting,
    format_timestamp,
)

# Each column makes every merge slower: 35 ms with 50 columns, 99 ms with 200 were measured.
MAX_KEYS = 100
COLUMN_PREFIX = "m_"
_KEY = b"image_search:key"
_ROLE = b"image_search:role"

ARROW_TYPES = {
    ColumnType.STRING: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
    ColumnType.STRINGS: pa.list_(pa.string()),
}
_COLUMN_TYPES = {arrow: column for column, arrow in ARROW_TYPES.items()}


class Role(StrEnum):
    """What a column holds."""

    VALUES = "values"
    """The values of a key."""
    SENT = "sent"
    """The texts of a key's times, where they were sent in another form than `format_timestamp`'s:
    they are its values once the key has become one of strings."""
    NESTING = "nesting"
    """How each row's metadata was nested, see `store.metadata.given`; the column has no key."""


@dataclass(frozen=True)
class Column:
    """A metadata column: its generated name, the user's key, the type and what it holds."""

    name: str
    key: str
    type: ColumnType
    role: Role = Role.VALUES

    def field(self) -> pa.Field:
        """The Arrow field that carries the user's key with it."""
        metadata = {_KEY: self.key.encode()}
        if self.role is not Role.VALUES:
            metadata[_ROLE] = self.role.encode()
        return pa.field(self.name, ARROW_TYPES[self.type], metadata=metadata)

    @classmethod
    def of(cls, field: pa.Field) -> "Column":
        """Reads a column out of its field."""
        role = Role(field.metadata.get(_ROLE, Role.VALUES.encode()).decode())
        return cls(field.name, field.metadata[_KEY].decode(), _COLUMN_TYPES[field.type], role)


@dataclass(frozen=True)
class Key:
    """A metadata key.

    Attributes:
        key: as the user calls it.
        type: of its values.
        columns: that hold them, the type's own first: a row has a value in one of them.
        sent: the column with the texts of its times.
    """

    key: str
    type: ColumnType
    columns: tuple[Column, ...]
    sent: Column | None = None

    @classmethod
    def of(cls, columns: Sequence[Column]) -> "Key":
        """Puts the columns of one key together."""
        by_type = {each.type: each for each in columns if each.role is Role.VALUES}
        [widest] = [kind for kind in by_type if WIDER.get(kind) not in by_type]
        sent = next((each for each in columns if each.role is Role.SENT), None)
        others = [each for kind, each in by_type.items() if kind is not widest]
        return cls(columns[0].key, widest, (by_type[widest], *others), sent)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """What there is of it in the table."""
        return self.columns if self.sent is None else (*self.columns, self.sent)

    def values_of(self, columns: Mapping[str, Sequence[Any]]) -> Iterable[Any]:
        """The key's value in each of some rows, which are given by their columns."""
        if len(self.columns) > 1:
            names = [column.name for column in self.all_columns]
            rows = zip(*(columns[name] for name in names), strict=True)
            return (self.value_of(dict(zip(names, row, strict=True))) for row in rows)
        values = columns[self.columns[0].name]
        if self.type is ColumnType.TIMESTAMP:
            return (None if each is None else format_timestamp(each) for each in values)
        return values

    def value_of(self, row: Mapping[str, Any]) -> Any:
        """The key's value in a row (a mapping by column name); None where it has none."""
        for column in self.columns:
            if (value := row.get(column.name)) is not None:
                return self._converted(value, row)
        return None

    def _converted(self, value: Any, row: Mapping[str, Any]) -> Any:
        """A value as one of the key's type; a number that no float equals stays as it is."""
        if isinstance(value, datetime):
            text = format_timestamp(value)
            if self.type is ColumnType.STRING and self.sent is not None:
                return row.get(self.sent.name) or text
            return text
        if self.type is ColumnType.FLOAT and float(value) == value:
            return float(value)
        return value


CREATED_AT = Key.of([Column("created_at", "$created_at", ColumnType.TIMESTAMP)])
"""When an image was last added: a key of every image, which is a column of every table."""


class Registry:
    """The metadata columns of a table by the user's key; immutable, `place` makes a new one.

    Attributes:
        columns: all of them.
        by_key: the keys.
        nesting: the column that says how rows were nested; None before there are such.
        objects: whose objects are sought; None where the table knows of no objects in its images.
    """

    def __init__(self, columns: Sequence[Column] = (), *, objects: Finding | None = None) -> None:
        self.columns = tuple(columns)
        self.objects = objects
        of_keys: defaultdict[str, list[Column]] = defaultdict(list)
        for column in columns:
            if column.role is not Role.NESTING:
                of_keys[column.key].append(column)
        self.by_key = {key: Key.of(own) for key, own in of_keys.items()}
        nesting = (column for column in columns if column.role is Role.NESTING)
        self.nesting = next(nesting, None)

    @classmethod
    def from_schema(cls, schema: pa.Schema, finding: Finding = FIRST) -> "Registry":
        """Reads the registry out of a table's schema.

        Args:
            schema: of the table.
            finding: whose objects are sought.
        """
        return cls(
            [Column.of(field) for field in schema if field.metadata and _KEY in field.metadata],
            objects=finding if has_objects(schema) else None,
        )

    def of_later(self, later: "Registry") -> dict[str, Key]:
        """The keys of a later registry, with those columns of theirs that there are here.

        A key that was new then has none, and so has one that was dropped and made anew.
        """
        keys = {}
        for name, key in later.by_key.items():
            own = self.by_key.get(name)
            same = own is not None and key.type in (own.type, WIDER.get(own.type))
            columns, sent = (own.columns, own.sent) if own is not None and same else ((), None)
            keys[name] = replace(key, columns=columns, sent=sent)
        return keys

    def place(
        self, values: Mapping[str, Any], nesting: str | None = None
    ) -> tuple[dict[str, ColumnValue], "Registry"]:
        """Finds a column for each value, a new one where a key is new or has to widen.

        Args:
            values: by key.
            nesting: how they were nested.

        Returns:
            The values by column name, and the registry with the new columns.

        Raises:
            MetadataError: one of the values cannot be stored; this registry is as it was.
        """
        placing = _Placing(self)
        for key, value in values.items():
            known = self.by_key.get(key)
            kind, converted = fitting(key, value, known.type if known else None)
            placing.put(key, kind, converted)
            if isinstance(converted, datetime) and format_timestamp(converted) != value:
                placing.put(key, ColumnType.STRING, value, Role.SENT)
        if nesting is not None:
            placing.put("", ColumnType.STRING, nesting, Role.NESTING)
        return placing.row, placing.registry()

    def declare(self, key: str, kind: ColumnType) -> "Registry":
        """The registry in which a key has a type.

        Raises:
            MetadataConflictError: it has another one, which does not widen to this.
            MetadataLimitError: there are too many keys.
        """
        known = self.by_key.get(key)
        if known is not None and kind not in (known.type, WIDER.get(known.type)):
            raise MetadataConflictError(key, known.type, kind)
        placing = _Placing(self)
        placing.column(key, kind)
        return placing.registry()


class _Placing:
    """A row's values on their way into columns, with the columns that they need."""

    def __init__(self, registry: Registry) -> None:
        self.row: dict[str, ColumnValue] = {}
        self._registry = registry
        self._added: list[Column] = []

    def put(self, key: str, kind: ColumnType, value: ColumnValue, role: Role = Role.VALUES) -> None:
        self.row[self.column(key, kind, role).name] = value

    def column(self, key: str, kind: ColumnType, role: Role = Role.VALUES) -> Column:
        """The column for values of a type; a new one if there is none."""
        if role is Role.NESTING:
            there = [self._registry.nesting] if self._registry.nesting else []
        else:
            known = self._registry.by_key.get(key)
            there = list(known.all_columns) if known else []
        for column in there:
            if (column.type, column.role) == (kind, role):
                return column
        self._added.append(Column(self._name(), key, kind, role))
        return self._added[-1]

    def registry(self) -> Registry:
        """With the new columns.

        Raises:
            MetadataLimitError: there are too many keys.
        """
        if not self._added:
            return self._registry
        columns = *self._registry.columns, *self._added
        after = Registry(columns, objects=self._registry.objects)
        if len(after.by_key) > max(MAX_KEYS, len(self._registry.by_key)):
            raise MetadataLimitError(
                f"metadata key {shown([*after.by_key][-1])} is one too many:"
                f" the index holds at most {MAX_KEYS} different keys"
            )
        return after

    def _name(self) -> str:
        columns = (*self._registry.columns, *self._added)
        used = [int(column.name.removeprefix(COLUMN_PREFIX)) for column in columns]
        return f"{COLUMN_PREFIX}{max(used, default=-1) + 1}"
