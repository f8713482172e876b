"""Commits of two processes without a lock, as on an object store, meeting at the worst times."""

from collections.abc import Awaitable, Callable
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
from store.table.faults import is_conflict
from store.table.open import open_table
from store.write.commit import Committer
from store.write.plan import Put, Upsert
from tests.store.support import IDENTITY, image, run, vector

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
    return Committer(
        table, Snapshots(table), Location("s3://no-locks"), ChangeLog(None, "images"), sync=False
    )


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
