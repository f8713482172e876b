"""Pages of large tables by the span that they are in: the same as by sorting all rows."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from store.index import ImageIndex
from store.schemas import SearchQuery
from store.search.lists import newest, ordering, spans
from store.search.lists.spans import Span
from store.snapshot import snapshot
from tests.store.support import image, opened, run

ROWS = 500
SORTS = [
    (), ("$created_at",), ("price",), ("-price",), ("shop",), ("-shop", "price"),
    ("shop", "-sold"), ("rare",), ("when", "-price"), ("sold",),
]  # fmt: skip
FILTERS: list[dict[str, Any]] = [{}, {"half": True}, {"number": {"$lt": 90}}]


def metadata_of(number: int) -> dict[str, Any]:
    """Few and many values, gaps, and both zeros."""
    drawn = Random(number)
    values = {
        "price": drawn.choice([-0.0, 0.0, 0.0, *(drawn.randint(-40, 40) / 2 for _ in range(5))]),
        "shop": f"shop {drawn.randint(0, 5)}",
        "when": f"2024-05-{drawn.randint(1, 28):02}",
        "sold": drawn.random() < 0.5,
    }
    there = {key: value for key, value in values.items() if drawn.random() < 0.9}
    rare = {"rare": number} if number % 50 == 0 else {}
    return {**there, **rare, "half": number % 2 == 0, "number": number}


async def answers(index: ImageIndex) -> list[Any]:
    """Pages of all orders: by offset, and all of them by cursor."""
    found: list[Any] = []
    for sort in SORTS:
        for only in FILTERS:
            for offset in (0, 3, 120, 250, 440, 498, 600):
                page = await index.find(SearchQuery(filter=only, sort=sort, limit=7, offset=offset))
                found.append(([hit.id for hit in page.hits], page.next))
            cursor, seen = None, list[str]()
            while cursor is not None or not seen:
                page = await index.find(
                    SearchQuery(filter=only, sort=sort, limit=25, cursor=cursor)
                )
                seen += [hit.id for hit in page.hits]
                cursor = page.next
            found.append(seen)
    return found


def test_pages_are_those_of_the_whole_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = Counter[str]()

    def counted(*given: Any) -> Span | None:
        span = spans.span_of(*given)
        used["whole" if span is None else "open" if span.is_open else "closed"] += 1
        used["skipping"] += span is not None and span.skipped > 0
        return span

    def shared(*given: Any) -> bool:
        used["shared"] += spans.is_shared(*given)
        return spans.is_shared(*given)

    async def check() -> None:
        async with opened(tmp_path) as index:
            await asyncio.gather(*(index.upsert(image(n, metadata_of(n))) for n in range(ROWS)))
            whole = await answers(index)
            for of, name, value in (
                (spans, "MIN_ROWS", 0),
                (newest, "MIN_ROWS", 0),
                (spans, "FEW_ROWS", 40),
                (snapshot, "SAMPLE_VALUES", 200),
                (ordering, "span_of", counted),
                (ordering, "is_shared", shared),
            ):
                monkeypatch.setattr(of, name, value)
            assert await answers(index) == whole
            assert min(used["closed"], used["open"], used["skipping"], used["shared"]) > 10, used
            # What was sampled is of other values, and missed.
            everything = {"price": 1000, "shop": "moved"}
            await index.patch_matching({"number": {"$gt": 20}}, everything)
            first = await index.find(SearchQuery(sort=("-price",), limit=5, offset=100))
            monkeypatch.setattr(spans, "MIN_ROWS", ROWS + 1)
            assert await index.find(SearchQuery(sort=("-price",), limit=5, offset=100)) == first

    run(check())
