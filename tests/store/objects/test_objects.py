"""Objects of images: stored and gone together with their image, whatever happens to it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store.changes.story import Span
from store.errors import InvalidRowError, ObjectsMismatchError, StoreWriteError
from store.index import ImageIndex
from store.metadata.objects import KEY
from store.objects.sweep import unnamed
from store.schemas import (
    Author,
    ClassCount,
    Detector,
    NewImage,
    image_id,
)
from store.table.connection import open_dataset
from tests.store.objects.objects import DETECTOR, boxes, objects, showing
from tests.store.support import image, opened, run, url_of, vector


def own(n: int) -> str:
    return image_id(url_of(n))


async def names_in(index: ImageIndex, n: int) -> list[str] | None:
    found = await index.objects(own(n))
    return None if found is None else [box.class_name for box in found.boxes]


def stored_sets(folder: Path) -> dict[str, int]:
    """How many objects the table of objects has of each set."""
    rows = open_dataset(str(folder / "objects.lance"), None).to_table(columns=[KEY, "n"])
    counts: dict[str, int] = {}
    for key in rows[KEY].to_pylist():
        counts[key] = counts.get(key, 0) + 1
    return counts


def left_over(folder: Path, *versions: int, settled_s: float = -60) -> set[str]:
    tables = (open_dataset(str(folder / f"{name}.lance"), None) for name in ("images", "objects"))
    images, of_objects = tables
    numbers = versions or [int(images.version)]
    return set(unnamed(images, numbers, of_objects, settled_s))


def test_they_are_what_was_stored(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(showing(1, "dog", "cat", "dog", left_out=3))
            await index.upsert(showing(2))
            await index.upsert(image(3))
            found = await index.objects(own(1))
            assert found is not None
            assert (found.size, found.left_out) == ((640, 480), 3)
            assert found.boxes == boxes("dog", "cat", "dog")
            assert await names_in(index, 2) == []
            assert await names_in(index, 3) is None
            assert await index.objects("nobody") is None
            state = await index.objects_state()
            assert state is not None
            assert (state.detector, state.images, state.objects) == (DETECTOR, 2, 3)
            assert state.classes == (ClassCount("cat", 1, 1), ClassCount("dog", 1, 2))
        assert stored_sets(tmp_path) == {found.key: 3}

    run(check())


def test_they_go_the_way_of_their_image(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(showing(1, "dog", metadata={"shop": "A"}))
            first = await index.objects(own(1))
            version = (await index.versions())[0].version
            patched = await index.patch(own(1), {"shop": "B"})
            assert patched is not None
            assert await index.objects(own(1)) == first
            await index.upsert(showing(1, "cat", "cat"))
            assert await names_in(index, 1) == ["cat", "cat"]
            await index.upsert(image(1))
            assert await names_in(index, 1) is None
            await index.delete([own(1)])
            assert await index.objects(own(1)) is None
            await index.restore(version=version)
            assert await index.objects(own(1)) == first
            await index.upsert(showing(2, "car"))
            assert await names_in(index, 2) == ["car"]

    run(check())


def test_a_version_of_before_the_columns_is_restored_and_added_to(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(image(1))
            version = (await index.versions())[0].version
            await index.upsert(showing(2, "dog"))
            await index.restore(version=version)
            assert await names_in(index, 1) is None
            state = await index.objects_state()
            assert state is not None
            await asyncio.gather(*(index.upsert(showing(n, "cat")) for n in range(3, 6)))
            assert [await names_in(index, n) for n in (1, 2, 3, 5)] == [
                None,
                None,
                ["cat"],
                ["cat"],
            ]

    run(check())


def test_undoing_a_keys_changes_brings_them_back(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(showing(1, "dog"), Author("good"))
            first, began = await index.objects(own(1)), datetime.now(UTC)
            await index.upsert(showing(1, "cat"), Author("bad"))
            await index.upsert(showing(2, "car"), Author("bad"))
            undone = await index.undo(Span("bad", began, datetime.now(UTC)))
            assert (undone.removed, undone.restored) == (1, 1)
            assert await index.objects(own(1)) == first

    run(check())


def test_the_last_of_a_commit_stays_and_a_skipped_one_brings_none(tmp_path: Path) -> None:
    pixels = "0" * 64

    def alike(n: int) -> NewImage:
        return NewImage(
            url_of(n), vector(n), pixels=pixels, skip_duplicate=True, objects=objects(n, "dog")
        )

    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await asyncio.gather(*(index.upsert(showing(1, *["dog"] * n)) for n in (1, 2, 3)))
            assert await names_in(index, 1) == ["dog"] * 3
            await index.upsert(alike(2))
            assert (await index.upsert(alike(3))).skipped
            keys = [found.key for n in (1, 2) if (found := await index.objects(own(n)))]
        named = stored_sets(tmp_path)
        assert {key: named[key] for key in keys} == dict(zip(keys, (3, 1), strict=True))
        assert left_over(tmp_path) == named.keys() - set(keys)

    run(check())


def test_nothing_is_seen_where_the_images_commit_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(showing(1, "dog"))
            with monkeypatch.context() as patched:
                patched.setattr("store.write.commit.to_arrow", lambda *_: 1 / 0)
                with pytest.raises(StoreWriteError):
                    await index.upsert(showing(2, "cat"))
            assert await names_in(index, 1) == ["dog"]
            assert await index.objects(own(2)) is None
            state = await index.objects_state()
            assert state is not None
            assert state.objects == 1
            [orphan] = left_over(tmp_path)
            assert stored_sets(tmp_path)[orphan] == 1
            assert index._upkeep.objects is not None
            await index.run_upkeep()
            assert orphan in stored_sets(tmp_path)  # it may be of an image that is being written
            index._upkeep.objects.settled_s = -60
            report = await index.run_upkeep()
            assert report is not None
            assert report.result == "ok"
            assert "removed the objects of 1 images" in report.did
            assert list(stored_sets(tmp_path).values()) == [1]
            assert await names_in(index, 1) == ["dog"]

    run(check())


def test_a_kept_version_keeps_its_objects(tmp_path: Path) -> None:
    async def check() -> tuple[str, str, list[int]]:
        async with opened(tmp_path, DETECTOR) as index:
            for n in range(4):
                await index.upsert(showing(n, "dog"))
            first, second = await index.objects(own(0)), await index.objects(own(1))
            await index.upsert(showing(0, "cat"))
            await index.delete([own(1)])
            assert first is not None
            assert second is not None
            versions = [each.version for each in await index.versions()]
            await index.run_upkeep()
            return first.key, second.key, versions

    first, second, versions = run(check())
    assert left_over(tmp_path) == {first, second}
    assert left_over(tmp_path, *versions) == set()
    # The replacing and the deleting version: of before the latter, the deleted one's stay.
    assert left_over(tmp_path, *versions[:2]) == {first}
    assert left_over(tmp_path, settled_s=600) == set()


def test_another_detector_is_refused_in_one_line(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(showing(1, "dog"))
        for other in (Detector("yolo-other.pt", DETECTOR.recipe), Detector(DETECTOR.name, "crop")):
            with pytest.raises(ObjectsMismatchError) as refused:
                async with opened(tmp_path, other):
                    pass
            message = str(refused.value)
            assert "\n" not in message
            for part in (DETECTOR.name, other.recipe, "IMAGE_SEARCH_OBJECTS=off"):
                assert part in message

    run(check())


def test_without_a_detector_they_stay_and_none_come(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(0))
            await index.upsert(showing(1, "dog"))
            assert await names_in(index, 1) is None
            assert await index.objects_state() is None
        assert not (tmp_path / "objects.lance").exists()
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(showing(1, "dog"))
        async with opened(tmp_path) as index:
            await index.patch(own(1), {"shop": "A"})
            await index.upsert(showing(2, "cat"))
            await index.upsert(image(0))
            assert [await names_in(index, n) for n in range(3)] == [None, ["dog"], None]
        async with opened(tmp_path, DETECTOR) as index:
            state = await index.objects_state()
            assert state is not None
            assert (state.images, state.objects) == (1, 1)

    run(check())


def test_vectors_are_checked(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            one = showing(1, "dog")
            assert one.objects is not None
            one.objects.vectors[0] *= 2
            with pytest.raises(InvalidRowError):
                await index.upsert(one)
            assert await index.count() == 0

    run(check())


def test_objects_of_another_picture_are_refused(tmp_path: Path) -> None:
    one, other = "1" * 64, "2" * 64

    async def check() -> None:
        async with opened(tmp_path, DETECTOR) as index:
            await index.upsert(replace(showing(1, "dog"), pixels=one))
            with pytest.raises(InvalidRowError, match="is another one by now"):
                await index.put_objects(own(1), other, objects(1, "cat"))
            assert await names_in(index, 1) == ["dog"]
            kept = await index.get(own(1))
            assert await index.put_objects(own(1), one, objects(1, "cat")) == kept
            assert await names_in(index, 1) == ["cat"]

    run(check())
