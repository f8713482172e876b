"""Which table is the index, whatever a change of the model left behind."""

from datetime import timedelta
from pathlib import Path

import lancedb
import pyarrow as pa
import pytest

from store.errors import StoreOpenError
from store.table.names import (
    MARK_BUILDING,
    MARK_SUPERSEDED,
    current_name,
    current_table,
    drop,
    is_building,
    is_superseded,
    mark,
    next_name,
    schema_of,
    successor,
    table_names,
    table_number,
)
from tests.store.support import run


def schema(**marks: str) -> pa.Schema:
    """Of a table with the marks ``building`` and ``superseded``."""
    keys = {"building": MARK_BUILDING, "superseded": MARK_SUPERSEDED}
    metadata = {keys[name]: value.encode() for name, value in marks.items()}
    return pa.schema([pa.field("id", pa.string(), nullable=False, metadata=metadata)])


PLAIN, BUILDING = schema(), schema(building="")


@pytest.mark.parametrize(
    ("schemas", "current"),
    [
        ({}, None),
        ({"images": PLAIN}, "images"),
        ({"images": PLAIN, "images_2": BUILDING}, "images"),
        # The old one is closed to writes, but the switch was not made.
        ({"images": schema(superseded=""), "images_2": BUILDING}, "images"),
        # The switch was made, and the new one not yet unmarked.
        ({"images": schema(superseded="images_2"), "images_2": BUILDING}, "images_2"),
        ({"images": schema(superseded="images_2"), "images_2": PLAIN}, "images_2"),
        # The old ones are deleted, or half deleted.
        ({"images_2": PLAIN}, "images_2"),
        ({"images": None, "images_2": PLAIN}, "images_2"),
        ({"images": schema(building="dropping"), "images_2": PLAIN}, "images_2"),
        # The next change is on its way, or was interrupted before it began.
        (
            {"images": schema(superseded="images_2"), "images_2": PLAIN, "images_3": BUILDING},
            "images_2",
        ),
        ({"images": PLAIN, "images_2": None}, "images"),
        # Numbers are compared as numbers; other names do not matter.
        ({"images_9": PLAIN, "images_10": PLAIN, "images_x": PLAIN, "other": PLAIN}, "images_10"),
    ],
)
def test_the_index_is_one_table(schemas: dict[str, pa.Schema | None], current: str | None) -> None:
    assert current_name(schemas) == current


@pytest.mark.parametrize(
    "schemas",
    [
        {"images": None, "images_2": None},
        {"images": schema(superseded="images_2"), "images_2": None},
    ],
)
def test_an_index_that_cannot_be_read_is_not_passed_over(
    schemas: dict[str, pa.Schema | None],
) -> None:
    with pytest.raises(StoreOpenError):
        current_name(schemas)


def test_names_have_numbers() -> None:
    assert [table_number(name) for name in ("images", "images_2", "images_31")] == [1, 2, 31]
    for other in ("images_1", "images_0", "images_02", "images_", "images_2x", "Images", "x"):
        assert table_number(other) is None
    assert next_name([]) == "images"
    assert next_name(["images"]) == "images_2"
    assert next_name(["other", "images_9", "images_10"]) == "images_11"


@pytest.mark.parametrize("memory", [False, True])
def test_marks_are_written_into_the_table(tmp_path: Path, memory: bool) -> None:
    async def check() -> None:
        uri = "memory://tables" if memory else str(tmp_path)
        connection = await lancedb.connect_async(uri, read_consistency_interval=timedelta(0))
        assert await current_table(connection) is None
        old = await connection.create_table("images", schema=PLAIN)
        new = await connection.create_table("images_2", schema=BUILDING)
        await new.add(pa.table({"id": ["a"]}, schema=PLAIN))
        await new.optimize()
        assert is_building(await new.schema())
        assert await current_table(connection) == "images"
        await mark(old, MARK_SUPERSEDED, "")
        assert is_superseded(await old.schema())
        assert await current_table(connection) == "images"
        await mark(old, MARK_SUPERSEDED, "images_2")
        assert successor(await old.schema()) == "images_2"
        assert await current_table(connection) == "images_2"
        await mark(new, MARK_BUILDING, None)
        assert not is_building(await new.schema())
        await drop(connection, "images")
        assert await table_names(connection) == ["images_2"]
        assert await current_table(connection) == "images_2"

    run(check())


def test_what_an_interrupted_deletion_leaves_is_not_opened(tmp_path: Path) -> None:
    async def check() -> None:
        connection = await lancedb.connect_async(tmp_path, read_consistency_interval=timedelta(0))
        await connection.create_table("images", schema=PLAIN)
        (tmp_path / "images_2.lance" / "data").mkdir(parents=True)
        assert await table_names(connection) == ["images_2", "images"]
        assert await schema_of(connection, "images_2") is None
        assert await current_table(connection) == "images"
        await drop(connection, "images_2")
        assert await table_names(connection) == ["images"]

    run(check())


def test_a_torn_table_is_an_error_and_not_skipped(tmp_path: Path) -> None:
    async def check() -> None:
        connection = await lancedb.connect_async(tmp_path, read_consistency_interval=timedelta(0))
        await connection.create_table("images", schema=PLAIN)
        await connection.create_table("images_2", schema=PLAIN)
        next((tmp_path / "images_2.lance" / "_versions").glob("*.manifest")).write_bytes(b"")
        again = await lancedb.connect_async(tmp_path, read_consistency_interval=timedelta(0))
        with pytest.raises(RuntimeError):
            await current_table(again)

    run(check())
