"""Searches for objects, against a comparison with every object of every image."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import store.search.objects.best as searched
from store.errors import FilterError, QueryError
from store.index import ImageIndex
from store.schemas import (
    FloatVector,
    NewImage,
    NewObjects,
    ObjectBox,
    ObjectHit,
    ObjectQuery,
    ObjectTerm,
    SearchQuery,
)
from tests.store.objects.objects import DETECTOR, objects, showing
from tests.store.support import DIM, image, opened, run, url_of, vector

CLASSES = ("dog", "cat", "car")


@dataclass(frozen=True)
class Known:
    """An image as it was stored."""

    id: str
    shop: str
    vector: FloatVector
    boxes: tuple[ObjectBox, ...]
    vectors: FloatVector


def drawn(rng: np.random.Generator, count: int) -> FloatVector:
    vectors = rng.normal(size=(count, DIM))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def some(count: int, seed: int) -> list[Known]:
    rng = np.random.default_rng(seed)
    images = []
    for n in range(count):
        boxes = tuple(
            ObjectBox(
                str(rng.choice(CLASSES)),
                round(float(rng.uniform(0.25, 1)), 2),
                (0.0, 0.0, round(float(rng.uniform(0.1, 1)), 2), 0.5),
            )
            for _ in range(rng.integers(0, 5))
        )
        own = str(rng.choice(("A", "A", "A", "B")))
        images.append(
            Known(f"own-{n:04}", own, drawn(rng, 1)[0], boxes, drawn(rng, max(len(boxes), 1)))
        )
    return images


def new(known: Known) -> NewImage:
    objects = NewObjects((100, 100), known.boxes, 0, known.vectors[: len(known.boxes)])
    metadata = {"shop": known.shop}
    return NewImage(url_of(1), known.vector, metadata, own_id=known.id, objects=objects)


def expected(
    images: list[Known],
    terms: tuple[ObjectTerm, ...],
    fits: Callable[[Known], bool] = lambda _: True,
    may: Callable[[ObjectBox], bool] = lambda _: True,
) -> list[tuple[str, float, tuple[int, ...]]]:
    """All images that have an object which may match, the best first, with the objects."""
    found = []
    weights = np.array([term.weight for term in terms])
    for each in filter(fits, images):
        which = [n for n, box in enumerate(each.boxes) if may(box)]
        if which:
            own = each.vectors[which].astype(np.float64)
            scores = np.stack([own @ term.vector for term in terms])
            mean = float(weights @ scores.max(axis=1) / weights.sum())
            found.append((each.id, mean, tuple(which[n] for n in scores.argmax(axis=1).tolist())))
    return sorted(found, key=lambda one: (-one[1], one[0]))


async def found(index: ImageIndex, query: SearchQuery) -> list[tuple[str, float, tuple[int, ...]]]:
    hits = (await index.find(query)).hits
    told = []
    for hit in hits:
        assert isinstance(hit, ObjectHit)
        assert hit.score is not None
        told.append((hit.id, hit.score, hit.numbers))
    return told


def assert_same(own: list[Any], right: list[Any]) -> None:
    assert [(one[0], one[2]) for one in own] == [(one[0], one[2]) for one in right]
    assert [one[1] for one in own] == pytest.approx([one[1] for one in right], abs=2e-6)


@pytest.fixture(params=["few images", "many images", "few keys", "many keys"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images are few, or many, where files tell of them or not; few objects are looked at."""
    if "keys" in request.param:
        monkeypatch.setattr(searched, "can_look", lambda *_: False)
    if "many" in request.param:
        monkeypatch.setattr(searched, "FEW_IMAGES", 7)
        monkeypatch.setattr(searched, "FEW_ROWS", 7)
    monkeypatch.setattr(searched, "_LEAST", 4)
    monkeypatch.setattr(searched, "_MOST", 64)


@pytest.mark.usefixtures("few")
def test_each_search_finds_what_a_comparison_with_all_finds(tmp_path: Path) -> None:
    images = some(120, seed=3)
    rng = np.random.default_rng(4)

    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            for some_of_them in (images[:60], images[60:100], *([each] for each in images[100:])):
                await asyncio.gather(*(index.upsert(new(known)) for known in some_of_them))
            for n in range(40):
                one, other = (ObjectTerm(each, is_text=n % 2 > 0) for each in drawn(rng, 2))
                terms = (one,) if n % 3 else (one, replace(other, weight=0.5))
                asked, fits, may = ObjectQuery(terms), lambda _: True, lambda _: True
                query = SearchQuery(objects=asked, limit=1 + n % 7, offset=n % 5)
                if n % 4 > 1:
                    query = replace(query, filter={"shop": "B"})
                    fits = lambda known: known.shop == "B"  # noqa: E731
                if n % 5 > 2:
                    only = {"class_name": "dog", "confidence": {"$gte": 0.6}, "area": {"$lt": 0.4}}
                    query = replace(query, objects=replace(asked, only=only))
                    may = lambda box: (  # noqa: E731
                        box.class_name == "dog"
                        and box.confidence >= 0.6
                        and box.xyxy[2] * 0.5 < 0.4
                    )
                right = expected(images, terms, fits, may)
                page = right[query.offset : query.offset + query.limit]
                assert_same(await found(index, query), page)

    run(check())


def test_large_tables_with_indexes_find_the_same(tmp_path: Path) -> None:
    images = some(700, seed=5)

    async def check() -> None:
        async with opened(tmp_path, DETECTOR, store_vector_index_rows=1000) as index:
            await asyncio.gather(*(index.upsert(new(known)) for known in images[:600]))
            report = await index.run_upkeep()
            assert report is not None
            assert any("vector index" in each and "objects" in each for each in report.did)
            for known in images[600:]:
                await index.upsert(new(known))
            hits = total = 0
            for query in drawn(np.random.default_rng(6), 20):
                term = (ObjectTerm(query),)
                right = {one[0] for one in expected(images, term)[:10]}
                own = await found(index, SearchQuery(objects=ObjectQuery(term)))
                hits, total = hits + len(right & {one[0] for one in own}), total + 10
            assert hits / total >= 0.98

    run(check())


def test_both_takes_the_better(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(showing(1, "dog", "cat"))
            await index.upsert(image(2))
            await index.upsert(showing(3))
            whole, part = vector(2), objects(1, "dog", "cat").vectors[1]
            for query, first, numbers in ((whole, 2, ()), (part, 1, (1,))):
                asked = ObjectQuery((ObjectTerm(query),), both=True)
                hits = (await index.find(SearchQuery(vector=query, objects=asked))).hits
                assert len(hits) == 3
                best = hits[0]
                assert isinstance(best, ObjectHit)
                assert (best.url, best.score, best.numbers) == (url_of(first), 1.0, numbers)
            alone = SearchQuery(
                objects=ObjectQuery((ObjectTerm(part),)), min_score=0.99, total=True
            )
            told = await index.find(alone)
            assert ([hit.url for hit in told.hits], told.total) == ([url_of(1)], 3)

    run(check())


def test_what_is_not_named_is_not_found(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            first = showing(1, "dog")
            assert first.objects is not None
            await index.upsert(first)
            await index.upsert(showing(1, "cat", "cat"))
            await index.upsert(showing(2, "car"))
            await index.delete([showing(2).id])
            asked = ObjectQuery((ObjectTerm(first.objects.vectors[0]),))
            [hit] = (await index.find(SearchQuery(objects=asked))).hits
            assert isinstance(hit, ObjectHit)
            assert hit.looked_into is not None
            assert [box.class_name for box in hit.looked_into.boxes] == ["cat", "cat"]
            stored = await index.object_vector(hit.id, 1)
            assert stored is not None
            assert np.array_equal(stored, objects(1, "cat", "cat").vectors[1])
            assert await index.object_vector(hit.id, 2) is None
            assert await index.object_vector("nobody", 0) is None

    run(check())


def test_without_objects_there_are_none(tmp_path: Path) -> None:
    asked = SearchQuery(objects=ObjectQuery((ObjectTerm(vector(1)),)))

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            with pytest.raises(QueryError, match="no objects"):
                await index.find(asked)
        async with opened(tmp_path, DETECTOR) as index:
            assert (await index.find(asked)).hits == []

    run(check())


TERM = ObjectTerm(vector(1))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (SearchQuery(objects=ObjectQuery(())), "needs a picture"),
        (SearchQuery(objects=ObjectQuery((replace(TERM, weight=-1),))), "weights above 0"),
        (SearchQuery(objects=ObjectQuery((TERM,)), sort=("price",)), "price"),
        (SearchQuery(objects=ObjectQuery((TERM,)), group_by="shop"), "shop"),
        (SearchQuery(objects=ObjectQuery((TERM,)), cursor="x"), "page by offset"),
        (SearchQuery(objects=ObjectQuery((TERM,), {"colour": "red"})), "no 'colour'"),
        (SearchQuery(objects=ObjectQuery((TERM,), {"area": "large"})), "area"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path: Path, query: SearchQuery, message: str) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(showing(1, "dog"))
            with pytest.raises((QueryError, FilterError), match=message):
                await index.find(query)

    run(check())
