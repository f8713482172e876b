"""Opening the table that is the index, or making the first one; its schema names its model."""

import asyncio
from typing import TYPE_CHECKING

import pyarrow as pa

from store.changes.log import ChangeLog
from store.errors import ModelMismatchError, StoreMovedError, StoreOpenError
from store.metadata.words import WORDS
from store.schemas import ModelIdentity
from store.settings import StoreSettings
from store.table.connection import connect, create_table, opening
from store.table.disk.location import Location
from store.table.integrity import (
    drop_broken_indexes,
    refuse_if_damaged,
    refuse_if_lost,
    refuse_if_missing,
)
from store.table.names import FIRST_TABLE, current_table, is_superseded
from store.table.remote.probe import probe

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable


OPTIONAL = tuple(pa.field(name, pa.string()) for name in ("text", "pixels", "file", WORDS))
"""Columns that a table of an earlier release may lack."""

_MODEL, _PRETRAINED, _DIM = b"image_search:model", b"image_search:pretrained", b"image_search:dim"
# Declares the key that merge_insert matches on, by the same commit that makes the table: without
# it, racing merges of one new id make two rows.
_PRIMARY_KEY = {b"lance-schema:unenforced-primary-key:position": b"1"}


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
    async with Location(connection.uri).write_lock(name or FIRST_TABLE):
        if name is not None:
            table = await connection.open_table(name)
            await refuse_if_lost(connection, table)
        else:
            refuse_if_missing(connection.uri)
            table = await create_table(connection, FIRST_TABLE, table_schema(identity))
            if (version := int(await table.version())) == 1:
                log = ChangeLog(Location(connection.uri).folder, FIRST_TABLE)
                await asyncio.to_thread(log.note, "create", version)
        schema = await table.schema()
        if (maker := made_by(schema)) != identity:
            raise mismatch(maker, str(identity))
        if is_superseded(schema):
            raise StoreMovedError
        await ensure_ready(table)
    return table


async def ensure_ready(table: "AsyncTable") -> None:
    """Gives a table what every table has: one of an earlier release, or version, may lack it."""
    schema = await table.schema()
    missing = [field for field in OPTIONAL if field.name not in schema.names]
    if missing:
        await table.add_columns(missing)
    await drop_broken_indexes(table)
    await _ensure_text_index(table)


async def check_table(settings: StoreSettings) -> ModelIdentity | None:
    """Look at the index before weights are loaded; the model of its table, None where is none yet.

    Where there is no table, its folder is tried; an object store is tried each time.

    Raises:
        StoreOpenError: the table cannot be opened, or was made by another program.
        StoreDamagedError: files of it are damaged or missing.
    """
    location = Location(settings.store_uri)
    with opening(settings):
        await asyncio.to_thread(location.check, sync=settings.store_sync)
        if location.folder is None:
            await asyncio.to_thread(probe, settings.store_uri)
        return await _maker(settings, location)


def close_to_others(settings: StoreSettings) -> None:
    """Close the folder of an index that is to be used to the machine's other users, and tell."""
    with opening(settings):
        Location(settings.store_uri).close_to_others(settings.umask)


async def _maker(settings: StoreSettings, location: Location) -> ModelIdentity | None:
    """The model of the current table, whose files are looked at; None where there is no table."""
    # Without LanceDB where there is none: its import is most of a first start's check.
    if await asyncio.to_thread(location.has_tables):
        connection = await connect(settings)
        if (name := await current_table(connection)) is not None:
            table = await connection.open_table(name)
            await refuse_if_lost(connection, table)
            maker = made_by(await table.schema())
            await refuse_if_damaged(table)
            return maker
    refuse_if_missing(settings.store_uri)
    return None


def table_schema(identity: ModelIdentity) -> pa.Schema:
    """The schema of a new table, without metadata columns."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("url", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), identity.dim), nullable=False),
            pa.field("created_at", pa.timestamp("us", "UTC"), nullable=False),
            *OPTIONAL,
        ],
        metadata=model_metadata(identity),
    )


def model_metadata(identity: ModelIdentity) -> dict[bytes, bytes]:
    """What the schema of a table says of the model that makes its vectors."""
    return {
        _MODEL: identity.model.encode(),
        _PRETRAINED: identity.pretrained.encode(),
        _DIM: str(identity.dim).encode(),
    }


def made_by(schema: pa.Schema) -> ModelIdentity:
    """The model that a table's schema names.

    Raises:
        StoreOpenError: the table was made by another program.
    """
    said = schema.metadata or {}
    if not {_MODEL, _PRETRAINED, _DIM} <= said.keys():
        raise StoreOpenError("the index does not say which model made it: it is not this program's")
    return ModelIdentity(said[_MODEL].decode(), said[_PRETRAINED].decode(), int(said[_DIM]))


def mismatch(maker: ModelIdentity, model: str) -> ModelMismatchError:
    """The error for a table whose vectors another model made; it names both."""
    return ModelMismatchError(
        f"the index was made with the model {maker} and cannot be used with {model}:"
        " use that model, set IMAGE_SEARCH_STORE_URI to another place,"
        " or make the index anew with `image-search reembed`"
    )


async def _ensure_text_index(table: "AsyncTable") -> None:
    # Full-text search fails without an index; with one, it also searches the rows added since.
    if await _has_text_index(table):
        return
    from lancedb.index import FTS  # noqa: PLC0415 - see store.table.connection

    try:
        # Their words are folded and told apart by spaces already.
        config = FTS(
            base_tokenizer="whitespace",
            lower_case=False,
            ascii_folding=False,
            stem=False,
            remove_stop_words=False,
            max_token_length=None,
        )
        await table.create_index(WORDS, config=config, replace=False)
    except Exception:
        if not await _has_text_index(table):  # else another process was faster
            raise


async def _has_text_index(table: "AsyncTable") -> bool:
    return any(index.columns == [WORDS] for index in await table.list_indices())
