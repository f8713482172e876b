"""Texts as the tokens of a converted CLIP model, without open_clip.

A conversion keeps the words' numbers of open_clip's tokenizer as a file of the package tokenizers,
which is compared with the original on difficult texts while the model is converted.
"""

import html
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
"""Texts as their tokens [n, context_length]."""

TOKENIZER = "tokenizer.json"
"""Name of a conversion's file of a tokenizer."""

Tokenizer = Callable[[list[str]], Tokens]
"""Tokens of n > 0 texts."""

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class TextEnds:
    """How many positions of a context texts need.

    Attributes:
        cuts: Whether the padding can be cut off: a token of a causal tower sees only those before
            it, and the embedding is read off at the end of the text.
        eos: Token that ends a text; None where the largest one does.
    """

    cuts: bool
    eos: int | None = None

    def length(self, tokens: Tokens) -> int:
        """Positions that must be computed for texts, n > 0."""
        if not self.cuts:
            return int(tokens.shape[1])
        # As open_clip finds it (3.3 `transformer.text_global_pool`).
        ends = tokens.argmax(-1) if self.eos is None else (tokens == self.eos).argmax(-1)
        return int(np.max(ends)) + 1


@dataclass(frozen=True)
class TokenizerFacts:
    """What must be known of a tokenizer beside its file.

    Attributes:
        clean: open_clip's name of how texts are cleaned first: lower, whitespace or canonicalize.
        length: tokens of a text.
        words: expression of the words whose letters are joined to tokens, in any case; None where
            the file knows how a text becomes words, and how tokens are cut off and padded.
        first: token that begins a text, where there are `words`.
        last: token that ends a text, likewise.
        zeroed: token that counts as padding, if there is one.
    """

    clean: str
    length: int
    words: str | None = None
    first: int = 0
    last: int = 0
    zeroed: int | None = None


class KeptTokenizer:
    """A tokenizer as a conversion keeps it, for any number of threads.

    Args:
        file: JSON of the package tokenizers.
        facts: `TokenizerFacts` as plain values.
    """

    def __init__(self, file: str, facts: Mapping[str, Any]) -> None:
        import regex  # noqa: PLC0415 - like the next, only where a model is computed without torch
        from tokenizers import Tokenizer as Encoder  # noqa: PLC0415

        self._facts = TokenizerFacts(**facts)
        self._encoder = Encoder.from_str(file)
        words = self._facts.words
        self._words = None if words is None else regex.compile(words, regex.IGNORECASE)

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Tokens of texts, int64 [n, length]; n > 0."""
        return np.stack([self._tokens(cleaned(text, self._facts.clean)) for text in texts])

    def _tokens(self, text: str) -> Tokens:
        facts, tokens = self._facts, np.zeros(self._facts.length, np.int64)
        if self._words is None:
            tokens[:] = self._encoder.encode(text).ids
            return tokens if facts.zeroed is None else np.where(tokens == facts.zeroed, 0, tokens)
        words = self._words.findall(text)
        ids = self._encoder.encode(words, is_pretokenized=True, add_special_tokens=False).ids
        ids = [facts.first, *ids[: facts.length - 2], facts.last]
        tokens[: len(ids)] = ids
        return tokens


def cleaned(text: str, how: str) -> str:
    """A text as open_clip cleans it (3.3 `tokenizer.get_clean_fn`)."""
    import ftfy  # noqa: PLC0415 - see above

    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    if how == "canonicalize":
        text = text.replace("_", " ").translate(_NO_PUNCTUATION).lower()
    text = " ".join(text.split())
    return text.lower() if how == "lower" else text


def file_of(words: Mapping[str, int], joined: Sequence[tuple[str, str]], special: list[str]) -> str:
    """The file of a tokenizer that joins the bytes of each word, as JSON.

    Args:
        words: numbers of all tokens; the last letter of a word is followed by `</w>`.
        joined: pairs of tokens that become one, in the order in which that is tried.
        special: tokens that are never taken apart.
    """
    from tokenizers import Tokenizer as Encoder  # noqa: PLC0415 - see above
    from tokenizers.models import BPE  # noqa: PLC0415 - likewise
    from tokenizers.pre_tokenizers import ByteLevel  # noqa: PLC0415 - likewise

    encoder = Encoder(BPE(dict(words), list(joined), end_of_word_suffix="</w>"))
    encoder.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    encoder.add_special_tokens(special)
    return str(encoder.to_str())
