"""Compaction between commits: it happens, it harms nothing, and its failures are counted."""

import asyncio
import logging
from pathlib import Path

import lancedb
import pytest

from store.schemas import SearchQuery
from store.settings import StoreSettings
from store.upkeep import Upkeep
from tests.store.support import image, opened, run, vector


async def fragments(folder: Path) -> int:
    connection = await lancedb.connect_async(folder)
    stats = await (await connection.open_table("images")).stats()
    return int(stats["fragment_stats"]["num_fragments"])


def test_many_commits_leave_few_fragments_and_every_row(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, store_compact_every=10) as index:
            for n in range(35):
                text = SearchQuery(text="word34", text_vector=vector(1), limit=1)
                await index.upsert(image(n, f"word{n}"))
            assert index.stats().upkeep_runs == 3
            assert index.stats().upkeep_failures == 0
            # Lance keeps rows that the text index has apart from those it lacks.
            assert await fragments(tmp_path) <= 12
            assert await index.count() == 35
            nearest = await index.search(SearchQuery(vector=vector(3), limit=1))
            assert nearest[0].metadata == "word3"
            assert {h.metadata for h in await index.search(text)} <= {"word34", "word1"}

    run(check())


def test_reads_go_on_during_writes_and_compaction(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, store_compact_every=2) as index:
            await index.upsert(image(0, {"n": 0}))
            done = asyncio.Event()

            async def read() -> int:
                rounds = 0
                while not done.is_set():
                    hits = await index.search(SearchQuery(vector=vector(0), filter={"n": 0}))
                    assert [hit.score for hit in hits] == [1.0]
                    rounds += 1
                return rounds

            reading = asyncio.create_task(read())
            for n in range(1, 21):
                await index.upsert(image(n, {"n": n}))
            done.set()
            assert await reading > 0
            assert index.stats().upkeep_runs >= 5

    run(check())


class FakeTable:
    """A table whose optimize fails the first time."""

    def __init__(self) -> None:
        self.calls = 0

    async def checkout_latest(self) -> None:
        return None

    async def optimize(self, cleanup_older_than: object) -> None:
        self.calls += 1
        if self.calls == 1:
            raise RuntimeError("disk full")


def test_a_failure_is_counted_and_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        table = FakeTable()
        upkeep = Upkeep(table, StoreSettings(store_compact_every=3))
        for commits, waiting, calls in [(2, 0, 0), (3, 1, 0), (6, 1, 1), (3, 0, 2)]:
            upkeep.commits_since = commits
            await upkeep.run_if_due(waiting)
            assert table.calls == calls
        assert (upkeep.failures, upkeep.runs) == (1, 1)

    with caplog.at_level(logging.ERROR):
        run(check())
    assert "compaction of the index failed" in caplog.text
