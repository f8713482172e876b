"""What two tables of the same images are told to differ in."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from store.offline.copy_rows import differences, fingerprints
from store.settings import StoreSettings
from store.table.connection import connect
from tests.store.support import image, opened, run


def test_differences_of_tables() -> None:
    def prints(*rows: tuple[str, int, int]) -> pa.Table:
        ids, dates, rest = (list(column) for column in zip(*rows, strict=True))
        # Who was looked into again has another set of objects.
        keys = ["" if each % 2 else f"set {each}" for each in rest]
        rest = [5 if each < 5 else each for each in rest]
        return pa.table({"id": ids, "created_at": dates, "key": keys, "rest": rest})

    same = [("same", 1, 5), ("with objects", 1, 2)]
    old = prints(*same, ("patched", 1, 5), ("again", 2, 5), ("seen", 1, 4), ("new", 1, 5))
    new = prints(*same, ("patched", 1, 7), ("again", 1, 5), ("seen", 1, 2), ("gone", 1, 5))
    left = differences(old, new)
    assert sorted(left.fresh["id"].to_pylist()) == ["again", "new", "seen"]
    assert (left.changed, left.gone, left.rows) == (["patched"], ["gone"], 6)
    assert left
    assert not differences(old, old)
    assert differences(old.slice(0, 0), old).gone
    assert differences(old, old.slice(0, 0)).fresh.num_rows == 6


def test_a_row_is_told_apart_by_each_of_its_values(tmp_path: Path) -> None:
    metadata: list[Any] = [{"n": -1}, {"n": -2}, {"n": None}, {"m": -1}, "-1", "", {"m": 0, "n": 0}]
    lists = [[], [""], ["", ""], ["a", "b"], ["a', 'b"], ["a\x00b"], ["b", "a"]]
    metadata += [{"list": value} for value in lists]
    metadata += [{"flag": False}, {"flag": True}, {"at": "2024-01-01T00:00:00.000001Z"}]

    async def check() -> None:
        seen = []
        async with opened(tmp_path) as index:
            connection = await connect(StoreSettings(store_uri=str(tmp_path)))
            for each in metadata:
                await index.upsert(image(1, each))
                table = await connection.open_table("images")
                prints = await fingerprints(table)
                assert prints == await fingerprints(table)
                seen += prints["rest"].to_pylist()
        assert len(set(seen)) == len(seen) == len(metadata)

    run(check())
