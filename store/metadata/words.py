"""Words: what full-text search finds an image by, of its free text and all its strings and lists.

They stand in a column of their own, derived from the others at each write. Words are folded: lower
case, and Latin, Greek and Cyrillic letters without their accents. Beside each stand its beginnings,
all of it included, marked as such. In scripts that put no spaces between words (Chinese, Japanese,
Korean with its endings, Thai, Lao, Khmer, Burmese) each character and each two that follow one
another stand for words, so that one is found wherever it is in a sentence, without a dictionary.

One column of all words, and not an index for each column of strings: a table may have a hundred of
these, and Lance 13 has no index that knows words, their beginnings and typos at once. Measured with
100,000 products (a title of five words, two tags, two words of text): 20 microseconds more for each
row that is written, 350 bytes on the disk, and 1.5 s to build the index.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from store.metadata.columns import Key, Registry
from store.metadata.values import ColumnType

WORDS = "words"
"""The column's name."""

BEGINNING = "**"
"""Ends a beginning. Two characters that no word has: no typo makes one of the other."""

LEAST_BEGINNING = 3
MOST_BEGINNING = 15
MOST_CHARS = 64
"""Of a word; what is longer is cut off, in texts and in searches."""

_TEXT = "text"
_ACCENTS = re.compile("[\u0300-\u036f]")
# Of Unicode 15's blocks, without their punctuation where that parts words.
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u1000-\u1049\u1050-\u109f\u1780-\u17d3"
    "\u1100-\u11ff\uac00-\ud7af\u3005-\u3007\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
# Vowel signs and the like belong to a word; `\w` has none of them.
_MARKS = "".join(
    chr(code) for code in range(0x300, 0x3100) if unicodedata.category(chr(code))[0] == "M"
)
_ASCII = re.compile(r"[^\W_]+", re.ASCII)
_PARTS = re.compile(rf"([{_UNSPACED}]+)|((?:[^\W_{_UNSPACED}]|(?![{_UNSPACED}])[{_MARKS}])+)")


def parts_of(text: str) -> tuple[list[str], list[str]]:
    """The words of a text, folded, and what it has in scripts without spaces, in their order."""
    if text.isascii():
        return [word[:MOST_CHARS] for word in _ASCII.findall(text.lower())], []
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    found = _PARTS.findall(unicodedata.normalize("NFC", plain).casefold())
    return [word[:MOST_CHARS] for _, word in found if word], [run for run, _ in found if run]


def pieces_of(run: str) -> list[str]:
    """What a part without spaces is looked for by: each two characters, or the one that it is."""
    return [run[place : place + 2] for place in range(len(run) - 1)] or [run]


def words_of(texts: Iterable[str]) -> str:
    """What the column has for an image with these texts; nothing where there is no word."""
    words: list[str] = []
    others: set[str] = set()
    for text in texts:
        own, runs = parts_of(text)
        words += own
        for run in runs:
            others.update(run)
            words += pieces_of(run) if len(run) > 1 else []
    for word in {*words}:
        ends = range(LEAST_BEGINNING, min(len(word), MOST_BEGINNING) + 1)
        others.update(word[:end] + BEGINNING for end in ends)
    return " ".join([*words, *sorted(others)])


def keys_with_words(registry: Registry) -> list[Key]:
    """The keys of strings and of lists of them."""
    kinds = (ColumnType.STRING, ColumnType.STRINGS)
    return [key for key in registry.by_key.values() if key.type in kinds]


def texts_of(row: Mapping[str, Any], keys: Iterable[Key]) -> Iterator[str]:
    """The texts of a row that is given by its columns."""
    if text := row.get(_TEXT):
        yield text
    for key in keys:
        value = key.value_of(row)
        if isinstance(value, str):
            yield value
        elif value is not None:
            yield from value


def columns_with_words(registry: Registry) -> list[str]:
    """The columns that `texts_of` reads."""
    own = {column.name for key in keys_with_words(registry) for column in key.all_columns}
    return [_TEXT, *sorted(own)]


def words_column(rows: Iterable[Mapping[str, Any]], registry: Registry) -> pa.Array:
    """The column of some rows, which are given by their columns."""
    keys = keys_with_words(registry)
    return pa.array([words_of(texts_of(row, keys)) for row in rows], pa.string())
