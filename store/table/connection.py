"""Connecting with LanceDB, and a table as pylance sees it.

LanceDB takes seconds to import and says of itself that it does not survive a fork, so it is
imported when the first table is opened.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from store.errors import StoreOpenError
from store.settings import StoreSettings
from store.table.disk.location import Location
from store.table.disk.sync import set_aside_torn_manifests
from store.table.faults import translated
from store.table.names import FIRST_TABLE, table_names
from store.table.remote.bucket import SCHEME, bucket_at

if TYPE_CHECKING:
    from lance import LanceDataset
    from lancedb import AsyncConnection, AsyncTable
    from obstore.store import S3Store

LOCK_TIMEOUT_S = 120.0
MAKING_S = 60.0
"""Seconds after which who was making a table is taken to have ended."""

_LOOK_S = 0.1
_T = TypeVar("_T")


async def connect(settings: StoreSettings) -> "AsyncConnection":
    """Connects so that each operation sees all earlier commits, with bounded caches.

    Without an interval of zero LanceDB reads *and writes* from the version the handle saw last:
    measured, a merge then makes duplicates and a delete misses rows.
    """
    # Otherwise LanceDB logs a warning on each lost race that is retried here anyway.
    for name in ("LANCEDB_LOG", "LANCE_LOG"):
        os.environ.setdefault(name, "error")
    import lancedb  # noqa: PLC0415 - see above

    cache_bytes = settings.store_cache_mb << 20
    # Of the metadata each commit leaves some in the cache, which no later read needs.
    session = lancedb.Session(
        index_cache_size_bytes=cache_bytes, metadata_cache_size_bytes=cache_bytes // 16
    )
    connection = await lancedb.connect_async(
        settings.store_uri, read_consistency_interval=timedelta(0), session=session
    )
    await _mend(connection)
    return connection


def open_dataset(
    uri: str,
    options: dict[str, str] | None,
    *,
    version: int | None = None,
    cache_bytes: int = 16 << 20,
    metadata_bytes: int = 16 << 20,
) -> "LanceDataset":
    """Opens a table with pylance, for what LanceDB has no method for. Blocks.

    Args:
        uri: of the table.
        options: of its object store.
        version: to open; the latest without.
        cache_bytes: of memory for indexes; its own default is 6 GiB.
        metadata_bytes: for metadata; its own default is 1 GiB.
    """
    import lance  # noqa: PLC0415 - see above

    return lance.dataset(
        uri,
        version=version,
        storage_options=options,
        index_cache_size_bytes=cache_bytes,
        metadata_cache_size_bytes=metadata_bytes,
    )


async def create_table(connection: "AsyncConnection", name: str, schema: pa.Schema) -> "AsyncTable":
    """Makes an empty table; opens the one that another process has made meanwhile.

    LanceDB looks whether there is one, and then writes over whatever has come in between: where no
    lock keeps the others away, it would take the first rows of another machine with it. In an
    object store a file that only one can write keeps them away, a minute at most.
    """
    if not connection.uri.startswith(SCHEME):
        return await connection.create_table(name, schema=schema, exist_ok=True)
    bucket, mark, until = bucket_at(connection.uri), f"{name}.making", time.monotonic() + MAKING_S
    while not await asyncio.to_thread(_is_first, bucket, mark):
        await asyncio.sleep(_LOOK_S)
        if time.monotonic() > until:  # its maker has ended
            await asyncio.to_thread(bucket.delete, mark)
            until += MAKING_S
    try:
        return await connection.create_table(name, schema=schema, exist_ok=True)
    finally:
        await asyncio.to_thread(bucket.delete, mark)


def _is_first(bucket: "S3Store", mark: str) -> bool:
    from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415 - see store.table.remote.bucket

    try:
        bucket.put(mark, b"", mode="create")
    except AlreadyExistsError:
        return False
    return True


async def in_dataset(table: "AsyncTable", work: Callable[["LanceDataset"], _T], **how: Any) -> _T:
    """Does blocking work in a thread, on a table opened by `open_dataset` (which takes `how`)."""
    uri, options = await table.uri(), await table.latest_storage_options()
    return await asyncio.to_thread(lambda: work(open_dataset(uri, options, **how)))


def opening(settings: StoreSettings) -> AbstractContextManager[None]:
    """Turns what keeps a table from being opened into an error of the store."""
    message = "the index could not be opened"
    return translated(StoreOpenError, message, settings.store_uri, FIRST_TABLE)


async def _mend(connection: "AsyncConnection") -> None:
    """Sets aside what a power cut tore; a table with a torn manifest cannot even be opened.

    Raises:
        StoreOpenError: another process does not release a table's lock, or no version is whole.
    """
    location = Location(connection.uri)
    if location.folder is None:
        return
    for name in await table_names(connection):
        try:
            async with asyncio.timeout(LOCK_TIMEOUT_S), location.write_lock(name):
                whole = set_aside_torn_manifests(location.folder / f"{name}.lance")
        except TimeoutError:
            raise StoreOpenError(
                "the index is locked by another process that does not let go of it",
                detail=f"{name}.write was not free within {LOCK_TIMEOUT_S:g} s",
            ) from None
        if not whole:
            raise StoreOpenError("the index could not be opened", detail=f"{name}: all is torn")
