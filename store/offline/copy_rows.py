"""Rows from one table to another: everything as it was, but for the vector."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from store.metadata.columns import Registry
from store.metadata.literals import among
from store.metadata.rows import as_matrix
from store.schemas import FloatVector

if TYPE_CHECKING:
    from lancedb import AsyncTable

SLICE_ROWS = 512
"""Rows that are read at once."""


@dataclass(frozen=True, eq=False)
class CarriedRow:
    """All of a row but its vector.

    Attributes:
        id: of the row.
        url: of the image.
        date: when it was added, in microseconds.
        file: what its original is called, if that is kept.
        columns: an Arrow table of this one row.
    """

    id: str
    url: str
    date: int
    file: str | None
    columns: pa.Table


async def read_rows(table: "AsyncTable", ids: Collection[str]) -> list[CarriedRow]:
    """Those of these rows that a table has."""
    if not ids:
        return []
    names = [name for name in (await table.schema()).names if name != "vector"]
    found = await table.query().where(among("id", ids)).select(names).to_arrow()
    bare = pa.Table.from_arrays(found.columns, names=found.column_names)
    files = bare["file"].to_pylist() if "file" in names else [None] * len(bare)
    own = zip(bare["id"].to_pylist(), bare["url"].to_pylist(), _dates(bare), files, strict=True)
    return [CarriedRow(*each, bare.slice(row, 1)) for row, each in enumerate(own)]


async def read_vectors(
    table: "AsyncTable", ids: Collection[str]
) -> dict[str, tuple[int, FloatVector]]:
    """The dates (microseconds) and vectors of those of these rows that a table has."""
    if not ids:
        return {}
    rows = table.query().where(among("id", ids))
    found = await rows.select(["id", "created_at", "vector"]).to_arrow()
    dated = zip(_dates(found), as_matrix(found["vector"]), strict=True)
    return dict(zip(found["id"].to_pylist(), dated, strict=True))


def lay_out(rows: Sequence[tuple[CarriedRow, FloatVector]], schema: pa.Schema) -> pa.Table:
    """Rows and their vectors under a table's schema; a column that they lack gets NULL."""
    columns = pa.concat_tables([row.columns for row, _ in rows], promote_options="default")
    # LanceDB takes ten times as long for a thousand batches of one row.
    columns = columns.combine_chunks()
    flat = pa.array(np.concatenate([vector for _, vector in rows]), pa.float32())
    vectors = pa.FixedSizeListArray.from_arrays(flat, schema.field("vector").type.list_size)
    columns = columns.append_column("vector", vectors)
    for field in schema:
        if field.name not in columns.column_names:
            columns = columns.append_column(field.name, pa.nulls(len(rows), field.type))
    arrays = [columns[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


async def have_same_columns(one: "AsyncTable", other: "AsyncTable") -> bool:
    """Whether two tables have the same metadata columns, in whatever order."""
    columns = [Registry.from_schema(await table.schema()).columns for table in (one, other)]
    return set(columns[0]) == set(columns[1])


async def align_columns(new: "AsyncTable", old: "AsyncTable") -> None:
    """Gives a table the metadata columns of another.

    A restored version of the other may lack columns that it had, and other keys take their names.
    """
    wanted = Registry.from_schema(await old.schema()).columns
    there = Registry.from_schema(await new.schema()).columns
    if stale := [column.name for column in there if column not in wanted]:
        await new.drop_columns(stale)
    if missing := [column.field() for column in wanted if column not in there]:
        await new.add_columns(missing)


def slices(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids, `SLICE_ROWS` at a time."""
    for start in range(0, len(ids), SLICE_ROWS):
        yield ids[start : start + SLICE_ROWS]


def _dates(found: pa.Table) -> list[int]:
    dates: list[int] = found["created_at"].cast(pa.int64()).to_pylist()
    return dates
