"""Full-text search: the rows whose words are those of a text, begin with them or nearly are them.

What the words of a row are is in `store.metadata.words`. A word that is there as it was written
counts most, one that begins so less, and one that is a typo away (of five letters or more, all of
them letters; two neighbours that have changed places are one) least. A part of a text without
spaces counts by each two characters of it, and much more where all of them are there. Typos of a
word are not looked for where as many rows have it as a ranking is deep: it is none itself, and to
add up all rows with it and its neighbours takes 13 ms of a million.

The engine is asked for each of these by itself, and what rows score is added up here: it passes
over most rows with a common word when it looks for the best by one question, and over none in a
question of several. Measured for a word that all of 100,000 rows have: 9 ms in place of 38.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from store.metadata.predicates import ALWAYS
from store.metadata.words import BEGINNING, WORDS, pieces_of
from store.search.words.word_forms import (
    MOST_VARIED,
    distinct,
    may_begin,
    may_have_typo,
    rarity_of,
    swapped,
    words_matched,
)
from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot

if TYPE_CHECKING:
    from lance.query import FullTextQuery

_TYPO = 0.5
_EVERY_PIECE = 3.0
_NONE = np.empty(0, np.uint64)


def matching(
    snapshot: Snapshot, text: str, count: int, where: str
) -> tuple[RowIds, NDArray[np.float64]]:
    """The rows that match any of a text's words by BM25, then as they lie in the table. Blocks.

    LanceDB's own way to it reads the newest version of the table, and takes some milliseconds more
    for what the engine answers in one. Of more rows with the last one's score the engine names
    some, the same ones each time.

    Args:
        snapshot: to search.
        text: plain words.
        count: how many rows at most.
        where: an SQL predicate; applied before the ranking.

    Returns:
        The rows, best first, and their scores, float64 [rows], above 0.
    """
    queries = _queries(snapshot, text, count, where)
    found = [_best(snapshot, query, count, where) for query in queries]
    if not found:
        return _NONE, np.empty(0)
    rows, places = np.unique(np.concatenate([ids for ids, _ in found]), return_inverse=True)
    own = np.concatenate([scores for _, scores in found])
    scores = np.asarray(np.bincount(places, own, len(rows)), np.float64)
    # Titles of as many words share their scores by the hundred, and to read their ids takes 4 ms.
    order = np.lexsort([rows, -scores])[:count]
    best, scores = rows[order], scores[order]
    if snapshot.has_stale_words:
        some = words_matched(snapshot, text, best).any(axis=1)
        best, scores = best[some], scores[some]
    return best, scores


def _best(
    snapshot: Snapshot, query: "FullTextQuery", count: int, where: str
) -> tuple[RowIds, NDArray[np.float64]]:
    """The rows that score most by one question, and their scores."""
    scanner = snapshot.dataset.scanner(
        columns=["_score"],
        with_row_id=True,
        full_text_query=query,
        filter=None if where == ALWAYS else where,
        prefilter=True,
        limit=count,
    )
    found = scanner.to_table()
    return found[ROW_ID].to_numpy(), found["_score"].to_numpy().astype(float)


def _queries(snapshot: Snapshot, text: str, count: int, where: str) -> "list[FullTextQuery]":
    """What the engine is asked; nothing where the text has no word."""
    if is_without_words(snapshot):
        return [_of_free_text(text)]
    words, runs = distinct(text)
    varied = words[:MOST_VARIED]
    begun = [word + BEGINNING for word in varied if may_begin(word)]
    long = [
        word
        for word in varied
        if may_have_typo(word) and not _is_frequent(snapshot, word, count, where)
    ]
    moved = [each for word in long for each in swapped(word)]
    near = snapshot.unindexed_words_near(long) if long else set()
    pieces = [piece for run in runs for piece in pieces_of(run)]
    return [
        *_match([*words, *begun, *pieces]),
        *_match(long, _TYPO, typos=1),
        *_match([*moved, *sorted(near)], _TYPO),
        *(each for run in runs for each in _match(pieces_of(run), _EVERY_PIECE, every=True)),
    ]


def _is_frequent(snapshot: Snapshot, word: str, count: int, where: str) -> bool:
    """Whether so many rows have a word as it was written."""
    [query] = _match([word])
    return len(_best(snapshot, query, count, where)[0]) >= count


def with_every_word(snapshot: Snapshot, text: str, row_ids: RowIds) -> NDArray[np.bool_]:
    """Which of some rows match each of a text's words, bool [rows]. Blocks."""
    if is_without_words(snapshot):
        query = _of_free_text(text, every=True)
        return np.isin(row_ids, _best(snapshot, query, len(row_ids), ALWAYS)[0])
    matched = words_matched(snapshot, text, row_ids)
    return np.asarray(matched.all(axis=1) & (matched.shape[1] > 0))


def coverage(snapshot: Snapshot, text: str, row_ids: RowIds) -> NDArray[np.float64]:
    """How much of a text some rows match, 0 to 1: float64 [rows]. Blocks.

    It is the share of its words, each counted by how rare it is: the classic "coordination level",
    weighted by the inverse document frequency in a sample of the rows. BM25 alone does not tell a
    row with every word from one that has a rare word often.
    """
    if is_without_words(snapshot):
        return np.where(with_every_word(snapshot, text, row_ids), 1, 0.5)
    rarity = rarity_of(snapshot, text)
    if not rarity.sum():
        return np.ones(len(row_ids))
    return np.asarray(words_matched(snapshot, text, row_ids) @ rarity / rarity.sum())


def is_without_words(snapshot: Snapshot) -> bool:
    """Whether upkeep has still to write the words of a table: until then its free text counts."""
    return "text" in snapshot.index_fragments


def _of_free_text(text: str, *, every: bool = False) -> "FullTextQuery":
    from lance.query import FullTextOperator, MatchQuery  # noqa: PLC0415 - see store.table.open

    # A MatchQuery takes its text as words: there is no query syntax in it.
    operator = FullTextOperator.AND if every else FullTextOperator.OR
    return MatchQuery(text, "text", operator=operator)


def _match(
    tokens: Iterable[str], boost: float = 1.0, *, typos: int = 0, every: bool = False
) -> "list[FullTextQuery]":
    """A query for these entries of the column of words; none where there are none."""
    from lance.query import FullTextOperator, MatchQuery  # noqa: PLC0415 - see store.table.open

    joined = " ".join(tokens)
    operator = FullTextOperator.AND if every else FullTextOperator.OR
    query = MatchQuery(joined, WORDS, boost=boost, fuzziness=typos, operator=operator)
    return [query] if joined else []
