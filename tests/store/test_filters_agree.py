"""The filters against the plain model, over keys and values chosen to break out of SQL."""

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.index import ImageIndex
from store.schemas import SearchQuery, image_id
from tests.store.model import matches
from tests.store.support import image, opened, url_of

NASTY = [
    "",
    "'",
    "''",
    "\\",
    "\\'",
    "\\' OR true --",
    "x' OR 1=1 --",
    '"',
    "`",
    "%",
    "a_b",
    "null",
    "true",
    "\x00",
    "a\nb",
    "\r",
    "\u2028",
    "é",
    "e\u0301",
    "🦊",
    "\uffff",
    "\U0010ffff",
    "Ω); DROP TABLE images; --",
    "${x}",
    "{}",
    "/* */",
    "2024-05-01",
    "7",
]
MOMENTS = [
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "2024-05-01T12:00:00+02:00",
    "2024-05-01T10:00:00.000001Z",
    "9999-12-31T23:59:59.999999Z",
]
INTEGERS = [0, 1, -1, 7, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), -(2**63) + 1]
FLOATS = [0.0, -0.0, 1.5, -2.25, 0.1, 1e308, -1e308, 5e-324, 1e22, 2.0**63]
LISTS: list[list[str]] = [[], [""], ["'"], ["a", "b"], ["b", "a"], ["x' OR 1=1 --", "🦊"], ["a"]]

# The keys are as nasty as the values; `first` makes the column's type.
COLUMNS: dict[str, tuple[list[Any], list[Any]]] = {
    "s'hop\"`": (["first"], NASTY + MOMENTS),
    "_rowid": ([7], INTEGERS),
    "dotted.key with 🦊": ([0.5], FLOATS),
    "x' OR 1=1 --": ([True], [True, False]),
    "\x00\n": (["2020-02-02T02:02:02Z"], MOMENTS),
    "SELECT": ([["first"]], LISTS),
    "select": (["first"], NASTY),
}
KEYS = list(COLUMNS)
MOMENT_KEYS = frozenset({"\x00\n"})
ORDERED = ["$lt", "$lte", "$gt", "$gte"]
_rng = random.Random(4)
ROWS: list[dict[str, Any]] = [{key: first[0] for key, (first, _) in COLUMNS.items()}] + [
    {key: _rng.choice([None, *pool]) for key, (_, pool) in COLUMNS.items() if _rng.random() < 0.8}
    for _ in range(120)
]

Search = Callable[[dict[str, Any]], set[str]]


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    with asyncio.Runner() as runner:
        context = opened(tmp_path_factory.mktemp("filters"))
        index = runner.run(context.__aenter__())
        runner.run(_fill(index))

        def ask(node: dict[str, Any]) -> set[str]:
            hits = runner.run(index.search(SearchQuery(filter=node, limit=1000)))
            assert runner.run(index.count(node)) == len(hits)
            return {hit.id for hit in hits}

        yield ask
        runner.run(context.__aexit__(None, None, None))


async def _fill(index: ImageIndex) -> None:
    await index.upsert(image(0, ROWS[0]))
    await asyncio.gather(*(index.upsert(image(n, row)) for n, row in enumerate(ROWS) if n))


def operands(key: str) -> st.SearchStrategy[Any]:
    kind = COLUMNS[key][0][0]
    pool = st.sampled_from(COLUMNS[key][1])
    if isinstance(kind, bool):
        return pool
    if isinstance(kind, int):
        return pool | st.integers(-(2**70), 2**70) | st.sampled_from(FLOATS)
    if isinstance(kind, float):
        return pool | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9)
    if isinstance(kind, list):
        return pool | st.sampled_from(["", "a", "b", "'", "🦊", "x' OR 1=1 --"])
    return pool if key in MOMENT_KEYS else pool | st.text(max_size=5)


@st.composite
def conditions(draw: st.DrawFn, key: str, depth: int = 2) -> dict[str, Any]:
    kind = COLUMNS[key][0][0]
    names = ["$eq", "$ne", "$in", "$nin", "$exists"] + (["$not"] if depth else [])
    if not isinstance(kind, bool | list):
        names += ORDERED
    if isinstance(kind, list) or (isinstance(kind, str) and key not in MOMENT_KEYS):
        names.append("$contains")
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return {name: draw(operand_of(key, name, depth)) for name in chosen}


def operand_of(key: str, name: str, depth: int) -> st.SearchStrategy[Any]:
    if name == "$exists":
        return st.booleans()
    if name == "$not":
        return conditions(key, depth - 1)
    if name == "$contains":
        return st.sampled_from(NASTY) | st.text(max_size=2)
    with_null = st.none() | operands(key)
    if name in ("$in", "$nin"):
        return st.lists(with_null, max_size=4)
    return operands(key) if name in ORDERED else with_null


def entries(key: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda operand: {key: operand}, st.none() | operands(key) | conditions(key))


FILTERS = st.recursive(
    st.sampled_from(KEYS).flatmap(entries) | st.just({}),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"$not": part}, inner),
        st.builds(lambda one, other: {**one, **other}, inner, inner),
    ),
    max_leaves=6,
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(node=FILTERS)
def test_every_filter_finds_what_the_model_finds(search: Search, node: dict[str, Any]) -> None:
    wanted = {image_id(url_of(n)) for n, row in enumerate(ROWS) if matches(row, node, MOMENT_KEYS)}
    assert search(node) == wanted


@pytest.mark.parametrize("key", KEYS)
def test_every_value_of_a_column_is_found_by_equality(search: Search, key: str) -> None:
    for value in COLUMNS[key][1]:
        wanted = {
            image_id(url_of(n))
            for n, row in enumerate(ROWS)
            if matches(row, {key: value}, MOMENT_KEYS)
        }
        assert search({key: value}) == wanted
