"""Cutting off what is irrelevant: on drawn scores, and on the demo's scenes through the index."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from demo.models import CLIP_NAME, WEIGHTS
from demo.scenes.captions import COLORS, Item, describe
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import HELD_OUT_SEEDS
from demo.scenes.shapes import KINDS
from demo.training.retrieval import DemoClip
from store.index import ImageIndex
from store.schemas import ModelIdentity, NewImage, SearchQuery
from store.search.cutoff import KEEP_ALL, NEAREST, cutoff_score
from store.settings import StoreSettings

SCENES = 300


def f1(kept: NDArray[np.bool_], relevant: NDArray[np.bool_]) -> float:
    return float(2 * (kept & relevant).sum() / max(1, kept.sum() + relevant.sum()))


def falling(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.sort(scores.astype(np.float64))[::-1][:NEAREST]


def drawn(rows: int, relevant: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Scores of texts in the ranges of ViT-B-32."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate(
        [rng.normal(0.185, 0.022, rows - relevant), rng.normal(0.305, 0.015, relevant)]
    ).astype(np.float32)
    return scores, np.arange(rows) >= rows - relevant


@pytest.mark.parametrize(
    ("rows", "relevant", "least"),
    [
        (1000, 1, 0.95), (1000, 3, 0.88), (1000, 10, 0.87), (1000, 30, 0.9), (1000, 100, 0.87),
        (1000, 600, 0.95), (50, 5, 0.92),
    ],
)  # fmt: skip
def test_few_or_many_relevant_rows_are_told_from_the_rest(
    rows: int, relevant: int, least: float
) -> None:
    found = []
    for seed in range(60):
        scores, right = drawn(rows, relevant, seed)
        sample = np.random.default_rng(seed).permutation(scores)[:512]
        found.append(f1(scores >= cutoff_score(falling(scores), sample, rows), right))
    assert np.mean(found) >= least


@pytest.mark.parametrize(
    "scores", [np.full(100, 0.3), np.linspace(0.2, 0.3, 100), np.array([0.31, 0.18]), np.empty(0)]
)
def test_without_a_fall_nothing_is_left_out(scores: NDArray[np.float64]) -> None:
    best = falling(scores) if len(scores) else np.array([0.3])
    assert cutoff_score(best, scores.astype(np.float32), len(scores)) <= scores.min(initial=0.3)


@pytest.fixture(scope="module")
def clip() -> DemoClip:
    torch.set_num_threads(1)
    return DemoClip(WEIGHTS / CLIP_NAME)


def measured(
    folder: Path, clip: DemoClip, relevant: dict[str, NDArray[np.bool_]], pages: int = 0
) -> tuple[list[float], list[float]]:
    """F1 of each text's hits, and of all rows; of the first texts the pages are read, too."""
    scenes = [draw_scene(seed) for seed in HELD_OUT_SEEDS[:SCENES]]
    pictures = clip.encode_images([scene.picture for scene in scenes])
    vectors = clip.encode_texts(list(relevant))

    async def check() -> tuple[list[float], list[float]]:
        identity = ModelIdentity("demo", "demo", pictures.shape[1])
        index = await ImageIndex.open(StoreSettings(store_uri=str(folder)), identity)
        adds = [NewImage(f"https://example.org/{n}", each) for n, each in enumerate(pictures)]
        await asyncio.gather(*map(index.upsert, adds))
        found, flat = [], []
        for number, (text, right) in enumerate(relevant.items()):
            whole = SearchQuery(text=text, text_vector=vectors[number], limit=SCENES, cutoff=True)
            hits = await index.search(whole)
            kept = np.zeros(SCENES, bool)
            kept[[int(hit.url.rsplit("/")[-1]) for hit in hits]] = True
            found.append(f1(kept, right))
            flat.append(f1(np.ones(SCENES, bool), right))
            if number < pages:  # they agree with the whole
                page = [
                    await index.search(replace(whole, limit=3, offset=at))
                    for at in range(0, len(hits) + 1, 3)
                ]
                assert [hit.id for some in page for hit in some] == [hit.id for hit in hits]
        await index.close()
        return found, flat

    return asyncio.run(check())


def test_a_shape_is_cut_from_the_scenes_that_lack_it(tmp_path: Path, clip: DemoClip) -> None:
    scenes = [draw_scene(seed) for seed in HELD_OUT_SEEDS[:SCENES]]
    shown = [{Item(each.color, each.class_name) for each in scene.objects} for scene in scenes]
    items = [Item(color, kind) for color in COLORS for kind in KINDS]
    relevant = {describe([item]): np.array([item in each for each in shown]) for item in items}
    relevant = {text: right for text, right in relevant.items() if right.sum() >= 3}
    found, flat = measured(tmp_path, clip, relevant, pages=len(relevant))
    assert len(found) > 10
    assert np.mean(found) >= 0.65
    assert np.mean(found) > 3 * np.mean(flat)


def test_a_scene_is_cut_from_those_that_share_a_part_with_it(
    tmp_path: Path, clip: DemoClip
) -> None:
    captions = np.array([draw_scene(seed).caption for seed in HELD_OUT_SEEDS[:SCENES]])
    relevant = {text: captions == text for text in captions if " and " in text}
    found, _ = measured(tmp_path, clip, relevant)
    assert len(found) > 50
    assert np.mean(found) >= 0.85


def test_where_nothing_stands_out_half_of_the_best_is_the_least() -> None:
    scores = np.linspace(-0.1, 0.5, 100).astype(np.float32)
    assert cutoff_score(falling(scores), scores, 100) == pytest.approx(0.25)
    assert cutoff_score(falling(scores - 0.7), scores - 0.7, 100) == KEEP_ALL
