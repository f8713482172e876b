"""Forms of a text's words, as they may stand in rows, and which of them rows have.

A word stands there as it is, begins another, or is a typo away from it:
`store.search.words.full_text`.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from store.metadata.words import (
    BEGINNING,
    LEAST_BEGINNING,
    MOST_BEGINNING,
    parts_of,
    pieces_of,
)
from store.snapshot.fragments import RowIds
from store.snapshot.snapshot import Snapshot
from store.snapshot.vocabulary import edges_of, is_near

MOST_WORDS = 256
"""Of a text that are looked for."""

MOST_VARIED = 32
"""Of them also by their beginnings and with typos."""

LEAST_TYPO = 5
"""Letters of a word that may have a typo."""


def distinct(text: str) -> tuple[list[str], list[str]]:
    """The words of a text that are looked for, each once, and its parts without spaces."""
    words, runs = (list(islice(dict.fromkeys(each), MOST_WORDS)) for each in parts_of(text))
    return words, runs


def may_begin(word: str) -> bool:
    """Whether words that begin so are found, too."""
    return LEAST_BEGINNING <= len(word) <= MOST_BEGINNING


def may_have_typo(word: str) -> bool:
    """Whether words that are a typo away are found, too."""
    return len(word) >= LEAST_TYPO and word.isalpha()


def swapped(word: str) -> list[str]:
    """A word with two neighbours in each other's place, wherever that makes another one."""
    return [
        word[:n] + word[n + 1] + word[n] + word[n + 2 :]
        for n in range(len(word) - 1)
        if word[n] != word[n + 1]
    ]


def words_matched(snapshot: Snapshot, text: str, row_ids: RowIds) -> NDArray[np.bool_]:
    """Which of a text's words each of some rows has in one of its forms. Blocks.

    Returns:
        bool [rows, words]; after the words come the pieces of its parts without spaces.
    """
    words, pieces = _looked_for(text)
    own = [frozenset(each.split(" ")) for each in snapshot.words(row_ids)]
    near = _near([word for word in words[:MOST_VARIED] if may_have_typo(word)], own)
    forms = [_forms(word, number) | near.get(word, set()) for number, word in enumerate(words)]
    forms += [{piece} for piece in pieces]
    matched = np.zeros((len(own), len(forms)), np.bool_)
    for row, there in enumerate(own):
        matched[row] = [not some.isdisjoint(there) for some in forms]
    return matched


def rarity_of(snapshot: Snapshot, text: str) -> NDArray[np.float64]:
    """How rare each of the words of `words_matched` is: ln((n + 1) / (count + 0.5)), float64."""
    words, pieces = _looked_for(text)
    rows, counts = snapshot.word_counts
    least = [max(counts[word], counts[word + BEGINNING]) for word in words]
    least += [counts[piece] for piece in pieces]
    return np.asarray(np.log((rows + 1) / (np.array(least, np.float64) + 0.5)))


def _looked_for(text: str) -> tuple[list[str], list[str]]:
    words, runs = distinct(text)
    pieces = dict.fromkeys(piece for run in runs for piece in pieces_of(run))
    return words, list(islice(pieces, MOST_WORDS))


def _forms(word: str, number: int) -> set[str]:
    """How the nth word of a text may stand in a row, without typos."""
    return {word, word + BEGINNING} if number < MOST_VARIED and may_begin(word) else {word}


def _near(words: list[str], rows: Iterable[frozenset[str]]) -> dict[str, set[str]]:
    """For each of some words, the words of rows that are a typo away."""
    if not words:
        return {}
    by_edge: defaultdict[str, set[str]] = defaultdict(set)
    for other in frozenset().union(*rows):
        if not other.endswith(BEGINNING):
            for edge in edges_of(other):
                by_edge[edge].add(other)
    return {
        word: {
            *swapped(word),
            *(each for edge in edges_of(word) for each in by_edge[edge] if is_near(word, each)),
        }
        for word in words
    }
