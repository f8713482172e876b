"""Where the objects of images are, by the files: as a look at every row tells it."""

from pathlib import Path

import pyarrow as pa
import pytest

from store.index import ImageIndex
from store.metadata.objects import KEY, key_by, new_key
from store.metadata.predicates import ALWAYS
from store.metadata.rows import to_dicts
from store.snapshot import object_sets
from store.snapshot.fragments import ROW_ID
from store.snapshot.object_runs import Runs, set_numbers
from tests.store.objects.objects import DETECTOR, showing
from tests.store.support import image, opened, run

NAMES = ("dog", "cat", "car")


async def told(index: ImageIndex) -> list[tuple[str, int, int]]:
    """Of all images the keys, and of each object of these its number and its row."""
    assert index.object_snapshots is not None
    images, objects = await index.snapshots.latest(), await index.object_snapshots.latest()
    rows = images.row_ids(ALWAYS)
    found = objects.objects_of(images.sets_of(rows))
    keys = images.take(rows, [KEY])[KEY].to_pylist()
    owners = [keys[owner] for owner in found.owners.tolist()]
    return sorted(zip(owners, found.numbers.tolist(), found.rows.tolist(), strict=True))


async def there(index: ImageIndex) -> list[tuple[str, int, int]]:
    """The same by a look at every row of both tables."""
    assert index.object_snapshots is not None
    images, objects = await index.snapshots.latest(), await index.object_snapshots.latest()
    named = images.dataset.scanner(columns=[KEY]).to_table()[KEY].to_pylist()
    rows = to_dicts(objects.dataset.scanner(columns=[KEY, "n"], with_row_id=True).to_table())
    return sorted((row[KEY], row["n"], row[ROW_ID]) for row in rows if row[KEY] in named)


@pytest.mark.parametrize("memory_mb", [64, 0], ids=["in memory", "in files"])
def test_objects_are_where_a_look_at_every_row_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_mb: int
) -> None:
    monkeypatch.setattr(object_sets, "_FEW_RUNS", 3)

    async def same(index: ImageIndex, images: int) -> None:
        expected = await there(index)
        assert await told(index) == expected
        assert len({key for key, _, _ in expected}) == images

    async def check() -> None:
        async with opened(tmp_path, DETECTOR, store_memory_mb=memory_mb) as index:
            for n in range(9):
                await index.upsert(showing(n, *NAMES[: n % 4]))
            await index.upsert(image(20))
            await same(index, 6)
            await index.upsert(showing(1, "car", "car"))
            await index.delete([showing(2).id])
            await same(index, 5)
            await index.run_upkeep()
            await same(index, 5)
            await index.upsert(showing(30, "dog"))
            await same(index, 6)
            before = await index.snapshots.latest()
            await index.delete([showing(3).id, showing(7).id])
            await same(index, 4)
            await index.restore(version=before.version)
            await same(index, 6)

    run(check())


def test_runs_end_where_rows_do() -> None:
    keys = [new_key() for _ in range(4)]
    rows = pa.table(
        {
            KEY: [keys[0], keys[0], keys[1], keys[1], keys[2], keys[0]],
            "n": pa.array([0, 1, 0, 1, 3, 2], pa.int32()),
            ROW_ID: pa.array([5, 6, 7, 9, 10, 11], pa.uint64()),
        }
    )
    runs = Runs.joined([Runs.of(rows[:3]), Runs.of(rows[3:])])
    wanted = set_numbers(pa.chunked_array([pa.array(keys[::-1], pa.string()), [keys[0]]]))
    found = runs.objects_of(wanted)
    columns = (each.tolist() for each in (found.owners, found.rows, found.numbers))
    told = sorted(zip(*columns, strict=True))
    first = [(5, 0), (6, 1), (11, 2)]
    assert told == [
        (1, 10, 3),
        (2, 7, 0),
        (2, 9, 1),
        *((3, *each) for each in first),
        *((4, *each) for each in first),
    ]


def test_a_set_is_known_by_the_end_of_its_key() -> None:
    key = "0190000000000123456789ab"
    keys = pa.array([key, None, key], pa.string())
    assert set_numbers(pa.chunked_array([keys[1:], keys[:0]])).tolist() == [0, 0x0123456789AB]


def test_the_number_of_a_later_detector_is_not_of_the_set() -> None:
    first = [new_key() for _ in range(3)]
    later = [first[0], key_by(2, first[1]), None, key_by(12, first[2])]
    expected = set_numbers(pa.chunked_array([first])).tolist()
    expected.insert(2, 0)
    assert set_numbers(pa.chunked_array([later])).tolist() == expected
