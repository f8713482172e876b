"""LanceDB: connecting, and opening or making the table.

LanceDB takes seconds to import and says of itself that it does not survive a fork, so it is
imported when the first table is opened.
"""

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from store.errors import ModelMismatchError, StoreError, StoreOpenError
from store.schemas import ModelIdentity
from store.settings import StoreSettings

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable
    from lancedb.index import FTS

TABLE = "images"
_MODEL, _PRETRAINED, _DIM = b"image_search:model", b"image_search:pretrained", b"image_search:dim"
# Declares the key that merge_insert matches on, by the same commit that makes the table: without
# it, racing merges of one new id make two rows.
_PRIMARY_KEY = {b"lance-schema:unenforced-primary-key:position": b"1"}
# LanceDB has no exception class for these.
_CONFLICT = re.compile(r"commit conflict|too many concurrent writers", re.IGNORECASE)


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
    os.environ.setdefault("LANCEDB_LOG", "error")
    import lancedb  # noqa: PLC0415 - see above

    cache_bytes = settings.store_cache_mb << 20
    session = lancedb.Session(
        index_cache_size_bytes=cache_bytes, metadata_cache_size_bytes=cache_bytes
    )
    return await lancedb.connect_async(
        settings.store_uri, read_consistency_interval=timedelta(0), session=session
    )


async def open_table(connection: "AsyncConnection", identity: ModelIdentity) -> "AsyncTable":
    """Opens the table, or makes it with the model's name in its schema.

    Raises:
        ModelMismatchError: the table's vectors come from another model.
        StoreOpenError: the table was made by another program.
    """
    if await _table_exists(connection):
        table = await connection.open_table(TABLE)
    else:
        # exist_ok: another process may have been faster since.
        table = await connection.create_table(TABLE, schema=_schema(identity), exist_ok=True)
    _refuse_unless_same(_made_by(await table.schema()), identity)
    await _ensure_text_index(table)
    return table


async def _table_exists(connection: "AsyncConnection") -> bool:
    page = await connection.list_tables()
    while TABLE not in page.tables and page.page_token:
        page = await connection.list_tables(page_token=page.page_token)
    return TABLE in page.tables


async def check_model(settings: StoreSettings, model: str, pretrained: str) -> None:
    """Refuse a table that other weights made, before they are loaded and its `dim` is known.

    Where there is no table yet, there is nothing to refuse.

    Raises:
        ModelMismatchError: the table's vectors come from another model.
        StoreOpenError: the table cannot be opened, or was made by another program.
    """
    try:
        connection = await connect(settings)
        if not await _table_exists(connection):
            return
        table = await connection.open_table(TABLE)
        made_by = _made_by(await table.schema())
    except StoreError:
        raise
    except Exception as error:
        raise StoreOpenError("the index could not be opened", detail=repr(error)) from error
    _refuse_unless_same(made_by, ModelIdentity(model, pretrained, made_by.dim))


def _schema(identity: ModelIdentity) -> pa.Schema:
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("url", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), identity.dim), nullable=False),
            pa.field("created_at", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("text", pa.string()),
        ],
        metadata={
            _MODEL: identity.model.encode(),
            _PRETRAINED: identity.pretrained.encode(),
            _DIM: str(identity.dim).encode(),
        },
    )


def _made_by(schema: pa.Schema) -> ModelIdentity:
    said = schema.metadata or {}
    if not {_MODEL, _PRETRAINED, _DIM} <= said.keys():
        raise StoreOpenError("the index does not say which model made it: it is not this program's")
    return ModelIdentity(said[_MODEL].decode(), said[_PRETRAINED].decode(), int(said[_DIM]))


def _refuse_unless_same(made_by: ModelIdentity, identity: ModelIdentity) -> None:
    if made_by != identity:
        raise ModelMismatchError(
            f"the index was made with the model {made_by} and cannot be used with {identity}:"
            " use that model, or set IMAGE_SEARCH_STORE_URI to another place"
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
