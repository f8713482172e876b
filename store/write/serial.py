"""Commits on an object store: each comes right behind the version it was planned at, or not at all.

No lock holds between machines. Lance lets two commits pass each other where they touch different
rows; two writers could then add one picture twice, as neither has seen the other's. So each commit
here says of the table's first fragment that it has changed, though it has not: any two that were
planned at one version collide, whatever they are about, and the later one is planned again. The
plan has looked up which rows there are, so that nothing is merged and no index is asked: a commit
writes the new rows' file and marks the rows that these replace.
"""

import contextlib
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from store.metadata.values import text_in

if TYPE_CHECKING:
    from lance import LanceDataset

FEW = 3
"""Attempts at a commit, before it is made with all other writers waiting: who is far from the store
would lose to those that are near for as long as they write."""

SURE_S = 90.0
"""Seconds after which a commit is not trusted: its place may have been empty for no other reason
than that the version there was removed, which none is in its first two minutes."""

ATTEMPTS_AS_FIRST = 60
"""Of a commit that the others wait for: each of them may have one on its way."""

_ROW_ADDRESS = "_rowaddr"
_FRAGMENT_BITS = 32
_NUMBERS_A_VERSION = 256
"""More than the fragments that any version brings: a number times it was no fragment's before."""


def write_rows(
    dataset: "LanceDataset",
    rows: pa.Table,
    replaced: Collection[str],
    fragments: Collection[int] | None = None,
) -> "LanceDataset":
    """Adds rows to a table, and takes away those that they replace. Blocks.

    Args:
        dataset: at the version that the rows were planned at.
        rows: with all of its columns.
        replaced: ids of rows that are there.
        fragments: numbers of those that these are in, where that is known: to look for them is a
            request for each fragment.

    Returns:
        The table at the version that was made.

    Raises:
        Exception: Lance's; `store.table.faults.is_conflict` where another commit came first.
    """
    from lance.fragment import write_fragments  # noqa: PLC0415 - see store.table.connection

    written = write_fragments(
        rows, dataset, schema=rows.schema, storage_options=dataset.latest_storage_options()
    )
    changed, removed = (
        _without(dataset, text_in("id", replaced), fragments) if replaced else ([], [])
    )
    return _committed(dataset, _operation(dataset, changed, removed, written))


def delete_rows(
    dataset: "LanceDataset", where: str, fragments: Collection[int] | None = None
) -> "LanceDataset":
    """Deletes the rows that a predicate lets through; otherwise as `write_rows`. Blocks."""
    return _committed(dataset, _operation(dataset, *_without(dataset, where, fragments), []))


def _committed(dataset: "LanceDataset", operation: Any) -> "LanceDataset":
    began = time.monotonic()
    made = _made(dataset, operation)
    if (took_s := time.monotonic() - began) > SURE_S:
        raise TimeoutError(f"after {took_s:.0f} s it is not known whether a commit is there")
    return made


def _made(dataset: "LanceDataset", operation: Any) -> "LanceDataset":
    from lance import LanceDataset, Transaction  # noqa: PLC0415 - see store.table.connection

    transaction = Transaction(dataset.version, operation)
    try:
        return LanceDataset.commit(
            dataset,
            transaction,
            max_retries=0,
            storage_options=dataset.latest_storage_options(),
        )
    except Exception:
        # Its answer may be lost on the way, and what was sent again finds its own place taken.
        with contextlib.suppress(Exception):
            for version in range(dataset.version + 1, dataset.latest_version + 1):
                made = dataset.read_transaction(version)
                if made is not None and made.uuid == transaction.uuid:
                    return dataset.checkout_version(version)
        raise


def _operation(
    dataset: "LanceDataset", changed: list[Any], removed: list[int], written: Sequence[Any]
) -> Any:
    from lance import LanceOperation  # noqa: PLC0415 - see store.table.connection

    fragments = dataset.get_fragments()
    if not fragments:  # a merge collides with all that changes rows
        for number, each in enumerate(written, dataset.version * _NUMBERS_A_VERSION):
            each.id = number
        return LanceOperation.Merge(list(written), dataset.lance_schema)
    first = min(fragments, key=lambda each: each.fragment_id)
    if first.fragment_id not in {*removed, *(each.id for each in changed)}:
        changed.append(first.metadata)
    return LanceOperation.Update(
        removed_fragment_ids=removed, updated_fragments=changed, new_fragments=list(written)
    )


def _without(
    dataset: "LanceDataset", where: str, fragments: Collection[int] | None
) -> tuple[list[Any], list[int]]:
    """The fragments as they are without some rows, and those of which nothing is left."""
    changed: list[Any] = []
    removed: list[int] = []
    having = _having(dataset, where) if fragments is None else fragments
    for fragment in dataset.get_fragments():
        if fragment.fragment_id not in having:
            continue
        metadata = fragment.delete(where)
        if metadata is None:
            removed.append(fragment.fragment_id)
        else:
            changed.append(metadata)
    return changed, removed


def _having(dataset: "LanceDataset", where: str) -> set[int]:
    """The numbers of the fragments that have such rows."""
    rows = dataset.scanner(columns=[], filter=where, with_row_address=True).to_table()
    return set((rows[_ROW_ADDRESS].to_numpy() >> _FRAGMENT_BITS).tolist())
