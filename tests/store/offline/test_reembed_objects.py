"""The objects move to another model with their images: by the boxes that are stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.errors import StoreWriteError
from store.index import ImageIndex
from store.offline import rebuild
from store.offline.outcome import Outcome
from store.offline.redetect import go_over
from store.offline.reembed import Reembedding
from store.offline.turn import ReembedError
from store.schemas import (
    Detector,
    NewImage,
    NewObjects,
    ObjectQuery,
    ObjectTerm,
    SearchQuery,
    image_id,
)
from store.settings import StoreSettings
from store.table.connection import open_dataset
from tests.store.objects.objects import DETECTOR, boxes, objects, showing
from tests.store.offline.moving import (
    NEW,
    FakeEmbedder,
    moved,
    new_vector,
    object_vector,
    opened_as,
)
from tests.store.support import IDENTITY, image, opened, run, url_of

COUNT = 8


def own(n: int) -> str:
    return image_id(url_of(n))


def names(n: int) -> list[str]:
    return ["dog", "cat", "dog"][: n % 4]


async def filled(folder: Path) -> None:
    async with opened(folder, DETECTOR) as index:
        for n in range(COUNT):
            await index.upsert(showing(n, *names(n), metadata={"n": n}, left_out=n))
        await index.upsert(image(COUNT))


async def found(index: ImageIndex, n: int, place: int) -> tuple[str, float | None]:
    term = ObjectTerm(object_vector(url_of(n), place))
    query = SearchQuery(objects=ObjectQuery((term,)), limit=1)
    [hit] = (await index.find(query)).hits
    return hit.id, hit.score


def rows_of(folder: Path, table: str) -> list[dict[str, Any]]:
    dataset = open_dataset(str(folder / f"{table}.lance"), None)
    rows: list[dict[str, Any]] = dataset.to_table(columns=["id", "object_set", "n"]).to_pylist()
    return rows


def test_objects_keep_their_boxes_and_get_new_vectors(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path)
        async with opened(tmp_path, DETECTOR) as old:
            before = [await old.objects(own(n)) for n in range(COUNT + 1)]
            counts = (await old.objects_state(), await old.count({"$objects": None}))
        embed = FakeEmbedder()
        assert await moved(tmp_path, embed) == Outcome(COUNT + 1, 0, switched=True)
        async with opened_as(tmp_path, NEW, DETECTOR) as new:
            assert [await new.objects(own(n)) for n in range(COUNT + 1)] == before
            assert (await new.objects_state(), await new.count({"$objects": None})) == counts
            assert await found(new, 3, 2) == (own(3), 1.0)
            assert await found(new, 5, 0) == (own(5), 1.0)
            two_dogs = {"$objects": {"class_name": "dog", "$count": 2}}
            assert set((await new.matching(two_dogs))[0]) == {own(3), own(7)}
            await new.upsert(showing_new(20))
            assert await found(new, 20, 1) == (own(20), 1.0)
        assert len(rows_of(tmp_path, "objects_2")) == len(rows_of(tmp_path, "objects")) + 2

    run(check())


def showing_new(n: int) -> NewImage:
    vectors = np.stack([object_vector(url_of(n), place) for place in (0, 1)])
    of = NewObjects((640, 480), boxes("dog", "cat"), 0, vectors)
    return NewImage(url_of(n), new_vector(url_of(n)), objects=of)


def test_what_is_found_meanwhile_is_followed(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:  # looked into by nobody
            for n in range(4):
                await index.upsert(image(n, {"n": n}))
        async with opened(tmp_path, DETECTOR) as old:

            async def change(_: str) -> None:
                if len(embed.urls) == 2:
                    await old.put_objects(own(0), None, objects(0, "dog"))
                    await old.upsert(showing(9, "cat"))
                    await old.patch(own(1), {"n": -1})
                if len(embed.urls) == 5:
                    await old.put_objects(own(0), None, objects(0, "cat", "cat"))

            embed = FakeEmbedder()
            embed.before_each = change
            assert (await moved(tmp_path, embed)).switched
            before = [await old.objects(own(n)) for n in (0, 1, 9)]
        assert embed.urls.count(url_of(0)) == 3
        async with opened_as(tmp_path, NEW, DETECTOR) as new:
            assert [await new.objects(own(n)) for n in (0, 1, 9)] == before
            assert await found(new, 0, 1) == (own(0), 1.0)
            assert await new.count({"$objects": {"class_name": "dog"}}) == 0

    run(check())


def test_ended_between_the_two_writes_it_adds_no_object_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        await filled(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(rebuild, "lay_out", ended)
            with pytest.raises(StoreWriteError):
                await moved(tmp_path, FakeEmbedder())
        assert len(rows_of(tmp_path, "objects_2")) == len(rows_of(tmp_path, "objects"))
        assert (await moved(tmp_path, FakeEmbedder())).switched
        ids = [row["id"] for row in rows_of(tmp_path, "objects_2")]
        assert len(ids) == len(set(ids)) == len(rows_of(tmp_path, "objects"))

    def ended(*_: object) -> None:
        raise ProcessLookupError

    run(check())


def test_going_back_takes_the_objects_that_were_kept(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path)
        assert (await moved(tmp_path, FakeEmbedder())).switched
        async with opened_as(tmp_path, NEW, DETECTOR) as new:
            vectors = np.stack([object_vector(url_of(1), 0)])
            seen = NewObjects((640, 480), boxes("bird"), 0, vectors)
            await new.put_objects(own(1), None, seen)
        embed = FakeEmbedder(IDENTITY.dim)
        assert (await moved(tmp_path, embed, IDENTITY)).switched
        assert embed.urls == [url_of(1)]
        async with opened(tmp_path, DETECTOR) as old:
            term = ObjectTerm(objects(3, "dog", "cat", "dog").vectors[1])
            hits = (await old.find(SearchQuery(objects=ObjectQuery((term,)), limit=1))).hits
            assert [(hit.id, hit.score) for hit in hits] == [(own(3), 1.0)]

    run(check())


def test_the_objects_of_a_picture_that_is_another_one_are_left_to_redetect(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path)
        embed = FakeEmbedder(failing=frozenset({url_of(2)}))
        embed.others = {url_of(3)}
        first = await moved(tmp_path, embed)
        assert first == Outcome(COUNT, 1, switched=False, bare=1)
        again = FakeEmbedder()
        again.others = embed.others
        assert await moved(tmp_path, again) == Outcome(COUNT + 1, 0, switched=True, bare=1)
        assert sorted(again.urls) == [url_of(2), url_of(3)]
        async with opened_as(tmp_path, NEW, DETECTOR) as new:
            unseen, _ = await new.matching({"$objects": None})
            assert set(unseen) == {own(3), own(COUNT)}

    run(check())


def test_what_changes_in_an_image_that_has_lost_its_objects_is_followed(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path)
        async with opened(tmp_path, DETECTOR) as old:

            async def change(_: str) -> None:
                if len(embed.urls) == COUNT:
                    await old.patch(own(1), {"n": -1})
                    await old.patch(own(3), {"n": -3})

            embed = FakeEmbedder()
            embed.others, embed.before_each = {url_of(1), url_of(3)}, change
            assert await moved(tmp_path, embed) == Outcome(COUNT + 1, 0, switched=True, bare=2)
        assert len(embed.urls) == COUNT + 1
        async with opened_as(tmp_path, NEW, DETECTOR) as new:
            for n, there in ((1, -1), (2, 2), (3, -3)):
                image_of = await new.get(own(n))
                assert image_of is not None
                assert image_of.metadata == {"n": there}
            assert set((await new.matching({"$objects": None}))[0]) == {own(1), own(3), own(COUNT)}

    run(check())


def test_detectors_of_before_and_recipes_go_along(tmp_path: Path) -> None:
    other = Detector("yolo-other.pt", "another way")

    async def check() -> None:
        await filled(tmp_path)
        settings = StoreSettings(store_uri=str(tmp_path))
        assert not (await moved(tmp_path, FakeEmbedder(failing=frozenset({url_of(0)})))).switched
        await go_over(settings, other)
        async with Reembedding.opened(settings) as work:
            await work.check_recipe(other.recipe)
            with pytest.raises(ReembedError, match=r"cut out another way, .*redetect --begin"):
                await work.check_recipe(DETECTOR.recipe)
        assert (await moved(tmp_path, FakeEmbedder())).switched
        async with opened_as(tmp_path, NEW, other) as new:
            state = await new.objects_state()
            assert state is not None
            assert (state.images, state.earlier) == (COUNT, COUNT)
            of = await new.objects(own(1))
            assert of is not None
            assert new.earlier_detector(of) == DETECTOR

    run(check())
