"""Commits of two processes without a lock, as on an object store, meeting at the worst times."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from store.changes.log import ChangeLog
from store.metadata.columns import Registry
from store.schemas import Upserted
from store.settings import StoreSettings
from store.snapshot.latest import Snapshots
from store.table.connection import connect
from store.table.disk.location import Location
from store.table.faults import is_conflict, retried
from store.table.open import open_table
from store.write.commit import Committer
from store.write.logged import LoggedTable
from store.write.operations import Put, Upsert
from tests.store.support import IDENTITY, image, opened, run, url_of, vector

if TYPE_CHECKING:
    from lancedb import AsyncTable


class Meddled:
    """A real table; just before a method's nth call, another process does something."""

    def __init__(
        self, table: "AsyncTable", name: str, nth: int, other: Callable[[], Awaitable[Any]]
    ) -> None:
        self._table = table
        self._name = name
        self._calls_left = nth
        self._other = other

    def __getattr__(self, name: str) -> Any:
        return self._meddled if name == self._name else getattr(self._table, name)

    async def _meddled(self, *args: Any) -> Any:
        self._calls_left -= 1
        if self._calls_left == 0:
            await self._other()
        return await getattr(self._table, self._name)(*args)


async def handle(folder: Path) -> "AsyncTable":
    return await open_table(await connect(StoreSettings(store_uri=str(folder))), IDENTITY)


def committer(table: Any) -> Committer:
    logged = LoggedTable(table, ChangeLog(None, "images"))
    return Committer(logged, Snapshots(table), Location("s3://no-locks"), sync=False)


KEYS = {"price": "float", "at": "string", "gps.lat": "float"}
WIDE = [
    {"price": 0.5, "at": "soon", "gps": {"lat": 1.5}},
    {"price": 2.5, "at": "late", "gps.lat": 2.5},
]


@pytest.mark.parametrize("method", ["add_columns", "schema"])
def test_two_writers_that_widen_the_same_keys_both_succeed(tmp_path: Path, method: str) -> None:
    async def check() -> None:
        mine, other = await handle(tmp_path), committer(await handle(tmp_path))
        narrow = {"price": 10, "at": "2024-05-01", "gps": {"lat": 1}}
        await other.put(puts(0, narrow))
        one = committer(Meddled(mine, method, 1, lambda: other.put(puts(1, WIDE[0]))))
        [answer] = await retried(lambda: one.put(puts(2, WIDE[1])))
        assert isinstance(answer, Upserted)
        async with opened(tmp_path) as index:
            assert (await index.state()).columns == KEYS
            stored = {each.url: each.metadata for each in (await index.images(10)).images}
            assert stored == {url_of(0): narrow, url_of(1): WIDE[0], url_of(2): WIDE[1]}
            assert await index.count({"price": {"$lt": 10.5}, "at": {"$ne": "late"}}) == 2

    run(check())


def test_writers_that_widen_at_once_without_a_lock_all_succeed(tmp_path: Path) -> None:
    async def check() -> None:
        writers = [committer(await handle(tmp_path)) for _ in range(2)]
        for turn in range(4):
            sent = [{f"n{turn}": value} for value in (7, 0.5, 8.0, 2.5)]
            await asyncio.gather(*(_put_all(writers[n], turn, n, sent) for n in range(2)))
            async with opened(tmp_path) as index:
                assert (await index.state()).columns[f"n{turn}"] == "float"
                images = (await index.images(100)).images
                stored = {each.url: each.metadata for each in images}
                for at, metadata in enumerate(sent):
                    assert stored[url_of(10 * turn + at)] == metadata

    run(check())


async def _put_all(
    writer: Committer, turn: int, first: int, sent: Sequence[dict[str, Any]]
) -> None:
    """Every second one of these, one after the other."""
    for at in range(first, len(sent), 2):
        await retried(partial(writer.put, puts(10 * turn + at, sent[at])))


def puts(n: int, metadata: dict[str, Any]) -> list[Put]:
    return [Upsert(image(n, metadata), vector(n))]


@pytest.mark.parametrize("theirs", [{"b": 1}, {"b": "text"}, {"a": 1, "b": 2}])
@pytest.mark.parametrize(
    ("method", "nth"),
    [
        ("add_columns", 1),  # they take the name that this commit is about to add
        ("schema", 1),  # they add theirs between this commit's columns and its merge
    ],
)
def test_a_lost_race_for_columns_is_a_conflict_and_nothing_is_written(
    tmp_path: Path, method: str, nth: int, theirs: dict[str, Any]
) -> None:
    async def check() -> None:
        other = committer(await handle(tmp_path))
        table = await handle(tmp_path)
        meddled = Meddled(table, method, nth, lambda: other.put(puts(1, theirs)))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - LanceDB's own or ours
            await committer(meddled).put(puts(2, {"a": 7}))
        assert is_conflict(caught.value)
        assert await table.count_rows() == 1

        [answer] = await committer(table).put(puts(2, {"a": 7}))
        assert isinstance(answer, Upserted)
        registry = Registry.from_schema(await table.schema())
        assert sorted(column.key for column in registry.columns) == ["a", "b"]
        assert await table.count_rows() == 2

    run(check())
