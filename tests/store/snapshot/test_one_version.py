"""A search reads one version of the table, its rows wherever they lie, its ties in one order."""

import asyncio
import ctypes
import mmap
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.errors import FilterError, QueryError
from store.index import ImageIndex
from store.metadata.predicates import ALWAYS
from store.metadata.rows import as_matrix
from store.schemas import FloatVector, ModelIdentity, NewImage, SearchQuery, image_id
from store.search.query import listed, search
from store.search.relevance import Matches, matches_of
from store.search.words.full_text import matching
from store.settings import StoreSettings
from store.snapshot import mapped_vectors
from store.snapshot.fragments import RowIds
from store.snapshot.latest import Snapshots
from store.snapshot.mapped_vectors import MappedVectors
from store.snapshot.snapshot import Snapshot
from store.table.connection import connect
from store.table.open import open_table
from store.upkeep.indexes import ensure_vector_index
from tests.store.support import IDENTITY, image, opened, run, url_of, vector

ROWS = 300
# Short vectors are packed in the table's files.
WIDE = replace(IDENTITY, dim=64)


@asynccontextmanager
async def snapshots_of(
    folder: Path, identity: ModelIdentity = IDENTITY, **bounds: Any
) -> AsyncIterator[tuple[Snapshots, Any]]:
    """Snapshots of another handle on a table."""
    connection = await connect(StoreSettings(store_uri=str(folder)))
    table = await open_table(connection, identity)
    snapshots = Snapshots(table, **bounds)
    yield snapshots, table
    snapshots.close()


def matches_in(snapshot: Snapshot, query: SearchQuery) -> Matches | None:
    """As `ImageIndex.search` looks for them."""
    return None if query.text is None else matches_of(snapshot, query)


@pytest.mark.parametrize("memory_bytes", [0, 1 << 20])
def test_a_search_sees_nothing_of_what_is_committed_meanwhile(
    tmp_path: Path, memory_bytes: int
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, "red bus"))
            await index.upsert(image(2, {"shop": "A"}))
            async with snapshots_of(tmp_path, memory_bytes=memory_bytes) as (snapshots, _):
                before = await snapshots.latest()
                await index.delete([image_id(url_of(1)), image_id(url_of(2))])
                await index.upsert(image(3, "red bus"))
                by_text = SearchQuery(text="red", text_vector=vector(1))
                for query, found in (
                    (by_text, {1, 2}),
                    (SearchQuery(filter={"shop": "A"}), {2}),
                    (SearchQuery(vector=vector(3)), {1, 2}),
                ):
                    hits = search(before, query, matches_in(before, query)).hits
                    assert {hit.url for hit in hits} == {url_of(n) for n in found}
                newest = listed(before, SearchQuery(limit=9), ALWAYS).rows
                urls = before.take(newest, ["url"])["url"].to_pylist()
                assert urls == [url_of(2), url_of(1)]
                latest = await snapshots.latest()
                hits = search(latest, by_text, matches_in(latest, by_text)).hits
                assert [hit.url for hit in hits] == [url_of(3)]

    run(check())


def test_a_text_may_be_matched_before_its_vector_is_there(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n, words in enumerate(["red bus", "blue bus", "red house", "tree"]):
                await index.upsert(image(n, words))
            for query in (SearchQuery(text="red bus", limit=3), SearchQuery(text="none at all")):
                complete = replace(query, vector=vector(3), text_vector=vector(9))
                expected = await index.search(complete)
                assert await index.search(complete, await index.matches(query)) == expected

            query = SearchQuery(text="tree", text_vector=vector(0))
            matches = await index.matches(query)
            before = await index.search(query)
            await index.delete([image_id(url_of(3))])
            await index.upsert(image(5, "tree"))
            assert await index.search(query, matches) == before
            assert await index.search(query) != before
            with pytest.raises(QueryError, match="characters"):
                await index.matches(SearchQuery(text="x" * 10_001))
            with pytest.raises(FilterError):
                await index.matches(SearchQuery(text="tree", filter={"$no": 1}))

    run(check())


def test_texts_with_one_score_are_in_one_order(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(ROWS, "red red"))
            await asyncio.gather(*(index.upsert(image(n, "red")) for n in range(ROWS)))
            async with snapshots_of(tmp_path) as (snapshots, _):
                snapshot = await snapshots.latest()
                first = sorted(image_id(url_of(n)) for n in range(ROWS))
                for count in (1, 2, 20, ROWS, 2 * ROWS):
                    rows, _ = matching(snapshot, "red", count, ALWAYS)
                    best, *found = snapshot.take(rows, ["id"])["id"].to_pylist()
                    assert best == image_id(url_of(ROWS))
                    assert rows[1:].tolist() == sorted(rows[1:].tolist())
                    assert len(found) == min(count - 1, ROWS)
                    assert set(found) <= set(first)
                    assert np.array_equal(matching(snapshot, "red", count, ALWAYS)[0], rows)

    run(check())


def _wide(n: int) -> NewImage:
    drawn = np.random.default_rng(n).normal(size=WIDE.dim)
    return NewImage(url_of(n), np.asarray(drawn / np.linalg.norm(drawn), np.float32))


@asynccontextmanager
async def wide(folder: Path) -> AsyncIterator[Snapshot]:
    """Several fragments, all of which the vector index knows; of each rows are deleted."""
    index = await ImageIndex.open(StoreSettings(store_uri=str(folder)), WIDE)
    for start in range(0, ROWS, 100):
        await asyncio.gather(*(index.upsert(_wide(n)) for n in range(start, start + 100)))
    async with snapshots_of(folder, WIDE) as (snapshots, table):
        assert await ensure_vector_index(table, ROWS, ROWS) is not None
        await index.delete([image_id(url_of(n)) for n in range(0, ROWS, 7)])
        yield await snapshots.latest()
    await index.close()


def _by_engine(snapshot: Snapshot, row_ids: RowIds) -> FloatVector:
    return as_matrix(snapshot.dataset._take_rows(row_ids.tolist(), columns=["vector"])["vector"])


def _mapped(snapshot: Snapshot, files: MappedVectors, row_ids: RowIds) -> FloatVector | None:
    fragments = {each.fragment_id: each for each in snapshot.dataset.get_fragments()}
    return files.read(snapshot.dataset, fragments, row_ids)


def test_mapped_files_have_the_vectors_that_the_engine_reads(tmp_path: Path) -> None:
    async def check() -> None:
        async with wide(tmp_path) as snapshot:
            files, row_ids = MappedVectors(), snapshot.row_ids(ALWAYS)
            for asked in (row_ids, row_ids[::-3], row_ids[[5, 200, 5, 90]]):
                read = _mapped(snapshot, files, asked)
                assert read is not None
                assert np.array_equal(read, _by_engine(snapshot, asked))
                assert np.array_equal(snapshot.vectors(asked), read)
            assert len(snapshot.vectors(row_ids[:0])) == 0
            fragments = snapshot.dataset.get_fragments()
            assert len(files._files) == len(fragments) > 1
            # One that is mapped later lets go of those that the table has no more.
            later = MappedVectors()
            later._files["of before"] = []
            assert _mapped(snapshot, later, row_ids) is not None
            assert later._files.keys() == files._files.keys()

    run(check())


def _in_memory(path: Path) -> float:
    """The share of a file that the system has in memory."""
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        view = np.frombuffer(mapped, np.uint8)
        pages = np.zeros(-(-len(view) // mmap.PAGESIZE), np.uint8)
        asked = ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(len(view))
        refused = ctypes.CDLL(None).mincore(*asked, ctypes.c_void_p(pages.ctypes.data))
        del view
    assert not refused
    return float((pages & 1).mean())


def test_a_mapped_file_is_read_ahead_as_a_whole(tmp_path: Path) -> None:
    async def check() -> None:
        async with wide(tmp_path) as snapshot:
            path = Path(snapshot.dataset.uri, "data", _file_of(snapshot))
            _forget(path)
            if _in_memory(path) == 1:
                pytest.skip("this file system is memory")
            assert _mapped(snapshot, MappedVectors(), snapshot.row_ids(ALWAYS)) is not None
            _until_whole(path)

    run(check())


def _until_whole(path: Path) -> None:
    while _in_memory(path) < 1:
        time.sleep(0.01)


def _file_of(snapshot: Snapshot) -> str:
    return str(snapshot.dataset.get_fragments()[0].metadata.files[0].path)


def _forget(path: Path) -> None:
    """Have the system let go of what it has of a file in memory."""
    with path.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("laid_out", ["backwards", "short", "not at all"])
def test_a_file_that_is_laid_out_otherwise_is_left_to_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, laid_out: str
) -> None:
    pages = mapped_vectors._pages

    def otherwise(path: Path, column: int, dim: int) -> list[FloatVector]:
        found = pages(path, column, dim)
        return {
            "backwards": [page[::-1] for page in found],
            "short": [page[:-1] for page in found],
            "not at all": [],
        }[laid_out]

    async def check() -> None:
        async with wide(tmp_path) as snapshot:
            monkeypatch.setattr(mapped_vectors, "_pages", otherwise)
            row_ids = snapshot.row_ids(ALWAYS)
            assert _mapped(snapshot, MappedVectors(), row_ids) is None
            assert np.array_equal(snapshot.vectors(row_ids), _by_engine(snapshot, row_ids))

    run(check())
