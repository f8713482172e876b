"""Another detector takes over: what the one before found stays until the picture is seen again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from store.errors import ObjectsMismatchError, StoreOpenError
from store.index import ImageIndex
from store.metadata.objects import KEY, Finding, key_by, new_key, number_of
from store.objects.sweep import unnamed
from store.offline.redetect import GoneOver, RedetectError, go_over
from store.schemas import Author, Detector, ObjectQuery, ObjectTerm, SearchQuery, image_id
from store.settings import StoreSettings
from store.table.connection import open_dataset
from store.table.disk.location import Location
from tests.store.objects.objects import DETECTOR, objects, showing
from tests.store.support import image, opened, run, url_of, vector

OTHER = Detector("yolo-other.pt", "crop")
UNSEEN = {"$objects": None}


def own(n: int) -> str:
    return image_id(url_of(n))


async def over(folder: Path, detector: Detector) -> GoneOver:
    return await go_over(StoreSettings(store_uri=str(folder)), detector)


async def unseen(index: ImageIndex) -> set[str]:
    ids, _ = await index.matching(UNSEEN)
    assert await index.count(UNSEEN) == len(ids)
    return set(ids)


async def found_by(index: ImageIndex, n: int) -> Detector | None:
    found = await index.objects(own(n))
    assert found is not None
    return index.earlier_detector(found)


async def scores(index: ImageIndex, seed: int) -> list[tuple[str, Any]]:
    """The best hit, the same whether all images are searched or those of a filter."""
    query = SearchQuery(objects=ObjectQuery((ObjectTerm(vector(seed)),)), limit=1)
    filtered = replace(query, filter={"$created_at": {"$exists": True}})
    told = [
        [(hit.id, hit.score) for hit in (await index.find(each)).hits] for each in (query, filtered)
    ]
    assert told[0] == told[1]
    return told[0]


async def filled(folder: Path) -> None:
    async with opened(folder, DETECTOR) as index:
        for n in range(4):
            await index.upsert(showing(n, *["dog", "cat"][:n]))
        await index.upsert(image(4))


def test_another_detector_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path)
        assert await over(tmp_path, OTHER) == GoneOver(DETECTOR, 4)
        with pytest.raises(ObjectsMismatchError, match="redetect --begin"):
            async with opened(tmp_path, DETECTOR):
                pass
        async with opened(tmp_path, OTHER) as index:
            assert await unseen(index) == {own(n) for n in range(5)}
            assert await found_by(index, 2) == DETECTOR
            assert await scores(index, 2001) == [(own(2), 1.0)]
            assert len((await index.matching({"$objects": {"class_name": "cat"}}))[0]) == 2
            for n in (0, 2):
                await index.put_objects(own(n), None, objects(10 + n, "bird"))
            await index.upsert(showing(5, "dog"))
            assert await found_by(index, 2) is None
            assert await scores(index, 12000) == [(own(2), 1.0)]
            assert (await scores(index, 2001))[0][1] < 1
        async with opened(tmp_path, OTHER) as index:
            assert await unseen(index) == {own(n) for n in (1, 3, 4)}
            state = await index.objects_state()
            assert state is not None
            assert (state.detector, state.images, state.earlier) == (OTHER, 5, 2)
            page = await index.transfer.page(None, 0, 10)
            exported = {row.id for row in page.rows if row.objects is not None}
            assert (page.detector, exported) == (OTHER, {own(n) for n in (0, 2, 5)})
            for n in (1, 3, 4):
                await index.put_objects(own(n), None, objects(10 + n, "bird"))
            await index.run_upkeep()
            assert await unseen(index) == set()
            state = await index.objects_state()
            assert state is not None
            assert (state.images, state.earlier) == (6, 0)
        assert await over(tmp_path, OTHER) == GoneOver(OTHER, 0)

    run(check())
    images, found = (
        open_dataset(str(tmp_path / f"{n}.lance"), None) for n in ("images", "objects")
    )
    # What the one before found is swept with the last version that names it.
    assert len(unnamed(images, [int(images.version)], found, -60)) == 3
    assert {number_of(key) for key in images.to_table(columns=[KEY])[KEY].to_pylist()} == {2}


def test_going_back_costs_what_was_looked_into_since(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path)
        await over(tmp_path, OTHER)
        async with opened(tmp_path, OTHER) as index:
            await index.put_objects(own(1), None, objects(1, "bird"))
        assert await over(tmp_path, DETECTOR) == GoneOver(OTHER, 1)
        async with opened(tmp_path, DETECTOR) as index:
            assert await unseen(index) == {own(1), own(4)}
            assert await found_by(index, 1) == OTHER
            assert await found_by(index, 2) is None
            await index.put_objects(own(1), None, objects(1, "dog"))
            assert await found_by(index, 1) is None

    run(check())


def test_a_version_of_before_and_an_undo_bring_the_earlier_ones_back(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path)
        await over(tmp_path, OTHER)
        me = Author("me")
        async with opened(tmp_path, OTHER) as index:
            before = (await index.versions())[0].version
            await index.put_objects(own(2), None, objects(2, "bird"), me)
            assert await index.delete_matching({**UNSEEN}, me) == 4
            await index.restore(version=before)
            assert await found_by(index, 2) == DETECTOR
            assert len(await unseen(index)) == 5

    run(check())


def test_a_writer_of_the_one_before_is_told_apart(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as old:
            await old.upsert(showing(1, "dog"))
            await over(tmp_path, OTHER)
            async with opened(tmp_path, OTHER) as new:
                await old.upsert(showing(2, "dog"))
                await new.upsert(showing(3, "dog"))
                assert await unseen(new) == {own(1), own(2)}
                found = await old.objects(own(3))
                assert found is not None
                assert str(old.earlier_detector(found)).startswith("a later detector")

    run(check())


def test_there_is_nothing_to_go_over_from(tmp_path: Path) -> None:
    async def check() -> None:
        with pytest.raises(StoreOpenError, match="no index yet"):
            await over(tmp_path, OTHER)
        async with opened(tmp_path) as index:
            await index.upsert(image(0))
        assert await over(tmp_path, OTHER) == GoneOver(None, 0)
        async with opened(tmp_path, DETECTOR):
            pass
        with Location(str(tmp_path)).lock("reembed").held_if_free() as free:
            assert free
            with pytest.raises(RedetectError, match="reembed"):
                await over(tmp_path, OTHER)
        assert await over(tmp_path, OTHER) == GoneOver(DETECTOR, 0)

    run(check())


@pytest.mark.parametrize("number", [1, 2, 12])
def test_keys_tell_whose_they_are(number: int) -> None:
    first, second = (key_by(number, new_key()) for _ in range(2))
    assert number_of(first) == number
    assert first != second
    assert first[:12] <= second[:12]
    assert Finding(number, alone=False) != replace(Finding(number, alone=False), number=99)
