"""Which old versions stay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import lance
from hypothesis import given
from hypothesis import strategies as st

from store.retention import RECENT, STEP, remove_versions, superfluous
from store.schemas import TableVersion
from tests.store.support import image, opened, run

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def aged(*seconds: float) -> list[TableVersion]:
    """Versions of these ages, the youngest with the highest number."""
    return [
        TableVersion(len(seconds) - n, NOW - timedelta(seconds=age), None)
        for n, age in enumerate(seconds)
    ]


def test_the_young_stay_then_one_of_each_minute_then_none() -> None:
    versions = aged(1, 2, 100, 121, 122, 150, 190, 200, 3599, 3700, 9000)
    dropped = superfluous(versions, NOW, HOUR)
    kept = [v.version for v in versions if v.version not in dropped]
    ages = {v.version: int((NOW - v.created_at).total_seconds()) for v in versions}
    assert [ages[number] for number in kept] == [1, 2, 100, 121, 190, 3599]


def test_the_newest_stays_however_old() -> None:
    assert superfluous(aged(90_000, 90_001), NOW, HOUR) == [1]
    assert superfluous([], NOW, HOUR) == []


@given(st.lists(st.floats(0, 7200), min_size=1).map(sorted))
def test_for_each_moment_kept_there_is_a_version_within_a_step(ages: list[float]) -> None:
    versions = aged(*ages)
    dropped = superfluous(versions, NOW, HOUR)
    kept = [v for v in versions if v.version not in dropped]
    assert versions[0] in kept
    assert len(kept) <= 1 + sum(age <= RECENT.total_seconds() for age in ages) + 61
    for version in versions:
        if NOW - version.created_at <= HOUR:
            near = [v for v in kept if abs(v.created_at - version.created_at) <= STEP]
            assert near
    # What stays goes on to stay until it is too old.
    assert superfluous(kept, NOW, HOUR) == []


def test_removing_versions_leaves_the_others_whole(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(12):
                await index.upsert(image(n % 7, {"n": n}))
            numbers = [each.version for each in await index.versions()]
            uri = str(tmp_path / "images.lance")
            assert remove_versions(lance.dataset(uri), numbers[1:-3:2]).startswith("removed ")
            left = [each.version for each in await index.versions()]
            assert left == [n for n in numbers if n not in numbers[1:-3:2]]
            for number in left:
                past = lance.dataset(uri, version=number)
                assert past.to_table().num_rows == past.count_rows()

    run(check())
