"""Export of the index in a folder, without a service."""

import asyncio
from pathlib import Path

import numpy as np
from rich.console import Console

from api.settings import Settings
from cli.offline.commands import errors_in_one_line
from image_search import Detector, Model, WholeImage, WholeObject, WholeObjects
from image_search.cli.output import made_whole
from image_search.cli.progress import WorkBar
from image_search.cli.tables.exported import ExportFile, Head
from store.offline.export import exporting
from store.schemas import FloatVector, NewObjects
from store.transfer.whole_row import WholeRow


def export_here(console: Console, path: Path) -> int:
    """Write every image of the index that the environment names; returns how many.

    Raises:
        click.ClickException: it cannot be done; one line says why.
    """
    with errors_in_one_line():
        return asyncio.run(export_folder(console, path))


async def export_folder(console: Console, path: Path) -> int:
    """Write every image of the index that the environment names; returns how many.

    Raises:
        SettingsError: a variable has an invalid value.
        StoreError: there is no index, or it cannot be read.
        OSError: the file cannot be written.
    """
    settings = Settings.from_environment()
    async with exporting(settings.store) as whole:
        model = Model(whole.model.model, whole.model.pretrained)
        found = whole.detector
        detector = None if found is None else Detector(found.name, found.recipe)
        head = Head(model, whole.model.dim, whole.columns, detector)
        with WorkBar(console, "exporting") as bar, made_whole(path) as file:
            bar.begin(whole.total, 0)
            with ExportFile(file, head) as export:
                for row in whole.rows:
                    export.add(whole_image(row))
                    bar.advance(1)
        return whole.total


def whole_image(row: WholeRow) -> WholeImage:
    """A row as a file of an export has it."""
    what = (row.id, row.url, row.metadata, row.created_at)
    files = (row.pixels, row.original, row.thumbnail)
    objects = None if row.objects is None else _objects(row.objects)
    return WholeImage(*what, _bytes(row.vector), *files, objects)


def _objects(of: NewObjects) -> WholeObjects:
    boxes = tuple(WholeObject(**vars(box)) for box in of.boxes)
    return WholeObjects(*of.size, of.left_out, boxes, _bytes(of.vectors))


def _bytes(vectors: FloatVector) -> bytes:
    return vectors.astype(np.dtype("<f4")).tobytes()
