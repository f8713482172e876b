"""Which texts a search by words finds, said a second time, one word by the other."""

import unicodedata
from collections.abc import Iterable


def have_one(texts: Iterable[str], query: str) -> bool:
    """Whether one of the texts has one of the query's words, or what counts as it."""
    stored = [word for text in texts for word in words(text)]
    return any(is_found(word, other) for word in words(query) for other in stored)


def is_found(word: str, other: str) -> bool:
    """The same word, one that begins so, one with a typo; or a part of a Chinese sentence."""
    if is_chinese(word):
        pairs = [word[n : n + 2] for n in range(len(word) - 1)] or [word]
        return is_chinese(other) and any(pair in other for pair in pairs)
    if word == other or (len(word) >= 3 and other.startswith(word)):
        return True
    return len(word) >= 5 and word.isalpha() and other in one_typo_away(word, {*other})


def one_typo_away(word: str, letters: Iterable[str]) -> set[str]:
    """Every word that one typo with some letters makes of a word."""
    parts = [(word[:n], word[n:]) for n in range(len(word) + 1)]
    less = {a + b[1:] for a, b in parts}
    more = {a + c + b for a, b in parts for c in letters}
    other = {a + c + b[1:] for a, b in parts for c in letters}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1}
    return less | more | other | swapped


def is_chinese(word: str) -> bool:
    return "\u4e00" <= word[0] <= "\u9fff"


def words(text: str) -> set[str]:
    """The words of a text, without case and accents; Chinese ends at any other letter."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    made, before = "", False
    for character in bare.lower():
        chinese = is_chinese(character)
        made += (" " if chinese != before else "") + (character if character.isalnum() else " ")
        before = chinese
    return set(made.split())
