"""The filters against the plain model, over keys and values chosen to break out of SQL."""

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from store.index import ImageIndex
from store.metadata.filters import holds, is_broad
from store.schemas import SearchQuery
from tests.store.differential.model.filters import matches
from tests.store.differential.model.table import ModelTable
from tests.store.differential.model.values import Refused
from tests.store.differential.strategies import (
    FLOATS,
    INTEGERS,
    LISTS,
    MOMENTS,
    NASTY,
    filter_,
    seeded,
)
from tests.store.support import image, opened

# The first value makes the column's type.
COLUMNS: dict[str, list[Any]] = {
    "s'hop\"`": ["first", *NASTY, *MOMENTS],
    "_rowid": [7, *INTEGERS],
    "dotted.key with 🦊": [0.5, *FLOATS],
    "x' OR 1=1 --": [True, False],
    "\x00\n": MOMENTS,
    "SELECT": [["first"], *LISTS],
    "select": ["first", *NASTY],
}
_rng = random.Random(4)
ROWS: list[dict[str, Any]] = [{key: pool[0] for key, pool in COLUMNS.items()}] + [
    {key: _rng.choice([None, *pool]) for key, pool in COLUMNS.items() if _rng.random() < 0.8}
    for _ in range(120)
]
MODEL = ModelTable()
for _number, _row in enumerate(ROWS):
    MODEL.upsert(image(_number, _row))

Search = Callable[[dict[str, Any]], list[str]]


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    with asyncio.Runner() as runner:
        context = opened(tmp_path_factory.mktemp("filters"))
        index = runner.run(context.__aenter__())
        runner.run(_fill(index))

        def ask(node: dict[str, Any]) -> list[str]:
            hits = runner.run(index.search(SearchQuery(filter=node, limit=1000)))
            assert runner.run(index.count(node)) == len(hits)
            return [hit.id for hit in hits]

        yield ask
        runner.run(context.__aexit__(None, None, None))


async def _fill(index: ImageIndex) -> None:
    await index.upsert(image(0, ROWS[0]))
    await asyncio.gather(*(index.upsert(image(n, row)) for n, row in enumerate(ROWS) if n))


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(node=seeded(lambda rng: filter_(rng, list(COLUMNS))))
def test_every_filter_finds_what_the_model_finds(search: Search, node: dict[str, Any]) -> None:
    try:
        expected = MODEL.matching(node)
    except Refused as refused:  # what only a key of times that has widened can be asked for
        with pytest.raises(refused.error):
            search(node)
    else:
        assert search(node) == expected


@given(node=seeded(lambda rng: filter_(rng, list(COLUMNS))))
def test_what_holds_for_an_image_without_metadata(node: dict[str, Any]) -> None:
    try:
        expected = matches({}, node, MODEL.columns)
    except Refused:
        return
    assert holds(node, None) == expected


@pytest.mark.parametrize(
    ("node", "broad"),
    [
        ({"shop": "A"}, False),
        ({"shop": None}, True),
        ({"price": {"$gte": 3}}, False),
        ({"price": {"$gte": 3, "$lt": 9}}, False),
        ({"shop": {"$in": ["A", "B"]}}, False),
        ({"shop": {"$contains": "a"}}, False),
        ({"$and": [{"shop": {"$exists": True}}, {"price": {"$lt": 9}}]}, False),
        ({"shop": {"$exists": True}}, True),
        ({"shop": {"$exists": False}}, True),
        ({"shop": {"$ne": "no such shop"}}, True),
        ({"shop": {"$not": {"$in": ["A"]}}}, True),
        ({"shop": {"$contains": ""}}, True),
        ({"shop": {"$gte": ""}}, True),
        ({"$not": {"shop": {"$lt": ""}}}, True),
        ({"$or": [{"price": {"$gte": 3}}, {"price": {"$lt": 3}}]}, True),
        ({"$or": [{"price": {"$gt": 3}}, {"price": {"$lte": 3}}, {"shop": "A"}]}, True),
        ({"$or": [{"shop": "A"}, {"$not": {"shop": "A"}}]}, True),
    ],
)
def test_what_names_nothing_that_tells_images_apart(node: dict[str, Any], broad: bool) -> None:
    assert is_broad(node) is broad


@pytest.mark.parametrize("key", COLUMNS)
def test_every_value_of_a_column_is_found_by_equality(search: Search, key: str) -> None:
    for value in COLUMNS[key]:
        assert search({key: value}) == MODEL.matching({key: value})
