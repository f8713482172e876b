"""Which files of pictures the tables still need; the others are marked, and removed later."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from store.dataset import open_dataset
from store.pictures import COLUMNS, PictureFiles, key_prefixes


def sweep_pictures(folder: Path, keep: timedelta) -> int:
    """Looks through the files of a store once. Blocks.

    Every table counts, not only the one in use: one that is being filled for another model, and
    those that were the index once, name files too.

    Args:
        folder: the store's.
        keep: how long versions of the table can bring an image back.

    Returns:
        How many files were removed.

    Raises:
        OSError, ValueError: a table cannot be read. Then nothing was removed for it.
    """
    used = {kind: key_prefixes(_keys(folder, column)) for kind, column in COLUMNS.items()}
    return PictureFiles(folder).sweep(used, keep)


def _keys(folder: Path, column: str) -> Iterator[str]:
    for table in sorted(folder.glob("*.lance")):
        dataset = open_dataset(str(table), None)
        if column in dataset.schema.names:  # a table of an earlier release may lack it
            for batch in dataset.scanner(columns=[column]).to_batches():
                yield from filter(None, batch[column].to_pylist())
