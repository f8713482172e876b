"""Filters on the objects in images, against a look at every object of every image."""

import asyncio
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.errors import FilterError
from store.metadata.objects import numbers_of
from store.schemas import NewImage, NewObjects, ObjectBox
from store.upkeep import indexes
from tests.store.objects.objects import DETECTOR
from tests.store.support import DIM, image, opened, run, url_of, vector

CLASSES = ("dog", "cat", "d;o|g", "tv: 10.5", "größe")
COUNT = int(os.environ.get("TESTS_OBJECT_FILTERS", "300"))
"""Filters of each table; more by hand."""
VALUES = (0, 0.25, 0.3, 0.5, 0.9, 0.99, 1, 1.5, -1, 0.12345, 0.123456789)
Objects = tuple[ObjectBox, ...] | None


def drawn(rng: random.Random) -> Objects:
    """The objects of an image: none, a few, or None where nobody has looked."""
    if rng.random() < 0.15:
        return None
    boxes = []
    for _ in range(rng.choice((0, 1, 2, 3, 5))):
        left, top = round(rng.uniform(0, 0.9), 6), round(rng.uniform(0, 0.9), 6)
        edges = (left, top, round(rng.uniform(left, 1), 6), round(rng.uniform(top, 1), 6))
        sure = rng.choice((0.25, 0.3, 0.5, 0.9, 1.0, round(rng.random(), 4)))
        boxes.append(ObjectBox(rng.choice(CLASSES), sure, edges))
    return tuple(boxes)


def new(n: int, objects: Objects) -> NewImage:
    if objects is None:
        return image(n, {"shop": "A"})
    vectors = np.stack([vector(n) for _ in objects]) if objects else np.empty((0, DIM), np.float32)
    found = NewObjects((100, 100), objects, 0, vectors)
    return NewImage(url_of(n), vector(n), {"shop": "AB"[n % 2]}, own_id=str(n), objects=found)


ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda own, value: own == value,
    "$ne": lambda own, value: own != value,
    "$lt": lambda own, value: own < value,
    "$lte": lambda own, value: own <= value,
    "$gt": lambda own, value: own > value,
    "$gte": lambda own, value: own >= value,
    "$in": lambda own, value: own in value,
    "$nin": lambda own, value: own not in value,
}


def fits(own: Any, operand: Any) -> bool:
    conditions = operand if isinstance(operand, Mapping) else {"$eq": operand}
    return all(
        not fits(own, value) if name == "$not" else ORDER[name](own, value)
        for name, value in conditions.items()
    )


def holds(objects: Objects, shop: str, node: Mapping[str, Any]) -> bool:
    """What a filter says, by its words alone."""
    for key, operand in node.items():
        match key:
            case "$not":
                right = not holds(objects, shop, operand)
            case "$and":
                right = all(holds(objects, shop, each) for each in operand)
            case "$or":
                right = any(holds(objects, shop, each) for each in operand)
            case "shop":
                right = shop == operand
            case _ if operand is None:
                right = objects is None
            case _:
                of = {name: value for name, value in operand.items() if name != "$count"}
                count = sum(
                    all(
                        fits({"class_name": box.class_name, **numbers_of(box)}[name], value)
                        for name, value in of.items()
                    )
                    for box in objects or ()
                )
                right = fits(count, operand.get("$count", {"$gte": 1}))
        if not right:
            return False
    return True


def conditions(rng: random.Random, values: tuple[Any, ...]) -> Any:
    pick = rng.random()
    if pick < 0.2:
        return rng.choice(values)
    if pick < 0.35:
        return {rng.choice(("$in", "$nin")): rng.sample(values, 3)}
    if pick < 0.45:
        return {"$not": {rng.choice(("$lt", "$gte", "$eq")): rng.choice(values)}}
    names = rng.sample(("$lt", "$lte", "$gt", "$gte", "$ne", "$eq"), rng.choice((1, 1, 2)))
    return {name: rng.choice(values) for name in names}


def a_filter(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    pick = rng.random()
    if depth < 3 and pick < 0.15:
        return {"$not": a_filter(rng, depth + 1)}
    if depth < 3 and pick < 0.35:
        parts = [a_filter(rng, depth + 1) for _ in range(rng.choice((1, 2, 3)))]
        return {rng.choice(("$and", "$or")): parts}
    if pick < 0.42:
        return {"shop": rng.choice("AB")}
    if pick < 0.45:
        return {"$objects": None}
    node: dict[str, Any] = {}
    if rng.random() < 0.7:
        name = rng.choice(CLASSES)
        node["class_name"] = rng.choice((name, {"$in": [name, "dog"]}, {"$eq": name}))
    for number in ("confidence", "area", "x", "y"):
        if rng.random() < 0.25:
            node[number] = conditions(rng, VALUES)
    if rng.random() < 0.4:
        node["$count"] = conditions(rng, (0, 1, 2, 3, 1.5, 7, 150))
    return {"$objects": node}


@pytest.mark.parametrize("indexed", [False, True])
def test_each_filter_keeps_what_a_look_at_all_objects_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, indexed: bool
) -> None:
    if indexed:
        monkeypatch.setattr(indexes, "MIN_ROWS", 100)
    rng = random.Random(17)
    images = {str(n): drawn(rng) for n in range(260)}

    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            added = [new(n, objects) for n, objects in enumerate(images.values())]
            await asyncio.gather(*map(index.upsert, added[:200]))
            if indexed:
                await index.run_upkeep()
            await asyncio.gather(*map(index.upsert, added[200:]))
            known = (await index.snapshots.latest()).index_fragments
            assert ("object_terms" in known) is indexed
            ids = {new(n, objects).id: str(n) for n, objects in enumerate(images.values())}
            shops = {own: "A" if images[n] is None else "AB"[int(n) % 2] for own, n in ids.items()}
            kept = 0
            for n in range(COUNT):
                node = a_filter(rng)
                found, rows = await index.matching(node)
                right = {own for own, n in ids.items() if holds(images[n], shops[own], node)}
                assert (set(found), rows) == (right, len(images)), (n, node)
                kept += 0 < len(right) < len(images)
            assert kept > COUNT / 3

    run(check())


def test_one_object_fulfils_all_conditions_and_each_counts_for_itself(tmp_path: Path) -> None:
    def dogs(n: int, *sure: float) -> NewImage:
        return new(n, tuple(ObjectBox("dog", each, (0, 0, 0.5, 0.5)) for each in sure))

    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(dogs(0, 0.9, 0.3))
            await index.upsert(dogs(1, 0.5, 0.5))
            await index.upsert(dogs(2, 0.9))
            cat = ObjectBox("cat", 0.9, (0, 0, 0.5, 0.5))
            await index.upsert(new(3, (cat, ObjectBox("dog", 0.4, (0, 0, 0.5, 0.5)))))
            two = {"class_name": "dog", "confidence": {"$gte": 0.5}, "$count": {"$gte": 2}}
            assert (await index.matching({"$objects": two}))[0] == [dogs(1).id]
            sure = {"class_name": "dog", "confidence": {"$gte": 0.5}}
            found, _ = await index.matching({"$objects": sure})
            assert set(found) == {dogs(n).id for n in range(3)}

    run(check())


def test_no_image_is_known_to_have_objects_in_a_table_without(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"shop": "A"}))
            assert await index.count({"$objects": {"class_name": "dog"}}) == 0
            assert await index.count({"$objects": {"class_name": "dog", "$count": 0}}) == 1
            assert await index.count({"$not": {"$objects": {}}}) == 1

    run(check())


def test_many_objects_and_several_conditions_are_one_expression(tmp_path: Path) -> None:
    one = ObjectBox("dog", 0.55, (0.1, 0.1, 0.3, 0.3))

    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            for n in (99, 100):
                vectors = np.stack([vector(n)] * n)
                found = NewObjects((100, 100), (one,) * n, 0, vectors)
                await index.upsert(NewImage(url_of(n), vector(n), objects=found))
            node = {
                "class_name": {"$in": ["dog", "cat"]},
                "confidence": {"$gt": 0.1234, "$lt": 0.9876},
                "area": {"$gt": 0.012345, "$lt": 0.987654},
                "x": {"$nin": [0.1, 0.3, 0.5]},
                "y": {"$gte": 0.111111, "$lte": 0.888888},
            }
            counts = [await index.count({"$objects": {**node, "$count": n}}) for n in (98, 99, 100)]
            assert counts == [0, 1, 1]
            assert await index.count({"$objects": {**node, "$count": {"$gt": 100}}}) == 0

    run(check())


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("dog", 'needs an object such as {"class_name": "dog"}'),
        ({"colour": "red"}, "an object has no 'colour'; what it has is class_name, confidence"),
        ({"class_name": {"$ne": "dog"}}, "class_name needs the name of a class"),
        ({"class_name": []}, "class_name needs"),
        ({"confidence": "sure"}, "$eq on confidence of objects needs a number"),
        ({"confidence": True}, "needs a number"),
        ({"area": {}}, "has no operator"),
        ({"area": {"$near": 1}}, "unknown operator '$near'"),
        ({"$count": {"$in": 2}}, "$in on $count of objects needs a list of numbers"),
    ],
)
def test_what_says_nothing_of_an_object_is_refused(tmp_path: Path, node: Any, message: str) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            with pytest.raises(FilterError) as refused:
                await index.count({"$objects": node})
            assert message in str(refused.value)
            assert "\n" not in str(refused.value)

    run(check())


def test_a_delete_of_everything_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            for n in range(3):
                await index.upsert(new(n, (ObjectBox("dog", 0.9, (0, 0, 0.5, 0.5)),)))
            broad: dict[str, Any]
            for broad in (
                {"$objects": {"confidence": {"$gte": 0}}},
                {"$not": {"$objects": {"class_name": "cat"}}},
                {"$objects": {"class_name": "cat", "$count": 0}},
            ):
                with pytest.raises(FilterError, match="keeps every image"):
                    await index.delete_matching(broad)
            assert await index.delete_matching({"$objects": {"class_name": "dog"}}) == 3

    run(check())
