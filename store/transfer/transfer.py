"""Transfer: pages of an index at one version, and rows that need no model to be put into one."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from store.errors import StoreError, StoreFault, VersionError
from store.metadata.columns import Registry
from store.metadata.given import CheckedMetadata
from store.objects.whole import WholeObjects
from store.pictures.files import Pictures
from store.schemas import Author, Detector, ModelIdentity, NewImage, NewKeys, Upserted
from store.search.checks import refuse_unfit
from store.snapshot.latest import Snapshots
from store.table.faults import OpenTable
from store.table.kept import keep_version
from store.table.names import is_building, is_superseded
from store.transfer.checked import checked
from store.transfer.whole_row import WholeRow
from store.transfer.whole_rows import key_types, whole_rows
from store.write.operations import Upsert
from store.write.writer import Writer

if TYPE_CHECKING:
    from lance import LanceDataset


@dataclass(frozen=True, eq=False)
class ExportPage:
    """Some rows of a version of an index.

    Attributes:
        version: of the table.
        total: how many rows it has.
        columns: its metadata keys and their types.
        detector: that found the objects; None where there are none.
        rows: to be read once. Blocks, and may raise a StoreFault.
    """

    version: int
    total: int
    columns: dict[str, str]
    detector: Detector | None
    rows: Iterator[WholeRow]


class Transfer:
    """Takes whole rows out of an open index and puts them in; from one event loop.

    Args:
        opened: the table.
        snapshots: of it.
        files: of pictures; None on an object store other than S3.
        writer: of the table.
        detector: of the objects in the images; None where none are stored.

    Attributes:
        detector: likewise.
    """

    def __init__(
        self,
        opened: OpenTable,
        snapshots: Snapshots,
        files: Pictures | None,
        writer: Writer,
        detector: Detector | None,
    ) -> None:
        self.detector = detector
        self._opened, self._snapshots = opened, snapshots
        self._files, self._writer = files, writer
        # Of a commit: what others write waits behind no more of them.
        self._writing = asyncio.Semaphore(writer.max_rows)

    @property
    def model(self) -> ModelIdentity:
        """The model whose vectors the rows have."""
        return self._opened.identity

    async def page(self, version: int | None, first: int, most: int) -> ExportPage:
        """Rows of a version from a place on, in an order that stays. The version is kept.

        Upkeep leaves the version alone until ten minutes after its last page.

        Args:
            version: of an earlier page; None for the table as it is now.
            first: the place of the first row.
            most: rows.

        Raises:
            VersionError: the version is not there any more.
            StoreFault: it cannot be read.
        """
        with self._opened.reading():
            latest = (await self._snapshots.latest()).dataset
            # Also where none are added, as a backup has all that there is.
            objects = await WholeObjects.beside(self._opened.connection, self._opened.table.name)
            return await asyncio.to_thread(self._page, latest, objects, version, first, most)

    def _page(
        self,
        latest: "LanceDataset",
        objects: WholeObjects | None,
        version: int | None,
        first: int,
        most: int,
    ) -> ExportPage:
        # One of its own: Lance lends the dataset that it tags to nobody else meanwhile.
        dataset = _at(latest, int(latest.version) if version is None else version)
        keep_version(dataset)
        total = dataset.count_rows()
        rows = self._read(dataset, objects, first, most) if first < total else iter(())
        columns = key_types(Registry.from_schema(dataset.schema))
        detector = None if objects is None else objects.detector
        return ExportPage(int(dataset.version), total, columns, detector, rows)

    def _read(
        self, dataset: "LanceDataset", objects: WholeObjects | None, first: int, most: int
    ) -> Iterator[WholeRow]:
        with self._opened.reading():
            yield from whole_rows(dataset, self._files, objects, first, most)

    async def put(
        self,
        rows: Sequence[WholeRow],
        new: NewKeys,
        by: Author,
        *,
        skip: bool = False,
        over_later: bool = True,
    ) -> list[Upserted | StoreError]:
        """Puts rows in as they are; a row of the same id is replaced whole. Each for itself.

        An original is named where its file is stored here, and left out elsewhere; objects are left
        out where none are stored, and must be of the index's detector.

        Args:
            rows: from an index of the same model. Of two of the same id the later one stays.
            new: the metadata keys that are new are added to these.
            by: who does it.
            skip: leave out new rows whose pixels another image has.
            over_later: False leaves rows alone that others than `by`, known by the id of its
                request, have added, patched or deleted since the date of the given one; it counts
                as skipped. Without a log of changes, on an object store, only rows that were added
                again are known.

        Returns:
            What became of each row, or why it was refused, in order.

        Raises:
            StoreFault: they cannot be written; some of them may be.
        """
        with self._opened.reading():
            registry = (await self._snapshots.latest()).registry
        images = [self._image(row, registry, new, skip=skip) for row in rows]
        good = [one for one in images if isinstance(one, NewImage)]
        with self._opened.writing():
            stored = await asyncio.to_thread(lambda: [self._with_files(one) for one in good])
        async with asyncio.TaskGroup() as tasks:
            puts = [Upsert(one, one.vector, by, over_later) for one in stored]
            written = iter([tasks.create_task(self._write(put)) for put in puts])
        answers = [next(written).result() if isinstance(one, NewImage) else one for one in images]
        for answer in answers:
            if isinstance(answer, StoreFault):
                raise answer
        return answers

    def _image(
        self, row: WholeRow, registry: Registry, new: NewKeys, *, skip: bool
    ) -> NewImage | StoreError:
        try:
            metadata = CheckedMetadata.of(row.metadata)
            image = checked(row, metadata, self.model.dim, skip=skip)
            refuse_unfit(metadata, registry, new)
        except StoreError as error:
            return error
        return image if self.detector else replace(image, objects=None)

    def _with_files(self, image: NewImage) -> NewImage:
        """The image once its thumbnail is stored, with its original if that is there. Blocks."""
        if self._files is None:
            return replace(image, file=None)
        if image.thumbnail is not None and image.pixels is not None:
            self._files.write("thumbnails", image.pixels, image.thumbnail)
        if image.file is not None and not self._files.keeps("originals", image.file):
            return replace(image, file=None)
        return image

    async def _write(self, put: Upsert) -> Upserted | StoreError:
        async with self._writing:
            try:
                upserted: Upserted = await self._writer.write(put)
            except StoreError as error:
                return error
            return upserted


def _at(latest: "LanceDataset", version: int) -> "LanceDataset":
    try:
        dataset = latest.checkout_version(version)
    except (ValueError, OSError) as error:
        if "not found" not in str(error):
            raise
        gone = f"version {version} of the index is not kept any more: begin the export anew"
        raise VersionError(gone, repr(error)) from error
    if is_building(dataset.schema) or is_superseded(dataset.schema):
        raise VersionError(f"version {version} of the index was not in use: begin the export anew")
    return dataset
