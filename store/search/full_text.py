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
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from store.metadata.predicates import ALWAYS
from store.metadata.words import (
    BEGINNING,
    LEAST_BEGINNING,
    MOST_BEGINNING,
    WORDS,
    parts_of,
    pieces_of,
)
from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot
from store.snapshot.vocabulary import is_near

if TYPE_CHECKING:
    from lance.query import FullTextQuery

MOST_WORDS = 256
"""Of a text that are looked for."""

MOST_VARIED = 32
"""Of them also by their beginnings and with typos."""

LEAST_TYPO = 5
"""Letters of a word that may have a typo."""

_TYPO = 0.5
_EVERY_PIECE = 3.0
_NONE = np.empty(0, np.uint64)


def matching(snapshot: Snapshot, text: str, count: int, where: str) -> RowIds:
    """The rows that match any of a text's words by BM25, then id. Blocks.

    LanceDB's own way to it reads the newest version of the table, and takes some milliseconds more
    for what the engine answers in one. Of more rows with the last one's score the engine names
    some, the same ones each time.

    Args:
        snapshot: to search.
        text: plain words.
        count: how many rows at most.
        where: an SQL predicate; applied before the ranking.

    Returns:
        The rows, best first.
    """
    queries = _queries(snapshot, text, count, where)
    found = [_best(snapshot, query, count, where) for query in queries]
    if not found:
        return _NONE
    rows, places = np.unique(np.concatenate([ids for ids, _ in found]), return_inverse=True)
    scores = np.bincount(places, np.concatenate([own for _, own in found]), len(rows))
    best = snapshot.ranked(rows, -scores, slice(0, count))[0]
    return best[_with_any_word(snapshot, text, best)] if snapshot.has_stale_words else best


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
    words, runs = (list(islice(dict.fromkeys(each), MOST_WORDS)) for each in parts_of(text))
    varied = words[:MOST_VARIED]
    begun = [word + BEGINNING for word in varied if _may_begin(word)]
    long = [
        word
        for word in varied
        if _may_have_typo(word) and not _is_frequent(snapshot, word, count, where)
    ]
    swapped = [each for word in long for each in _swapped(word)]
    near = snapshot.unindexed_words_near(long) if long else set()
    pieces = [piece for run in runs for piece in pieces_of(run)]
    return [
        *_match([*words, *begun, *pieces]),
        *_match(long, _TYPO, typos=1),
        *_match([*swapped, *sorted(near)], _TYPO),
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
    words, pieces = _distinct(text)
    if not (words or pieces):
        return np.zeros(len(row_ids), np.bool_)
    own = (set(each.split(" ")) for each in snapshot.words(row_ids))
    every = (pieces <= there and all(_is_among(word, there) for word in words) for there in own)
    return np.fromiter(every, np.bool_, len(row_ids))


def _with_any_word(snapshot: Snapshot, text: str, row_ids: RowIds) -> NDArray[np.bool_]:
    words, pieces = _distinct(text)
    own = (set(each.split(" ")) for each in snapshot.words(row_ids))
    some = (bool(pieces & there) or any(_is_among(one, there) for one in words) for there in own)
    return np.fromiter(some, np.bool_, len(row_ids))


def _distinct(text: str) -> tuple[set[str], set[str]]:
    """The words of a text, and the pieces of its parts without spaces."""
    words, runs = parts_of(text)
    return {*words}, {piece for run in runs for piece in pieces_of(run)}


def _is_among(word: str, there: set[str]) -> bool:
    if word in there or (_may_begin(word) and word + BEGINNING in there):
        return True
    if not _may_have_typo(word):
        return False
    return not there.isdisjoint(_swapped(word)) or any(is_near(word, other) for other in there)


def _may_begin(word: str) -> bool:
    return LEAST_BEGINNING <= len(word) <= MOST_BEGINNING


def _may_have_typo(word: str) -> bool:
    return len(word) >= LEAST_TYPO and word.isalpha()


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


def _swapped(word: str) -> list[str]:
    """A word with two neighbours in each other's place, wherever that makes another one."""
    return [
        word[:n] + word[n + 1] + word[n] + word[n + 2 :]
        for n in range(len(word) - 1)
        if word[n] != word[n + 1]
    ]
