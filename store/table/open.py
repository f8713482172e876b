"""LanceDB: connecting, and opening or making the table.

LanceDB takes seconds to import and says of itself that it does not survive a fork, so it is
imported when the first table is opened.
"""

import asyncio
import os
import re
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from store.errors import (
    ModelMismatchError,
    StoreFault,
    StoreMovedError,
    StoreOpenError,
)
from store.schemas import ModelIdentity
from store.settings import StoreSettings
from store.table.disk.folder import check_folder, has_tables
from store.table.disk.lock import is_local, write_lock
from store.table.disk.sync import set_aside_torn_manifests
from store.table.faults import fault_of, translated
from store.table.integrity import (
    drop_broken_indexes,
    refuse_if_damaged,
    refuse_if_lost,
    refuse_if_missing,
)
from store.table.names import FIRST_TABLE, current_table, is_superseded, table_names

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable
    from lancedb.index import FTS

_MODEL, _PRETRAINED, _DIM = b"image_search:model", b"image_search:pretrained", b"image_search:dim"
# Declares the key that merge_insert matches on, by the same commit that makes the table: without
# it, racing merges of one new id make two rows.
_PRIMARY_KEY = {b"lance-schema:unenforced-primary-key:position": b"1"}
LOCK_TIMEOUT_S = 120.0
# LanceDB has no exception class for these.
_CONFLICT = re.compile(
    r"commit conflict|too many concurrent writers|incompatible transaction", re.IGNORECASE
)


class CommitConflictError(Exception):
    """A commit was not made because another process came first. It never leaves the store."""


def is_conflict(error: Exception) -> bool:
    """Whether a commit was refused because another one came first; nothing of it was written."""
    return isinstance(error, CommitConflictError) or _CONFLICT.search(str(error)) is not None


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
    # Of the metadata each commit leaves some in the cache, which no later read wants.
    session = lancedb.Session(
        index_cache_size_bytes=cache_bytes, metadata_cache_size_bytes=cache_bytes // 16
    )
    connection = await lancedb.connect_async(
        settings.store_uri, read_consistency_interval=timedelta(0), session=session
    )
    await _mend(connection)
    return connection


async def _mend(connection: "AsyncConnection") -> None:
    """Sets aside what a power cut tore; a table with a torn manifest cannot even be opened.

    Raises:
        StoreOpenError: somebody holds a table's lock for too long, or no version of it is whole.
    """
    if not is_local(connection.uri):
        return
    for name in await table_names(connection):
        try:
            async with asyncio.timeout(LOCK_TIMEOUT_S), write_lock(connection.uri, name):
                whole = set_aside_torn_manifests(Path(connection.uri) / f"{name}.lance")
        except TimeoutError:
            raise StoreOpenError(
                "the index is locked by another process that does not let go of it",
                detail=f"{name}.write was not free within {LOCK_TIMEOUT_S:g} s",
            ) from None
        if not whole:
            raise StoreOpenError("the index could not be opened", detail=f"{name}: all is torn")


async def open_table(connection: "AsyncConnection", identity: ModelIdentity) -> "AsyncTable":
    """Opens the current table, or makes the first with the model's name in its schema.

    Raises:
        ModelMismatchError: the table's vectors come from another model.
        StoreMovedError: the table's successor is not finished.
        StoreDamagedError: the table is missing, or lacks what was acknowledged.
        StoreOpenError: the table was made by another program.
        OSError: the folder cannot be written.
    """
    name = await current_table(connection)
    async with write_lock(connection.uri, name or FIRST_TABLE):
        if name is not None:
            table = await connection.open_table(name)
            await refuse_if_lost(connection, table)
        else:
            refuse_if_missing(connection.uri)
            # exist_ok: another process may have been faster.
            schema = table_schema(identity)
            table = await connection.create_table(FIRST_TABLE, schema=schema, exist_ok=True)
        schema = await table.schema()
        refuse_unless_same(made_by(schema), identity)
        if is_superseded(schema):
            raise StoreMovedError
        await ensure_ready(table)
    return table


async def ensure_ready(table: "AsyncTable") -> None:
    """Gives a table what every table has: one of an earlier release, or version, may lack it."""
    schema = await table.schema()
    missing = [field for field in _OPTIONAL if field.name not in schema.names]
    if missing:
        await table.add_columns(missing)
    await drop_broken_indexes(table)
    await _ensure_text_index(table)


async def check_model(settings: StoreSettings, model: str, pretrained: str) -> None:
    """Refuse a table that other weights made, before they are loaded and its `dim` is known.

    Where there is no table yet, its folder is tried.

    Raises:
        ModelMismatchError: the table's vectors come from another model.
        StoreOpenError: the table cannot be opened, or was made by another program.
        StoreDamagedError: files of it are damaged or missing.
    """
    with opening(settings):
        await asyncio.to_thread(check_folder, settings)
        if not await asyncio.to_thread(has_tables, settings.store_uri):
            # Said without LanceDB, whose import is most of a first start's check.
            refuse_if_missing(settings.store_uri)
            return
        connection = await connect(settings)
        name = await current_table(connection)
        if name is None:
            refuse_if_missing(settings.store_uri)
            return
        table = await connection.open_table(name)
        await refuse_if_lost(connection, table)
        maker = made_by(await table.schema())
        await refuse_if_damaged(table)
    if (maker.model, maker.pretrained) != (model, pretrained):
        raise _mismatch(maker, f"{model} ({pretrained})")


def opening(settings: StoreSettings) -> AbstractContextManager[None]:
    """Turns what keeps a table from being opened into an error of the store."""

    def fault(error: BaseException) -> StoreFault:
        otherwise = StoreOpenError("the index could not be opened", detail=repr(error))
        return fault_of(error, otherwise, uri=settings.store_uri, table=FIRST_TABLE)

    return translated(fault)


_OPTIONAL = tuple(pa.field(name, pa.string()) for name in ("text", "pixels", "file"))


def table_schema(identity: ModelIdentity) -> pa.Schema:
    """The schema of a new table, which names the model that makes its vectors."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("url", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), identity.dim), nullable=False),
            pa.field("created_at", pa.timestamp("us", "UTC"), nullable=False),
            *_OPTIONAL,
        ],
        metadata={
            _MODEL: identity.model.encode(),
            _PRETRAINED: identity.pretrained.encode(),
            _DIM: str(identity.dim).encode(),
        },
    )


def made_by(schema: pa.Schema) -> ModelIdentity:
    """The model that a table's schema names.

    Raises:
        StoreOpenError: the table was made by another program.
    """
    said = schema.metadata or {}
    if not {_MODEL, _PRETRAINED, _DIM} <= said.keys():
        raise StoreOpenError("the index does not say which model made it: it is not this program's")
    return ModelIdentity(said[_MODEL].decode(), said[_PRETRAINED].decode(), int(said[_DIM]))


def refuse_unless_same(maker: ModelIdentity, identity: ModelIdentity) -> None:
    """Refuses a table whose vectors another model made.

    Raises:
        ModelMismatchError: it names both.
    """
    if maker != identity:
        raise _mismatch(maker, str(identity))


def _mismatch(maker: ModelIdentity, model: str) -> ModelMismatchError:
    return ModelMismatchError(
        f"the index was made with the model {maker} and cannot be used with {model}:"
        " use that model, set IMAGE_SEARCH_STORE_URI to another place,"
        " or make the index anew with `image-search reembed`"
    )


def _text_index() -> "FTS":
    from lancedb.index import FTS  # noqa: PLC0415 - see above

    return FTS(stem=False, remove_stop_words=False)


async def _ensure_text_index(table: "AsyncTable") -> None:
    # Full-text search fails without an index; with one, it also searches the rows added since.
    if await _has_text_index(table):
        return
    try:
        await table.create_index("text", config=_text_index(), replace=False)
    except Exception:
        if not await _has_text_index(table):  # else another process was faster
            raise


async def _has_text_index(table: "AsyncTable") -> bool:
    return any(index.columns == ["text"] for index in await table.list_indices())
