"""Searches for objects that are sorted, grouped or cut off, and facets of the objects' classes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.errors import QueryError, UnknownKeyError
from store.index import ImageIndex
from store.schemas import (
    Facet,
    FloatVector,
    GroupedObjectHit,
    NewImage,
    NewObjects,
    ObjectBox,
    ObjectHit,
    ObjectQuery,
    ObjectTerm,
    SearchQuery,
)
from tests.store.objects.objects import DETECTOR, showing
from tests.store.search.test_objects import Known, assert_same, drawn, expected, found, new, some
from tests.store.support import image, opened, run, url_of, vector

IMAGES = some(150, seed=8)
SHARED = {known.id: f"pixels {n % 20}" for n, known in enumerate(IMAGES)}
TERMS = tuple(ObjectTerm(each) for each in drawn(np.random.default_rng(9), 2))
BOX = ObjectBox("dog", 0.9, (0.0, 0.0, 0.5, 0.5))


def price_of(known: Known) -> int:
    return int(known.id[-2:]) % 7


@asynccontextmanager
async def filled(folder: Path) -> AsyncIterator[ImageIndex]:
    async with opened(folder, DETECTOR) as index:
        for known in IMAGES:
            added = replace(new(known), pixels=SHARED[known.id])
            metadata = {"shop": known.shop, "price": price_of(known)}
            await index.upsert(replace(added, metadata=metadata))
        yield index


def firsts(ranked: list[Any], key: Any) -> list[Any]:
    """Of each value of a key the first."""
    seen: dict[Any, Any] = {}
    for one in ranked:
        seen.setdefault(key(one[0]), one)
    return list(seen.values())


def test_pages_in_other_orders_and_of_groups(tmp_path: Path) -> None:
    by_id = {known.id: known for known in IMAGES}

    async def check() -> None:
        async with filled(tmp_path) as index:
            for terms in (TERMS[:1], TERMS):
                asked = SearchQuery(objects=ObjectQuery(terms), limit=7, offset=2)
                ranked = expected(IMAGES, terms)
                least = ranked[60][1]
                query = replace(asked, sort=("-price", "shop"), min_score=least - 1e-5)
                falling = sorted(
                    sorted(ranked[:61], key=lambda one: one[0], reverse=True),  # newest first
                    key=lambda one: (-price_of(by_id[one[0]]), by_id[one[0]].shop),
                )
                assert_same(await found(index, query), falling[2:9])
                query = replace(asked, group_by="price", limit=4, offset=1)
                groups = firsts(ranked, lambda own: price_of(by_id[own]))
                assert_same(await found(index, query), groups[1:5])
                query = replace(asked, distinct=True, limit=30, offset=0)
                assert_same(await found(index, query), firsts(ranked, SHARED.__getitem__))
                query = replace(asked, group_by="shop", filter={"price": 3}, offset=0)
                hits = (await index.find(query)).hits
                sizes = Counter(each.shop for each in IMAGES if price_of(each) == 3)
                told = {h.metadata["shop"]: h.group_size for h in hits}  # type: ignore[attr-defined,index]
                assert told == dict(sizes)
                assert all(isinstance(hit, GroupedObjectHit) and hit.numbers for hit in hits)
            with pytest.raises(UnknownKeyError):
                await index.find(replace(asked, sort=("colour",)))
            with pytest.raises(QueryError, match="page by offset"):
                await index.find(replace(asked, cursor="x"))

    run(check())


def near(query: FloatVector, rng: np.random.Generator) -> FloatVector:
    mixed = query + 0.1 * drawn(rng, 1)[0]
    return np.asarray(mixed / np.linalg.norm(mixed), np.float32)


@pytest.mark.parametrize("terms", [1, 2])
def test_a_cutoff_leaves_what_stands_out(tmp_path: Path, terms: int) -> None:
    rng = np.random.default_rng(10)
    asked = TERMS[:terms]

    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            adding = []
            for n in range(200):
                vectors = drawn(rng, 4)
                if n < 9:
                    for place, term in enumerate(asked):
                        vectors[place] = near(term.vector, rng)
                of = NewObjects((9, 9), (BOX,) * 4, 0, vectors)
                metadata = {"n": n}
                adding.append(NewImage(url_of(n), vector(n), metadata, own_id=str(n), objects=of))
            await asyncio.gather(*map(index.upsert, adding))
            query = SearchQuery(objects=ObjectQuery(asked), cutoff=True, limit=100)
            hits = (await index.find(query)).hits
            assert {int(hit.id) for hit in hits} == set(range(9))
            assert [hit.id for hit in (await index.find(replace(query, offset=4))).hits] == [
                hit.id for hit in hits[4:]
            ]
            hits = (await index.find(replace(query, cutoff=False, sort=("-n",)))).hits
            assert [int(hit.id) for hit in hits] == list(range(9))[::-1]

    run(check())


def test_a_cutoff_counts_whole_images_where_these_count(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    query = TERMS[0].vector

    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            adding = []
            for n in range(120):
                whole, vectors = drawn(rng, 2)[0], drawn(rng, 3)
                if n < 3:
                    whole = near(query, rng)
                elif n < 6:
                    vectors[1] = near(query, rng)
                of = None if n % 10 == 9 else NewObjects((9, 9), (BOX,) * 3, 0, vectors)
                adding.append(NewImage(url_of(n), whole, own_id=str(n), objects=of))
            await asyncio.gather(*map(index.upsert, adding))
            both = ObjectQuery(TERMS[:1], both=True)
            asked = SearchQuery(vector=query, objects=both, cutoff=True, limit=100)
            hits = (await index.find(asked)).hits
            assert {int(hit.id) for hit in hits} == set(range(6))
            told = {int(hit.id): hit.numbers for hit in hits if isinstance(hit, ObjectHit)}
            assert told == {n: () if n < 3 else (1,) for n in range(6)}

    run(check())


def test_classes_are_a_facet(tmp_path: Path) -> None:
    async def check() -> None:
        none = Facet("$objects", "list of strings", 0, values=[])
        async with opened(tmp_path) as index:
            await index.upsert(image(0, {"shop": "A"}))
            assert (await index.find(SearchQuery(facets=("$objects",)))).facets == [none]
        async with opened(tmp_path, DETECTOR) as index:
            for n, names in enumerate((["dog", "dog", "cat"], ["cat"], [], ["a:1", "dog"])):
                await index.upsert(showing(n + 1, *names, metadata={"shop": "AB"[n % 2]}))
            values: list[tuple[str | bool, int]] = [("cat", 2), ("dog", 2), ("a:1", 1)]
            asked = SearchQuery(facets=("shop", "$objects"), limit=1)
            shops, classes = (await index.find(asked)).facets or (none, none)
            assert (shops.key, classes) == ("shop", replace(none, count=3, values=values))
            term = ObjectTerm(vector(1))
            asked = replace(asked, filter={"shop": "B"}, objects=ObjectQuery((term,)), total=True)
            told = await index.find(asked)
            values = [("a:1", 1), ("cat", 1), ("dog", 1)]
            assert (told.total, (told.facets or [])[1:]) == (
                2,
                [replace(none, count=2, values=values)],
            )
            asked = SearchQuery(filter={"$objects": {"class_name": "cat"}}, facets=("$objects",))
            values = [("cat", 2), ("dog", 1)]
            assert (await index.find(asked)).facets == [replace(none, count=2, values=values)]

    run(check())
