"""Export: the whole table at one version, row by row, without a service."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.metadata.columns import Registry
from store.objects.whole import WholeObjects
from store.pictures.bucket import pictures_of
from store.pictures.files import Pictures
from store.schemas import Detector, ModelIdentity
from store.settings import StoreSettings
from store.table.connection import connect, open_dataset, opening
from store.table.disk.location import Location
from store.table.integrity import refuse_if_lost
from store.table.names import current_table
from store.table.open import made_by
from store.transfer.whole_row import WholeRow
from store.transfer.whole_rows import key_types, whole_rows

if TYPE_CHECKING:
    from lance import LanceDataset


@dataclass(frozen=True, eq=False)
class Export:
    """A table to be read once, from its first row to its last.

    Attributes:
        model: that made its vectors.
        columns: its metadata keys and their types.
        detector: that found the objects; None where there are none.
        total: how many rows it has.
        rows: all of them, in no particular order. Blocks, and may raise a StoreFault.
    """

    model: ModelIdentity
    columns: dict[str, str]
    detector: Detector | None
    total: int
    rows: Iterator[WholeRow]


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
            columns = key_types(Registry.from_schema(dataset.schema))
            model, total = made_by(dataset.schema), dataset.count_rows()
            objects = await WholeObjects.beside(connection, name)
        files = pictures_of(location)
        detector = None if objects is None else objects.detector
        yield Export(model, columns, detector, total, _rows(dataset, files, objects, settings))


def _rows(
    dataset: "LanceDataset",
    files: Pictures | None,
    objects: WholeObjects | None,
    settings: StoreSettings,
) -> Iterator[WholeRow]:
    with opening(settings):
        yield from whole_rows(dataset, files, objects)
