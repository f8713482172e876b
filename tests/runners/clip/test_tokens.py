"""A conversion's tokenizer makes the tokens that open_clip's makes."""

import open_clip
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.clip.convert import kept_tokenizer
from runners.clip.tokens import KeptTokenizer, cleaned

ORIGINAL = open_clip.get_tokenizer("ViT-B-32")
STRANGE = "\u00e9\u00c9\u00df\u0130\u0131\u01c5\u1e9e\u2019\ufb01\u56f3\u00bd\u00b2\u2163\u200d"
LETTERS = st.text(max_size=60) | st.text(f"aA's \t<end_of_text>&amp;{STRANGE}", max_size=120)


@pytest.fixture(scope="module")
def kept() -> KeptTokenizer:
    found = kept_tokenizer(ORIGINAL)
    assert found is not None
    return KeptTokenizer(*found)


@settings(max_examples=400, deadline=None)
@given(text=LETTERS)
def test_any_text(kept: KeptTokenizer, text: str) -> None:
    assert kept([text]).tolist() == ORIGINAL([text]).tolist()


def test_every_letter_and_sign(kept: KeptTokenizer) -> None:
    """All of Unicode but for what no text has, a hundred at a time with and without spaces."""
    signs = [chr(n) for n in range(1, 0x20000) if not 0xD800 <= n < 0xE000]
    for start in range(0, len(signs), 2000):
        part = signs[start : start + 2000]
        texts = ["".join(part[n : n + 25]) for n in range(0, len(part), 25)]
        texts += [" ".join(part[n : n + 25]) for n in range(0, len(part), 25)]
        assert kept(texts).tolist() == ORIGINAL(texts).tolist()


@pytest.mark.parametrize("how", ["lower", "whitespace", "canonicalize"])
def test_texts_are_cleaned_as_the_original_does(how: str) -> None:
    clean = open_clip.tokenizer.get_clean_fn(how)
    for text in ("  A_b, “C”;\n&amp;amp; dÃ©jÃ  ", "", "..", "İ"):
        assert cleaned(text, how) == clean(text)


def test_a_tokenizer_of_another_make_is_not_kept() -> None:
    class Other:
        def __call__(self, texts: list[str]) -> object:
            return ORIGINAL(texts)

    assert kept_tokenizer(Other()) is None


def test_one_that_makes_other_tokens_is_not_kept() -> None:
    class Reversed(open_clip.tokenizer.SimpleTokenizer):  # type: ignore[misc]
        def encode(self, text: str) -> list[int]:
            found: list[int] = super().encode(text)
            return found[::-1]

    assert kept_tokenizer(Reversed()) is None
