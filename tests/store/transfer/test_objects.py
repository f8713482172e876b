"""Objects go out with their image and come back with it, vectors and all."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.errors import InvalidRowError, StoreError
from store.index import ImageIndex
from store.schemas import NewKeys, NewObjects, ObjectBox, ObjectQuery, ObjectTerm, SearchQuery
from store.transfer.whole_row import WholeRow
from tests.store.objects.objects import DETECTOR, boxes, showing
from tests.store.support import image, opened, run, vector
from tests.store.transfer.test_transfer import OPS, all_rows, row

COUNT = 40


async def fill(index: ImageIndex) -> None:
    """Images of every kind: many objects, none, not looked into, replaced and deleted."""
    for n in range(COUNT):
        await index.upsert(showing(n, *["dog", "cat 1", "a|b;c%"][: n % 4], left_out=n % 3))
    await index.upsert(image(COUNT))
    await index.upsert(showing(1, "cat 1"))
    await index.delete_urls(["https://example.org/2.jpg"])


async def told(index: ImageIndex) -> dict[str, Any]:
    """All that is known of each image's objects."""
    known = {}
    for each in (await index.images(1000)).images:
        of = await index.objects(each.id)
        count = 0 if of is None else len(of.boxes)
        vectors = [await index.object_vector(each.id, n) for n in range(count)]
        stored = [None if one is None else one.tobytes() for one in vectors]
        known[each.id] = of and (of.size, of.boxes, of.left_out, stored)
    return known


async def put(index: ImageIndex, rows: Sequence[WholeRow]) -> list[Any]:
    return await index.transfer.put(rows, NewKeys(32), OPS)


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path / "old", DETECTOR) as old:
            await fill(old)
            before, page = await told(old), await old.transfer.page(None, 0, 1)
            assert (page.detector, page.total) == (DETECTOR, COUNT)
            await old.run_upkeep()
            rows = await all_rows(old, page.version, 7)
        # A service that adds none still takes out what there is.
        async with opened(tmp_path / "old") as off:
            page = await off.transfer.page(None, 0, 1000)
            assert page.detector == DETECTOR
            assert sum(each.objects is not None for each in page.rows) == COUNT - 1
        async with opened(tmp_path / "new", DETECTOR) as new:
            for _ in range(2):
                answers = await put(new, rows)
                assert not [one for one in answers if isinstance(one, StoreError)]
                assert await told(new) == before
            asked = SearchQuery(objects=ObjectQuery((ObjectTerm(vector(3001)),)), limit=1)
            [hit] = (await new.find(asked)).hits
            assert (hit.url, hit.score) == ("https://example.org/3.jpg", 1.0)
            assert len((await new.matching({"$objects": {"class_name": "a|b;c%"}}))[0]) == COUNT / 4

    run(check())


def test_an_index_without_them_leaves_them_out(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await put(index, [row(0, objects=showing(0, "dog").objects)])
            assert await index.objects("row:0") is None
            page = await index.transfer.page(None, 0, 10)
            assert (page.detector, next(iter(page.rows)).objects) == (None, None)

    run(check())


def bad(**more: Any) -> NewObjects:
    of = showing(0, "dog").objects
    assert of is not None
    return replace(of, **more)


def box(**more: Any) -> NewObjects:
    return bad(boxes=(replace(boxes("dog")[0], **more),))


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        (bad(size=(0, 9)), "width and height"),
        (bad(left_out=-1), "left_out"),
        (bad(boxes=boxes("dog", "cat")), "each object must have a vector"),
        (bad(vectors=np.zeros((1, 16), np.float32)), "unit length"),
        (bad(boxes=boxes(*["dog"] * 101)), "at most 100"),
        (box(class_name=""), "class"),
        (box(class_name="\ud800"), "class"),
        (box(confidence=1.5), "confidence"),
        (box(xyxy=(0.5, 0.0, 0.5, 1.0)), "shares"),
        (box(xyxy=(0.0, 0.0, 1.5, 1.0)), "shares"),
        (box(xyxy=(0.0, 0.0, float("nan"), 1.0)), "shares"),
    ],
)
def test_what_are_none_are_refused_alone(tmp_path: Path, objects: NewObjects, said: str) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            good = showing(1, "dog").objects
            refused, _ = await put(index, [row(0, objects=objects), row(1, objects=good)])
            assert isinstance(refused, InvalidRowError)
            assert said in str(refused)
            assert [each.id for each in (await index.images(9)).images] == ["row:1"]
            assert isinstance((await told(index))["row:1"][1][0], ObjectBox)

    run(check())
