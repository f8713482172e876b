"""Published texts with judgements that ship in packages, and vectors of a model that does.

- Lee, Pincombe and Welsh, "An Empirical Evaluation of Models of Text Document Similarity", CogSci
  2005: 50 news texts and how much alike people found each two of them. In gensim's tests.
- Semanlink, a person's bookmarks of fifteen years, each tagged by hand: a tag is the query, and
  relevant is what has it. In cherche, all 7,300, and 314 papers with their abstracts.

WordLlama's vectors are the mean of those of a text's tokens, of 256 dimensions. The packages are a
group of their own, `uv run --group collections`; their files are read, none of their code is run.
"""

import importlib.util
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from bench.relevance.collection import Collection, Gains
from store.schemas import FloatVector

_PACKAGES = ("cherche", "gensim", "wordllama")
_LEAST_ALIKE = 0.2
"""What people gave to two texts that have nothing in common."""
_QUERIES = 800
_TAGGED = (2, 100)
"""On how many pages a tag has to be, at least and at most."""


def are_installed() -> bool:
    """Whether the packages are there."""
    return all(importlib.util.find_spec(each) for each in _PACKAGES)


def published() -> list[Collection]:
    """The collections."""
    model = WordLlama()
    papers = _semanlink(model, "arxiv.json", "Semanlink, papers")
    return [_lee(model), papers, _semanlink(model, "docs.json", "Semanlink, all pages")]


class WordLlama:
    """The model's table of vectors, and its tokens."""

    def __init__(self) -> None:
        folder = _folder_of("wordllama")
        weights = load_file(folder / "weights" / "l2_supercat_256.safetensors")
        self._vectors = weights["embedding.weight"].astype(np.float32)
        tokens = folder / "tokenizers" / "l2_supercat_tokenizer_config.json"
        self._tokenizer = Tokenizer.from_file(str(tokens))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def encode(self, texts: Sequence[str]) -> FloatVector:
        """Texts to float32 [n, 256] of unit length."""
        tokens = [self._tokenizer.encode(text or " ", add_special_tokens=False) for text in texts]
        means = np.stack([self._vectors[each.ids or [0]].mean(axis=0) for each in tokens])
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def _folder_of(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"{package} is not installed: uv run --group collections")
    return Path(found.submodule_search_locations[0])


def _lee(model: WordLlama) -> Collection:
    folder = _folder_of("gensim") / "test" / "test_data"
    texts = (folder / "lee.cor").read_text("latin-1").strip().split("\n")
    half = np.loadtxt(folder / "similarities0-1.txt")
    gains: Gains = (np.maximum(half, half.T) - _LEAST_ALIKE).clip(0).astype(np.float32)
    np.fill_diagonal(gains, 0)
    vectors = model.encode(texts)
    metadata = [{"text": text} for text in texts]
    return Collection("Lee", vectors, metadata, texts, vectors, gains, without_itself=True)


def _semanlink(model: WordLlama, file: str, name: str) -> Collection:
    folder = _folder_of("cherche") / "data" / "semanlink"
    pages = json.loads((folder / file).read_text("utf-8"))
    tags = json.loads((folder / "tags.json").read_text("utf-8"))
    metadata = [_texts_of(page) for page in pages]
    tagged: defaultdict[str, list[int]] = defaultdict(list)
    for number, page in enumerate(pages):
        for tag in page["tag"]:
            tagged[tag].append(number)
    few, many = _TAGGED
    known = [tag for tag in sorted(tagged) if tag in tags and tags[tag]["prefLabel"]]
    asked = [tag for tag in known if few <= len(set(tagged[tag])) <= many]
    asked = [asked[n] for n in np.random.default_rng(3).permutation(len(asked))[:_QUERIES]]
    gains: Gains = np.zeros((len(asked), len(pages)), np.float32)
    for number, tag in enumerate(asked):
        gains[number, tagged[tag]] = 1
    texts = [tags[tag]["prefLabel"][0] for tag in asked]
    vectors = model.encode([" ".join(each.values()) for each in metadata])
    return Collection(name, vectors, metadata, texts, model.encode(texts), gains)


def _texts_of(page: dict[str, Any]) -> dict[str, str]:
    found = {
        "title": page["arxiv_title"] or page["title"],
        "summary": page["arxiv_summary"],
        "comment": page["comment"],
    }
    return {key: text for key, text in found.items() if text}
