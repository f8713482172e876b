"""Compares the old and the new table of a re-embedding, vectors aside, and copies rows over.

The tables themselves are what says how far a change of the model has come, so there is no other
state to lose or to contradict them.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.metadata.columns import Registry
from store.metadata.objects import COLUMNS, KEY, object_sets
from store.metadata.rows import as_matrix, to_dicts
from store.metadata.values import text_in
from store.metadata.words import WORDS, words_column
from store.schemas import FloatVector, ObjectSet

if TYPE_CHECKING:
    from lancedb import AsyncTable

SLICE_ROWS = 512
"""Rows that are read at once."""

_APART = ("id", "created_at", KEY)
_DERIVED = ("vector", WORDS)
_PRINTS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("created_at", pa.int64()),
        pa.field("key", pa.string()),
        pa.field("rest", pa.int64()),
    ]
)
NEW_COLUMNS = ("id", "created_at", "key")
"""What tells an image that is to be embedded from itself as it was before."""


@dataclass(frozen=True, eq=False)
class Differences:
    """What has to be done to a new table, by the ids of the rows.

    Attributes:
        fresh: columns ``id``, ``created_at`` (microseconds) and ``key``, of the set of objects, of
            rows that the new table lacks, or that were added again or looked into again since:
            their pictures have to be embedded.
        changed: ids of rows whose vector is still right, but nothing else need be.
        gone: ids of rows that the old table does not have any more.
        rows: how many rows the old table has.
    """

    fresh: pa.Table
    changed: list[str]
    gone: list[str]
    rows: int

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.fresh.num_rows or self.changed or self.gone)


async def fingerprints(table: "AsyncTable") -> pa.Table:
    """Reads what `differences` needs of a table: what is in `NEW_COLUMNS`, a hash of the rest.

    Some 100 bytes a row. The hashes can be compared within this process only.
    """
    names = (await table.schema()).names
    # The key says what the other columns of the objects are.
    columns = [name for name in names if name not in {*_DERIVED, *COLUMNS} or name == KEY]
    batches = await table.query().select(columns).to_batches()
    return pa.Table.from_batches([_hashed(batch) async for batch in batches], _PRINTS)


def differences(old: pa.Table, new: pa.Table) -> Differences:
    """Compares the `fingerprints` of two tables."""
    joined = old.join(new, "id", join_type="full outer", right_suffix="_new")
    gone = pc.is_null(joined["created_at"])
    same_date = pc.fill_null(pc.equal(joined["created_at"], joined["created_at_new"]), False)
    same_key = pc.fill_null(pc.equal(joined["key"], joined["key_new"]), False)
    same = pc.and_(same_date, same_key)
    same_rest = pc.fill_null(pc.equal(joined["rest"], joined["rest_new"]), False)
    fresh = pc.invert(pc.or_(gone, same))
    changed = pc.and_not(same, same_rest)
    return Differences(
        fresh=joined.filter(fresh).select(NEW_COLUMNS),
        changed=joined.filter(changed)["id"].to_pylist(),
        gone=joined.filter(gone)["id"].to_pylist(),
        rows=old.num_rows,
    )


@dataclass(frozen=True, eq=False)
class BareRow:
    """All of a row but its vector.

    Attributes:
        date: when it was added, in microseconds.
        file: what its original is called, if that is stored.
        pixels: digest of its picture, if that is known.
        objects: that are in it; None where nobody has looked into it.
        columns: an Arrow table of this one row.
    """

    id: str
    url: str
    date: int
    file: str | None
    pixels: str | None
    objects: ObjectSet | None
    columns: pa.Table

    @property
    def key(self) -> str:
        """Of its set of objects; empty where it has none."""
        return self.objects.key if self.objects else ""

    def without_objects(self) -> "BareRow":
        """The same, as if nobody had looked into it."""
        there = [name for name in COLUMNS if name in self.columns.column_names]
        return replace(self, objects=None, columns=self.columns.drop_columns(there))


class Made(NamedTuple):
    """What a table of vectors has of a row: date (microseconds), key of the set, and its vector."""

    date: int
    key: str
    vector: FloatVector


@dataclass(frozen=True, eq=False)
class Filled:
    """A row with its vectors: the image's, float32 [dim], and its objects', [objects, dim]."""

    row: BareRow
    vector: FloatVector
    objects: FloatVector | None


async def read_rows(table: "AsyncTable", ids: Collection[str]) -> list[BareRow]:
    """Those of these rows that a table has."""
    if not ids:
        return []
    names = [name for name in (await table.schema()).names if name not in _DERIVED]
    found = await table.query().where(text_in("id", ids)).select(names).to_arrow()
    bare = pa.Table.from_arrays(found.columns, names=found.column_names)
    ids, urls, files, pixels = (_texts_of(bare, each) for each in ("id", "url", "file", "pixels"))
    rows = (bare.slice(row, 1) for row in range(len(bare)))
    return list(map(BareRow, ids, urls, _dates(bare), files, pixels, object_sets(bare), rows))


def _texts_of(rows: pa.Table, name: str) -> list[Any]:
    return rows[name].to_pylist() if name in rows.column_names else [None] * len(rows)


async def read_vectors(table: "AsyncTable", ids: Collection[str]) -> dict[str, Made]:
    """What a table has of those of these rows that are in it."""
    if not ids:
        return {}
    wanted = ["id", "created_at", "vector", KEY]
    names = [name for name in wanted if name in (await table.schema()).names]
    found = await table.query().where(text_in("id", ids)).select(names).to_arrow()
    keys = [key or "" for key in _texts_of(found, KEY)]
    made = map(Made, _dates(found), keys, as_matrix(found["vector"]))
    return dict(zip(found["id"].to_pylist(), made, strict=True))


def lay_out(rows: Sequence[Filled], schema: pa.Schema) -> pa.Table:
    """Rows and their vectors under a table's schema; a column that they lack gets NULL."""
    columns = pa.concat_tables([each.row.columns for each in rows], promote_options="default")
    # LanceDB takes ten times as long for a thousand batches of one row.
    columns = columns.combine_chunks()
    flat = pa.array(np.concatenate([each.vector for each in rows]), pa.float32())
    vectors = pa.FixedSizeListArray.from_arrays(flat, schema.field("vector").type.list_size)
    columns = columns.append_column("vector", vectors)
    apart = [name for name in columns.column_names if name in {"vector", *COLUMNS}]
    words = words_column(to_dicts(columns.drop_columns(apart)), Registry.from_schema(schema))
    columns = columns.append_column(WORDS, words)
    arrays = [
        columns[field.name].cast(field.type)
        if field.name in columns.column_names
        else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


async def have_same_columns(one: "AsyncTable", other: "AsyncTable") -> bool:
    """Whether two tables have the same metadata columns, in whatever order."""
    columns = [Registry.from_schema(await table.schema()).columns for table in (one, other)]
    return set(columns[0]) == set(columns[1])


async def align_columns(new: "AsyncTable", old: "AsyncTable") -> None:
    """Gives a table the metadata columns of another.

    A restored version of the other may lack columns that it had, and other keys take their names.
    """
    target = Registry.from_schema(await old.schema()).columns
    there = Registry.from_schema(await new.schema()).columns
    if stale := [column.name for column in there if column not in target]:
        await new.drop_columns(stale)
    if missing := [column.field() for column in target if column not in there]:
        await new.add_columns(missing)


def slices(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids, `SLICE_ROWS` at a time."""
    for start in range(0, len(ids), SLICE_ROWS):
        yield ids[start : start + SLICE_ROWS]


def _dates(found: pa.Table | pa.RecordBatch) -> list[int]:
    # No time zone is needed to compare moments, and slim containers lack the table of them.
    dates: list[int] = found["created_at"].cast(pa.int64()).to_pylist()
    return dates


def _hashed(batch: pa.RecordBatch) -> pa.RecordBatch:
    rest = pa.array([hash(row) for row in _texts(batch)], pa.int64())
    dates = pa.array(_dates(batch), pa.int64())
    keys = pc.fill_null(batch[KEY], "") if KEY in batch.schema.names else pa.array([""] * len(rest))
    return pa.RecordBatch.from_arrays([batch["id"], dates, keys, rest], schema=_PRINTS)


def _texts(batch: pa.RecordBatch) -> Iterator[str]:
    """Each row's values by their columns' names, as text: Python's hash of -1 is that of -2.

    A column without a value counts as one that is not there.
    """
    columns = {
        name: _plain(batch[name]).to_pylist()
        for name in sorted(batch.schema.names)
        if name not in _APART
    }
    for row in zip(*columns.values(), strict=True):
        yield repr([pair for pair in zip(columns, row, strict=True) if pair[1] is not None])


def _plain(array: pa.Array) -> pa.Array:
    return array.cast(pa.int64()) if pa.types.is_timestamp(array.type) else array
