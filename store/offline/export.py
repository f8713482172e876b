"""Export: the whole table at one version as Arrow batches, metadata under its users' own keys."""

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from store.metadata.columns import ARROW_TYPES, Registry
from store.metadata.predicates import value_of
from store.settings import StoreSettings
from store.table.connection import connect, open_dataset, opening
from store.table.disk.location import Location
from store.table.integrity import refuse_if_lost
from store.table.names import current_table

if TYPE_CHECKING:
    from lance import LanceDataset

_BATCH_ROWS = 1024
_AHEAD = 2
_OWN = b"image_search:"
_BASE = ("id", "url", "created_at", "text", "vector")
_PREFIX = "metadata."


@dataclass(frozen=True, eq=False)
class Export:
    """A table to be read once, from its first row to its last.

    Attributes:
        schema: ``id``, ``url``, ``created_at``, ``text``, a column for each metadata key, and
            ``vector``, float32 [dim]; its metadata names the model that made the vectors.
        batches: all of them, in no particular order. Blocks, and may raise a StoreFault.
    """

    schema: pa.Schema
    rows: int
    batches: Iterator[pa.RecordBatch]


@asynccontextmanager
async def exporting(settings: StoreSettings) -> AsyncIterator[Export]:
    """Opens the table at its newest version, which stays as it is whatever others write.

    Upkeep, which removes old versions, waits until the block ends; however this process ends, the
    lock for that goes with it. On an object store there is none.

    Raises:
        StoreFault: there is no index, or it cannot be read.
    """
    location = Location(settings.store_uri)
    location.refuse_unless_folder()
    async with AsyncExitStack() as until_read:
        with opening(settings):
            connection = await connect(settings)
            until_read.callback(connection.close)
            name = await current_table(connection)
            if name is None:
                raise location.no_index()
            await until_read.enter_async_context(location.lock(f"{name}.upkeep").held())
            table = await connection.open_table(name)
            await refuse_if_lost(connection, table)
            dataset = open_dataset(await table.uri(), await table.latest_storage_options())
            registry = Registry.from_schema(dataset.schema)
            columns = _columns(registry)
            schema = _schema(dataset.schema, registry)
            rows = dataset.count_rows()
        yield Export(schema, rows, _batches(dataset, columns, schema, settings))


def exported_names(keys: Collection[str]) -> dict[str, str]:
    """What the column of each metadata key is called: as the key.

    A key that is called as a column of every table, such as ``url``, has ``metadata.`` before it.
    """
    return {key: _prefixed(key, keys) if key in _BASE else key for key in keys}


def _prefixed(key: str, keys: Collection[str]) -> str:
    name = _PREFIX + key
    return _prefixed(name, keys) if name in keys else name


def _columns(registry: Registry) -> dict[str, str]:
    """The exported columns by name, in SQL."""
    called = exported_names(registry.by_key)
    values = {called[name]: value_of(key) for name, key in registry.by_key.items()}
    return {**{name: name for name in _BASE[:-1]}, **values, _BASE[-1]: _BASE[-1]}


def _schema(schema: pa.Schema, registry: Registry) -> pa.Schema:
    called = exported_names(registry.by_key)
    types = {called[name]: ARROW_TYPES[key.type] for name, key in registry.by_key.items()}
    fields = [
        pa.field(name, types[name]) if name in types else schema.field(name).remove_metadata()
        for name in _columns(registry)
    ]
    own = {key: value for key, value in (schema.metadata or {}).items() if key.startswith(_OWN)}
    return pa.schema(fields, metadata=own)


def _batches(
    dataset: "LanceDataset", columns: dict[str, str], schema: pa.Schema, settings: StoreSettings
) -> Iterator[pa.RecordBatch]:
    with opening(settings):
        scanner = dataset.scanner(columns, batch_size=_BATCH_ROWS, batch_readahead=_AHEAD)
        for batch in scanner.to_batches():
            yield pa.RecordBatch.from_arrays([batch[name] for name in columns], schema=schema)
