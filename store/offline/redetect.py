"""Going over to another detector: from then on, the objects of the one before are to be found anew.

It is one commit to the table of objects. What was found stays, and is searched, until the picture
was looked into again: each set of objects says by its key which detector has found it.
"""

from dataclasses import dataclass

from store.errors import StoreError
from store.metadata.objects import has_objects
from store.objects.detector import MARK_DETECTORS, detectors_in
from store.objects.names import objects_name
from store.schemas import Detector
from store.settings import StoreSettings
from store.table.connection import connect, opening
from store.table.disk.location import Location
from store.table.faults import as_store_errors, until_committed
from store.table.names import current_table, mark, schema_of


class RedetectError(StoreError, code="redetect"):
    """The index cannot go over to another detector as things are."""


@dataclass(frozen=True)
class GoneOver:
    """An index that has gone over to another detector.

    Attributes:
        before: the detector of before; None where the index has no objects at all.
        images: with objects that another one has found.
    """

    before: Detector | None
    images: int


async def go_over(settings: StoreSettings, detector: Detector) -> GoneOver:
    """Makes a detector that which finds the objects of the index.

    A service of the one before may still run: what it adds is to be found anew, too. Going back
    costs nothing for what was not looked into again.

    Args:
        settings: where the index is.
        detector: that finds them from now on.

    Raises:
        RedetectError: the index is embedded again at this moment.
        StoreFault: there is no index, it is another user's, or cannot be read or written.
    """
    location = Location(settings.store_uri)
    location.refuse_unless_folder()
    location.refuse_anothers(settings.umask)
    with opening(settings):
        connection = await connect(settings)
    try:
        with location.lock("reembed").held_if_free() as free, as_store_errors():
            if not free:
                raise RedetectError("`image-search reembed` is at work on this index: let it end")
            if (name := await current_table(connection)) is None:
                raise location.no_index()
            if await schema_of(connection, objects_name(name)) is None:
                return GoneOver(None, 0)
            table = await connection.open_table(objects_name(name))
            known = detectors_in(await table.schema())
            after = known.gone_over_to(detector)
            if after != known:
                async with location.write_lock(name):
                    text = after.as_mark()
                    await until_committed(lambda: mark(table, MARK_DETECTORS, text))
            images = await connection.open_table(name)
            others = after.finding.by_others
            count = await images.count_rows(others) if has_objects(await images.schema()) else 0
            return GoneOver(known.now, int(count))
    finally:
        connection.close()
