"""Searches by a picture, a text or both: ranked, fused, cut off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from store.metadata.filters import where_of
from store.metadata.rows import scores_of
from store.schemas import FloatVector, SearchQuery
from store.search.cutoff import KEEP_ALL, NEAREST, cutoff_score
from store.search.fusion import by_words, fuse
from store.search.pages import Ranked, page_of
from store.search.vectors.nearest import depth_of, nearest
from store.search.words.full_text import coverage, matching, with_every_word
from store.snapshot.fragments import RowIds, distances
from store.snapshot.snapshot import Snapshot

FUSION_DEPTH = 256
"""How deep each list goes into a fusion at least.

It is the same for all pages of up to so many hits, so that paging through them neither repeats nor
leaves out an image; deeper pages come from deeper lists, whose order may differ.
"""

COVERAGE_DEPTH = 64
"""Of the rows that match a text's words, how many are looked at for how much of it they have."""


@dataclass(frozen=True, eq=False)
class Matches:
    """What the text of a query matches, known before its vectors are.

    Attributes:
        snapshot: that was searched, and is to be searched for the rest.
        where: the query's filter, compiled.
        rows: uint64 [rows].
        scores: of the rows, float64 [rows], above 0, 1 at most.
    """

    snapshot: Snapshot
    where: str
    rows: RowIds
    scores: NDArray[np.float64]


def matches_of(snapshot: Snapshot, query: SearchQuery) -> Matches:
    """What the text of a query matches, for `ranked`. Blocks.

    Raises:
        FilterError: the filter is not in the language or does not fit the columns.
    """
    where = where_of(query.filter, snapshot.registry)
    return _matching(snapshot, query, where)


def _matching(snapshot: Snapshot, query: SearchQuery, where: str) -> Matches:
    text = query.text or ""
    rows, scores = matching(snapshot, text, _depth(query), where)
    if len(rows):
        # By what the best of them have of the text: to read the words of all takes longer.
        best = coverage(snapshot, text, rows[:COVERAGE_DEPTH])
        covered = np.full(len(rows), best.min())
        covered[: len(best)] = best
        scores = by_words(scores, covered)
    return Matches(snapshot, where, rows, scores)


def ranked(snapshot: Snapshot, query: SearchQuery, where: str, matches: Matches | None) -> Ranked:
    """The page of a search by vectors: best first, or of the best thousand in another order."""
    return page_of(snapshot, query, where, _Relevance(snapshot, matches))


@dataclass(eq=False)
class _Relevance:
    """Ranks by a picture, a text or both; `store.search.pages.Ranking`."""

    snapshot: Snapshot
    matches: Matches | None
    is_known: bool = True
    """What the text matches, of the predicate that comes first."""

    def page(self, query: SearchQuery, where: str) -> tuple[RowIds, NDArray[np.float64]]:
        if self.matches is not None and not self.is_known:
            self.matches = _matching(self.snapshot, query, where)
        self.is_known = False
        return _by_relevance(self.snapshot, query, where, self.matches)

    def window(self, query: SearchQuery) -> int:
        stop = query.offset + query.limit
        return depth_of(2 * stop).rows if self.matches is None else _depth(query)


def _by_relevance(
    snapshot: Snapshot, query: SearchQuery, where: str, matches: Matches | None
) -> tuple[RowIds, NDArray[np.float64]]:
    vectors = [vector for vector in (query.vector, query.text_vector) if vector is not None]
    if matches is None or (len(vectors) == 1 and not len(matches.rows)):  # nothing to fuse
        return _by_vector(snapshot, query, vectors[0], where)
    return _fused(snapshot, query, vectors, matches)


def _by_vector(
    snapshot: Snapshot, query: SearchQuery, vector: FloatVector, where: str
) -> tuple[RowIds, NDArray[np.float64]]:
    """The page of the rows nearest to one vector, and their scores."""
    page = slice(query.offset, query.offset + query.limit)
    # The cutoff is found among the best rows, whatever the page.
    top = slice(0, max(page.stop, NEAREST)) if query.cutoff else page
    row_ids, far = nearest(snapshot, vector, top, where, everywhere=query.text is not None)
    scores = scores_of(far)
    if query.min_score is None and not query.cutoff:
        return row_ids, scores
    least = KEEP_ALL if query.min_score is None else query.min_score
    if query.cutoff:
        least = max(least, _cutoff(snapshot, vector, scores))
        row_ids, scores = row_ids[page], scores[page]
    relevant = scores >= least
    return row_ids[relevant], scores[relevant]


def _fused(
    snapshot: Snapshot, query: SearchQuery, vectors: list[FloatVector], matches: Matches
) -> tuple[RowIds, NDArray[np.float64]]:
    """The page of the rows nearest to the picture and the text's vector and matches of the text.

    The score stays the similarity to the picture, or without one to the text's vector, so it need
    not fall from hit to hit.
    """
    top = slice(0, _depth(query))
    found = [nearest(snapshot, each, top, matches.where, everywhere=True) for each in vectors]
    row_ids = np.unique(np.concatenate([matches.rows, *(rows for rows, _ in found)]))
    if not len(row_ids):
        return row_ids, np.empty(0)
    words = np.zeros(len(row_ids))
    words[np.searchsorted(row_ids, matches.rows)] = matches.scores
    stored = snapshot.vectors(row_ids)
    similar = [scores_of(distances(stored, each)) for each in vectors]
    totals = fuse(words, similar, [snapshot.sample @ each for each in vectors])
    least = _cutoff(snapshot, vectors[0], scores_of(found[0][1])) if query.cutoff else KEEP_ALL
    left = _relevant(snapshot, query, row_ids, similar[0], least)
    row_ids, totals, scores = row_ids[left], totals[left], similar[0][left]
    page = slice(query.offset, query.offset + query.limit)
    best, _ = snapshot.ranked(row_ids.copy(), -totals, page)
    return best, scores[np.searchsorted(row_ids, best)]


def _relevant(
    snapshot: Snapshot,
    query: SearchQuery,
    row_ids: RowIds,
    scores: NDArray[np.float64],
    least: float,
) -> NDArray[np.bool_]:
    """Which rows of a fusion pass the query's ``min_score`` and its cutoff, a least score."""
    relevant = scores >= (KEEP_ALL if query.min_score is None else query.min_score)
    if least > KEEP_ALL:
        # A stored text with every word of the query is relevant, whatever its picture shows.
        named = with_every_word(snapshot, query.text or "", row_ids)
        relevant &= (scores >= least) | named
    return np.asarray(relevant)


def _cutoff(snapshot: Snapshot, vector: FloatVector, best: NDArray[np.float64]) -> float:
    """The least score of a relevant row; see `store.search.cutoff`.

    Args:
        snapshot: that was searched.
        vector: that the scores are similarities to.
        best: the best scores, falling.
    """
    if not len(best):
        return KEEP_ALL
    return cutoff_score(best[:NEAREST], snapshot.sample @ vector, snapshot.rows)


def _depth(query: SearchQuery) -> int:
    return depth_of(max(FUSION_DEPTH, query.offset + query.limit)).rows
