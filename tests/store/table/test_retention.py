"""Which old versions stay."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import lance
from hypothesis import given
from hypothesis import strategies as st

from store.schemas import TableVersion
from store.table.versions import RECENT, STEP, remove_versions, superfluous
from tests.store.support import image, opened, run

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def aged(*seconds: float) -> list[TableVersion]:
    """Versions of these ages, the youngest with the highest number."""
    return [
        TableVersion(len(seconds) - n, NOW - timedelta(seconds=age), None)
        for n, age in enumerate(seconds)
    ]


def kept_ages(versions: list[TableVersion]) -> list[int]:
    dropped = superfluous(versions, NOW, HOUR)
    kept = [each for each in versions if each.version not in dropped]
    return [int((NOW - each.created_at).total_seconds()) for each in kept]


def test_the_young_stay_then_one_of_each_minute_then_none() -> None:
    # Each counts from the moment when the one before it in this list took its place.
    ages = (1, 2, 100, 125, 130, 150, 190, 200, 3599, 3700, 9000)
    assert kept_ages(aged(*ages)) == [1, 2, 100, 125, 130, 200, 3700]


def test_the_newest_stays_however_old() -> None:
    assert superfluous(aged(90_000, 90_001), NOW, HOUR) == [1]
    assert superfluous(aged(90_000), NOW, HOUR) == []
    assert superfluous([], NOW, HOUR) == []


def test_what_was_the_table_until_just_now_stays_however_old_it_is() -> None:
    assert superfluous(aged(1, 90_000), NOW, HOUR) == []
    assert superfluous(aged(3000, 90_000), NOW, HOUR) == []


def test_the_version_before_a_deletion_stays() -> None:
    rows = {600: 501, 603: 500, 606: 0, 609: 1000, 612: 999}
    versions = [
        TableVersion(10_000 - age, NOW - timedelta(seconds=age), held) for age, held in rows.items()
    ]
    newest = TableVersion(20_000, NOW, 502)
    assert 609 in kept_ages([newest, *versions])


@given(st.lists(st.floats(0, 7200), min_size=1).map(sorted))
def test_for_each_moment_kept_there_is_a_version_of_a_minute_around_it(ages: list[float]) -> None:
    versions = aged(*ages)
    dropped = superfluous(versions, NOW, HOUR)
    kept = [v for v in versions if v.version not in dropped]
    assert versions[0] in kept
    assert len(kept) <= 1 + sum(age <= RECENT.total_seconds() for age in ages) + 1 + 61
    for newer, version in pairwise(versions):
        if NOW - newer.created_at <= HOUR:
            after = [v for v in kept if v.created_at >= version.created_at]
            assert min(v.created_at for v in after) - newer.created_at <= STEP


def test_removing_versions_leaves_the_others_whole(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(12):
                await index.upsert(image(n % 7, {"n": n}))
            numbers = [each.version for each in await index.versions()]
            uri = str(tmp_path / "images.lance")
            assert remove_versions(lance.dataset(uri), numbers[1:-3:2]) == len(numbers[1:-3:2])
            left = [each.version for each in await index.versions()]
            assert left == [n for n in numbers if n not in numbers[1:-3:2]]
            for number in left:
                past = lance.dataset(uri, version=number)
                assert past.to_table().num_rows == past.count_rows()

    run(check())
