"""Pages of one version while others write, and rows put in: dates, undoing, originals."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store.changes.change import LogQuery
from store.changes.story import Span
from store.errors import MetadataLimitError, StoreError, VersionError
from store.index import ImageIndex
from store.schemas import Author, NewKeys, SearchQuery, Upserted
from store.table import kept
from store.table.connection import in_dataset
from store.table.versions import remove_versions
from store.transfer.whole_row import WholeRow
from tests.store.support import image, opened, run, url_of, vector

OPS = Author("ops", "203.0.113.7")
LONG_AGO = datetime(2020, 1, 2, 3, 4, 5, 678, UTC)


def row(n: int, **more: object) -> WholeRow:
    made = WholeRow(f"row:{n}", url_of(n), LONG_AGO + timedelta(days=n), {"n": n}, vector(n))
    return replace(made, **more)  # type: ignore[arg-type]


async def put(index: ImageIndex, rows: Sequence[WholeRow]) -> list[Upserted | StoreError]:
    return await index.transfer.put(rows, NewKeys(32), OPS)


async def all_rows(index: ImageIndex, version: int | None, most: int) -> list[WholeRow]:
    first, rows = 0, list[WholeRow]()
    while True:
        page = await index.transfer.page(version, first, most)
        found = list(page.rows)
        if not found:
            return rows
        rows += found
        first, version = first + len(found), page.version


def test_pages_are_of_one_version_whatever_is_written(tmp_path: Path) -> None:
    async def read() -> None:
        async with opened(tmp_path) as index:
            for n in range(30):
                await index.upsert(image(n, {"n": n}))
            begun = await index.transfer.page(None, 0, 7)
            seen = list(begun.rows)
            while len(seen) < begun.total:
                await index.delete([seen[0].id, seen[-1].id])
                await index.upsert(image(len(seen) + 100, {"n": -1}))
                await index.upsert(image(29, {"n": -1}))
                await index.run_upkeep()
                seen += list((await index.transfer.page(begun.version, len(seen), 7)).rows)
            assert begun.total == 30
            assert sorted((one.metadata or {})["n"] for one in seen) == list(range(30))  # type: ignore[index]

    run(read())


def test_upkeep_leaves_a_version_until_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(0))
            version = (await index.transfer.page(None, 0, 1)).version
            await index.upsert(image(1))
            table = index.opened.table

            async def removed() -> int:
                def remove(dataset: Any) -> int:
                    kept.forget_kept(dataset)
                    return remove_versions(dataset, [version])

                return await in_dataset(table, remove)

            assert await removed() == 0
            assert len(list((await index.transfer.page(version, 0, 9)).rows)) == 1
            now = time.time()
            monkeypatch.setattr(time, "time", lambda: now + kept.KEPT_FOR_S + 1)
            assert await removed() == 1
            with pytest.raises(VersionError, match="begin the export anew"):
                await index.transfer.page(version, 0, 9)

    run(read())


def test_rows_come_back_as_they_were_put_in(tmp_path: Path) -> None:
    async def read() -> None:
        given = [row(n, pixels=f"{n % 2:064x}") for n in range(600)]
        given[0] = replace(given[0], metadata="a text", thumbnail=b"small")
        async with opened(tmp_path) as index:
            answers = await put(index, given)
            assert answers[:3] == [
                Upserted("row:0", created=True),
                Upserted("row:1", created=True),
                Upserted("row:2", created=True, duplicate_of="row:0"),
            ]
            found = {one.id: one for one in await all_rows(index, None, 100)}
            assert len(found) == 600
            for one in given:
                there = found[one.id]
                assert there.vector.tobytes() == one.vector.tobytes()
                # A thumbnail is that of all rows with its pixels.
                small = b"small" if one.pixels == given[0].pixels else None
                assert vars(there) == {**vars(one), "vector": there.vector, "thumbnail": small}
            newest = (await index.images(1)).images
            assert newest[0].created_at == given[-1].created_at

    run(read())


def test_what_was_put_in_is_undone(tmp_path: Path) -> None:
    async def read() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(replace(image(1, {"n": "before"}), own_id="row:1"))
            before = await index.get("row:1")
            mixed = [row(0), row(1, metadata={"n": "after"}), row(2, metadata={"n": "x"})]
            await put(index, mixed)
            changes, _ = await index.changes(LogQuery(key="ops"))
            told = [(one.action, list(one.ids), one.more) for one in changes]
            assert sorted(told) == [
                ("add", ["row:2"], {"imported": True}),
                ("replace", ["row:1"], {"imported": True}),
            ]
            done = await index.undo(Span("ops", LONG_AGO, datetime.now(UTC)))
            assert (done.removed, done.restored) == (1, 1)
            assert await index.get("row:1") == before
            assert await index.count() == 1

    run(read())


def test_a_request_brings_so_many_keys(tmp_path: Path) -> None:
    async def read() -> None:
        rows = [row(n, metadata={f"key {n}": n}) for n in range(5)]
        async with opened(tmp_path) as index:
            answers = await index.transfer.put(rows, NewKeys(3), OPS)
            assert [isinstance(one, MetadataLimitError) for one in answers] == [
                *[False] * 3,
                *[True] * 2,
            ]
            assert await index.count() == 3

    run(read())


def test_an_original_is_named_where_its_file_is(tmp_path: Path) -> None:
    async def read() -> None:
        async with opened(tmp_path) as index:
            key = await index.keep_original(b"a file")
            await put(index, [row(0, original=key), row(1, original="1" * 64)])
            found = {one.id: one.original for one in await all_rows(index, None, 10)}
            assert found == {"row:0": key, "row:1": None}
            stored = await index.picture("row:0", "originals")
            assert stored is not None
            assert stored.data == b"a file"

    run(read())


def test_an_add_waits_behind_few_rows(tmp_path: Path) -> None:
    rows, at_once = 3000, 256

    async def read() -> None:
        async with opened(tmp_path) as index:
            given = [row(n, created_at=LONG_AGO) for n in range(rows)]
            putting = asyncio.create_task(put(index, given))
            while await index.count() < at_once:
                assert not putting.done()
                await asyncio.sleep(0)
            before = await index.count()
            await index.upsert(image(0))
            assert await index.count() - before < 4 * at_once
            await putting
            assert await index.count() == rows + 1

    run(read())


def test_exports_at_once_are_in_nobodys_way(tmp_path: Path) -> None:
    async def read() -> None:
        async with opened(tmp_path) as index:
            for n in range(12):
                await index.upsert(image(n, {"n": n}))
                pages = (index.transfer.page(None, 0, 100) for _ in range(8))
                searches = (index.search(SearchQuery(vector=vector(n))) for _ in range(8))
                read = asyncio.gather(*pages)
                found = await asyncio.gather(*searches)
                await read
                assert [len(hits) for hits in found] == [min(n + 1, 10)] * 8

    run(read())
