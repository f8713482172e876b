"""`image-search export`: the whole index in one Parquet file, complete or not there at all."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from api.settings import Settings
from cli.output import made_whole
from cli.progress import WorkBar
from store.offline.export import Export, exporting

_GROUP_ROWS = 16_384
"""Rows of a group, which is in memory at once, for who reads the file too."""

_GROUP_BYTES = 64 << 20
"""Bytes of a group: fewer rows where their metadata is long."""


async def export(console: Console, path: Path) -> int:
    """Write every image of the index that the environment names; returns how many.

    Raises:
        SettingsError: a variable has an invalid value.
        StoreError: there is no index, or it cannot be read.
        OSError: the file cannot be written.
    """
    settings = Settings.from_environment()
    async with exporting(settings.store) as whole:
        with WorkBar(console, "exporting") as bar, made_whole(path) as file:
            _write(whole, file, bar)
        return whole.rows


def _write(whole: Export, file: IO[bytes], bar: WorkBar) -> None:
    bar.begin(whole.rows, 0)
    with pq.ParquetWriter(file, whole.schema) as writer:
        for group in _groups(whole.batches):
            writer.write_table(pa.Table.from_batches(group, whole.schema))
            bar.advance(sum(batch.num_rows for batch in group))


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches joined to groups: a table that was added to for long has many small ones."""
    group: list[pa.RecordBatch] = []
    for batch in batches:
        group.append(batch)
        rows = sum(each.num_rows for each in group)
        if rows >= _GROUP_ROWS or sum(each.nbytes for each in group) >= _GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group
