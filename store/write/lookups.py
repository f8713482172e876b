"""What puts and deletes look up before they are made: ids, pixels, and what others changed."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from store.changes.since import Changed
from store.metadata.rows import to_dicts
from store.snapshot.fragments import PLACE_BITS
from store.snapshot.snapshot import Snapshot
from store.write.operations import Upsert
from store.write.plan import Twin

_VECTOR = "vector"


def existing(snapshot: Snapshot, ids: Collection[str]) -> set[str]:
    """Which of these ids there are."""
    return set(snapshot.having("id", ids, ["id"])["id"].to_pylist())


def matching(snapshot: Snapshot, where: str) -> pa.Table:
    """The ids of the rows that a predicate lets through."""
    return snapshot.take(snapshot.row_ids(where), ["id"])


def whole(snapshot: Snapshot, ids: Collection[str], columns: Sequence[str]) -> pa.Table:
    """Columns of the rows of some ids, the vectors among them."""
    rows, _ = snapshot.rows_having("id", ids)
    found = snapshot.take(rows, [name for name in columns if name != _VECTOR])
    flat = pa.array(snapshot.vectors(rows).ravel() if len(rows) else [], pa.float32())
    size = snapshot.dataset.schema.field(_VECTOR).type.list_size
    return found.append_column(_VECTOR, pa.FixedSizeListArray.from_arrays(flat, size))


def fragments_of(snapshot: Snapshot, ids: Collection[str]) -> set[int] | None:
    """The numbers of the fragments that the rows of some ids are in; None where nothing tells."""
    if not snapshot.has_places:
        return None
    rows, _ = snapshot.rows_having("id", ids)
    return set((rows >> PLACE_BITS).tolist())


def later(
    snapshot: Snapshot, upserts: Sequence[Upsert], changed: Mapping[str, Changed]
) -> set[str]:
    """Ids of the rows that must stay as they are: changed since the dates of their upserts.

    Args:
        snapshot: of the table.
        upserts: those that write over nothing later.
        changed: what others have changed, as the log has it; without a log, what was patched or
            deleted since cannot be told, but a row that was added again can, by its date.
    """
    dates = {put.image.id: put.image.created_at for put in upserts if put.image.created_at}
    rows = to_dicts(snapshot.having("id", dates.keys(), ["id", "created_at"]))
    there: dict[str, datetime] = {row["id"]: row["created_at"] for row in rows}
    added = {own for own, date in there.items() if date >= dates[own]}
    return added | {
        own
        for own, date in dates.items()
        # An add that is not there was never committed.
        if own in changed and changed[own].at >= date and (own in there or changed[own].is_gone)
    }


def twins(snapshot: Snapshot, pixels: Collection[str], count: int) -> list[Twin]:
    """The oldest rows of each of these pixels, so many that one stays that is not replaced.

    A picture such as "not available" may be there a million times. It must not crowd out the
    others: those of which enough was seen are left out and the rest is looked for again.
    """
    oldest: list[Twin] = []
    left = set(pixels)
    while left:
        limit = count * len(left)  # if so many come, some pixels have `count` of them
        rows = snapshot.having("pixels", left, ["id", "created_at", "pixels"], limit)
        found = [Twin(**row) for row in to_dicts(rows)]
        seen = Counter(twin.pixels for twin in found)
        enough = left if len(found) < limit else {one for one in left if seen[one] >= count}
        oldest += [twin for twin in found if twin.pixels in enough]
        left -= enough
    return oldest
