"""Vocabulary of the rows that the text index lacks: the engine finds typos in the index only."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from store.metadata.words import BEGINNING, WORDS

if TYPE_CHECKING:
    from lance.fragment import LanceFragment

MOST_ROWS = 65_536
"""In which typos are looked for: reading many more takes longer than until upkeep has come."""

_EDGE = 2
_Words = dict[str, list[str]]


class Vocabulary:
    """The words of fragments, for all versions of a table: what a file holds never changes."""

    def __init__(self) -> None:
        self._known: dict[str, _Words] = {}

    def near(self, fragments: "Iterable[LanceFragment]", words: Iterable[str]) -> set[str]:
        """The words in some fragments that are one typo away from one of these. Blocks.

        Args:
            fragments: of one version.
            words: of four letters or more.
        """
        own = self._of(fragments)
        edges = [(word, edge) for word in words for edge in edges_of(word)]
        return {
            other
            for word, edge in edges
            for known in own
            for other in known.get(edge, ())
            if other != word and is_near(word, other)
        }

    def _of(self, fragments: "Iterable[LanceFragment]") -> list[_Words]:
        some = {}
        left = MOST_ROWS
        for fragment in fragments:
            left -= fragment.physical_rows
            if left < 0:
                break
            name = _file_of(fragment)
            some[name] = self._known[name] if name in self._known else _read(fragment)
        self._known = some
        return [*some.values()]


def _file_of(fragment: "LanceFragment") -> str:
    """The file with the words: the last, if they were written after the others."""
    return str(fragment.metadata.files[-1].path)


def _read(fragment: "LanceFragment") -> _Words:
    by_edge: defaultdict[str, list[str]] = defaultdict(list)
    texts = fragment.scanner(columns=[WORDS]).to_table()[WORDS].to_pylist()
    for word in {word for text in texts if text for word in text.split(" ")}:
        if not word.endswith(BEGINNING):
            for edge in edges_of(word):
                by_edge[edge].append(word)
    return dict(by_edge)


def edges_of(word: str) -> tuple[str, str]:
    """How a word begins and ends: one typo leaves one of the two of a long word as it is."""
    return f"{word[:_EDGE]} ", f" {word[-_EDGE:]}"


def is_near(word: str, other: str) -> bool:
    """Whether a letter more, a letter less or another letter makes one word of the other."""
    if abs(len(word) - len(other)) > 1:
        return False
    shorter, longer = sorted((word, other), key=len)
    same = next((n for n, one in enumerate(shorter) if one != longer[n]), len(shorter))
    return shorter[same + (len(shorter) == len(longer)) :] == longer[same + 1 :]
