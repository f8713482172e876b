"""Pages of a ranking: best first, of the best thousand in another order, or the best of each group.

What ranks, by a vector, a text or the objects in the images, is somebody else's; all of it blocks.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from store.schemas import MAX_LIMIT, SearchQuery
from store.search.lists.grouping import Groups, Shown, groups_of, sizes_of
from store.search.lists.sort_keys import order_of, sort_hits
from store.search.vectors.nearest import DEPTHS
from store.snapshot.fragments import RowIds
from store.snapshot.snapshot import Snapshot

_GROWTH = 4
"""Of the rows that are looked through for groups, where they held no new one."""


class Ranking(Protocol):
    """What ranks rows for a query."""

    def page(self, query: SearchQuery, where: str) -> tuple[RowIds, NDArray[np.float64]]:
        """The best rows of a predicate, and their scores: the query's page of those that pass its
        ``min_score`` and cutoff."""

    def window(self, query: SearchQuery) -> int:
        """How many rows are looked through first for the groups of a page."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """A page of a ranking.

    Attributes:
        rows: uint64 [rows].
        scores: float64 [rows].
        sizes: of the group of each, where they are grouped by a key.
    """

    rows: RowIds
    scores: NDArray[np.float64]
    sizes: list[int] | None = None


def page_of(snapshot: Snapshot, query: SearchQuery, where: str, ranking: Ranking) -> Ranked:
    """The page of a search that ranks: best first, or of the best thousand in another order.

    Raises:
        UnknownKeyError: no image has had one of the keys to sort or group by.
    """
    groups = groups_of(query, snapshot.registry)
    if query.sort:
        return _sorted(snapshot, query, where, ranking, groups)
    if groups is not None:
        return _grouped(snapshot, query, where, ranking, groups)
    return Ranked(*ranking.page(query, where))


def _sorted(
    snapshot: Snapshot, query: SearchQuery, where: str, ranking: Ranking, groups: Groups | None
) -> Ranked:
    order = order_of(query.sort, snapshot.registry)
    cutoff = query.cutoff or query.min_score is None
    best = replace(query, sort=(), limit=MAX_LIMIT, offset=0, cutoff=cutoff)
    row_ids, scores = ranking.page(best, where)
    places = sort_hits(snapshot, order, row_ids)
    if groups is not None:
        shown = Shown(groups)
        shown.go_through(snapshot, row_ids[places], scores[places])
        return _page_of(snapshot, query, where, shown)
    places = places[query.offset : query.offset + query.limit]
    return Ranked(row_ids[places], scores[places])


def _grouped(
    snapshot: Snapshot, query: SearchQuery, where: str, ranking: Ranking, groups: Groups
) -> Ranked:
    """The page of the best of each group, full where there are as many groups.

    As many of the best rows are looked through as probably do. Where they do not, the next ones are
    those of all groups that were not among them.
    """
    shown, stop = Shown(groups), query.offset + query.limit
    rows, left = ranking.window(query), where
    while True:
        row_ids, scores = ranking.page(replace(query, limit=rows, offset=0), left)
        before = len(shown.row_ids)
        shown.go_through(snapshot, row_ids, scores)
        if len(shown.row_ids) >= stop or len(row_ids) < rows:
            return _page_of(snapshot, query, where, shown)
        if len(shown.row_ids) == before:
            rows = min(_GROWTH * rows, DEPTHS[-1].rows)
        left = shown.others(where)


def _page_of(snapshot: Snapshot, query: SearchQuery, where: str, shown: Shown) -> Ranked:
    page = slice(query.offset, query.offset + query.limit)
    rows, scores = np.array(shown.row_ids[page], np.uint64), np.array(shown.scores[page])
    return Ranked(rows, scores, sizes_of(snapshot, shown.groups, where, shown.values[page]))
