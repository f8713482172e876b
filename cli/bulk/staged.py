"""Staged shards: embedded images in files as `image-search export` writes them, and read again."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from cli.bulk.plan import BulkError, Plan
from image_search import Detector, Model, WholeImage
from image_search.cli.output import made_whole
from image_search.cli.tables.exported import ExportFile, Head, exported_source
from store.schemas import NewObjects, ObjectBox
from store.transfer.whole_row import WholeRow


def write_staged(path: Path, images: Iterable[WholeImage], plan: Plan) -> None:
    """Write images to a file that appears when it is whole. Blocks.

    Raises:
        OSError: it cannot be written.
    """
    name, pretrained, dim = plan.model
    detector = None if plan.detector is None else Detector(*plan.detector)
    head = Head(Model(name, pretrained), dim, {}, detector)
    with made_whole(path) as file, ExportFile(file, head) as export:
        for image in images:
            export.add(image)


def read_staged(path: Path) -> Iterator[WholeRow]:
    """The images of such a file, as the store takes them. Blocks.

    Raises:
        BulkError: it is none, or damaged.
        OSError: it cannot be read.
    """
    source = exported_source(path)
    if source is None:
        raise BulkError(f"{path} is no staged shard: name another --state, or --start-over")
    for row in source.rows:
        if row.whole is None:
            raise BulkError(f"{path}: {row.problem}")
        yield _row(row.whole.image, row.whole.dim)


def _row(image: WholeImage, dim: int) -> WholeRow:
    of = image.objects
    objects = None
    if of is not None:
        boxes = tuple(ObjectBox(one.class_name, one.confidence, one.xyxy) for one in of.objects)
        vectors = np.frombuffer(of.vectors, "<f4").reshape(len(boxes), dim)
        objects = NewObjects((of.width, of.height), boxes, of.left_out, vectors)
    vector = np.frombuffer(image.vector, "<f4")
    what = (image.id, image.url, image.created_at, image.metadata, vector)
    return WholeRow(*what, image.pixels, image.original, image.thumbnail, objects)
