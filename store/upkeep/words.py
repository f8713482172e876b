"""The column of words in rows that lack it, or have those of a key that was dropped since.

A table of an earlier release has none; until it has, its free text is searched by an index of its
own, whose going says that all is done. Files of rows get the column as one more file, and stay as
they are: no index of another column has to take anything in.
"""

from typing import TYPE_CHECKING

import pyarrow as pa

from store.metadata.columns import Registry
from store.metadata.rows import to_dicts
from store.metadata.words import WORDS, columns_with_words, words_column
from store.snapshot.fragments import ROW_ID
from store.table.names import stale_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lance import LanceDataset
    from lance.fragment import LanceFragment

ROWS = 262_144
"""Whose words are in memory at once."""

_BATCH_ROWS = 8_192


def fragments_to_write(dataset: "LanceDataset") -> list[int]:
    """The numbers of the fragments whose rows lack words, or may have stale ones. Blocks."""
    fragments = dataset.get_fragments()
    if stale_words(dataset.schema) is not None:
        return [each.fragment_id for each in fragments]
    return [each.fragment_id for each in fragments if each.count_rows(f"{WORDS} IS NULL")]


def write_words(dataset: "LanceDataset", number: int) -> list[str]:
    """Writes the words of a fragment's rows, and says nothing; of one that has gone, too. Blocks.

    Raises:
        OSError: the fragment was changed meanwhile.
    """
    from lance import LanceDataset, LanceOperation  # noqa: PLC0415 - see store.table.open

    for words in _words_in(dataset, number):
        fragment = _fragment(dataset, number)
        if fragment is None:
            break
        metadata, fields = fragment.update_columns(words)
        update = LanceOperation.Update(updated_fragments=[metadata], fields_modified=fields)
        dataset = LanceDataset.commit(dataset, update, read_version=dataset.version)
    return []


def _fragment(dataset: "LanceDataset", number: int) -> "LanceFragment | None":
    found = [each for each in dataset.get_fragments() if each.fragment_id == number]
    return found[0] if found else None


def _words_in(dataset: "LanceDataset", number: int) -> "Iterator[pa.Table]":
    """Rows of a fragment with their words, so many at a time."""
    registry = Registry.from_schema(dataset.schema)
    fragment = _fragment(dataset, number)
    if fragment is None:
        return
    scanner = fragment.scanner(
        columns=columns_with_words(registry), with_row_id=True, batch_size=_BATCH_ROWS
    )
    done: list[pa.RecordBatch] = []
    for batch in scanner.to_batches():
        words = words_column(to_dicts(pa.Table.from_batches([batch])), registry)
        done.append(pa.RecordBatch.from_arrays([batch[ROW_ID], words], [ROW_ID, WORDS]))
        if sum(each.num_rows for each in done) >= ROWS:
            yield pa.Table.from_batches(done)
            done = []
    if done:
        yield pa.Table.from_batches(done)
