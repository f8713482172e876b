"""What is held in memory follows the table, whoever changes it, and keeps within its room."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import lance.fragment
import numpy as np
import pytest
from lancedb.index import BTree

from store.index import ImageIndex
from store.metadata.columns import Registry
from store.schemas import SearchQuery, image_id
from store.settings import StoreSettings
from store.snapshot.fragments import CachedFragment
from store.snapshot.latest import Snapshots
from store.table.connection import connect
from store.table.open import open_table
from store.upkeep.indexes import ensure_vector_index
from tests.store.support import DIM, IDENTITY, image, opened, run, url_of, vector

ROWS = 300


@asynccontextmanager
async def filled(folder: Path, **bounds: Any) -> AsyncIterator[tuple[ImageIndex, Snapshots, Any]]:
    """An index, and the snapshots of another handle on its table."""
    async with opened(folder) as index:
        await asyncio.gather(*(index.upsert(image(n, {"n": n})) for n in range(ROWS)))
        connection = await connect(StoreSettings(store_uri=str(folder)))
        table = await open_table(connection, IDENTITY)
        snapshots = Snapshots(table, **bounds)
        yield index, snapshots, table
        snapshots.close()


def reads_of(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Each fragment that is read from now on: whether whole."""
    reads: list[bool] = []
    read = CachedFragment.read.__func__  # type: ignore[attr-defined] # of a class method

    def noted(cls: Any, fragment: lance.fragment.LanceFragment, *, whole: bool) -> CachedFragment:
        reads.append(whole)
        held: CachedFragment = read(cls, fragment, whole=whole)
        return held

    monkeypatch.setattr(CachedFragment, "read", classmethod(noted))
    return reads


def test_an_index_behind_the_vector_index_hides_and_shows_no_rows(tmp_path: Path) -> None:
    async def check() -> None:
        async with filled(tmp_path) as (index, _, table):
            column = Registry.from_schema(await table.schema()).by_key["n"].columns[0].name
            await table.create_index(column, config=BTree())
            await asyncio.gather(
                *(index.upsert(image(ROWS + n, {"n": ROWS + n})) for n in range(9))
            )
            assert await ensure_vector_index(table, ROWS + 9, 1)

            async def found(filter: dict[str, Any]) -> list[Any]:
                hits = await index.search(SearchQuery(vector=vector(3), filter=filter, limit=400))
                return sorted(hit.metadata["n"] for hit in hits if isinstance(hit.metadata, dict))

            old, new = {"n": {"$lt": ROWS}}, {"n": {"$gte": ROWS}}
            assert await found(new) == await found({"$not": old}) == [*range(ROWS, ROWS + 9)]
            assert await found(old) == await found({"$not": new}) == [*range(ROWS)]

    run(check())


def test_what_a_commit_has_added_is_held_as_it_would_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = {
        "text": "a", "empty": "", "n": 7, "price": 0.1, "sold": True, "none": None,
        "at": "2024-05-01T00:00:00.5+02:00", "tags": ["red", ""], "no tags": [],
    }  # fmt: skip

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, every))
            await index.snapshots.latest()
            reads = reads_of(monkeypatch)
            given = [every, None, {"n": 8}, "a text", {"tags": ["x"]}]
            await asyncio.gather(*(index.upsert(image(n, each)) for n, each in enumerate(given, 2)))
            snapshot = await index.snapshots.latest()
            assert reads == []
            held = snapshot.cache.fragments[-1]
            read = CachedFragment.read(snapshot.dataset.get_fragment(held.number), whole=True)
            assert held.columns.equals(read.columns)
            assert held.columns.num_rows == len(given)
            assert np.array_equal(held.vectors, read.vectors)
            assert np.array_equal(held.row_ids, read.row_ids)
            assert held.metadata == read.metadata

    run(check())


def test_deleted_rows_go_and_restored_ones_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with filled(tmp_path) as (index, snapshots, _):
            assert len((await snapshots.latest()).cache.row_ids) == ROWS
            assert await index.search(SearchQuery(vector=vector(3), limit=1))
            reads = reads_of(monkeypatch)
            version = (await index.versions())[0].version
            await index.delete([image_id(url_of(n)) for n in range(0, ROWS, 3)])
            cache = (await snapshots.latest()).cache
            assert len(cache.row_ids) == len(cache.tail) == 200
            assert cache.rough_distances(vector(1)[np.newaxis]).shape == (1, 200)
            assert reads == []  # what was deleted is known without reading the rest again
            await index.restore(version=version)
            assert len((await snapshots.latest()).cache.row_ids) == ROWS
            [hit] = await index.search(SearchQuery(vector=vector(3), limit=1))
            assert (hit.url, hit.metadata) == (url_of(3), {"n": 3})

    run(check())


def test_a_column_that_a_restore_gives_another_type_holds_nothing_of_the_old(
    tmp_path: Path,
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            version = (await index.versions())[0].version
            await index.upsert(image(2, {"a": "text"}))
            assert len(await index.search(SearchQuery(vector=vector(1)))) == 2
            await index.restore(version=version)
            await index.upsert(image(3, {"b": 5}))
            hits = await index.search(SearchQuery(vector=vector(1)))
            assert {hit.url: hit.metadata for hit in hits} == {url_of(1): None, url_of(3): {"b": 5}}

    run(check())


def test_a_tail_without_room_is_searched_by_the_engine(tmp_path: Path) -> None:
    async def check() -> None:
        async with filled(tmp_path, memory_bytes=ROWS * DIM) as (_, snapshots, _):
            snapshot = await snapshots.latest()
            assert not snapshot.has_tail
            assert len(snapshot.cache.row_ids) == 0
            assert snapshot.rows == ROWS

    run(check())


def test_what_the_index_knows_is_held_without_its_vectors_while_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with filled(tmp_path, fill=True) as (index, snapshots, table):
            whole = (await snapshots.latest()).cache.nbytes
            assert await ensure_vector_index(table, ROWS, ROWS) is not None
            held = (await snapshots.latest()).cache
            assert (len(held.row_ids), len(held.tail)) == (ROWS, 0)
            assert held.nbytes < whole - ROWS * DIM * 3
            # A process that starts now reads the columns in the background, as far as they fit.
            reads = reads_of(monkeypatch)
            later = Snapshots(table, fill=True)
            first = await later.latest()
            assert (len(first.cache.row_ids), first.has_tail) == (0, True)
            assert later._filling is not None
            await later._filling
            assert len((await later.latest()).cache.row_ids) == ROWS
            assert set(reads) == {False}
            cramped = Snapshots(table, memory_bytes=1, fill=True)
            assert len((await cramped.latest()).cache.row_ids) == 0
            assert cramped._filling is None
            # Both find the same, the new row as well.
            await index.upsert(image(ROWS, {"n": ROWS}))
            for each in (later, cramped):
                found = (await each.latest()).having("id", [image_id(url_of(ROWS))], ["id", "url"])
                assert found["url"].to_pylist() == [url_of(ROWS)]
                each.close()

    run(check())


def test_long_texts_are_not_read_to_see_that_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with filled(tmp_path) as (index, _, table):
            texts = [random.Random(n).randbytes(10_000).hex() for n in range(50)]
            await asyncio.gather(*(index.upsert(image(n, text)) for n, text in enumerate(texts)))
            reads = reads_of(monkeypatch)
            snapshot = await Snapshots(table, memory_bytes=400_000).latest()
            assert (snapshot.has_tail, reads) == (False, [])
            assert (await Snapshots(table, memory_bytes=4_000_000).latest()).has_tail

    run(check())


def test_a_fragment_that_cannot_be_read_in_the_background_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with filled(tmp_path) as (index, _, table):
            assert await ensure_vector_index(table, ROWS, ROWS) is not None

            def broken(*_: Any, **__: Any) -> None:
                raise OSError("no such file")

            with monkeypatch.context() as patched:
                patched.setattr(CachedFragment, "read", broken)
                snapshots = Snapshots(table, fill=True)
                snapshot = await snapshots.latest()
                assert snapshots._filling is not None
                await snapshots._filling
            assert "could not be read into memory" in caplog.text
            assert snapshot.having("id", [image_id(url_of(3))], ["id"]).num_rows == 1
            # Once it can be read, the next version has it.
            await index.upsert(image(ROWS))
            await snapshots.latest()
            await snapshots._filling
            assert len((await snapshots.latest()).cache.row_ids) == ROWS + 1
            snapshots.close()

    run(check())
