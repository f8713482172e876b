"""Whole rows: all that an index has of an image but its own file, read in their stored order."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from store.metadata.columns import Registry
from store.metadata.objects import COLUMNS, has_objects, object_sets
from store.metadata.rows import as_matrix, selected, to_images
from store.objects.whole import WholeObjects
from store.pictures.files import Pictures
from store.transfer.whole_row import WholeRow

if TYPE_CHECKING:
    from lance import LanceDataset

_OWN_FILES = ("pixels", "file")
_BATCH_ROWS, _BATCH_ROWS_OF_OBJECTS = 64, 16
"""Rows that are in memory at once: a row's metadata may be 256 KiB, and so may its objects be."""


def key_types(registry: Registry) -> dict[str, str]:
    """The metadata keys of a table, and what their types are called."""
    return {key: of.type.label for key, of in registry.by_key.items()}


def whole_rows(
    dataset: "LanceDataset",
    files: Pictures | None,
    objects: WholeObjects | None,
    first: int = 0,
    most: int | None = None,
) -> Iterator[WholeRow]:
    """Rows of a version of a table, a few in memory at once. Blocks, and raises what LanceDB does.

    Args:
        dataset: at its version.
        files: of the pictures; None where none are stored.
        objects: of the images; likewise.
        first: the place of the first row; in one version each row keeps its place.
        most: rows; all without.
    """
    registry = Registry.from_schema(dataset.schema)
    # A version of an earlier release may lack one of them.
    own = [name for name in _OWN_FILES if name in dataset.schema.names]
    if not has_objects(dataset.schema):
        objects = None
    own += [] if objects is None else COLUMNS
    scanner = dataset.scanner(
        [*selected(registry), *own, "vector"],
        offset=first,
        limit=most,
        batch_size=_BATCH_ROWS if objects is None else _BATCH_ROWS_OF_OBJECTS,
        batch_readahead=1,
    )
    for batch in scanner.to_batches():
        yield from _read(pa.Table.from_batches([batch]), registry, files, objects)


def _read(
    found: pa.Table,
    registry: Registry,
    files: Pictures | None,
    objects: WholeObjects | None,
) -> Iterator[WholeRow]:
    named = {
        name: found[name].to_pylist() if name in found.column_names else [None] * len(found)
        for name in _OWN_FILES
    }
    vectors = as_matrix(found["vector"])
    looked_into = [None] * len(found) if objects is None else objects.of(object_sets(found))
    files_of = named["pixels"], named["file"]
    own = zip(to_images(found, registry), vectors, *files_of, looked_into, strict=True)
    for image, vector, pixels, original, own_objects in own:
        small = None if files is None or pixels is None else files.read("thumbnails", pixels)
        what = (image.id, image.url, image.created_at, image.metadata)
        yield WholeRow(*what, vector, pixels, original, small, own_objects)
