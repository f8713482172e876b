"""Group commit: who is answered what, and how many commits it takes."""

import asyncio
import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

import store.write.writer
from store.errors import MetadataConflictError, StoreClosedError, StoreError, StoreWriteError
from store.schemas import NewImage, SearchQuery, Upserted, image_id
from store.settings import StoreSettings
from store.table.disk.lock import NoLock
from store.table.disk.sync import Acknowledged
from store.table.faults import ATTEMPTS
from store.write.operations import Alone, Delete, Put, Upsert
from store.write.plan import PutAnswer
from store.write.writer import Writer
from tests.store.support import image, opened, run, url_of, vector


class FakeCommitter:
    """Holds rows in a set; each commit first raises the next of the failures."""

    table = "images"

    is_locked = True

    def __init__(self, *failures: BaseException | None) -> None:
        self.failures = list(failures)
        self.rows: set[str] = set()
        self.commits: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def put(self, puts: Sequence[Put]) -> list[PutAnswer]:
        urls = [put.image.url for put in puts if isinstance(put, Upsert)]
        await self._begin(urls)
        ids = [image_id(url) for url in urls]
        self.rows.update(ids)
        return [Upserted(each, created=True) for each in ids]

    async def alone(self, operations: Sequence[Alone]) -> list[int]:
        raise NotImplementedError

    async def delete(self, deletes: Sequence[Delete]) -> list[int]:
        ids = frozenset().union(*(delete.ids for delete in deletes))
        await self._begin(sorted(ids))
        return [len(self.rows & delete.ids) for delete in deletes]

    def sync(self) -> None:
        """There is no disk."""

    async def _begin(self, what: list[str]) -> None:
        await self.gate.wait()
        self.commits.append(what)
        if self.failures and (failure := self.failures.pop(0)):
            raise failure


def writer_of(committer: FakeCommitter, **settings: int) -> Writer:
    return Writer(
        committer,  # type: ignore[arg-type] # a fake
        NoLock(),
        StoreSettings(**settings),  # type: ignore[arg-type] # integers, all of them
        committed=lambda *_: None,
    )


def add(n: int) -> Upsert:
    return Upsert(image(n), vector(n))


def test_64_adds_of_different_urls_take_few_commits(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            answers = await asyncio.gather(*(index.upsert(image(n, {"n": n})) for n in range(64)))
            assert all(answer.created for answer in answers)
            assert index.stats().commits <= 4
            assert await index.count() == 64
            assert await index.count({"n": {"$gte": 32}}) == 32

    run(check())


def test_64_adds_of_one_url_make_one_row_the_last_one(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, store_max_commit_rows=24) as index:
            adds = (index.upsert(image(7, {"n": n})) for n in range(64))
            answers = await asyncio.gather(*adds)
            assert [answer.created for answer in answers] == [True] + [False] * 63
            assert index.stats().commits == 3
            [hit] = await index.search(SearchQuery())
            assert hit.metadata == {"n": 63}

    run(check())


def test_adds_and_deletes_take_effect_in_their_order(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            one, two = image_id(url_of(1)), image_id(url_of(2))
            answers = await asyncio.gather(
                index.upsert(image(1)),
                index.upsert(image(2)),
                index.delete([one, "x"]),
                index.delete([one, two]),
                index.upsert(image(1, "back")),
                index.delete([two]),
                index.upsert(image(3)),
            )
            assert answers[2:4] == [1, 1]
            assert answers[4] == Upserted(one, created=True)
            assert answers[5] == 0
            assert index.stats().commits == 4
            assert {hit.url for hit in await index.search(SearchQuery())} == {url_of(1), url_of(3)}

    run(check())


def test_two_processes_handles_on_one_table_lose_and_repeat_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as one, opened(tmp_path) as other:
            for turn in range(6):
                # Both meet the new keys at the same time: one of them has to try again.
                fresh = {f"a{turn}": turn, f"b{turn}": "x"}
                turned = dict(reversed(fresh.items()))
                await asyncio.gather(
                    *(one.upsert(image(10 * turn + n, fresh)) for n in range(5)),
                    *(other.upsert(image(10 * turn + 3 + n, turned)) for n in range(5)),
                )
                assert await one.count() == await other.count() == 8 * (turn + 1)
            assert await one.count({"a5": 5, "b5": "x"}) == 8
            hits = await other.search(SearchQuery(limit=1000))
            assert len({hit.id for hit in hits}) == len(hits) == 48

    run(check())


@pytest.mark.parametrize("theirs", [{"b": 1}, {"a": 1, "b": 2}])
def test_metadata_that_was_checked_fits_the_columns_that_came_meanwhile(
    tmp_path: Path, theirs: dict[str, int]
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            checked = await index.check_metadata({"a": 7, "none": None})
            await index.upsert(image(1, theirs))
            await index.upsert(NewImage(url_of(2), vector(2), checked))
            stored = await index.get(image_id(url_of(2)))
            assert stored is not None
            assert stored.metadata == {"a": 7}

            late = await index.check_metadata({"c": 7})
            await index.upsert(image(3, {"c": "text"}))
            with pytest.raises(MetadataConflictError):
                await index.upsert(NewImage(url_of(4), vector(4), late))

    run(check())


def test_a_cancelled_caller_takes_its_row_back_and_harms_no_other() -> None:
    async def check() -> None:
        committer = FakeCommitter()
        committer.gate.clear()
        writer = writer_of(committer)
        first = asyncio.create_task(writer.write(add(0)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(writer.write(add(n))) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        first.cancel()  # its commit is under way
        waiting[1].cancel()  # this one still waits
        committer.gate.set()
        await asyncio.wait([first, *waiting])
        assert committer.commits == [[url_of(0)], [url_of(1), url_of(3)]]
        assert [task.cancelled() for task in waiting] == [False, True, False]
        await writer.close()

    run(check())


def test_a_failed_commit_fails_its_own_callers_only() -> None:
    async def check() -> None:
        committer = FakeCommitter(OSError("/secret/path: disk full"))
        writer = writer_of(committer, store_max_commit_rows=2)
        adds = (writer.write(add(n)) for n in range(4))
        answers = await asyncio.gather(*adds, return_exceptions=True)
        assert [isinstance(answer, StoreWriteError) for answer in answers] == [True] * 2 + [
            False
        ] * 2
        failed = answers[0]
        assert isinstance(failed, StoreError)
        assert str(failed) == "the index could not be written"
        assert "disk full" in failed.detail
        assert writer.commits == 1
        await writer.close()

    run(check())


@pytest.mark.parametrize("failing", ["put", "delete"])
def test_a_failed_half_of_a_group_fails_its_own_callers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    async def fails(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(0))
            with monkeypatch.context() as broken:
                broken.setattr(index._writer._committer, failing, fails)
                added, deleted = await asyncio.gather(
                    index.upsert(image(1)),
                    index.delete([image_id(url_of(0))]),
                    return_exceptions=True,
                )
            left = {hit.url for hit in await index.search(SearchQuery())}
            if failing == "delete":
                assert added == Upserted(image_id(url_of(1)), created=True)
                assert isinstance(deleted, StoreWriteError)
                assert left == {url_of(0), url_of(1)}
            else:
                assert isinstance(added, StoreWriteError)
                assert deleted == 1
                assert left == set()
            table = index.opened.table
            assert Acknowledged(tmp_path, "images").read() == await table.version()

    run(check())


def test_a_commit_that_lost_a_race_is_tried_again_but_not_forever() -> None:
    async def check() -> None:
        conflict = RuntimeError("lance error: Retryable commit conflict for version 7")
        committer = FakeCommitter(conflict, conflict, None, *[conflict] * ATTEMPTS)
        writer = writer_of(committer)
        assert (await writer.write(add(1))).created
        assert len(committer.commits) == 3
        with pytest.raises(StoreWriteError):
            await writer.write(Delete(frozenset({"x"})))
        assert len(committer.commits) == 3 + ATTEMPTS
        await writer.close()

    run(check())


def test_a_panic_in_the_engine_fails_its_callers_and_the_writer_goes_on() -> None:
    class PanicException(BaseException):
        pass

    async def check() -> None:
        writer = writer_of(FakeCommitter(PanicException("unaligned")))
        with pytest.raises(StoreWriteError):
            await writer.write(add(1))
        assert (await writer.write(add(2))).created
        await writer.close()

    run(check())


def test_a_commit_that_never_ends_is_the_writers_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.write.writer, "COMMIT_TIMEOUT_S", 0.05)

    async def check() -> None:
        committer = FakeCommitter()
        committer.gate.clear()
        writer = writer_of(committer, store_queue_size=2, store_max_commit_rows=1)
        adds = [asyncio.create_task(writer.write(add(n))) for n in range(6)]
        answers = await asyncio.gather(*adds, return_exceptions=True)
        assert isinstance(answers[0], StoreWriteError)
        assert all(isinstance(answer, StoreClosedError) for answer in answers[1:])
        assert not writer.healthy
        with pytest.raises(StoreClosedError):
            await writer.write(add(7))
        await writer.close()

    run(check())


def test_a_full_queue_holds_callers_back_and_loses_none() -> None:
    async def check() -> None:
        committer = FakeCommitter()
        writer = writer_of(committer, store_queue_size=2, store_max_commit_rows=3)
        await asyncio.gather(*(writer.write(add(n)) for n in range(20)))
        assert len(committer.rows) == 20
        await writer.close()

    run(check())


def test_close_writes_what_waits_and_refuses_what_comes_later() -> None:
    async def check() -> None:
        committer = FakeCommitter()
        committer.gate.clear()
        writer = writer_of(committer, store_queue_size=2, store_max_commit_rows=1)
        adds = [asyncio.create_task(writer.write(add(n))) for n in range(6)]
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(writer.close())
        await asyncio.sleep(0.01)
        with pytest.raises(StoreClosedError):
            await writer.write(add(9))
        committer.gate.set()
        answers = await asyncio.gather(*adds, return_exceptions=True)
        await closing
        written = [not isinstance(answer, Exception) for answer in answers]
        assert sum(written) == len(committer.rows) >= 3
        assert all(isinstance(a, Upserted | StoreClosedError) for a in answers)

    run(check())
