"""A disk that is full or read-only: clear errors, nothing lost, and all well once it is mended."""

import asyncio
import errno
import logging
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.errors import StoreFault, StoreFullError, StoreReadOnlyError
from store.index import ImageIndex
from store.schemas import SearchQuery, image_id
from store.table.disk.sync import has_space
from store.table.faults import fault_of
from tests.disks import Disk, small_disk
from tests.store.support import image, opened, run, url_of, vector


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 8) as disk:
        yield disk


async def reads_go_on(index: ImageIndex, rows: set[int]) -> None:
    """Every acknowledged row is there, and nothing else."""
    assert await index.count() == len(rows)
    for n in rows:
        assert await index.get(image_id(url_of(n))) is not None
    assert len(await index.search(SearchQuery(vector=vector(1), limit=1000))) == len(rows)


# Each amount lets a commit come a step further: its rows, its transaction, its manifest.
@pytest.mark.parametrize("leave_bytes", [0, 4096, 8192, 12288, 16384])
def test_a_full_disk_refuses_adds_and_loses_nothing(
    disk: Disk, leave_bytes: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        "store.table.disk.sync.LEAST_FREE_BYTES", 0
    )  # to come as far as the disk itself

    async def check() -> None:
        rows = set(range(5))
        async with opened(disk.path / "index") as index:
            for n in rows:
                await index.upsert(image(n))
            disk.fill(leave_bytes)
            for n in range(10, 15):
                try:
                    await index.upsert(image(n, {f"key{n}": n}))
                    rows.add(n)
                except StoreFullError:
                    assert "disk is full" in caplog.text
                await reads_go_on(index, rows)
            assert len(rows) < 10
            assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1
            disk.make_room()
            await index.upsert(image(20))
            rows.add(20)
            await reads_go_on(index, rows)
        async with opened(disk.path / "index") as again:
            await reads_go_on(again, rows)

    run(check())


def test_a_nearly_full_disk_keeps_room_for_deletes(disk: Disk) -> None:
    async def check() -> None:
        async with opened(disk.path / "index") as index:
            for n in range(3):
                await index.upsert(image(n))
            disk.fill(100 << 10)
            assert not has_space(disk.path)
            for n in range(50):
                with pytest.raises(StoreFullError):
                    await index.upsert(image(10 + n))
            assert await index.delete([image_id(url_of(1))]) == 1
            report = await index.run_upkeep()
            assert report is not None
            assert "the disk is full" in report.result
            assert not [each for each in report.did if "fragments" in each]
            await reads_go_on(index, {0, 2})

    run(check())


def test_upkeep_of_a_full_disk_leaves_nothing_behind(disk: Disk) -> None:
    async def check() -> None:
        async with opened(disk.path / "index") as index:
            await index.upsert(image(1))
            disk.fill()
            with pytest.raises(StoreFullError):  # its report cannot be written
                await index.run_upkeep()
            assert not list((disk.path / "index").glob("*.new"))
            await reads_go_on(index, {1})
            disk.make_room()
            report = await index.run_upkeep()
            assert report is not None
            assert report.result == "ok"

    run(check())


def test_a_disk_that_becomes_read_only_refuses_writes_and_is_read(disk: Disk) -> None:
    async def check() -> None:
        async with opened(disk.path / "index") as index:
            await index.upsert(image(1))
            disk.set_writable(False)
            for write in (index.upsert(image(2)), index.delete([image_id(url_of(1))])):
                with pytest.raises(StoreReadOnlyError, match="cannot be written to"):
                    await write
            await reads_go_on(index, {1})
            disk.set_writable(True)
            await index.upsert(image(2))
            await reads_go_on(index, {1, 2})

    run(check())


def test_opening_on_a_read_only_disk_says_so(disk: Disk) -> None:
    async def check() -> None:
        async with opened(disk.path / "index") as index:
            await index.upsert(image(1))
        disk.set_writable(False)
        with pytest.raises(StoreReadOnlyError):
            async with opened(disk.path / "index"):
                pass

    run(check())


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
            try:
                with pytest.raises(StoreFullError):
                    await index.upsert(image(2))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            await index.upsert(image(2))
            await reads_go_on(index, {1, 2})

    run(check())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EDQUOT, "quota"), StoreFullError),
        (
            RuntimeError("LanceError(IO): Disk quota exceeded (os error 122), x.rs:1"),
            StoreFullError,
        ),
        (RuntimeError("Permission denied (os error 13)"), StoreReadOnlyError),
        (OSError("no number"), StoreFault),
        (RuntimeError("something else"), StoreFault),
    ],
)
def test_the_systems_number_tells_which(error: Exception, expected: type[StoreFault]) -> None:
    fault = fault_of(error, StoreFault("else"), uri="/nowhere", table="images")
    assert type(fault) is expected


@pytest.mark.parametrize(
    "stuck",
    [
        "store.write.planner.has_space",
        "store.write.commit.sync_to_disk",
        "store.table.disk.sync.Acknowledged.write",
    ],
)
def test_a_disk_that_does_not_answer_ends_the_writer_and_holds_up_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: str
) -> None:
    asked, answers = threading.Event(), threading.Event()

    def waits(*_: object) -> bool:
        asked.set()
        return answers.wait(10)

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            monkeypatch.setattr("store.write.writer.COMMIT_TIMEOUT_S", 1.0)
            monkeypatch.setattr(stuck, waits)
            adding = asyncio.create_task(index.upsert(image(2)))
            assert await asyncio.to_thread(asked.wait, 10)
            assert await index.count() >= 1
            assert not adding.done()
            with pytest.raises(StoreFault):
                await adding
            await asyncio.wait_for(index.ended(), 5)
            assert not index.healthy
            answers.set()  # else the end of the loop waits for the thread

    run(check())


def test_a_writer_that_is_stuck_says_that_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            ended = asyncio.create_task(index.ended())
            await index.upsert(image(1))
            assert not ended.done()
            monkeypatch.setattr("store.write.writer.COMMIT_TIMEOUT_S", 0.05)

            async def hangs(*_: object) -> None:
                await asyncio.sleep(60)

            monkeypatch.setattr(index._writer._committer, "put", hangs)
            with pytest.raises(StoreFault):
                await index.upsert(image(2))
            await asyncio.wait_for(ended, 5)
            assert not index.healthy

    run(check())
