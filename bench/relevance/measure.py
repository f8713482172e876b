"""Are words and vectors together ahead of either, and does the cutoff end where what fits ends?

Rankings by words alone, by vectors alone and fused, by nDCG@10: over the demo's scenes, which are
described, named, or both, and over published texts with the judgements of people. What the fusion
weighs by was chosen on half of the queries, and is measured on the others. Then the cutoff, by F1,
on other scenes and draws than those that it was chosen on::

    uv run --group collections python -m bench relevance
"""

import asyncio
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bench.relevance.collection import DEPTH, Collection, halves
from bench.relevance.cutoffs import LEAST_F1, f1_table
from bench.relevance.published import are_installed, published
from bench.relevance.scenes import Scenes
from bench.report import Cell, Limit, Report
from demo.scenes.seeds import HELD_OUT_SEEDS, SHOW_SEEDS
from store.index import ImageIndex
from store.metadata.predicates import ALWAYS
from store.schemas import ModelIdentity, NewImage, SearchQuery
from store.search.words.full_text import matching
from store.settings import StoreSettings

SCENES = 1500
_RRF_K = 60
_LIST = 256
_BATCH = 500
RANKINGS = ("words", "vectors", "by reciprocal rank", "fused")
Qualities = NDArray[np.float64]
"""nDCG@10, [queries, rankings]."""


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--scenes", type=int, default=SCENES, help="rows of the demo's tables")
    parser.add_argument("--only", choices=("scenes", "published", "cutoff"))


def run(given: Namespace, report: Report) -> list[Limit]:
    torch.set_num_threads(1)
    limits = []
    if given.only in (None, "scenes", "published"):
        limits += _fusion(_collections(given, report), report)
    if given.only in (None, "cutoff"):
        limits += _cutoff(given.scenes, report)
    return limits


def _collections(given: Namespace, report: Report) -> Iterable[Collection]:
    if given.only != "published":
        scenes = Scenes(HELD_OUT_SEEDS[: given.scenes])
        yield scenes.with_captions(800)
        yield scenes.with_names(600)
        yield scenes.with_both(900)
    if given.only != "scenes":
        if are_installed():
            yield from published()
        else:
            report.say("the published collections are not installed: uv run --group collections\n")


def _fusion(collections: Iterable[Collection], report: Report) -> list[Limit]:
    rows: list[tuple[Cell, ...]] = []
    limits = []
    for each in collections:
        found, held = asyncio.run(qualities(each)), halves(len(each.texts))
        for half, own in (("chosen on", ~held), ("held out", held)):
            of_half = found[own].mean(axis=0)
            rows.append((each.name, half, int(own.sum()), *(float(one) for one in of_half)))
        ahead = float(of_half[-1] - of_half[:2].max())
        # Of the mixed collection: ahead, not as good.
        least = 0.001 if "both" in each.name else 0
        limits.append(Limit(f"fused, less the better of two: {each.name}", ahead, least=least))
    report.table(["collection", "half", "queries", *RANKINGS], rows, "nDCG@10")
    return limits


async def qualities(collection: Collection) -> Qualities:
    """nDCG@10 of each query by each of the `RANKINGS`, in a table of the collection."""
    dim = collection.vectors.shape[1]
    with tempfile.TemporaryDirectory() as folder:
        settings, model = StoreSettings(store_uri=folder), ModelIdentity("model", "own", dim)
        index = await ImageIndex.open(settings, model)
        await _fill(index, collection)
        found = [await _of_query(index, collection, n) for n in range(len(collection.texts))]
        await index.close()
    return np.array(found)


async def _fill(index: ImageIndex, collection: Collection) -> None:
    pairs = zip(collection.vectors, collection.metadata, strict=True)
    images = [NewImage(str(n), vector, texts) for n, (vector, texts) in enumerate(pairs)]
    for start in range(0, len(images), _BATCH):
        await asyncio.gather(*map(index.upsert, images[start : start + _BATCH]))
    await index.run_upkeep()


async def _of_query(index: ImageIndex, collection: Collection, number: int) -> list[float]:
    text, vector = collection.texts[number], collection.text_vectors[number]
    snapshot = await index.snapshots.latest()
    rows, _ = matching(snapshot, text, _LIST, ALWAYS)
    words = [int(url) for url in snapshot.take(rows, ["url"])["url"].to_pylist()]
    near = await index.search(SearchQuery(vector=vector, limit=_LIST))
    fused = await index.search(SearchQuery(text=text, text_vector=vector, limit=DEPTH + 1))
    vectors = [int(hit.url) for hit in near]
    orders = words, vectors, by_reciprocal_rank(words, vectors), [int(hit.url) for hit in fused]
    return [collection.ndcg(number, order) for order in orders]


def by_reciprocal_rank(*orders: Sequence[int]) -> list[int]:
    """Cormack, Clarke and Büttcher, SIGIR 2009, with k = 60: what the fusion was before."""
    totals: dict[int, float] = {}
    for order in orders:
        for rank, row in enumerate(order, start=1):
            totals[row] = totals.get(row, 0) + 1 / (_RRF_K + rank)
    return sorted(totals, key=lambda row: -totals[row])


def _cutoff(scenes: int, report: Report) -> list[Limit]:
    chosen = f1_table(HELD_OUT_SEEDS[:scenes], range(1, 7))
    held = f1_table(SHOW_SEEDS[:scenes], range(11, 17))
    names = [*next(iter(held.values()))]
    rows = [
        (kind, half, *(found[kind][name] for name in names))
        for kind in held
        for half, found in (("chosen on", chosen), ("held out", held))
    ]
    report.table(["what is asked", "half", *names], rows, "F1 of the cutoff, by how many rows fit")
    return [
        Limit(f"F1 of the cutoff, {kind}", held[kind]["all"] or 0, least=least)
        for kind, least in LEAST_F1.items()
    ]
