"""F1 of the cutoff: on the demo's scenes, and on drawn scores in the ranges of a CLIP's."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.models import CLIP_NAME, WEIGHTS
from demo.scenes.captions import COLORS, Item, describe
from demo.scenes.scenes import draw_scene
from demo.scenes.shapes import KINDS
from demo.training.retrieval import DemoClip
from store.schemas import FloatVector
from store.search.cutoff import NEAREST, cutoff_score
from store.snapshot.known import sampled
from store.snapshot.snapshot import SAMPLE_ROWS

CAPTION, PICTURE, SHAPE = "exact captions", "pictures", "one shape"
DRAWN = "drawn, apart (0.305 to 0.185)"
LEAST_F1 = {CAPTION: 0.85, PICTURE: 0.92, DRAWN: 0.92}
"""What is required, over queries of all numbers of rows that fit."""

BUCKETS = {"1": 1, "2 to 5": 5, "6 to 17": 17, "18 to 55": 55, "56 to 150": 150}
_PICTURES = 150
_DRAWS = {
    # Mean and deviation of what fits, and of the rest: as ViT-B-32 has them for clear texts, and
    # for ones that overlap more and more.
    DRAWN: (0.305, 0.015, 0.185, 0.022),
    "drawn, nearer (0.29 to 0.18)": (0.29, 0.02, 0.18, 0.025),
    "drawn, near (0.27 to 0.19)": (0.27, 0.015, 0.19, 0.02),
}


class Case(NamedTuple):
    """Scores of all rows of a table, float32 [rows], and which fit, bool [rows]."""

    kind: str
    scores: FloatVector
    fit: NDArray[np.bool_]


def f1_table(seeds: Sequence[int], draws: Sequence[int]) -> dict[str, dict[str, float | None]]:
    """Mean F1 by what is asked and by how many rows fit, and over all.

    Args:
        seeds: of the scenes of the table.
        draws: seeds of the drawn scores.
    """
    found: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for source in (_scenes(seeds), *(_drawn(seed) for seed in draws)):
        for case in source:
            found[case.kind].append((int(case.fit.sum()), f1(case)))
    return {kind: _means(own) for kind, own in found.items()}


def f1(case: Case) -> float:
    """F1 of what the cutoff leaves."""
    rows = len(case.scores)
    best = np.sort(case.scores.astype(np.float64))[::-1][:NEAREST]
    least = cutoff_score(best, case.scores[sampled(rows, SAMPLE_ROWS)], rows)
    left = case.scores >= least
    return float(2 * (left & case.fit).sum() / max(1, left.sum() + case.fit.sum()))


def _means(own: Sequence[tuple[int, float]]) -> dict[str, float | None]:
    counts, values = np.array([count for count, _ in own]), np.array([value for _, value in own])
    found: dict[str, float | None] = {"all": float(values.mean())}
    least = 1
    for name, most in BUCKETS.items():
        among = (counts >= least) & (counts <= most)
        found[name] = float(values[among].mean()) if among.any() else None
        least = most + 1
    return found


def _scenes(seeds: Sequence[int]) -> Iterator[Case]:
    """Every caption, which fits what has just these shapes; every shape; and some pictures."""
    clip = DemoClip(WEIGHTS / CLIP_NAME)
    scenes = [draw_scene(seed) for seed in seeds]
    vectors = clip.encode_images([scene.picture for scene in scenes])
    captions = np.array([scene.caption for scene in scenes])
    shown = [{Item(each.color, each.class_name) for each in scene.objects} for scene in scenes]
    texts = sorted(set(captions.tolist()))
    for text, scores in zip(texts, clip.encode_texts(texts) @ vectors.T, strict=True):
        yield Case(CAPTION, scores, captions == text)
    items = [Item(color, kind) for color in COLORS for kind in KINDS]
    vectors_of_items = clip.encode_texts([describe([item]) for item in items])
    for item, scores in zip(items, vectors_of_items @ vectors.T, strict=True):
        yield Case(SHAPE, scores, np.array([item in own for own in shown]))
    for number in np.random.default_rng(1).permutation(len(scenes))[:_PICTURES]:
        yield Case(PICTURE, vectors @ vectors[number], captions == captions[number])


def _drawn(seed: int) -> Iterator[Case]:
    """Normal scores of tables of 1,000 and 20,000 rows of which 1 to 100 fit."""
    rng = np.random.default_rng(seed)
    for kind, (high, high_deviation, low, low_deviation) in _DRAWS.items():
        for rows in (1000, 20_000):
            for fit in (1, 3, 10, 30, 100):
                scores = rng.normal(low, low_deviation, rows)
                places = rng.permutation(rows)[:fit]
                scores[places] = rng.normal(high, high_deviation, fit)
                yield Case(kind, scores.astype(np.float32), np.isin(np.arange(rows), places))
