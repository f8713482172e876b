"""Rows put in with care: never over what somebody else has added, patched or deleted since."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from store.changes.change import Draft
from store.changes.log import CURRENT, FOLDER, ChangeLog
from store.changes.since import OthersChanges
from store.index import ImageIndex
from store.schemas import Author, NewKeys, Upserted, image_id
from store.transfer.whole_row import WholeRow
from tests.store.support import image, opened, run, url_of, vector

BULK = Author("bulk", None, "bulk-1")
USER = Author("user", None, "request-1")


def row(n: int, moment: datetime) -> WholeRow:
    own = image_id(url_of(n))
    date = moment + timedelta(microseconds=n)
    return WholeRow(own, url_of(n), date, {"by": "bulk", "n": n}, vector(n + 100))


async def put(index: ImageIndex, rows: list[WholeRow]) -> list[Any]:
    return await index.transfer.put(rows, NewKeys(32), BULK, over_later=False)


async def by(index: ImageIndex, n: int) -> str | None:
    found = await index.get(image_id(url_of(n)))
    return None if found is None else dict(found.metadata or {})["by"]  # type: ignore[arg-type]


def test_later_changes_by_others_stay(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index, opened(tmp_path) as service:
            for n in (0, 1, 2):
                await service.upsert(image(n, {"by": "user"}), USER)
            moment = datetime.now(UTC)
            await service.upsert(image(1, {"by": "later user"}), USER)  # added again
            await service.patch(image_id(url_of(2)), {"by": "patch"}, USER)
            await service.upsert(image(3, {"by": "user"}), USER)
            await service.delete([image_id(url_of(3))], USER)
            became = await put(index, [row(n, moment) for n in range(5)])
            assert [one.skipped for one in became] == [False, True, True, True, False]
            found = [await by(index, n) for n in range(5)]
            assert found == ["bulk", "later user", "patch", None, "bulk"]

    run(check())


def test_the_same_rows_again_change_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index, opened(tmp_path) as service:
            moment = datetime.now(UTC)
            rows = [row(n, moment) for n in range(4)]
            assert all(one.created for one in await put(index, rows))
            await service.patch(rows[1].id, {"by": "patch"}, USER)
            await service.delete([rows[2].id], USER)
            version = (await index.state()).version
            assert all(one.skipped for one in await put(index, rows))
            assert (await index.state()).version == version
            assert [await by(index, n) for n in range(4)] == ["bulk", "patch", None, "bulk"]
        # A process that begins anew reads the log from its start.
        async with opened(tmp_path) as anew:
            assert all(one.skipped for one in await put(anew, rows))

    run(check())


def test_of_two_rows_of_one_image_the_later_stays_in_any_order(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            moment = datetime.now(UTC)
            early, late = row(0, moment), row(0, moment + timedelta(seconds=1))
            became = await put(index, [late, early])
            assert [one.skipped for one in became] == [False, True]
            [again] = await put(index, [early])
            assert again.skipped
            found = await index.get(early.id)
            assert found is not None
            assert found.created_at == late.created_at

    run(check())


def test_what_changes_between_the_lock_and_the_commit_is_seen(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index, opened(tmp_path) as service:
            moment = datetime.now(UTC)
            rows = [row(n, moment) for n in range(60)]

            async def change(n: int) -> Upserted:
                return await service.upsert(image(n, {"by": "user"}), USER)

            async with asyncio.TaskGroup() as tasks:
                putting = [
                    tasks.create_task(put(index, rows[n : n + 10])) for n in range(0, 60, 10)
                ]
                for n in range(60):
                    tasks.create_task(change(n))
            assert len(putting) == 6
            assert {await by(index, n) for n in range(60)} == {"user"}

    run(check())


def test_a_file_under_the_number_of_a_removed_one_is_read_from_its_start(tmp_path: Path) -> None:
    log, others = (
        ChangeLog(tmp_path, "images"),
        OthersChanges(tmp_path, "bulk-1", datetime.now(UTC)),
    )
    log.begin([Draft(USER, "add", ["first"] * 9)], 1)
    assert others.now().keys() == {"first"}
    (tmp_path / FOLDER / CURRENT).write_bytes(b"")  # which keeps its number
    log.begin([Draft(USER, "add", ["second"])], 2)
    assert others.now().keys() == {"first", "second"}
