"""Upkeep beside the writes: it happens, it harms nothing, and its failures are told."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import lance
import lancedb
import pytest

import store.upkeep.scheduler
import store.upkeep.tasks
from store.schemas import SearchQuery
from store.table.disk.location import Location
from store.table.versions import remove_versions
from store.upkeep.compaction import FEW, FEW_AT_REST, TIERS, Fragment, compact, target_rows
from tests.store.support import image, opened, run, vector


async def fragments(folder: Path) -> int:
    connection = await lancedb.connect_async(folder)
    stats = await (await connection.open_table("images")).stats()
    return int(stats["fragment_stats"]["num_fragments"])


def whole(*rows: int) -> list[Fragment]:
    return [Fragment(each, 0) for each in rows]


@pytest.mark.parametrize(
    ("kept", "target"),
    [
        (whole(*[64] * FEW), None),
        (whole(*[64] * (FEW + 1)), TIERS[0]),
        (whole(900_000, *[64] * (FEW + 1)), TIERS[0]),  # the large one is left alone
        (whole(*[5000] * (FEW + 1)), TIERS[1]),
        (whole(*[5000] * FEW, *[64] * FEW), None),
        (whole(*[5000] * (FEW + 1), *[64] * (FEW + 1)), TIERS[1]),
        (whole(*[2_000_000] * 40), None),
        ([Fragment(1000, 100)], None),
        ([Fragment(1000, 101)], TIERS[0]),
        ([], None),
    ],
)
def test_which_fragments_are_joined(kept: list[Fragment], target: int | None) -> None:
    assert target_rows(kept) == target


def test_at_rest_few_of_the_smallest_stay() -> None:
    assert target_rows(whole(*[64] * FEW_AT_REST), FEW_AT_REST) is None
    assert target_rows(whole(*[64] * (FEW_AT_REST + 1)), FEW_AT_REST) == TIERS[0]
    assert target_rows(whole(*[5000] * FEW, 64), FEW_AT_REST) is None


def test_endless_commits_leave_few_fragments_and_write_few_rows_again() -> None:
    """The rule of the tiers by itself, over a million rows in commits of 100."""
    sizes: list[int] = []
    written = 0
    for commit in range(10_000):
        sizes.append(100)
        if commit % 10 == 9 and (target := target_rows(whole(*sizes))) is not None:
            small = [size for size in sizes if size < target]
            sizes = [size for size in sizes if size >= target]
            while small:
                joined = 0
                while small and joined < target:
                    joined += small.pop(0)
                sizes.append(joined)
                written += joined
        assert len(sizes) <= FEW * (len(TIERS) + 2)
    assert written <= 12 * 1_000_000


def test_many_commits_leave_few_fragments_and_every_row(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, store_upkeep_every=10) as index:
            for n in range(60):
                text = SearchQuery(text="word34", text_vector=vector(1), limit=1)
                await index.upsert(image(n, f"word{n}"))
            await index.run_upkeep()
            stats = index.stats()
            assert stats.upkeep_runs >= 3
            assert stats.upkeep_failures == 0
            assert await fragments(tmp_path) <= FEW
            assert await index.count() == 60
            nearest = await index.search(SearchQuery(vector=vector(3), limit=1))
            assert nearest[0].metadata == "word3"
            assert {h.metadata for h in await index.search(text)} <= {"word34", "word1"}

    run(check())


def test_reads_and_writes_go_on_during_upkeep(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, store_upkeep_every=1) as index:
            await index.upsert(image(0, {"n": 0}))
            done = asyncio.Event()

            async def read() -> int:
                rounds = 0
                while not done.is_set():
                    hits = await index.search(SearchQuery(vector=vector(0), filter={"n": 0}))
                    assert [hit.score for hit in hits] == [1.0]
                    rounds += 1
                return rounds

            async def keep() -> None:
                while not done.is_set():
                    report = await index.run_upkeep()
                    assert report is not None
                    assert report.result == "ok"

            reading, keeping = asyncio.create_task(read()), asyncio.create_task(keep())
            for n in range(1, 61):
                # Every second one replaces a row that a compaction may be moving.
                await index.upsert(image(n if n % 2 else n // 2, {"n": n}))
            done.set()
            await keeping
            assert await reading > 0
            assert await index.count() == len({n if n % 2 else n // 2 for n in range(61)})

    run(check())


def test_what_few_commits_leave_is_joined_when_no_more_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.upkeep.scheduler, "REST_S", 0.2)

    async def check() -> None:
        async with opened(tmp_path, store_upkeep_every=1000) as index:
            for n in range(FEW):
                await index.upsert(image(n))
            async with asyncio.timeout(60):
                while await fragments(tmp_path) > FEW_AT_REST:  # noqa: ASYNC110 - files on the disk
                    await asyncio.sleep(0.02)
            assert await index.count() == FEW

    run(check())


def test_rounds_at_rest_put_no_thorough_one_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One add after the other, each followed by a rest: as many as there are to be for a round."""
    monkeypatch.setattr(store.upkeep.scheduler, "REST_S", 0.05)
    rounds: list[bool] = []
    tasks_of = store.upkeep.tasks.UpkeepTasks.all

    def noted(self: Any, few: int, *, thorough: bool, everything: bool) -> Any:
        rounds.append(thorough)
        return tasks_of(self, few, thorough=thorough, everything=everything)

    monkeypatch.setattr(store.upkeep.tasks.UpkeepTasks, "all", noted)

    async def check() -> None:
        every = 4
        async with opened(tmp_path, store_upkeep_every=every) as index:
            for n in range(every):
                await index.upsert(image(n))
                async with asyncio.timeout(60):
                    while len(rounds) <= n:  # noqa: ASYNC110 - what the background has begun
                        await asyncio.sleep(0.01)
            assert rounds == [False, False, False, True]

    run(check())


def test_the_last_report_is_there_after_a_restart(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            assert (await index.state()).upkeep is None
            for n in range(3):
                await index.upsert(image(n))
            report = await index.run_upkeep()
            assert report is not None
            assert any(did.startswith("joined 3 fragments") for did in report.did)
        async with opened(tmp_path) as index:
            assert (await index.state()).upkeep == report

    run(check())


def test_only_one_process_does_it_at_a_time(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            lock = Location(str(tmp_path)).lock("images.upkeep")
            with lock.held_if_free() as free:
                assert free
                assert await index.run_upkeep() is None
            assert await index.run_upkeep() is not None

    run(check())


def test_a_failure_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> str:
        raise OSError("/secret/path: disk full")

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            with monkeypatch.context() as patch:
                patch.setattr(store.upkeep.tasks, "compact", fails)
                report = await index.run_upkeep()
                assert report is not None
                assert (
                    report.result == "failed: joining fragments (OSError); the log has the details"
                )
                assert (await index.state()).upkeep == report
            again = await index.run_upkeep()
            assert again is not None
            assert again.result == "ok"
            stats = index.stats()
            assert (stats.upkeep_failures, stats.upkeep_runs) == (1, 1)

    with caplog.at_level(logging.ERROR):
        run(check())
    assert "disk full" in caplog.text


def test_a_task_that_fails_or_hangs_keeps_no_other_from_being_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: Any) -> str:
        await asyncio.sleep(1000)
        return "never"

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            monkeypatch.setattr(store.upkeep.tasks, "ensure_vector_index", hangs)
            monkeypatch.setattr(store.upkeep.scheduler, "TASK_S", 0.5)
            monkeypatch.setattr("store.table.versions.superfluous", lambda *_: [1])
            report = await index.run_upkeep()
            assert report is not None
            assert report.result.startswith("failed: the vector index (TimeoutError);")
            assert "removed 1 versions" in report.did

    run(check())


def test_a_restore_during_the_cleanup_keeps_its_files(tmp_path: Path) -> None:
    """Both at once, many times: whichever comes first, what was restored can be read."""

    async def check() -> None:
        async with opened(tmp_path, store_upkeep_every=1000) as index:
            for turn in range(6):
                await index.upsert(image(turn, {"n": turn}))
                wanted = (await index.versions())[0].version
                await index.delete_matching({"n": {"$gte": 0}})
                for n in range(3):
                    await index.upsert(image(100 + n))
                uri = str(tmp_path / "images.lance")
                lock = Location(str(tmp_path)).write_lock("images")
                await asyncio.gather(
                    index.restore(version=wanted),
                    remove_under(lock, uri, [wanted]),
                    return_exceptions=True,  # where it was removed first, there is none to restore
                )
                assert len(await index.search(SearchQuery(vector=vector(1), limit=100))) == (
                    await index.count()
                )

    async def remove_under(lock: Any, uri: str, numbers: list[int]) -> None:
        async with lock:
            await asyncio.to_thread(lambda: remove_versions(lance.dataset(uri), numbers))

    run(check())


def test_a_step_that_loses_each_race_is_done_with_the_writers_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    real = compact

    def loses(dataset: Any, rows: int) -> list[str]:
        lock = Location(str(tmp_path)).lock("images.write")
        with lock.held_if_free() as free:
            held.append(not free)
        if not held[-1]:
            raise RuntimeError("Retryable commit conflict for version 7")
        return real(dataset, rows)

    async def check() -> None:
        async with opened(tmp_path) as index:
            await asyncio.gather(*(index.upsert(image(n)) for n in range(3)))
            monkeypatch.setattr(store.upkeep.tasks, "compact", loses)
            report = await index.run_upkeep()
            assert report is not None
            assert report.result == "ok"
            assert held == [False] * store.upkeep.tasks.TRIES + [True]

    run(check())
