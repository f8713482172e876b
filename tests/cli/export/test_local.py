"""`image-search export` of a folder: everything, typed, while others write; or no file at all."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from image_search.cli.main import main
from image_search.cli.tables.exported import exported_names
from store.index import ImageIndex
from store.offline.export import exporting
from store.settings import StoreSettings
from tests.store.support import DIM, IDENTITY, image, opened, url_of, vector

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)
METADATA = {
    "name": "a",
    "count": 3,
    "price": 2.5,
    "new": True,
    "since": "2026-01-02T03:04:05.000678Z",
    "tags": ["x", "y"],
    "url": "of the shop",
    "metadata.url": "taken",
}
PIXELS, SMALL = "ab" * 32, b"\xff\xd8 a small one \xff\xd9"


@asynccontextmanager
async def _filled(folder: Path) -> AsyncIterator[ImageIndex]:
    async with opened(folder) as index:
        original = await index.keep_original(b"a file")
        whole = replace(image(0, METADATA), pixels=PIXELS, thumbnail=SMALL, file=original)
        await index.upsert(whole)
        await index.upsert(image(1, "a free text"))
        await index.upsert(image(2))
        yield index


def _fill(folder: Path) -> None:
    async def fill() -> None:
        async with _filled(folder):
            pass

    asyncio.run(fill())


def _exported(folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    for name in [name for name in os.environ if name.startswith("IMAGE_SEARCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("IMAGE_SEARCH_STORE_URI", str(folder))
    monkeypatch.setenv("IMAGE_SEARCH_SERVER", "http://127.0.0.1:1")  # is for other commands
    done = CliRunner().invoke(main, ["export", str(file)])
    return done.exit_code, done.output


def test_every_column_has_its_name_and_its_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path / "index")
    file = tmp_path / "all.parquet"
    assert _exported(tmp_path / "index", file, monkeypatch) == (0, f"3 images are in {file}.\n")
    table = pq.read_table(file)
    rows = {row["url"]: row for row in table.to_pylist()}
    assert table.schema.field("vector").type == pa.list_(pa.float32(), DIM)
    assert table.schema.metadata[b"image_search:model"].decode() == IDENTITY.model
    given = {**METADATA, "metadata.metadata.url": METADATA["url"], "since": MOMENT}
    first = rows[url_of(0)]
    assert {key: first[key] for key in given if key != "url"} == {
        key: value for key, value in given.items() if key != "url"
    }
    for n in range(3):
        assert np.array_equal(np.array(rows[url_of(n)]["vector"], np.float32), vector(n))
    assert [rows[url_of(n)]["text"] for n in range(3)] == [None, "a free text", None]
    assert {key for key, value in rows[url_of(2)].items() if value is not None} == {
        *("id", "url", "created_at", "vector")
    }
    assert [each.name for each in tmp_path.iterdir() if "part" in each.name] == []
    metadata = [rows[url_of(n)]["$metadata"] for n in range(2)]
    assert [json.loads(one) for one in metadata] == [METADATA, "a free text"]
    assert (first["$pixels"], first["$thumbnail"]) == (PIXELS, SMALL)
    assert len(first["$original"]) == 64


def test_what_others_write_meanwhile_is_not_seen(tmp_path: Path) -> None:
    async def read() -> list[str]:
        async with (
            _filled(tmp_path) as index,
            exporting(StoreSettings(store_uri=str(tmp_path))) as export,
        ):
            await index.upsert(image(3, {"later": 1}))
            await index.delete([(await index.images(10)).images[-1].id])
            return [row.url for row in export.rows]

    assert sorted(asyncio.run(read())) == [url_of(n) for n in range(3)]


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"shop"}, {"shop": "shop"}),
        ({"id", "vector"}, {"id": "metadata.id", "vector": "metadata.vector"}),
        ({"id", "metadata.id"}, {"id": "metadata.metadata.id", "metadata.id": "metadata.id"}),
    ],
)
def test_no_two_columns_have_one_name(keys: set[str], names: dict[str, str]) -> None:
    assert exported_names(keys) == names


def test_a_failed_export_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path / "index")
    file = tmp_path / "out" / "all.parquet"
    file.parent.mkdir()
    file.write_bytes(b"earlier")
    for data in (tmp_path / "index" / "images.lance" / "data").iterdir():
        data.write_bytes(data.read_bytes()[:100])
    code, said = _exported(tmp_path / "index", file, monkeypatch)
    assert (code, said.count("\n")) == (1, 1)
    assert "damaged" in said
    assert [each.name for each in file.parent.iterdir()] == ["all.parquet"]
    assert file.read_bytes() == b"earlier"


def test_where_there_is_no_index_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = _exported(tmp_path / "none", tmp_path / "all.parquet", monkeypatch)
    assert (code, "there is no index yet" in said) == (1, True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "index").mkdir()
    code, said = _exported(tmp_path / "index", tmp_path / "no" / "all.parquet", monkeypatch)
    assert (code, "there is no index yet" in said) == (1, True)
