"""Rows by their ids, in the order of the ids; and rows by a filter."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from store.filters import ALWAYS
from store.literals import among

if TYPE_CHECKING:
    from lancedb import AsyncTable
    from lancedb.query import AsyncStandardQuery


async def fetched(table: "AsyncTable", ids: Sequence[str], columns: list[str]) -> pa.Table:
    """The rows of these ids in their order; ids that there are not are left out.

    Args:
        table: to read.
        ids: each at most once.
        columns: to return; the id has to be among them.
    """
    if not ids:
        return (await table.schema()).empty_table().select(columns)
    rows = table.query().where(among("id", ids))
    found = await rows.select(columns).to_arrow()
    return await asyncio.to_thread(_in_order_of, found, ids)


def filtered(query: "AsyncStandardQuery", where: str) -> "AsyncStandardQuery":
    """The query with its filter, if it has one."""
    return query if where == ALWAYS else query.where(where)


def _in_order_of(found: pa.Table, ids: Sequence[str]) -> pa.Table:
    # The place in the result of each id, nothing where it is not there.
    places = pc.index_in(pa.array(ids, pa.string()), value_set=found["id"].combine_chunks())
    return found.take(places.drop_null())
