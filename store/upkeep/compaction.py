"""Joining small fragments, without writing the large ones again each time.

Every commit leaves a fragment behind, and a search over hundreds of them takes many times as long
as over a few. LanceDB's own `optimize` joins all fragments of less than a million rows, which below
a million rows means the whole table, at each round
(https://github.com/lancedb/lancedb/issues/2131). Here fragments are joined in tiers: ten of one
tier make one of the next. So there are at most some ten of each tier, and a row is written again
about as often as there are tiers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lance import LanceDataset

TIERS = (2_048, 16_384, 131_072, 1_048_576)
"""Rows below which a fragment belongs to the tier, if not to a lower one."""

FEW = 10
"""Fragments of a tier that are left as they are."""

FEW_AT_REST = 3
"""Of the lowest tier, where nobody writes any more: each costs every search a tenth of a
millisecond, and joining them writes some thousand rows once more."""

DELETED_SHARE = 0.1
"""Rows of a fragment that may be marked as deleted before it is written anew without them."""


@dataclass(frozen=True)
class Fragment:
    """A file of rows: those that it holds, and how many of them are marked as deleted."""

    rows: int
    deleted: int


def target_rows(fragments: Sequence[Fragment], few: int = FEW) -> int | None:
    """The tier that is to be joined now, by its rows; None where all is well.

    The highest full tier takes those below with it. Many deleted rows in a fragment make its own
    tier due. Of the lowest tier so `few` are left.
    """
    target = None
    sizes = [each.rows - each.deleted for each in fragments]
    for least, tier in pairwise((0, *TIERS)):
        if sum(least <= size < tier for size in sizes) > (few if least == 0 else FEW):
            target = tier
    if target is None and any(each.deleted > DELETED_SHARE * each.rows for each in fragments):
        target = TIERS[0]
    return target


def rows_to_join(dataset: "LanceDataset", few: int) -> int | None:
    """The tier of a table that is to be joined now, or everything; None where all is well.

    Args:
        dataset: the table.
        few: fragments of the lowest tier that are left; with 0 of all tiers.
    """
    if few == 0:
        return TIERS[-1]
    fragments = dataset.get_fragments()
    return target_rows(
        [Fragment(each.physical_rows, each.num_deletions) for each in fragments], few
    )


def compact(dataset: "LanceDataset", rows: int) -> list[str]:
    """Joins fragments to some of so many rows; says what was done. Blocks; takes one thread."""
    metrics = dataset.optimize.compact_files(
        target_rows_per_fragment=rows, materialize_deletions_threshold=DELETED_SHARE, num_threads=1
    )
    if metrics.fragments_removed == 0:
        return []
    return [f"joined {metrics.fragments_removed} fragments to {metrics.fragments_added}"]
