"""Converts a CLIP model in torch: its towers to OpenVINO's, its tokenizer to a file."""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from runners.clip.openvino_forward import PICTURES, TEXTS
from runners.clip.tokens import KeptTokenizer, TokenizerFacts, file_of
from runners.clip.torch_forward import TorchForward
from runners.runtime.graph import convert
from runners.schemas import ClipInfo

_DIFFICULT = (
    "a photo of a cat",
    "",
    "  \t\n ",
    "Two RED cars, in front of a house's door -- they're 12,345.67 \u20ac!",
    "ein Bild: Stra\u00dfe, \u00e9t\u00e9 und e\u0301t\u00e9",
    "\u56f3\u8868\u306e\u5199\u771f, \u0e20\u0e32\u0e1e\u0e16\u0e48\u0e32\u0e22",
    "\u0635\u0648\u0631\u0629, \ud55c\uad6d\uc5b4, \u043f\u0440\u0438\u0432\u0435\u0442",
    "\U0001f469\u200d\U0001f52c\U0001f3fd and \U0001f600\U0001f600",
    "\ufe0f\u2122 x\u00b2 \u00bd \u2163",
    "&amp;lt;b&amp;gt; &eacute; The Mona Lisa doesn\u00e2\u20ac\u2122t \u201cquote\u201d \ufb01ne",
    "<start_of_text> a <end_of_text> b <|endoftext|> <pad> [SEP] [CLS] </s> <s> <unk> [MASK]",
    "don't 'S 'LL we'VE \u0130stanbul \u01c5 \u1e9e A_B-c.d/e\\f @#$%^*()+={}[]|;:'\"<>,.?~`",
    "a" * 300,
    "antidisestablishmentarianism " * 40,
    "\u200b\u00ad\u202eabc\u0000\u0007 \u3000x\u2028y \ud7ff",
)


def graphs_of(forward: TorchForward, info: ClipInfo) -> dict[str, Any]:
    """OpenVINO's models of both towers, for any number of items, and of positions of texts."""
    size, length = info.image_size, info.context_length
    pixels = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    tokens = torch.zeros(2, length, dtype=torch.int64)
    positions = torch.arange(length // 2)
    is_cut = forward.texts.ends.cuts
    example = (tokens, positions) if is_cut else (tokens,)
    return {
        PICTURES: convert(forward.pictures, [pixels], [[-1, size, size, 3]]),
        TEXTS: convert(forward.texts, example, [[-1, length], [-1]][: len(example)]),
    }


def kept_tokenizer(original: Any) -> tuple[str, dict[str, Any]] | None:
    """The file and the facts of open_clip's tokenizer; None where they make other tokens of texts.

    What they cannot do as well is done by open_clip then, which a start has to import for it.
    """
    expected = original(list(_DIFFICULT)).numpy()
    try:
        file, facts = _of_letters(original) if hasattr(original, "pat") else _of_library(original)
        values = asdict(facts)
        same = np.array_equal(KeptTokenizer(file, values)(_DIFFICULT), expected)
    except Exception:  # a tokenizer of another make has other parts
        return None
    return (file, values) if same else None


def _of_letters(original: Any) -> tuple[str, TokenizerFacts]:
    """Of open_clip 3.3's `SimpleTokenizer`."""
    pairs = sorted(original.bpe_ranks, key=original.bpe_ranks.__getitem__)
    special = [original.decoder[number] for number in original.all_special_ids]
    facts = TokenizerFacts(
        clean=_CLEANING[original.clean_fn.__name__],
        length=original.context_length,
        words=original.pat.pattern,
        first=original.sot_token_id,
        last=original.eot_token_id,
    )
    return file_of(original.encoder, pairs, special), facts


def _of_library(original: Any) -> tuple[str, TokenizerFacts]:
    """Of its `HFTokenizer` and `SigLipTokenizer`, after these have been used.

    Their tokenizer of the package transformers is one of tokenizers within, which keeps how the
    last texts were cut off and padded.
    """
    own = original.tokenizer
    clean = getattr(getattr(original, "clean_fn", None), "__name__", "_clean_canonicalize")
    facts = TokenizerFacts(
        clean=_CLEANING[clean],
        length=original.context_length,
        zeroed=own.sep_token_id if getattr(original, "strip_sep_token", False) else None,
    )
    return own.backend_tokenizer.to_str(), facts


_CLEANING = {
    "_clean_lower": "lower",
    "_clean_whitespace": "whitespace",
    "_clean_canonicalize": "canonicalize",
}
