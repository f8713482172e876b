"""How two tables of the same images differ, but for their vectors.

The tables themselves are what says how far a change of the model has come, so there is no other
state to keep, to lose or to contradict them. Of a row only its id, its date and a hash of the rest
are held: some 100 bytes a row while two tables are compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from lancedb import AsyncTable

_APART = ("id", "created_at", "vector")
_SCHEMA = pa.schema(
    [pa.field("id", pa.string()), pa.field("created_at", pa.int64()), pa.field("rest", pa.int64())]
)


@dataclass(frozen=True, eq=False)
class Differences:
    """What has to be done to a new table, by the ids of the rows.

    Attributes:
        fresh: columns ``id`` and ``created_at`` (microseconds) of rows that the new table lacks, or
            that were added again since: their pictures have to be embedded.
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
    """Reads what `differences` needs of a table: ``id``, ``created_at`` and a hash of the rest.

    The hashes can be compared within this process only.
    """
    columns = [name for name in (await table.schema()).names if name != "vector"]
    batches = await table.query().select(columns).to_batches()
    return pa.Table.from_batches([_hashed(batch) async for batch in batches], _SCHEMA)


def differences(old: pa.Table, new: pa.Table) -> Differences:
    """Compares the `fingerprints` of two tables."""
    joined = old.join(new, "id", join_type="full outer", right_suffix="_new")
    gone = pc.is_null(joined["created_at"])
    same_date = pc.fill_null(pc.equal(joined["created_at"], joined["created_at_new"]), False)
    same_rest = pc.fill_null(pc.equal(joined["rest"], joined["rest_new"]), False)
    fresh = pc.invert(pc.or_(gone, same_date))
    changed = pc.and_not(same_date, same_rest)
    return Differences(
        fresh=joined.filter(fresh).select(["id", "created_at"]),
        changed=joined.filter(changed)["id"].to_pylist(),
        gone=joined.filter(gone)["id"].to_pylist(),
        rows=old.num_rows,
    )


def _hashed(batch: pa.RecordBatch) -> pa.RecordBatch:
    # No time zone is needed to compare moments, and slim containers lack the table of them.
    dates = batch["created_at"].cast(pa.int64())
    rest = pa.array([hash(row) for row in _rows(batch)], pa.int64())
    return pa.RecordBatch.from_arrays([batch["id"], dates, rest], schema=_SCHEMA)


def _rows(batch: pa.RecordBatch) -> Iterator[str]:
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
